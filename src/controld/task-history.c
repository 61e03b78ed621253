/* SPDX-License-Identifier: MIT */

#include "task-history.h"
#include "json-util.h"
#include "parse-util.h"

#define NUMBER_MAX 32U
#define REASON_MAX 32U

/* Takes the text over. */
static void set(TaskTable *table, Task *t, char *text, size_t size) {
        table->payload_bytes += size;
        table->payload_bytes -= t->extra->history_size;
        free(t->extra->history);
        t->extra->history = text;
        t->extra->history_size = (uint32_t) size;
}

void task_history_clear(TaskTable *table, Task *t) {
        if (!t->extra)
                return;
        set(table, t, NULL, 0);
        t->extra->noted = 0;
}

struct iovec task_history(const Task *t) {
        return t->extra ? (struct iovec){ t->extra->history, t->extra->history_size }
                        : (struct iovec){};
}

/* The head of what may be any bytes: those that are no text are shown as question marks. */
static struct json_object *text_head(const char *data, size_t length, size_t max) {
        char text[MAX(TASK_HISTORY_ERROR_MAX, TASK_HISTORY_OUTPUT_MAX)];
        size_t n = 0;

        for (size_t i = 0; i < length;) {
                uint32_t unused;
                int k = utf8_decode(data + i, length - i, &unused);
                size_t size = k > 0 ? (size_t) k : 1;

                if (n + size > MIN(max, sizeof(text)))
                        break;
                if (k > 0)
                        memcpy(text + n, data + i, size);
                else
                        text[n] = '?';
                n += size;
                i += size;
        }
        return json_object_new_string_len(text, (int) n);
}

static struct json_object *output_tail(struct json_object *v) {
        const char *text = json_object_get_string(v);
        size_t size = (size_t) json_object_get_string_len(v),
               cut = size - MIN(size, (size_t) TASK_HISTORY_OUTPUT_MAX);

        while (cut > 0 && cut < size && ((unsigned char) text[cut] & 0xc0) == 0x80)
                cut++; /* not within a character */
        return text_head(text + cut, size - cut, TASK_HISTORY_OUTPUT_MAX);
}

/* A number as the worker has written it, unless that is no number or very long. */
static int add_number(struct json_object *o, const char *key, struct json_object *from) {
        struct json_object *v = NULL;

        if (!json_object_object_get_ex(from, key, &v) ||
            !(json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double)) ||
            strlen(json_object_to_json_string(v)) > NUMBER_MAX)
                return 0;
        return json_add(o, key, json_object_get(v));
}

static int add_usage(struct json_object *o, struct json_object *usage) {
        static const char *const keys[] = { "cpu_sec", "memory_peak", "wall_sec" };
        struct json_object *copy = json_object_new_object();
        int r;

        r = json_add(o, "usage", copy);
        for (size_t i = 0; i < ELEMENTSOF(keys) && r >= 0; i++)
                r = add_number(copy, keys[i], usage);
        return r;
}

/* What of the details makes no sense is as if it were not there. */
static int add_details(struct json_object *o, struct json_object *details) {
        struct json_object *usage = NULL, *tail = NULL;
        const char *reason = NULL;
        int r = 0;

        if (!details)
                return 0;
        if (json_get_string(details, "reason", &reason) > 0 && strlen(reason) <= REASON_MAX)
                r = json_add_string(o, "reason", reason);
        if (r >= 0 && json_get_object(details, "usage", &usage) > 0)
                r = add_usage(o, usage);
        if (r >= 0 && json_object_object_get_ex(details, "output_tail", &tail) &&
            json_object_is_type(tail, json_type_string))
                r = json_add(o, "output_tail", output_tail(tail));
        return r;
}

bool task_history_keeps(struct json_object *details) {
        return details && (json_object_object_get_ex(details, "usage", NULL) ||
                           json_object_object_get_ex(details, "reason", NULL) ||
                           json_object_object_get_ex(details, "output_tail", NULL));
}

