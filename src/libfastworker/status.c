/* SPDX-License-Identifier: MIT */

/* The answer to STATUS, made one JSON object or a result. */

#include <json-c/json.h>
#include <stdio.h>
#include <time.h>

#include "client-internal.h"
#include "json-util.h"
#include "parse-util.h"
#include "task-state.h"
#include "time-util.h"

enum { FIELD_INFO, FIELD_ARGUMENTS, FIELD_RESULT, FIELD_ERROR };

/* Bytes that are not UTF-8 cannot stand in JSON; each becomes U+FFFD. */
static struct json_object *text_to_json(const struct iovec *f) {
        static const char replacement[] = "\xef\xbf\xbd";
        const char *p = f->iov_base, *end = p + f->iov_len;
        struct json_object *o;
        char *text, *to;

        text = to = malloc(f->iov_len * (sizeof(replacement) - 1) + 1);
        if (!text)
                return NULL;
        while (p < end) {
                uint32_t unused;
                int n = utf8_decode(p, (size_t) (end - p), &unused);

                if (n > 0) {
                        memcpy(to, p, (size_t) n);
                        to += n;
                        p += n;
                } else {
                        to = stpcpy(to, replacement);
                        p++;
                }
        }
        o = json_object_new_string_len(text, (int) (to - text));
        free(text);
        return o;
}

/* A value if it is JSON, else a string; null if there is nothing. */
static int add_payload(struct json_object *o, const char *key, const struct iovec *f) {
        struct json_object *value;
        int r;

        if (f->iov_len == 0)
                return json_object_object_add(o, key, NULL) < 0 ? -ENOMEM : 0;
        r = json_parse(f->iov_base, f->iov_len, &value, NULL);
        if (r >= 0) /* which may be null, and that is no lack of memory */
                return value                                      ? json_add(o, key, value)
                       : json_object_object_add(o, key, NULL) < 0 ? -ENOMEM
                                                                  : 0;
        if (r == -ENOMEM)
                return r;
        return json_add(o, key, text_to_json(f));
}

static int add_error(struct json_object *o, const struct iovec *f) {
        if (f->iov_len == 0)
                return json_object_object_add(o, "error", NULL) < 0 ? -ENOMEM : 0;
        return json_add(o, "error", text_to_json(f));
}

static int copy_member(struct json_object *to, const char *key, struct json_object *value) {
        return json_object_object_add(to, key, json_object_get(value)) < 0 ? -ENOMEM : 0;
}

/* The members that users know first and in their order, then what else the coordinator says. */
static int arrange(struct json_object *to, struct json_object *info, const WireMessage *m) {
        static const char *const before[] = { "task_id",  "name",   "status",
                                              "priority", "worker", "attempt" };
        static const char *const after[] = { "created_at", "started_at", "completed_at" };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(before); i++) {
                r = copy_member(to, before[i], json_object_object_get(info, before[i]));
                if (r < 0)
                        return r;
        }
        r = add_payload(to, "result", &m->fields[FIELD_RESULT]);
        if (r >= 0)
                r = add_error(to, &m->fields[FIELD_ERROR]);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(after); i++)
                r = copy_member(to, after[i], json_object_object_get(info, after[i]));
        if (r >= 0)
                r = add_payload(to, "arguments", &m->fields[FIELD_ARGUMENTS]);
        if (r < 0)
                return r;

        json_object_object_foreach(info, key, value) {
                if (json_object_object_get_ex(to, key, NULL))
                        continue;
                r = copy_member(to, key, value);
                if (r < 0)
                        return r;
        }
        return 0;
}

int status_to_json(const WireMessage *m, char **ret) {
        _cleanup_json_ struct json_object *info = NULL, *o = NULL;
        const struct iovec *f = &m->fields[FIELD_INFO];
        const char *text;
        int r;

        r = json_parse_object(f->iov_base, f->iov_len, &info, NULL);
        if (r < 0)
                return r;
        o = json_object_new_object();
        if (!o)
                return -ENOMEM;
        r = arrange(o, info, m);
        if (r < 0)
                return r;
        text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                                         JSON_C_TO_STRING_NOSLASHESCAPE);
        *ret = text ? strdup(text) : NULL;
        return *ret ? 0 : -ENOMEM;
}

/* "2026-11-24T12:30:01.123456Z" -> microseconds since the epoch; 0 for null and what is no such time. */
static uint64_t get_time(struct json_object *info, const char *key) {
        const char *text, *rest;
        uint64_t usec = 0;
        struct tm tm = {};
        time_t t;

        if (json_get_string(info, key, &text) <= 0)
                return 0;
        rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
        if (!rest)
                return 0;
        t = timegm(&tm);
        if (t < 0)
                return 0;
        if (*rest == '.') {
                uint64_t unit = USEC_PER_SEC / 10;

                for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
                        usec += (uint64_t) (*rest - '0') * unit;
        }
        return (uint64_t) t * USEC_PER_SEC + usec;
}

int status_to_result(const WireMessage *m, fastworker_result **ret) {
        _cleanup_json_ struct json_object *info = NULL;
        const struct iovec *f = m->fields;
        fastworker_result view = {};
        const char *id, *status;
        TaskState state;
        int r;

        r = json_parse_object(f[FIELD_INFO].iov_base, f[FIELD_INFO].iov_len, &info, NULL);
        if (r < 0)
                return r;
        if (json_get_string(info, "task_id", &id) <= 0 || strlen(id) != TASK_ID_TEXT_LENGTH ||
            json_get_string(info, "status", &status) <= 0)
                return -EBADMSG;
        state = task_state_from_string(status);
        if (!task_state_is_terminal(state))
                return 0;

        strcpy(view.task_id, id);
        view.status = task_state_to_string(state);
        view.started_usec = get_time(info, "started_at");
        view.completed_usec = get_time(info, "completed_at");
        r = result_set_data(&view, f[FIELD_RESULT].iov_base, f[FIELD_RESULT].iov_len);
        if (r >= 0)
                r = result_set_error(&view, f[FIELD_ERROR].iov_base, f[FIELD_ERROR].iov_len);
        if (r >= 0)
                r = fastworker_result_copy(&view, ret);
        result_done(&view);
        return r < 0 ? r : 1;
}
