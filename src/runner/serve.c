/* SPDX-License-Identifier: MIT */

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <syslog.h>

#include "call.h"
#include "runner-wire.h"
#include "serve.h"
#include "wire.h"

typedef struct Server {
        int fd;
        int standard_fds
                [3];  /* as we found them; a task may close its own, or put something else there */
        bool is_read; /* standard output, by subworkerd */
        Modules *modules;
        RunnerInbox *inbox;
        RunnerPacket packet;
        Call *call;
} Server;

static int send_packet(int fd, RunnerPacket *p) {
        for (;;) {
                if (sendmsg(fd, &p->msg, MSG_NOSIGNAL) >= 0)
                        return 0;
                if (errno != EINTR)
                        return -errno;
        }
}

/* May be called from any thread of the task. That the other side is gone shows at the next receive. */
static void on_log(uint64_t seq, int priority, const char *text, size_t size, void *userdata) {
        Server *s = userdata;
        RunnerPacket p = { .fd = -EBADF };

        if (runner_packet_log(&p, seq, priority, text, size) >= 0)
                (void) send_packet(s->fd, &p);
}

static void on_progress(uint64_t seq, unsigned percent, const char *text, size_t size,
                        void *userdata) {
        Server *s = userdata;
        RunnerPacket p = { .fd = -EBADF };

        if (runner_packet_progress(&p, seq, percent, text, size) >= 0)
                (void) send_packet(s->fd, &p);
}

/* If something of what the task wrote was not read yet, says where it ends, as what the next one writes lies behind
 * it. What was read was taken for this task's. */
static bool mark_output(const Server *s, uint64_t seq) {
        char mark[24] = "";
        int n = 0, fd = s->standard_fds[STDOUT_FILENO];
        size_t size;

        if (!s->is_read || ioctl(fd, FIONREAD, &n) < 0 || n == 0)
                return false;
        size = 1 + (size_t) snprintf(mark + 1, sizeof(mark) - 1, "%" PRIu64 "\n", seq);
        while (write(fd, mark, size) < 0) {
                struct pollfd p = { .fd = fd, .events = POLLOUT };

                /* A task may have made it non-blocking. */
                if ((errno != EAGAIN && errno != EINTR) || (poll(&p, 1, -1) < 0 && errno != EINTR))
                        return false;
        }
        return true;
}

/* What one task does to them is none of the next one's. */
static void restore_standard(const Server *s) {
        for (int i = 0; i < (int) ELEMENTSOF(s->standard_fds); i++)
                if (s->standard_fds[i] >= 0)
                        (void) dup2(s->standard_fds[i], i);
}

static int run(Server *s, const RunnerMessage *m) {
        fastworker_function function = modules_find(s->modules, m->name.iov_base, m->name.iov_len);
        const TaskFile *command = NULL;
        CallResult result;
        int r;

        if (!function)
                command = modules_find_command(s->modules, m->name.iov_base, m->name.iov_len);
        if (command)
                call_run_command(s->call, command, m, &result);
        else
                call_run(s->call, function, m, &result);

        /* What the task printed is to be in the journal before its end is. */
        (void) fflush(stdout);
        restore_standard(s);
        s->packet.marked = mark_output(s, m->seq);
        s->packet.usage = result.usage;

        r = runner_packet_done_with(&s->packet, m->seq, result.success, result.started_usec,
                                    result.completed_usec, result.success ? NULL : &result.retry,
                                    result.payload, result.size);
        if (r < 0)
                return r;
        return send_packet(s->fd, &s->packet);
}

static int loop(Server *s) {
        for (;;) {
                RunnerMessage m;
                int r;

                r = runner_inbox_receive(s->inbox, s->fd, 0);
                if (r == 0)
                        return 0;
                if (r == -EINTR)
                        continue;
                if (r < 0)
                        return r;

                r = runner_inbox_get(s->inbox, 0, WIRE_PAYLOAD_MAX, &m);
                if (r < 0)
                        return r;
                if (m.verb != RUNNER_RUN)
                        continue; /* of a later version */
                r = run(s, &m);
                if (r < 0)
                        return r == -EPIPE ? 0 : r;
        }
}

static int hello(Server *s) {
        _cleanup_free_ char *types = NULL;
        size_t size;
        int r;

        r = modules_list_with_files(s->modules, &types, &size);
        if (r < 0)
                return r;
        r = runner_packet_hello(&s->packet, types, size);
        if (r < 0)
                return r;
        return send_packet(s->fd, &s->packet);
}

static void keep_standard(Server *s) {
        struct stat st;

        for (int i = 0; i < (int) ELEMENTSOF(s->standard_fds); i++)
                s->standard_fds[i] = fcntl(i, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        s->is_read = s->standard_fds[STDOUT_FILENO] >= 0 && fstat(STDOUT_FILENO, &st) >= 0 &&
                     S_ISFIFO(st.st_mode);
}

static void server_done(Server *s) {
        for (size_t i = 0; i < ELEMENTSOF(s->standard_fds); i++)
                safe_close(s->standard_fds[i]);
        runner_packet_clear(&s->packet);
        runner_inbox_free(s->inbox);
        call_free(s->call);
}

int serve(int fd, Modules *modules, size_t result_max) {
        _cleanup_(server_done) Server s = {
                .fd = fd,
                .modules = modules,
                .packet.fd = -EBADF,
        };
        int r;

        keep_standard(&s);
        r = runner_inbox_new(1, &s.inbox);
        if (r < 0)
                return r;
        r = call_new(result_max, on_log, on_progress, &s, &s.call);
        if (r < 0)
                return r;
        r = hello(&s);
        if (r < 0)
                return r;
        return loop(&s);
}

void serve_complaint(int fd, const char *text) {
        RunnerPacket p = { .fd = -EBADF };
        _cleanup_free_ char *line = NULL;

        if (asprintf(&line, "A task file is left out: %s", text ?: "out of memory") < 0) {
                line = NULL;
                return;
        }
        if (runner_packet_log(&p, 0, LOG_ERR, line, strlen(line)) >= 0)
                (void) send_packet(fd, &p);
}

int serve_refusal(int fd, const char *text) {
        RunnerPacket p = { .fd = -EBADF };
        int r;

        r = runner_packet_failed(&p, text);
        if (r < 0)
                return r;
        return send_packet(fd, &p);
}
