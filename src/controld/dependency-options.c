/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "dependency-options.h"
#include "dependency.h"
#include "json-util.h"
#include "parse-util.h"

static int read_id(struct json_object *v, TaskId *ret) {
        if (!json_object_is_type(v, json_type_string))
                return -EINVAL;
        return task_id_from_text(json_object_get_string(v), (size_t) json_object_get_string_len(v),
                                 ret);
}

static int read_ids(struct json_object *o, DependencyOptions *ret, char ret_error[static 160]) {
        struct json_object *ids = NULL;
        TaskId unused;
        size_t n;

        if (json_get_array(o, "depends_on", &ids) < 0) {
                (void) snprintf(ret_error, 160,
                                "the option \"depends_on\" must be a list of task ids");
                return -EINVAL;
        }
        n = ids ? json_object_array_length(ids) : 0;
        if (n > DEPENDENCY_MAX) {
                (void) snprintf(ret_error, 160,
                                "the option \"depends_on\" has %zu task ids; at most %u are taken",
                                n, DEPENDENCY_MAX);
                return -EINVAL;
        }
        for (size_t i = 0; i < n; i++)
                if (read_id(json_object_array_get_idx(ids, i), &unused) < 0) {
                        (void) snprintf(
                                ret_error, 160,
                                "entry %zu of the option \"depends_on\" is no task id, the 36 "
                                "characters of a UUID",
                                i + 1);
                        return -EINVAL;
                }
        ret->ids = n > 0 ? ids : NULL;
        return 0;
}

/* Text without control characters, so that it can be shown as it is. */
static bool is_group(const char *text) {
        size_t size = strlen(text);

        if (size < 1 || size > DEPENDENCY_GROUP_MAX)
                return false;
        for (size_t i = 0; i < size;) {
                uint32_t c = 0;
                int n = utf8_decode(text + i, size - i, &c);

                if (n < 0 || c < 0x20 || (c >= 0x7f && c < 0xa0))
                        return false;
                i += (size_t) n;
        }
        return true;
}

static int read_group(struct json_object *o, const char *key, const char **ret,
                      char ret_error[static 160]) {
        int k = json_get_string(o, key, ret);

        if (k == 0 || (k > 0 && is_group(*ret)))
                return 0;
        (void) snprintf(ret_error, 160,
                        "the option \"%s\" must be text of 1 to %u bytes, without control "
                        "characters",
                        key, DEPENDENCY_GROUP_MAX);
        return -EINVAL;
}

int dependency_options_read(struct json_object *o, DependencyOptions *ret,
                            char ret_error[static 160]) {
        int r;

        *ret = (DependencyOptions){};
        r = read_ids(o, ret, ret_error);
        if (r >= 0)
                r = read_group(o, "group", &ret->group, ret_error);
        return r < 0 ? r : read_group(o, "after_group", &ret->after_group, ret_error);
}

size_t dependency_options_n(const DependencyOptions *o) {
        return o->ids ? json_object_array_length(o->ids) : 0;
}

TaskId dependency_options_id(const DependencyOptions *o, size_t i) {
        TaskId id = {};

        (void) read_id(json_object_array_get_idx(o->ids, i), &id); /* checked before */
        return id;
}
