/* SPDX-License-Identifier: MIT */
#pragma once

/* One call of a task function: what the function sees through <fastworker/task.h>, and what it gives back. */

#include <fastworker/task.h>

#include "macro.h"
#include "runner-wire.h"
#include "task-file.h"

typedef struct Call Call;

/* Where messages of tasks go. */
typedef void (*CallLog)(uint64_t seq, int priority, const char *text, size_t size, void *userdata);

/* How far they are, in hundredths of a percent. */
typedef void (*CallProgress)(uint64_t seq, unsigned percent, const char *text, size_t size,
                             void *userdata);

typedef struct CallResult {
        bool success;
        uint64_t started_usec, completed_usec; /* CLOCK_REALTIME */
        const char *payload;                   /* result or error text; lives until the next call */
        size_t size;
        RunnerRetry retry;
        RunnerUsage usage; /* of a command */
} CallResult;

/* Results of more than `result_max` bytes are refused. */
int call_new(size_t result_max, CallLog log, CallProgress progress, void *userdata, Call **ret);
Call *call_free(Call *c);
DEFINE_CLEANUP_FUNC(Call *, call_free);

/* Calls `function` (NULL: there is none of this name, which is a failure) for a RUN message. */
void call_run(Call *c, fastworker_function function, const RunnerMessage *m, CallResult *ret);

/* Runs a command task. */
void call_run_command(Call *c, const TaskFile *command, const RunnerMessage *m, CallResult *ret);
