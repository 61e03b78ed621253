/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "store-fixture.h"

#define NEW_PER_CALL 5U

static uint64_t mix(uint64_t x) {
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        return x ^ (x >> 31);
}

/* Bytes of all values; mostly few, now and then more than a page, or than a chunk of the batches. */
static struct iovec example_bytes(uint64_t seed) {
        static uint8_t pool[200000];
        static bool filled;
        uint64_t r = mix(seed);
        size_t size = r % 40;

        if (!filled) {
                for (size_t i = 0; i < sizeof(pool); i++)
                        pool[i] = (uint8_t) mix(i);
                filled = true;
        }
        if (r % 64 == 1)
                size = 5000 + r % 3000;
        if (r % 1024 == 2)
                size = 70000 + r % 30000;
        return (struct iovec){ pool + (r >> 32) % 90000, size };
}

static const TaskState states[] = { TASK_QUEUED,  TASK_ASSIGNED,  TASK_RUNNING, TASK_RETRYING,
                                    TASK_SUCCESS, TASK_FAILURE,   TASK_DEAD,    TASK_EXPIRED,
                                    TASK_SUCCESS, TASK_CANCELLED, TASK_ASSIGNED };

static TaskState example_state(uint64_t sequence, uint32_t version) {
        return version == 0 ? TASK_QUEUED
                            : states[mix(sequence * 1000 + version) % ELEMENTSOF(states)];
}

bool example_is_ended(uint64_t sequence, uint32_t version) {
        return task_state_is_terminal(example_state(sequence, version));
}

StoreTask example_task(uint64_t sequence, uint32_t version) {
        static char name[64], worker[64];
        uint64_t r = mix(sequence), v = mix(sequence * 1000 + version);
        StoreTask t = {
                .sequence = sequence,
                .name = name,
                .priority = (TaskPriority) (r % _PRIORITY_MAX),
                .created_usec = UINT64_C(1700000000000000) + r % 1000000,
                .key = r % 3 == 0 ? example_bytes(sequence + 1) : (struct iovec){},
                .arguments = example_bytes(sequence + 2),
                .options = r % 7 == 0 ? example_bytes(sequence + 3) : (struct iovec){},
                .state = example_state(sequence, version),
        };

        (void) snprintf(name, sizeof(name), "type-%d", (int) (r % 50));
        for (size_t i = 0; i < sizeof(t.id.bytes); i++)
                t.id.bytes[i] = (uint8_t) mix(sequence * 16 + i);
        if (version == 0)
                return t;
        t.attempt = version;
        t.crashes = (uint32_t) (v % 4);
        if (v % 3 == 0) {
                t.due_usec = v >> 1;
                t.expires_usec = v >> 2;
                t.retries = (uint32_t) (v % 5);
                t.history = example_bytes(v + 2);
        }
        if (t.state != TASK_QUEUED) {
                (void) snprintf(worker, sizeof(worker), "worker-%d@host", (int) (v % 20));
                t.worker = worker;
                t.cancel_asked = v % 3 == 0;
                t.started_usec = v | UINT64_C(1) << 63; /* a peer's clock may say anything */
        }
        if (example_is_ended(sequence, version)) {
                t.completed_usec = UINT64_C(1700000001000000) + v % 100;
                t.result = example_bytes(v);
                t.error = v % 5 == 0 ? example_bytes(v + 1) : (struct iovec){};
        }
        return t;
}

/* --- snapshots ----------------------------------------------------------------------------------- */

typedef struct Loading {
        Snapshot *snapshot;
        uint64_t sequence, completed; /* of the last one */
        bool in_ended, in_tasks;
} Loading;

static void assert_bytes(struct iovec a, struct iovec b) {
        require(a.iov_len == b.iov_len);
        if (a.iov_len > 0)
                require(memcmp(a.iov_base, b.iov_base, a.iov_len) == 0);
}

