/* SPDX-License-Identifier: MIT */

#include "scale-plan.h"
#include "time-util.h"
#include "worker.h"

#define REST_MIN_USEC  USEC_PER_SEC
#define REST_MAX_USEC  (30 * USEC_PER_SEC)
#define RETRY_MIN_USEC (5 * USEC_PER_SEC)
#define RETRY_MAX_USEC USEC_PER_MINUTE

static const char *const instance_state_table[_INSTANCE_STATE_MAX] = {
        [INSTANCE_ASLEEP] = "asleep",   [INSTANCE_WAKING] = "waking",
        [INSTANCE_RUNNING] = "running", [INSTANCE_RESTING] = "resting",
        [INSTANCE_FAILED] = "failed",
};

DEFINE_STRING_TABLE(instance_state, InstanceState);

int scale_plan_init(ScalePlan *p, size_t n, uint64_t wake_timeout_usec) {
        *p = (ScalePlan){ .generation = 1, .wake_timeout_usec = wake_timeout_usec };
        p->instances = calloc(n + 1, sizeof(Instance));
        if (!p->instances)
                return -ENOMEM;
        p->n = n;
        p->n_in_state[INSTANCE_ASLEEP] = n;
        for (size_t i = 0; i < n; i++)
                p->instances[i].number = (unsigned) i + 1;
        return 0;
}

void scale_plan_done(ScalePlan *p) {
        for (size_t i = 0; i < p->n; i++)
                free(p->instances[i].types);
        free(p->instances);
        *p = (ScalePlan){};
}

/* --- who may help --------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b) {
        uintptr_t x = (uintptr_t) * (TaskType *const *) a, y = (uintptr_t) * (TaskType *const *) b;

        return (x > y) - (x < y);
}

/* One that has never registered may offer anything. */
static bool may_offer(const Instance *i, const TaskType *type) {
        if (!i->is_known)
                return true;
        return type && i->n_types > 0 &&
               bsearch(&type, i->types, i->n_types, sizeof(*i->types), by_address);
}

bool scale_plan_may_help(const ScalePlan *p, const TaskType *type) {
        for (size_t i = 0; i < p->n; i++) {
                const Instance *instance = &p->instances[i];

                if ((instance->state == INSTANCE_ASLEEP || instance->state == INSTANCE_WAKING) &&
                    may_offer(instance, type))
                        return true;
        }
        return false;
}

size_t scale_plan_wave(const ScalePlan *p, uint64_t n_tasks) {
        if (p->n_in_state[INSTANCE_WAKING] > 0)
                return 0;
        return (size_t) MIN((uint64_t) MAX(p->wave * 2, (size_t) 1), n_tasks);
}

Instance *scale_plan_choose(ScalePlan *p, const TaskType *type) {
        Instance *best = NULL;

        for (size_t i = 0; i < p->n; i++) {
                Instance *instance = &p->instances[i];

                if (instance->state != INSTANCE_ASLEEP || !may_offer(instance, type))
                        continue;
                if (!best || instance->n_useless < best->n_useless)
                        best = instance;
        }
        return best;
}

void scale_plan_end_wave(ScalePlan *p, size_t n) {
        p->wave = n;
}

/* --- what happens to an instance ------------------------------------------------------------------ */

static void set_state(ScalePlan *p, Instance *i, InstanceState state, uint64_t now) {
        p->n_in_state[i->state]--;
        p->n_in_state[state]++;
        p->generation++;
        i->state = state;
        i->since_usec = now;
        i->until_usec = USEC_INFINITY;
        i->worker = NULL;
        i->error = 0;
}

/* The more starts were in vain, the longer. */
static void pause_it(ScalePlan *p, Instance *i, InstanceState state, uint64_t now) {
        uint64_t pause = state == INSTANCE_RESTING ? REST_MIN_USEC : RETRY_MIN_USEC,
                 max = state == INSTANCE_RESTING ? REST_MAX_USEC : RETRY_MAX_USEC;

        for (unsigned n = i->n_useless; n > 0 && pause < max; n--)
                pause *= 2;
        i->n_useless++;
        set_state(p, i, state, now);
        i->until_usec = now + MIN(pause, max);
}

void instance_woken(ScalePlan *p, Instance *i, uint64_t now) {
        set_state(p, i, INSTANCE_WAKING, now);
        i->until_usec = now + p->wake_timeout_usec;
        p->n_wakes++;
}

void instance_unreachable(ScalePlan *p, Instance *i, int error, uint64_t now) {
        pause_it(p, i, INSTANCE_FAILED, now);
        i->error = error;
}

int instance_registered(ScalePlan *p, Instance *i, const Worker *w, uint64_t now) {
        TaskType **types = calloc(w->n_types + 1, sizeof(*types));

        set_state(p, i, INSTANCE_RUNNING, now);
        i->worker = w;
        i->is_known = types;
        free(i->types);
        i->types = types;
        i->n_types = 0;
        if (!types)
                return -ENOMEM;
        for (size_t k = 0; k < w->n_types; k++)
                types[i->n_types++] = w->types[k];
        qsort(types, i->n_types, sizeof(*types), by_address);
        return 0;
}

void instance_gone(ScalePlan *p, Instance *i, uint64_t n_done, uint64_t now) {
        if (n_done == 0) {
                pause_it(p, i, INSTANCE_RESTING, now);
                return;
        }
        set_state(p, i, INSTANCE_ASLEEP, now);
        i->n_useless = 0;
}

Instance *scale_plan_pass(ScalePlan *p, uint64_t now) {
        for (size_t k = 0; k < p->n; k++) {
                Instance *i = &p->instances[k];

                if (now < i->until_usec || i->state == INSTANCE_ASLEEP ||
                    i->state == INSTANCE_RUNNING)
                        continue;
                if (i->state == INSTANCE_WAKING) {
                        pause_it(p, i, INSTANCE_FAILED, now);
                        p->n_failures++;
                        return i;
                }
                set_state(p, i, INSTANCE_ASLEEP, now);
        }
        return NULL;
}
