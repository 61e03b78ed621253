/* SPDX-License-Identifier: MIT */

#include <assert.h>

#include "task-extra.h"
#include "task.h"
#include "time-util.h"

/* Only keys that are not ids themselves need an index; they are rare. */
typedef struct KeyEntry {
        UT_hash_handle hh;
        Task *task;
        size_t size;
        char key[];
} KeyEntry;

static KeyEntry *key_free(KeyEntry **index, KeyEntry *k) {
        HASH_DEL(*index, k);
        free(k);
        return NULL;
}

static KeyEntry *key_find(KeyEntry *index, const char *key, size_t size) {
        KeyEntry *k;

        HASH_FIND(hh, index, key, size, k);
        return k;
}

static int key_add(KeyEntry **index, Task *t, const char *key, size_t size, KeyEntry **ret) {
        KeyEntry *k = malloc(sizeof(*k) + size);

        if (!k)
                return -ENOMEM;
        k->task = t;
        k->size = size;
        memcpy(k->key, key, size);
        HASH_ADD_KEYPTR(hh, *index, k->key, size, k);
        if (!k->hh.tbl) {
                free(k);
                return -ENOMEM;
        }
        *ret = k;
        return 0;
}

int task_new(TaskTable *table, const TaskSpec *spec, Task **ret) {
        Task *t;

        if (task_find(table, &spec->id))
                return -EEXIST;

        t = malloc(sizeof(*t) + spec->arguments_size + spec->options_size);
        if (!t)
                return -ENOMEM;
        *t = (Task){
                .id = spec->id,
                .type = spec->type,
                .priority = (uint8_t) spec->priority,
                .state = TASK_PENDING,
                .created_usec = now_usec(CLOCK_REALTIME),
                .arguments_size = (uint32_t) spec->arguments_size,
                .options_size = (uint32_t) spec->options_size,
        };
        if (spec->arguments_size > 0)
                memcpy(t->payload, spec->arguments, spec->arguments_size);
        if (spec->options_size > 0)
                memcpy(t->payload + spec->arguments_size, spec->options, spec->options_size);

        HASH_ADD(hh, table->tasks, id, sizeof(t->id), t);
        if (!t->hh.tbl) {
                free(t);
                return -ENOMEM;
        }
        table->by_state[t->state]++;
        table->payload_bytes += spec->arguments_size + spec->options_size;
        *ret = t;
        return 0;
}

uint64_t task_payload_bytes(const Task *t) {
        return (uint64_t) t->arguments_size + t->options_size + t->result_size + t->error_size +
               (t->extra ? t->extra->history_size : 0);
}

Task *task_free(TaskTable *table, Task *t) {
        if (!t)
                return NULL;
        assert(!t->waiters);
        if (t->key)
                t->key = key_free(&table->keys, t->key);
        task_drop_unique(table, t);
        table->by_state[t->state]--;
        table->payload_bytes -= task_payload_bytes(t);
        HASH_DEL(table->tasks, t);
        table->n_timed -= t->extra && t->extra->is_timed;
        task_extra_done(t);
        free(t->end);
        free(t);
        return NULL;
}

Task *task_find(const TaskTable *table, const TaskId *id) {
        Task *t;

        HASH_FIND(hh, table->tasks, id, sizeof(*id), t);
        return t;
}

int task_add_key(TaskTable *table, Task *t, const char *key, size_t size) {
        return key_add(&table->keys, t, key, size, &t->key);
}

Task *task_find_by_key(const TaskTable *table, const char *key, size_t size) {
        KeyEntry *k = key_find(table->keys, key, size);

        return k ? k->task : NULL;
}

int task_add_unique(TaskTable *table, Task *t, const char *key, size_t size) {
        return key_add(&table->uniques, t, key, size, &t->unique);
}

Task *task_find_by_unique(const TaskTable *table, const char *key, size_t size) {
        KeyEntry *k = key_find(table->uniques, key, size);

        return k ? k->task : NULL;
}

void task_drop_unique(TaskTable *table, Task *t) {
        if (t->unique)
                t->unique = key_free(&table->uniques, t->unique);
}

struct iovec task_key(const Task *t) {
        return t->key ? (struct iovec){ t->key->key, t->key->size } : (struct iovec){};
}

void task_restore_state(TaskTable *table, Task *t, TaskState state) {
        table->by_state[t->state]--;
        table->by_state[state]++;
        t->state = (uint8_t) state;
}

void task_set_state(TaskTable *table, Task *t, TaskState state) {
        assert(task_state_may_become(t->state, state));
        task_restore_state(table, t, state);
        if (task_state_is_terminal(state))
                t->ended_monotonic_usec = now_usec(CLOCK_MONOTONIC);
}

int task_set_end(TaskTable *table, Task *t, const void *result, size_t result_size,
                 const char *error, size_t error_size, const char *worker_id) {
        size_t id_size = worker_id ? strlen(worker_id) + 1 : 1;
        char *end = malloc(result_size + error_size + id_size);

        if (!end)
                return -ENOMEM;
        if (result_size > 0)
                memcpy(end, result, result_size);
        if (error_size > 0)
                memcpy(end + result_size, error, error_size);
        memcpy(end + result_size + error_size, worker_id ? worker_id : "", id_size);

        table->payload_bytes -= task_payload_bytes(t);
        free(t->end);
        t->end = end;
        t->result_size = (uint32_t) result_size;
        t->error_size = (uint32_t) error_size;
        table->payload_bytes += task_payload_bytes(t);
        return 0;
}

void task_clear_end(TaskTable *table, Task *t) {
        table->payload_bytes -= (uint64_t) t->result_size + t->error_size;
        free(t->end);
        t->end = NULL;
        t->result_size = t->error_size = 0;
}

const char *task_last_worker(const Task *t) {
        const char *id = t->end ? t->end + t->result_size + t->error_size : NULL;

        return id && id[0] ? id : NULL;
}

void task_table_done(TaskTable *table) {
        Task *t, *next;

        HASH_ITER(hh, table->tasks, t, next)
                task_free(table, t);
}
