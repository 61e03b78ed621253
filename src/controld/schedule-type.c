/* SPDX-License-Identifier: MIT */

/* Schedules that task types bring. Each exists once, however many subworkers offer the type; what the last of them said
 * that registered counts, as it has the newest version of the modules. One that an administrator added under the name of
 * a type goes before. It ends when there is nobody left who brings it, but somebody who could and does not: subworkers
 * that are away for a while change nothing. */

#include "json-util.h"
#include "log.h"
#include "parse-util.h"
#include "schedule-run.h"
#include "time-util.h"

static void ignore(const TaskType *type, const char *why) {
        log_event(LOG_WARNING, 0, LOG_FIELDS(.task_name = type->name),
                  "The schedule of task type %s cannot be used, ignoring it: %s", type->name,
                  why ?: "Out of memory");
}

/* *ret is NULL if there is none, or none that can be used (logged). -ENOMEM */
static int read_schedule(const TaskType *type, struct json_object *options, Schedule **ret) {
        _cleanup_json_ struct json_object *document = NULL;
        struct json_object *schedule = NULL;
        _cleanup_free_ char *error = NULL;
        int k;

        *ret = NULL;
        k = options ? json_get_object(options, "schedule", &schedule) : 0;
        if (k < 0)
                ignore(type, "\"schedule\" must be an object");
        if (k <= 0)
                return 0;
        document = schedule_document_of_type(type->name, options, schedule);
        if (!document)
                return -ENOMEM;
        k = schedule_new(document, ret, &error);
        if (k == -EINVAL)
                ignore(type, error);
        return k == -ENOMEM ? k : 0;
}

/* Returns whether it was none before. */
static bool note_bringer(Schedule *s, const char *worker_id) {
        s->is_disowned = false;
        if (strv_contains(s->bringers, worker_id))
                return false;
        if (strv_extend(&s->bringers, worker_id) < 0)
                log_oom();
        return true;
}

static void take_out(char **bringers, const char *worker_id) {
        size_t n = strv_length(bringers);

        for (size_t i = 0; i < n; i++)
                if (streq(bringers[i], worker_id)) {
                        free(bringers[i]);
                        bringers[i] = bringers[n - 1];
                        bringers[n - 1] = NULL;
                        break;
                }
}

/* It ends as it would in the table, but at once: nobody would see a difference. */
static void leave_below(Schedule *s, const char *worker_id) {
        if (!s->below || !strv_contains(s->below->bringers, worker_id))
                return;
        take_out(s->below->bringers, worker_id);
        if (strv_length(s->below->bringers) == 0)
                s->below = schedule_free(s->below);
}

static void drop_bringer(Controld *c, Schedule *s, const char *worker_id) {
        take_out(s->bringers, worker_id);
        s->is_disowned = c->schedules.has_disowned = true;
}

/* One that is not in the table, as an administrator added another under its name. */
static void bring_below(Schedule *s, const char *worker_id, Schedule *brought) {
        Schedule *old = s->below;

        if (!brought) {
                leave_below(s, worker_id);
                return;
        }
        if (old)
                brought->bringers = TAKE_PTR(old->bringers);
        brought->is_from_type = true;
        (void) note_bringer(brought, worker_id);
        s->below = brought;
        schedule_free(old);
}

static const char *document_of(const Schedule *s) {
        return s->successor ? s->successor->document : s->document;
}

static void replace(Controld *c, Schedule *s, Schedule *by) {
        if (!s->firing) {
                schedule_succeed(c, s, by);
                return;
        }
        schedule_free(s->successor);
        s->successor = by;
}

static void add(Controld *c, Schedule *s, const char *worker_id) {
        const TaskType *type = task_type_find(c->types, s->task_name, strlen(s->task_name));
        int r;

        s->is_from_type = true;
        s->now.state.added_usec = now_usec(CLOCK_REALTIME);
        (void) note_bringer(s, worker_id);
        r = schedule_add(c, s);
        if (r < 0)
                ignore(type, r == -ENOSPC ? "there are too many schedules already" : NULL);
}

void schedule_bring(Controld *c, const TaskType *type, const char *worker_id,
                    struct json_object *options) {
        Schedule *s = schedule_find(&c->schedules, type->name);
        _cleanup_(schedule_freep) Schedule *brought = NULL;

        if (read_schedule(type, options, &brought) < 0) {
                log_oom();
                return;
        }
        if (s && !s->is_from_type)
                bring_below(s, worker_id, TAKE_PTR(brought));
        else if (!brought) {
                if (s)
                        drop_bringer(c, s, worker_id);
        } else if (!s)
                add(c, TAKE_PTR(brought), worker_id);
        else {
                if (note_bringer(s, worker_id) && schedule_note_bringers(c, s) < 0)
                        log_oom();
                if (!streq(document_of(s), brought->document))
                        replace(c, s, TAKE_PTR(brought));
        }
}

void schedule_brought(Controld *c, const char *worker_id, uint64_t registration) {
        Schedule *s, *next;

        HASH_ITER(hh, c->schedules.by_name, s, next) {
                const TaskType *type;

                /* A type brings one by its own name. */
                type = task_type_find(c->types, s->name, strlen(s->name));
                if (type && type->registration == registration)
                        continue;
                leave_below(s, worker_id);
                if (strv_contains(s->bringers, worker_id))
                        drop_bringer(c, s, worker_id);
        }
}

int schedule_put_below(Schedule *by, const Schedule *s) {
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_free_ char *error = NULL;
        const char *document = document_of(s);
        int r;

        r = json_parse_object(document, strlen(document), &o, NULL);
        if (r >= 0)
                r = schedule_new(o, &by->below, &error);
        if (r < 0)
                return -ENOMEM; /* it was a good one before */
        by->below->is_from_type = true;
        STRV_FOREACH(id, s->bringers)
                (void) note_bringer(by->below, *id);
        return 0;
}

bool schedule_is_brought(const Controld *c, const Schedule *s) {
        STRV_FOREACH(id, s->bringers)
                if (worker_find(&c->workers, *id))
                        return true;
        return false;
}

/* Just after the start those that bring it may not have come yet. */
void schedule_care(Controld *c) {
        Schedule *s, *next;

        if (!c->schedules.has_disowned || c->grace_until_usec > 0 || c->stopping)
                return;
        c->schedules.has_disowned = false;
        HASH_ITER(hh, c->schedules.by_name, s, next) {
                if (!s->is_disowned)
                        continue;
                if (schedule_is_brought(c, s) || schedule_remove(c, s) < 0)
                        c->schedules.has_disowned = true; /* to be looked at again */
        }
}
