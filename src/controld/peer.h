/* SPDX-License-Identifier: MIT */
#pragma once

/* The other side of one connection to one of our endpoints, as far as we must remember anything of it: that
 * it is a subworker, the results it waits for, its misbehaviour. */

#include "task.h"

typedef struct Endpoint Endpoint;
typedef struct Peer Peer;

/* One client waits for one task. It hangs at the task until that ends, then in the peer's `ready` until it
 * is sent. */
struct Waiter {
        Peer *peer;
        Task *task;
        Waiter *next; /* at the task */
        TAILQ_ENTRY(Waiter) link;
};

typedef TAILQ_HEAD(WaiterList, Waiter) WaiterList;

struct Peer {
        UT_hash_handle hh; /* by routing id */
        Endpoint *endpoint;
        Worker *worker; /* if it registered */
        WaiterList waiting, ready;
        TAILQ_ENTRY(Peer) dirty; /* in PeerList while `ready` is not empty */
        bool is_dirty;
        bool is_stalled; /* did not read lately: not tried again before the next tick */
        uint32_t n_waiters;
        uint32_t n_pending; /* answers in the ledger */
        uint32_t n_refused; /* messages that broke the protocol */
        uint32_t routing_size;
        uint8_t routing[];
};

typedef TAILQ_HEAD(PeerList, Peer) PeerList;

static inline bool peer_is_forgettable(const Peer *p) {
        return !p->worker && p->n_waiters == 0 && p->n_pending == 0;
}

Peer *peer_find(Peer *peers, const void *routing, size_t size);
/* Finds or makes. -ENOMEM. */
int peer_get(Peer **peers, Endpoint *e, const void *routing, size_t size, Peer **ret);
/* Drops its waiters; it must not be a worker's. Returns NULL. */
Peer *peer_free(Peer **peers, PeerList *dirty, Peer *p);

/* Lets the peer wait for the task, which may have ended already; waiting twice is waiting once. -ENOMEM. */
int peer_wait(Peer *p, Task *t, PeerList *dirty);
void peer_forget(Peer *p, Task *t, PeerList *dirty);

/* The task has ended: moves each of its waiters to the ready list of its peer. */
void waiters_ready(Task *t, PeerList *dirty);
/* It will be tried again: those that are ready wait for its next end. To be called before its state changes. */
void waiters_wait_again(Task *t, PeerList *dirty);
/* The task is about to be freed: drops waiters, also those that are ready. */
void waiters_drop(Task *t, PeerList *dirty);
Waiter *waiter_free(Waiter *w, PeerList *dirty);
