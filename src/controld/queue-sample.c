/* SPDX-License-Identifier: MIT */

#include "queue.h"
#include "task-extra.h"

/* The next task of each strand, the oldest first. */
typedef struct Heads {
        Task **heap;
        size_t n, allocated;
} Heads;

static void sift_down(Heads *h, size_t i) {
        for (;;) {
                size_t child = 2 * i + 1;
                Task *t;

                if (child + 1 < h->n && task_order(h->heap[child + 1]) < task_order(h->heap[child]))
                        child++;
                if (child >= h->n || task_order(h->heap[i]) < task_order(h->heap[child]))
                        return;
                t = h->heap[i];
                h->heap[i] = h->heap[child];
                h->heap[child] = t;
                i = child;
        }
}

static int add(Heads *h, Task *t) {
        if (!t)
                return 0;
        if (h->n == h->allocated) {
                size_t n = MAX(2 * h->allocated, (size_t) 64);
                Task **heap = reallocarray(h->heap, n, sizeof(*heap));

                if (!heap)
                        return -ENOMEM;
                h->heap = heap;
                h->allocated = n;
        }
        h->heap[h->n++] = t;
        return 0;
}

static int add_lane(Heads *h, const Lane *l, TaskPriority p) {
        Strand *s, *next;
        int r;

        r = add(h, TAILQ_FIRST(&l->plain.queues[p]));
        HASH_ITER(hh, l->strands, s, next) {
                if (r >= 0)
                        r = add(h, TAILQ_FIRST(&s->queues[p]));
        }
        return r;
}

static int add_all(Heads *h, TaskType *types, TaskPriority p) {
        TaskType *type, *next_type;
        Lane *l, *next;
        int r;

        HASH_ITER(hh, types, type, next_type) {
                if (type->n_queued == 0)
                        continue;
                r = add_lane(h, &type->lane, p);
                HASH_ITER(hh, type->lanes, l, next) {
                        if (r >= 0)
                                r = add_lane(h, l, p);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

int queue_sample(TaskType *types, TaskPriority p, Task *ret[], size_t n) {
        Heads h = {};
        size_t i = 0;
        int r;

        r = add_all(&h, types, p);
        for (size_t k = h.n / 2; k > 0; k--)
                sift_down(&h, k - 1);
        for (; r >= 0 && i < n && h.n > 0; i++) {
                Task *next;

                ret[i] = h.heap[0];
                next = TAILQ_NEXT(ret[i], link);
                h.heap[0] = next ?: h.heap[--h.n];
                sift_down(&h, 0);
        }
        free(h.heap);
        return r < 0 ? r : (int) i;
}
