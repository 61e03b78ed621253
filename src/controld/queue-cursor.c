/* SPDX-License-Identifier: MIT */

#include "queue.h"
#include "task-extra.h"

/* Whether the lane's first task of that priority counts as one of the cursor's. */
static bool counts_here(const QueueCursor *c, const Task *t, TaskPriority p) {
        const Queue *q = c->queue;
        uint64_t since;

        if (p == c->priority)
                return true;
        since = task_waits_since(t);
        return q->now_usec > since &&
               (q->now_usec - since) / q->ageing_usec >= (uint64_t) (p - c->priority);
}

static bool is_blocked(const QueueCursor *c, const Lane *l) {
        return l->blocked_turn == c->queue->turn || l->type->blocked_turn == c->queue->turn;
}

static void sift_down(QueueCursor *c, size_t i) {
        for (;;) {
                size_t child = 2 * i + 1;
                QueueEntry e;

                if (child + 1 < c->n && c->heap[child + 1].order < c->heap[child].order)
                        child++;
                if (child >= c->n || c->heap[i].order < c->heap[child].order)
                        return;
                e = c->heap[i];
                c->heap[i] = c->heap[child];
                c->heap[child] = e;
                i = child;
        }
}

/* The last priority whose tasks may count as of this one. */
static TaskPriority last_priority(const QueueCursor *c) {
        return c->queue->ageing_usec > 0 ? _PRIORITY_MAX - 1 : c->priority;
}

static void add_lanes(QueueCursor *c, TaskPriority p) {
        Lane *l;

        TAILQ_FOREACH(l, &c->queue->lanes[p], ready[p]) {
                const Task *t;

                if (is_blocked(c, l))
                        continue;
                t = lane_first(l, p);
                if (counts_here(c, t, p))
                        c->heap[c->n++] =
                                (QueueEntry){ .lane = l, .order = task_order(t), .priority = p };
        }
}

int queue_cursor_begin(QueueCursor *c, Queue *q, TaskPriority p) {
        size_t n = 0;
        Lane *l;

        *c = (QueueCursor){ .queue = q, .priority = p };
        for (TaskPriority k = p; k <= last_priority(c); k++)
                TAILQ_FOREACH(l, &q->lanes[k], ready[k])
                        n += !q->is_paused[k];
        if (n == 0)
                return 0;
        c->heap = reallocarray(NULL, n, sizeof(*c->heap));
        if (!c->heap)
                return -ENOMEM;
        for (TaskPriority k = p; k <= last_priority(c); k++)
                if (!q->is_paused[k])
                        add_lanes(c, k);
        for (size_t i = c->n / 2; i > 0; i--)
                sift_down(c, i - 1);
        return 0;
}

static void drop_first(QueueCursor *c) {
        c->heap[0] = c->heap[--c->n];
        sift_down(c, 0);
}

/* What has changed since an entry was looked at shows when it comes first. */
Task *queue_cursor_get(QueueCursor *c) {
        while (c->n > 0) {
                QueueEntry *e = &c->heap[0];
                Task *t = lane_first(e->lane, e->priority);

                if (!t || is_blocked(c, e->lane) || !counts_here(c, t, e->priority)) {
                        drop_first(c);
                        continue;
                }
                if (task_order(t) == e->order)
                        return t;
                e->order = task_order(t);
                sift_down(c, 0);
        }
        return NULL;
}

void queue_cursor_take(QueueCursor *c) {
        queue_remove(c->queue, lane_first(c->heap[0].lane, c->heap[0].priority));
}

void queue_cursor_skip_lane(QueueCursor *c) {
        c->heap[0].lane->blocked_turn = c->queue->turn;
        drop_first(c);
}

void queue_cursor_skip_type(QueueCursor *c) {
        c->heap[0].lane->type->blocked_turn = c->queue->turn;
        drop_first(c);
}

void queue_cursor_end(QueueCursor *c) {
        free(c->heap);
        *c = (QueueCursor){};
}
