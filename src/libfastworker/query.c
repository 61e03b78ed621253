/* SPDX-License-Identifier: MIT */

/* Questions and orders: one request, one answer. And waiting for tasks that are there. */

#include <json-c/json.h>

#include "client-internal.h"
#include "json-util.h"
#include "time-util.h"

#define LIST_LIMIT_DEFAULT 100U
#define LIST_LIMIT_MAX     1000U

int client_get_id(fastworker_client *c, const char *text, TaskId *ret) {
        if (!text || task_id_from_text(text, strlen(text), ret) < 0)
                return client_fail(c, EINVAL,
                                   "\"%.100s\" is not a task id: the 36 characters of a UUID.",
                                   text ? text : "");
        return 0;
}

int client_get_id_text(fastworker_client *c, const char *text,
                       char ret[static TASK_ID_TEXT_LENGTH + 1]) {
        TaskId id;
        int r;

        r = client_get_id(c, text, &id);
        if (r >= 0)
                task_id_to_text(&id, ret);
        return r;
}

/* A question about one task. */
static int ask_about(fastworker_client *c, WireVerb verb, const char *task_id, Reply *reply,
                     ReplyTake take) {
        char text[TASK_ID_TEXT_LENGTH + 1];
        int r;

        r = client_get_id_text(c, task_id, text);
        if (r < 0)
                return r;
        return request_ask(c, verb, text, TASK_ID_TEXT_LENGTH, reply, take);
}

static int take_cancelled(fastworker_client *c, const WireMessage *m, Reply *reply) {
        reply->outcome = (int) wire_get_cancel(&m->fields[1]);
        return 0;
}

_public_ int fastworker_cancel(fastworker_client *c, const char *task_id) {
        Reply reply = {};
        int r;

        r = ask_about(c, WIRE_CANCEL, task_id, &reply, take_cancelled);
        return r < 0 ? r : reply.outcome;
}

static int take_status(fastworker_client *c, const WireMessage *m, Reply *reply) {
        int r = status_to_json(m, &reply->json);

        return r < 0 ? client_fail(c, -r, "The coordinator's words about the task make no sense.")
                     : 0;
}

_public_ int fastworker_get_task_status(fastworker_client *c, const char *task_id,
                                        char **ret_json) {
        Reply reply = {};
        int r;

        r = ask_about(c, WIRE_STATUS, task_id, &reply, take_status);
        if (r < 0)
                return r;
        *ret_json = reply.json;
        return 0;
}

static int take_task_result(fastworker_client *c, const WireMessage *m, Reply *reply) {
        int r = status_to_result(m, &reply->result);

        if (r < 0)
                return client_fail(c, -r, "The coordinator's words about the task make no sense.");
        reply->outcome = r;
        return 0;
}

_public_ int fastworker_get_task_result(fastworker_client *c, const char *task_id,
                                        fastworker_result **ret) {
        Reply reply = {};
        int r;

        r = ask_about(c, WIRE_STATUS, task_id, &reply, take_task_result);
        if (r < 0)
                return r;
        if (reply.outcome > 0)
                *ret = reply.result;
        return reply.outcome;
}

static int take_info(fastworker_client *c, const WireMessage *m, Reply *reply) {
        reply->json = wire_get_string(&m->fields[0]);
        return reply->json ? 0 : client_fail(c, ENOMEM, "Out of memory.");
}

static int ask_for_info(fastworker_client *c, WireVerb verb, const char *options, char **ret_json) {
        Reply reply = {};
        int r;

        r = request_ask(c, verb, options, options ? strlen(options) : 0, &reply, take_info);
        if (r < 0)
                return r;
        *ret_json = reply.json;
        return 0;
}

static int add_times(struct json_object *o, const fastworker_filter *f) {
        if (f->since_usec > 0 && json_add_uint(o, "since", f->since_usec) < 0)
                return -ENOMEM;
        return f->until_usec > 0 ? json_add_uint(o, "until", f->until_usec) : 0;
}

