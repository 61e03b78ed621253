/* SPDX-License-Identifier: MIT */
#pragma once

/* Who holds which task. A lease is the pair of worker and attempt; a result counts only if it comes from the
 * lease that stands, so that a worker that was given up cannot end a task that runs elsewhere by now. */

#include "controld.h"
#include "task-history.h"

/* A queued task, taken from its queue, goes to the worker; it is sent at the end of the turn. */
void lease_grant(Controld *c, Worker *w, Task *t);

/* After a restart: the worker holds this queued task, which stands in no queue, with the attempt it has. */
void lease_adopt(Controld *c, Worker *w, Task *t);

/* The task if this very lease stands, else NULL. */
Task *lease_find(Controld *c, const Worker *w, const TaskId *id, uint64_t attempt);

/* Queues the task again, at its old place, as soon as that is safe; one that is being cancelled ends instead. Its
 * attempt number is never given again, so that nothing that was said of the old lease can be taken for the next
 * one. */
/* The rate limit of its type counts it only if it had begun, as far as is known. */
void lease_return(Controld *c, Task *t);
/* The same for one that has begun, even if it is not known as running: some end before that is told. */
void lease_return_begun(Controld *c, Task *t);
void lease_return_all(Controld *c, Worker *w);

/* Ends a task that was to be stopped, and that its worker will not end. -ENOMEM: nothing was changed. */
int lease_end_cancelled(Controld *c, Task *t);

/* The attempt has failed, and is followed by another after that time: as soon as that is safe the task waits for it. Its
 * history has the attempt then. -ENOMEM: nothing was changed. */
int lease_retry(Controld *c, Task *t, uint64_t delay_usec, const TaskAttempt *a);

typedef struct TaskEnd {
        TaskState state;
        struct iovec result, error;
        uint64_t started_usec; /* CLOCK_REALTIME, by the worker's clock; 0: unknown, or never */
} TaskEnd;

/* Ends a task, leased or not: the worker is free for the next one, and the store is told. For everyone else it
 * ends only when that is safe, see task_settle(). -ENOMEM: nothing was changed. */
int task_end(Controld *c, Task *t, const TaskEnd *end);

/* The end of a task that no request asked for, and that nobody waits to be told of but its waiters. -ENOMEM: nothing
 * was changed. */
int lease_end_quietly(Controld *c, Task *t, const TaskEnd *end);

/* The end is safe: it becomes a result, and those that wait are told. */
void task_settle(Controld *c, Task *t);

/* A task that failed or is dead is queued again, as if it had not been tried; the caller has checked that.
 * -ENOMEM (logged): it is, but the store does not know. */
int task_retry(Controld *c, Task *t);

/* A new task is safe: it enters the queue, or waits for its time. */
void task_enqueue(Controld *c, Task *t);
