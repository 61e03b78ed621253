/* SPDX-License-Identifier: MIT */
#pragma once

/* The attempts of a task that was tried more than once: a JSON document a line, the oldest first. */

#include "task-extra.h"

/* So many attempts are kept, the youngest. */
#define TASK_HISTORY_MAX 20U
/* Bytes of an error that are kept. */
#define TASK_HISTORY_ERROR_MAX 500U
/* And of what a task wrote last. */
#define TASK_HISTORY_OUTPUT_MAX 1000U
/* An attempt whose subworker was lost, or that it handed back unfinished. */
#define TASK_ATTEMPT_LOST     "lost"
#define TASK_ATTEMPT_RELEASED "released"

typedef struct TaskAttempt {
        const char *worker, *outcome;
        uint64_t started_usec, completed_usec;
        struct iovec error;
        struct json_object
                *details; /* of DONE, or NULL: "usage", "reason" and "output_tail" are kept */
} TaskAttempt;

/* Adds the present attempt, unless that was done before. -ENOMEM: nothing was changed. */
int task_history_add(TaskTable *table, Task *t, const TaskAttempt *a);
/* Replaces it by what the store has kept. -ENOMEM. */
int task_history_set(TaskTable *table, Task *t, const struct iovec *text);
void task_history_clear(TaskTable *table, Task *t);
struct iovec task_history(const Task *t);

/* Whether the details have anything that is kept. */
bool task_history_keeps(struct json_object *details);

/* The youngest attempt that stands in there; NULL: none, or out of memory. */
struct json_object *task_history_last(const Task *t);

/* As an array; what of it makes no sense is left out. NULL when out of memory. */
struct json_object *task_history_to_json(const Task *t);
