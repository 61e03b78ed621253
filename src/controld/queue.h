/* SPDX-License-Identifier: MIT */
#pragma once

/* The order in which tasks wait: by priority, then by age. Each lane (see lane.h) has lists for each priority, so that
 * tasks for which no worker has room never stand in the way of others. Pure: no I/O, no clock. */

#include "task-type.h"

typedef struct Queue {
        LaneList lanes[_PRIORITY_MAX]; /* those with tasks that may be begun at this priority */
        LaneKey *keys;
        uint64_t n[_PRIORITY_MAX]; /* all that wait */
        bool is_paused[_PRIORITY_MAX];
        uint64_t next_sequence;
        uint64_t turn; /* of dispatch: a type or a lane that is blocked is so for one turn */
        /* What waited so long counts as one priority higher, and after twice that time as two; 0: never. */
        uint64_t ageing_usec;
        uint64_t now_usec; /* CLOCK_REALTIME of the turn; needed for ageing only */
} Queue;

void queue_init(Queue *q);

/* The sequence number of the next task; the caller keeps it in the task. */
uint64_t queue_next_sequence(Queue *q);
/* This number was given before the restart. */
void queue_note_sequence(Queue *q, uint64_t sequence);

/* Appends; its sequence number (if it has one: its order, see task-extra.h) must be greater than that of any task appended before. */
void queue_push(Queue *q, Task *t);

/* Puts a task back where its age says, which is at the front as older ones have gone. */
void queue_reinsert(Queue *q, Task *t);

void queue_remove(Queue *q, Task *t);

/* A task that was taken from the queue is leased, or is not any more: counts for its type and its key. */
void queue_lease(Queue *q, Task *t);
void queue_unlease(Queue *q, Task *t);

/* --- queue-cursor.c ------------------------------------------------------------------------------- */

typedef struct QueueEntry {
        Lane *lane;
        uint64_t
                order; /* of its first task when it was last looked at; that only grows during a walk */
        TaskPriority priority;
} QueueEntry;

/* Walks the tasks that may be begun and that count as of one priority, from the oldest to the youngest, leaving out lanes
 * for which nobody has room, and paused priorities. Between begin and end the queue may only be changed by
 * queue_cursor_take(), queue_remove() and queue_lease(). */
typedef struct QueueCursor {
        Queue *queue;
        TaskPriority priority;
        QueueEntry *heap; /* those not left out, the one with the oldest task first */
        size_t n;
} QueueCursor;

/* -ENOMEM */
int queue_cursor_begin(QueueCursor *c, Queue *q, TaskPriority p);
/* The oldest task, or NULL; it stays in the queue. */
Task *queue_cursor_get(QueueCursor *c);
/* Takes that task from the queue. */
void queue_cursor_take(QueueCursor *c);
/* Leaves its lane, or all lanes of its type, out from now on. */
void queue_cursor_skip_lane(QueueCursor *c);
void queue_cursor_skip_type(QueueCursor *c);
void queue_cursor_end(QueueCursor *c);

uint64_t queue_length(const Queue *q);

/* --- queue-sample.c: for people -------------------------------------------------------------------- */

/* The first n tasks that wait at this priority, also those that may not be begun now. Returns how many there are, or
 * -ENOMEM. */
int queue_sample(TaskType *types, TaskPriority p, Task *ret[], size_t n);
