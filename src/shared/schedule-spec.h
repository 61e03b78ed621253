/* SPDX-License-Identifier: MIT */
#pragma once

/* When a periodic task is due: every so often, or as a cron expression says. Pure: the caller brings the clock, keeps
 * the state in the store, and submits the tasks.
 *
 * An interval comes for the first time at once, when the schedule is added, and then each interval after the time it
 * was *due* before, so that it does not drift with the load. A cron expression comes first at its first time after the
 * schedule was added. Due times are fixed by the schedule and its state alone: whoever computes them again after a
 * crash gets the same ones.
 *
 * "Missed" is a due time that a later one has overtaken, or that is more than SCHEDULE_GRACE_USEC past: nobody was there
 * (coordinator down, machine asleep, schedule paused). What becomes of the missed ones is the catch-up policy's:
 *   skip  none of them is run;
 *   one   the last of them is run, at once, however many there were;
 *   all   each of them is run, oldest first.
 *
 * With skip_if_running a time that comes while the task of an earlier one has not ended is dropped. Dropped and missed
 * times do not count towards the repeat count. The end (`until`) is inclusive, and goes by due time: what was due
 * before the end may be caught up after it.
 *
 * Once only: step with schedule_step(), and commit the task it asks for together with the new state, with the
 * id and key that schedule_firing() derives from the schedule's name and the due time. A crash in between loses both
 * or neither; and should the same firing be submitted twice all the same, the second is answered with the
 * first one's task. */

#include "cron.h"
#include "string-table.h"
#include "task-id.h"
#include "time-zone.h"

#define SCHEDULE_NAME_MAX     100U
#define SCHEDULE_GRACE_USEC   UINT64_C(60000000)
#define SCHEDULE_INTERVAL_MIN UINT64_C(100000)          /* 100 ms */
#define SCHEDULE_INTERVAL_MAX UINT64_C(315360000000000) /* ten years of 365 days */
#define SCHEDULE_KEY_SIZE     160U

typedef enum CatchUp {
        CATCH_UP_SKIP,
        CATCH_UP_ONE,
        CATCH_UP_ALL,
        _CATCH_UP_MAX,
} CatchUp;
DECLARE_STRING_TABLE(catch_up, CatchUp);

typedef struct ScheduleSpec {
        uint64_t interval_usec; /* 0: by the cron expression */
        Cron cron;
        TimeZone *zone; /* owned */
        uint64_t count; /* so many runs, then it ends; 0: without end */
        uint64_t
                until_usec; /* the last moment at which it may be due; USEC_INFINITY: without end */
        bool skip_if_running;
        CatchUp catch_up;
} ScheduleSpec;

/* As users write them; NULL where nothing was given. */
typedef struct ScheduleText {
        const char *cron, *interval; /* exactly one of them; the interval as parse_usec() has it */
        const char *timezone;        /* default: the system's own */
        const char *count;           /* a number from 1 on */
        const char *until;           /* as time_zone_parse() has it, in the zone of the schedule */
        const char *skip_if_running; /* yes or no; default yes, but no when catching up on all */
        const char *catch_up;        /* skip, one, all; default skip */
} ScheduleText;

/* Which text an error is about, so that the caller can name its own key or flag. */
typedef enum ScheduleField {
        SCHEDULE_FIELD_RULE, /* cron and interval */
        SCHEDULE_FIELD_TIMEZONE,
        SCHEDULE_FIELD_COUNT,
        SCHEDULE_FIELD_UNTIL,
        SCHEDULE_FIELD_SKIP_IF_RUNNING,
        SCHEDULE_FIELD_CATCH_UP,
} ScheduleField;

/* Returns 0, -ENOMEM, or -EINVAL with the field and a line that says what would be right (a fresh string, or NULL when
 * out of memory). Free the spec with schedule_spec_done(). */
int schedule_spec_parse(const ScheduleText *text, ScheduleSpec *ret, ScheduleField *ret_field,
                        char **ret_error);
void schedule_spec_done(ScheduleSpec *s);

/* What is kept of a schedule from one time to the next. Fill in `added_usec`, leave the rest zero. */
typedef struct ScheduleState {
        uint64_t added_usec;
        uint64_t last_due_usec; /* of the last time that was run, dropped or missed; 0: none yet */
        uint64_t n_runs;
} ScheduleState;

typedef enum ScheduleAction {
        SCHEDULE_WAIT, /* nothing is due before next_usec */
        SCHEDULE_RUN,  /* submit the firing of due_usec, keep the state, step again */
        SCHEDULE_DROP, /* pass over everything up to due_usec: say so, keep the state, step again */
        SCHEDULE_END,  /* it never comes again */
} ScheduleAction;

typedef struct ScheduleStep {
        ScheduleAction action;
        uint64_t due_usec; /* RUN, DROP: as above */
        uint64_t
                missed_usec; /* RUN, DROP: the first of the times before due_usec (DROP: and of it) that are passed
                               * over as missed; 0: none */
        uint64_t next_usec;  /* WAIT: when to step again */
        ScheduleState state; /* the new one; the old one for WAIT and END */
} ScheduleStep;

/* What to do at `now_usec` (CLOCK_REALTIME). `running`: a task of an earlier time has not ended yet, also one that is
 * still queued. Each step with RUN or DROP moves the state to a later due time. A clock that was set back makes it
 * wait until the clock is past the last due time again. */
ScheduleStep schedule_step(const ScheduleSpec *s, const ScheduleState *state, uint64_t now_usec,
                           bool running);

/* The first time after `after_usec` without regard to what has run, for "schedule next": 0, or -ENOENT when there is
 * none. */
int schedule_next(const ScheduleSpec *s, const ScheduleState *state, uint64_t after_usec,
                  uint64_t *ret_usec);

/* The identity of one firing: the same for the same name and due time, for any other not the same. The id is a UUID
 * of version 8 that starts with the due time as those of version 7 do; the key is "schedule:NAME@USEC". `origin` keeps
 * coordinators apart that have schedules of the same name; the name has at most SCHEDULE_NAME_MAX bytes. */
void schedule_firing(const char *origin, const char *name, uint64_t due_usec, TaskId *ret_id,
                     char ret_key[static SCHEDULE_KEY_SIZE]);
