/* SPDX-License-Identifier: MIT */

/* PING, HELLO, DISCOVER, WORKERS, TYPES and STATS: who is here, and how it stands. */

#include "controld.h"
#include "json-util.h"
#include "lease.h"
#include "ops.h"
#include "parse-util.h"
#include "pause.h"
#include "time-util.h"

int op_ping(Controld *c, const Request *r) {
        wire_begin(&c->out, WIRE_PONG, &r->message.correlation);
        return request_reply(r);
}

static int add_protocol(struct json_object *o) {
        struct json_object *versions = json_object_new_array();

        if (json_add(o, "protocol", versions) < 0)
                return -ENOMEM;
        if (json_object_array_add(versions, json_object_new_int(WIRE_VERSION)) < 0 ||
            json_object_array_add(versions, json_object_new_int(WIRE_VERSION)) < 0)
                return -ENOMEM;
        return 0;
}

static int add_limits(struct json_object *o, const Settings *s) {
        struct json_object *limits = json_object_new_object();

        if (json_add(o, "limits", limits) < 0 ||
            json_add_uint(limits, "max_payload_bytes", s->max_payload_bytes) < 0 ||
            json_add_uint(limits, "max_result_bytes", s->max_result_bytes) < 0 ||
            json_add_uint(limits, "max_batch", WIRE_BATCH_MAX) < 0)
                return -ENOMEM;
        return 0;
}

static struct json_object *identity_to_json(const Controld *c) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_string(o, "worker_id", c->settings->worker_id) < 0 ||
            json_add_string(o, "instance", c->instance) < 0 ||
            json_add_string(o, "version", PACKAGE_VERSION) < 0 || add_protocol(o) < 0)
                return NULL;
        return TAKE_PTR(o);
}

int op_hello(Controld *c, const Request *r) {
        _cleanup_json_ struct json_object *o = identity_to_json(c);

        if (!o || add_limits(o, c->settings) < 0)
                return request_reply_info(r, WIRE_WELCOME, NULL);
        return request_reply_info(r, WIRE_WELCOME, TAKE_PTR(o));
}

static int add_addresses(struct json_object *o, const Controld *c, EndpointRole role) {
        struct json_object *array = json_object_new_array();

        if (json_add(o, endpoint_role_to_string(role), array) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_endpoints; i++) {
                if (endpoint_role(c->endpoints[i]) != role)
                        continue;
                STRV_FOREACH(address, (char **) endpoint_addresses(c->endpoints[i]))
                        if (json_object_array_add(array, json_object_new_string(*address)) < 0)
                                return -ENOMEM;
        }
        return 0;
}

int op_discover(Controld *c, const Request *r) {
        _cleanup_json_ struct json_object *o = identity_to_json(c);

        if (!o || add_addresses(o, c, ENDPOINT_CLIENT) < 0 ||
            add_addresses(o, c, ENDPOINT_WORKER) < 0)
                return request_reply_info(r, WIRE_INFO, NULL);
        return request_reply_info(r, WIRE_INFO, TAKE_PTR(o));
}

static int add_type_names(struct json_object *o, const Worker *w) {
        struct json_object *array = json_object_new_array();

        if (json_add(o, "types", array) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < w->n_types; i++)
                if (json_object_array_add(array, json_object_new_string(w->types[i]->name)) < 0)
                        return -ENOMEM;
        return 0;
}

static int add_words(struct json_object *o, const char *key, char *const *words) {
        struct json_object *array = json_object_new_array();

        if (json_add(o, key, array) < 0)
                return -ENOMEM;
        STRV_FOREACH(word, (char **) words)
                if (json_object_array_add(array, json_object_new_string(*word)) < 0)
                        return -ENOMEM;
        return 0;
}

