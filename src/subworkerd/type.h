/* SPDX-License-Identifier: MIT */
#pragma once

/* The task types that the runners offer, and how long tasks of each took lately. Pure. */

#include "limits.h"
#include "macro.h"
#include "module-path.h"

typedef struct TaskType TaskType;
typedef struct TypeTable TypeTable;

/* A name that runners of two kinds offer, and the files it is in; good until the next call. */
typedef struct TypeConflict {
        const char *name, *file, *other_file;
} TypeConflict;

/* The answer of type_expected_usec() for a type of which no task has ended yet, and others of which that does not
 * matter. */
#define EXPECTED_UNKNOWN UINT32_MAX

int type_table_new(TypeTable **ret);
TypeTable *type_table_free(TypeTable *t);
DEFINE_CLEANUP_FUNC(TypeTable *, type_table_free);

/* What runners of a kind offer: "name TAB description TAB options TAB file" lines, as in HELLO. */
typedef struct TypeList {
        const char *text;
        size_t size;
        char *const *optional; /* files whose names give way to those of another kind */
} TypeList;

/* Replaces what runners of that kind offer. Types that are gone stay known (their durations, and tasks that refer to them)
 * but are no longer offered. Returns 1 if names, descriptions, options or kinds changed, 0 if not; and with nothing changed
 * -EBADMSG for a list that is none, -EEXIST if a name is offered by another kind (see *ret_conflict), or -ENOMEM. */
int type_table_set(TypeTable *t, RunnerKind kind, const TypeList *list, TypeConflict *ret_conflict);

/* The same for all kinds at once; no text: there are no runners of that kind. */
int type_table_set_all(TypeTable *t, const TypeList lists[static _RUNNER_KIND_MAX],
                       TypeConflict *ret_conflict);

/* Tells of a file that has given way and was not told of yet: `file`, and `other_file` has the task. Returns false if there
 * are no more. With all lists replaced, all are told of again. */
bool type_table_next_left_out(TypeTable *t, TypeConflict *ret);

/* NULL if the type was never offered. The pointer stays good for the life of the table. */
TaskType *type_table_find(TypeTable *t, const char *name, size_t size);

/* Iterates over what is offered, in its order: NULL gives the first; NULL is the end. */
const TaskType *type_table_next(const TypeTable *t, const TaskType *previous);

size_t type_table_count(const TypeTable *t);

const char *type_name(const TaskType *t);
const char *type_description(const TaskType *t);
/* A JSON object as the runner wrote it, not checked; empty if there was none. */
const char *type_options(const TaskType *t);
/* What these say of limits, and of resources. */
const TaskLimits *type_limits(const TaskType *t);
const TaskResources *type_resources(const TaskType *t);
/* The module it is in; empty if the runner did not say. */
const char *type_file(const TaskType *t);
RunnerKind type_kind(const TaskType *t);
bool type_is_offered(const TaskType *t);

/* A task has ended after so long. */
void type_observe(TaskType *t, uint64_t usec);

/* A task has been running for so long and has not ended. */
void type_observe_at_least(TaskType *t, uint64_t usec);

/* The moving average in microseconds (at least 1), or EXPECTED_UNKNOWN: so that one with resources of its own, for which a
 * runner is set up anew, shares that with no other at the same time. */
uint32_t type_expected_usec(const TaskType *t);
