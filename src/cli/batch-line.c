/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "batch-line.h"
#include "cli.h"
#include "error-text.h"
#include "json-util.h"

void batch_line_done(BatchLine *l) {
        json_object_put(l->object);
        free(l->arguments);
        free(l->options);
        *l = (BatchLine){};
}

/* An optional string; NULL if it is missing. */
static int get_text(struct json_object *o, const char *key, const char **ret, char **ret_error) {
        *ret = NULL;
        if (json_get_string(o, key, ret) < 0)
                return fail_with_text(ret_error, -EBADMSG, "\"%s\" must be a string", key);
        return 0;
}

static int get_name(struct json_object *o, const char **ret, char **ret_error) {
        const char *task_name, *name;
        int r;

        r = get_text(o, "task_name", &task_name, ret_error);
        if (r >= 0)
                r = get_text(o, "name", &name, ret_error);
        if (r < 0)
                return r;
        if (task_name && name)
                return fail_with_text(ret_error, -EBADMSG,
                                      "\"task_name\" and \"name\" are the same: give one of them");
        if (!task_name && !name)
                return fail_with_text(ret_error, -EBADMSG, "\"task_name\" is missing");
        *ret = task_name ?: name;
        return 0;
}

static const char *plain(struct json_object *o, const char *otherwise) {
        return o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                                             JSON_C_TO_STRING_NOSLASHESCAPE)
                 : otherwise;
}

static int make_arguments_text(struct json_object *o, char **ret, char **ret_error) {
        struct json_object *args = NULL, *kwargs = NULL;

        if (json_get_array(o, "args", &args) < 0)
                return fail_with_text(ret_error, -EBADMSG, "\"args\" must be an array");
        if (json_get_object(o, "kwargs", &kwargs) < 0)
                return fail_with_text(ret_error, -EBADMSG, "\"kwargs\" must be an object");
        if (asprintf(ret, "{\"args\":%s,\"kwargs\":%s}", plain(args, "[]"), plain(kwargs, "{}")) <
            0)
                return -ENOMEM;
        return 0;
}

static const char *const known[] = { "task_name",     "name",
                                     "args",          "kwargs",
                                     "priority",      "key",
                                     "unique",        "unique_policy",
                                     "durability",    "countdown",
                                     "eta",           "expires",
                                     "max_retries",   "retry_delay",
                                     "retry_backoff", "retry_backoff_max",
                                     "retry_jitter",  "timeout",
                                     "soft_timeout",  "traceparent",
                                     "labels",        "concurrency_key",
                                     "concurrency",   "depends_on",
                                     "retry_on",      "group",
                                     "after_group",   NULL };
#define FIRST_OPTION 6 /* from there on they are what the coordinator calls so, and checks */

static int parse_object(const char *text, size_t size, struct json_object **ret, char **ret_error) {
        const char *why, *unknown;
        int r;

        r = json_parse_object(text, size, ret, &why);
        if (r == -EBADMSG)
                return fail_with_text(ret_error, -EBADMSG, "not a JSON object: %s", why);
        if (r < 0)
                return r;
        unknown = json_unknown_key(*ret, known);
        if (unknown)
                return fail_with_text(
                        ret_error, -EBADMSG,
                        "unknown key \"%.100s\": a line has task_name (or name), args, kwargs, priority, key, "
                        "unique, unique_policy, durability, countdown, eta, expires, timeout, soft_timeout, traceparent, labels, concurrency_key, concurrency, depends_on, group, after_group, max_retries and retry_...",
                        unknown);
        return 0;
}

static int get_options(BatchLine *l, char **ret_error) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        const char *unique, *policy, *durability;
        int r;

        r = get_text(l->object, "unique", &unique, ret_error);
        if (r >= 0)
                r = get_text(l->object, "unique_policy", &policy, ret_error);
        if (r >= 0)
                r = get_text(l->object, "durability", &durability, ret_error);
        if (r < 0)
                return r;
        if (policy && !unique)
                return fail_with_text(ret_error, -EBADMSG,
                                      "\"unique_policy\" goes with \"unique\"");
        for (size_t i = FIRST_OPTION; known[i]; i++) {
                struct json_object *v = NULL;

                if (json_object_object_get_ex(l->object, known[i], &v) && v &&
                    json_add(o, known[i], json_object_get(v)) < 0)
                        return -ENOMEM;
        }
        r = o ? task_options_to_text(o, &l->options) : -ENOMEM;
        l->submission.options = l->options;
        return r;
}

int batch_line_set_group(BatchLine *l, const char *group, char **ret_error) {
        _cleanup_json_ struct json_object *o = NULL;

        if (json_object_object_get_ex(l->object, "group", NULL))
                return fail_with_text(ret_error, -EBADMSG,
                                      "\"group\" does not go with --then, as a task has one group");
        if (json_parse_object(l->options, l->options ? strlen(l->options) : 0, &o, NULL) < 0 ||
            json_add_string(o, "group", group) < 0)
                return -ENOMEM;
        free(l->options);
        l->submission.options = l->options = NULL;
        if (task_options_to_text(o, &l->options) < 0)
                return -ENOMEM;
        l->submission.options = l->options;
        return 0;
}

int batch_line_parse(const char *text, size_t size, const char *priority, BatchLine *ret,
                     char **ret_error) {
        BatchLine l = {};
        int r;

        r = parse_object(text, size, &l.object, ret_error);
        if (r >= 0)
                r = get_name(l.object, &l.submission.name, ret_error);
        if (r >= 0)
                r = get_text(l.object, "priority", &l.submission.priority, ret_error);
        if (r >= 0)
                r = get_text(l.object, "key", &l.submission.key, ret_error);
        if (r >= 0)
                r = make_arguments_text(l.object, &l.arguments, ret_error);
        if (r >= 0)
                r = get_options(&l, ret_error);
        if (r < 0) {
                batch_line_done(&l);
                return r;
        }
        if (!l.submission.priority)
                l.submission.priority = priority;
        l.submission.arguments = l.arguments;
        *ret = l;
        return 0;
}
