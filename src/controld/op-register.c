/* SPDX-License-Identifier: MIT */

/* REGISTER: a subworker comes, or comes back and says what it still holds. */

#include "controld.h"
#include "due.h"
#include "json-util.h"
#include "lease.h"
#include "log.h"
#include "message-ids.h"
#include "ops.h"
#include "parse-util.h"
#include "pause.h"
#include "persist.h"
#include "schedule-run.h"
#include "time-util.h"
#include "worker-care.h"

#define DESCRIPTION_MAX 1024U /* bytes */

/* A task type as the worker names it; all borrowed from info; description and options may be NULL. */
typedef struct Offer {
        const char *name, *description;
        struct json_object *options;
} Offer;

typedef struct Registration {
        struct json_object *info;
        char *id;
        const char *address, *host; /* borrowed from info */
        uint64_t pid, slots, capacity;
        bool local;
        char **labels;
        Offer *offers;
        size_t n_offers, n_new; /* those that nobody offered before */
} Registration;

static void registration_done(Registration *g) {
        json_object_put(g->info);
        free(g->id);
        free(g->offers);
        strv_free(g->labels);
}

/* Returns 1, or refuses and returns 0. */
static int read_type(Controld *c, const Request *r, struct json_object *o, Registration *g) {
        const char *name = NULL, *description = NULL;
        struct json_object *options = NULL;
        struct iovec field;

        if (json_get_string(o, "name", &name) <= 0 ||
            json_get_string(o, "description", &description) < 0 ||
            json_get_object(o, "options", &options) < 0)
                return request_refuse(
                        r, WIRE_ERROR_BAD_ARGUMENT,
                        "each of \"types\" must be an object with \"name\", \"description\" and \"options\"");
        field = (struct iovec){ (char *) name, strlen(name) };
        if (!wire_field_is_valid(WIRE_KIND_NAME, &field))
                return request_refuse(
                        r, WIRE_ERROR_BAD_ARGUMENT,
                        "\"%.64s\" is no task name: 1 to 255 letters, digits or . _ : -", name);
        if (!task_type_find(c->types, name, strlen(name)))
                g->n_new++;
        g->offers[g->n_offers++] = (Offer){ name, description, options };
        return 1;
}

static int read_types(Controld *c, const Request *r, Registration *g) {
        struct json_object *array = NULL;
        size_t n;
        int k;

        if (json_get_array(g->info, "types", &array) < 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT, "\"types\" must be an array");
        n = array ? json_object_array_length(array) : 0;
        if (n > TASK_TYPES_MAX)
                return request_refuse(r, WIRE_ERROR_TOO_LARGE, "at most %u task types",
                                      TASK_TYPES_MAX);
        g->offers = calloc(n + 1, sizeof(Offer));
        if (!g->offers)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory");
        for (size_t i = 0; i < n; i++) {
                k = read_type(c, r, json_object_array_get_idx(array, i), g);
                if (k <= 0)
                        return k;
        }
        if (HASH_COUNT(c->types) + g->n_new > TASK_TYPES_MAX)
                return request_refuse(r, WIRE_ERROR_QUEUE_FULL, "there are %u task types already",
                                      TASK_TYPES_MAX);
        return 1;
}

static int read_registration(Controld *c, const Request *r, Registration *g) {
        const struct iovec *f = r->message.fields;
        const char *error = "out of memory";
        struct json_object *labels = NULL;

        g->id = wire_get_string(&f[0]);
        if (!g->id)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory");
        g->slots = wire_get_number(&f[1]);
        g->capacity = wire_get_number(&f[2]);
        if (g->slots < 1 || g->slots > WORKER_SLOTS_MAX)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT, "slots must be from 1 to %u",
                                      WORKER_SLOTS_MAX);
        if (json_parse_object(f[3].iov_base, f[3].iov_len, &g->info, &error) < 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "info must be one JSON object: %s", error);
        if (json_get_string(g->info, "address", &g->address) < 0 ||
            json_get_string(g->info, "host", &g->host) < 0 ||
            json_get_uint(g->info, "pid", 1, UINT32_MAX, &g->pid) < 0 ||
            json_get_bool(g->info, "local", &g->local) < 0)
                return request_refuse(
                        r, WIRE_ERROR_BAD_ARGUMENT,
                        "info: address and host are text, pid is a number, local true or false");
        if (json_get_array(g->info, "labels", &labels) < 0 || labels_read(labels, &g->labels) < 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "info: labels must be a list of at most 32 words of letters, "
                                      "digits and _ . : -");
        /* Only the child that we started is our local worker, whatever others say. */
        g->local = g->local && !endpoint_is_tcp(r->endpoint) && local_worker_is(c->local, g->pid);
        return read_types(c, r, g);
}