static void assert_task(const StoreTask *t, const StoreTask *e) {
        require(task_id_equal(&t->id, &e->id));
        require(streq(t->name, e->name));
        require(t->priority == e->priority);
        require(t->created_usec == e->created_usec);
        assert_bytes(t->key, e->key);
        assert_bytes(t->arguments, e->arguments);
        assert_bytes(t->options, e->options);
        require(t->state == e->state);
        require(t->attempt - t->n_unsure == e->attempt);
        require(t->n_unsure == 0 || !t->worker || t->state == TASK_PENDING ||
                t->state == TASK_SCHEDULED || t->state == TASK_RETRYING);
        require(t->cancel_asked == e->cancel_asked);
        require(t->crashes == e->crashes);
        require(t->due_usec == e->due_usec);
        require(t->expires_usec == e->expires_usec);
        require(t->retries == e->retries);
        assert_bytes(t->history, e->history);
        require(!t->worker == !e->worker && (!t->worker || streq(t->worker, e->worker)));
        require(t->started_usec == e->started_usec);
        require(t->completed_usec == e->completed_usec);
        assert_bytes(t->result, e->result);
        assert_bytes(t->error, e->error);
}

static void assert_order(Loading *l, const StoreTask *t) {
        bool ended = task_state_is_terminal(t->state);

        if (ended && !l->in_ended)
                l->completed = 0;
        else if (ended) {
                require(t->completed_usec >= l->completed);
                if (t->completed_usec == l->completed)
                        require(t->sequence > l->sequence);
        } else {
                require(!l->in_ended);
                if (l->in_tasks)
                        require(t->sequence > l->sequence);
        }
        l->in_tasks = true;
        l->in_ended = ended;
        l->sequence = t->sequence;
        l->completed = t->completed_usec;
}

static int load_task(const StoreTask *t, void *userdata) {
        Loading *l = userdata;
        StoreTask e;

        require(t->sequence < TASKS_MAX);
        e = example_task(t->sequence, t->attempt - t->n_unsure);
        assert_task(t, &e);
        assert_order(l, t);
        require(l->snapshot->versions[t->sequence] == -1);
        l->snapshot->versions[t->sequence] = (int32_t) (t->attempt - t->n_unsure);
        return 0;
}

static int load_type(const char *name, void *userdata) {
        Loading *l = userdata;
        int n = -1;

        require(!l->in_tasks);
        require(sscanf(name, "type-%d", &n) == 1);
        require(n >= 0 && n < TYPES_MAX);
        require(!(l->snapshot->types & UINT32_C(1) << n));
        l->snapshot->types |= UINT32_C(1) << n;
        return 0;
}

static void snapshot_clear(Snapshot *s) {
        s->types = 0;
        for (size_t i = 0; i < ELEMENTSOF(s->versions); i++)
                s->versions[i] = -1;
}

void snapshot_load(Snapshot *s, Store *store) {
        Loading l = { .snapshot = s };
        StoreLoad load = { .task = load_task, .type = load_type, .userdata = &l };
        _cleanup_free_ char *error = NULL;

        snapshot_clear(s);
        if (store_load(store, &load, &error) < 0)
                (void) fprintf(stderr, "%s\n", error ? error : "no reason");
        require(!error);
}

bool snapshot_equal(const Snapshot *a, const Snapshot *b) {
        return a->types == b->types && memcmp(a->versions, b->versions, sizeof(a->versions)) == 0;
}

/* --- the workload -------------------------------------------------------------------------------- */

void workload_init(Workload *w, uint64_t seed) {
        memset(w, 0, sizeof(*w));
        w->random = seed;
        snapshot_clear(&w->now);
}

uint64_t workload_random(Workload *w, uint64_t n) {
        return mix(++w->random) % n;
}

static void apply(Snapshot *s, const Op *op, bool refused) {
        int32_t *version = &s->versions[op->sequence];

        switch (op->kind) {
        case OP_SUBMIT:
                if (!refused)
                        *version = (int32_t) op->version;
                break;
        case OP_UPDATE:
                if (*version >= 0)
                        *version = (int32_t) op->version;
                break;
        case OP_FORGET:
                *version = -1;
                break;
        case OP_TYPE:
                s->types |= UINT32_C(1) << op->version;
        }
}

