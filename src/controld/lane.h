/* SPDX-License-Identifier: MIT */
#pragma once

/* Where tasks of a type wait. A lane holds those that the same workers may have: those with the same labels. Within a
 * lane, tasks with the same concurrency key and the same limit for it form a strand; those without a key form the plain
 * strand. A strand whose key is at its limit is out of the way until a task with that key ends, however many
 * such strands there are.
 *
 * A type has its lane for tasks without labels of their own, so that a plain task needs nothing. Other lanes and
 * strands live as long as there are tasks that belong to them. */

#include "task.h"

/* So many lanes with labels has a type at most when new tasks are taken: each turn of dispatch looks at all that have tasks. */
#define LANES_MAX 1000U

typedef struct Lane Lane;
typedef struct Strand Strand;
typedef struct LaneKey LaneKey;

typedef TAILQ_HEAD(StrandList, Strand) StrandList;
typedef TAILQ_HEAD(LaneList, Lane) LaneList;

/* A concurrency key, of whatever types the tasks are. */
struct LaneKey {
        UT_hash_handle hh;
        uint32_t n_leased;
        StrandList strands;
        size_t size;
        char text[];
};

typedef struct StrandId {
        LaneKey *key; /* NULL: the plain strand */
        uint64_t max; /* at so many leased tasks with the key, none is begun */
} StrandId;

struct Strand {
        UT_hash_handle hh; /* in Lane.strands, but for the plain one */
        StrandId id;
        Lane *lane;
        size_t n_tasks; /* that belong to it, in the queue or not; not counted for the plain one of a type's lane */
        TAILQ_ENTRY(Strand) of_key;
        TaskList queues[_PRIORITY_MAX]; /* oldest first */
        Task *hint[_PRIORITY_MAX];      /* the last one that was reinserted and still waits */
        size_t place[_PRIORITY_MAX];    /* in Lane.heaps, counted from 1; 0: not there */
};

struct Lane {
        UT_hash_handle hh; /* in TaskType.lanes, but for the type's own */
        TaskType *type;
        char **labels;     /* sorted; NULL: none */
        char *labels_text; /* the same, separated by commas */
        Strand plain;
        Strand *strands; /* by id */
        Strand **heaps
                [_PRIORITY_MAX]; /* those with tasks and room for their key, the one with the oldest task first */
        size_t n_heap[_PRIORITY_MAX], n_allocated;
        TAILQ_ENTRY(Lane)
        ready[_PRIORITY_MAX]; /* in Queue.lanes while there is a task that may be begun */
        bool is_ready[_PRIORITY_MAX];
        uint64_t
                blocked_turn; /* no worker had room for its tasks in this turn of dispatch, see Queue */
};

void lane_init(Lane *l, TaskType *type);
/* For the lane of a type that is freed. */
void lane_done(Lane *l);

/* The task belongs to the strand of this lane from now on; it must be in no queue. labels: sorted, without doubles; key_size
 * 0: no key. -ENOMEM: nothing was changed. */
int lane_enter(LaneKey **keys, Task *t, char *const *labels, const char *key, size_t key_size,
               uint32_t max);
/* It belongs to its type's lane again, where those are that never entered another. */
void lane_leave(Task *t);

Strand *task_strand(const Task *t);
static inline Lane *task_lane(const Task *t) {
        return task_strand(t)->lane;
}

static inline bool strand_is_parked(const Strand *s) {
        return s->id.key && s->id.key->n_leased >= s->id.max;
}

/* The first task of the lane that may be begun, or NULL. */
Task *lane_first(const Lane *l, TaskPriority p);

/* The strand stands in the heap if and as it should, after its first task or its key's count have changed. Its lane's
 * is_ready is left to the caller. */
void strand_settle(Strand *s, TaskPriority p);
