/* SPDX-License-Identifier: MIT */
#pragma once

/* What a task's options say of other tasks:
 *
 *     "depends_on": [ID, ...]    it waits until these have ended with success
 *     "group": TEXT              it belongs to this group
 *     "after_group": TEXT        it waits until all tasks of that group that are known have ended */

#include <json-c/json.h>

#include "task-id.h"

typedef struct DependencyOptions {
        struct json_object *ids;         /* an array, or NULL; borrowed from the document */
        const char *group, *after_group; /* the same */
} DependencyOptions;

/* -EINVAL, and the text in *ret_error says what is wrong. */
int dependency_options_read(struct json_object *o, DependencyOptions *ret,
                            char ret_error[static 160]);
size_t dependency_options_n(const DependencyOptions *o);
TaskId dependency_options_id(const DependencyOptions *o, size_t i);

static inline bool dependency_options_any(const DependencyOptions *o) {
        return o->ids || o->group || o->after_group;
}