/* Whether the id may pass to this connection. The old one may be dead without our knowing yet. */
static bool may_take_over(Controld *c, const Worker *w, const Peer *p, const Registration *g) {
        if (!w->peer || w->peer == p || w->lost_usec > 0)
                return true;
        if (g->pid > 0 && g->pid == w->pid && g->host && w->host && streq(g->host, w->host))
                return true;
        wire_begin(&c->out, WIRE_PING, NULL);
        return peer_send(w->peer, &c->out) == -EHOSTUNREACH;
}

/* The length of a text that is cut at `max` bytes, but never within a character. */
static size_t cut(const char *text, size_t max) {
        size_t n = strnlen(text, max + 1);

        if (n <= max)
                return n;
        while (max > 0 && ((unsigned char) text[max] & 0xc0) == 0x80)
                max--;
        return max;
}

static int set_text(char **to, const char *text, size_t max) {
        char *copy = NULL;

        if (text) {
                copy = strndup(text, cut(text, max));
                if (!copy)
                        return -ENOMEM;
        }
        free(*to);
        *to = copy;
        return 0;
}

/* As the last worker says that registered: it has the newest version of the modules. */
static int set_retry(TaskType *type, const Offer *offer) {
        RetryPolicy policy = RETRY_POLICY_DEFAULT;
        const char *error = NULL;

        if (retry_policy_read(&policy, offer->options, &error) < 0)
                log_event(LOG_WARNING, 0, LOG_FIELDS(.task_name = type->name),
                          "In the options of task type %s %s, ignoring that.", type->name, error);
        return task_type_set_retry(type, offer->options ? &policy : NULL);
}

static void set_priority(TaskType *type, const Offer *offer) {
        const char *text = "";
        TaskPriority p;
        int r;

        r = offer->options ? json_get_string(offer->options, "priority", &text) : 0;
        p = r < 0 ? _PRIORITY_INVALID : task_priority_from_text(text, strlen(text));
        if (p < 0) {
                log_event(
                        LOG_WARNING, 0, LOG_FIELDS(.task_name = type->name),
                        "In the options of task type %s \"priority\" must be critical, high, normal "
                        "or low, ignoring that.",
                        type->name);
                p = PRIORITY_NORMAL;
        }
        type->priority = p;
}

/* Makes the types that are new, and gives each only once. */
static int get_types(Controld *c, const Registration *g, TaskType *ret[], size_t *ret_n) {
        uint64_t stamp = ++c->workers.n_registrations;
        size_t n = 0;
        int r;

        for (size_t i = 0; i < g->n_offers; i++) {
                TaskType *type;
                bool is_new;

                is_new = !task_type_find(c->types, g->offers[i].name, strlen(g->offers[i].name));
                r = task_type_get(&c->types, g->offers[i].name, &type);
                if (r < 0)
                        return r;
                if (is_new)
                        persist_type(c, type);
                if (type->registration == stamp)
                        continue;
                type->registration = stamp;
                if (!type->description) {
                        r = set_text(&type->description, g->offers[i].description, DESCRIPTION_MAX);
                        if (r < 0)
                                return r;
                }
                r = set_retry(type, &g->offers[i]);
                if (r < 0)
                        return r;
                set_priority(type, &g->offers[i]);
                schedule_bring(c, type, g->id, g->offers[i].options);
                type->is_local = type->is_local || g->local;
                ret[n++] = type;
        }
        schedule_brought(c, g->id, stamp);
        *ret_n = n;
        return 0;
}

static void clear_local_types(Controld *c) {
        TaskType *type, *next;

        HASH_ITER(hh, c->types, type, next)
                type->is_local = false;
}

/* A type that is offered twice has the terms of the last. */
static int set_terms(Controld *c, const Worker *w, const Registration *g) {
        for (size_t i = 0; i < g->n_offers; i++) {
                TaskType *type =
                        task_type_find(c->types, g->offers[i].name, strlen(g->offers[i].name));
                const char *error = NULL;
                TypeTerms terms;
                int r;

                r = type_terms_read(&terms, g->offers[i].options, &error);
                if (r == -EINVAL)
                        log_event(LOG_WARNING, 0, LOG_FIELDS(.task_name = type->name),
                                  "In the options of task type %s %s, ignoring that.", type->name,
                                  error);
                task_type_set_terms(type, w, &terms);
                r = r == -ENOMEM ? r : task_type_apply_terms(type, now_usec(CLOCK_MONOTONIC));
                if (r < 0)
                        return r;
                if (r > 0)
                        log_event(LOG_NOTICE, 0,
                                  LOG_FIELDS(.task_name = type->name, .worker_id = w->id),
                                  "Subworkers do not agree on the limits of task type %s; the "
                                  "strictest hold.",
                                  type->name);
        }
        return 0;
}

