/* SPDX-License-Identifier: MIT */

#include "line-reader.h"
#include "macro.h"

#define READ_BYTES ((size_t) 64 * 1024)

void line_reader_done(LineReader *l) {
        free(l->buffer);
        *l = (LineReader){};
}

int line_reader_fill(LineReader *l, int fd) {
        ssize_t n;

        if (l->begin > 0) {
                memmove(l->buffer, l->buffer + l->begin, l->size - l->begin);
                l->size -= l->begin;
                l->scanned -= l->begin;
                l->begin = 0;
        }
        if (l->allocated - l->size < READ_BYTES) {
                size_t allocated = MAX(2 * l->allocated, l->size + READ_BYTES);
                char *p = realloc(l->buffer, allocated);

                if (!p)
                        return -ENOMEM;
                l->buffer = p;
                l->allocated = allocated;
        }
        n = read(fd, l->buffer + l->size, READ_BYTES);
        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? 0 : -errno;
        l->size += (size_t) n;
        l->is_at_end = n == 0;
        return 0;
}

/* What is there of a line that is too long is dropped; its end is still to come. */
static int skip(LineReader *l) {
        l->begin = l->scanned = l->size;
        l->is_skipping = true;
        return 0;
}

int line_reader_next(LineReader *l, const char **ret, size_t *ret_size) {
        bool was_skipping = l->is_skipping;
        const char *line, *newline;
        size_t size;

        if (l->begin == l->size && !(was_skipping && l->is_at_end))
                return 0;
        line = l->buffer + l->begin;
        newline = memchr(l->buffer + l->scanned, '\n', l->size - l->scanned);
        if (!newline && !l->is_at_end) {
                l->scanned = l->size;
                return was_skipping || l->size - l->begin > l->max_bytes ? skip(l) : 0;
        }

        /* The last line may lack its newline. */
        size = (size_t) ((newline ?: l->buffer + l->size) - line);
        l->begin = MIN(l->size, l->begin + size + 1);
        l->scanned = l->begin;
        l->is_skipping = false;
        if (was_skipping || size > l->max_bytes)
                return -EMSGSIZE;
        *ret = line;
        *ret_size = size;
        return 1;
}
