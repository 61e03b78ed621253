/* SPDX-License-Identifier: MIT */

#include "task-history.h"
#include "json-util.h"
#include "parse-util.h"

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

/* The head of an error, which may be any bytes: those that are no text are shown as question marks. */
static struct json_object *error_head(const struct iovec *error) {
        char text[TASK_HISTORY_ERROR_MAX];
        const char *data = error->iov_base;
        size_t n = 0;

        for (size_t i = 0; i < error->iov_len;) {
                uint32_t unused;
                int k = utf8_decode(data + i, error->iov_len - i, &unused);
                size_t size = k > 0 ? (size_t) k : 1;

                if (n + size > sizeof(text))
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

static struct json_object *attempt_to_json(const Task *t, const TaskAttempt *a) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_uint(o, "attempt", t->attempt) < 0 ||
            json_add_string(o, "worker", a->worker) < 0 ||
            json_add_string(o, "outcome", a->outcome) < 0 ||
            json_add_time(o, "started_at", a->started_usec) < 0 ||
            json_add_time(o, "completed_at", a->completed_usec) < 0 ||
            json_add(o, "error", error_head(&a->error)) < 0)
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
