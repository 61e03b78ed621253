/* SPDX-License-Identifier: MIT */

#include <assert.h>

#include "parse-util.h"
#include "time-util.h"
#include "worker.h"

static const char *const worker_state_table[_WORKER_STATE_MAX] = {
        [WORKER_ACTIVE] = "active",
        [WORKER_DRAINING] = "draining",
        [WORKER_AWAITED] = "awaited",
        [WORKER_INACTIVE] = "inactive",
};

DEFINE_STRING_TABLE(worker_state, WorkerState);

void worker_registry_init(WorkerRegistry *r) {
        *r = (WorkerRegistry){};
        TAILQ_INIT(&r->unsent);
}

Worker *worker_find(const WorkerRegistry *r, const char *id) {
        Worker *w;

        HASH_FIND_STR(r->workers, id, w);
        return w;
}

/* Those that will not come back must not keep new ones out. */
static void forget_longest_inactive(WorkerRegistry *r) {
        Worker *w, *next, *longest = NULL;

        HASH_ITER(hh, r->workers, w, next) {
                if (w->state == WORKER_INACTIVE &&
                    (!longest || w->last_seen_usec < longest->last_seen_usec))
                        longest = w;
        }
        worker_free(r, longest);
}

int worker_new(WorkerRegistry *r, const char *id, Worker **ret) {
        Worker *w;

        if (HASH_COUNT(r->workers) >= WORKERS_MAX)
                forget_longest_inactive(r);
        if (HASH_COUNT(r->workers) >= WORKERS_MAX)
                return -ENOSPC;
        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->state = WORKER_INACTIVE;
        TAILQ_INIT(&w->leases);
        w->id = strdup(id);
        if (!w->id) {
                free(w);
                return -ENOMEM;
        }
        HASH_ADD_KEYPTR(hh, r->workers, w->id, strlen(w->id), w);
        if (!w->hh.tbl) {
                free(w->id);
                free(w);
                return -ENOMEM;
        }
        *ret = w;
        return 0;
}

static void clear_types(Worker *w) {
        for (size_t i = 0; i < w->n_types; i++)
                task_type_remove_worker(w->types[i], w);
        w->n_types = 0;
}

Worker *worker_free(WorkerRegistry *r, Worker *w) {
        if (!w)
                return NULL;
        assert(w->n_leased == 0);
        for (size_t i = 0; i < w->n_types; i++) {
                task_type_remove_worker(w->types[i], w);
                (void) task_type_apply_terms(w->types[i], now_usec(CLOCK_MONOTONIC));
        }
        worker_detach(w);
        HASH_DEL(r->workers, w);
        free(w->types);
        strv_free(w->labels);
        free(w->id);
        free(w->address);
        free(w->host);
        free(w);
        return NULL;
}

void worker_attach(Worker *w, Peer *peer) {
        worker_detach(w);
        w->peer = peer;
        w->lost_usec = 0;
        peer->worker = w;
}

void worker_detach(Worker *w) {
        if (w->peer)
                w->peer->worker = NULL;
        w->peer = NULL;
}

int worker_set_types(Worker *w, TaskType **types, size_t n) {
        TaskType **fresh = calloc(n + 1, sizeof(TaskType *));
        int r;

        if (!fresh)
                return -ENOMEM;
        clear_types(w);
        free(w->types);
        w->types = fresh;
        for (size_t i = 0; i < n; i++) {
                r = task_type_add_worker(types[i], w);
                if (r < 0)
                        return r;
                w->types[w->n_types++] = types[i];
        }
        return 0;
}

bool worker_has_labels(const Worker *w, char *const *labels) {
        STRV_FOREACH(label, (char **) labels)
                if (!strv_contains(w->labels, *label))
                        return false;
        return true;
}

void worker_seen(Worker *w) {
        w->last_seen_usec = now_usec(CLOCK_MONOTONIC);
        w->last_seen_realtime_usec = now_usec(CLOCK_REALTIME);
}

size_t worker_count(const WorkerRegistry *r, WorkerState state) {
        Worker *w, *next;
        size_t n = 0;

        HASH_ITER(hh, r->workers, w, next) {
                if (!w->local && w->state == state)
                        n++;
        }
        return n;
}
