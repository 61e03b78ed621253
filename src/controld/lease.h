/* SPDX-License-Identifier: MIT */
#pragma once

/* Who holds which task. A lease is the pair of worker and attempt; a result counts only if it comes from the
 * lease that stands, so that a worker that was given up cannot end a task that runs elsewhere by now. */

#include "controld.h"

/* A queued task, taken from its queue, goes to the worker; it is sent at the end of the turn. */
void lease_grant(Controld *c, Worker *w, Task *t);

/* The task if this very lease stands, else NULL. */
Task *lease_find(Controld *c, const Worker *w, const TaskId *id, uint64_t attempt);

/* Queues the task again, at its old place; one that is being cancelled ends instead. Its attempt number is
 * never given again, so that nothing that was said of the old lease can be taken for the next one. */
void lease_return(Controld *c, Task *t);
void lease_return_all(Controld *c, Worker *w);

typedef struct TaskEnd {
        TaskState state;
        struct iovec result, error;
        uint64_t started_usec; /* CLOCK_REALTIME, by the worker's clock; 0: unknown, or never */
} TaskEnd;

/* Ends a task, leased or not: keeps what it left, wakes those that wait. -ENOMEM: nothing was changed. */
int task_end(Controld *c, Task *t, const TaskEnd *end);
