/* SPDX-License-Identifier: MIT */
#pragma once

/* Lines from a descriptor that is also polled, so that stdio's hidden buffer would be in the way. */

#include <stdbool.h>
#include <stddef.h>

typedef struct LineReader {
        char *buffer;
        size_t begin, scanned, size, allocated; /* what was handed out, looked at, read */
        size_t max_bytes;
        bool is_at_end, is_skipping;
} LineReader;

/* Reads once, which blocks if there is nothing. Returns 0 or -errno. */
int line_reader_fill(LineReader *l, int fd);
/* The next line without its newline, borrowed until the next call. Returns 1; 0 if there is none, because more
 * has to be read or the end was reached; -EMSGSIZE for one longer than max_bytes, which is passed over. */
int line_reader_next(LineReader *l, const char **ret, size_t *ret_size);
void line_reader_done(LineReader *l);
