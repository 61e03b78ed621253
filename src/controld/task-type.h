/* SPDX-License-Identifier: MIT */
#pragma once

/* The task names that subworkers offer or once offered, each with its queues. A type is never forgotten
 * while the daemon runs: what was offered once may be submitted, and waits. */

#include "retry.h"
#include "task.h"

struct TaskType {
        UT_hash_handle hh;
        char *description;              /* or NULL */
        RetryPolicy *retry;             /* NULL: RETRY_POLICY_DEFAULT */
        TaskList queues[_PRIORITY_MAX]; /* oldest first */
        TAILQ_ENTRY(TaskType)
        ready[_PRIORITY_MAX]; /* in Queue.types while the queue is not empty */
        uint64_t n_queued;
        Worker **workers; /* who offers it now */
        size_t n_workers;
        Task *hint[_PRIORITY_MAX]; /* the last one that was reinserted and still waits */
        uint64_t blocked_turn; /* no worker had room for it in this turn of dispatch, see Queue */
        uint64_t registration; /* the last one that named it */
        bool is_local;         /* the local worker can run it */
        bool wait_logged;
        bool scale_helps;          /* an instance that does not run may offer it */
        uint64_t scale_generation; /* of the ScalePlan as of which the above is known */
        char name[];
};

typedef TAILQ_HEAD(TaskTypeList, TaskType) TaskTypeList;

#define TASK_TYPES_MAX 10000U

TaskType *task_type_find(TaskType *types, const char *name, size_t size);

/* Finds or makes. -ENOMEM, or -ENOSPC when there are TASK_TYPES_MAX already. */
int task_type_get(TaskType **types, const char *name, TaskType **ret);

/* -ENOMEM */
int task_type_add_worker(TaskType *type, Worker *w);
void task_type_remove_worker(TaskType *type, Worker *w);

/* Copies it; NULL: none. -ENOMEM */
int task_type_set_retry(TaskType *type, const RetryPolicy *retry);

void task_types_free(TaskType **types);
