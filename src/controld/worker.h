/* SPDX-License-Identifier: MIT */
#pragma once

/* The subworkers: who is there, what they offer, what they hold. */

#include "peer.h"
#include "task-type.h"

typedef enum WorkerState {
        WORKER_ACTIVE,
        WORKER_DRAINING, /* finishes what it has, gets nothing more */
        WORKER_AWAITED,  /* known from before a restart by what it holds, not back yet */
        WORKER_INACTIVE, /* silent or disconnected for too long: its tasks were queued again */
        _WORKER_STATE_MAX,
        _WORKER_STATE_INVALID = -EINVAL,
} WorkerState;

DECLARE_STRING_TABLE(worker_state, WorkerState);

struct Worker {
        UT_hash_handle hh;         /* by id */
        char *id, *address, *host; /* address and host as the worker told them; may be NULL */
        uint64_t pid;
        bool is_stalled; /* does not read: gets nothing before the next tick */
        bool local;      /* started by controld itself */
        bool on_demand;  /* it was told that it is woken when needed, and so may leave when idle */
        bool is_drained; /* an administrator wants it to get nothing more */
        bool is_leaving; /* it wants nothing more itself */
        char **labels;   /* sorted; NULL: none */
        WorkerState state;
        Peer *peer; /* its connection; NULL when that is gone */
        uint32_t slots,
                capacity; /* tasks it runs at once; unfinished tasks it is willing to hold */
        uint32_t n_leased;
        uint32_t n_unsent; /* the last so many of `leases` were assigned in this turn */
        TaskList leases;   /* in the order of assignment */
        TaskType **types;
        size_t n_types;
        uint64_t lease_usec;     /* the silence it was told it may keep */
        uint64_t last_seen_usec; /* CLOCK_MONOTONIC */
        uint64_t last_seen_realtime_usec;
        uint64_t lost_usec;     /* when its connection was found gone; 0: it is there */
        uint64_t last_assigned; /* a counter: breaks ties between equally loaded ones */
        uint64_t n_done;
        TAILQ_ENTRY(Worker) unsent; /* in WorkerRegistry.unsent while n_unsent > 0 */
};

typedef struct WorkerRegistry {
        Worker *workers;
        TAILQ_HEAD(, Worker) unsent;
        uint64_t n_assigned;      /* gives last_assigned */
        uint64_t n_registrations; /* gives TaskType.registration */
} WorkerRegistry;

#define WORKERS_MAX         10000U
#define WORKER_SLOTS_MAX    1000U /* a REGISTER names every lease, and has WIRE_BATCH_MAX groups */
#define WORKER_CAPACITY_MAX 1000U

void worker_registry_init(WorkerRegistry *r);

Worker *worker_find(const WorkerRegistry *r, const char *id);
/* A new one, inactive and without connection. -ENOMEM, -ENOSPC at WORKERS_MAX. */
int worker_new(WorkerRegistry *r, const char *id, Worker **ret);
/* It must hold no leases. Takes it from its types and its peer. Returns NULL. */
Worker *worker_free(WorkerRegistry *r, Worker *w);

void worker_attach(Worker *w, Peer *peer);
void worker_detach(Worker *w);

/* Replaces what it offers. -ENOMEM leaves it offering a part. */
int worker_set_types(Worker *w, TaskType **types, size_t n);

/* Whether it has all of these labels (NULL: none). */
bool worker_has_labels(const Worker *w, char *const *labels);

void worker_seen(Worker *w);

/* Number in that state, not counting local ones. */
size_t worker_count(const WorkerRegistry *r, WorkerState state);
