/* SPDX-License-Identifier: MIT */

/* Where tasks wait, whom to wake for them (scale-plan.c decides), and what is told about it.
 *
 * Waking is a connection that is closed at once. It may get lost: the worker of before, on its way out, may accept it
 * in its last moment. So it is repeated with each tick until the instance has registered, which does no harm, as a
 * running worker takes such connections and forgets them. After that nobody connects any more, so that nothing waits
 * in the socket when the worker leaves, and it is not started again in vain. */

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "controld.h"
#include "dispatch.h"
#include "json-util.h"
#include "log.h"
#include "message-ids.h"
#include "parse-util.h"
#include "scale-plan.h"
#include "scale.h"
#include "time-util.h"

#define UNIT        "fastworker-subworker@" /* as shipped: what the messages call an instance */
#define DEMANDS_MAX 64U                     /* types that are looked at in one tick */
#define SCHEME      "ipc://"

struct Scale {
        Controld *controld;
        ScalePlan plan;
        char host[HOST_NAME_MAX + 1];
        uint64_t not_before_usec; /* CLOCK_MONOTONIC */
        bool told_absent, told_unreachable;
};

/* Why somebody is woken. */
typedef struct Reason {
        const TaskType *type; /* NULL: one that is not known yet */
        uint64_t wait_usec;   /* 0: nobody offers it */
} Reason;

typedef struct Demands {
        ScaleDemand demands[DEMANDS_MAX];
        Reason reasons[DEMANDS_MAX];
        size_t n;
        uint64_t n_tasks;
} Demands;

/* --- messages ------------------------------------------------------------------------------------- */

static void log_woken(const Instance *i, const Reason *why) {
        if (!why->type)
                log_event(LOG_INFO, 0, LOG_FIELDS(.message_id = MESSAGE_INSTANCE_WOKEN),
                          "Woke " UNIT
                          "%u to learn what it offers: a task was submitted that nobody has "
                          "offered yet.",
                          i->number);
        else if (why->wait_usec == 0)
                log_event(LOG_INFO, 0,
                          LOG_FIELDS(.message_id = MESSAGE_INSTANCE_WOKEN,
                                     .task_name = why->type->name),
                          "Woke " UNIT
                          "%u: tasks \"%s\" wait, and no active subworker offers them.",
                          i->number, why->type->name);
        else
                log_event(LOG_INFO, 0,
                          LOG_FIELDS(.message_id = MESSAGE_INSTANCE_WOKEN,
                                     .task_name = why->type->name),
                          "Woke " UNIT "%u: tasks \"%s\" have waited for %" PRIu64 ".%" PRIu64
                          " s.",
                          i->number, why->type->name, why->wait_usec / USEC_PER_SEC,
                          why->wait_usec % USEC_PER_SEC / (100 * USEC_PER_MSEC));
}

/* Each kind of failure is told once, with the first instance that it concerns. That there are fewer sockets than
 * MaxInstances= is no mistake. */
static void log_unreachable(Scale *s, const Instance *i, const char *path, int error) {
        bool is_absent = error == ENOENT || error == ENOTDIR;
        bool *told = is_absent ? &s->told_absent : &s->told_unreachable;
        int level = *told ? LOG_DEBUG : is_absent ? LOG_NOTICE : LOG_WARNING;

        *told = true;
        log_event(level, error, LOG_FIELDS(.message_id = MESSAGE_INSTANCE_UNREACHABLE),
                  is_absent ? "Cannot wake " UNIT
                              "%u, passing over it and others without a socket: %s: %m. To have "
                              "it, \"systemctl enable --now " UNIT
                              "%u.socket\"; else lower MaxInstances=."
                            : "Cannot wake " UNIT
                              "%u, trying again later: %s: %m. See \"systemctl status " UNIT
                              "%u.socket\".",
                  i->number, path, i->number);
}

