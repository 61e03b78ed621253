/* SPDX-License-Identifier: MIT */

/* SUBMIT: checks everything first, then takes all of the batch or nothing. */

#include <stdio.h>

#include "controld.h"
#include "json-util.h"
#include "lease.h"
#include "log.h"
#include "ops.h"
#include "time-util.h"

enum {
        FIELD_NAME,
        FIELD_PRIORITY,
        FIELD_KEY,
        FIELD_ARGUMENTS,
        FIELD_OPTIONS,
};

static uint64_t n_unfinished(const Controld *c) {
        return HASH_COUNT(c->tasks.tasks) - c->results.n;
}

/* "add, sha256, wordcount": what could have been meant. */
static void list_types(const Controld *c, char *ret, size_t size) {
        TaskType *type, *next;
        size_t n = 0, shown = 0;

        ret[0] = '\0';
        HASH_ITER(hh, c->types, type, next) {
                int k = snprintf(ret + n, size - n, "%s%s", shown > 0 ? ", " : "", type->name);

                if (k < 0 || (size_t) k >= size - n || shown == 20) {
                        strcpy(ret + n, ", ...");
                        return;
                }
                n += (size_t) k;
                shown++;
        }
}

static int refuse_type(Controld *c, const Request *r, const struct iovec *name) {
        char known[600];

        if (!c->types)
                return request_refuse(r, WIRE_ERROR_UNKNOWN_TASK_TYPE,
                                      "no subworker has offered a task \"%.*s\", or any other, yet",
                                      (int) name->iov_len, (const char *) name->iov_base);
        list_types(c, known, sizeof(known) - sizeof(", ..."));
        return request_refuse(r, WIRE_ERROR_UNKNOWN_TASK_TYPE,
                              "no subworker ever offered a task \"%.*s\"; there are: %s",
                              (int) name->iov_len, (const char *) name->iov_base, known);
}

/* Returns 1 if the task is fine, 0 if the request was refused or held. */
static int check_task(Controld *c, const Request *r, const struct iovec *g) {
        _cleanup_json_ struct json_object *options = NULL;
        const char *error = "out of memory";

        if (g[FIELD_ARGUMENTS].iov_len > c->settings->max_payload_bytes)
                return request_refuse(r, WIRE_ERROR_TOO_LARGE,
                                      "the arguments have %zu bytes; at most %" PRIu64
                                      " are taken (MaxPayloadBytes=)",
                                      g[FIELD_ARGUMENTS].iov_len, c->settings->max_payload_bytes);

        if (g[FIELD_OPTIONS].iov_len > 0) {
                static const char *const known[] = { NULL };
                const char *key;

                if (json_parse_object(g[FIELD_OPTIONS].iov_base, g[FIELD_OPTIONS].iov_len, &options,
                                      &error) < 0)
                        return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                              "the options must be one JSON object, or empty: %s",
                                              error);
                key = options ? json_unknown_key(options, known) : NULL;
                if (key)
                        return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                              "unknown option \"%.64s\": this version knows none",
                                              key);
        }

        if (!task_type_find(c->types, g[FIELD_NAME].iov_base, g[FIELD_NAME].iov_len)) {
                if (now_usec(CLOCK_MONOTONIC) >= c->grace_until_usec)
                        return refuse_type(c, r, &g[FIELD_NAME]);
                if (held_add(&c->held, r) < 0)
                        return request_refuse(
                                r, WIRE_ERROR_QUEUE_FULL,
                                "the coordinator has just started and too many requests "
                                "wait for subworkers: try again later");
                return 0;
        }
        return 1;
}

static int check(Controld *c, const Request *r) {
        const WireMessage *m = &r->message;
        uint32_t n_waiters;
        uint64_t bytes = 0;
        Peer *p;
        int k;

        if (c->stopping)
                return request_refuse(r, WIRE_ERROR_STOPPING, "the coordinator is shutting down");
        if (n_unfinished(c) + m->n_groups > c->settings->max_queued_tasks)
                return request_refuse(r, WIRE_ERROR_QUEUE_FULL,
                                      "%" PRIu64 " tasks wait or run already; at most %" PRIu64
                                      " are taken (MaxQueuedTasks=)",
                                      n_unfinished(c), c->settings->max_queued_tasks);
        for (size_t i = 0; i < m->n_groups; i++)
                bytes += wire_group(m, i)[FIELD_ARGUMENTS].iov_len;
        if (c->tasks.payload_bytes + bytes > c->settings->max_total_bytes)
                return request_refuse(r, WIRE_ERROR_QUEUE_FULL,
                                      "the tasks hold %" PRIu64 " bytes already; at most %" PRIu64
                                      " are taken (MaxTotalBytes=)",
                                      c->tasks.payload_bytes, c->settings->max_total_bytes);
        if (wire_get_mode_is_wait(&m->fields[0])) {
                p = endpoint_find_peer(r->endpoint, &r->routing);
                n_waiters = p ? p->n_waiters : 0;
                if (n_waiters + m->n_groups > c->settings->max_waits_per_client)
                        return request_refuse(r, WIRE_ERROR_QUEUE_FULL,
                                              "this client waits for %" PRIu32
                                              " results already; at most %" PRIu64
                                              " are allowed (MaxWaitsPerClient=)",
                                              n_waiters, c->settings->max_waits_per_client);
        }
        for (size_t i = 0; i < m->n_groups; i++) {
                k = check_task(c, r, wire_group(m, i));
                if (k <= 0)
                        return k;
        }
        return 1;
}