/* Those that it does not offer any more are limited by the others only. */
static void forget_terms(Controld *c, TaskType *const *before, size_t n_before) {
        for (size_t i = 0; i < n_before; i++)
                if (before[i]->registration != c->workers.n_registrations)
                        (void) task_type_apply_terms(before[i], now_usec(CLOCK_MONOTONIC));
}

static int apply(Controld *c, Worker *w, Registration *g) {
        _cleanup_free_ TaskType **types = calloc(g->n_offers + 1, sizeof(TaskType *)),
                                **before = calloc(w->n_types + 1, sizeof(TaskType *));
        size_t n = 0, n_before = w->n_types;
        int r;

        if (!types || !before)
                return -ENOMEM;
        if (n_before > 0)
                memcpy(before, w->types, n_before * sizeof(TaskType *));
        if (g->local)
                clear_local_types(c);
        r = get_types(c, g, types, &n);
        if (r < 0)
                return r;
        r = set_text(&w->address, g->address, WIRE_NAME_MAX);
        if (r < 0)
                return r;
        r = set_text(&w->host, g->host, WIRE_NAME_MAX);
        if (r < 0)
                return r;
        w->pid = g->pid;
        w->slots = (uint32_t) g->slots;
        w->capacity = (uint32_t) MIN(g->capacity, (uint64_t) WORKER_CAPACITY_MAX);
        w->local = g->local;
        w->lease_usec = c->settings->inactive_usec;
        strv_free(w->labels);
        w->labels = TAKE_PTR(g->labels);
        r = worker_set_types(w, types, n);
        if (r < 0)
                return r;
        forget_terms(c, before, n_before);
        return set_terms(c, w, g);
}

/* What was asked of the old connection may not have arrived. */
static void revoke_again(Controld *c, Worker *w) {
        Task *t;
        size_t n = 0;

        wire_begin(&c->out, WIRE_REVOKE, NULL);
        TAILQ_FOREACH(t, &w->leases, link) {
                if (!t->cancel_asked)
                        continue;
                wire_put_task_id(&c->out, &t->id);
                wire_put_number(&c->out, t->attempt);
                n++;
        }
        if (n > 0)
                (void) peer_send(w->peer, &c->out);
}

/* A lease that a coordinator before us gave in its last moment, too late for the store to learn of it. Nobody else
 * has been given the task since, so the worker may go on. An older one than the last that can have been given does
 * not count any more, as somebody may have that one. */
static bool may_claim(const Task *t, uint64_t attempt) {
        return (t->state == TASK_QUEUED || task_waits_for_time(t)) && !t->is_ending &&
               !task_waits_for_tasks(t) && t->may_be_held && attempt == t->attempt;
}

static Task *find_held(Controld *c, Worker *w, const TaskId *id, uint64_t attempt) {
        Task *t = task_find(&c->tasks, id);

        if (!t || !may_claim(t, attempt))
                return lease_find(c, w, id, attempt);
        if (t->state == TASK_QUEUED)
                queue_remove(&c->queue, t);
        else
                due_forestall(c, t); /* the clock was set back meanwhile */
        lease_adopt(c, w, t);
        (void) persist_change(c, t);
        return t;
}

/* What a worker has done for such leases, be it a result that comes too late, is not taken. */
static void log_void(Controld *c, const Worker *w, size_t n, const TaskId *first) {
        char text[TASK_ID_TEXT_LENGTH + 1];

        task_id_to_text(first, text);
        log_event(
                LOG_NOTICE, 0,
                LOG_FIELDS(.message_id = MESSAGE_RESULT_REFUSED, .task_id = text,
                           .worker_id = w->id),
                "Subworker %s comes back with %zu task%s that it does not hold any more, the first "
                "is %s; their results are not taken.",
                w->id, n, n == 1 ? "" : "s", text);
}

/* Leases that both sides know go on; those only we know were lost on the way and are queued again; those only
 * the worker knows are named in the answer, and it drops them. */
