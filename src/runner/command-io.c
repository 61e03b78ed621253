/* SPDX-License-Identifier: MIT */

/* A running command: its output, its time, its end. */

#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "command-internal.h"

#define CHUNK_BYTES 65536U
#define DRAIN_BYTES_MAX \
        (1024U * 1024U)        /* what a pipe can hold at most when nobody writes to it any more */
#define DRAIN_REPORTS_MAX 256U /* reads; the same */

static void kill_group(const CommandRun *c, int sig) {
        (void) kill(-c->process.pid, sig);
        if (sig == SIGKILL)
                (void) kill(c->process.pid, sig); /* it may have left its group */
}

/* Room for at least one byte more. */
static int grow(CommandRun *c) {
        size_t n = MIN(MAX(c->output_allocated * 2, (size_t) CHUNK_BYTES), c->output_max + 1);
        char *p;

        if (c->output_size < c->output_allocated)
                return 0;
        p = realloc(c->output, n);
        if (!p)
                return -ENOMEM;
        c->output = p;
        c->output_allocated = n;
        return 0;
}

/* Returns 1 if there was something, 0 if there is nothing now; the descriptor is closed at the end. */
static int read_output(CommandRun *c) {
        ssize_t n;
        int r;

        r = grow(c);
        if (r < 0)
                return r;
        n = read(c->process.output_fd, c->output + c->output_size,
                 c->output_allocated - c->output_size);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                c->process.output_fd = safe_close(c->process.output_fd);
                return n < 0 ? -errno : 0;
        }
        c->output_size += (size_t) n;
        if (c->output_size > c->output_max) {
                c->is_over = true;
                c->process.output_fd = safe_close(c->process.output_fd);
        }
        return 1;
}

static int read_error(CommandRun *c) {
        char chunk[CHUNK_BYTES];
        ssize_t n;

        n = read(c->process.error_fd, chunk, sizeof(chunk));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                c->process.error_fd = safe_close(c->process.error_fd);
                return n < 0 ? -errno : 0;
        }
        command_stderr_take(c->error, chunk, (size_t) n);
        return 1;
}

static int read_report(CommandRun *c) {
        char chunk[4096];
        ssize_t n;

        n = read(c->process.report_fd, chunk, sizeof(chunk));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                c->process.report_fd = safe_close(c->process.report_fd);
                return n < 0 ? -errno : 0;
        }
        command_report_take(c->report, chunk, (size_t) n);
        return 1;
}

/* What is left in the pipes. */
static int drain(CommandRun *c) {
        size_t begin = c->output_size, n_errors = 0, n_reports = 0;
        int r = 1;

        while (r > 0 && c->process.output_fd >= 0 && c->output_size - begin < DRAIN_BYTES_MAX)
                r = read_output(c);
        if (r >= 0)
                r = 1;
        while (r > 0 && c->process.error_fd >= 0 && n_errors < DRAIN_BYTES_MAX) {
                r = read_error(c);
                n_errors += CHUNK_BYTES;
        }
        if (r >= 0)
                r = 1;
        while (r > 0 && c->process.report_fd >= 0 && n_reports++ < DRAIN_REPORTS_MAX)
                r = read_report(c);
        return r < 0 ? r : 0;
}

/* Signals whose time has come. Returns when the next thing is due. */
static uint64_t keep_time(CommandRun *c, uint64_t now, bool is_ended) {
        if (is_ended)
                return USEC_INFINITY;
        if (now >= c->soft_usec && !c->was_told) {
                c->was_told = true;
                kill_group(c, SIGTERM);
        }
        if (now >= c->hard_usec && !c->is_late) {
                c->is_late = true;
                kill_group(c, SIGKILL);
        }
        return MIN(c->was_told ? USEC_INFINITY : c->soft_usec,
                   c->is_late ? USEC_INFINITY : c->hard_usec);
}

static int wait_for_events(CommandRun *c, bool is_ended, uint64_t until) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        struct pollfd fds[] = {
                { .fd = c->process.output_fd, .events = POLLIN },
                { .fd = c->process.error_fd, .events = POLLIN },
                { .fd = is_ended ? -1 : c->process.pidfd, .events = POLLIN },
                { .fd = c->process.report_fd, .events = POLLIN },
        };
        int r = 0;

        if (poll(fds, ELEMENTSOF(fds),
                 until == USEC_INFINITY ? -1 : usec_to_poll_msec(until - MIN(now, until))) < 0)
                return errno == EINTR ? 0 : -errno;
        if (fds[0].revents)
                r = read_output(c);
        if (r >= 0 && fds[1].revents)
                r = read_error(c);
        if (r >= 0 && fds[3].revents)
                r = read_report(c);
        if (r < 0)
                return r;
        return fds[2].revents != 0;
}

static bool is_killed(const CommandRun *c) {
        return c->is_over || c->is_late;
}

/* Until the command has ended and nobody holds its output any more, or the grace time is over. */
static int run_loop(CommandRun *c) {
        uint64_t grace = USEC_INFINITY;
        bool is_ended = false;
        int r;

        while (!is_ended || c->process.output_fd >= 0 || c->process.error_fd >= 0) {
                uint64_t now = now_usec(CLOCK_MONOTONIC);

                if (now >= grace)
                        return 0;
                if (c->is_over)
                        kill_group(c, SIGKILL);
                r = wait_for_events(c, is_ended, MIN(keep_time(c, now, is_ended), grace));
                if (r < 0)
                        return r;
                if (r > 0) {
                        is_ended = true;
                        grace = now_usec(CLOCK_MONOTONIC) + (is_killed(c) ? 0 : COMMAND_GRACE_USEC);
                }
        }
        return 0;
}

static uint64_t timeval_usec(const struct timeval *t) {
        return (uint64_t) t->tv_sec * USEC_PER_SEC + (uint64_t) t->tv_usec;
}

/* With the processes that it has waited for itself. */
static int collect(CommandRun *c) {
        struct rusage u = {};

        while (syscall(SYS_waitid, P_PIDFD, c->process.pidfd, &c->status, WEXITED, &u) < 0)
                if (errno != EINTR) /* by a signal for which a module has a handler */
                        return -errno;
        c->usage = (RunnerUsage){
                .is_known = true,
                .cpu_usec = timeval_usec(&u.ru_utime) + timeval_usec(&u.ru_stime),
                .memory_peak_bytes = (uint64_t) u.ru_maxrss * 1024,
        };
        return 0;
}

int command_supervise(CommandRun *c) {
        int r, n;

        r = run_loop(c);
        /* As long as it is not waited for, the number of its group belongs to nobody else. */
        kill_group(c, SIGKILL);
        n = collect(c);
        return r < 0 ? r : n;
}

int command_finish_output(CommandRun *c) {
        int r = drain(c);

        c->process.output_fd = safe_close(c->process.output_fd);
        c->process.error_fd = safe_close(c->process.error_fd);
        c->process.report_fd = safe_close(c->process.report_fd);
        return r;
}

void command_run_done(CommandRun *c) {
        safe_close(c->process.output_fd);
        safe_close(c->process.error_fd);
        safe_close(c->process.report_fd);
        safe_close(c->process.pidfd);
        command_stderr_free(c->error);
        command_report_free(c->report);
        free(c->output);
}
