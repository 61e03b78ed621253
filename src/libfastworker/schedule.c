/* SPDX-License-Identifier: MIT */

/* Schedules: tasks that the coordinator submits again and again. */

#include <json-c/json.h>

#include "client-internal.h"
#include "json-util.h"
#include "time-util.h"

static int take_info(fastworker_client *c, const WireMessage *m, Reply *reply) {
        reply->json = wire_get_string(&m->fields[0]);
        return reply->json ? 0 : client_fail(c, ENOMEM, "Out of memory.");
}

/* *ret_json may be NULL if nobody wants the answer. */
static int ask(fastworker_client *c, const char *action, const char *document, char **ret_json,
               bool *ret_is_repeated) {
        size_t size = document ? strlen(document) : 0;
        Reply reply = {};
        Request *q;
        int r;

        r = client_may_block(c);
        if (r < 0)
                return r;
        if (size > WIRE_OPTIONS_MAX)
                return client_fail(c, EMSGSIZE, "The schedule has %zu bytes; at most %u are taken.",
                                   size, WIRE_OPTIONS_MAX);
        q = request_new(c, WIRE_SCHEDULE, &reply, take_info);
        if (!q)
                return client_fail(c, ENOMEM, "Out of memory.");
        request_put(q, action, strlen(action));
        request_put(q, document, size);
        r = request_queue(c, q);
        if (r >= 0)
                r = client_block(c, &reply, USEC_INFINITY);
        if (ret_is_repeated)
                *ret_is_repeated = reply.is_repeated;
        if (r >= 0 && ret_json)
                *ret_json = reply.json;
        else
                free(reply.json);
        return r;
}

/* About one schedule, with one more member (NULL: none). */
static int ask_about(fastworker_client *c, const char *action, const char *name, const char *key,
                     struct json_object *value, char **ret_json, bool *ret_is_repeated) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!name) {
                json_object_put(value);
                return client_fail(c, EINVAL, "The name of the schedule is missing.");
        }
        if ((key && json_add(o, key, value) < 0) || json_add_string(o, "name", name) < 0)
                return client_fail(c, ENOMEM, "Out of memory.");
        return ask(c, action, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), ret_json,
                   ret_is_repeated);
}

_public_ int fastworker_schedule_add(fastworker_client *c, const char *document, char **ret_json) {
        if (!document)
                return client_fail(c, EINVAL, "The document of the schedule is missing.");
        return ask(c, "add", document, ret_json, NULL);
}

_public_ int fastworker_schedule_list(fastworker_client *c, const char *options, char **ret_json) {
        return ask(c, "list", options, ret_json, NULL);
}

_public_ int fastworker_schedule_next(fastworker_client *c, const char *name, unsigned n,
                                      char **ret_json) {
        return ask_about(c, "next", name, "count", json_object_new_uint64(n), ret_json, NULL);
}

_public_ int fastworker_schedule_pause(fastworker_client *c, const char *name) {
        return ask_about(c, "pause", name, NULL, NULL, NULL, NULL);
}

_public_ int fastworker_schedule_resume(fastworker_client *c, const char *name) {
        return ask_about(c, "resume", name, NULL, NULL, NULL, NULL);
}

/* With an id of ours, so that asking twice is asking once. */
_public_ int fastworker_schedule_run(fastworker_client *c, const char *name,
                                     char ret_task_id[FASTWORKER_TASK_ID_SIZE]) {
        char text[TASK_ID_TEXT_LENGTH + 1];
        TaskId id;
        int r;

        r = task_id_new(&id);
        if (r < 0)
                return client_fail(c, -r, "No random number is to be had.");
        task_id_to_text(&id, text);
        r = ask_about(c, "run", name, "task_id", json_object_new_string(text), NULL, NULL);
        if (r >= 0 && ret_task_id)
                memcpy(ret_task_id, text, sizeof(text));
        return r;
}

/* What is not there any more may be what the first of two requests has removed. */
_public_ int fastworker_schedule_remove(fastworker_client *c, const char *name) {
        bool is_repeated = false;
        int r;

        r = ask_about(c, "rm", name, NULL, NULL, NULL, &is_repeated);
        return r == -ENOENT && is_repeated ? 0 : r;
}
