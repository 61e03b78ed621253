/* SPDX-License-Identifier: MIT */

#include "queue.h"
#include "task-extra.h"

void queue_init(Queue *q) {
        *q = (Queue){ .next_sequence = 1, .turn = 1 };
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                TAILQ_INIT(&q->types[p]);
}

static void count_in(Queue *q, Task *t) {
        q->n[t->priority]++;
        t->type->n_queued++;
}

static TaskList *list_for(Queue *q, Task *t) {
        TaskList *list = &t->type->queues[t->priority];

        if (TAILQ_EMPTY(list))
                TAILQ_INSERT_TAIL(&q->types[t->priority], t->type, ready[t->priority]);
        return list;
}

uint64_t queue_next_sequence(Queue *q) {
        return q->next_sequence++;
}

void queue_note_sequence(Queue *q, uint64_t sequence) {
        q->next_sequence = MAX(q->next_sequence, sequence + 1);
}

void queue_push(Queue *q, Task *t) {
        TaskList *list =
                list_for(q, t); /* once: the macro below evaluates its arguments repeatedly */

        TAILQ_INSERT_TAIL(list, t, link);
        count_in(q, t);
}

/* Tasks come back in runs that are in order, from either end: each finds its place beside the one before. */
static Task *first_younger(const TaskType *type, TaskPriority p, uint64_t order) {
        Task *t = type->hint[p] ?: TAILQ_FIRST(&type->queues[p]), *previous;

        while (t && task_order(t) < order)
                t = TAILQ_NEXT(t, link);
        while (t && (previous = TAILQ_PREV(t, TaskList, link)) && task_order(previous) > order)
                t = previous;
        return t;
}

void queue_reinsert(Queue *q, Task *t) {
        TaskList *list = list_for(q, t);
        Task *younger = first_younger(t->type, t->priority, task_order(t));

        if (younger)
                TAILQ_INSERT_BEFORE(younger, t, link);
        else
                TAILQ_INSERT_TAIL(list, t, link);
        t->type->hint[t->priority] = t;
        count_in(q, t);
}

void queue_remove(Queue *q, Task *t) {
        TaskList *list = &t->type->queues[t->priority];

        if (t->type->hint[t->priority] == t)
                t->type->hint[t->priority] = NULL;
        TAILQ_REMOVE(list, t, link);
        if (TAILQ_EMPTY(list))
                TAILQ_REMOVE(&q->types[t->priority], t->type, ready[t->priority]);
        q->n[t->priority]--;
        t->type->n_queued--;
}

static uint64_t oldest(const QueueCursor *c, size_t i) {
        return task_order(TAILQ_FIRST(&c->heap[i]->queues[c->priority]));
}

static void sift_down(QueueCursor *c, size_t i) {
        for (;;) {
                size_t child = 2 * i + 1;
                TaskType *type;

                if (child + 1 < c->n && oldest(c, child + 1) < oldest(c, child))
                        child++;
                if (child >= c->n || oldest(c, i) < oldest(c, child))
                        return;
                type = c->heap[i];
                c->heap[i] = c->heap[child];
                c->heap[child] = type;
                i = child;
        }
}

int queue_cursor_begin(QueueCursor *c, Queue *q, TaskPriority p) {
        size_t n_types = 0;
        TaskType *type;

        *c = (QueueCursor){ .queue = q, .priority = p };
        TAILQ_FOREACH(type, &q->types[p], ready[p])
                n_types++;
        if (n_types == 0)
                return 0;
        c->heap = reallocarray(NULL, n_types, sizeof(TaskType *));
        if (!c->heap)
                return -ENOMEM;
        TAILQ_FOREACH(type, &q->types[p], ready[p]) {
                if (type->blocked_turn != q->turn)
                        c->heap[c->n++] = type;
        }
        for (size_t i = c->n / 2; i > 0; i--)
                sift_down(c, i - 1);
        return 0;
}

Task *queue_cursor_get(const QueueCursor *c) {
        return c->n > 0 ? TAILQ_FIRST(&c->heap[0]->queues[c->priority]) : NULL;
}

static void drop_first(QueueCursor *c) {
        c->heap[0] = c->heap[--c->n];
        sift_down(c, 0);
}

void queue_cursor_take(QueueCursor *c) {
        TaskType *type = c->heap[0];

        queue_remove(c->queue, TAILQ_FIRST(&type->queues[c->priority]));
        if (TAILQ_EMPTY(&type->queues[c->priority]))
                drop_first(c);
        else
                sift_down(c, 0);
}

void queue_cursor_skip_type(QueueCursor *c) {
        c->heap[0]->blocked_turn = c->queue->turn;
        drop_first(c);
}

void queue_cursor_end(QueueCursor *c) {
        free(c->heap);
        *c = (QueueCursor){};
}

uint64_t queue_length(const Queue *q) {
        uint64_t n = 0;

        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                n += q->n[p];
        return n;
}