static int add_worker(struct json_object *workers, const Worker *w) {
        struct json_object *o = json_object_new_object();

        if (json_add(workers, w->id, o) < 0 || json_add_string(o, "address", w->address) < 0 ||
            json_add_string(o, "status", worker_state_to_string(w->state)) < 0 ||
            json_add_uint(o, "load", w->n_leased) < 0 ||
            json_add_time(o, "last_seen", w->last_seen_realtime_usec) < 0 ||
            json_add_uint(o, "slots", w->slots) < 0 ||
            json_add_uint(o, "capacity", w->capacity) < 0 ||
            json_add_uint(o, "tasks_done", w->n_done) < 0 ||
            json_add_bool(o, "local", w->local) < 0 || json_add_string(o, "host", w->host) < 0 ||
            json_add_uint(o, "pid", w->pid) < 0 || json_add_bool(o, "drained", w->is_drained) < 0 ||
            add_words(o, "labels", w->labels) < 0)
                return -ENOMEM;
        return add_type_names(o, w);
}

static struct json_object *workers_to_json(const Controld *c) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        struct json_object *workers;
        size_t total = 0;
        Worker *w, *next;

        HASH_ITER(hh, c->workers.workers, w, next)
                total += !w->local;
        if (!o || json_add_uint(o, "total_subworkers", total) < 0 ||
            json_add_uint(o, "active_subworkers", worker_count(&c->workers, WORKER_ACTIVE)) < 0)
                return NULL;
        workers = json_object_new_object();
        if (json_add(o, "subworkers", workers) < 0)
                return NULL;
        HASH_ITER(hh, c->workers.workers, w, next) {
                if (add_worker(workers, w) < 0)
                        return NULL;
        }
        return TAKE_PTR(o);
}

int op_workers(Controld *c, const Request *r) {
        return request_reply_info(r, WIRE_INFO, workers_to_json(c));
}

/* What is not limited is null. */
static int add_limits_of_type(struct json_object *o, const TaskType *type) {
        const TypeTerms *limits = &type->limits;
        struct json_object *concurrency = NULL;
        char rate[RATE_TEXT_MAX];

        if (limits->concurrency > 0) {
                concurrency = json_object_new_int64(limits->concurrency);
                if (!concurrency)
                        return -ENOMEM;
        }
        if (json_object_object_add(o, "concurrency", concurrency) < 0) {
                json_object_put(concurrency);
                return -ENOMEM;
        }
        if (json_add_bool(o, "paused", type->is_paused) < 0 ||
            json_add_uint(o, "leased", type->n_leased) < 0 ||
            json_add_string(o, "rate_limit",
                            limits->rate.count > 0 ? rate_to_text(&limits->rate, rate) : NULL) < 0)
                return -ENOMEM;
        return add_words(o, "labels", limits->labels);
}

static int add_type(struct json_object *array, const TaskType *type) {
        struct json_object *o = json_object_new_object(), *workers;

        if (!o || json_object_array_add(array, o) < 0 ||
            json_add_string(o, "name", type->name) < 0 ||
            json_add_string(o, "description", type->description) < 0 ||
            json_add_uint(o, "queued", type->n_queued) < 0 || add_limits_of_type(o, type) < 0)
                return -ENOMEM;
        workers = json_object_new_array();
        if (json_add(o, "workers", workers) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < type->n_workers; i++)
                if (type->workers[i]->state != WORKER_INACTIVE &&
                    json_object_array_add(workers, json_object_new_string(type->workers[i]->id)) <
                            0)
                        return -ENOMEM;
        return 0;
}

int op_types(Controld *c, const Request *r) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        struct json_object *array = json_object_new_array();
        TaskType *type, *next;

        if (!o || json_add(o, "types", array) < 0)
                return request_reply_info(r, WIRE_INFO, NULL);
        HASH_ITER(hh, c->types, type, next) {
                if (add_type(array, type) < 0)
                        return request_reply_info(r, WIRE_INFO, NULL);
        }
        return request_reply_info(r, WIRE_INFO, TAKE_PTR(o));
}

static int add_worker_counts(struct json_object *o, const Controld *c) {
        struct json_object *counts = json_object_new_object();
        size_t active = worker_count(&c->workers, WORKER_ACTIVE);
        size_t draining = worker_count(&c->workers, WORKER_DRAINING);
        size_t awaited = worker_count(&c->workers, WORKER_AWAITED);
        size_t inactive = worker_count(&c->workers, WORKER_INACTIVE);

        if (json_add(o, "subworkers", counts) < 0 ||
            json_add_uint(counts, "total", active + draining + awaited + inactive) < 0 ||
            json_add_uint(counts, "active", active) < 0 ||
            json_add_uint(counts, "draining", draining) < 0 ||
            json_add_uint(counts, "awaited", awaited) < 0 ||
            json_add_uint(counts, "inactive", inactive) < 0)
                return -ENOMEM;
        return 0;
}

