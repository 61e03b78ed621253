/* SPDX-License-Identifier: MIT */

/* Submissions: checked, given an idempotency key, put into messages.
 *
 * Tasks that are submitted one by one without waiting share messages. As the coordinator takes a message as
 * a whole or not at all, one that is refused is sent again task by task, and each gets its own answer. */

#include "client-internal.h"
#include "task-state.h"
#include "time-util.h"

#define FRAMES_A_TASK 5U

static struct iovec field(const char *s) {
        return (struct iovec){ (char *) s, s ? strlen(s) : 0 };
}

static struct iovec arguments_of(const fastworker_submission *s) {
        if (s->arguments_size > 0)
                return (struct iovec){ (char *) s->arguments, s->arguments_size };
        return field(s->arguments);
}

static int check(fastworker_client *c, const fastworker_submission *s) {
        struct iovec name = field(s->name), priority = field(s->priority), key = field(s->key);
        _cleanup_free_ char *text = NULL;
        struct iovec options;
        size_t size = arguments_of(s).iov_len;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(s->reserved); i++)
                if (s->reserved[i])
                        return client_fail(c, EINVAL,
                                           "The reserved fields of a submission must be NULL.");
        if (!s->name || !wire_field_is_valid(WIRE_KIND_NAME, &name))
                return client_fail(
                        c, EINVAL,
                        "\"%.300s\" is not the name of a task: 1 to %u letters, digits or . _ : -",
                        s->name ? s->name : "", WIRE_NAME_MAX);
        if (!wire_field_is_valid(WIRE_KIND_PRIORITY, &priority))
                return client_fail(c, EINVAL,
                                   "\"%.100s\" is not a priority: critical, high, normal or low.",
                                   s->priority);
        if (!wire_field_is_valid(WIRE_KIND_KEY, &key))
                return client_fail(c, EINVAL,
                                   "A key must have at most %u printable ASCII characters.",
                                   WIRE_KEY_MAX);
        r = submission_options(c, s, &text);
        if (r < 0)
                return r;
        options = field(text ?: s->options);
        if (!wire_field_is_valid(WIRE_KIND_OPTIONS, &options))
                return client_fail(c, EMSGSIZE,
                                   "The options of %s have %zu bytes; the limit is %u.", s->name,
                                   options.iov_len, WIRE_OPTIONS_MAX);
        if (size > c->max_payload_bytes)
                return client_fail(c, EMSGSIZE,
                                   "The arguments of %s have %zu bytes; the limit is %" PRIu64 ".",
                                   s->name, size, c->max_payload_bytes);
        return 0;
}

static void put_field(Request *q, struct iovec f) {
        request_put(q, f.iov_base, f.iov_len);
}

static void put_task(Request *q, const fastworker_submission *s) {
        _cleanup_free_ char *options = NULL;
        char key[TASK_ID_TEXT_LENGTH + 1];
        TaskId id = {};
        int r;

        put_field(q, field(s->name));
        put_field(q, field(s->priority));
        if (s->key)
                put_field(q, field(s->key));
        else {
                /* A key that is a UUID becomes the id of the task, and costs the coordinator no index. */
                r = task_id_new(&id);
                if (r < 0)
                        q->error = r;
                task_id_to_text(&id, key);
                request_put(q, key, TASK_ID_TEXT_LENGTH);
        }
        put_field(q, arguments_of(s));
        r = submission_options(NULL, s, &options); /* has been checked */
        if (r < 0)
                q->error = r;
        put_field(q, field(options ?: s->options));
        request_put_userdata(q, s->userdata);
}

static int new_request(fastworker_client *c, bool wants_results, bool is_atomic, Reply *reply,
                       Request **ret) {
        Request *q = request_new(c, WIRE_SUBMIT, reply, NULL);

        if (!q)
                return client_fail(c, ENOMEM, "Out of memory.");
        q->wants_results = wants_results;
        q->is_atomic = is_atomic;
        put_field(q, field(wants_results ? "wait" : NULL));
        *ret = q;
        return 0;
}

static int queue_tasks(fastworker_client *c, const fastworker_submission *s, size_t n,
                       bool wants_results, bool is_atomic, Reply *reply) {
        Request *q = NULL;
        int r;

        if (n < 1 || n > FASTWORKER_BATCH_MAX)
                return client_fail(c, EINVAL, "A batch has 1 to %u tasks, not %zu.",
                                   FASTWORKER_BATCH_MAX, n);
        for (size_t i = 0; i < n; i++) {
                r = check(c, &s[i]);
                if (r < 0)
                        return r;
        }
        r = new_request(c, wants_results, is_atomic, reply, &q);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                put_task(q, &s[i]);
        r = request_queue(c, q);
        if (r < 0)
                return r;
        if (!reply)
                c->n_pending += n;
        if (!is_atomic && !reply)
                c->open = q;
        return 0;
}

static int must_be_started(fastworker_client *c) {
        return c->is_started ? 0 : client_fail(c, ENOTCONN, "The client is not connected yet.");
}

_public_ int fastworker_submit_batch_async(fastworker_client *c, const fastworker_submission *s,
                                           size_t n) {
        int r;

        r = must_be_started(c);
        if (r < 0)
                return r;
        return queue_tasks(c, s, n, true, true, NULL);
}

