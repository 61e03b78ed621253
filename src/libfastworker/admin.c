/* SPDX-License-Identifier: MIT */

/* Many tasks at once, looked at or put to rights, and the backup of the store. */

#include <stddef.h>
#include <stdio.h>

#include "client-internal.h"
#include "json-util.h"
#include "time-util.h"

static int check_number(fastworker_client *c, size_t n) {
        if (n < 1 || n > FASTWORKER_BATCH_MAX)
                return client_fail(c, EINVAL, "1 to %u tasks can be named at once, not %zu.",
                                   FASTWORKER_BATCH_MAX, n);
        return 0;
}

static int put_id(fastworker_client *c, Request *q, const char *task_id) {
        char text[TASK_ID_TEXT_LENGTH + 1];
        int r;

        r = client_get_id_text(c, task_id, text);
        if (r < 0)
                return r;
        request_put(q, text, TASK_ID_TEXT_LENGTH);
        return 0;
}

/* One message with all the ids. */
static int order(fastworker_client *c, WireVerb verb, const char *const *task_ids, size_t n,
                 bool *ret_is_repeated) {
        Reply reply = {};
        Request *q;
        int r;

        r = client_may_block(c);
        if (r >= 0)
                r = check_number(c, n);
        if (r < 0)
                return r;
        q = request_new(c, verb, &reply, NULL);
        if (!q)
                return client_fail(c, ENOMEM, "Out of memory.");
        for (size_t i = 0; i < n; i++) {
                r = put_id(c, q, task_ids[i]);
                if (r < 0) {
                        request_drop(q);
                        return r;
                }
        }
        r = request_queue(c, q);
        if (r >= 0)
                r = client_block(c, &reply, USEC_INFINITY);
        *ret_is_repeated = reply.is_repeated;
        return r;
}

/* The coordinator counts a task that has not ended as tried again. So after a repeated request only one that has ended
 * since then can be in the way, or never was fit: nobody knows which. */
_public_ int fastworker_retry(fastworker_client *c, const char *const *task_ids, size_t n) {
        bool is_repeated = false;
        size_t at;
        int r;

        r = order(c, WIRE_RETRY, task_ids, n, &is_repeated);
        if ((r == -EINVAL || r == -ENOENT) && is_repeated) {
                at = strlen(c->error);
                (void) snprintf(c->error + at, sizeof(c->error) - at,
                                " (It was asked twice, as the connection broke: the first time it "
                                "may have been done.)");
        }
        return r;
}

/* What is not there any more may be what the first of two requests has purged: the others then one by one, which ends as
 * if that had been answered. */
static int purge_rest(fastworker_client *c, const char *const *task_ids, size_t n) {
        bool ignored;
        int r;

        for (size_t i = 0; i < n; i++) {
                r = order(c, WIRE_PURGE, &task_ids[i], 1, &ignored);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        return 0;
}

_public_ int fastworker_purge(fastworker_client *c, const char *const *task_ids, size_t n) {
        bool is_repeated = false;
        int r;

        r = order(c, WIRE_PURGE, task_ids, n, &is_repeated);
        return r == -ENOENT && is_repeated ? purge_rest(c, task_ids, n) : r;
}

_public_ int fastworker_backup(fastworker_client *c, const char *path) {
        struct iovec field = { (char *) path, path ? strlen(path) : 0 };
        Reply reply = {};

        if (!path || path[0] != '/')
                return client_fail(c, EINVAL, "\"%.300s\" is not an absolute path.",
                                   path ? path : "");
        if (!wire_field_is_valid(WIRE_KIND_TEXT, &field))
                return client_fail(c, EINVAL, "The path of the file is too long.");
        return request_ask(c, WIRE_BACKUP, path, field.iov_len, &reply, NULL);
}

_public_ int fastworker_set_paused(fastworker_client *c, const char *what, const char *name,
                                   int paused) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        struct iovec field;
        Reply reply = {};

        if (!what || !name ||
            (!streq(what, "type") && !streq(what, "priority") && !streq(what, "worker")))
                return client_fail(c, EINVAL,
                                   "What can be paused is a \"type\", a \"priority\" or a "
                                   "\"worker\", with its name.");
        if (!o || json_add_string(o, what, name) < 0 || json_add_bool(o, "paused", paused) < 0)
                return client_fail(c, ENOMEM, "Out of memory.");
        field.iov_base = (char *) json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
        if (!field.iov_base)
                return client_fail(c, ENOMEM, "Out of memory.");
        field.iov_len = strlen(field.iov_base);
        if (!wire_field_is_valid(WIRE_KIND_OPTIONS, &field))
                return client_fail(c, EINVAL, "The name is too long.");
        return request_ask(c, WIRE_PAUSE, field.iov_base, field.iov_len, &reply, NULL);
}

