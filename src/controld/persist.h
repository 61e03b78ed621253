/* SPDX-License-Identifier: MIT */
#pragma once

/* Tells the store what happens to tasks, except to those that their submitter wants in memory only. */

#include "controld.h"

/* New tasks, all or none. -ENOMEM. */
int persist_submit(Controld *c, Task *const tasks[], const bool is_new[], size_t n);
/* The same for the tasks that a schedule made on its way to where it is now, with that. */
int persist_move_schedule(Controld *c, const StoreSchedule *move, Task *const tasks[], size_t n);
/* The task ends: what task_set_end() keeps, completed_usec and end_state are set. -ENOMEM. */
int persist_end(Controld *c, const Task *t);

/* The worker of the task is to stop it: cancel_asked is set. -ENOMEM. */
int persist_cancel(Controld *c, const Task *t);

/* Losing one of these costs no promise: at worst a task that was handed out is handed out again after a
 * restart. So a lack of memory is logged here, and that is all. */
int persist_change(Controld *c,
                   const Task *t); /* leased, begun, or queued again; -ENOMEM (logged) */
void persist_forget(Controld *c, const Task *t);
void persist_type(Controld *c, const TaskType *type);

/* Opens the store that the settings ask for and brings back what it holds. What fails is logged. */
int persist_open(Controld *c);

/* A submit was refused for want of room: logged, unless it was already. */
void persist_no_space(Controld *c);

/* Closes the batch of this turn; what is safe at once takes effect at once. */
void persist_commit(Controld *c);
/* Whether batches that wait become safe at all: false when none has for long, though there is space. */
bool persist_is_moving(Controld *c);
