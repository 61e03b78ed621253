/* SPDX-License-Identifier: MIT */

/* The options of a submission as the protocol wants them. */

#include <math.h>

#include "cli.h"
#include "json-util.h"
#include "moment.h"
#include "parse-util.h"
#include "task-id.h"
#include "time-util.h"

/* Spans are no points in time here: "1h" would be one in the past. */
static int parse_point(const char *text, uint64_t *ret) {
        double seconds;
        char *end;

        if (strlen(text) >= strlen("2026-11-24") && text[4] == '-')
                return moment_parse(text, now_usec(CLOCK_REALTIME), ret);
        if (text[strspn(text, "0123456789.")] != '\0')
                return -EINVAL;
        seconds = strtod(text, &end);
        if (*end != '\0' || end == text || !(seconds >= 1 && seconds < 253402300800.0))
                return -EINVAL;
        *ret = (uint64_t) (seconds * (double) USEC_PER_SEC);
        return 0;
}

static int add_seconds(struct json_object *o, const char *key, uint64_t usec) {
        return usec > 0 ? json_add(o, key,
                                   json_object_new_double((double) usec / (double) USEC_PER_SEC))
                        : 0;
}

/* The coordinator says what range it must be in. */
static int add_double(struct json_object *o, const char *option, const char *key,
                      const char *text) {
        double value;
        char *end;

        if (!text)
                return 0;
        value = strtod(text, &end);
        if (end == text || *end != '\0' || !isfinite(value))
                return complain(CLI_USAGE, "--%s is a number, not \"%s\"", option, text);
        return json_add(o, key, json_object_new_double(value));
}

static int add_eta(struct json_object *o, const char *text) {
        uint64_t usec;

        if (!text)
                return 0;
        if (parse_point(text, &usec) < 0)
                return complain(
                        CLI_USAGE,
                        "--eta is a time like \"2026-11-24 12:30\", 2026-11-24T12:30:00Z or "
                        "seconds since the epoch, not \"%s\"",
                        text);
        return json_add_time(o, "eta", usec);
}

static int add_expires(struct json_object *o, const char *text) {
        uint64_t usec;

        if (!text)
                return 0;
        if (parse_usec(text, 1, USEC_INFINITY, &usec) >= 0)
                return add_seconds(o, "expires", usec);
        if (parse_point(text, &usec) < 0)
                return complain(CLI_USAGE,
                                "--expires is a time like \"2026-11-24 12:30\", or how long it is "
                                "until then, like 1h, not \"%s\"",
                                text);
        return json_add_time(o, "expires", usec);
}

static int add_given(struct json_object *o, const char *key, const char *text) {
        return text ? json_add_string(o, key, text) : 0;
}

static int add_lane(struct json_object *o, const TaskOptions *t) {
        struct json_object *labels;

        if (add_given(o, "concurrency_key", t->concurrency_key) < 0 ||
            (t->concurrency > 0 && json_add_uint(o, "concurrency", t->concurrency) < 0))
                return -ENOMEM;
        if (t->labels.n == 0)
                return 0;
        labels = json_object_new_array();
        if (json_add(o, "labels", labels) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < t->labels.n; i++)
                if (json_object_array_add(labels, json_object_new_string(t->labels.words[i])) < 0)
                        return -ENOMEM;
        return 0;
}

/* Ids with commas between them. */
static int add_depends_on(struct json_object *o, const char *text) {
        struct json_object *ids;

        if (!text)
                return 0;
        ids = json_object_new_array();
        if (json_add(o, "depends_on", ids) < 0)
                return -ENOMEM;
        for (const char *at = text;; at++) {
                size_t n = strcspn(at, ",");
                struct json_object *id;
                TaskId unused;

                if (task_id_from_text(at, n, &unused) < 0)
                        return complain(
                                CLI_USAGE,
                                "--depends-on: \"%.*s\" is not a task id, the 36 characters of a "
                                "UUID; several have commas between them",
                                (int) MIN(n, (size_t) 100), at);
                id = json_object_new_string_len(at, (int) n);
                if (!id || json_object_array_add(ids, id) < 0) {
                        json_object_put(id);
                        return -ENOMEM;
                }
                at += n;
                if (*at == '\0')
                        return 0;
        }
}

/* Each returns 0, CLI_USAGE or -ENOMEM. */
static int add_all(struct json_object *o, const TaskOptions *t) {
        int r;

        if (add_given(o, "unique", t->unique) < 0 || add_given(o, "unique_policy", t->policy) < 0 ||
            add_given(o, "durability", t->durability) < 0 || add_given(o, "group", t->group) < 0 ||
            add_given(o, "after_group", t->after_group) < 0 ||
            add_seconds(o, "countdown", t->countdown_usec) < 0 ||
            add_given(o, "traceparent", t->traceparent) < 0 ||
            add_seconds(o, "timeout", t->timeout_usec) < 0 ||
            add_seconds(o, "soft_timeout", t->soft_timeout_usec) < 0 ||
            add_seconds(o, "retry_delay", t->retry_delay_usec) < 0 ||
            add_seconds(o, "retry_backoff_max", t->retry_backoff_max_usec) < 0 ||
            (t->max_retries != UINT64_MAX && json_add_uint(o, "max_retries", t->max_retries) < 0))
                return -ENOMEM;
        if (add_lane(o, t) < 0)
                return -ENOMEM;
        r = add_depends_on(o, t->depends_on);
        if (r == 0)
                r = add_eta(o, t->eta);
        if (r == 0)
                r = add_expires(o, t->expires);
        if (r == 0)
                r = add_double(o, "retry-backoff", "retry_backoff", t->retry_backoff);
        if (r == 0)
                r = add_double(o, "retry-jitter", "retry_jitter", t->retry_jitter);
        return r;
}

int task_options_to_text(struct json_object *o, char **ret) {
        *ret = NULL;
        return json_object_object_length(o) == 0 ? 0 : json_to_text(o, ret);
}

int make_task_options(const TaskOptions *t, char **ret) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        int r;

        *ret = NULL;
        if (!o)
                return -ENOMEM;
        r = add_all(o, t);
        return r != 0 ? r : task_options_to_text(o, ret);
}
