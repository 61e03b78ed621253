/* SPDX-License-Identifier: MIT */

/* The table of schedules, how one goes on, and how it is shown. What one is made of is schedule-document.c's. */

#include <assert.h>

#include "json-util.h"
#include "parse-util.h"
#include "schedule.h"
#include "time-util.h"

Schedule *schedule_free(Schedule *s) {
        if (!s)
                return NULL;
        assert(!s->firing);
        schedule_free(s->successor);
        schedule_free(s->below);
        (void) sd_event_source_disable_unref(s->timer);
        json_object_put(s->definition);
        free(s->arguments);
        free(s->options);
        strv_free(s->bringers);
        schedule_spec_done(&s->spec);
        free(s);
        return NULL;
}

Schedule *schedule_find(const Schedules *t, const char *name) {
        Schedule *s;

        HASH_FIND_STR(t->by_name, name, s);
        return s;
}

int schedule_insert(Schedules *t, Schedule *s) {
        if (schedule_find(t, s->name))
                return -EEXIST;
        if (HASH_COUNT(t->by_name) >= SCHEDULES_MAX)
                return -ENOSPC;
        HASH_ADD_KEYPTR(hh, t->by_name, s->name, strlen(s->name), s);
        return s->hh.tbl ? 0 : -ENOMEM;
}

void schedule_take(Schedules *t, Schedule *s) {
        HASH_DEL(t->by_name, s);
}

static int by_name(const Schedule *a, const Schedule *b) {
        return strcmp(a->name, b->name);
}

void schedules_sort(Schedules *t) {
        HASH_SRT(hh, t->by_name, by_name);
}

/* --- going on --------------------------------------------------------------------------------- */

static bool same_rule(const ScheduleSpec *a, const ScheduleSpec *b) {
        return a->interval_usec == b->interval_usec &&
               memcmp(&a->cron, &b->cron, sizeof(a->cron)) == 0 &&
               streq(time_zone_name(a->zone), time_zone_name(b->zone));
}

/* An interval goes on from where the last one began; what a cron expression would have had before now is not missed. */
ScheduleProgress schedule_carry_over(const Schedule *from, const ScheduleProgress *progress,
                                     const Schedule *to, uint64_t now_usec) {
        ScheduleProgress p = *progress;

        if (same_rule(&from->spec, &to->spec))
                return p;
        if (to->spec.interval_usec == 0)
                p.state.added_usec = now_usec;
        else if (p.state.last_due_usec > 0)
                p.state.added_usec = p.state.last_due_usec;
        return p;
}

static void note_passed(ScheduleTurn *t, const ScheduleStep *step) {
        if (step->action == SCHEDULE_DROP)
                t->dropped_usec = step->due_usec;
        if (step->missed_usec == 0)
                return;
        if (t->missed_usec == 0)
                t->missed_usec = step->missed_usec;
        t->last_missed_usec = step->due_usec;
}

void schedule_turn(const Schedule *s, uint64_t now_usec, bool running, uint64_t n_max,
                   ScheduleTurn *ret) {
        *ret = (ScheduleTurn){ .progress = s->now, .next_usec = USEC_INFINITY };

        n_max = MIN(n_max, (uint64_t) ELEMENTSOF(ret->due_usec));
        while (ret->n_due < n_max) {
                ScheduleStep step =
                        schedule_step(&s->spec, &ret->progress.state, now_usec, running);

                if (step.action == SCHEDULE_END) {
                        ret->has_ended = true;
                        return;
                }
                if (step.action == SCHEDULE_WAIT) {
                        ret->next_usec = step.next_usec;
                        return;
                }
                note_passed(ret, &step);
                if (step.action == SCHEDULE_RUN) {
                        ret->due_usec[ret->n_due++] = step.due_usec;
                        running = true;
                }
                ret->progress.state = step.state;
                ret->has_moved = true;
        }
        ret->next_usec = 0;
}

bool schedule_has_ended(const Schedule *s) {
        return schedule_step(&s->spec, &s->now.state, 0, false).action == SCHEDULE_END;
}

