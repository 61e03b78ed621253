/* SPDX-License-Identifier: MIT */

/* SUBMIT: checks everything first, then takes all of the batch or nothing. */

#include <stdio.h>

#include "controld.h"
#include "due.h"
#include "lease.h"
#include "log.h"
#include "ops.h"
#include "persist.h"
#include "submit-options.h"
#include "task-lane.h"
#include "time-util.h"

#define BACKLOG_BYTES_MAX (256U * 1024U * 1024U) /* of changes that wait for the disk */

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

int op_submit_refuse_type(Controld *c, const Request *r, const struct iovec *name) {
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

/* Finds the task that this key made. A key that is a UUID is the task's id itself, so that it needs no index;
 * clients that make keys by the million use such ones. */
static Task *find_by_key(const Controld *c, const struct iovec *key, TaskId *ret_id,
                         bool *ret_is_id) {
        *ret_is_id = task_id_from_text(key->iov_base, key->iov_len, ret_id) >= 0;
        if (*ret_is_id)
                return task_find(&c->tasks, ret_id);
        return key->iov_len > 0 ? task_find_by_key(&c->tasks, key->iov_base, key->iov_len) : NULL;
}

/* What a submit says of one task, as far as it decides whether that is a new one. */
typedef struct Identity {
        TaskId id;
        bool has_id;           /* the key is the id */
        SubmitOptions options; /* of a new one */
} Identity;

/* Finds the task that is named: *ret is NULL if it is a new one. -EEXIST: another one with this unique key has not
 * ended. -EINVAL, -ENOMEM: the options. */
static int find_named(const Controld *c, const struct iovec *g, Identity *i, Task **ret) {
        char error[160];
        int r;

        *ret = find_by_key(c, &g[FIELD_KEY], &i->id, &i->has_id);
        if (*ret)
                return 0;
        r = submit_options_parse(&g[FIELD_OPTIONS], &i->options, error);
        if (r < 0 || i->options.unique_size == 0)
                return r;
        *ret = task_find_by_unique(&c->tasks, i->options.unique, i->options.unique_size);
        return *ret && !i->options.unique_returns ? -EEXIST : 0;
}

/* Whether the submit only names a task, which takes no room. */
static bool is_known(const Controld *c, const struct iovec *g) {
        Identity i;
        Task *t;

        return find_named(c, g, &i, &t) >= 0 && t;
}

/* What of a submit is new. */
typedef struct Amount {
        size_t n, n_known;
        uint64_t bytes; /* of the new ones */
} Amount;

/* Without `known_count` all counts as new. */
static Amount measure(const Controld *c, const WireMessage *m, bool known_count) {
        Amount a = {};

        for (size_t i = 0; i < m->n_groups; i++) {
                const struct iovec *g = wire_group(m, i);

                if (known_count && is_known(c, g)) {
                        a.n_known++;
                        continue;
                }
                a.n++;
                a.bytes += g[FIELD_ARGUMENTS].iov_len + g[FIELD_OPTIONS].iov_len;
        }
        return a;
}

const char *op_submit_rest(size_t n_known, char ret[static SUBMIT_REST_MAX]) {
        if (n_known == 0)
                return "nothing of this was taken";
        (void) snprintf(ret, SUBMIT_REST_MAX,
                        "%zu of these tasks are known already, none of the others was taken",
                        n_known);
        return ret;
}

int op_submit_check_type(Controld *c, const Request *r, const struct iovec *name) {
        if (task_type_find(c->types, name->iov_base, name->iov_len))
                return 1;
        if (!scale_seek(c->scale) && now_usec(CLOCK_MONOTONIC) >= c->grace_until_usec)
                return op_submit_refuse_type(c, r, name);
        if (held_add(&c->held, r) < 0)
                return request_refuse(
                        r, WIRE_ERROR_QUEUE_FULL,
                        "too many requests wait for subworkers that have just been started and may "
                        "offer their tasks: try again later");
        return 0;
}

/* Returns 1 if the task is fine, 0 if the request was refused or held. */
static int check_task(Controld *c, const Request *r, const struct iovec *g) {
        SubmitOptions options;
        char error[160];
        int k;

        if (g[FIELD_ARGUMENTS].iov_len > c->settings->max_payload_bytes && !is_known(c, g))
                return request_refuse(r, WIRE_ERROR_TOO_LARGE,
                                      "the arguments have %zu bytes; at most %" PRIu64
                                      " are taken (MaxPayloadBytes=)",
                                      g[FIELD_ARGUMENTS].iov_len, c->settings->max_payload_bytes);

        k = submit_options_parse(&g[FIELD_OPTIONS], &options, error);
        if (k == -ENOMEM)
                return request_refuse(r, WIRE_ERROR_INTERNAL,
                                      "out of memory: nothing of this was taken");
        if (k < 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT, "%s", error);

        return op_submit_check_type(c, r, &g[FIELD_NAME]);
}

/* Why there is no room for that; _WIRE_ERROR_INVALID: there is. */
static WireError find_lack(const Controld *c, const Amount *a, char *ret, size_t size) {
        const Settings *s = c->settings;

        if (store_backlog_bytes(c->store) > BACKLOG_BYTES_MAX) {
                (void) snprintf(ret, size,
                                "the disk of the coordinator is too slow for what comes");
                return WIRE_ERROR_QUEUE_FULL;
        }
        if (store_is_full(c->store)) {
                (void) snprintf(ret, size, "the store is full (MaxStoreBytes=, or the disk)");
                return WIRE_ERROR_NO_SPACE;
        }
        if (n_unfinished(c) + a->n > s->max_queued_tasks) {
                (void) snprintf(ret, size,
                                "%" PRIu64 " tasks wait or run already; at most %" PRIu64
                                " are taken (MaxQueuedTasks=)",
                                n_unfinished(c), s->max_queued_tasks);
                return WIRE_ERROR_QUEUE_FULL;
        }
        if (c->tasks.payload_bytes + a->bytes > s->max_total_bytes) {
                (void) snprintf(ret, size,
                                "the tasks hold %" PRIu64 " bytes already; at most %" PRIu64
                                " are taken (MaxTotalBytes=)",
                                c->tasks.payload_bytes, s->max_total_bytes);
                return WIRE_ERROR_QUEUE_FULL;
        }
        return _WIRE_ERROR_INVALID;
}

/* Tasks that were taken before need no room: a client that sends them again learns so that they were. They are
 * looked for only if there is none for all. */
static int check_room(Controld *c, const Request *r) {
        Amount a = measure(c, &r->message, false);
        char why[200], rest[SUBMIT_REST_MAX];
        WireError error;

        if (find_lack(c, &a, why, sizeof(why)) == _WIRE_ERROR_INVALID)
                return 1;
        a = measure(c, &r->message, true);
        if (a.n == 0)
                return 1;
        error = find_lack(c, &a, why, sizeof(why));
        if (error == _WIRE_ERROR_INVALID)
                return 1;
        if (error == WIRE_ERROR_NO_SPACE)
                persist_no_space(c);
        return request_refuse(r, error, "%s: %s, try again later", why,
                              op_submit_rest(a.n_known, rest));
}

static int check(Controld *c, const Request *r) {
        const WireMessage *m = &r->message;
        uint32_t n_waiters;
        Peer *p;
        int k;

        if (c->stopping)
                return request_refuse(r, WIRE_ERROR_STOPPING, "the coordinator is shutting down");
        k = check_room(c, r);
        if (k <= 0)
                return k;
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

static int set_times(Controld *c, Task *t, const SubmitOptions *options) {
        uint64_t due = submit_options_due(options, t->created_usec),
                 expires = submit_options_expires(options, t->created_usec);
        int r;

        if (due == 0 && expires == 0)
                return 0;
        r = due_prepare(c, t);
        if (r < 0)
                return r;
        t->extra->due_usec = due;
        t->extra->expires_usec = expires;
        return 0;
}

/* -EDQUOT: there are as many sets of labels as may be. Tasks that come from the store are not refused. */
static int enter_lane(Controld *c, Task *t) {
        size_t n = HASH_COUNT(t->type->lanes);
        int r;

        r = task_lane_enter(&c->queue, t);
        return r >= 0 && n >= LANES_MAX && HASH_COUNT(t->type->lanes) > n ? -EDQUOT : r;
}

static int make_task(Controld *c, const struct iovec *g, TaskSpec *spec, bool has_id,
                     const SubmitOptions *options, char ret_error[static DEPENDENCY_TEXT_MAX],
                     Task **ret) {
        const struct iovec *key = &g[FIELD_KEY];
        Task *t;
        int r = 0;

        if (!has_id)
                r = task_id_new(&spec->id);
        if (r < 0)
                return r;
        r = task_new(&c->tasks, spec, &t);
        if (r < 0)
                return r;
        t->in_memory = options->in_memory;
        if (!has_id && key->iov_len > 0)
                r = task_add_key(&c->tasks, t, key->iov_base, key->iov_len);
        if (r >= 0)
                r = set_times(c, t, options);
        if (r >= 0 && options->has_lane)
                r = enter_lane(c, t);
        if (r >= 0 && options->unique_size > 0)
                r = task_add_unique(&c->tasks, t, options->unique, options->unique_size);
        if (r >= 0 && options->has_links)
                r = dependency_link(c, t, ret_error);
        if (r < 0) {
                task_free(&c->tasks, t);
                return r;
        }
        *ret = t;
        return 0;
}

/* Finds the task or makes it. -EEXIST: another one with this unique key has not ended. -ENOENT, -EINVAL: what is to
 * be waited for. */
static int get_task(Controld *c, const struct iovec *g, Task **ret, bool *ret_is_new,
                    char ret_error[static DEPENDENCY_TEXT_MAX]) {
        TaskSpec spec = {
                .type = task_type_find(c->types, g[FIELD_NAME].iov_base, g[FIELD_NAME].iov_len),
                .priority = task_priority_from_text(g[FIELD_PRIORITY].iov_base,
                                                    g[FIELD_PRIORITY].iov_len),
                .arguments = g[FIELD_ARGUMENTS].iov_base,
                .arguments_size = g[FIELD_ARGUMENTS].iov_len,
        };
        Identity identity;
        int r;

        if (g[FIELD_PRIORITY].iov_len == 0)
                spec.priority = spec.type->priority;
        r = find_named(c, g, &identity, ret);
        *ret_is_new = !*ret;
        if (r < 0 || *ret)
                return r;
        spec.id = identity.id;
        if (identity.options.is_kept) {
                spec.options = g[FIELD_OPTIONS].iov_base;
                spec.options_size = g[FIELD_OPTIONS].iov_len;
        }
        return make_task(c, g, &spec, identity.has_id, &identity.options, ret_error, ret);
}

typedef struct Batch {
        Task *tasks[WIRE_BATCH_MAX];
        bool is_new[WIRE_BATCH_MAX];
        size_t n;
        char error[DEPENDENCY_TEXT_MAX]; /* with -ENOENT and -EINVAL, of task n + 1 */
} Batch;

/* All of it was taken, and is safe: there is nothing to wait for. */
static bool batch_is_settled(const Batch *b) {
        for (size_t i = 0; i < b->n; i++)
                if (b->is_new[i] || b->tasks[i]->state == TASK_PENDING)
                        return false;
        return true;
}

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
        if (wire_get_mode_is_wait(&m->fields[0])) {
                k = endpoint_peer(r->endpoint, &r->routing, &p);
                if (k < 0)
                        return k;
        }
        for (; b->n < m->n_groups; b->n++) {
                k = get_task(c, wire_group(m, b->n), &b->tasks[b->n], &b->is_new[b->n], b->error);
                if (k < 0)
                        return k;
                /* For others when it is answered: a result must not come before that. */
                k = p && b->is_new[b->n] ? peer_wait(p, b->tasks[b->n], &c->dirty) : 0;
                if (k < 0) {
                        b->n++;
                        return k;
                }
        }
        return 0;
}

/* Hands the batch to the store; the answer waits in the ledger until it is safe there. */
static int batch_append(Controld *c, const Request *r, const Batch *b) {
        LedgerEntry *e;
        int k;

        k = ledger_add(&c->ledger, LEDGER_SUBMIT, r, b->n, &e);
        if (k < 0)
                return k;
        for (size_t i = 0; i < b->n; i++) {
                if (b->is_new[i])
                        b->tasks[i]->sequence = queue_next_sequence(&c->queue);
                ledger_note(e, b->tasks[i], b->is_new[i]);
        }
        k = persist_submit(c, b->tasks, b->is_new, b->n);
        if (k < 0)
                ledger_undo(&c->ledger, e);
        return k;
}

/* The answer comes before the results. */
static int answer_known(Controld *c, const Request *r, const Batch *b) {
        Peer *p = NULL;
        int k;

        wire_begin(&c->out, WIRE_ACCEPTED, &r->message.correlation);
        for (size_t i = 0; i < b->n; i++)
                wire_put_task_id(&c->out, &b->tasks[i]->id);
        k = request_reply(r);
        if (k < 0 || !wire_get_mode_is_wait(&r->message.fields[0]))
                return k;
        p = endpoint_find_peer(r->endpoint, &r->routing); /* made by batch_make() */
        for (size_t i = 0; p && i < b->n; i++)
                if (peer_wait(p, b->tasks[i], &c->dirty) < 0) {
                        log_oom();
                        break;
                }
        return 0;
}

static int refuse_batch(Controld *c, const Request *r, Batch *b, int error) {
        size_t n_known = measure(c, &r->message, true).n_known;
        char rest[SUBMIT_REST_MAX];

        if (error == -EEXIST)
                return request_refuse(
                        r, WIRE_ERROR_EXISTS,
                        "a task with the unique key of task %zu of this submit has not ended yet: %s",
                        b->n + 1, op_submit_rest(n_known, rest));
        if (error == -ENOENT || error == -EINVAL)
                return request_refuse(
                        r, error == -ENOENT ? WIRE_ERROR_UNKNOWN_TASK : WIRE_ERROR_BAD_ARGUMENT,
                        "task %zu of this submit: %s: %s", b->n + 1, b->error,
                        op_submit_rest(n_known, rest));
        if (error == -EDQUOT)
                return request_refuse(
                        r, WIRE_ERROR_QUEUE_FULL,
                        "task %zu of this submit: the tasks of its type have %u different sets of "
                        "labels already, and no more are taken: use fewer, or try again later: %s",
                        b->n + 1, LANES_MAX, op_submit_rest(n_known, rest));
        if (error == -ENOBUFS)
                return request_refuse(r, WIRE_ERROR_QUEUE_FULL,
                                      "too many clients wait already: try again later");
        log_error_errno(error, "Could not take a submit, refusing it: %m");
        return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory: %s",
                              op_submit_rest(n_known, rest));
}

int op_submit(Controld *c, const Request *r) {
        Batch b; /* large: not cleared, `n` says what is set */
        int k;

        /* A result past its time is gone, even if the clean-up did not come by yet; not later than here, as
         * the batch may name a task twice. */
        (void) results_expire(&c->results, &c->tasks, &c->dirty);
        k = check(c, r);
        if (k <= 0)
                return k;
        k = batch_make(c, r, &b);
        if (k >= 0 && batch_is_settled(&b))
                return answer_known(c, r, &b);
        if (k >= 0)
                k = batch_append(c, r, &b);
        if (k >= 0)
                return 0;
        batch_undo(c, &b);
        return refuse_batch(c, r, &b, k);
}