static void log_overdue(const Scale *s, const Instance *i) {
        log_event(i->n_useless > 1 ? LOG_DEBUG : LOG_WARNING, 0,
                  LOG_FIELDS(.message_id = MESSAGE_INSTANCE_FAILED),
                  UNIT "%u was woken, but has not registered within %" PRIu64
                       " s (WakeTimeoutSec=). See \"systemctl status " UNIT "%u.service\".",
                  i->number, s->plan.wake_timeout_usec / USEC_PER_SEC, i->number);
}

/* --- waking --------------------------------------------------------------------------------------- */

static int knock(const Scale *s, const Instance *i, char **ret_address) {
        char *address = settings_wake_address(s->controld->settings->wake_socket, i->number);

        if (!address)
                return -ENOMEM;
        *ret_address = address;
        return scale_knock(address + strlen(SCHEME));
}

/* Wakes one that may offer the type; false when there is none left. */
static bool wake_one(Scale *s, const TaskType *type, const Reason *why, uint64_t now) {
        Instance *i;

        while ((i = scale_plan_choose(&s->plan, type))) {
                _cleanup_free_ char *address = NULL;
                int r = knock(s, i, &address);

                if (r >= 0) {
                        instance_woken(&s->plan, i, now);
                        log_woken(i, why);
                        return true;
                }
                instance_unreachable(&s->plan, i, -r, now);
                log_unreachable(s, i, address ? address + strlen(SCHEME) : "", -r);
        }
        return false;
}

/* One for each type in turn, but no more for any than it has tasks. */
static void wake_some(Scale *s, const Demands *d, uint64_t now) {
        size_t wave = scale_plan_wave(&s->plan, d->n_tasks), n = 0;
        bool goes_on = wave > 0;

        for (uint64_t round = 0; goes_on && n < wave; round++) {
                goes_on = false;
                for (size_t k = 0; k < d->n && n < wave; k++) {
                        if (round >= d->demands[k].n_tasks ||
                            !wake_one(s, d->demands[k].type, &d->reasons[k], now))
                                continue;
                        goes_on = true;
                        n++;
                }
        }
        if (n > 0)
                scale_plan_end_wave(&s->plan, n);
}

/* As if it were the only type. */
static void wake_for(Scale *s, const TaskType *type, uint64_t n_tasks) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        Demands d = { .n = 1, .n_tasks = n_tasks };

        d.demands[0] = (ScaleDemand){ type, n_tasks };
        d.reasons[0] = (Reason){ .type = type };
        if (now >= s->not_before_usec && !s->controld->stopping)
                wake_some(s, &d, now);
}

bool scale_want(Scale *s, TaskType *type) {
        if (!s || s->plan.n == 0)
                return false;
        if (type->scale_generation == s->plan.generation)
                return type->scale_helps;
        if (scale_plan_may_help(&s->plan, type))
                wake_for(s, type, type->n_queued);
        type->scale_helps = scale_plan_may_help(&s->plan, type);
        type->scale_generation = s->plan.generation;
        return type->scale_helps;
}

bool scale_seek(Scale *s) {
        if (!s || !scale_plan_may_help(&s->plan, NULL))
                return false;
        wake_for(s, NULL, UINT64_MAX);
        return scale_plan_may_help(&s->plan, NULL);
}

/* --- the tick ------------------------------------------------------------------------------------- */

static bool has(const Demands *d, const TaskType *type) {
        for (size_t i = 0; i < d->n; i++)
                if (d->demands[i].type == type)
                        return true;
        return false;
}

static void add_demand(Scale *s, Demands *d, const Lane *lane, const Task *oldest, uint64_t now) {
        TaskType *type = lane->type;
        uint64_t wait = now - MIN(now, oldest->queued_monotonic_usec);
        bool offered = dispatch_is_offered(type);
        uint64_t unused;

        /* Others would wait for the same. */
        if (dispatch_limit(type, now, &unused) != DISPATCH_FREE ||
            (offered && !dispatch_lane_is_offered(lane)))
                return;
        if ((offered && wait < s->controld->settings->wake_after_usec) || has(d, type) ||
            !scale_plan_may_help(&s->plan, type))
                return;
        d->demands[d->n] = (ScaleDemand){ type, type->n_queued };
        d->reasons[d->n] = (Reason){ type, offered ? MAX(wait, UINT64_C(1)) : 0 };
        d->n_tasks += type->n_queued;
        d->n++;
}