_public_ int fastworker_submit_async(fastworker_client *c, const fastworker_submission *s) {
        Request *q = c->open;
        size_t n_frames, n_bytes;
        int r;

        r = must_be_started(c);
        if (r < 0)
                return r;
        if (!q || q->n_tasks >= FASTWORKER_BATCH_MAX ||
            q->n_bytes + arguments_of(s).iov_len > CLIENT_REQUEST_BYTES_MAX)
                return queue_tasks(c, s, 1, true, false, NULL);

        r = check(c, s);
        if (r < 0)
                return r;
        n_frames = q->n_frames;
        n_bytes = q->n_bytes;
        put_task(q, s);
        if (q->error < 0) {
                /* The others in the message are whole; userdata is put last, so it has not grown. */
                q->error = 0;
                q->n_frames = n_frames;
                q->n_bytes = n_bytes;
                return client_fail(c, ENOMEM, "Out of memory.");
        }
        c->n_pending++;
        return 0;
}

_public_ int fastworker_submit_batch(fastworker_client *c, const fastworker_submission *s, size_t n,
                                     char (*ret_task_ids)[FASTWORKER_TASK_ID_SIZE]) {
        Reply reply = { .task_ids = ret_task_ids };
        int r;

        r = client_may_block(c);
        if (r < 0)
                return r;
        r = queue_tasks(c, s, n, false, true, &reply);
        if (r < 0)
                return r;
        return client_block(c, &reply, USEC_INFINITY);
}

_public_ int fastworker_submit(fastworker_client *c, const fastworker_submission *s,
                               char ret_task_id[FASTWORKER_TASK_ID_SIZE]) {
        return fastworker_submit_batch(c, s, 1, (char(*)[FASTWORKER_TASK_ID_SIZE]) ret_task_id);
}

_public_ int fastworker_submit_and_wait(fastworker_client *c, const fastworker_submission *s,
                                        uint64_t timeout_usec, fastworker_result **ret) {
        Reply reply = { .wants_result = true };
        int r;

        r = client_may_block(c);
        if (r < 0)
                return r;
        r = queue_tasks(c, s, 1, true, true, &reply);
        if (r < 0)
                return r;
        r = client_block(c, &reply, usec_later(now_usec(CLOCK_MONOTONIC), timeout_usec));
        if (r < 0)
                return r;
        reply.result->userdata = s->userdata;
        *ret = reply.result;
        return 0;
}

/* --- answers --- */

static void give_up_task(fastworker_client *c, void *userdata) {
        result_set_refusal(&c->current, "unanswered", "out of memory", "");
        result_deliver(c, NULL, userdata);
}

static void take_id(fastworker_client *c, Request *q, size_t i, const struct iovec *f) {
        TaskId id = wire_get_task_id(f);
        char text[FASTWORKER_TASK_ID_SIZE];
        int r;

        memcpy(text, f->iov_base, TASK_ID_TEXT_LENGTH);
        text[TASK_ID_TEXT_LENGTH] = '\0';
        if (q->reply) {
                if (q->reply->task_ids)
                        memcpy(q->reply->task_ids[i], text, sizeof(text));
                if (!q->reply->wants_result)
                        return;
                q->reply->task_id = id;
                r = await_add(c, &id, q->reply, NULL, true);
                if (r < 0) {
                        q->reply->error = r;
                        q->reply->done = true;
                }
                return;
        }

        if (c->accepted_handler) {
                c->in_handler = true;
                c->accepted_handler(c, text, q->userdata[i], c->accepted_userdata);
                c->in_handler = false;
        }
        if (await_add(c, &id, NULL, q->userdata[i], true) < 0)
                give_up_task(c, q->userdata[i]);
        else
                c->n_pending--; /* it was counted with the request and is now with the await */
}

void submit_take_accepted(fastworker_client *c, Request *q, const WireMessage *m) {
        if (m->n_groups != q->n_tasks) {
                client_fail(c, EBADMSG, "The coordinator gave %zu ids for %zu tasks.", m->n_groups,
                            q->n_tasks);
                request_fail(c, q, -EBADMSG, "unanswered");
                return;
        }
        for (size_t i = 0; i < m->n_groups; i++)
                take_id(c, q, i, wire_group(m, i));
        if (q->reply && !q->reply->wants_result)
                q->reply->done = true;
        request_free(c, q);
}

void submit_split(fastworker_client *c, Request *q) {
        const uint32_t *sizes = q->sizes + 1;
        const char *p = q->bytes + q->sizes[0];

        for (size_t i = 0; i < q->n_tasks; i++) {
                Request *part = NULL;

                if (new_request(c, true, true, NULL, &part) < 0) {
                        give_up_task(c, q->userdata[i]);
                        for (size_t k = 0; k < FRAMES_A_TASK; k++)
                                p += *sizes++;
                        continue;
                }
                for (size_t k = 0; k < FRAMES_A_TASK; k++) {
                        request_put(part, p, *sizes);
                        p += *sizes++;
                }
                request_put_userdata(part, q->userdata[i]);
                if (request_queue(c, part) < 0)
                        give_up_task(c, q->userdata[i]);
        }
        request_free(c, q);
}
