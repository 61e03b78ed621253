/* SPDX-License-Identifier: MIT */
#pragma once

/* What one runner and the programs it starts write to their standard output and error, cut into lines, and up to
 * where it is a given task's: see "Output" in doc/runner-protocol.md. No line is longer than OUTPUT_LINE_MAX; longer
 * ones come in pieces, and empty ones not at all. */

#include <sys/types.h>

#include "macro.h"

#define OUTPUT_LINE_MAX 1024U

typedef struct Output Output;

/* *ret_fd is for the runner to write to; the caller closes it. */
int output_new(Output **ret, int *ret_fd);
Output *output_free(Output *o);
DEFINE_CLEANUP_FUNC(Output *, output_free);

/* The end that becomes readable. */
int output_fd(const Output *o);

/* Reads what fits. Returns how many bytes, 0 when all writers are gone, -EAGAIN if there is nothing now, -ENOBUFS
 * if what was read before has not been taken out, or another -errno. */
ssize_t output_read(Output *o);

typedef enum OutputNext {
        OUTPUT_NOTHING, /* a line may have begun, but not ended */
        OUTPUT_LINE,
        OUTPUT_MARK, /* all before this was written while the task ran, what follows was not */
} OutputNext;

/* Takes the next line out; it is valid until the next call of any function here. `seq` is the task whose mark is to
 * be noticed. A mark stays until output_skip_mark(). */
OutputNext output_next(Output *o, uint64_t seq, const char **ret, size_t *ret_size);
void output_skip_mark(Output *o);

/* Takes out a line that has begun, as if it had ended. Returns false if there is none. */
bool output_rest(Output *o, const char **ret, size_t *ret_size);

/* Whether one more line may go to the journal, which drops everything of a service that writes too much. If so,
 * *ret_lost is how many were not let through since the last one. */
bool output_admit(Output *o, uint64_t now_usec, unsigned *ret_lost);
