/* SPDX-License-Identifier: MIT */

/* Tasks whose results somebody wants. On each new connection all of them are asked for again. */

#include "client-internal.h"
#include "time-util.h"

#define RESUBSCRIBE_USEC USEC_PER_SEC

static Await *find(fastworker_client *c, const TaskId *id) {
        Await *a;

        HASH_FIND(hh, c->awaits, id, sizeof(*id), a);
        return a;
}

int await_add(fastworker_client *c, const TaskId *id, Reply *reply, void *userdata,
              bool is_subscribed) {
        Await *a = malloc(sizeof(*a)), *first;

        if (!a)
                return client_fail(c, ENOMEM, "Out of memory.");
        *a = (Await){ .id = *id, .reply = reply, .userdata = userdata };

        first = find(c, id);
        if (first) {
                a->more = first->more;
                first->more = a;
        } else {
                HASH_ADD(hh, c->awaits, id, sizeof(a->id), a);
                if (!a->hh.tbl) {
                        free(a);
                        return client_fail(c, ENOMEM, "Out of memory.");
                }
                if (!is_subscribed && !c->next_unsubscribed)
                        c->next_unsubscribed = a;
        }
        c->n_pending += !reply;
        c->is_dirty = true;
        return 0;
}

static void unlink_await(fastworker_client *c, Await *a) {
        if (c->next_unsubscribed == a)
                c->next_unsubscribed = a->hh.next;
        HASH_DELETE(hh, c->awaits, a);
}

/* An id that nobody waits for any more. Without an answer nothing is lost but a push that we ignore. */
static void forget(fastworker_client *c, const TaskId *id) {
        char text[TASK_ID_TEXT_LENGTH + 1];
        Request *q;

        q = c->is_connected ? request_new(c, WIRE_FORGET, NULL, NULL) : NULL;
        if (!q)
                return;
        task_id_to_text(id, text);
        request_put(q, text, TASK_ID_TEXT_LENGTH);
        (void) request_queue(c, q);
}

size_t await_remove(fastworker_client *c, const TaskId *id, const Reply *reply) {
        Await *first = find(c, id), *keep = NULL, *next;
        size_t n = 0;

        if (!first)
                return 0;
        /* The chain is short and its order does not matter: take it apart and put together what stays. */
        for (Await *a = first->more; a; a = next) {
                next = a->more;
                if (a->reply == reply) {
                        free(a);
                        n++;
                } else {
                        a->more = keep;
                        keep = a;
                }
        }
        first->more = keep;
        if (first->reply == reply) {
                n++;
                if (keep) {
                        first->reply = keep->reply;
                        first->userdata = keep->userdata;
                        first->more = keep->more;
                        free(keep);
                } else {
                        unlink_await(c, first);
                        forget(c, id);
                        free(first);
                }
        }
        if (!reply)
                c->n_pending -= n;
        return n;
}

void awaits_done(fastworker_client *c) {
        while (c->awaits) {
                Await *a = c->awaits, *next;

                unlink_await(c, a);
                for (; a; a = next) {
                        next = a->more;
                        free(a);
                }
        }
}

int awaits_flush(fastworker_client *c) {
        int r, did = 0;

        if (!c->is_connected || !c->peer_address)
                return 0;
        while (c->next_unsubscribed) {
                Await *a = c->next_unsubscribed;
                uint64_t number = ++c->last_number;
                struct iovec correlation;
                uint8_t buffer[CORRELATION_SIZE];

                correlation = correlation_set(buffer, CORRELATION_WAIT, c->n_connections, number);
                wire_begin(&c->out, WIRE_WAIT, &correlation);
                for (unsigned n = 0; a && n < WIRE_BATCH_MAX; n++, a = a->hh.next) {
                        wire_put_task_id(&c->out, &a->id);
                        a->wait_number = number;
                }
                r = wire_send(c->socket, NULL, &c->out);
                if (r == -EAGAIN)
                        return did;
                if (r < 0)
                        return client_fail(c, -r, "Cannot send to %s: %s", c->peer_address,
                                           strerror(-r));
                c->next_unsubscribed = a;
                did = 1;
        }
        return did;
}

/* Gives c->current to everyone in the chain and frees that. */
static void deliver_chain(fastworker_client *c, Await *a) {
        while (a) {
                Await *next = a->more;

                result_deliver(c, a->reply, a->userdata);
                free(a);
                a = next;
        }
}

void awaits_finish(fastworker_client *c, const struct iovec *group) {
        TaskId id = wire_get_task_id(&group[0]);
        Await *a = find(c, &id);

        /* Asked for twice over a reconnect, or nobody's any more. */
        if (!a)
                return;
        if (result_from_group(&c->current, group) < 0) {
                result_set_refusal(&c->current, "unanswered", "out of memory for the result", "");
                task_id_to_text(&id, c->current.task_id);
        }
        unlink_await(c, a);
        deliver_chain(c, a);
}

void awaits_refused(fastworker_client *c, uint64_t wait_number, WireError code) {
        char text[sizeof(c->error)], name[sizeof(c->error_code)];
        Await *refused[WIRE_BATCH_MAX], *a, *following; /* no more fit into one WAIT */
        size_t n = 0;

        if (code == WIRE_ERROR_QUEUE_FULL || code == WIRE_ERROR_STOPPING ||
            code == WIRE_ERROR_INTERNAL) {
                c->resubscribe_usec = MIN(c->resubscribe_usec,
                                          usec_later(now_usec(CLOCK_MONOTONIC), RESUBSCRIBE_USEC));
                return;
        }
        strcpy(text, c->error);
        strcpy(name, c->error_code);
        /* Handlers may change the table, so first all are found. */
        HASH_ITER(hh, c->awaits, a, following) {
                if (a->wait_number != wait_number || n >= ELEMENTSOF(refused))
                        continue;
                unlink_await(c, a);
                refused[n++] = a;
        }
        for (size_t i = 0; i < n; i++) {
                result_set_refusal(&c->current, "refused", text, name);
                task_id_to_text(&refused[i]->id, c->current.task_id);
                deliver_chain(c, refused[i]);
        }
}
