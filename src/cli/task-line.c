/* SPDX-License-Identifier: MIT */

#include "task-line.h"
#include "base64.h"
#include "error-text.h"
#include "json-util.h"
#include "parse-util.h"
#include "task-id.h"
#include "task-state.h"

/* --- writing --- */

static bool is_text(const char *data, size_t size) {
        for (size_t i = 0; i < size;) {
                uint32_t unused;
                int n = utf8_decode(data + i, size - i, &unused);

                if (n < 0)
                        return false;
                i += (size_t) n;
        }
        return true;
}

static int add_base64(struct json_object *o, const char *key, const void *data, size_t size) {
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        r = base64_encode(data, size, &text, &n);
        return r < 0 ? r : json_add(o, key, json_object_new_string_len(text, (int) n));
}

static int add_payload_exactly(struct json_object *o, const char *key, const char *encoding_key,
                               const void *data, size_t size) {
        struct json_object *value = NULL;
        bool text;
        int r;

        r = size > 0 ? json_parse(data, size, &value, NULL) : 0;
        if (r == -ENOMEM)
                return r;
        if (r >= 0 && (value || size == 0))
                return json_object_object_add(o, key, value) < 0 ? -ENOMEM : 0;
        /* The word null as well, as null says that there is nothing. */
        text = r >= 0 || is_text(data, size);
        r = text ? json_add(o, key, json_object_new_string_len(data, (int) size))
                 : add_base64(o, key, data, size);
        return r < 0 ? r : json_add_string(o, encoding_key, text ? "text" : "base64");
}

static int add_error(struct json_object *o, const char *error) {
        return error[0]                                       ? json_add_string(o, "error", error)
               : json_object_object_add(o, "error", NULL) < 0 ? -ENOMEM
                                                              : 0;
}

struct json_object *task_line_new(const fastworker_task_view *task, const char **ret_error) {
        _cleanup_json_ struct json_object *o = NULL;

        *ret_error = NULL;
        if (json_parse_object(task->info, strlen(task->info), &o, ret_error) < 0)
                return NULL;
        if (add_payload_exactly(o, "arguments", "arguments_encoding", task->arguments,
                                task->arguments_size) < 0 ||
            add_payload_exactly(o, "result", "result_encoding", task->result, task->result_size) <
                    0 ||
            add_error(o, task->error) < 0)
                return NULL;
        return TAKE_PTR(o);
}

/* --- reading --- */

void task_line_done(TaskLine *l) {
        json_object_put(l->object);
        free(l->arguments);
        free(l->options);
        *l = (TaskLine){};
}

static int need_text(struct json_object *o, const char *key, const char **ret, char **ret_error) {
        return json_get_string(o, key, ret) > 0
                       ? 0
                       : fail_with_text(ret_error, -EBADMSG, "\"%s\" must be there and a string",
                                        key);
}

static int read_words(TaskLine *l, char **ret_error) {
        fastworker_submission *s = &l->submission;
        const char *status;
        TaskState state;
        TaskId unused;
        int r;

        r = need_text(l->object, "task_id", &s->key, ret_error);
        if (r >= 0)
                r = need_text(l->object, "name", &s->name, ret_error);
        if (r >= 0)
                r = need_text(l->object, "status", &status, ret_error);
        if (r < 0)
                return r;
        if (task_id_from_text(s->key, strlen(s->key), &unused) < 0)
                return fail_with_text(ret_error, -EBADMSG,
                                      "\"%.100s\" is not a task id: the 36 characters of a UUID",
                                      s->key);
        state = task_state_from_string(status);
        if (state < 0)
                return fail_with_text(ret_error, -EBADMSG, "\"%.100s\" is not the state of a task",
                                      status);
        l->has_ended = task_state_is_terminal(state);
        if (json_get_string(l->object, "priority", &s->priority) < 0)
                return fail_with_text(ret_error, -EBADMSG, "\"priority\" must be a string");
        return 0;
}

static int take_base64(TaskLine *l, const char *text, char **ret_error) {
        int r = base64_decode(text, &l->arguments, &l->submission.arguments_size);

        return r == -EINVAL ? fail_with_text(ret_error, -EBADMSG, "\"arguments\" is not base64")
                            : r;
}

static int copy_arguments(TaskLine *l, const char *text, size_t size) {
        l->arguments = malloc(size + 1);
        if (!l->arguments)
                return -ENOMEM;
        memcpy(l->arguments, text, size);
        l->arguments[size] = '\0';
        l->submission.arguments_size = size;
        return 0;
}

static int read_arguments(TaskLine *l, char **ret_error) {
        const char *encoding = NULL, *text;
        struct json_object *value = NULL;
        size_t size;
        int r;

        if (json_get_string(l->object, "arguments_encoding", &encoding) < 0)
                return fail_with_text(ret_error, -EBADMSG,
                                      "\"arguments_encoding\" must be a string");
        (void) json_object_object_get_ex(l->object, "arguments", &value);
        if (!encoding) {
                if (!value)
                        return 0;
                text = json_object_to_json_string_length(value, JSON_COMPACT, &size);
                r = text ? copy_arguments(l, text, size) : -ENOMEM;
        } else if (!json_object_is_type(value, json_type_string))
                return fail_with_text(
                        ret_error, -EBADMSG,
                        "with \"arguments_encoding\", \"arguments\" must be a string");
        else if (streq(encoding, "text"))
                r = copy_arguments(l, json_object_get_string(value),
                                   (size_t) json_object_get_string_len(value));
        else if (streq(encoding, "base64"))
                r = take_base64(l, json_object_get_string(value), ret_error);
        else
                return fail_with_text(ret_error, -EBADMSG,
                                      "\"arguments_encoding\" must be \"text\" or \"base64\"");
        if (r >= 0)
                l->submission.arguments = l->arguments;
        return r;
}

/* Which of them there are is for the coordinator to judge. But the task is to keep its id, or not to be taken: another
 * one with its unique key does not stand for it, as it may have done for who submitted it first. */
static int read_options(TaskLine *l, char **ret_error) {
        struct json_object *o = NULL;
        int r;

        if (json_get_object(l->object, "options", &o) < 0)
                return fail_with_text(ret_error, -EBADMSG, "\"options\" must be an object");
        if (!o)
                return 0;
        json_object_object_del(o, "unique_policy");
        if (json_object_object_length(o) == 0)
                return 0;
        r = json_to_text(o, &l->options);
        l->submission.options = l->options;
        return r;
}

int task_line_parse(const char *text, size_t size, TaskLine *ret, char **ret_error) {
        TaskLine l = {};
        const char *why;
        int r;

        r = json_parse_object(text, size, &l.object, &why);
        if (r == -EBADMSG)
                r = fail_with_text(ret_error, -EBADMSG, "not a JSON object: %s", why);
        if (r >= 0)
                r = read_words(&l, ret_error);
        if (r >= 0)
                r = read_arguments(&l, ret_error);
        if (r >= 0)
                r = read_options(&l, ret_error);
        if (r < 0) {
                task_line_done(&l);
                return r;
        }
        *ret = l;
        return 0;
}
