/* SPDX-License-Identifier: MIT */

/* Reading the document that defines a schedule. It is written anew, with its keys in one order, so that two documents
 * that say the same are the same. */

#include <stdio.h>

#include "error-text.h"
#include "json-util.h"
#include "schedule.h"
#include "submit-options.h"
#include "time-util.h"

#define NUMBER_MAX 40U

/* In the order in which they are kept. */
static const char *const keys[] = { "name",     "task",  "arguments",       "options",
                                    "priority", "cron",  "interval",        "timezone",
                                    "count",    "until", "skip_if_running", "catch_up",
                                    NULL };
#define FIRST_SPEC_KEY 5U

/* A task of a schedule is due when the schedule says, and is told from its others by that. */
static const char *const foreign_options[] = { "countdown", "eta",        "unique", "unique_policy",
                                               "schedule",  "depends_on", "group",  "after_group" };

struct json_object *schedule_document_of_type(const char *type, struct json_object *options,
                                              struct json_object *schedule) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        struct json_object *value;

        if (!o || json_add_string(o, "name", type) < 0 || json_add_string(o, "task", type) < 0)
                return NULL;
        if (json_object_object_get_ex(options, "priority", &value) &&
            json_object_object_add(o, "priority", json_object_get(value)) < 0)
                return NULL;
        for (size_t i = FIRST_SPEC_KEY; keys[i]; i++)
                if (json_object_object_get_ex(schedule, keys[i], &value) &&
                    json_object_object_add(o, keys[i], json_object_get(value)) < 0)
                        return NULL;
        return TAKE_PTR(o);
}

static int canonical(struct json_object *document, struct json_object **ret, char **ret_error) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        const char *unknown = json_unknown_key(document, keys);
        struct json_object *value;

        if (unknown)
                return fail_with_text(
                        ret_error, -EINVAL,
                        "a schedule has a name, a task, arguments, options, priority, cron or "
                        "interval, timezone, count, until, skip_if_running and catch_up, but no "
                        "\"%.60s\"",
                        unknown);
        if (!o)
                return -ENOMEM;
        for (size_t i = 0; keys[i]; i++)
                if (json_object_object_get_ex(document, keys[i], &value) && value &&
                    json_object_object_add(o, keys[i], json_object_get(value)) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 0;
}

static int read_name(struct json_object *o, const char *key, size_t max, const char **ret,
                     char **ret_error) {
        struct iovec field = {};

        if (json_get_string(o, key, ret) > 0)
                field = (struct iovec){ (char *) *ret, strlen(*ret) };
        if (field.iov_len > 0 && field.iov_len <= max &&
            wire_field_is_valid(WIRE_KIND_NAME, &field))
                return 0;
        return fail_with_text(ret_error, -EINVAL,
                              "\"%s\" must be 1 to %zu letters, digits or . _ : -", key, max);
}

/* --- what the task gets --- */

static int read_arguments(Schedule *s, char **ret_error) {
        struct json_object *arguments = NULL;
        int k = json_get_object(s->definition, "arguments", &arguments);

        if (k < 0)
                return fail_with_text(
                        ret_error, -EINVAL,
                        "\"arguments\" must be an object like {\"args\":[1],\"kwargs\":{}}");
        s->arguments = strdup(k > 0 ? json_object_to_json_string_ext(arguments, JSON_COMPACT)
                                    : "{\"args\":[],\"kwargs\":{}}");
        return s->arguments ? 0 : -ENOMEM;
}

static int check_options(struct json_object *options, char **ret_error) {
        char error[160];
        const char *text;
        struct iovec field;
        SubmitOptions parsed;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(foreign_options); i++)
                if (json_object_object_get_ex(options, foreign_options[i], NULL))
                        return fail_with_text(ret_error, -EINVAL,
                                              "the tasks of a schedule have no option \"%s\"",
                                              foreign_options[i]);
        text = json_object_to_json_string_ext(options, JSON_COMPACT);
        if (!text)
                return -ENOMEM;
        field = (struct iovec){ (char *) text, strlen(text) };
        r = submit_options_parse(&field, &parsed, error);
        if (r == -EINVAL)
                return fail_with_text(ret_error, -EINVAL, "%s", error);
        if (r >= 0 && parsed.expires_usec > 0)
                return fail_with_text(
                        ret_error, -EINVAL,
                        "the option \"expires\" of a schedule's tasks must be a number "
                        "of seconds, which counts for each task anew, not a time; "
                        "\"until\" ends a schedule");
        return r;
}

/* With "schedule" in them, so that the task can be told where it comes from. */
static int read_options(Schedule *s, char **ret_error) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        struct json_object *options = NULL;
        int r;

        if (!o || json_add_string(o, "schedule", s->name) < 0)
                return -ENOMEM;
        if (json_get_object(s->definition, "options", &options) < 0)
                return fail_with_text(ret_error, -EINVAL, "\"options\" must be an object");
        if (options) {
                r = check_options(options, ret_error);
                if (r < 0)
                        return r;
                json_object_object_foreach(options, key, value) {
                        if (json_object_object_add(o, key, json_object_get(value)) < 0)
                                return -ENOMEM;
                }
        }
        return json_to_text(o, &s->options);
}

