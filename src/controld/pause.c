/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "json-util.h"
#include "log.h"
#include "pause.h"

static const char *const pause_kind_table[_PAUSE_KIND_MAX] = {
        [PAUSE_TYPE] = "type",
        [PAUSE_PRIORITY] = "priority",
        [PAUSE_WORKER] = "worker",
};

DEFINE_STRING_TABLE(pause_kind, PauseKind);

/* It need not be there: what is drained stays so when it comes back. */
typedef struct DrainedWorker {
        UT_hash_handle hh;
        char id[];
} DrainedWorker;

static DrainedWorker *find_drained(const Controld *c, const char *id) {
        DrainedWorker *d;

        HASH_FIND_STR(c->drained, id, d);
        return d;
}

static void show_drained(Worker *w, bool drained) {
        w->is_drained = drained;
        if (drained && w->state == WORKER_ACTIVE)
                w->state = WORKER_DRAINING;
        else if (!drained && w->state == WORKER_DRAINING && !w->is_leaving)
                w->state = WORKER_ACTIVE;
}

static int set_drained(Controld *c, const char *id, bool drained) {
        DrainedWorker *d = find_drained(c, id);
        Worker *w = worker_find(&c->workers, id);
        size_t size = strlen(id) + 1;

        if (drained && !d) {
                d = calloc(1, sizeof(*d) + size);
                if (!d)
                        return -ENOMEM;
                memcpy(d->id, id, size);
                HASH_ADD_KEYPTR(hh, c->drained, d->id, size - 1, d);
                if (!d->hh.tbl) {
                        free(d);
                        return -ENOMEM;
                }
        } else if (!drained && d) {
                HASH_DEL(c->drained, d);
                free(d);
        }
        if (w)
                show_drained(w, drained);
        return 0;
}

static int set(Controld *c, PauseKind kind, const char *name, bool paused) {
        TaskType *type;
        int r;

        switch (kind) {
        case PAUSE_TYPE:
                r = task_type_get(&c->types, name, &type);
                if (r >= 0)
                        type->is_paused = paused;
                return r;
        case PAUSE_PRIORITY:
                c->queue.is_paused[task_priority_from_text(name, strlen(name))] = paused;
                return 0;
        default:
                return set_drained(c, name, paused);
        }
}

bool pause_is_set(const Controld *c, PauseKind kind, const char *name) {
        switch (kind) {
        case PAUSE_TYPE:
                return task_type_find(c->types, name, strlen(name))->is_paused;
        case PAUSE_PRIORITY:
                return c->queue.is_paused[task_priority_from_text(name, strlen(name))];
        default:
                return find_drained(c, name);
        }
}

int pause_set(Controld *c, PauseKind kind, const char *name, bool paused) {
        char what[WIRE_NAME_MAX + 16];
        int r;

        if (pause_is_set(c, kind, name) == paused)
                return 0;
        (void) snprintf(what, sizeof(what), "%s:%s", pause_kind_to_string(kind), name);
        r = set(c, kind, name, paused);
        if (r < 0)
                return r;
        r = store_set_paused(c->store, what, paused);
        if (r < 0) {
                (void) set(c, kind, name, !paused);
                return r;
        }
        if (kind == PAUSE_WORKER)
                log_event(LOG_NOTICE, 0, LOG_FIELDS(.worker_id = name),
                          paused ? "Subworker %s is drained: it gets no more tasks."
                                 : "Subworker %s gets tasks again.",
                          name);
        else
                log_event(LOG_NOTICE, 0, LOG_FIELDS(.task_name = kind == PAUSE_TYPE ? name : NULL),
                          "%s %s %s.", kind == PAUSE_TYPE ? "Task type" : "Priority", name,
                          paused ? "is paused: its tasks wait" : "is resumed");
        return 0;
}

int pause_recover(Controld *c, const char *what) {
        const char *colon = strchr(what, ':'), *name = colon ? colon + 1 : "";
        int r;

        for (PauseKind kind = 0; colon && kind < _PAUSE_KIND_MAX; kind++) {
                const char *word = pause_kind_to_string(kind);

                if (strlen(word) != (size_t) (colon - what) ||
                    strncmp(word, what, strlen(word)) != 0 ||
                    (kind == PAUSE_PRIORITY && task_priority_from_text(name, strlen(name)) < 0))
                        continue;
                r = set(c, kind, name, true);
                return r == -ENOSPC ? 0 : r;
        }
        return 0;
}

void pauses_done(Controld *c) {
        DrainedWorker *d, *next;

        HASH_ITER(hh, c->drained, d, next) {
                HASH_DEL(c->drained, d);
                free(d);
        }
}

void pause_registered(const Controld *c, Worker *w) {
        w->state = WORKER_ACTIVE;
        w->is_leaving = false;
        show_drained(w, find_drained(c, w->id));
}

bool pause_lets_leave(const Controld *c, const Worker *w) {
        return scale_wakes(c->scale, w) && !w->is_drained;
}

static int add_name(struct json_object *array, const char *name) {
        return json_object_array_add(array, json_object_new_string(name)) < 0 ? -ENOMEM : 0;
}

struct json_object *pauses_to_json(const Controld *c) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        struct json_object *types = json_object_new_array(), *priorities, *workers;
        DrainedWorker *d, *next;
        TaskType *type, *next_type;

        if (json_add(o, "types", types) < 0)
                return NULL;
        HASH_ITER(hh, c->types, type, next_type) {
                if (type->is_paused && add_name(types, type->name) < 0)
                        return NULL;
        }
        priorities = json_object_new_array();
        if (json_add(o, "priorities", priorities) < 0)
                return NULL;
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                if (c->queue.is_paused[p] && add_name(priorities, task_priority_to_string(p)) < 0)
                        return NULL;
        workers = json_object_new_array();
        if (json_add(o, "workers", workers) < 0)
                return NULL;
        HASH_ITER(hh, c->drained, d, next) {
                if (add_name(workers, d->id) < 0)
                        return NULL;
        }
        return TAKE_PTR(o);
}
