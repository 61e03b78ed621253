/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of the coordinator's parts share: types, tasks and workers in one line each. */

#include <inttypes.h>

#include "check-util.h"
#include "queue.h"
#include "time-util.h"
#include "worker.h"

#define ck_assert_id_eq(a, b)                                                              \
        do {                                                                               \
                TaskId _a = (a), _b = (b);                                                 \
                ck_assert_msg(task_id_equal(&_a, &_b), "%s and %s are different", #a, #b); \
        } while (false)
#define ck_assert_id_ne(a, b)                                                              \
        do {                                                                               \
                TaskId _a = (a), _b = (b);                                                 \
                ck_assert_msg(!task_id_equal(&_a, &_b), "%s and %s are the same", #a, #b); \
        } while (false)

/* Makes or finds; there must be room. */
_unused_ static TaskType *make_type(TaskType **types, const char *name) {
        TaskType *type = NULL;

        ck_assert_int_eq(task_type_get(types, name, &type), 0);
        return type;
}

_unused_ static TaskSpec make_spec(TaskType *type, TaskPriority priority) {
        TaskSpec spec = { .type = type, .priority = priority };

        ck_assert_int_eq(task_id_new(&spec.id), 0);
        return spec;
}

/* A new task in state queued, in no list. */
_unused_ static Task *make_task(TaskTable *table, TaskType *type, TaskPriority priority) {
        TaskSpec spec = make_spec(type, priority);
        Task *t = NULL;

        ck_assert_int_eq(task_new(table, &spec, &t), 0);
        task_set_state(table, t, TASK_QUEUED);
        return t;
}

/* The same, in the queue. */
_unused_ static Task *push_task(TaskTable *table, Queue *q, TaskType *type, TaskPriority priority) {
        Task *t = make_task(table, type, priority);

        t->sequence = queue_next_sequence(q);
        queue_push(q, t);
        return t;
}

/* Takes it to its end, as if a worker had done so. */
_unused_ static void succeed(TaskTable *table, Task *t) {
        task_set_state(table, t, TASK_ASSIGNED);
        task_set_state(table, t, TASK_SUCCESS);
}

_unused_ static Worker *make_worker(WorkerRegistry *r, const char *id, TaskType *type, Peer *peer) {
        Worker *w = NULL;

        ck_assert_int_eq(worker_new(r, id, &w), 0);
        w->state = WORKER_ACTIVE;
        w->slots = w->capacity = 1;
        w->lease_usec = 30 * USEC_PER_SEC;
        worker_seen(w);
        if (peer)
                worker_attach(w, peer);
        if (type)
                ck_assert_int_eq(worker_set_types(w, &type, 1), 0);
        return w;
}
