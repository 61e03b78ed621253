/* SPDX-License-Identifier: MIT */
#pragma once

/* What only few tasks have, so that the record of the others stays small: a time before which they wait, one after
 * which they are not begun any more, attempts that failed and were followed by another, other tasks that it is linked
 * with, and how far they are. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "progress-text.h"
#include "task.h"

typedef struct TaskProgress {
        unsigned percent; /* in hundredths */
        char text[PROGRESS_TEXT_MAX + 1];
} TaskProgress;

struct TaskExtra {
        uint64_t due_usec;     /* CLOCK_REALTIME: it waits until then; 0: it does not wait */
        uint64_t expires_usec; /* CLOCK_REALTIME: it is not begun after that; 0: never */
        uint64_t
                order; /* its place in the queue after it waited for its time; 0: by its sequence */
        size_t timer;  /* its place in the heap of timers, counted from 1; 0: it has none */
        uint32_t retries; /* attempts that failed and were followed by another */
        uint32_t history_size;
        char *history;        /* see task-history.h */
        uint32_t noted;       /* the last attempt in there; 0: not known */
        bool is_timed;        /* it is counted in TaskTable.n_timed */
        bool waits_for_tasks; /* it is scheduled until others have ended */
        struct Dependency
                *dependency; /* see dependency.h; NULL: nothing depends on it, nor it on anything */
        TaskProgress *progress; /* of the attempt that runs; NULL: it has said nothing */
        struct Strand
                *strand; /* where it waits, see lane.h; NULL: in the plain strand of its type */
        struct LaneKey **keys; /* those of the queue, with a strand */
};

/* Finds or makes; NULL when out of memory. */
TaskExtra *task_extra_get(Task *t);
/* For task_free(). */
void task_extra_done(Task *t);

/* -ENOMEM: nothing changed. */
int task_set_progress(Task *t, uint64_t percent, const char *text, size_t size);
/* NULL if there is none. */
const TaskProgress *task_progress(const Task *t);
void task_clear_progress(Task *t);

static inline uint64_t task_due(const Task *t) {
        return t->extra ? t->extra->due_usec : 0;
}
static inline uint64_t task_expires(const Task *t) {
        return t->extra ? t->extra->expires_usec : 0;
}
static inline uint32_t task_retries(const Task *t) {
        return t->extra ? t->extra->retries : 0;
}
/* For the end of other tasks. */
static inline bool task_waits_for_tasks(const Task *t) {
        return t->extra && t->extra->waits_for_tasks;
}
static inline bool task_waits_for_time(const Task *t) {
        return t->state == TASK_SCHEDULED || t->state == TASK_RETRYING;
}

/* CLOCK_REALTIME: since when it could be begun, but for who is to do so. */
static inline uint64_t task_waits_since(const Task *t) {
        return MAX(t->created_usec, task_due(t));
}

/* Its place in the queue, smaller is earlier. */
static inline uint64_t task_order(const Task *t) {
        return t->extra && t->extra->order > 0 ? t->extra->order : t->sequence;
}
