/* SPDX-License-Identifier: MIT */
#pragma once

/* The attempts of a task that was tried more than once: a JSON document a line, the oldest first. */

#include "task-extra.h"

/* So many attempts are kept, the youngest. */
#define TASK_HISTORY_MAX 20U
/* Bytes of an error that are kept. */
#define TASK_HISTORY_ERROR_MAX 500U

typedef struct TaskAttempt {
        const char *worker, *outcome;
        uint64_t started_usec, completed_usec;
        struct iovec error;
} TaskAttempt;

/* Adds the present attempt, unless that was done before. -ENOMEM: nothing was changed. */
int task_history_add(TaskTable *table, Task *t, const TaskAttempt *a);
/* Replaces it by what the store has kept. -ENOMEM. */
int task_history_set(TaskTable *table, Task *t, const struct iovec *text);
void task_history_clear(TaskTable *table, Task *t);
struct iovec task_history(const Task *t);

/* As an array; what of it makes no sense is left out. NULL when out of memory. */
struct json_object *task_history_to_json(const Task *t);
