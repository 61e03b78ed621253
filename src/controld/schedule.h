/* SPDX-License-Identifier: MIT */
#pragma once

/* Periodic schedules: what they are, and how far each of them is. When they are due is ../shared/schedule-spec.h; here
 * is no I/O and no clock.
 *
 * A schedule is defined by a document, which is what is kept of it:
 *
 *     "name": TEXT                      1 to 100 characters of those of a task name
 *     "task": TEXT                      the type of the task
 *     "arguments": OBJECT               of the task; {"args":[],"kwargs":{}} unless given
 *     "options": OBJECT                 of the task, as of SUBMIT, but for those that make no sense here
 *     "priority": TEXT
 *     "cron": TEXT, "interval": SECONDS or a time span as text    one of them
 *     "timezone", "until": TEXT, "count": NUMBER, "skip_if_running": BOOL, "catch_up": TEXT    see schedule-spec.h */

#include <json-c/json.h>
#include <systemd/sd-event.h>

#include "hash.h"
#include "schedule-spec.h"
#include "task-state.h"

typedef struct LedgerEntry LedgerEntry;

#define SCHEDULES_MAX 10000U

/* How far it is. */
typedef struct ScheduleProgress {
        ScheduleState state;
        TaskId last_id; /* of the last task it made */
        bool has_last;
} ScheduleProgress;

typedef struct Schedule {
        UT_hash_handle hh;
        struct json_object *definition;          /* the document, with just these keys */
        const char *name, *task_name, *document; /* borrowed from it */
        char *arguments, *options;               /* as the task gets them */
        TaskPriority priority;
        ScheduleSpec spec;

        bool is_from_type; /* a task type brought it; else an administrator added it */
        bool is_paused;
        ScheduleProgress now;
        ScheduleProgress safe; /* while it is firing: where it goes back to if that is refused */
        LedgerEntry *firing;   /* what it did last, which is not safe yet; or NULL */
        struct Schedule
                *successor; /* while it is firing: what a task type says it is from now on */
        sd_event_source *timer;
        void *owner;                       /* whose event loop that is in */
        bool is_postponed, is_catching_up; /* it was said */

        /* One that a type brought: the ids of the subworkers that did, and whether one that offers the type did not. */
        char **bringers;
        bool is_disowned;
        struct Schedule *below; /* of one that was added: what a task type brings under the name */
} Schedule;

typedef struct Schedules {
        Schedule *by_name;
        bool has_disowned;
} Schedules;

/* Reads a document; the schedule is in no table and has no progress. -EINVAL with a line in *ret_error that says what
 * would be right (a fresh string, or NULL when out of memory), or -ENOMEM. */
int schedule_new(struct json_object *document, Schedule **ret, char **ret_error);
/* It must not stand in the table, and not be firing. Returns NULL. */
Schedule *schedule_free(Schedule *s);
DEFINE_CLEANUP_FUNC(Schedule *, schedule_free);

/* The document that the option "schedule" of a task type stands for, of whose options the priority counts as well: a
 * fresh object, or NULL when out of memory. */
struct json_object *schedule_document_of_type(const char *type, struct json_object *options,
                                              struct json_object *schedule);

Schedule *schedule_find(const Schedules *t, const char *name);
/* -ENOMEM; -ENOSPC at SCHEDULES_MAX; -EEXIST. */
int schedule_insert(Schedules *t, Schedule *s);
void schedule_take(Schedules *t, Schedule *s);
/* Brings the table, as it is gone through with HASH_ITER, into the order of the names. */
void schedules_sort(Schedules *t);

/* The progress of a schedule that is another one from `now_usec` on: it goes on counting, but by the new rule. */
ScheduleProgress schedule_carry_over(const Schedule *from, const ScheduleProgress *progress,
                                     const Schedule *to, uint64_t now_usec);

/* What it does at that time, until there is nothing more to do or it has made n_max tasks, or as many as one turn may
 * have. */
typedef struct ScheduleTurn {
        ScheduleProgress progress;
        uint64_t due_usec[100]; /* for each a task is to be made */
        size_t n_due;
        uint64_t dropped_usec; /* the last time that was dropped or passed over; 0: none */
        uint64_t missed_usec;  /* the first one that was missed; 0: none */
        uint64_t last_missed_usec;
        bool has_moved, has_ended;
        uint64_t next_usec; /* when to look again */
} ScheduleTurn;

/* `running`: the last task has not ended. n_max: at least 1. */
void schedule_turn(const Schedule *s, uint64_t now_usec, bool running, uint64_t n_max,
                   ScheduleTurn *ret);

/* As LIST gives it: "next" has so many times. `running` as above. NULL when out of memory. */
struct json_object *schedule_to_json(const Schedule *s, uint64_t now_usec, uint64_t n_next,
                                     bool running);
/* The next times it would be due after that time, RFC 3339. NULL when out of memory. */
struct json_object *schedule_next_to_json(const Schedule *s, uint64_t after_usec, uint64_t n);
/* Whether it will never be due again. */
bool schedule_has_ended(const Schedule *s);
