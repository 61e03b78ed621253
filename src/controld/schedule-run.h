/* SPDX-License-Identifier: MIT */
#pragma once

/* The schedules of a running coordinator: they fire, and are changed. A task and the progress of its schedule reach the
 * store in one transaction; before that is safe the task is in no queue, and the schedule does not go on. */

#include "controld.h"

/* What is due now is done, as much as one turn may have; then the timer is set. */
void schedule_run(Controld *c, Schedule *s);

/* What it did last is safe, or was refused for want of room and undone. For the ledger. */
void schedule_settle(Controld *c, Schedule *s);
void schedule_refuse(Controld *c, Schedule *s);

/* Whether the last task that it made has not ended. */
bool schedule_is_running(const Controld *c, const Schedule *s);

/* These tell the store, and take effect at once. -ENOMEM: nothing changed. The first takes the schedule over, also on
 * failure; a schedule of that name must not be there (-EEXIST), nor SCHEDULES_MAX of them (-ENOSPC). */
int schedule_add(Controld *c, Schedule *s);
/* The new one begins anew; takes it over, also on failure. */
int schedule_replace(Controld *c, Schedule *s, Schedule *by);
/* If it stood before one that its task type brings, that counts again. */
int schedule_remove(Controld *c, Schedule *s);
int schedule_set_paused(Controld *c, Schedule *s, bool is_paused);
int schedule_note_bringers(Controld *c, const Schedule *s);

/* A task that the plan does not know of, pending: its id must be set. -ENOMEM, -EEXIST. */
int schedule_make_task(Controld *c, const Schedule *s, const TaskId *id, Task **ret);

/* One that the store has. -ENOMEM; one that cannot be read is passed over with a warning. */
int schedule_recover(Controld *c, const StoreSchedule *stored);

/* From the settings and the tables, whether so many more tasks are taken; else why not. NULL: they are. */
const char *schedule_lack(const Controld *c, size_t n);

/* --- schedules of task types: schedule-type.c --- */

/* That subworker registers, and offers the type with these options (NULL: none). */
void schedule_bring(Controld *c, const TaskType *type, const char *worker_id,
                    struct json_object *options);
/* It has registered, with just the types that have this registration number. */
void schedule_brought(Controld *c, const char *worker_id, uint64_t registration);
/* Whether a subworker that is known brings it. */
bool schedule_is_brought(const Controld *c, const Schedule *s);
/* `by`, which an administrator adds, takes the place of one that a type brings, and remembers it. -ENOMEM */
int schedule_put_below(Schedule *by, const Schedule *s);
/* Removes those that nobody brings any more. Called about once a second. */
void schedule_care(Controld *c);
/* Another one takes its place, and goes on where it is. Takes it over. */
void schedule_succeed(Controld *c, Schedule *s, Schedule *successor);

/* Frees all; before the ledger is. */
void schedules_done(Controld *c);
