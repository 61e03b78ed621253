/* SPDX-License-Identifier: MIT */

#include "type.h"
#include "average.h"
#include "hash.h"
#include "parse-util.h"
#include "wire.h"

/* Descriptions are for one line of a table. */
#define DESCRIPTION_MAX 1024U
#define OPTIONS_MAX     16384U
#define FILE_MAX        4096U

struct TaskType {
        char *name;
        char *description;
        char *options;  /* NULL: none */
        char *file;     /* NULL: not said */
        char *left_out; /* a file that has given way */
        TaskLimits limits;
        TaskResources resources;
        RunnerKind kind;
        bool offered;
        bool is_told;            /* of the file that was left out */
        bool seen;               /* in a list that is being read */
        RunnerKind claimed;      /* the kind whose list that is */
        struct iovec claim_file; /* and the file there */
        Average average;
        UT_hash_handle hh;
};

struct TypeTable {
        TaskType *types;
        const TaskType *last; /* found last: the same type often comes many times in a row */
        char *conflict[2];    /* files of the last one */
};

static TaskType *task_type_free(TaskType *t) {
        if (!t)
                return NULL;
        free(t->name);
        free(t->description);
        free(t->options);
        free(t->file);
        free(t->left_out);
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

typedef struct Line {
        struct iovec name, description, options, file;
} Line;

/* Up to the next tabulator or the end; *p is behind it then, or NULL. */
static struct iovec next_column(const char **p, const char *end) {
        const char *begin = *p ?: end, *tab = memchr(begin, '\t', (size_t) (end - begin));

        *p = tab ? tab + 1 : NULL;
        return (struct iovec){ (char *) begin, (size_t) ((tab ?: end) - begin) };
}

/* Splits the first line off. What a later version says in further columns is passed over. Returns 1, 0 at the
 * end, or -EBADMSG. */
static int next_line(const char **p, size_t *left, Line *ret) {
        const char *column = *p, *end;

        if (*left == 0)
                return 0;
        end = memchr(column, '\n', *left);
        if (!end || memchr(column, '\0', (size_t) (end - column)))
                return -EBADMSG;
        *left -= (size_t) (end + 1 - column);
        *p = end + 1;
        ret->name = next_column(&column, end);
        ret->description = next_column(&column, end);
        ret->options = next_column(&column, end);
        ret->file = next_column(&column, end);
        if (!wire_field_is_valid(WIRE_KIND_NAME, &ret->name) ||
            ret->description.iov_len > DESCRIPTION_MAX || ret->options.iov_len > OPTIONS_MAX ||
            ret->file.iov_len > FILE_MAX)
                return -EBADMSG;
        return 1;
}

/* Returns 1 if it was another text before, 0 if not, or -ENOMEM. */
static int set_text(char **to, const struct iovec *text) {
        char *copy;

        if (*to && strlen(*to) == text->iov_len && memcmp(*to, text->iov_base, text->iov_len) == 0)
                return 0;
        if (!*to && text->iov_len == 0)
                return 0;
        copy = strndup(text->iov_base, text->iov_len);
        if (!copy)
                return -ENOMEM;
        free(*to);
        *to = copy;
        return 1;
}

static int check(const TypeList *list) {
        const char *p = list->text;
        size_t left = list->size;
        Line line;
        int r;

        while ((r = next_line(&p, &left, &line)) > 0)
                ;
        return r;
}

static int explain(TypeTable *t, const TaskType *type, const struct iovec *file,
                   TypeConflict *ret) {
        const struct iovec *files[] = { &type->claim_file, file };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                free(t->conflict[i]);
                t->conflict[i] = strndup(files[i]->iov_base, files[i]->iov_len);
                if (!t->conflict[i])
                        return -ENOMEM;
        }
        *ret = (TypeConflict){ type->name, t->conflict[0], t->conflict[1] };
        return -EEXIST;
}

static bool is_optional(const TypeList *list, const struct iovec *file) {
        if (!list->optional)
                return false;
        STRV_FOREACH(path, (char **) list->optional)
                if (strlen(*path) == file->iov_len &&
                    memcmp(*path, file->iov_base, file->iov_len) == 0)
                        return true;
        return false;
}

static int leave_out(TaskType *type, const struct iovec *file) {
        int r = set_text(&type->left_out, file);

        if (r > 0)
                type->is_told = false;
        return r;
}

/* Returns 1 if the list has the name, 0 if another has, or -errno. */
static int settle(TypeTable *t, const TypeList *lists, RunnerKind kind, TaskType *type,
                  const struct iovec *file, TypeConflict *ret_conflict) {
        int r;

        if (!type->seen || type->claimed == kind)
                return 1;
        if (is_optional(&lists[kind], file)) {
                r = leave_out(type, file);
                return MIN(r, 0);
        }
        if (is_optional(&lists[type->claimed], &type->claim_file)) {
                r = leave_out(type, &type->claim_file);
                return r < 0 ? r : 1;
        }
        return explain(t, type, file, ret_conflict);
}