static struct json_object *attempt_to_json(const Task *t, const TaskAttempt *a) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_uint(o, "attempt", t->attempt) < 0 ||
            json_add_string(o, "worker", a->worker) < 0 ||
            json_add_string(o, "outcome", a->outcome) < 0 ||
            json_add_time(o, "started_at", a->started_usec) < 0 ||
            json_add_time(o, "completed_at", a->completed_usec) < 0 ||
            json_add(o, "error",
                     text_head(a->error.iov_base, a->error.iov_len, TASK_HISTORY_ERROR_MAX)) < 0 ||
            add_details(o, a->details) < 0)
                return NULL;
        return TAKE_PTR(o);
}

/* What stays of it when there is one more to come. */
static struct iovec rest_of_history(const Task *t) {
        struct iovec h = task_history(t);
        const char *s = h.iov_base;
        size_t size = h.iov_len, n = 0;

        for (size_t i = 0; i < size; i++)
                n += s[i] == '\n';
        for (; n >= TASK_HISTORY_MAX; n--) {
                size_t line = (size_t) ((const char *) memchr(s, '\n', size) - s) + 1;

                s += line;
                size -= line;
        }
        return (struct iovec){ (char *) s, size };
}

int task_history_add(TaskTable *table, Task *t, const TaskAttempt *a) {
        _cleanup_json_ struct json_object *o = NULL;
        TaskExtra *extra = task_extra_get(t);
        struct iovec rest;
        const char *line;
        size_t size = 0;
        char *text;

        if (!extra)
                return -ENOMEM;
        if (extra->noted == t->attempt && extra->history_size > 0)
                return 0;
        o = attempt_to_json(t, a);
        line = o ? json_object_to_json_string_length(o, JSON_COMPACT, &size) : NULL;
        if (!line)
                return -ENOMEM;
        rest = rest_of_history(t);
        text = malloc(rest.iov_len + size + 1);
        if (!text)
                return -ENOMEM;
        if (rest.iov_len > 0)
                memcpy(text, rest.iov_base, rest.iov_len);
        memcpy(text + rest.iov_len, line, size);
        text[rest.iov_len + size] = '\n';
        set(table, t, text, rest.iov_len + size + 1);
        extra->noted = t->attempt;
        return 0;
}

int task_history_set(TaskTable *table, Task *t, const struct iovec *text) {
        char *copy;

        if (text->iov_len == 0) {
                task_history_clear(table, t);
                return 0;
        }
        if (!task_extra_get(t))
                return -ENOMEM;
        copy = malloc(text->iov_len);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, text->iov_base, text->iov_len);
        set(table, t, copy, text->iov_len);
        return 0;
}

struct json_object *task_history_last(const Task *t) {
        struct iovec h = task_history(t);
        struct json_object *o = NULL;
        const char *s = h.iov_base, *line;
        size_t size = h.iov_len;

        if (size > 0 && s[size - 1] == '\n')
                size--;
        line = size > 0 ? memrchr(s, '\n', size) : NULL;
        line = line ? line + 1 : s;
        return size > 0 && json_parse_object(line, size - (size_t) (line - s), &o, NULL) >= 0
                       ? o
                       : NULL;
}

struct json_object *task_history_to_json(const Task *t) {
        _cleanup_json_ struct json_object *array = json_object_new_array();
        struct iovec h = task_history(t);
        const char *s = h.iov_base;
        size_t left = h.iov_len;

        if (!array)
                return NULL;
        while (left > 0) {
                const char *q = memchr(s, '\n', left);
                size_t size = q ? (size_t) (q - s) : left;
                struct json_object *o = NULL;
                int r;

                r = json_parse(s, size, &o, NULL);
                if (r == -ENOMEM)
                        return NULL;
                if (o && json_object_array_add(array, o) < 0) {
                        json_object_put(o);
                        return NULL;
                }
                size = MIN(size + 1, left);
                s += size;
                left -= size;
        }
        return TAKE_PTR(array);
}