_public_ int fastworker_list(fastworker_client *c, const fastworker_filter *filter,
                             char **ret_json) {
        static const fastworker_filter all = {};
        _cleanup_json_ struct json_object *o = json_object_new_object();
        const fastworker_filter *f = filter ? filter : &all;

        for (size_t i = 0; i < ELEMENTSOF(f->reserved); i++)
                if (f->reserved[i])
                        return client_fail(c, EINVAL,
                                           "The reserved fields of a filter must be NULL.");
        if (f->limit > LIST_LIMIT_MAX)
                return client_fail(c, EINVAL, "The limit of a list is 1 to %u, not %u.",
                                   LIST_LIMIT_MAX, f->limit);
        if (!o || (f->status && json_add_string(o, "status", f->status) < 0) ||
            (f->name && json_add_string(o, "name", f->name) < 0) ||
            (f->worker && json_add_string(o, "worker", f->worker) < 0) ||
            (f->after && json_add_string(o, "after", f->after) < 0) || add_times(o, f) < 0 ||
            json_add_uint(o, "limit", f->limit > 0 ? f->limit : LIST_LIMIT_DEFAULT) < 0)
                return client_fail(c, ENOMEM, "Out of memory.");
        return ask_for_info(c, WIRE_LIST, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
                            ret_json);
}

_public_ int fastworker_get_subworker_status(fastworker_client *c, char **ret_json) {
        return ask_for_info(c, WIRE_WORKERS, NULL, ret_json);
}

_public_ int fastworker_get_queues(fastworker_client *c, char **ret_json) {
        return ask_for_info(c, WIRE_QUEUES, NULL, ret_json);
}

_public_ int fastworker_get_types(fastworker_client *c, char **ret_json) {
        return ask_for_info(c, WIRE_TYPES, NULL, ret_json);
}

_public_ int fastworker_get_stats(fastworker_client *c, char **ret_json) {
        return ask_for_info(c, WIRE_STATS, NULL, ret_json);
}

_public_ int fastworker_ping(fastworker_client *c, uint64_t *ret_usec) {
        uint64_t begin = now_usec(CLOCK_MONOTONIC);
        Reply reply = {};
        int r;

        r = request_ask(c, WIRE_PING, NULL, 0, &reply, NULL);
        if (r < 0)
                return r;
        *ret_usec = now_usec(CLOCK_MONOTONIC) - begin;
        return 0;
}

/* --- waiting --- */

_public_ int fastworker_wait(fastworker_client *c, const char *task_id, uint64_t timeout_usec,
                             fastworker_result **ret) {
        Reply reply = { .wants_result = true };
        int r;

        r = client_may_block(c);
        if (r < 0)
                return r;
        r = client_get_id(c, task_id, &reply.task_id);
        if (r < 0)
                return r;
        r = await_add(c, &reply.task_id, &reply, NULL, false);
        if (r < 0)
                return r;
        r = client_block(c, &reply, usec_later(now_usec(CLOCK_MONOTONIC), timeout_usec));
        if (r < 0)
                return r;
        *ret = reply.result;
        return 0;
}

_public_ int fastworker_watch(fastworker_client *c, const char *task_id, void *task_userdata) {
        TaskId id;
        int r;

        if (!c->is_started)
                return client_fail(c, ENOTCONN, "The client is not connected yet.");
        r = client_get_id(c, task_id, &id);
        if (r < 0)
                return r;
        return await_add(c, &id, NULL, task_userdata, false);
}

_public_ int fastworker_unwatch(fastworker_client *c, const char *task_id) {
        TaskId id;
        int r;

        r = client_get_id(c, task_id, &id);
        if (r < 0)
                return r;
        if (await_remove(c, &id, NULL) == 0)
                return client_fail(c, ENOENT, "The task %s is not watched.", task_id);
        return 0;
}
