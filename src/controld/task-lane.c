/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "json-util.h"
#include "parse-util.h"
#include "task-lane.h"

typedef struct LaneOptions {
        char **labels;
        const char *key; /* borrowed; NULL: none */
        uint64_t max;
} LaneOptions;

static int fail(char ret_error[static 160], const char *text) {
        (void) snprintf(ret_error, 160, "%s", text);
        return -EINVAL;
}

static int read_key(struct json_object *o, LaneOptions *ret, char ret_error[static 160]) {
        struct iovec field;
        int k;

        k = json_get_string(o, "concurrency_key", &ret->key);
        if (k > 0) {
                field = (struct iovec){ (char *) ret->key, strlen(ret->key) };
                if (field.iov_len == 0 || !wire_field_is_valid(WIRE_KIND_KEY, &field))
                        k = -EINVAL;
        }
        if (k < 0)
                return fail(ret_error, "the option \"concurrency_key\" must be 1 to 64 printable "
                                       "ASCII characters");
        ret->max = 1;
        k = json_get_uint(o, "concurrency", 1, CONCURRENCY_MAX, &ret->max);
        if (k < 0)
                return fail(ret_error,
                            "the option \"concurrency\" must be a number from 1 to 1000000");
        if (k > 0 && !ret->key)
                return fail(ret_error, "the option \"concurrency\" goes with \"concurrency_key\"");
        return 0;
}

static int read_all(struct json_object *o, LaneOptions *ret, char ret_error[static 160]) {
        struct json_object *labels = NULL;
        int r;

        *ret = (LaneOptions){};
        r = json_get_array(o, "labels", &labels);
        if (r > 0)
                r = labels_read(labels, &ret->labels);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return fail(ret_error,
                            "the option \"labels\" must be a list of at most 32 words of letters, "
                            "digits and _ . : -, each with at most 63 characters");
        return read_key(o, ret, ret_error);
}

int task_lane_check(struct json_object *options, char ret_error[static 160]) {
        LaneOptions o;
        int r;

        r = read_all(options, &o, ret_error);
        strv_free(o.labels);
        return r;
}

/* Most options are about something else. */
static bool may_have(const Task *t) {
        return memmem(task_options(t), t->options_size, "\"labels\"", strlen("\"labels\"")) ||
               memmem(task_options(t), t->options_size, "\"concurrency_key\"",
                      strlen("\"concurrency_key\""));
}

int task_lane_enter(Queue *q, Task *t) {
        _cleanup_json_ struct json_object *o = NULL;
        LaneOptions options;
        char error[160];
        int r;

        if (t->options_size == 0 || !may_have(t))
                return 0;
        r = json_parse_object(task_options(t), t->options_size, &o, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        r = read_all(o, &options, error);
        if (r >= 0 && (options.key || options.labels))
                r = lane_enter(&q->keys, t, options.labels, options.key,
                               options.key ? strlen(options.key) : 0, (uint32_t) options.max);
        strv_free(options.labels);
        return r == -ENOMEM ? r : 0;
}
