/* SPDX-License-Identifier: MIT */
#pragma once

/* Tasks that wait for other tasks: for the success of some ("depends_on"), or for the end of all of a group
 * ("after_group"), however they end. Such a task is scheduled until then; when a task ends otherwise than well, what
 * depends on it is cancelled, and what depends on that.
 *
 * What is known here comes from the options of the tasks, which the store keeps, and is made anew after a restart: a
 * task that is named there but gone had ended well, as those that depend on one that did not are cancelled in the same
 * batch of the store as its end or in one before its result can leave. A cancellation may so begin before the end that
 * causes it is safe, as it can't be safe without that; a task is queued only when all that it waited for is. */

#include "task-extra.h"

typedef struct Controld Controld;
typedef struct Dependency Dependency;

typedef TAILQ_HEAD(DependencyList, Dependency) DependencyList;

#define DEPENDENCY_MAX       1000U /* tasks that one may name */
#define DEPENDENCY_GROUP_MAX 128U  /* bytes of a group's name */
#define DEPENDENCY_TEXT_MAX  200U

typedef struct Dependencies {
        DependencyList ended;     /* those that depend on them are to be told */
        DependencyList ready;     /* they wait for nothing more */
        DependencyList recovered; /* after a restart, until all tasks are there */
        struct Group *groups;
        size_t n_waiting;
        struct sd_event_source *more; /* for what one turn has left */
} Dependencies;

void dependencies_init(Dependencies *d);
/* When there are no tasks any more. */
void dependencies_done(Dependencies *d);

/* A new task, with its options. Refusals are told in *ret_error: -ENOENT a task that it names is not known, -EINVAL it
 * can't depend on that one. -ENOMEM. In any case task_free() undoes all. */
int dependency_link(Controld *c, Task *t, char ret_error[static DEPENDENCY_TEXT_MAX]);

/* After a restart, a task that has not ended, before it is queued: those that it waits for need not be there yet, and
 * are found when all are. -ENOMEM. */
int dependency_recover(Controld *c, Task *t, TaskState state);
int dependency_recover_all(Controld *c);

/* The task ends: the store is told, but it need not be safe. */
void dependency_ended(Controld *c, Task *t);
/* That is safe. */
void dependency_settled(Controld *c, Task *t);
/* An ended task is about to be forgotten or tried again: what is left to be done of its end is done now. */
void dependency_flush(Controld *c, const Task *t);
/* It is tried again: its group is not complete any more. */
void dependency_again(Controld *c, Task *t);
/* It runs, whatever it was to wait for. */
void dependency_drop_waits(Task *t);
/* For task_extra_done(). */
void dependency_forget(Task *t);

/* To be called in each turn before its changes are committed: what follows from ends, as much as one turn may do. */
void dependency_run(Controld *c);

/* "task ID", "N tasks", "N tasks of group \"NAME\"": what it waits for. False if it does not wait for tasks. */
bool dependency_describe(const Task *t, char *ret, size_t size);
