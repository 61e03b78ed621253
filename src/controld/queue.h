/* SPDX-License-Identifier: MIT */
#pragma once

/* The order in which tasks wait: by priority, then by age. Each type has a list for each priority, so that
 * tasks for which no worker has room never stand in the way of others. Pure: no I/O, no clock. */

#include "task-type.h"

typedef struct Queue {
        TaskTypeList types[_PRIORITY_MAX]; /* those with tasks waiting at this priority */
        uint64_t n[_PRIORITY_MAX];
        uint64_t next_sequence;
        uint64_t turn; /* of dispatch: a type that is blocked is so for one turn */
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

/* Walks the waiting tasks of one priority from the oldest to the youngest, leaving out types for which nobody
 * has room. Between begin and end nothing else may change the queue. */
typedef struct QueueCursor {
        Queue *queue;
        TaskPriority priority;
        TaskType **heap; /* those not left out, the one with the oldest task first */
        size_t n;
} QueueCursor;

/* -ENOMEM */
int queue_cursor_begin(QueueCursor *c, Queue *q, TaskPriority p);
/* The oldest task, or NULL; it stays in the queue. */
Task *queue_cursor_get(const QueueCursor *c);
/* Takes that task from the queue. */
void queue_cursor_take(QueueCursor *c);
/* Leaves its type out from now on. */
void queue_cursor_skip_type(QueueCursor *c);
void queue_cursor_end(QueueCursor *c);

uint64_t queue_length(const Queue *q);
