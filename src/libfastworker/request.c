/* SPDX-License-Identifier: MIT */

/* Messages that want an answer: kept until it comes, sent again on a new connection and when it is overdue. */

#include "client-internal.h"
#include "time-util.h"

#define SPARE_MAX       4U
#define SPARE_BYTES_MAX (2U * CLIENT_REQUEST_BYTES_MAX)
#define CHECK_MIN_USEC \
        (10 * USEC_PER_MSEC) /* looking through all requests is not for each one's sake */
#define STOPPING_USEC USEC_PER_SEC

static int grow(void *array_in_out, size_t *allocated, size_t wanted, size_t item_size) {
        void **array = array_in_out, *p;
        size_t n = MAX(*allocated * 2, MAX(wanted, (size_t) 16));

        if (wanted <= *allocated)
                return 0;
        p = reallocarray(*array, n, item_size);
        if (!p)
                return -ENOMEM;
        *array = p;
        *allocated = n;
        return 0;
}

Request *request_new(fastworker_client *c, WireVerb verb, Reply *reply, ReplyTake take) {
        Request *q = c->spare;

        if (q) {
                c->spare = q->next_spare;
                c->n_spare--;
        } else {
                q = calloc(1, sizeof(*q));
                if (!q)
                        return NULL;
        }
        q->verb = verb;
        q->reply = reply;
        q->take = take;
        q->wants_results = q->is_atomic = q->was_sent = false;
        q->error = 0;
        q->n_frames = q->n_bytes = q->n_tasks = 0;
        return q;
}

static void request_destroy(Request *q) {
        free(q->sizes);
        free(q->bytes);
        free(q->userdata);
        free(q);
}

void request_put(Request *q, const void *data, size_t size) {
        if (q->error < 0)
                return;
        if (grow(&q->sizes, &q->sizes_allocated, q->n_frames + 1, sizeof(*q->sizes)) < 0 ||
            grow(&q->bytes, &q->bytes_allocated, q->n_bytes + size, 1) < 0) {
                q->error = -ENOMEM;
                return;
        }
        q->sizes[q->n_frames++] = (uint32_t) size;
        if (size > 0)
                memcpy(q->bytes + q->n_bytes, data, size);
        q->n_bytes += size;
}

void request_put_userdata(Request *q, void *userdata) {
        if (q->error < 0)
                return;
        if (grow(&q->userdata, &q->userdata_allocated, q->n_tasks + 1, sizeof(*q->userdata)) < 0) {
                q->error = -ENOMEM;
                return;
        }
        q->userdata[q->n_tasks++] = userdata;
}

void request_drop(Request *q) {
        request_destroy(q);
}

int request_queue(fastworker_client *c, Request *q) {
        if (q->error >= 0) {
                q->number = ++c->last_number;
                q->created_usec = now_usec(CLOCK_MONOTONIC);
                q->due_usec = USEC_INFINITY;
                HASH_ADD(hh, c->requests, number, sizeof(q->number), q);
                if (!q->hh.tbl)
                        q->error = -ENOMEM;
        }
        if (q->error < 0) {
                int r = q->error;

                request_destroy(q);
                return client_fail(c, -r, "Out of memory.");
        }

        if (q->reply)
                q->reply->number = q->number;
        if (!c->next_unsent)
                c->next_unsent = q;
        c->open = NULL;
        c->is_dirty = true;
        c->requests_due_usec =
                MIN(c->requests_due_usec, usec_later(q->created_usec, c->timeout_usec));
        return 0;
}

Request *request_find(fastworker_client *c, uint64_t number) {
        Request *q;

        HASH_FIND(hh, c->requests, &number, sizeof(number), q);
        return q;
}

static void request_unlink(fastworker_client *c, Request *q) {
        if (c->next_unsent == q)
                c->next_unsent = q->hh.next;
        if (c->open == q)
                c->open = NULL;
        HASH_DELETE(hh, c->requests, q);
        if (q->reply)
                q->reply->number = 0;
}

void request_free(fastworker_client *c, Request *q) {
        request_unlink(c, q);
        if (c->n_spare < SPARE_MAX && q->bytes_allocated <= SPARE_BYTES_MAX) {
                q->next_spare = c->spare;
                c->spare = q;
                c->n_spare++;
        } else
                request_destroy(q);
}

void requests_done(fastworker_client *c) {
        while (c->requests)
                request_free(c, c->requests);
        while (c->spare) {
                Request *q = c->spare;

                c->spare = q->next_spare;
                request_destroy(q);
        }
}

/* Of these a second one may find that there is nothing to do any more, and be refused: on one connection they
 * are sent once, and it is for the coordinator to answer when it has done so. What that means when a connection
 * broke in between admin.c knows. */
static bool is_sent_once(WireVerb verb) {
        return verb == WIRE_RETRY || verb == WIRE_PURGE || verb == WIRE_BACKUP;
}

