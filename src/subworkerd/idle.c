/* SPDX-License-Identifier: MIT */

/* A worker that its coordinator can start again leaves when it has had nothing to do for IdleTimeout=. Others stay,
 * whatever the setting: they would be missing until somebody starts them by hand. */

#include "subworkerd.h"
#include "time-util.h"

/* Without a task, also without one whose end is not acknowledged. */
static bool is_idle(const Subworkerd *s) {
        return s->drain == DRAIN_NONE && s->ready && !s->reloading &&
               s->settings->idle_timeout_usec != USEC_INFINITY && link_is_on_demand(s->link) &&
               job_table_count(s->jobs) == 0;
}

static void arm(Subworkerd *s) {
        uint64_t due = s->idle_since_usec + s->settings->idle_timeout_usec;

        if (due >= s->idle_due_usec)
                return;
        s->idle_due_usec = due;
        (void) sd_event_source_set_time(s->idle_timer, due);
        (void) sd_event_source_set_enabled(s->idle_timer, SD_EVENT_ONESHOT);
}

void idle_review(Subworkerd *s) {
        if (!is_idle(s)) {
                s->idle_since_usec = 0;
                return;
        }
        if (s->idle_since_usec == 0 || s->idle_n_done != s->n_done)
                s->idle_since_usec = now_usec(CLOCK_MONOTONIC);
        s->idle_n_done = s->n_done;
        arm(s);
}

/* It is set once, and looks then how long it has really been: tasks do not move it. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Subworkerd *s = userdata;

        s->idle_due_usec = USEC_INFINITY;
        idle_review(s);
        if (s->idle_since_usec == 0 ||
            now_usec(CLOCK_MONOTONIC) - s->idle_since_usec < s->settings->idle_timeout_usec)
                return 0;
        drain_idle(s);
        return 0;
}

int idle_init(Subworkerd *s) {
        int r;

        s->idle_due_usec = USEC_INFINITY;
        r = sd_event_add_time(s->event, &s->idle_timer, CLOCK_MONOTONIC, 0, USEC_PER_SEC / 4,
                              on_timer, s);
        return r < 0 ? r : sd_event_source_set_enabled(s->idle_timer, SD_EVENT_OFF);
}
