/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "json-util.h"
#include "submit-options.h"

static int fail(char ret_error[static 160], const char *text, const char *more) {
        (void) snprintf(ret_error, 160, "%s%.64s", text, more);
        return -EINVAL;
}

static int read_durability(struct json_object *o, SubmitOptions *ret, char ret_error[static 160]) {
        const char *text = NULL;
        int k = json_get_string(o, "durability", &text);

        if (k < 0 || (k > 0 && !streq(text, "none")))
                return fail(ret_error, "the option \"durability\" can only be \"none\"", "");
        ret->in_memory = k > 0;
        return 0;
}

static int read_unique(struct json_object *o, SubmitOptions *ret, char ret_error[static 160]) {
        const char *text = NULL, *policy = NULL;
        struct iovec field;
        int k;

        k = json_get_string(o, "unique", &text);
        if (k > 0) {
                field = (struct iovec){ (char *) text, strlen(text) };
                if (field.iov_len == 0 || !wire_field_is_valid(WIRE_KIND_KEY, &field))
                        k = -EINVAL;
        }
        if (k < 0)
                return fail(ret_error,
                            "the option \"unique\" must be 1 to 64 printable ASCII characters", "");
        if (k > 0) {
                ret->unique_size = field.iov_len;
                memcpy(ret->unique, text, field.iov_len);
        }
        k = json_get_string(o, "unique_policy", &policy);
        if (k < 0 || (k > 0 && !streq(policy, "refuse") && !streq(policy, "return")))
                return fail(ret_error,
                            "the option \"unique_policy\" must be \"refuse\" or \"return\"", "");
        ret->unique_returns = k > 0 && streq(policy, "return");
        return 0;
}

int submit_options_parse(const struct iovec *text, SubmitOptions *ret, char ret_error[static 160]) {
        static const char *const known[] = { "durability", "unique", "unique_policy", NULL };
        _cleanup_json_ struct json_object *o = NULL;
        const char *error = NULL, *key;
        int r;

        *ret = (SubmitOptions){};
        if (text->iov_len == 0)
                return 0;
        r = json_parse_object(text->iov_base, text->iov_len, &o, &error);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return fail(ret_error, "the options must be one JSON object, or empty: ", error);
        key = json_unknown_key(o, known);
        if (key)
                return fail(ret_error,
                            "there is durability, unique and unique_policy, but no option ", key);
        r = read_durability(o, ret, ret_error);
        return r < 0 ? r : read_unique(o, ret, ret_error);
}

/* The text is kept only of unique tasks, and may be of another version: all of it that is JSON is passed on. */
struct json_object *submit_options_to_json(const Task *t) {
        _cleanup_json_ struct json_object *o = NULL;
        int r;

        r = json_parse_object(task_options(t), t->options_size, &o, NULL);
        if (r == -EBADMSG)
                o = json_object_new_object();
        if (r == -ENOMEM || !o)
                return NULL;
        if (t->in_memory && json_add_string(o, "durability", "none") < 0)
                return NULL;
        return TAKE_PTR(o);
}

int submit_options_claim_unique(TaskTable *table, Task *t) {
        const struct iovec text = { (char *) task_options(t), t->options_size };
        SubmitOptions options;
        char error[160];
        int r;

        r = submit_options_parse(&text, &options, error);
        if (r < 0 || options.unique_size == 0)
                return r == -ENOMEM ? r : 0; /* options of another version are not ours to judge */
        if (task_find_by_unique(table, options.unique, options.unique_size))
                return -EEXIST;
        return task_add_unique(table, t, options.unique, options.unique_size);
}
