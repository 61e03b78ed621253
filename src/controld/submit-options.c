/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "dependency-options.h"
#include "json-util.h"
#include "moment.h"
#include "retry.h"
#include "submit-options.h"
#include "task-lane.h"
#include "time-util.h"

#define SECONDS_MIN 0.000001
#define MOMENT_MIN  1.0
#define MOMENT_MAX  253402300799.0 /* the end of the year 9999 */

static int fail(char ret_error[static 160], const char *text, const char *more) {
        if (snprintf(ret_error, 160, "%s%.100s", text, more) >= 160)
                memcpy(ret_error + 156, "...", 4);
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

/* A span in seconds, more than 0 unless it is a countdown. Returns 1 if it is there. */
static int read_seconds(struct json_object *o, const char *key, double min, uint64_t *ret,
                        char ret_error[static 160]) {
        double seconds = 0;
        int k = json_get_double(o, key, min, RETRY_SECONDS_MAX, &seconds);

        if (k < 0) {
                (void) snprintf(
                        ret_error, 160,
                        "the option \"%s\" must be a number of seconds%s, at most ten years", key,
                        min > 0 ? ", more than 0" : "");
                return -EINVAL;
        }
        if (k > 0)
                *ret = (uint64_t) (seconds * (double) USEC_PER_SEC);
        return k;
}

/* Text as in RFC 3339. Returns 0 also if it is there with another type. */
static int read_moment(struct json_object *o, const char *key, uint64_t *ret,
                       char ret_error[static 160]) {
        const char *text = NULL;

        if (json_get_string(o, key, &text) <= 0)
                return 0;
        if (moment_parse_rfc3339(text, ret) >= 0)
                return 1;
        (void) snprintf(ret_error, 160,
                        "the option \"%s\" is no time like 2026-11-24T12:30:00Z or "
                        "2026-11-24T12:30:00+01:00",
                        key);
        return -EINVAL;
}

static int read_eta(struct json_object *o, SubmitOptions *ret, char ret_error[static 160]) {
        double seconds = 0;
        int k;

        k = read_moment(o, "eta", &ret->eta_usec, ret_error);
        if (k != 0)
                return k;
        k = json_get_double(o, "eta", MOMENT_MIN, MOMENT_MAX, &seconds);
        if (k < 0)
                return fail(
                        ret_error,
                        "the option \"eta\" must be a time as in RFC 3339, or seconds since the "
                        "epoch",
                        "");
        if (k > 0)
                ret->eta_usec = (uint64_t) (seconds * (double) USEC_PER_SEC);
        return k;
}

static int read_times(struct json_object *o, SubmitOptions *ret, char ret_error[static 160]) {
        int k;

        k = read_seconds(o, "countdown", 0, &ret->countdown_usec, ret_error);
        if (k < 0)
                return k;
        ret->has_countdown = k > 0;
        k = read_eta(o, ret, ret_error);
        if (k < 0)
                return k;
        if (k > 0 && ret->has_countdown)
                return fail(ret_error, "\"countdown\" and \"eta\" exclude each other", "");
        k = read_moment(o, "expires", &ret->expires_usec, ret_error);
        if (k == 0) {
                k = read_seconds(o, "expires", SECONDS_MIN, &ret->expires_in_usec, ret_error);
                ret->has_expires_in = k > 0;
        }
        if (k < 0)
                return k;
        if ((ret->has_expires_in && ret->has_countdown &&
             ret->expires_in_usec <= ret->countdown_usec) ||
            (ret->expires_usec > 0 && ret->expires_usec <= ret->eta_usec))
                return fail(ret_error, "the task would expire before it is due", "");
        return 0;
}

static int read_rest(struct json_object *o, char ret_error[static 160]) {
        RetryPolicy unused_policy = RETRY_POLICY_DEFAULT;
        const char *error = NULL, *unused_text;
        uint64_t unused;
        int r;

        if (retry_policy_read(&unused_policy, o, &error) < 0)
                return fail(ret_error, "the option ", error);
        r = read_seconds(o, "timeout", SECONDS_MIN, &unused, ret_error);
        if (r >= 0)
                r = read_seconds(o, "soft_timeout", SECONDS_MIN, &unused, ret_error);
        if (r < 0)
                return r;
        if (json_get_string(o, "traceparent", &unused_text) < 0)
                return fail(ret_error, "the option \"traceparent\" must be text", "");
        if (json_get_string(o, "schedule", &unused_text) < 0)
                return fail(ret_error, "the option \"schedule\" must be text", "");
        return 0;
}

static int read_all(struct json_object *o, SubmitOptions *ret, char ret_error[static 160]) {
        static const char *const known[] = { "durability",
                                             "unique",
                                             "unique_policy",
                                             "countdown",
                                             "eta",
                                             "expires",
                                             "max_retries",
                                             "retry_delay",
                                             "retry_backoff",
                                             "retry_jitter",
                                             "retry_backoff_max",
                                             "retry_on",
                                             "timeout",
                                             "soft_timeout",
                                             "traceparent",
                                             "schedule",
                                             "depends_on",
                                             "group",
                                             "after_group",
                                             "labels",
                                             "concurrency_key",
                                             "concurrency",
                                             NULL };
        /* What has its say while the task is taken, and then no more. */
        static const char *const passing[] = { "durability", NULL };
        DependencyOptions links;
        const char *key;
        int r;

        key = json_unknown_key(o, known);
        if (key)
                return fail(ret_error,
                            "there is durability, unique, unique_policy, countdown, eta, expires, "
                            "max_retries and others, but no option ",
                            key);
        ret->is_kept = json_unknown_key(o, passing);
        r = read_durability(o, ret, ret_error);
        if (r >= 0)
                r = read_unique(o, ret, ret_error);
        if (r >= 0)
                r = read_times(o, ret, ret_error);
        if (r >= 0)
                r = task_lane_check(o, ret_error);
        if (r >= 0)
                r = dependency_options_read(o, &links, ret_error);
        if (r < 0)
                return r;
        ret->has_links = dependency_options_any(&links);
        ret->has_lane = json_object_object_get_ex(o, "labels", NULL) ||
                        json_object_object_get_ex(o, "concurrency_key", NULL);
        return read_rest(o, ret_error);
}

int submit_options_parse(const struct iovec *text, SubmitOptions *ret, char ret_error[static 160]) {
        _cleanup_json_ struct json_object *o = NULL;
        const char *error = NULL;
        int r;

        *ret = (SubmitOptions){};
        if (text->iov_len == 0)
                return 0;
        r = json_parse_object(text->iov_base, text->iov_len, &o, &error);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return fail(ret_error, "the options must be one JSON object, or empty: ", error);
        return read_all(o, ret, ret_error);
}

uint64_t submit_options_due(const SubmitOptions *o, uint64_t created_usec) {
        return o->has_countdown ? created_usec + o->countdown_usec : o->eta_usec;
}

uint64_t submit_options_expires(const SubmitOptions *o, uint64_t created_usec) {
        return o->has_expires_in ? created_usec + o->expires_in_usec : o->expires_usec;
}

/* The text may be of another version: all of it that is JSON is passed on. */
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
