/* SPDX-License-Identifier: MIT */

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "call.h"
#include "runner-wire.h"
#include "serve.h"
#include "wire.h"

typedef struct Server {
        int fd;
        int output_fd; /* standard output as we found it, if subworkerd reads it; a task may change its own */
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
        size_t size;
        int n = 0;

        if (s->output_fd < 0 || ioctl(s->output_fd, FIONREAD, &n) < 0 || n == 0)
                return false;
        size = 1 + (size_t) snprintf(mark + 1, sizeof(mark) - 1, "%" PRIu64 "\n", seq);
        while (write(s->output_fd, mark, size) < 0) {
                struct pollfd p = { .fd = s->output_fd, .events = POLLOUT };

                /* A task may have made it non-blocking. */
                if ((errno != EAGAIN && errno != EINTR) || (poll(&p, 1, -1) < 0 && errno != EINTR))
                        return false;
        }
        return true;
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
        s->packet.marked = mark_output(s, m->seq);

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

static int find_output(void) {
        struct stat st;

        if (fstat(STDOUT_FILENO, &st) < 0 || !S_ISFIFO(st.st_mode))
                return -EBADF;
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static void server_done(Server *s) {
        safe_close(s->output_fd);
        runner_packet_clear(&s->packet);
        runner_inbox_free(s->inbox);
        call_free(s->call);
}

int serve(int fd, Modules *modules, size_t result_max) {
        _cleanup_(server_done) Server s = {
                .fd = fd,
                .output_fd = find_output(),
                .modules = modules,
                .packet.fd = -EBADF,
        };
        int r;

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

int serve_refusal(int fd, const char *text) {
        RunnerPacket p = { .fd = -EBADF };
        int r;

        r = runner_packet_failed(&p, text);
        if (r < 0)
                return r;
        return send_packet(fd, &p);
}
