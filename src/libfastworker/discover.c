/* SPDX-License-Identifier: MIT */

/* fastworker_discover(): one question to a discovery endpoint, on a socket of its own. */

#include "client-internal.h"
#include "parse-util.h"
#include "time-util.h"

/* Returns 1 if the answer was there, 0 if there was nothing of use. */
static int take_answer(fastworker_client *c, Frames *in, void *socket, const char *address,
                       char **ret) {
        WireRefusal refusal;
        WireMessage m;

        if (frames_recv(in, socket) < 0 ||
            wire_decode(in->iov, in->n, WIRE_CONTROLD_TO_CLIENT, &m, &refusal) < 0)
                return 0;
        if (m.verb == WIRE_ERROR)
                return client_refused(c, &m.fields[0], &m.fields[1]);
        if (m.verb != WIRE_INFO)
                return client_fail(c, EBADMSG, "%s is not a discovery address: it answers with %s.",
                                   address, wire_verb_to_string(m.verb));
        *ret = wire_get_string(&m.fields[0]);
        return *ret ? 1 : client_fail(c, ENOMEM, "Out of memory.");
}

/* Asks if it is time to, and waits for something to happen. */
static int ask_and_wait(fastworker_client *c, void *socket, const char *address, uint64_t deadline,
                        uint64_t *again) {
        zmq_pollitem_t item = { .socket = socket, .events = ZMQ_POLLIN };
        uint64_t now = now_usec(CLOCK_MONOTONIC), until = deadline;
        int r;

        if (now >= deadline)
                return client_fail(c, ETIMEDOUT, "Nobody answers at the discovery address %s.",
                                   address);
        if (now >= *again) {
                wire_begin(&c->out, WIRE_DISCOVER, NULL);
                r = wire_send(socket, NULL, &c->out);
                if (r >= 0)
                        *again = usec_later(now, c->timeout_usec / (uint64_t) (c->retries + 1));
                else if (r == -EAGAIN)
                        item.events |= ZMQ_POLLOUT; /* there is no connection yet */
                else
                        return client_fail(c, -r, "Cannot send to %s: %s", address, strerror(-r));
        }
        if (*again > now)
                until = MIN(until, *again);

        if (zmq_poll(&item, 1, usec_to_poll_msec(until - now)) >= 0)
                return 0;
        if (zmq_errno() == EINTR)
                return client_fail(c, EINTR, "Interrupted by a signal.");
        return client_fail(c, zmq_errno(), "Cannot wait for an answer from %s: %s", address,
                           zmq_strerror(zmq_errno()));
}

static int ask(fastworker_client *c, void *socket, const char *address, char **ret) {
        uint64_t deadline = usec_later(now_usec(CLOCK_MONOTONIC), c->timeout_usec), again = 0;
        Frames in = {};
        int r;

        r = zsocket_connect(socket, address);
        if (r < 0)
                return client_fail(c, -r, "Cannot connect to %s: %s", address, strerror(-r));
        do {
                r = ask_and_wait(c, socket, address, deadline, &again);
                if (r >= 0)
                        r = take_answer(c, &in, socket, address, ret);
        } while (r == 0);
        frames_done(&in);
        return MIN(r, 0);
}

_public_ int fastworker_discover(fastworker_client *c, const char *discovery_address,
                                 char **ret_json) {
        const char *address = discovery_address ? discovery_address : locate_discovery_address(c);
        Address parsed;
        void *socket;
        int r;

        if (c->in_handler)
                return client_may_block(c);
        if (address_parse(address, &parsed) < 0)
                return client_fail(c, EINVAL,
                                   "\"%s\" is not an address: tcp://HOST:PORT or ipc:///PATH.",
                                   address);
        r = locate_check_address(c, address);
        if (r < 0)
                return r;
        r = client_load_settings(c);
        if (r < 0)
                return r;
        r = link_new_socket(c, address, &socket);
        if (r < 0)
                return r;
        r = ask(c, socket, address, ret_json);
        zsocket_close(socket);
        return r;
}
