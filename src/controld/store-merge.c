/* SPDX-License-Identifier: MIT */

/* What is written together need not be written twice: of all updates of a task only the last counts, and a
 * task that came and went within one group leaves no trace at all. */

#include <assert.h>

#include "store-batch.h"

#define KEEP_TASKS_MAX (64U * 1024U) /* entries to keep for the next group */

static bool comes_untouched(const StoreTask *t) {
        return t->state == TASK_QUEUED && t->attempt == 0 && t->crashes == 0 && !t->worker &&
               !t->cancel_asked && t->started_usec == 0 && t->completed_usec == 0 &&
               t->due_usec == 0 && t->expires_usec == 0 && t->retries == 0 &&
               t->result.iov_len == 0 && t->error.iov_len == 0 && t->history.iov_len == 0;
}

static StoreMergedTask *get_task(StoreMerge *m, uint64_t sequence) {
        /* Sequences run on: a multiplication spreads them, the high half decides. */
        size_t i = (size_t) ((sequence * UINT64_C(0x9e3779b97f4a7c15)) >> 32);

        for (;; i++) {
                uint32_t *place = &m->index[i & (m->n_index - 1)];

                if (*place == 0) {
                        m->tasks[m->n] = (StoreMergedTask){ .sequence = sequence };
                        *place = (uint32_t) ++m->n;
                        return &m->tasks[m->n - 1];
                }
                if (m->tasks[*place - 1].sequence == sequence)
                        return &m->tasks[*place - 1];
        }
}

static void add(StoreMerge *m, const StoreChange *c) {
        StoreMergedTask *t;

        if (c->kind == STORE_CHANGE_TYPE) {
                m->types[m->n_types++] = c->task.name;
                return;
        }
        if (c->kind > STORE_CHANGE_TYPE || c->kind == STORE_CHANGE_PAUSE ||
            c->kind == STORE_CHANGE_RESUME) {
                m->schedules[m->n_schedules++] = c;
                return;
        }
        t = get_task(m, c->task.sequence);
        switch (c->kind) {
        case STORE_CHANGE_SUBMIT:
                t->submit = &c->task;
                t->update = comes_untouched(&c->task) ? NULL : &c->task;
                break;
        case STORE_CHANGE_UPDATE:
                if (t->submit || !t->forget)
                        t->update = &c->task;
                break;
        default:
                t->forget = t->forget || !t->submit;
                t->submit = t->update = NULL;
        }
}

static bool goes_with_submits(StoreChangeKind kind) {
        return kind == STORE_CHANGE_SUBMIT || kind == STORE_CHANGE_SCHEDULE_PROGRESS;
}

/* Room for n changes, all different. */
static int reserve(StoreMerge *m, size_t n) {
        size_t n_index = 8;

        m->n = m->n_types = m->n_schedules = 0;
        while (n_index < 2 * n)
                n_index *= 2;
        if (!m->index || n > m->n_allocated || m->n_allocated > KEEP_TASKS_MAX) {
                store_merge_done(m);
                m->n_allocated = n_index / 2;
                m->tasks = reallocarray(NULL, m->n_allocated, sizeof(*m->tasks));
                m->types = reallocarray(NULL, m->n_allocated, sizeof(*m->types));
                m->schedules = reallocarray(NULL, m->n_allocated, sizeof(StoreChange *));
                m->index = reallocarray(NULL, n_index, sizeof(*m->index));
                if (!m->tasks || !m->types || !m->schedules || !m->index) {
                        store_merge_done(m);
                        return -ENOMEM;
                }
        }
        m->n_index = n_index;
        memset(m->index, 0, n_index * sizeof(*m->index));
        return 0;
}

int store_merge(StoreMerge *m, const StoreBatch *first, const StoreBatch *last) {
        size_t n = 0;
        int r;

        for (const StoreBatch *b = first;; b = b->next) {
                n += b->n_changes;
                if (b == last)
                        break;
        }
        assert(n < UINT32_MAX);
        r = reserve(m, n);
        if (r < 0)
                return r;
        m->is_end = last->is_end;
        for (const StoreBatch *b = first;; b = b->next) {
                for (const StoreChange *c = b->first; c; c = c->next)
                        if (!b->is_refused || !goes_with_submits(c->kind))
                                add(m, c);
                if (b == last)
                        break;
        }
        return 0;
}

void store_merge_done(StoreMerge *m) {
        free(m->tasks);
        free(m->types);
        free(m->schedules);
        free(m->index);
        *m = (StoreMerge){};
}
