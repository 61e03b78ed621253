/* SPDX-License-Identifier: MIT */

#include "results.h"
#include "time-util.h"

#define STORED_OVERHEAD 128U /* of a task in the store, with its name and its times */
#define MAKE_ROOM_MAX \
        1000U /* results that leave in one call: so many take less than a millisecond */

static uint64_t stored_bytes(const Task *t) {
        return t->in_memory ? 0 : task_payload_bytes(t) + STORED_OVERHEAD;
}

void results_init(Results *r, uint64_t size_max, uint64_t ttl_usec) {
        *r = (Results){ .size_max = size_max, .ttl_usec = ttl_usec };
        TAILQ_INIT(&r->by_access);
        TAILQ_INIT(&r->by_age);
}

void results_add(Results *r, Task *t) {
        TAILQ_INSERT_TAIL(&r->by_access, t, link);
        TAILQ_INSERT_TAIL(&r->by_age, t, by_age);
        r->n++;
        r->bytes += task_payload_bytes(t);
        r->stored_bytes += stored_bytes(t);
}

static bool is_expired(const Results *r, const Task *t, uint64_t now) {
        return r->ttl_usec != USEC_INFINITY && now - t->ended_monotonic_usec > r->ttl_usec;
}

bool results_access(Results *r, Task *t) {
        if (is_expired(r, t, now_usec(CLOCK_MONOTONIC)))
                return false;
        TAILQ_REMOVE(&r->by_access, t, link);
        TAILQ_INSERT_TAIL(&r->by_access, t, link);
        return true;
}

void results_remove(Results *r, Task *t) {
        TAILQ_REMOVE(&r->by_access, t, link);
        TAILQ_REMOVE(&r->by_age, t, by_age);
        r->n--;
        r->bytes -= task_payload_bytes(t);
        r->stored_bytes -= stored_bytes(t);
}

void results_drop(Results *r, TaskTable *table, PeerList *dirty, Task *t) {
        results_remove(r, t);
        if (r->forget)
                r->forget(t, r->userdata);
        waiters_drop(t, dirty);
        task_free(table, t);
}

bool results_is_expired(const Results *r, const Task *t) {
        return task_state_is_terminal(t->state) && is_expired(r, t, now_usec(CLOCK_MONOTONIC));
}

void results_trim(Results *r, TaskTable *table, PeerList *dirty, uint64_t payload_max) {
        while (r->n > r->size_max || (r->n > 0 && r->bytes > payload_max))
                results_drop(r, table, dirty, TAILQ_FIRST(&r->by_access));
}

size_t results_make_room(Results *r, TaskTable *table, PeerList *dirty, uint64_t bytes) {
        uint64_t freed = 0;
        size_t n = 0;
        Task *t, *next;

        if (bytes > r->stored_bytes)
                return 0;
        for (t = TAILQ_FIRST(&r->by_access); t && freed < bytes && n < MAKE_ROOM_MAX; t = next) {
                next = TAILQ_NEXT(t, link);
                if (t->in_memory)
                        continue;
                freed += stored_bytes(t);
                results_drop(r, table, dirty, t);
                n++;
        }
        return n;
}

size_t results_expire(Results *r, TaskTable *table, PeerList *dirty) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        size_t n = 0;
        Task *t;

        while ((t = TAILQ_FIRST(&r->by_age)) && is_expired(r, t, now)) {
                results_drop(r, table, dirty, t);
                n++;
        }
        return n;
}
