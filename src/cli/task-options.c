/* SPDX-License-Identifier: MIT */

/* The options of a submission as the protocol wants them. */

#include "cli.h"
#include "json-util.h"

int make_task_options(const char *unique, const char *policy, const char *durability, char **ret) {
        _cleanup_json_ struct json_object *o = NULL;
        const char *text;

        *ret = NULL;
        if (!unique && !policy && !durability)
                return 0;
        o = json_object_new_object();
        if (!o || (unique && json_add_string(o, "unique", unique) < 0) ||
            (policy && json_add_string(o, "unique_policy", policy) < 0) ||
            (durability && json_add_string(o, "durability", durability) < 0))
                return -ENOMEM;
        text = json_object_to_json_string_ext(o, JSON_COMPACT);
        *ret = text ? strdup(text) : NULL;
        return *ret ? 0 : -ENOMEM;
}