/* What waits has found no free slot at the end of the last turn. */
static void find_demands(Scale *s, Demands *d, uint64_t now) {
        Queue *q = &s->controld->queue;
        Lane *lane;

        d->n = 0;
        d->n_tasks = 0;
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++) {
                if (q->is_paused[p])
                        continue;
                TAILQ_FOREACH(lane, &q->lanes[p], ready[p]) {
                        if (d->n == DEMANDS_MAX)
                                return;
                        add_demand(s, d, lane, lane_first(lane, p), now);
                }
        }
}

static void knock_again(Scale *s) {
        for (size_t k = 0; k < s->plan.n && s->plan.n_in_state[INSTANCE_WAKING] > 0; k++) {
                _cleanup_free_ char *address = NULL;
                Instance *i = &s->plan.instances[k];
                int r;

                if (i->state != INSTANCE_WAKING)
                        continue;
                r = knock(s, i, &address);
                if (r < 0)
                        log_debug_errno(r, "Cannot wake " UNIT "%u again: %m", i->number);
        }
}

int scale_care(Scale *s) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        Instance *overdue;
        Demands d; /* large: not cleared */

        if (!s || s->plan.n == 0 || s->controld->stopping)
                return 0;
        while ((overdue = scale_plan_pass(&s->plan, now)))
                log_overdue(s, overdue);
        knock_again(s);
        if (now < s->not_before_usec)
                return 0;

        find_demands(s, &d, now);
        if (d.n > 0)
                wake_some(s, &d, now);
        else if (s->controld->held.n == 0)
                scale_plan_end_wave(&s->plan, 0);

        /* Those whose last hope is gone are refused. */
        if (s->controld->held.n > 0 && !scale_seek(s) && now >= s->controld->grace_until_usec)
                return held_replay(&s->controld->held);
        return 0;
}

/* --- workers -------------------------------------------------------------------------------------- */

/* The same path is another socket on another host. A name may have changed since somebody started; who came over a
 * unix socket is here whatever its name. */
static bool is_here(const Scale *s, const Worker *w) {
        return (w->peer && !endpoint_is_tcp(w->peer->endpoint)) ||
               (w->host && streq(w->host, s->host));
}

static Instance *instance_of(const Scale *s, const Worker *w) {
        const char *pattern = s->controld->settings->wake_socket, *place = strstr(pattern, "%i"),
                   *path;
        size_t before = (size_t) (place - pattern), after = strlen(place + strlen("%i")), n;
        _cleanup_free_ char *number = NULL;
        uint64_t value;

        if (w->local || !w->address || strncmp(w->address, SCHEME, strlen(SCHEME)) != 0)
                return NULL;
        path = w->address + strlen(SCHEME);
        n = strlen(path);
        if (n <= before + after || strncmp(path, pattern, before) != 0 ||
            !streq(path + n - after, place + strlen("%i")) || !is_here(s, w))
                return NULL;
        number = strndup(path + before, n - before - after);
        if (!number || parse_uint(number, 1, s->plan.n, &value) < 0)
                return NULL;
        return &s->plan.instances[value - 1];
}

bool scale_wakes(const Scale *s, const Worker *w) {
        return s && s->plan.n > 0 && instance_of(s, w);
}

static void forget_worker(Scale *s, const Worker *w, const Instance *except) {
        for (size_t k = 0; k < s->plan.n; k++) {
                Instance *i = &s->plan.instances[k];

                if (i->worker == w && i != except)
                        instance_gone(&s->plan, i, w->n_done, now_usec(CLOCK_MONOTONIC));
        }
}