/* --- looking at tasks --- */

enum { FIELD_INFO, FIELD_ARGUMENTS, FIELD_RESULT, FIELD_ERROR };

typedef struct Look {
        Reply reply;
        const char *task_id;
        fastworker_task_handler handler;
        void *userdata;
} Look;

static int take_task(fastworker_client *c, const WireMessage *m, Reply *reply) {
        const Look *l = (const Look *) (const void *) ((char *) reply - offsetof(Look, reply));
        _cleanup_free_ char *info = wire_get_string(&m->fields[FIELD_INFO]);
        _cleanup_free_ char *error = wire_get_string(&m->fields[FIELD_ERROR]);
        const struct iovec *arguments = &m->fields[FIELD_ARGUMENTS];
        const struct iovec *result = &m->fields[FIELD_RESULT];

        if (!info || !error)
                return client_fail(c, ENOMEM, "Out of memory.");
        c->in_handler = true;
        l->handler(c,
                   &(fastworker_task_view){
                           .task_id = l->task_id,
                           .info = info,
                           .arguments = arguments->iov_base,
                           .arguments_size = arguments->iov_len,
                           .result = result->iov_base,
                           .result_size = result->iov_len,
                           .error = error,
                   },
                   l->userdata);
        c->in_handler = false;
        return 0;
}

static int ask_for_task(fastworker_client *c, Look *l) {
        Request *q = request_new(c, WIRE_STATUS, &l->reply, take_task);
        int r;

        if (!q)
                return client_fail(c, ENOMEM, "Out of memory.");
        r = put_id(c, q, l->task_id);
        if (r < 0) {
                request_drop(q);
                return r;
        }
        return request_queue(c, q);
}

/* Returns how many there were. */
static int wait_for_all(fastworker_client *c, Look *looks, size_t n) {
        int r, n_known = 0;

        for (size_t i = 0; i < n; i++) {
                r = client_block(c, &looks[i].reply, USEC_INFINITY);
                if (r >= 0)
                        n_known++;
                else if (r != -ENOENT)
                        return r;
        }
        return n_known;
}

_public_ int fastworker_get_tasks(fastworker_client *c, const char *const *task_ids, size_t n,
                                  fastworker_task_handler handler, void *userdata) {
        _cleanup_free_ Look *looks = NULL;
        size_t n_asked = 0;
        int r;

        r = client_may_block(c);
        if (r >= 0)
                r = check_number(c, n);
        if (r < 0)
                return r;
        looks = calloc(n, sizeof(*looks));
        if (!looks)
                return client_fail(c, ENOMEM, "Out of memory.");
        for (; r >= 0 && n_asked < n; n_asked++) {
                looks[n_asked] = (Look){ {}, task_ids[n_asked], handler, userdata };
                r = ask_for_task(c, &looks[n_asked]);
        }
        if (r >= 0)
                r = wait_for_all(c, looks, n);
        /* Nothing may point at the replies from here on. */
        for (size_t i = 0; i < n_asked; i++)
                client_abandon(c, &looks[i].reply);
        return r;
}
