/* SPDX-License-Identifier: MIT */

/* What the coordinator sends: results, answers, refusals. */

#include "client-internal.h"

static WireVerb expected_answer(WireVerb request) {
        switch (request) {
        case WIRE_SUBMIT:
                return WIRE_ACCEPTED;
        case WIRE_STATUS:
                return WIRE_TASK;
        case WIRE_CANCEL:
                return WIRE_CANCELLED;
        case WIRE_PING:
                return WIRE_PONG;
        case WIRE_FORGET:
        case WIRE_RETRY:
        case WIRE_PURGE:
        case WIRE_BACKUP:
        case WIRE_PAUSE:
                return WIRE_ACK;
        default:
                return WIRE_INFO;
        }
}

static void take_error(fastworker_client *c, Request *q, const WireMessage *m) {
        WireError code = wire_get_error(&m->fields[0]);
        int r;

        if (code == WIRE_ERROR_STOPPING)
                request_postpone(c, q);
        else if (q->verb == WIRE_SUBMIT && !q->is_atomic && q->n_tasks > 1)
                submit_split(c, q);
        else {
                r = client_refused(c, &m->fields[0], &m->fields[1]);
                request_fail(c, q, r, "refused");
        }
}

static void take_answer(fastworker_client *c, Request *q, const WireMessage *m) {
        Reply *reply = q->reply;
        int r = 0;

        if (m->verb != expected_answer(q->verb)) {
                r = client_fail(c, EBADMSG, "The coordinator answers %s with %s.",
                                wire_verb_to_string(q->verb), wire_verb_to_string(m->verb));
                request_fail(c, q, r, "unanswered");
                return;
        }
        if (q->verb == WIRE_SUBMIT) {
                submit_take_accepted(c, q, m);
                return;
        }
        if (reply) {
                if (q->take)
                        r = q->take(c, m, reply);
                reply->error = MIN(r, 0);
                reply->done = true;
        }
        request_free(c, q);
}

/* A submit that was answered before the connection broke, if we read that only now, was or will be sent again.
 * The coordinator of now has the last word: if it has lost the task, it gives another id. */
static bool is_superseded(const fastworker_client *c, const Request *q,
                          const Correlation *correlation) {
        return q->verb == WIRE_SUBMIT && correlation->connection != (c->n_connections & 0xffffff);
}

static void take_message(fastworker_client *c, const WireMessage *m) {
        Correlation correlation;
        Request *q;

        if (m->verb == WIRE_RESULT) {
                for (size_t i = 0; i < m->n_groups; i++)
                        awaits_finish(c, wire_group(m, i));
                return;
        }
        if (!correlation_get(&m->correlation, &correlation))
                return;

        switch (correlation.kind) {
        case CORRELATION_GREETING:
                if (correlation.number == c->greeting_number)
                        link_take_greeting(c, m);
                return;
        case CORRELATION_WAIT:
                if (m->verb == WIRE_ERROR) {
                        (void) client_refused(c, &m->fields[0], &m->fields[1]);
                        awaits_refused(c, correlation.number, wire_get_error(&m->fields[0]));
                }
                return;
        case CORRELATION_REQUEST:
                q = request_find(c, correlation.number);
                if (q && is_superseded(c, q, &correlation))
                        return;
                if (q && m->verb == WIRE_ERROR)
                        take_error(c, q, m);
                else if (q)
                        take_answer(c, q, m);
                return; /* without a request: the second answer to one that was sent twice */
        }
}

/* A message that breaks the protocol can at most end the request that it answers. */
static void take_rubbish(fastworker_client *c, const WireMessage *m, const WireRefusal *refusal) {
        Correlation correlation;
        Request *q;

        if (!correlation_get(&m->correlation, &correlation) ||
            correlation.kind != CORRELATION_REQUEST)
                return;
        q = request_find(c, correlation.number);
        if (q)
                request_fail(c, q,
                             client_fail(c, EBADMSG, "The coordinator's answer makes no sense: %s.",
                                         refusal->text),
                             "unanswered");
}

int client_receive(fastworker_client *c) {
        WireRefusal refusal;
        WireMessage m;
        int r;

        if (!c->socket)
                return 0;
        r = frames_recv(&c->in, c->socket);
        if (r == -EAGAIN || r == -EINTR)
                return 0;
        if (r == -EMSGSIZE || r == -ENOMEM)
                return 1; /* it was dropped; if it was an answer it will be asked for again */
        if (r < 0)
                return client_fail(c, -r, "Cannot receive: %s", strerror(-r));

        r = wire_decode(c->in.iov, c->in.n, WIRE_CONTROLD_TO_CLIENT, &m, &refusal);
        if (r < 0)
                take_rubbish(c, &m, &refusal);
        else
                take_message(c, &m);
        return 1;
}
