/* SPDX-License-Identifier: MIT */

#include "prefetch.h"
#include "average.h"

/* This much work for each slot is fetched ahead: the way from the coordinator's queue to here and the turns
 * of both loops take well below a millisecond, a busy machine several times that. */
#define AHEAD_USEC UINT64_C(3000)

struct Prefetch {
        unsigned max;
        Average average;
        unsigned n_slots, capacity; /* what was announced last */
};

static unsigned ahead(const Prefetch *p, unsigned n_slots) {
        uint64_t each;

        if (!p->average.known || n_slots == 0)
                return 0;
        each = AHEAD_USEC / MAX(average_usec(&p->average), UINT64_C(1));
        return (unsigned) MIN(each * n_slots, (uint64_t) p->max);
}

unsigned prefetch_capacity(Prefetch *p, unsigned n_slots) {
        unsigned capacity = n_slots + ahead(p, n_slots);
        unsigned difference = MAX(capacity, p->capacity) - MIN(capacity, p->capacity);

        /* Fetching nothing ahead any more is always notable. */
        if (n_slots != p->n_slots || difference > p->capacity / 4 || capacity == n_slots) {
                p->n_slots = n_slots;
                p->capacity = capacity;
        }
        return p->capacity;
}

void prefetch_observe(Prefetch *p, uint64_t usec) {
        average_add(&p->average, usec);
}

void prefetch_observe_at_least(Prefetch *p, uint64_t usec) {
        average_raise(&p->average, usec);
}

void prefetch_set_max(Prefetch *p, unsigned max) {
        p->max = max;
        p->n_slots = 0; /* the next announcement is a new one */
        p->capacity = 0;
}

int prefetch_new(unsigned max, Prefetch **ret) {
        Prefetch *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->max = max;
        *ret = p;
        return 0;
}

Prefetch *prefetch_free(Prefetch *p) {
        free(p);
        return NULL;
}
