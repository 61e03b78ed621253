/* SPDX-License-Identifier: MIT */

#include "task-type.h"

TaskType *task_type_find(TaskType *types, const char *name, size_t size) {
        TaskType *type;

        HASH_FIND(hh, types, name, size, type);
        return type;
}

int task_type_get(TaskType **types, const char *name, TaskType **ret) {
        size_t size = strlen(name);
        TaskType *type = task_type_find(*types, name, size);

        if (!type) {
                if (HASH_COUNT(*types) >= TASK_TYPES_MAX)
                        return -ENOSPC;
                type = calloc(1, sizeof(*type) + size + 1);
                if (!type)
                        return -ENOMEM;
                memcpy(type->name, name, size + 1);
                for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                        TAILQ_INIT(&type->queues[p]);
                HASH_ADD_KEYPTR(hh, *types, type->name, size, type);
                if (!type->hh.tbl) {
                        free(type);
                        return -ENOMEM;
                }
        }

        *ret = type;
        return 0;
}

int task_type_add_worker(TaskType *type, Worker *w) {
        Worker **workers = reallocarray(type->workers, type->n_workers + 1, sizeof(Worker *));

        if (!workers)
                return -ENOMEM;
        type->workers = workers;
        type->workers[type->n_workers++] = w;
        type->wait_logged = false;
        return 0;
}

void task_type_remove_worker(TaskType *type, Worker *w) {
        for (size_t i = 0; i < type->n_workers; i++)
                if (type->workers[i] == w) {
                        type->workers[i] = type->workers[--type->n_workers];
                        return;
                }
}

int task_type_set_retry(TaskType *type, const RetryPolicy *retry) {
        if (!retry) {
                free(type->retry);
                type->retry = NULL;
                return 0;
        }
        if (!type->retry)
                type->retry = malloc(sizeof(*type->retry));
        if (!type->retry)
                return -ENOMEM;
        *type->retry = *retry;
        return 0;
}

void task_types_free(TaskType **types) {
        TaskType *type, *next;

        HASH_ITER(hh, *types, type, next) {
                HASH_DEL(*types, type);
                free(type->description);
                free(type->retry);
                free(type->workers);
                free(type);
        }
}
