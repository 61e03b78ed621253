/* SPDX-License-Identifier: MIT */
#pragma once

/* Tasks that wait for their time: what is done when it has come. */

#include "controld.h"

/* The task gets what it needs to wait for a time. -ENOMEM */
int due_prepare(Controld *c, Task *t);

/* Its return is safe (see ledger_return()): it waits for its time, or enters the queue. */
void due_returned(Controld *c, Task *t);

/* After a restart, a task that has not ended and that nobody holds: queued if its time has come. */
void due_recovered(Controld *c, Task *t, TaskState state);

/* A worker says that it holds this task, which waits for its time: it is queued from now on, but in no queue. */
void due_forestall(Controld *c, Task *t);

/* It waits, and its time is over: ends as expired, with a text that says what became of its attempts. -ENOMEM */
int due_expire(Controld *c, Task *t);

/* Those whose time has come enter the queue or expire, as many as one turn may have. */
void due_run(Controld *c);

int due_open(Controld *c);
/* To be called at the end of each turn. */
void due_arm(Controld *c);