static int add_task_counts(struct json_object *o, const Controld *c) {
        struct json_object *counts = json_object_new_object();
        uint64_t refused = 0;

        for (size_t i = 0; i < c->n_endpoints; i++)
                refused += endpoint_n_refused(c->endpoints[i]);
        if (json_add(o, "tasks", counts) < 0 ||
            json_add_uint(counts, "queued", queue_length(&c->queue)) < 0 ||
            json_add_uint(counts, "scheduled", c->tasks.by_state[TASK_SCHEDULED]) < 0 ||
            json_add_uint(counts, "retrying", c->tasks.by_state[TASK_RETRYING]) < 0 ||
            json_add_uint(counts, "assigned", c->tasks.by_state[TASK_ASSIGNED]) < 0 ||
            json_add_uint(counts, "running", c->tasks.by_state[TASK_RUNNING]) < 0 ||
            json_add_uint(counts, "cached_results", c->results.n) < 0 ||
            json_add_uint(counts, "payload_bytes", c->tasks.payload_bytes) < 0 ||
            json_add_uint(counts, "submitted", c->counters.submitted) < 0 ||
            json_add_uint(counts, "succeeded", c->counters.succeeded) < 0 ||
            json_add_uint(counts, "failed", c->counters.failed) < 0 ||
            json_add_uint(counts, "cancelled", c->counters.cancelled) < 0 ||
            json_add_uint(counts, "requeued", c->counters.requeued) < 0 ||
            json_add_uint(counts, "retried", c->counters.retried) < 0 ||
            json_add_uint(counts, "results_refused", c->counters.results_refused) < 0 ||
            json_add_uint(o, "messages_refused", refused) < 0)
                return -ENOMEM;
        return 0;
}

static int add_ttl(struct json_object *cache, uint64_t ttl_usec) {
        if (ttl_usec == USEC_INFINITY)
                return json_add_string(cache, "ttl_seconds", NULL);
        return json_add_uint(cache, "ttl_seconds", ttl_usec / USEC_PER_SEC);
}

static int add_cache(struct json_object *o, const Controld *c) {
        struct json_object *cache = json_object_new_object(), *by_status;
        uint64_t max = c->results.size_max, ttl = c->results.ttl_usec;

        if (json_add(o, "cache", cache) < 0 || json_add_uint(cache, "max_size", max) < 0 ||
            json_add_uint(cache, "current_size", c->results.n) < 0 || add_ttl(cache, ttl) < 0 ||
            json_add_uint(cache, "utilization_percent", max > 0 ? c->results.n * 100 / max : 0) < 0)
                return -ENOMEM;
        by_status = json_object_new_object();
        if (json_add(cache, "by_status", by_status) < 0)
                return -ENOMEM;
        for (TaskState s = 0; s < _TASK_STATE_MAX; s++)
                if (task_state_is_terminal(s) &&
                    json_add_uint(by_status, task_state_to_string(s), c->tasks.by_state[s]) < 0)
                        return -ENOMEM;
        return 0;
}

int op_stats(Controld *c, const Request *r) {
        _cleanup_json_ struct json_object *o = identity_to_json(c);
        uint64_t uptime = now_usec(CLOCK_MONOTONIC) - c->started_usec;

        if (!o || json_add_uint(o, "uptime_sec", uptime / USEC_PER_SEC) < 0 ||
            json_add_bool(o, "running", !c->stopping) < 0 ||
            json_add_string(o, "base_address", c->settings->base_address) < 0 ||
            add_worker_counts(o, c) < 0 || add_task_counts(o, c) < 0 || add_cache(o, c) < 0 ||
            json_add(o, "paused", pauses_to_json(c)) < 0 ||
            json_add(o, "scaling", scale_to_json(c->scale)) < 0)
                return request_reply_info(r, WIRE_INFO, NULL);
        return request_reply_info(r, WIRE_INFO, TAKE_PTR(o));
}
