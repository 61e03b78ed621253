/* SPDX-License-Identifier: MIT */

/* What others than the runner must know of a task file: the options of the task type. */

#include <inttypes.h>
#include <stdio.h>

#include "json-util.h"
#include "limit-text.h"
#include "schedule-spec.h"
#include "task-file-internal.h"
#include "time-util.h"

/* A number with at most six decimals; what json-c makes of a double has seventeen digits. */
static struct json_object *new_decimal(uint64_t millionths) {
        char text[32];
        size_t n;

        (void) snprintf(text, sizeof(text), "%" PRIu64 ".%06" PRIu64, millionths / 1000000,
                        millionths % 1000000);
        n = strlen(text);
        while (text[n - 1] == '0')
                text[--n] = '\0';
        if (text[n - 1] == '.')
                return json_object_new_uint64(millionths / 1000000);
        return json_object_new_double_s((double) millionths / 1e6, text);
}

static int add_seconds(struct json_object *o, const char *key, uint64_t usec) {
        return json_add(o, key, new_decimal(usec));
}

static int add_factor(struct json_object *o, const char *key, double factor) {
        return json_add(o, key, new_decimal((uint64_t) (factor * 1e6 + 0.5)));
}

static int add_words(struct json_object *o, const char *key, char *const *words) {
        struct json_object *list = json_object_new_array();

        if (!list)
                return -ENOMEM;
        for (; *words; words++) {
                struct json_object *word = json_object_new_string(*words);

                if (!word || json_object_array_add(list, word) < 0) {
                        json_object_put(word);
                        json_object_put(list);
                        return -ENOMEM;
                }
        }
        return json_add(o, key, list);
}

static int add_retries(struct json_object *o, const TaskFile *t) {
        int r = json_add_uint(o, "max_retries", t->max_retries);

        if (r >= 0)
                r = add_seconds(o, "retry_delay", t->retry_delay_usec);
        if (r >= 0)
                r = add_factor(o, "retry_backoff", t->retry_backoff);
        if (r >= 0)
                r = add_seconds(o, "retry_backoff_max", t->retry_backoff_max_usec);
        if (r >= 0 && t->retry_jitter > 0)
                r = add_factor(o, "retry_jitter", t->retry_jitter);
        return r;
}

static int add_rate(struct json_object *o, const TaskFile *t) {
        const Rate rate = { t->rate_count, t->rate_usec };
        char text[RATE_TEXT_MAX];

        return json_add_string(o, "rate_limit", rate_to_text(&rate, text));
}

/* Its values were checked when the file was read. */
static int add_schedule(struct json_object *o, const TaskFile *t) {
        struct json_object *s = json_object_new_object();
        const char *interval = task_file_interval(t);
        uint64_t n;
        bool skip;
        int r;

        if (!s)
                return -ENOMEM;
        if (interval && parse_usec(interval, 0, USEC_INFINITY, &n) >= 0)
                r = add_seconds(s, "interval", n);
        else
                r = json_add_string(s, "cron", t->schedule);
        if (r >= 0 && t->schedule_timezone)
                r = json_add_string(s, "timezone", t->schedule_timezone);
        if (r >= 0 && t->schedule_count && parse_uint(t->schedule_count, 0, UINT64_MAX, &n) >= 0)
                r = json_add_uint(s, "count", n);
        if (r >= 0 && t->schedule_until)
                r = json_add_string(s, "until", t->schedule_until);
        if (r >= 0 && t->schedule_skip_if_running &&
            parse_bool(t->schedule_skip_if_running, &skip) >= 0)
                r = json_add_bool(s, "skip_if_running", skip);
        if (r >= 0 && t->schedule_catch_up)
                r = json_add_string(s, "catch_up", t->schedule_catch_up);
        if (r < 0) {
                json_object_put(s);
                return r;
        }
        return json_add(o, "schedule", s);
}

static int add_resources(struct json_object *o, const TaskFile *t) {
        struct json_object *s;
        int r = 0;

        if (t->memory_max == UINT64_MAX && t->tasks_max == UINT64_MAX && t->cpu_weight == 0)
                return 0;
        s = json_object_new_object();
        if (!s)
                return -ENOMEM;
        if (t->memory_max != UINT64_MAX)
                r = json_add_uint(s, "memory_max", t->memory_max);
        if (r >= 0 && t->tasks_max != UINT64_MAX)
                r = json_add_uint(s, "tasks_max", t->tasks_max);
        if (r >= 0 && t->cpu_weight > 0)
                r = json_add_uint(s, "cpu_weight", t->cpu_weight);
        if (r < 0) {
                json_object_put(s);
                return r;
        }
        return json_add(o, "resources", s);
}

static int add_all(struct json_object *o, const TaskFile *t) {
        static const char *const priorities[] = { "critical", "high", "normal", "low" };
        int r = 0;

        /* Also 0: a command that asks for another attempt is then not given one. */
        if (t->max_retries == 0)
                r = json_add_uint(o, "max_retries", 0);
        if (r >= 0 && t->timeout_usec != USEC_INFINITY)
                r = add_seconds(o, "timeout", t->timeout_usec);
        if (r >= 0 && t->soft_timeout_usec != USEC_INFINITY)
                r = add_seconds(o, "soft_timeout", t->soft_timeout_usec);
        if (r >= 0 && t->has_max_retries)
                r = add_retries(o, t);
        if (r >= 0 && t->priority != TASK_PRIORITY_NORMAL)
                r = json_add_string(o, "priority", priorities[t->priority]);
        if (r >= 0 && t->concurrency > 0)
                r = json_add_uint(o, "concurrency", t->concurrency);
        if (r >= 0 && t->rate_count > 0)
                r = add_rate(o, t);
        if (r >= 0 && t->labels)
                r = add_words(o, "labels", t->labels);
        if (r >= 0 && t->schedule)
                r = add_schedule(o, t);
        if (r >= 0)
                r = add_resources(o, t);
        return r;
}

int task_file_options(const TaskFile *t, char **ret) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        int r;

        if (!o)
                return -ENOMEM;
        r = add_all(o, t);
        if (r < 0)
                return r;
        if (json_object_object_length(o) > 0)
                return json_to_text(o, ret);
        *ret = strdup("");
        return *ret ? 0 : -ENOMEM;
}