/* Finds the task that this key made, or makes a new one. A key that is a UUID is the task's id itself, so
 * that it needs no index; clients that make keys by the million use such ones. */
static int get_task(Controld *c, const struct iovec *g, Task **ret, bool *ret_is_new) {
        const struct iovec *key = &g[FIELD_KEY];
        TaskSpec spec = {
                .type = task_type_find(c->types, g[FIELD_NAME].iov_base, g[FIELD_NAME].iov_len),
                .priority = task_priority_from_text(g[FIELD_PRIORITY].iov_base,
                                                    g[FIELD_PRIORITY].iov_len),
                .arguments = g[FIELD_ARGUMENTS].iov_base,
                .arguments_size = g[FIELD_ARGUMENTS].iov_len,
        };
        bool is_id = task_id_from_text(key->iov_base, key->iov_len, &spec.id) >= 0;
        Task *t = NULL;
        int r;

        if (is_id)
                t = task_find(&c->tasks, &spec.id);
        else if (key->iov_len > 0)
                t = task_find_by_key(&c->tasks, key->iov_base, key->iov_len);
        *ret_is_new = !t;
        if (t) {
                *ret = t;
                return 0;
        }

        if (!is_id) {
                r = task_id_new(&spec.id);
                if (r < 0)
                        return r;
        }
        r = task_new(&c->tasks, &spec, &t);
        if (r < 0)
                return r;
        if (!is_id && key->iov_len > 0) {
                r = task_add_key(&c->tasks, t, key->iov_base, key->iov_len);
                if (r < 0) {
                        task_free(&c->tasks, t);
                        return r;
                }
        }
        *ret = t;
        return 0;
}

typedef struct Batch {
        Task *tasks[WIRE_BATCH_MAX];
        bool is_new[WIRE_BATCH_MAX];
        size_t n;
} Batch;

static void batch_undo(Controld *c, Batch *b) {
        for (size_t i = b->n; i > 0; i--) {
                if (!b->is_new[i - 1])
                        continue;
                waiters_drop(b->tasks[i - 1], &c->dirty);
                task_free(&c->tasks, b->tasks[i - 1]);
        }
}

static int batch_make(Controld *c, const Request *r, Batch *b) {
        const WireMessage *m = &r->message;
        Peer *p = NULL;
        int k;

        b->n = 0;
        /* A result past its time is gone, even if the clean-up did not come by yet; not later than here, as
         * the batch may name a task twice. */
        (void) results_expire(&c->results, &c->tasks, &c->dirty);
        if (wire_get_mode_is_wait(&m->fields[0])) {
                k = endpoint_peer(r->endpoint, &r->routing, &p);
                if (k < 0)
                        return k;
        }
        for (; b->n < m->n_groups; b->n++) {
                k = get_task(c, wire_group(m, b->n), &b->tasks[b->n], &b->is_new[b->n]);
                if (k < 0)
                        return k;
                k = p ? peer_wait(p, b->tasks[b->n], &c->dirty) : 0;
                if (k < 0) {
                        b->n++;
                        return k;
                }
        }
        return 0;
}

/* The batch is safe: it enters the queue, and the client is told. */
static void batch_commit(Controld *c, const Request *r, const Batch *b) {
        wire_begin(&c->out, WIRE_ACCEPTED, &r->message.correlation);
        for (size_t i = 0; i < b->n; i++) {
                Task *t = b->tasks[i];

                wire_put_task_id(&c->out, &t->id);
                if (!b->is_new[i])
                        continue;
                task_set_state(&c->tasks, t, TASK_QUEUED);
                queue_push(&c->queue, t);
                c->counters.submitted++;
        }
        request_reply(r);
}

int op_submit(Controld *c, const Request *r) {
        Batch b; /* large: not cleared, `n` says what is set */
        int k;

        k = check(c, r);
        if (k <= 0)
                return k;
        k = batch_make(c, r, &b);
        if (k == -ENOBUFS) {
                batch_undo(c, &b);
                return request_refuse(r, WIRE_ERROR_QUEUE_FULL,
                                      "too many clients wait already: try again later");
        }
        if (k < 0) {
                log_error_errno(k, "Could not take a submit, refusing it: %m");
                batch_undo(c, &b);
                return request_refuse(r, WIRE_ERROR_INTERNAL,
                                      "out of memory: nothing of this was taken");
        }
        batch_commit(c, r, &b);
        return 0;
}
