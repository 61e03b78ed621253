/* SPDX-License-Identifier: MIT */
#pragma once

/* Messages in the format of the files in tests/vectors, which the examples in doc/protocol.md share. One
 * line is one thing; blank lines and lines with # are passed over:
 *
 *     message TITLE            begins a message
 *     client -> controld       who sends it to whom
 *     "text\x00"               a frame; \\ \" \n \t \r \xHH inside
 *     hex 00 ff                a frame
 *     empty                    a frame
 *     fill 65537 41            a frame of so many bytes of that value
 *     repeat 1001 last 2       the last two frames are there 1001 times altogether
 *     ok VERB [N]              verdict: it decodes to VERB, with N groups, and encodes to the same frames
 *     accepted VERB [N]        verdict: it decodes, but our encoder writes it differently
 *     refused CODE             verdict
 */

#include <stdio.h>

#include "wire.h"

typedef struct WireVector {
        char title[128];
        unsigned line; /* of its beginning */
        WireDirection direction;
        struct iovec *frames;
        size_t n_frames, n_allocated;
        WireVerb verb; /* _WIRE_VERB_INVALID: it is refused */
        size_t n_groups;
        bool canonical;
        WireError code;
} WireVector;

/* Reads up to and including the next verdict. `*line` counts lines. Returns 1, 0 at the end of the file, or
 * -EBADMSG with *ret_error a static text and *line where. */
int wire_vector_read(FILE *f, unsigned *line, WireVector *ret, const char **ret_error);
void wire_vector_done(WireVector *v);

/* WireDirection from "client -> controld"; _WIRE_DIRECTION_INVALID (0) for other texts. */
WireDirection wire_direction_from_string(const char *s);
const char *wire_direction_to_string(WireDirection d);