static void reconcile(Controld *c, const Request *r, Worker *w, bool same_connection) {
        const WireMessage *m = &r->message;
        TaskId first = {};
        size_t n_void = 0;
        Task *t, *previous;

        for (size_t i = 0; i < m->n_groups; i++) {
                const struct iovec *g = wire_group(m, i);
                TaskId id = wire_get_task_id(&g[0]);

                t = find_held(c, w, &id, wire_get_number(&g[1]));
                if (t)
                        t->is_held = true;
                else {
                        wire_put(&c->out, g[0].iov_base, g[0].iov_len);
                        wire_put(&c->out, g[1].iov_base, g[1].iov_len);
                        if (n_void++ == 0)
                                first = id;
                }
        }
        if (n_void > 0)
                log_void(c, w, n_void, &first);
        for (t = TAILQ_LAST(&w->leases, TaskList); t; t = previous) {
                previous = TAILQ_PREV(t, TaskList, link);
                if (!t->is_held && !same_connection)
                        lease_return(c, t);
                else
                        t->is_held = false;
        }
}

static int reply(Controld *c, const Request *r, Worker *w, bool same_connection) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        const Settings *s = c->settings;
        const char *text;
        size_t size;

        if (!o || json_add_string(o, "worker_id", s->worker_id) < 0 ||
            json_add_string(o, "instance", c->instance) < 0 ||
            json_add_string(o, "version", PACKAGE_VERSION) < 0 ||
            json_add_uint(o, "heartbeat_usec", s->heartbeat_usec) < 0 ||
            json_add_uint(o, "lease_usec", s->inactive_usec) < 0 ||
            json_add_uint(o, "max_result_bytes", s->max_result_bytes) < 0 ||
            json_add_bool(o, "on_demand", w->on_demand) < 0)
                return request_reply_info(r, WIRE_REGISTERED, NULL);
        text = json_object_to_json_string_length(o, JSON_COMPACT, &size);
        if (!text)
                return request_reply_info(r, WIRE_REGISTERED, NULL);
        wire_begin(&c->out, WIRE_REGISTERED, &r->message.correlation);
        wire_put(&c->out, text, size);
        reconcile(c, r, w, same_connection);
        request_reply(r);
        revoke_again(c, w);
        return 1;
}

/* Returns 1, or refuses and returns 0. */
static int register_worker(Controld *c, const Request *r, Registration *g) {
        Worker *w = worker_find(&c->workers, g->id);
        bool was_active = w && (w->state == WORKER_ACTIVE || w->is_drained) && w->peer,
             same_connection;
        Peer *p;
        int k;

        if (endpoint_peer(r->endpoint, &r->routing, &p) < 0)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory");
        if (w && !may_take_over(c, w, p, g))
                return request_refuse(r, WIRE_ERROR_NAME_IN_USE,
                                      "a subworker \"%s\" is registered and alive (pid %" PRIu64
                                      " on %s): give this one another --worker-id",
                                      w->id, w->pid, w->host ?: "an unknown host");
        if (!w) {
                k = worker_new(&c->workers, g->id, &w);
                if (k == -ENOSPC)
                        return request_refuse(r, WIRE_ERROR_QUEUE_FULL,
                                              "there are %u subworkers already", WORKERS_MAX);
                if (k < 0)
                        return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory");
        }
        if (p->worker && p->worker != w)
                worker_deactivate(c, p->worker, WORKER_LEFT);
        same_connection = w->peer == p;
        if (apply(c, w, g) < 0)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory");
        worker_attach(w, p);
        pause_registered(c, w);
        worker_seen(w);
        scale_registered(c->scale, w);
        w->on_demand = pause_lets_leave(c, w);
        if (!was_active)
                log_event(LOG_NOTICE, 0,
                          LOG_FIELDS(.message_id = MESSAGE_WORKER_REGISTERED, .worker_id = w->id),
                          "%s %s registered, %" PRIu32 " slot%s, %zu task type%s.",
                          w->local ? "Local worker" : "Subworker", w->id, w->slots,
                          w->slots == 1 ? "" : "s", w->n_types, w->n_types == 1 ? "" : "s");
        return reply(c, r, w, same_connection);
}

int op_register(Controld *c, const Request *r) {
        _cleanup_(registration_done) Registration g = {};
        int k;

        k = read_registration(c, r, &g);
        if (k <= 0)
                return k;
        k = register_worker(c, r, &g);
        if (k <= 0)
                return k;
        if (g.local)
                local_worker_registered(c->local);
        return held_replay(&c->held);
}