/* --- showing ---------------------------------------------------------------------------------- */

static int add_next(struct json_object *array, uint64_t usec) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        struct json_object *time = NULL;

        if (!o || json_add_time(o, "time", usec) < 0)
                return -ENOMEM;
        (void) json_object_object_get_ex(o, "time", &time);
        return json_object_array_add(array, json_object_get(time)) < 0 ? -ENOMEM : 0;
}

struct json_object *schedule_next_to_json(const Schedule *s, uint64_t after_usec, uint64_t n) {
        _cleanup_json_ struct json_object *array = json_object_new_array();
        const ScheduleState *state = &s->now.state;
        uint64_t at = MAX(after_usec, state->last_due_usec);

        /* A first time at the very moment it was added is not behind that. */
        if (state->last_due_usec == 0 && at > 0 && at == state->added_usec)
                at--;
        if (s->spec.count > 0)
                n = MIN(n, s->spec.count - MIN(state->n_runs, s->spec.count));
        if (!array)
                return NULL;
        for (uint64_t i = 0; i < n && schedule_next(&s->spec, state, at, &at) >= 0; i++)
                if (add_next(array, at) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

static const char *state_of(const Schedule *s) {
        return schedule_has_ended(s) ? "ended" : s->is_paused ? "paused" : "active";
}

static int add_progress(struct json_object *o, const Schedule *s) {
        const ScheduleProgress *p = &s->now;
        char id[TASK_ID_TEXT_LENGTH + 1] = "";

        if (p->has_last)
                task_id_to_text(&p->last_id, id);
        if (json_add_time(o, "added_at", p->state.added_usec) < 0 ||
            json_add_time(o, "last_due_at", p->state.last_due_usec) < 0 ||
            json_add_string(o, "last_task_id", p->has_last ? id : NULL) < 0)
                return -ENOMEM;
        return json_add_uint(o, "runs", p->state.n_runs);
}

/* What was not given is shown as what counts instead. */
static int add_spec(struct json_object *o, const Schedule *s) {
        const ScheduleSpec *spec = &s->spec;
        struct json_object *cron = NULL;
        int r;

        (void) json_object_object_get_ex(s->definition, "cron", &cron);
        r = json_add_string(o, "cron", cron ? json_object_get_string(cron) : NULL);
        if (r >= 0 && spec->interval_usec == 0)
                r = json_add_string(o, "interval", NULL);
        else if (r >= 0)
                r = json_add(o, "interval",
                             json_object_new_double((double) spec->interval_usec /
                                                    (double) USEC_PER_SEC));
        if (r >= 0)
                r = json_add_string(o, "timezone", time_zone_name(spec->zone));
        if (r >= 0)
                r = spec->count > 0 ? json_add_uint(o, "count", spec->count)
                                    : json_add_string(o, "count", NULL);
        if (r >= 0)
                r = json_add_time(o, "until",
                                  spec->until_usec == USEC_INFINITY ? 0 : spec->until_usec);
        if (r >= 0)
                r = json_add_bool(o, "skip_if_running", spec->skip_if_running);
        return r < 0 ? r : json_add_string(o, "catch_up", catch_up_to_string(spec->catch_up));
}

struct json_object *schedule_to_json(const Schedule *s, uint64_t now_usec, uint64_t n_next,
                                     bool running) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_string(o, "name", s->name) < 0 ||
            json_add_string(o, "task", s->task_name) < 0 ||
            json_add_string(o, "priority", task_priority_to_string(s->priority)) < 0 ||
            json_add_string(o, "source", s->is_from_type ? "type" : "added") < 0 ||
            json_add_string(o, "state", state_of(s)) < 0 ||
            json_add_bool(o, "paused", s->is_paused) < 0 || add_spec(o, s) < 0 ||
            add_progress(o, s) < 0 || json_add_bool(o, "running", running) < 0 ||
            json_add(o, "next", schedule_next_to_json(s, now_usec, n_next)) < 0)
                return NULL;
        return TAKE_PTR(o);
}
