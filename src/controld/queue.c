/* SPDX-License-Identifier: MIT */

#include <assert.h>

#include "queue.h"
#include "task-extra.h"

void queue_init(Queue *q) {
        *q = (Queue){ .next_sequence = 1, .turn = 1 };
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                TAILQ_INIT(&q->lanes[p]);
}

uint64_t queue_next_sequence(Queue *q) {
        return q->next_sequence++;
}

void queue_note_sequence(Queue *q, uint64_t sequence) {
        q->next_sequence = MAX(q->next_sequence, sequence + 1);
}

/* The first task of the strand, or whether its key has room, has changed. */
static void settle(Queue *q, Strand *s, TaskPriority p) {
        Lane *l = s->lane;
        bool ready;

        strand_settle(s, p);
        ready = l->n_heap[p] > 0 || !TAILQ_EMPTY(&l->plain.queues[p]);
        if (ready == l->is_ready[p])
                return;
        l->is_ready[p] = ready;
        if (ready)
                TAILQ_INSERT_TAIL(&q->lanes[p], l, ready[p]);
        else
                TAILQ_REMOVE(&q->lanes[p], l, ready[p]);
}

static void count_in(Queue *q, Strand *s, Task *t) {
        q->n[t->priority]++;
        t->type->n_queued++;
        if (TAILQ_FIRST(&s->queues[t->priority]) == t)
                settle(q, s, t->priority);
}

void queue_push(Queue *q, Task *t) {
        Strand *s = task_strand(t);
        TaskList *list = &s->queues[t->priority]; /* the macro evaluates its arguments repeatedly */

        TAILQ_INSERT_TAIL(list, t, link);
        count_in(q, s, t);
}

/* Tasks come back in runs that are in order, from either end: each finds its place beside the one before. Those whose
 * time has come belong to the end. */
static Task *first_younger(const Strand *s, TaskPriority p, uint64_t order) {
        Task *t = s->hint[p] ?: TAILQ_FIRST(&s->queues[p]), *previous,
             *last = TAILQ_LAST(&s->queues[p], TaskList);

        if (last && task_order(last) < order)
                return NULL;
        while (t && task_order(t) < order)
                t = TAILQ_NEXT(t, link);
        while (t && (previous = TAILQ_PREV(t, TaskList, link)) && task_order(previous) > order)
                t = previous;
        return t;
}

void queue_reinsert(Queue *q, Task *t) {
        Strand *s = task_strand(t);
        TaskList *list = &s->queues[t->priority];
        Task *younger = first_younger(s, t->priority, task_order(t));

        if (younger)
                TAILQ_INSERT_BEFORE(younger, t, link);
        else
                TAILQ_INSERT_TAIL(list, t, link);
        s->hint[t->priority] = t;
        count_in(q, s, t);
}

void queue_remove(Queue *q, Task *t) {
        Strand *s = task_strand(t);
        TaskList *list = &s->queues[t->priority];
        bool was_first = TAILQ_FIRST(list) == t;

        if (s->hint[t->priority] == t)
                s->hint[t->priority] = NULL;
        TAILQ_REMOVE(list, t, link);
        q->n[t->priority]--;
        t->type->n_queued--;
        if (was_first)
                settle(q, s, t->priority);
}

/* The count of the key has just passed this number, up or down. */
static void settle_key(Queue *q, LaneKey *key, uint64_t max) {
        Strand *s;

        TAILQ_FOREACH(s, &key->strands, of_key) {
                if (s->id.max != max)
                        continue;
                for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                        settle(q, s, p);
        }
}

void queue_lease(Queue *q, Task *t) {
        LaneKey *key = task_strand(t)->id.key;

        t->type->n_leased++;
        if (key) {
                key->n_leased++;
                settle_key(q, key, key->n_leased);
        }
}

void queue_unlease(Queue *q, Task *t) {
        LaneKey *key = task_strand(t)->id.key;

        assert(t->type->n_leased > 0);
        t->type->n_leased--;
        if (key) {
                key->n_leased--;
                settle_key(q, key, (uint64_t) key->n_leased + 1);
        }
}

uint64_t queue_length(const Queue *q) {
        uint64_t n = 0;

        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                n += q->n[p];
        return n;
}