static int read_priority(Schedule *s, char **ret_error) {
        const char *text = NULL;
        int k = json_get_string(s->definition, "priority", &text);

        s->priority = PRIORITY_NORMAL;
        if (k > 0 && text[0] == '\0')
                k = -EINVAL;
        if (k > 0)
                s->priority = task_priority_from_text(text, strlen(text));
        if (k < 0 || (int) s->priority < 0)
                return fail_with_text(ret_error, -EINVAL,
                                      "\"priority\" must be critical, high, normal or low");
        return 0;
}

/* --- when it is due --- */

/* Text as it stands; a number, or true and false, as text. NULL if it is not there. */
static int get_text(struct json_object *o, const char *key, enum json_type also,
                    char buffer[static NUMBER_MAX], const char **ret, char **ret_error) {
        struct json_object *value;
        bool is_number;

        if (!json_object_object_get_ex(o, key, &value) || !value)
                return 0;
        is_number = json_object_is_type(value, json_type_int) ||
                    (also == json_type_double && json_object_is_type(value, json_type_double));
        if (json_object_is_type(value, json_type_string)) {
                *ret = json_text(value);
                return *ret ? 0
                            : fail_with_text(ret_error, -EINVAL, "\"%s\" must not contain a NUL",
                                             key);
        }
        if (also == json_type_boolean && json_object_is_type(value, json_type_boolean)) {
                *ret = json_object_get_boolean(value) ? "yes" : "no";
                return 0;
        }
        if (!is_number || also == json_type_null || also == json_type_boolean)
                return fail_with_text(ret_error, -EINVAL, "\"%s\" must be %s", key,
                                      also == json_type_boolean ? "true or false"
                                      : also == json_type_null  ? "text"
                                                                : "a number, or text");
        if (json_object_is_type(value, json_type_int)) /* of 64 bits, with or without a sign */
                (void) snprintf(buffer, NUMBER_MAX, "%s", json_object_to_json_string(value) ?: "");
        else
                (void) snprintf(buffer, NUMBER_MAX, "%.6f", json_object_get_double(value));
        *ret = buffer;
        return 0;
}

static int read_spec(Schedule *s, char **ret_error) {
        static const char *const fields[] = {
                [SCHEDULE_FIELD_RULE] = NULL,
                [SCHEDULE_FIELD_TIMEZONE] = "timezone",
                [SCHEDULE_FIELD_COUNT] = "count",
                [SCHEDULE_FIELD_UNTIL] = "until",
                [SCHEDULE_FIELD_SKIP_IF_RUNNING] = "skip_if_running",
                [SCHEDULE_FIELD_CATCH_UP] = "catch_up",
        };
        char interval[NUMBER_MAX], count[NUMBER_MAX], unused[NUMBER_MAX];
        struct json_object *o = s->definition;
        _cleanup_free_ char *why = NULL;
        ScheduleText text = {};
        ScheduleField field;
        int r;

        r = get_text(o, "cron", json_type_null, unused, &text.cron, ret_error);
        if (r >= 0)
                r = get_text(o, "interval", json_type_double, interval, &text.interval, ret_error);
        if (r >= 0)
                r = get_text(o, "timezone", json_type_null, unused, &text.timezone, ret_error);
        if (r >= 0)
                r = get_text(o, "count", json_type_int, count, &text.count, ret_error);
        if (r >= 0)
                r = get_text(o, "until", json_type_null, unused, &text.until, ret_error);
        if (r >= 0)
                r = get_text(o, "skip_if_running", json_type_boolean, unused, &text.skip_if_running,
                             ret_error);
        if (r >= 0)
                r = get_text(o, "catch_up", json_type_null, unused, &text.catch_up, ret_error);
        if (r < 0)
                return r;
        r = schedule_spec_parse(&text, &s->spec, &field, &why);
        if (r != -EINVAL)
                return r;
        return fail_with_text(ret_error, -EINVAL, "%s%s%s", fields[field] ?: "",
                              fields[field] ? ": " : "", why ?: "it makes no sense");
}

static int read_all(Schedule *s, char **ret_error) {
        int r;

        r = read_name(s->definition, "name", SCHEDULE_NAME_MAX, &s->name, ret_error);
        if (r >= 0)
                r = read_name(s->definition, "task", WIRE_NAME_MAX, &s->task_name, ret_error);
        if (r >= 0)
                r = read_arguments(s, ret_error);
        if (r >= 0)
                r = read_options(s, ret_error);
        if (r >= 0)
                r = read_priority(s, ret_error);
        if (r >= 0)
                r = read_spec(s, ret_error);
        if (r < 0)
                return r;
        s->document = json_object_to_json_string_ext(s->definition, JSON_COMPACT);
        return s->document ? 0 : -ENOMEM;
}

int schedule_new(struct json_object *document, Schedule **ret, char **ret_error) {
        _cleanup_(schedule_freep) Schedule *s = calloc(1, sizeof(*s));
        int r;

        *ret_error = NULL;
        if (!s)
                return -ENOMEM;
        r = canonical(document, &s->definition, ret_error);
        if (r >= 0)
                r = read_all(s, ret_error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}