/* Enters the names of a list that are new, not offered yet, and notes that it names them. */
static int claim(TypeTable *t, RunnerKind kind, const TypeList *lists, TypeConflict *ret_conflict) {
        const TypeList *list = &lists[kind];
        const char *p = list->text;
        size_t left = list->size;
        Line line;
        int r;

        while (next_line(&p, &left, &line) > 0) {
                TaskType *type = type_table_find(t, line.name.iov_base, line.name.iov_len);

                if (!type) {
                        r = add(t, &line.name, &type);
                        if (r < 0)
                                return r;
                }
                r = settle(t, lists, kind, type, &line.file, ret_conflict);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                type->seen = true;
                type->claimed = kind;
                type->claim_file = line.file;
        }
        return 0;
}

/* What stays as it is counts as named by its old list. */
static void claim_others(TypeTable *t, RunnerKind kind) {
        for (TaskType *type = t->types; type; type = type->hh.next) {
                type->seen = type->offered && kind != _RUNNER_KIND_INVALID && type->kind != kind;
                type->claimed = type->kind;
                type->claim_file = (struct iovec){ type->file ?: (char *) "",
                                                   type->file ? strlen(type->file) : 0 };
        }
}

static void set_limits(TaskType *t) {
        t->limits = (TaskLimits){};
        t->resources = (TaskResources){};
        if (!t->options)
                return;
        (void) task_limits_parse(t->options, strlen(t->options), &t->limits);
        task_resources_parse(t->options, strlen(t->options), &t->resources);
}

static int set_one(TypeTable *t, RunnerKind kind, const Line *line) {
        TaskType *type = type_table_find(t, line->name.iov_base, line->name.iov_len);
        bool changed = !type->offered || type->kind != kind;
        int r;

        if (type->claimed != kind)
                return 0;
        r = set_text(&type->description, &line->description);
        changed = changed || r > 0;
        if (r >= 0)
                r = set_text(&type->options, &line->options);
        changed = changed || r > 0;
        if (r > 0)
                set_limits(type);
        if (r >= 0)
                r = set_text(&type->file, &line->file);
        if (r < 0)
                return r;
        type->kind = kind;
        type->offered = true;
        return changed;
}

static int apply(TypeTable *t, RunnerKind kind, const TypeList *list) {
        const char *p = list->text;
        size_t left = list->size;
        Line line;
        int r, changed = 0;

        while (next_line(&p, &left, &line) > 0) {
                r = set_one(t, kind, &line);
                if (r < 0)
                        return r;
                changed |= r;
        }
        return changed;
}

/* `only`: the other kinds stay as they are. */
static int set_lists(TypeTable *t, const TypeList *lists, RunnerKind only,
                     TypeConflict *ret_conflict) {
        int r = 0, changed = 0;

        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX && r >= 0; kind++)
                if (lists[kind].text)
                        r = check(&lists[kind]);
        if (r < 0)
                return r;

        claim_others(t, only);
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX && r >= 0; kind++)
                if (lists[kind].text)
                        r = claim(t, kind, lists, ret_conflict);
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX && r >= 0; kind++)
                if (lists[kind].text) {
                        r = apply(t, kind, &lists[kind]);
                        changed |= r > 0;
                }
        if (r < 0)
                return r;
        for (TaskType *type = t->types; type; type = type->hh.next) {
                changed |= type->offered && !type->seen;
                type->offered = type->offered && type->seen;
        }
        return changed;
}

int type_table_set(TypeTable *t, RunnerKind kind, const TypeList *list,
                   TypeConflict *ret_conflict) {
        TypeList lists[_RUNNER_KIND_MAX] = {};

        /* The others have no text, but what is optional of them is so still. */
        for (RunnerKind other = 0; other < _RUNNER_KIND_MAX; other++)
                lists[other].optional = list->optional;
        lists[kind] = *list;
        return set_lists(t, lists, kind, ret_conflict);
}

int type_table_set_all(TypeTable *t, const TypeList lists[static _RUNNER_KIND_MAX],
                       TypeConflict *ret_conflict) {
        for (TaskType *type = t->types; type; type = type->hh.next) {
                free(type->left_out);
                type->left_out = NULL;
        }
        return set_lists(t, lists, _RUNNER_KIND_INVALID, ret_conflict);
}

bool type_table_next_left_out(TypeTable *t, TypeConflict *ret) {
        for (TaskType *type = t->types; type; type = type->hh.next) {
                if (!type->left_out || type->is_told)
                        continue;
                type->is_told = true;
                *ret = (TypeConflict){ type->name, type->left_out, type_file(type) };
                return true;
        }
        return false;
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
        return t->description ?: "";
}

const char *type_options(const TaskType *t) {
        return t->options ?: "";
}

const TaskLimits *type_limits(const TaskType *t) {
        return &t->limits;
}

const TaskResources *type_resources(const TaskType *t) {
        return &t->resources;
}

const char *type_file(const TaskType *t) {
        return t->file ?: "";
}

RunnerKind type_kind(const TaskType *t) {
        return t->kind;
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
        if (!t->average.known || task_resources_are_set(&t->resources))
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
        for (size_t i = 0; i < ELEMENTSOF(t->conflict); i++)
                free(t->conflict[i]);
        free(t);
        return NULL;
}