void scale_registered(Scale *s, Worker *w) {
        Instance *i;

        if (!s || s->plan.n == 0)
                return;
        i = instance_of(s, w);
        forget_worker(s, w, i);
        if (i && instance_registered(&s->plan, i, w, now_usec(CLOCK_MONOTONIC)) < 0)
                log_oom();
}

void scale_gone(Scale *s, const Worker *w) {
        if (s)
                forget_worker(s, w, NULL);
}

/* --- life ----------------------------------------------------------------------------------------- */

void scale_start(Scale *s) {
        if (s)
                s->not_before_usec =
                        now_usec(CLOCK_MONOTONIC) + s->controld->settings->reconnect_usec;
}

void scale_reload(Scale *s) {
        const Settings *settings = s ? s->controld->settings : NULL;
        Worker *w, *next;
        ScalePlan fresh;

        if (!s)
                return;
        if (scale_plan_init(&fresh, settings->max_instances, settings->wake_timeout_usec) < 0) {
                log_oom();
                return;
        }
        /* So that what types remember of the old one does not fit any more. */
        fresh.generation = s->plan.generation + 1;
        fresh.n_wakes = s->plan.n_wakes;
        fresh.n_failures = s->plan.n_failures;
        scale_plan_done(&s->plan);
        s->plan = fresh;
        s->told_absent = s->told_unreachable = false;
        HASH_ITER(hh, s->controld->workers.workers, w, next) {
                if (w->state == WORKER_ACTIVE || w->state == WORKER_DRAINING)
                        scale_registered(s, w);
        }
}

int scale_new(Controld *c, Scale **ret) {
        _cleanup_(scale_freep) Scale *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->controld = c;
        s->not_before_usec = USEC_INFINITY;
        if (gethostname(s->host, sizeof(s->host) - 1) < 0)
                return -errno;
        r = scale_plan_init(&s->plan, c->settings->max_instances, c->settings->wake_timeout_usec);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

Scale *scale_free(Scale *s) {
        if (s)
                scale_plan_done(&s->plan);
        free(s);
        return NULL;
}

/* --- what is told --------------------------------------------------------------------------------- */

const char *scale_describe(const Scale *s, char ret[static SCALE_TEXT_MAX]) {
        ret[0] = '\0';
        if (s && s->plan.n > 0)
                (void) snprintf(ret, SCALE_TEXT_MAX, " (%zu can be woken)",
                                s->plan.n_in_state[INSTANCE_ASLEEP] +
                                        s->plan.n_in_state[INSTANCE_RESTING]);
        return ret;
}

static int add_instance(struct json_object *array, const Instance *i) {
        struct json_object *o = json_object_new_object();

        if (!o || json_object_array_add(array, o) < 0) {
                json_object_put(o);
                return -ENOMEM;
        }
        if (json_add_uint(o, "instance", i->number) < 0 ||
            json_add_string(o, "state", instance_state_to_string(i->state)) < 0 ||
            json_add_string(o, "worker", i->worker ? i->worker->id : NULL) < 0 ||
            json_add_string(o, "error", i->error > 0 ? strerrordesc_np(i->error) : NULL) < 0)
                return -ENOMEM;
        return 0;
}

struct json_object *scale_to_json(const Scale *s) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        struct json_object *array = json_object_new_array();

        if (!o || json_add_uint(o, "max_instances", s ? s->plan.n : 0) < 0 ||
            json_add_uint(o, "wakes", s ? s->plan.n_wakes : 0) < 0 ||
            json_add_uint(o, "failures", s ? s->plan.n_failures : 0) < 0) {
                json_object_put(array);
                return NULL;
        }
        if (json_add(o, "instances", array) < 0)
                return NULL;
        for (size_t k = 0; s && k < s->plan.n; k++)
                if (add_instance(array, &s->plan.instances[k]) < 0)
                        return NULL;
        return TAKE_PTR(o);
}
