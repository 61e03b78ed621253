/* SPDX-License-Identifier: MIT */

#include <assert.h>

#include "peer.h"

Peer *peer_find(Peer *peers, const void *routing, size_t size) {
        Peer *p;

        HASH_FIND(hh, peers, routing, size, p);
        return p;
}

int peer_get(Peer **peers, Endpoint *e, const void *routing, size_t size, Peer **ret) {
        Peer *p = peer_find(*peers, routing, size);

        if (!p) {
                p = calloc(1, sizeof(*p) + size);
                if (!p)
                        return -ENOMEM;
                p->endpoint = e;
                p->routing_size = (uint32_t) size;
                memcpy(p->routing, routing, size);
                TAILQ_INIT(&p->waiting);
                TAILQ_INIT(&p->ready);
                HASH_ADD(hh, *peers, routing, size, p);
                if (!p->hh.tbl) {
                        free(p);
                        return -ENOMEM;
                }
        }
        *ret = p;
        return 0;
}

/* A waiter is at its task's list as long as it exists, and in one of the two lists of its peer. */
static void leave_task(Waiter *w) {
        for (Waiter **at = &w->task->waiters; *at; at = &(*at)->next)
                if (*at == w) {
                        *at = w->next;
                        return;
                }
}

static void remove_ready(Peer *p, Waiter *w, PeerList *dirty) {
        TAILQ_REMOVE(&p->ready, w, link);
        if (TAILQ_EMPTY(&p->ready) && p->is_dirty) {
                TAILQ_REMOVE(dirty, p, dirty);
                p->is_dirty = false;
        }
}

Waiter *waiter_free(Waiter *w, PeerList *dirty) {
        Peer *p = w->peer;

        leave_task(w);
        if (task_state_is_terminal(w->task->state))
                remove_ready(p, w, dirty);
        else
                TAILQ_REMOVE(&p->waiting, w, link);
        p->n_waiters--;
        free(w);
        return NULL;
}

Peer *peer_free(Peer **peers, PeerList *dirty, Peer *p) {
        Waiter *w;

        assert(!p->worker);
        while ((w = TAILQ_FIRST(&p->waiting)))
                waiter_free(w, dirty);
        while ((w = TAILQ_FIRST(&p->ready)))
                waiter_free(w, dirty);
        assert(!p->is_dirty);
        HASH_DEL(*peers, p);
        free(p);
        return NULL;
}

static Waiter *find_waiter(const Peer *p, const Task *t) {
        for (Waiter *w = t->waiters; w; w = w->next)
                if (w->peer == p)
                        return w;
        return NULL;
}

static void add_ready(Peer *p, Waiter *w, PeerList *dirty) {
        TAILQ_INSERT_TAIL(&p->ready, w, link);
        if (!p->is_dirty) {
                TAILQ_INSERT_TAIL(dirty, p, dirty);
                p->is_dirty = true;
        }
}

int peer_wait(Peer *p, Task *t, PeerList *dirty) {
        Waiter *w;

        if (find_waiter(p, t))
                return 0;
        w = malloc(sizeof(*w));
        if (!w)
                return -ENOMEM;
        *w = (Waiter){ .peer = p, .task = t, .next = t->waiters };
        t->waiters = w;
        p->n_waiters++;
        if (task_state_is_terminal(t->state))
                add_ready(p, w, dirty);
        else
                TAILQ_INSERT_TAIL(&p->waiting, w, link);
        return 0;
}

void peer_forget(Peer *p, Task *t, PeerList *dirty) {
        Waiter *w = find_waiter(p, t);

        if (w)
                waiter_free(w, dirty);
}

void waiters_ready(Task *t, PeerList *dirty) {
        assert(task_state_is_terminal(t->state));
        for (Waiter *w = t->waiters; w; w = w->next) {
                Peer *p = w->peer;

                TAILQ_REMOVE(&p->waiting, w, link);
                add_ready(p, w, dirty);
        }
}

void waiters_wait_again(Task *t, PeerList *dirty) {
        assert(task_state_is_terminal(t->state));
        for (Waiter *w = t->waiters; w; w = w->next) {
                remove_ready(w->peer, w, dirty);
                TAILQ_INSERT_TAIL(&w->peer->waiting, w, link);
        }
}

void waiters_drop(Task *t, PeerList *dirty) {
        while (t->waiters)
                waiter_free(t->waiters, dirty);
}
