/* SPDX-License-Identifier: MIT */

#include <assert.h>

#include "lane.h"
#include "parse-util.h"
#include "task-extra.h"
#include "task-type.h"

#define HEAP_MIN 4U

static void strand_init(Strand *s, Lane *l) {
        *s = (Strand){ .lane = l };
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                TAILQ_INIT(&s->queues[p]);
}

void lane_init(Lane *l, TaskType *type) {
        *l = (Lane){ .type = type };
        strand_init(&l->plain, l);
}

void lane_done(Lane *l) {
        assert(!l->strands);
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                free(l->heaps[p]);
        strv_free(l->labels);
        free(l->labels_text);
}

Strand *task_strand(const Task *t) {
        return t->extra && t->extra->strand ? t->extra->strand : &t->type->lane.plain;
}

/* --- heaps of strands ----------------------------------------------------------------------------- */

static uint64_t oldest(const Strand *s, TaskPriority p) {
        return task_order(TAILQ_FIRST(&s->queues[p]));
}

static void put(Lane *l, TaskPriority p, size_t i, Strand *s) {
        l->heaps[p][i] = s;
        s->place[p] = i + 1;
}

static void sift_up(Lane *l, TaskPriority p, size_t i) {
        Strand *s = l->heaps[p][i];

        for (; i > 0 && oldest(s, p) < oldest(l->heaps[p][(i - 1) / 2], p); i = (i - 1) / 2)
                put(l, p, i, l->heaps[p][(i - 1) / 2]);
        put(l, p, i, s);
}

static void sift_down(Lane *l, TaskPriority p, size_t i) {
        Strand **heap = l->heaps[p], *s = heap[i];
        size_t n = l->n_heap[p];

        for (;;) {
                size_t child = 2 * i + 1;

                if (child + 1 < n && oldest(heap[child + 1], p) < oldest(heap[child], p))
                        child++;
                if (child >= n || oldest(s, p) < oldest(heap[child], p))
                        break;
                put(l, p, i, heap[child]);
                i = child;
        }
        put(l, p, i, s);
}

static void take_out(Strand *s, TaskPriority p) {
        Lane *l = s->lane;
        size_t i = s->place[p] - 1;
        Strand *last = l->heaps[p][--l->n_heap[p]];

        s->place[p] = 0;
        if (last == s)
                return;
        put(l, p, i, last);
        sift_down(l, p, i);
        sift_up(l, p, last->place[p] - 1);
}

void strand_settle(Strand *s, TaskPriority p) {
        Lane *l = s->lane;
        bool belongs;

        if (!s->id.key)
                return;
        belongs = !TAILQ_EMPTY(&s->queues[p]) && !strand_is_parked(s);
        if (s->place[p] == 0 && belongs) {
                l->heaps[p][l->n_heap[p]] = s;
                sift_up(l, p, l->n_heap[p]++);
        } else if (s->place[p] > 0 && !belongs)
                take_out(s, p);
        else if (belongs) {
                sift_down(l, p, s->place[p] - 1);
                sift_up(l, p, s->place[p] - 1);
        }
}

Task *lane_first(const Lane *l, TaskPriority p) {
        Task *plain = TAILQ_FIRST(&l->plain.queues[p]),
             *keyed = l->n_heap[p] > 0 ? TAILQ_FIRST(&l->heaps[p][0]->queues[p]) : NULL;

        if (!plain || !keyed)
                return plain ?: keyed;
        return task_order(plain) < task_order(keyed) ? plain : keyed;
}

/* --- who belongs where ---------------------------------------------------------------------------- */

/* So that strand_settle() cannot fail. */
static int reserve(Lane *l) {
        size_t n = HASH_COUNT(l->strands) + 1, n_allocated = MAX(l->n_allocated, (size_t) HEAP_MIN);

        if (n <= l->n_allocated)
                return 0;
        while (n_allocated < n)
                n_allocated *= 2;
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++) {
                Strand **heap = reallocarray(l->heaps[p], n_allocated, sizeof(*heap));

                if (!heap)
                        return -ENOMEM;
                l->heaps[p] = heap;
        }
        l->n_allocated = n_allocated;
        return 0;
}

static LaneKey *key_free_unused(LaneKey **keys, LaneKey *k) {
        if (!TAILQ_EMPTY(&k->strands))
                return k;
        HASH_DEL(*keys, k);
        free(k);
        return NULL;
}

