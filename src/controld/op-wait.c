/* SPDX-License-Identifier: MIT */

/* WAIT and FORGET, and the push of results. */

#include "controld.h"
#include "lease.h"
#include "log.h"
#include "ops.h"

#define PUSH_BYTES_MAX (4U * 1024U * 1024U) /* of results in one message */

static void put_unknown(WireOut *out, const TaskId *id) {
        wire_put_task_id(out, id);
        wire_put_string(out, "unknown");
        wire_put(out, NULL, 0);
        wire_put_string(out, "expired or unknown");
        wire_put_number(out, 0);
        wire_put_number(out, 0);
}

void op_wait_unknown(Controld *c, Peer *p, const TaskId *id) {
        wire_begin(&c->out, WIRE_RESULT, NULL);
        put_unknown(&c->out, id);
        (void) peer_send(p, &c->out);
}

void op_wait_tell_unknown(Controld *c, const Task *t) {
        for (Waiter *w = t->waiters; w; w = w->next)
                op_wait_unknown(c, w->peer, &t->id);
}

static void put_result(WireOut *out, const Task *t) {
        wire_put_task_id(out, &t->id);
        wire_put_string(out, task_state_to_string(t->state));
        wire_put(out, task_result(t), t->result_size);
        wire_put(out, task_error(t), t->error_size);
        wire_put_number(out, t->started_usec);
        wire_put_number(out, t->completed_usec);
}

int op_wait(Controld *c, const Request *r) {
        const WireMessage *m = &r->message;
        size_t n_unknown = 0;
        Peer *p;

        if (endpoint_peer(r->endpoint, &r->routing, &p) < 0)
                return request_refuse(r, WIRE_ERROR_QUEUE_FULL,
                                      "too many clients wait already: try again later");
        if (p->n_waiters + m->n_groups > c->settings->max_waits_per_client)
                return request_refuse(r, WIRE_ERROR_QUEUE_FULL,
                                      "this client waits for %" PRIu32
                                      " results already; at most %" PRIu64
                                      " are allowed (MaxWaitsPerClient=)",
                                      p->n_waiters, c->settings->max_waits_per_client);

        wire_begin(&c->out, WIRE_RESULT, NULL);
        for (size_t i = 0; i < m->n_groups; i++) {
                TaskId id = wire_get_task_id(&wire_group(m, i)[0]);
                Task *t = task_find(&c->tasks, &id);

                if (t && task_state_is_terminal(t->state) && !results_access(&c->results, t))
                        t = NULL;
                if (!t) {
                        put_unknown(&c->out, &id);
                        n_unknown++;
                } else if (peer_wait(p, t, &c->dirty) < 0)
                        return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory");
        }
        return n_unknown > 0 ? request_reply(r) : 0;
}

int op_forget(Controld *c, const Request *r) {
        const WireMessage *m = &r->message;
        Peer *p = endpoint_find_peer(r->endpoint, &r->routing);

        for (size_t i = 0; p && i < m->n_groups; i++) {
                TaskId id = wire_get_task_id(&wire_group(m, i)[0]);
                Task *t = task_find(&c->tasks, &id);

                if (t)
                        peer_forget(p, t, &c->dirty);
        }
        wire_begin(&c->out, WIRE_ACK, &m->correlation);
        return request_reply(r);
}

void op_wait_drop_all(Controld *c, Peer *p) {
        Waiter *w;

        while ((w = TAILQ_FIRST(&p->ready)))
                waiter_free(w, &c->dirty);
        while ((w = TAILQ_FIRST(&p->waiting)))
                waiter_free(w, &c->dirty);
}

/* Sends as many results as fit into one message; returns how many, or -errno. */
static int push_some(Controld *c, Peer *p) {
        size_t n = 0, bytes = 0;
        Waiter *w;
        int r;

        wire_begin(&c->out, WIRE_RESULT, NULL);
        TAILQ_FOREACH(w, &p->ready, link) {
                put_result(&c->out, w->task);
                bytes += w->task->result_size + w->task->error_size;
                if (++n == WIRE_BATCH_MAX || bytes >= PUSH_BYTES_MAX)
                        break;
        }
        r = peer_send(p, &c->out);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                waiter_free(TAILQ_FIRST(&p->ready), &c->dirty);
        return (int) n;
}

void op_wait_flush(Controld *c) {
        Peer *p, *next;

        for (p = TAILQ_FIRST(&c->dirty); p; p = next) {
                int r = 1;

                next = TAILQ_NEXT(p, dirty);
                if (p->is_stalled)
                        continue;
                while (r > 0 && !TAILQ_EMPTY(&p->ready))
                        r = push_some(c, p);
                /* A client that left waits for nothing any more. One that does not read keeps its results
                 * ready until it does, or until they leave the cache. */
                if (r == -EHOSTUNREACH)
                        op_wait_drop_all(c, p);
                else
                        p->is_stalled = r < 0;
        }
}
