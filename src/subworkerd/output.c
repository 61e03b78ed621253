/* SPDX-License-Identifier: MIT */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "output.h"
#include "time-util.h"

#define BUFFER_SIZE (8U * OUTPUT_LINE_MAX)
#define MARK_MAX    24U /* NUL, 20 digits, newline */
#define WINDOW_USEC (30 * USEC_PER_SEC)
#define WINDOW_MAX  1000U /* lines of one runner; journald takes 10000 from a service */

struct Output {
        int fd;
        size_t begin, end, mark; /* `mark`: length of the one at `begin`, or 0 */
        uint64_t window_usec;
        unsigned n_lines, n_lost;
        char buffer[BUFFER_SIZE];
};

int output_new(Output **ret, int *ret_fd) {
        _cleanup_(output_freep) Output *o = calloc(1, sizeof(*o));
        int fds[2];

        if (!o)
                return -ENOMEM;
        o->fd = -EBADF;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        o->fd = fds[0];
        /* What runs as another user may open it anew as /dev/stderr; nobody else comes near it. */
        (void) fchmod(fds[1], 0622);
        /* Ours only: the runner's end is another open file. */
        if (fcntl(o->fd, F_SETFL, O_NONBLOCK) < 0) {
                safe_close(fds[1]);
                return -errno;
        }
        *ret_fd = fds[1];
        *ret = TAKE_PTR(o);
        return 0;
}

Output *output_free(Output *o) {
        if (!o)
                return NULL;
        safe_close(o->fd);
        free(o);
        return NULL;
}

int output_fd(const Output *o) {
        return o->fd;
}

ssize_t output_read(Output *o) {
        ssize_t n;

        if (o->begin > 0) {
                memmove(o->buffer, o->buffer + o->begin, o->end - o->begin);
                o->end -= o->begin;
                o->begin = 0;
        }
        if (o->end == sizeof(o->buffer))
                return -ENOBUFS;
        n = read(o->fd, o->buffer + o->end, sizeof(o->buffer) - o->end);
        if (n < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        o->end += (size_t) n;
        return n;
}

/* 1: the mark of `seq` begins here; 0: it may, when more has been read; -1: it does not. */
static int compare_mark(const Output *o, uint64_t seq, size_t *ret_length) {
        char mark[MARK_MAX + 1];
        size_t n, available = o->end - o->begin;

        mark[0] = '\0';
        n = 1 + (size_t) snprintf(mark + 1, sizeof(mark) - 1, "%" PRIu64 "\n", seq);
        if (memcmp(mark, o->buffer + o->begin, MIN(n, available)) != 0)
                return -1;
        *ret_length = n;
        return available >= n;
}

/* Takes `n` bytes and `separator` more. False if there is nothing in them. */
static bool take(Output *o, size_t n, size_t separator, const char **ret, size_t *ret_size) {
        *ret = o->buffer + o->begin;
        *ret_size = n;
        o->begin += n + separator;
        return n > 0;
}

OutputNext output_next(Output *o, uint64_t seq, const char **ret, size_t *ret_size) {
        o->mark = 0;
        while (o->begin < o->end) {
                const char *text = o->buffer + o->begin;
                size_t left = o->end - o->begin, n = 0;
                int r;

                while (n < left && n < OUTPUT_LINE_MAX && text[n] != '\n' && text[n] != '\0')
                        n++;
                if (n == OUTPUT_LINE_MAX) {
                        (void) take(o, n, 0, ret, ret_size);
                        return OUTPUT_LINE;
                }
                if (n == left)
                        return OUTPUT_NOTHING;
                if (text[n] == '\n') {
                        if (take(o, n, 1, ret, ret_size))
                                return OUTPUT_LINE;
                        continue;
                }
                /* A mark ends a line; any other NUL does so as well. */
                if (n > 0) {
                        (void) take(o, n, 0, ret, ret_size);
                        return OUTPUT_LINE;
                }
                r = compare_mark(o, seq, &o->mark);
                if (r >= 0)
                        return r > 0 ? OUTPUT_MARK : OUTPUT_NOTHING;
                o->begin++;
        }
        return OUTPUT_NOTHING;
}

void output_skip_mark(Output *o) {
        o->begin += MIN(o->mark, o->end - o->begin);
        o->mark = 0;
}

bool output_rest(Output *o, const char **ret, size_t *ret_size) {
        return take(o, MIN(o->end - o->begin, (size_t) OUTPUT_LINE_MAX), 0, ret, ret_size);
}

bool output_admit(Output *o, uint64_t now_usec, unsigned *ret_lost) {
        if (now_usec - o->window_usec >= WINDOW_USEC) {
                o->window_usec = now_usec;
                o->n_lines = 0;
        }
        if (o->n_lines >= WINDOW_MAX) {
                o->n_lost++;
                return false;
        }
        o->n_lines++;
        *ret_lost = o->n_lost;
        o->n_lost = 0;
        return true;
}