static int key_get(LaneKey **keys, const char *text, size_t size, LaneKey **ret) {
        LaneKey *k;

        HASH_FIND(hh, *keys, text, size, k);
        if (!k) {
                k = malloc(sizeof(*k) + size);
                if (!k)
                        return -ENOMEM;
                *k = (LaneKey){ .size = size };
                memcpy(k->text, text, size);
                TAILQ_INIT(&k->strands);
                HASH_ADD_KEYPTR(hh, *keys, k->text, size, k);
                if (!k->hh.tbl) {
                        free(k);
                        return -ENOMEM;
                }
        }
        *ret = k;
        return 0;
}

static int strand_get(Lane *l, LaneKey *key, uint32_t max, Strand **ret) {
        const StrandId id = { key, max };
        Strand *s;

        HASH_FIND(hh, l->strands, &id, sizeof(id), s);
        if (!s) {
                if (reserve(l) < 0)
                        return -ENOMEM;
                s = malloc(sizeof(*s));
                if (!s)
                        return -ENOMEM;
                strand_init(s, l);
                s->id = id;
                HASH_ADD(hh, l->strands, id, sizeof(s->id), s);
                if (!s->hh.tbl) {
                        free(s);
                        return -ENOMEM;
                }
                TAILQ_INSERT_TAIL(&key->strands, s, of_key);
        }
        *ret = s;
        return 0;
}

static int lane_new(TaskType *type, char *const *labels, char *text, Lane **ret) {
        Lane *l = malloc(sizeof(*l));
        int r = l ? 0 : -ENOMEM;

        if (r < 0) {
                free(text);
                return r;
        }
        lane_init(l, type);
        l->labels_text = text;
        STRV_FOREACH(label, (char **) labels)
                if (r >= 0)
                        r = strv_extend(&l->labels, *label);
        if (r >= 0) {
                HASH_ADD_KEYPTR(hh, type->lanes, l->labels_text, strlen(l->labels_text), l);
                r = l->hh.tbl ? 0 : -ENOMEM;
        }
        if (r < 0) {
                lane_done(l);
                free(l);
                return r;
        }
        *ret = l;
        return 0;
}

static int lane_get(TaskType *type, char *const *labels, Lane **ret) {
        Lane *l = &type->lane;
        char *text;

        if (strv_length(labels) > 0) {
                text = strv_join(labels, ",");
                if (!text)
                        return -ENOMEM;
                HASH_FIND_STR(type->lanes, text, l);
                if (!l)
                        return lane_new(type, labels, text, ret);
                free(text);
        }
        *ret = l;
        return 0;
}

static void lane_free_unused(Lane *l) {
        if (l == &l->type->lane || l->strands || l->plain.n_tasks > 0)
                return;
        HASH_DEL(l->type->lanes, l);
        lane_done(l);
        free(l);
}

static void strand_free_unused(LaneKey **keys, Strand *s) {
        Lane *l = s->lane;

        if (s->n_tasks > 0)
                return;
        if (s->id.key) {
                HASH_DEL(l->strands, s);
                TAILQ_REMOVE(&s->id.key->strands, s, of_key);
                (void) key_free_unused(keys, s->id.key);
                free(s);
        }
        lane_free_unused(l);
}

int lane_enter(LaneKey **keys, Task *t, char *const *labels, const char *key, size_t key_size,
               uint32_t max) {
        TaskExtra *extra = task_extra_get(t);
        LaneKey *k = NULL;
        Strand *s;
        Lane *l;
        int r;

        assert(!extra || !extra->strand);
        if (!extra)
                return -ENOMEM;
        r = lane_get(t->type, labels, &l);
        if (r < 0)
                return r;
        s = &l->plain;
        if (key_size > 0) {
                r = key_get(keys, key, key_size, &k);
                if (r >= 0)
                        r = strand_get(l, k, max, &s);
                if (r < 0) {
                        if (k)
                                (void) key_free_unused(keys, k);
                        lane_free_unused(l);
                        return r;
                }
        } else if (l == &t->type->lane)
                return 0;
        s->n_tasks++;
        extra->strand = s;
        extra->keys = keys;
        return 0;
}

void lane_leave(Task *t) {
        Strand *s = t->extra ? t->extra->strand : NULL;

        if (!s)
                return;
        t->extra->strand = NULL;
        s->n_tasks--;
        strand_free_unused(t->extra->keys, s);
}