static void note(Workload *w, OpKind kind, uint64_t ticket, uint32_t sequence, uint32_t version) {
        Op op = { kind, ticket, sequence, version };

        require(w->n_ops < ELEMENTSOF(w->ops));
        w->ops[w->n_ops++] = op;
        apply(&w->now, &op, false);
}

/* A task of the last hundred that fits, or UINT32_MAX. */
static uint32_t choose(Workload *w, bool ended) {
        for (size_t tries = 0; w->next_sequence > 0 && tries < 50; tries++) {
                uint32_t back = (uint32_t) workload_random(w, MIN(w->next_sequence, 100U));
                uint32_t s = w->next_sequence - 1 - back;
                int32_t version = w->now.versions[s];

                if (version >= 0 && example_is_ended(s, (uint32_t) version) == ended)
                        return s;
        }
        return UINT32_MAX;
}

static void submit(Workload *w, Store *store, uint64_t ticket) {
        size_t n = 1 + workload_random(w, NEW_PER_CALL);
        StoreTask tasks[NEW_PER_CALL];
        char names[NEW_PER_CALL][64], workers[NEW_PER_CALL][64];

        require(w->next_sequence + n < TASKS_MAX);
        for (size_t i = 0; i < n; i++) {
                uint32_t s = w->next_sequence++;
                uint32_t version = workload_random(w, 10) == 0;

                tasks[i] = example_task(s, version);
                tasks[i].name = strcpy(names[i], tasks[i].name);
                if (tasks[i].worker)
                        tasks[i].worker = strcpy(workers[i], tasks[i].worker);
                note(w, OP_SUBMIT, ticket, s, version);
        }
        if (store)
                require(store_submit(store, tasks, n) == 0);
        /* They were copied. */
        memset(names, 'x', sizeof(names));
        memset(workers, 'x', sizeof(workers));
        memset(tasks, 'x', sizeof(tasks));
}

static void update(Workload *w, Store *store, uint64_t ticket, uint32_t s) {
        uint32_t version = (uint32_t) w->now.versions[s] + 1;
        StoreTask t = example_task(s, version);

        if (store)
                require(store_update(store, &t) == 0);
        note(w, OP_UPDATE, ticket, s, version);
}

void workload_append(Workload *w, Store *store, uint64_t ticket) {
        size_t n = 1 + workload_random(w, 6);

        for (size_t i = 0; i < n; i++) {
                uint64_t kind = workload_random(w, 20);
                uint32_t s = choose(w, kind >= 13);
                char name[32];

                if (kind == 19) {
                        uint32_t type = (uint32_t) workload_random(w, TYPES_MAX);

                        (void) snprintf(name, sizeof(name), "type-%d", (int) type);
                        if (store)
                                require(store_add_type(store, name) == 0);
                        note(w, OP_TYPE, ticket, 0, type);
                } else if (kind < 5 || s == UINT32_MAX)
                        submit(w, store, ticket);
                else if (kind < 13)
                        update(w, store, ticket, s);
                else {
                        if (store)
                                require(store_forget(store, s) == 0);
                        note(w, OP_FORGET, ticket, s, 0);
                }
        }
}

static bool contains(const uint64_t *list, size_t n, uint64_t ticket) {
        for (size_t i = 0; i < n; i++)
                if (list[i] == ticket)
                        return true;
        return false;
}

void workload_expect(const Workload *w, uint64_t last, const uint64_t *refused, size_t n_refused,
                     Snapshot *ret) {
        snapshot_clear(ret);
        for (size_t i = 0; i < w->n_ops && w->ops[i].ticket <= last; i++)
                apply(ret, &w->ops[i], contains(refused, n_refused, w->ops[i].ticket));
}

uint64_t workload_check_prefix(const Workload *w, Store *store, uint64_t min, uint64_t max) {
        static Snapshot loaded, expected;

        snapshot_load(&loaded, store);
        for (uint64_t k = min; k <= max; k++) {
                workload_expect(w, k, NULL, 0, &expected);
                if (snapshot_equal(&loaded, &expected))
                        return k;
        }
        (void) fprintf(stderr, "Not the state after any of the batches %d to %d.\n", (int) min,
                       (int) max);
        abort();
}
