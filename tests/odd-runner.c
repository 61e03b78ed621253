/* SPDX-License-Identifier: MIT */

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "check-util.h"
#include "odd-runner.h"
#include "runner-wire.h"

static RunnerPacket packet = { .fd = -EBADF };

static void send_packet(void) {
        if (sendmsg(RUNNER_FD, &packet.msg, MSG_NOSIGNAL) < 0)
                exit(EXIT_FAILURE);
}

static void send_text(const char *text) {
        if (send(RUNNER_FD, text, strlen(text), MSG_NOSIGNAL) < 0)
                exit(EXIT_FAILURE);
}

static void done(uint64_t seq, bool success, const char *payload, size_t size) {
        if (runner_packet_done(&packet, seq, success, 1000, 1005, payload, size) < 0)
                exit(EXIT_FAILURE);
        send_packet();
}

static void log_line(uint64_t seq, const char *text) {
        (void) runner_packet_log(&packet, seq, 6, text, strlen(text));
        send_packet();
}

/* The sanitizers have handlers of their own. */
static void die_of(int sig) {
        (void) signal(sig, SIG_DFL);
        (void) raise(sig);
}

static void wait_for_ever(void) {
        for (;;)
                pause();
}

/* As fast as it can, without end. */
static void flood_log(uint64_t seq) {
        for (;;)
                log_line(seq, ODD_RUNNER_FLOOD);
}

/* Promises a mark that never comes. */
static void flood_output(uint64_t seq) {
        char text[32768];

        for (size_t i = 0; i < sizeof(text); i++)
                text[i] = i % 2 == 0 ? 'x' : '\n';
        packet.marked = true;
        done(seq, true, "", 0);
        while (write(STDOUT_FILENO, text, sizeof(text)) > 0)
                ;
        exit(EXIT_FAILURE);
}

static bool is_task(const RunnerMessage *m, const char *name) {
        return m->name.iov_len == strlen(name) &&
               memcmp(m->name.iov_base, name, m->name.iov_len) == 0;
}

static void run(const RunnerMessage *m) {
        if (is_task(m, "wait") || is_task(m, "other.wait")) {
                log_line(m->seq, "waiting");
                wait_for_ever();
        } else if (is_task(m, "segv"))
                die_of(SIGSEGV);
        else if (is_task(m, "abort"))
                die_of(SIGABRT);
        else if (is_task(m, "exit"))
                _exit(3);
        else if (is_task(m, "fail"))
                done(m->seq, false, "no", 2);
        else if (is_task(m, "log")) {
                log_line(m->seq, "a line");
                log_line(m->seq + 1, "stray");
                done(m->seq, true, "", 0);
        } else if (is_task(m, "progress")) {
                (void) runner_packet_progress(&packet, m->seq + 1, 9900, "stray", 5);
                send_packet();
                (void) runner_packet_progress(&packet, m->seq, 4250, "half", 4);
                send_packet();
                done(m->seq, true, "", 0);
        } else if (is_task(m, "chatter")) {
                for (int i = 0; i < ODD_RUNNER_CHATTER; i++)
                        log_line(m->seq, ODD_RUNNER_FLOOD);
                done(m->seq, true, "", 0);
        } else if (is_task(m, "flood-log"))
                flood_log(m->seq);
        else if (is_task(m, "flood-output"))
                flood_output(m->seq);
        else
                done(m->seq, true, m->payload, m->payload_size);
}

/* Answers a task in a way that no runner may. */
static void misbehave(const char *mode, const RunnerMessage *m) {
        if (streq(mode, "garbage"))
                send_text("what is this?");
        else if (streq(mode, "wrong-seq"))
                done(m->seq + 1, true, "", 0);
        else if (streq(mode, "request"))
                send_text("RUN 1 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 1 add\n");
        else if (streq(mode, "too-much")) {
                size_t size = 2000000;
                char *big = calloc(size, 1);

                done(m->seq, true, big, size);
                free(big);
        }
        wait_for_ever();
}

int odd_runner(const char *mode) {
        static const struct rlimit no_core = {};
        const char *types = streq(mode, "other") ? ODD_RUNNER_OTHER_TYPES : ODD_RUNNER_TYPES;
        RunnerInbox *inbox;
        RunnerMessage m;

        (void) setrlimit(RLIMIT_CORE, &no_core);
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (streq(mode, "failed")) {
                (void) runner_packet_failed(&packet, "modules are missing");
                send_packet();
                return EXIT_FAILURE;
        }
        if (streq(mode, "quits"))
                _exit(7);
        if (streq(mode, "silent"))
                wait_for_ever();
        if (streq(mode, "version"))
                send_text("HELLO 99 1\n");
        (void) runner_packet_hello(&packet, types, strlen(types));
        send_packet();
        if (streq(mode, "hello-twice"))
                send_packet();

        if (runner_inbox_new(1, &inbox) < 0)
                return EXIT_FAILURE;
        while (runner_inbox_receive(inbox, RUNNER_FD, 0) > 0) {
                if (runner_inbox_get(inbox, 0, SIZE_MAX, &m) < 0)
                        return EXIT_FAILURE;
                if (streq(mode, "good") || streq(mode, "other"))
                        run(&m);
                else
                        misbehave(mode, &m);
        }
        runner_inbox_free(inbox);
        runner_packet_clear(&packet);
        return EXIT_SUCCESS;
}

void odd_runner_write_example(const char *file) {
        FILE *in = fopen(TOP_SRCDIR "/doc/runner-protocol.md", "re"), *out = fopen(file, "we");
        char *line = NULL;
        size_t size = 0;
        bool inside = false, any = false;

        ck_assert_ptr_nonnull(in);
        ck_assert_ptr_nonnull(out);
        while (getline(&line, &size, in) > 0) {
                if (streq(line, "```python\n"))
                        inside = true;
                else if (streq(line, "```\n"))
                        inside = false;
                else if (inside) {
                        any = true;
                        ck_assert_int_ge(fputs(line, out), 0);
                }
        }
        free(line);
        ck_assert(any);
        ck_assert_int_eq(fclose(out), 0);
        (void) fclose(in);
}
