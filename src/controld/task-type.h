/* SPDX-License-Identifier: MIT */
#pragma once

/* The task names that subworkers offer or once offered, each with its queues. A type is never forgotten
 * while the daemon runs: what was offered once may be submitted, and waits. */

#include "lane.h"
#include "limit.h"
#include "retry.h"
#include "type-terms.h"

struct TaskType {
        UT_hash_handle hh;
        char *description;     /* or NULL */
        RetryPolicy *retry;    /* NULL: RETRY_POLICY_DEFAULT */
        TaskPriority priority; /* of submits that name none */
        Lane lane;             /* of tasks without labels of their own */
        Lane *lanes;           /* the others, by their labels */
        uint64_t n_queued;
        Worker **workers; /* who offers it now */
        TypeTerms *terms; /* what each of them says of its limits */
        size_t n_workers;
        uint32_t n_leased;
        TypeTerms limits; /* the strictest of those, as far as somebody offers it */
        Bucket bucket;    /* with their rate */
        bool is_paused;
        bool terms_differ;       /* told */
        uint64_t blocked_turn;   /* no worker had room for it in this turn of dispatch, see Queue */
        uint64_t registration;   /* the last one that named it */
        bool is_local;           /* the local worker can run it */
        bool wait_logged;        /* that nobody offers it */
        bool labels_wait_logged; /* that nobody who does has the labels of some task */
        bool scale_helps;        /* an instance that does not run may offer it */
        uint64_t scale_generation; /* of the ScalePlan as of which the above is known */
        char name[];
};

typedef TAILQ_HEAD(TaskTypeList, TaskType) TaskTypeList;

#define TASK_TYPES_MAX 10000U

TaskType *task_type_find(TaskType *types, const char *name, size_t size);

/* Finds or makes. -ENOMEM, or -ENOSPC when there are TASK_TYPES_MAX already. */
int task_type_get(TaskType **types, const char *name, TaskType **ret);

/* Its terms are no limits at first. -ENOMEM */
int task_type_add_worker(TaskType *type, Worker *w);
void task_type_remove_worker(TaskType *type, Worker *w);

/* Takes over what the worker, who offers it, says; empty then. What holds is left as it was. */
void task_type_set_terms(TaskType *type, const Worker *w, TypeTerms *terms);
/* What holds by the terms of those who offer it now; with nobody it stays. Returns 1 if they differ, for the first time since
 * they were the same. -ENOMEM: nothing was changed. */
int task_type_apply_terms(TaskType *type, uint64_t now_usec);

/* Copies it; NULL: none. -ENOMEM */
int task_type_set_retry(TaskType *type, const RetryPolicy *retry);

void task_types_free(TaskType **types);
