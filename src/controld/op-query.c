/* SPDX-License-Identifier: MIT */

/* STATUS and QUEUES: what is known of tasks. */

#include <stdio.h>

#include "controld.h"
#include "json-util.h"
#include "ops.h"
#include "submit-options.h"
#include "task-history.h"
#include "waits-for.h"

#define QUEUE_SAMPLE 100U /* tasks shown of each queue */

static int add_waits_for(struct json_object *o, const Controld *c, const Task *t) {
        char text[WAITS_FOR_MAX];

        return waits_for(c, t, text) ? json_add_string(o, "waits_for", text) : 0;
}

/* json-c would write 42.5 as 42.5 and 42.1 as 42.100000000000001. */
static struct json_object *percent_to_json(unsigned hundredths) {
        char text[16];

        if (hundredths % 100 == 0)
                (void) snprintf(text, sizeof(text), "%u", hundredths / 100);
        else if (hundredths % 10 == 0)
                (void) snprintf(text, sizeof(text), "%u.%u", hundredths / 100,
                                hundredths / 10 % 10);
        else
                (void) snprintf(text, sizeof(text), "%u.%02u", hundredths / 100, hundredths % 100);
        return json_object_new_double_s(hundredths / 100.0, text);
}

static int add_progress(struct json_object *o, const Task *t) {
        const TaskProgress *p = task_progress(t);
        struct json_object *progress;

        if (!p)
                return 0;
        progress = json_object_new_object();
        if (json_add(o, "progress", progress) < 0 ||
            json_add(progress, "percent", percent_to_json(p->percent)) < 0)
                return -ENOMEM;
        return json_add_string(progress, "text", p->text);
}

/* What is said only of tasks that it is true of. */
static int add_times(struct json_object *o, const Task *t) {
        bool ended = task_state_is_terminal(t->state);

        if (task_waits_for_time(t) && json_add_time(o, "due_at", task_due(t)) < 0)
                return -ENOMEM;
        if (!ended && task_expires(t) > 0 && json_add_time(o, "expires_at", task_expires(t)) < 0)
                return -ENOMEM;
        return task_retries(t) > 0 ? json_add_uint(o, "retries", task_retries(t)) : 0;
}

struct json_object *task_to_json(const Controld *c, const Task *t) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        char id[TASK_ID_TEXT_LENGTH + 1];

        if (!o)
                return NULL;
        task_id_to_text(&t->id, id);
        if (json_add_string(o, "task_id", id) < 0 ||
            json_add_string(o, "name", t->type->name) < 0 ||
            json_add_string(o, "status", task_state_to_string(t->state)) < 0 ||
            json_add_string(o, "priority", task_priority_to_string(t->priority)) < 0 ||
            json_add_string(o, "worker", t->worker ? t->worker->id : task_last_worker(t)) < 0 ||
            json_add_uint(o, "attempt", t->attempt) < 0 ||
            json_add_uint(o, "crashes", t->crashes) < 0 ||
            json_add_time(o, "created_at", t->created_usec) < 0 ||
            json_add_time(o, "started_at", t->started_usec) < 0 ||
            json_add_time(o, "completed_at",
                          task_state_is_terminal(t->state) ? t->completed_usec : 0) < 0 ||
            add_waits_for(o, c, t) < 0 || add_times(o, t) < 0 || add_progress(o, t) < 0)
                return NULL;
        return TAKE_PTR(o);
}

/* How the attempt that ended it went is said of the task; if it was the only one, nowhere else. */
static int add_attempts(struct json_object *o, const Task *t) {
        static const char *const told[] = { "reason", "usage", "output_tail" };
        struct json_object *history, *last, *v;
        uint64_t attempt = 0;
        size_t n;

        if (task_history(t).iov_len == 0)
                return 0;
        history = task_history_to_json(t);
        n = history ? json_object_array_length(history) : 0;
        last = n > 0 ? json_object_array_get_idx(history, n - 1) : NULL;
        if (last && task_state_is_terminal(t->state) && task_last_worker(t) &&
            json_get_uint(last, "attempt", 0, UINT32_MAX, &attempt) > 0 && attempt == t->attempt) {
                for (size_t i = 0; i < ELEMENTSOF(told); i++)
                        if (json_object_object_get_ex(last, told[i], &v) &&
                            json_add(o, told[i], json_object_get(v)) < 0) {
                                json_object_put(history);
                                return -ENOMEM;
                        }
                if (n == 1) {
                        json_object_put(history);
                        return 0;
                }
        }
        return json_add(o, "history", history);
}

int op_status(Controld *c, const Request *r) {
        _cleanup_json_ struct json_object *o = NULL;
        TaskId id = wire_get_task_id(&r->message.fields[0]);
        Task *t = task_find(&c->tasks, &id);
        const char *text;
        bool ended;
        size_t size;

        if (!t || (task_state_is_terminal(t->state) && !results_access(&c->results, t)))
                return request_refuse(r, WIRE_ERROR_UNKNOWN_TASK,
                                      "this task is expired or unknown");

        o = task_to_json(c, t);
        if (o && json_add(o, "options", submit_options_to_json(t)) < 0)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory");
        if (o && add_attempts(o, t) < 0)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory");
        text = o ? json_object_to_json_string_length(o, JSON_COMPACT, &size) : NULL;
        if (!text)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory");
        wire_begin(&c->out, WIRE_TASK, &r->message.correlation);
        wire_put(&c->out, text, size);
        wire_put(&c->out, task_arguments(t), t->arguments_size);
        /* What is not safe yet is not told yet. */
        ended = task_state_is_terminal(t->state);
        wire_put(&c->out, task_result(t), ended ? t->result_size : 0);
        wire_put(&c->out, task_error(t), ended ? t->error_size : 0);
        return request_reply(r);
}

static int add_sample(const Controld *c, TaskPriority p, struct json_object *array) {
        Task *tasks[QUEUE_SAMPLE];
        int n;

        n = queue_sample(c->types, p, tasks, ELEMENTSOF(tasks));
        for (int i = 0; i < n; i++) {
                struct json_object *o = json_object_new_object();
                char id[TASK_ID_TEXT_LENGTH + 1];

                task_id_to_text(&tasks[i]->id, id);
                if (!o || json_object_array_add(array, o) < 0 || json_add_string(o, "id", id) < 0 ||
                    json_add_string(o, "name", tasks[i]->type->name) < 0)
                        return -ENOMEM;
        }
        return MIN(n, 0);
}

static struct json_object *queues_to_json(const Controld *c) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        struct json_object *queues = json_object_new_object();

        if (!o || json_add(o, "queues", queues) < 0)
                return NULL;
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++) {
                struct json_object *queue = json_object_new_object(), *array;

                if (json_add(queues, task_priority_to_string(p), queue) < 0)
                        return NULL;
                array = json_object_new_array();
                if (json_add_uint(queue, "count", c->queue.n[p]) < 0 ||
                    json_add_bool(queue, "paused", c->queue.is_paused[p]) < 0 ||
                    json_add(queue, "tasks", array) < 0 || add_sample(c, p, array) < 0)
                        return NULL;
        }
        if (json_add_uint(o, "total_queued", queue_length(&c->queue)) < 0)
                return NULL;
        return TAKE_PTR(o);
}

int op_queues(Controld *c, const Request *r) {
        return request_reply_info(r, WIRE_INFO, queues_to_json(c));
}
