/* SPDX-License-Identifier: MIT */

/* What a schedule does at a given moment: run, pass over, wait, or end. */

#include "schedule-spec.h"
#include "time-util.h"

int schedule_next(const ScheduleSpec *s, const ScheduleState *state, uint64_t after_usec,
                  uint64_t *ret_usec) {
        uint64_t due;
        int r;

        if (s->interval_usec == 0) {
                r = cron_next(&s->cron, s->zone, MAX(after_usec, state->added_usec), &due);
                if (r < 0)
                        return r;
        } else if (after_usec < state->added_usec)
                due = state->added_usec;
        else if (__builtin_add_overflow(after_usec,
                                        s->interval_usec -
                                                (after_usec - state->added_usec) % s->interval_usec,
                                        &due))
                return -ENOENT;
        if (due > s->until_usec)
                return -ENOENT;
        *ret_usec = due;
        return 0;
}

/* The first due time that the state knows nothing of. */
static int first_open(const ScheduleSpec *s, const ScheduleState *state, uint64_t *ret) {
        uint64_t after = state->last_due_usec;

        if (s->count > 0 && state->n_runs >= s->count)
                return -ENOENT;
        if (after == 0)
                /* An interval is due at the very moment it was added. */
                after = state->added_usec - (state->added_usec > 0 && s->interval_usec > 0);
        return schedule_next(s, state, after, ret);
}

/* The last due time up to `now`, of which `first` is one. Whether there is one after a moment up to now holds up to
 * that last one and not from it on, so it is found by halving: 50 steps for a year, however dense. */
static uint64_t last_due(const ScheduleSpec *s, const ScheduleState *state, uint64_t first,
                         uint64_t now) {
        uint64_t low = first, high = now, due;

        while (low < high) {
                uint64_t middle = low + (high - low) / 2;

                if (schedule_next(s, state, middle, &due) >= 0 && due <= now)
                        low = due;
                else
                        high = middle;
        }
        return low;
}

static ScheduleStep step_to(ScheduleAction action, const ScheduleState *state, uint64_t due,
                            uint64_t missed) {
        ScheduleStep step = {
                .action = action,
                .due_usec = due,
                .missed_usec = missed,
                .state = *state,
        };

        step.state.last_due_usec = due;
        step.state.n_runs += action == SCHEDULE_RUN;
        return step;
}

ScheduleStep schedule_step(const ScheduleSpec *s, const ScheduleState *state, uint64_t now_usec,
                           bool running) {
        uint64_t first, due, missed;

        if (first_open(s, state, &first) < 0)
                return (ScheduleStep){ .action = SCHEDULE_END, .state = *state };
        if (first > now_usec)
                return (ScheduleStep){ .action = SCHEDULE_WAIT,
                                       .next_usec = first,
                                       .state = *state };

        due = s->catch_up == CATCH_UP_ALL ? first : last_due(s, state, first, now_usec);
        missed = due > first ? first : 0;
        if (s->catch_up == CATCH_UP_SKIP && now_usec - due > SCHEDULE_GRACE_USEC)
                return step_to(SCHEDULE_DROP, state, due, first);
        if (s->skip_if_running && running)
                return step_to(SCHEDULE_DROP, state, due, missed);
        return step_to(SCHEDULE_RUN, state, due, missed);
}
