/* SPDX-License-Identifier: MIT */
#pragma once

/* Command tasks: running what Exec= of a task file says as the function of a task. */

#include <fastworker/task.h>

#include "runner-wire.h"
#include "task-file.h"

/* Once in the life of the runner, before the first: orphans of commands become children of this process. */
void command_prepare(void);

/* Runs the command for a RUN message and waits for it and all its children. Returns like a task function, having
 * set the result or the error text of the call; *ret is what is to become of the task after a failure, *ret_usage what
 * the command has used, if it was executed. */
int command_run(const TaskFile *t, fastworker_call *call, const RunnerMessage *m, size_t result_max,
                RunnerRetry *ret, RunnerUsage *ret_usage);
