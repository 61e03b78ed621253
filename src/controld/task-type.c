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
                type->priority = PRIORITY_NORMAL;
                lane_init(&type->lane, type);
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
        size_t n = type->n_workers + 1;
        Worker **workers = reallocarray(type->workers, n, sizeof(Worker *));
        TypeTerms *terms;

        if (!workers)
                return -ENOMEM;
        type->workers = workers;
        terms = reallocarray(type->terms, n, sizeof(TypeTerms));
        if (!terms)
                return -ENOMEM;
        type->terms = terms;
        type->terms[type->n_workers] = (TypeTerms){};
        type->workers[type->n_workers++] = w;
        type->wait_logged = type->labels_wait_logged = false;
        return 0;
}

void task_type_remove_worker(TaskType *type, Worker *w) {
        for (size_t i = 0; i < type->n_workers; i++)
                if (type->workers[i] == w) {
                        type_terms_done(&type->terms[i]);
                        type->n_workers--;
                        type->workers[i] = type->workers[type->n_workers];
                        type->terms[i] = type->terms[type->n_workers];
                        return;
                }
}

void task_type_set_terms(TaskType *type, const Worker *w, TypeTerms *terms) {
        for (size_t i = 0; i < type->n_workers; i++)
                if (type->workers[i] == w) {
                        type_terms_done(&type->terms[i]);
                        type->terms[i] = *terms;
                        *terms = (TypeTerms){};
                        return;
                }
}

int task_type_apply_terms(TaskType *type, uint64_t now_usec) {
        TypeTerms all = {};
        bool differ = false, is_new;

        if (type->n_workers == 0)
                return 0;
        for (size_t i = 0; i < type->n_workers; i++) {
                bool differs;

                if (type_terms_merge(&all, &type->terms[i], &differs) < 0) {
                        type_terms_done(&all);
                        return -ENOMEM;
                }
                differ = differ || (i > 0 && differs);
        }
        type_terms_done(&type->limits);
        type->limits = all;
        bucket_set_rate(&type->bucket, &all.rate, now_usec);
        is_new = differ && !type->terms_differ;
        type->terms_differ = differ;
        return is_new;
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

static void type_free(TaskType *type) {
        for (size_t i = 0; i < type->n_workers; i++)
                type_terms_done(&type->terms[i]);
        type_terms_done(&type->limits);
        lane_done(&type->lane);
        free(type->description);
        free(type->retry);
        free(type->workers);
        free(type->terms);
        free(type);
}

void task_types_free(TaskType **types) {
        TaskType *type, *next;

        HASH_ITER(hh, *types, type, next) {
                HASH_DEL(*types, type);
                type_free(type);
        }
}
