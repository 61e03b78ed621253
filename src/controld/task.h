/* SPDX-License-Identifier: MIT */
#pragma once

/* The task record and the table of all tasks by id. Memory is the authority while the daemon runs; a record
 * is kept small because a million of them may wait. */

#include <sys/queue.h>
#include <sys/uio.h>

#include "hash.h"
#include "task-id.h"
#include "task-state.h"

typedef struct Task Task;
typedef struct TaskExtra TaskExtra;
typedef struct TaskType TaskType;
typedef struct Waiter Waiter;
typedef struct Worker Worker;

typedef TAILQ_HEAD(TaskList, Task) TaskList;

struct Task {
        UT_hash_handle hh;
        TAILQ_ENTRY(Task)
        link; /* one of: a queue, a worker's leases, the results by last access, those
                                 * that return to their queue */
        TAILQ_ENTRY(Task) by_age; /* the results by completion; else unused */
        TaskId id;
        TaskType *type;
        Worker *worker;    /* who holds the lease; after the end NULL */
        Waiter *waiters;   /* clients that want the result pushed */
        TaskExtra *extra;  /* times, retries: see task-extra.h; NULL for most */
        uint64_t sequence; /* place in the queue, smaller is older; its key in the store */
        /* Never two of them at once. */
        union {
                /* From when it is queued until it is leased: since when it waits. */
                uint64_t queued_monotonic_usec;
                /* While is_returning: when its return to the queue is safe. */
                uint64_t return_ticket;
                /* Once it has ended: what the time to live of its result counts from. */
                uint64_t ended_monotonic_usec;
        };
        uint64_t created_usec, started_usec, completed_usec; /* CLOCK_REALTIME, 0: not yet */
        struct KeyEntry *key;    /* in the index of keys; NULL for most */
        struct KeyEntry *unique; /* in the index of unique keys, until the end; NULL for most */
        char *end; /* result bytes, then error text, then the last worker's id and NUL */
        uint32_t arguments_size, options_size, result_size, error_size;
        uint32_t attempt; /* the lease's fencing token, counted from 1 */
        uint8_t state;    /* TaskState */
        uint8_t priority; /* TaskPriority */
        bool cancel_asked;
        bool in_memory;        /* by the submitter's wish the store does not know it */
        bool is_ending;        /* its end is not yet safe */
        uint8_t end_state;     /* TaskState: what it will be then */
        uint8_t crashes;       /* attempts that ended with the death of the runner */
        bool is_held : 1;      /* only while a worker registers: it named this lease */
        bool is_returning : 1; /* queued again, but in no queue before that is safe */
        bool may_be_held : 1; /* after a restart: somebody may have the last attempt, unknown to the store */
        char payload[]; /* arguments, then options */
};

/* All tasks, and how many there are in each state. */
typedef struct TaskTable {
        Task *tasks;
        uint64_t by_state[_TASK_STATE_MAX];
        uint64_t payload_bytes; /* arguments, options, results and histories */
        size_t n_timed;         /* tasks that may stand in the heap of timers */
        struct KeyEntry *keys, *uniques;
} TaskTable;

typedef struct TaskSpec {
        TaskType *type;
        TaskPriority priority;
        TaskId id;
        const void *arguments, *options;
        size_t arguments_size, options_size;
} TaskSpec;

/* A new task in state pending, entered in the table. -ENOMEM; -EEXIST if the id is taken. */
int task_new(TaskTable *table, const TaskSpec *spec, Task **ret);
/* Takes it out of the table. It must stand in no list and have no waiters. Returns NULL. */
Task *task_free(TaskTable *table, Task *t);
Task *task_find(const TaskTable *table, const TaskId *id);

/* Remembers that `key` made this task, until it is freed. -ENOMEM. */
int task_add_key(TaskTable *table, Task *t, const char *key, size_t size);
Task *task_find_by_key(const TaskTable *table, const char *key, size_t size);

/* While it has not ended, no other task has this unique key; dropped by its end. -ENOMEM. */
int task_add_unique(TaskTable *table, Task *t, const char *key, size_t size);
Task *task_find_by_unique(const TaskTable *table, const char *key, size_t size);
void task_drop_unique(TaskTable *table, Task *t);

/* The key it was added with; empty if there is none. */
struct iovec task_key(const Task *t);

/* Asserts that the change is legal. */
void task_set_state(TaskTable *table, Task *t, TaskState state);

/* Sets the state of a task that comes from the store. */
void task_restore_state(TaskTable *table, Task *t, TaskState state);

/* Keeps what an ended task leaves. -ENOMEM (nothing changed). */
int task_set_end(TaskTable *table, Task *t, const void *result, size_t result_size,
                 const char *error, size_t error_size, const char *worker_id);

static inline const char *task_arguments(const Task *t) {
        return t->payload;
}
static inline const char *task_options(const Task *t) {
        return t->payload + t->arguments_size;
}
static inline const char *task_result(const Task *t) {
        return t->end ? t->end : "";
}
static inline const char *task_error(const Task *t) {
        return t->end ? t->end + t->result_size : "";
}
/* Of arguments, options, result, error and history. */
uint64_t task_payload_bytes(const Task *t);

/* Forgets the result and the error. */
void task_clear_end(TaskTable *table, Task *t);

/* The id of the worker that ended it, or NULL. */
const char *task_last_worker(const Task *t);

void task_table_done(TaskTable *table);