static int request_send(fastworker_client *c, Request *q, uint64_t now) {
        const char *p = q->bytes;
        struct iovec correlation;
        uint8_t buffer[CORRELATION_SIZE];
        int r;

        correlation = correlation_set(buffer, CORRELATION_REQUEST, c->n_connections, q->number);
        wire_begin(&c->out, q->verb, &correlation);
        for (size_t i = 0; i < q->n_frames; i++) {
                wire_put(&c->out, p, q->sizes[i]);
                p += q->sizes[i];
        }
        r = wire_send(c->socket, NULL, &c->out);
        if (r < 0)
                return r;

        if (q->was_sent && q->reply)
                q->reply->is_repeated = true;
        q->was_sent = true;
        q->due_usec = is_sent_once(q->verb)
                              ? USEC_INFINITY
                              : usec_later(now, c->timeout_usec / (uint64_t) (c->retries + 1));
        c->requests_due_usec = MIN(c->requests_due_usec, q->due_usec);
        return 0;
}

int requests_flush(fastworker_client *c) {
        uint64_t now = 0;
        int r, did = 0;

        if (!c->is_connected || !c->peer_address)
                return 0;
        while (c->next_unsent) {
                Request *q = c->next_unsent;

                if (now == 0)
                        now = now_usec(CLOCK_MONOTONIC);
                r = request_send(c, q, now);
                if (r == -EAGAIN)
                        return did; /* the descriptor will tell when there is room */
                if (r < 0)
                        return client_fail(c, -r, "Cannot send to %s: %s", c->peer_address,
                                           strerror(-r));
                if (c->open == q)
                        c->open = NULL;
                c->next_unsent = q->hh.next;
                did = 1;
        }
        return did;
}

void request_fail(fastworker_client *c, Request *q, int error, const char *status) {
        char text[sizeof(c->error)], code[sizeof(c->error_code)];
        size_t n = q->n_tasks;
        void **userdata = TAKE_PTR(q->userdata);
        Reply *reply = q->reply;

        q->userdata_allocated = 0;
        request_free(c, q);
        if (reply) {
                reply->error = error;
                reply->done = true;
        } else {
                /* A handler may make a call that fails and changes the client's text. */
                strcpy(text, c->error);
                strcpy(code, c->error_code);
                for (size_t i = 0; i < n; i++) {
                        result_set_refusal(&c->current, status, text, code);
                        result_deliver(c, NULL, userdata[i]);
                }
        }
        free(userdata);
}

/* A coordinator that is going down will be back. */
void request_postpone(fastworker_client *c, Request *q) {
        q->due_usec = usec_later(now_usec(CLOCK_MONOTONIC), STOPPING_USEC);
        c->requests_due_usec = MIN(c->requests_due_usec, q->due_usec);
}

int requests_check_due(fastworker_client *c, uint64_t now) {
        uint64_t next = USEC_INFINITY;
        Request *q, *following;
        int r, did = 0;

        if (now < c->requests_due_usec)
                return 0;

        /* All have the same time, so the first ones expire first. */
        while (c->requests && usec_later(c->requests->created_usec, c->timeout_usec) <= now) {
                client_fail(c, ETIMEDOUT,
                            "No answer from the coordinator%s%s within %" PRIu64 " ms.",
                            c->peer_address ? " at " : "", c->peer_address ? c->peer_address : "",
                            c->timeout_usec / USEC_PER_MSEC);
                request_fail(c, c->requests, -ETIMEDOUT, "unanswered");
                did = 1;
        }

        HASH_ITER(hh, c->requests, q, following) {
                if (q == c->next_unsent)
                        break;
                if (q->due_usec <= now && c->is_connected) {
                        r = request_send(c, q, now);
                        if (r < 0 && r != -EAGAIN)
                                return client_fail(c, -r, "Cannot send to %s: %s", c->peer_address,
                                                   strerror(-r));
                        did = r >= 0 || did;
                }
                next = MIN(next, q->due_usec);
        }
        if (c->requests)
                next = MIN(next, usec_later(c->requests->created_usec, c->timeout_usec));
        c->requests_due_usec = next == USEC_INFINITY ? next : MAX(next, now + CHECK_MIN_USEC);
        return did;
}

int request_ask(fastworker_client *c, WireVerb verb, const void *field, size_t size, Reply *reply,
                ReplyTake take) {
        Request *q;
        int r;

        r = client_may_block(c);
        if (r < 0)
                return r;
        q = request_new(c, verb, reply, take);
        if (!q)
                return client_fail(c, ENOMEM, "Out of memory.");
        if (field)
                request_put(q, field, size);
        r = request_queue(c, q);
        if (r < 0)
                return r;
        return client_block(c, reply, USEC_INFINITY);
}
