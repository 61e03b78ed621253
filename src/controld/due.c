/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdio.h>

#include "due.h"
#include "json-util.h"
#include "lease.h"
#include "log.h"
#include "task-history.h"
#include "time-util.h"

#define TURN_MAX 2000U /* tasks of one turn: less than some milliseconds */

int due_prepare(Controld *c, Task *t) {
        TaskExtra *extra = task_extra_get(t);
        int r;

        if (!extra)
                return -ENOMEM;
        if (extra->is_timed)
                return 0;
        r = timers_reserve(&c->timers, c->tasks.n_timed + 1);
        if (r < 0)
                return r;
        extra->is_timed = true;
        c->tasks.n_timed++;
        return 0;
}

/* How long it waited for its time does not count for its place, and finding one among older ones would take time. The
 * store need not know: with the time it has it comes to the same after a restart. */
static void enter_queue(Controld *c, Task *t) {
        task_set_state(&c->tasks, t, TASK_QUEUED);
        t->queued_monotonic_usec = now_usec(CLOCK_MONOTONIC);
        t->extra->order = queue_next_sequence(&c->queue);
        queue_push(&c->queue, t);
        timers_add(&c->timers, t);
}

static bool has_come(const Task *t) {
        return task_due(t) <= now_usec(CLOCK_REALTIME);
}

void due_returned(Controld *c, Task *t) {
        if (t->state == TASK_RETRYING && has_come(t)) {
                enter_queue(c, t);
                return;
        }
        t->queued_monotonic_usec = now_usec(CLOCK_MONOTONIC);
        if (t->state == TASK_QUEUED)
                queue_reinsert(&c->queue, t);
        timers_add(&c->timers, t);
}

void due_recovered(Controld *c, Task *t, TaskState state) {
        bool waits = (state == TASK_SCHEDULED || state == TASK_RETRYING) &&
                     (!has_come(t) || task_waits_for_tasks(t));

        task_restore_state(&c->tasks, t, waits ? state : TASK_QUEUED);
        if (!waits)
                queue_push(&c->queue, t);
        timers_add(&c->timers, t);
}

void due_forestall(Controld *c, Task *t) {
        timers_remove(&c->timers, t);
        dependency_drop_waits(t);
        task_set_state(&c->tasks, t, TASK_QUEUED);
}

/* Of one that was begun this says how that went, which nothing else would. */
static void expiry_text(const Task *t, char *ret, size_t size) {
        _cleanup_json_ struct json_object *last = task_history_last(t);
        const char *outcome = "", *error = "";
        uint64_t attempt = 0;

        if (!last) {
                (void) snprintf(ret, size, "%s",
                                t->attempt == 0 ? "expired: it was not begun in time"
                                                : "expired: it came back from a subworker, and was "
                                                  "not given to another one in time");
                return;
        }
        (void) json_get_uint(last, "attempt", 0, UINT32_MAX, &attempt);
        (void) json_get_string(last, "outcome", &outcome);
        (void) json_get_string(last, "error", &error);
        (void) snprintf(ret, size,
                        "expired before its next attempt; attempt %" PRIu64 " ended as %s%s%s",
                        attempt, outcome, isempty(error) ? "" : ": ", error);
}

int due_expire(Controld *c, Task *t) {
        char text[TASK_HISTORY_ERROR_MAX + 200];
        TaskEnd end = { .state = TASK_EXPIRED };

        expiry_text(t, text, sizeof(text));
        end.error = (struct iovec){ text, strlen(text) };
        return lease_end_quietly(c, t, &end);
}

static int expire(Controld *c, Task *t, uint64_t now) {
        if (due_expire(c, t) >= 0)
                return 0;
        t->extra->expires_usec = now + USEC_PER_SEC;
        timers_add(&c->timers, t);
        return log_oom();
}

void due_run(Controld *c) {
        uint64_t now = now_usec(CLOCK_REALTIME);
        unsigned n = 0;
        Task *t;

        while (n++ < TURN_MAX && (t = timers_due(&c->timers, now))) {
                if (task_expires(t) > 0 && task_expires(t) <= now) {
                        if (expire(c, t, now) < 0)
                                break;
                } else
                        enter_queue(c, t);
        }
}

static int on_due(sd_event_source *s, uint64_t usec, void *userdata) {
        due_run(userdata);
        return 0;
}

int due_open(Controld *c) {
        return timers_init(&c->timers, c->event, on_due, c);
}

void due_arm(Controld *c) {
        int r;

        r = timers_arm(&c->timers);
        if (r < 0)
                log_warning_errno(r,
                                  "Could not arm the timer of scheduled tasks, trying again: %m");
}
