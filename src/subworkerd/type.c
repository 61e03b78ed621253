/* SPDX-License-Identifier: MIT */

#include "type.h"
#include "average.h"
#include "hash.h"
#include "wire.h"

/* Descriptions are for one line of a table. */
#define DESCRIPTION_MAX 1024U

struct TaskType {
        char *name;
        char *description;
        bool offered;
        bool seen; /* in the list that is being read */
        Average average;
        UT_hash_handle hh;
};

struct TypeTable {
        TaskType *types;
        const TaskType *last; /* found last: the same type often comes many times in a row */
};

static TaskType *task_type_free(TaskType *t) {
        if (!t)
                return NULL;
        free(t->name);
        free(t->description);
        free(t);
        return NULL;
}
DEFINE_CLEANUP_FUNC(TaskType *, task_type_free);

static int add(TypeTable *t, const struct iovec *name, TaskType **ret) {
        _cleanup_(task_type_freep) TaskType *type = NULL;

        type = calloc(1, sizeof(*type));
        if (!type)
                return -ENOMEM;
        type->name = strndup(name->iov_base, name->iov_len);
        if (!type->name)
                return -ENOMEM;
        HASH_ADD_KEYPTR(hh, t->types, type->name, name->iov_len, type);
        if (!type->hh.tbl)
                return -ENOMEM;
        *ret = TAKE_PTR(type);
        return 0;
}

/* Splits the first line off. Returns 1, 0 at the end, or -EBADMSG. */
static int next_line(const char **p, size_t *left, struct iovec *ret_name,
                     struct iovec *ret_description) {
        const char *line = *p, *end, *tab;
        size_t size;

        if (*left == 0)
                return 0;
        end = memchr(line, '\n', *left);
        if (!end)
                return -EBADMSG;
        size = (size_t) (end - line);
        tab = memchr(line, '\t', size);
        *ret_name = (struct iovec){ (char *) line, tab ? (size_t) (tab - line) : size };
        *ret_description = tab ? (struct iovec){ (char *) tab + 1, (size_t) (end - tab - 1) }
                               : (struct iovec){ (char *) end, 0 };
        if (!wire_field_is_valid(WIRE_KIND_NAME, ret_name) ||
            ret_description->iov_len > DESCRIPTION_MAX ||
            memchr(ret_description->iov_base, '\0', ret_description->iov_len))
                return -EBADMSG;
        *p = end + 1;
        *left -= size + 1;
        return 1;
}

static int set_one(TypeTable *t, const struct iovec *name, const struct iovec *description) {
        TaskType *type = type_table_find(t, name->iov_base, name->iov_len);
        bool changed;
        char *copy;
        int r;

        if (!type) {
                r = add(t, name, &type);
                if (r < 0)
                        return r;
        }
        changed = !type->offered || strlen(type->description) != description->iov_len ||
                  memcmp(type->description, description->iov_base, description->iov_len) != 0;
        if (changed) {
                copy = strndup(description->iov_base, description->iov_len);
                if (!copy)
                        return -ENOMEM;
                free(type->description);
                type->description = copy;
        }
        type->offered = type->seen = true;
        return changed;
}

int type_table_set(TypeTable *t, const char *list, size_t size) {
        struct iovec name, description;
        const char *p = list;
        size_t left = size;
        bool changed = false;
        int r;

        while ((r = next_line(&p, &left, &name, &description)) > 0)
                ;
        if (r < 0)
                return r;

        for (TaskType *type = t->types; type; type = type->hh.next)
                type->seen = false;
        p = list;
        left = size;
        while (next_line(&p, &left, &name, &description) > 0) {
                r = set_one(t, &name, &description);
                if (r < 0)
                        return r;
                changed = changed || r > 0;
        }
        for (TaskType *type = t->types; type; type = type->hh.next) {
                changed = changed || (type->offered && !type->seen);
                type->offered = type->seen;
        }
        return changed;
}

TaskType *type_table_find(TypeTable *t, const char *name, size_t size) {
        TaskType *type;

        if (t->last && t->last->hh.keylen == size && memcmp(t->last->name, name, size) == 0)
                return (TaskType *) t->last;
        HASH_FIND(hh, t->types, name, size, type);
        if (type)
                t->last = type;
        return type;
}

const TaskType *type_table_next(const TypeTable *t, const TaskType *previous) {
        const TaskType *type = previous ? previous->hh.next : t->types;

        while (type && !type->offered)
                type = type->hh.next;
        return type;
}

size_t type_table_count(const TypeTable *t) {
        size_t n = 0;

        for (const TaskType *type = type_table_next(t, NULL); type; type = type_table_next(t, type))
                n++;
        return n;
}

const char *type_name(const TaskType *t) {
        return t->name;
}

const char *type_description(const TaskType *t) {
        return t->description;
}

bool type_is_offered(const TaskType *t) {
        return t->offered;
}

void type_observe(TaskType *t, uint64_t usec) {
        average_add(&t->average, usec);
}

void type_observe_at_least(TaskType *t, uint64_t usec) {
        average_raise(&t->average, usec);
}

uint32_t type_expected_usec(const TaskType *t) {
        if (!t->average.known)
                return EXPECTED_UNKNOWN;
        return (uint32_t) CLAMP(average_usec(&t->average), UINT64_C(1),
                                (uint64_t) EXPECTED_UNKNOWN - 1);
}

int type_table_new(TypeTable **ret) {
        TypeTable *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        *ret = t;
        return 0;
}

TypeTable *type_table_free(TypeTable *t) {
        TaskType *type, *next;

        if (!t)
                return NULL;
        HASH_ITER(hh, t->types, type, next) {
                HASH_DEL(t->types, type);
                task_type_free(type);
        }
        free(t);
        return NULL;
}
