/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "controld.h"
#include "endpoint.h"
#include "json-util.h"
#include "log.h"
#include "message-ids.h"
#include "ops.h"
#include "parse-util.h"
#include "socket-monitor.h"
#include "store-fault.h"
#include "time-util.h"
#include "zmq-source.h"

#define TURN_MESSAGES        256U
#define SEND_MESSAGES_MAX    2000 /* that a peer has not read yet */
#define RECEIVE_MESSAGES_MAX 1000 /* of a peer that we have not read yet: then TCP holds it back */
#define PEERS_MAX            100000U
#define PEERS_FORGET_MIN     1000U
#define REFUSALS_ANSWERED    100U /* after so many bad messages a peer gets no answer any more */
#define REFUSALS_LOGGED      20U  /* lines a minute and endpoint */

struct Endpoint {
        Controld *controld;
        EndpointRole role;
        bool is_tcp;
        void *socket;
        ZmqSource *source;
        SocketMonitor *monitor;
        char **addresses;
        Peer *peers;
        Frames frames;
        uint64_t n_refused;
        uint64_t forgot_usec;
        unsigned n_peers_forget;  /* at so many the next look is due */
        uint64_t log_window_usec; /* start of the minute in which n_logged is counted */
        uint32_t n_logged, n_not_logged;
};

static const char *const endpoint_role_table[_ENDPOINT_ROLE_MAX] = {
        [ENDPOINT_CLIENT] = "client",
        [ENDPOINT_WORKER] = "worker",
        [ENDPOINT_DISCOVERY] = "discovery",
};

DEFINE_STRING_TABLE(endpoint_role, EndpointRole);

static const WireDirection endpoint_direction[_ENDPOINT_ROLE_MAX] = {
        [ENDPOINT_CLIENT] = WIRE_CLIENT_TO_CONTROLD,
        [ENDPOINT_WORKER] = WIRE_WORKER_TO_CONTROLD,
        [ENDPOINT_DISCOVERY] = WIRE_ANYONE_TO_DISCOVERY,
};

EndpointRole endpoint_role(const Endpoint *e) {
        return e->role;
}

bool endpoint_is_tcp(const Endpoint *e) {
        return e->is_tcp;
}

char *const *endpoint_addresses(const Endpoint *e) {
        return e->addresses;
}

uint64_t endpoint_n_refused(const Endpoint *e) {
        return e->n_refused;
}

/* Rubbish must not fill the journal: a bounded number of lines a minute, then one that counts the rest. */
static bool may_log(Endpoint *e) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (e->log_window_usec == 0 || now - e->log_window_usec > USEC_PER_MINUTE) {
                if (e->n_not_logged > 0)
                        log_event(LOG_WARNING, 0, LOG_FIELDS(.message_id = MESSAGE_PEER_REFUSED),
                                  "%" PRIu32 " more refusals at the %s endpoint were not logged.",
                                  e->n_not_logged, endpoint_role_to_string(e->role));
                e->log_window_usec = now;
                e->n_logged = e->n_not_logged = 0;
        }
        if (e->n_logged >= REFUSALS_LOGGED) {
                e->n_not_logged++;
                return false;
        }
        e->n_logged++;
        return true;
}

static void on_connection(SocketEvent event, int error, const char *peer, void *userdata) {
        Endpoint *e = userdata;

        switch (event) {
        case SOCKET_DISCONNECTED:
                if (e->role == ENDPOINT_WORKER)
                        op_worker_probe_later(e->controld);
                break;
        case SOCKET_NOT_ZMTP:
                e->n_refused++;
                if (may_log(e))
                        log_event(
                                LOG_WARNING, 0,
                                LOG_FIELDS(.message_id = MESSAGE_PEER_REFUSED, .peer = peer),
                                "Connection to the %s endpoint refused%s%s: not a ZeroMQ peer, or it did "
                                "not complete the handshake in time.",
                                endpoint_role_to_string(e->role), isempty(peer) ? "" : ", peer ",
                                peer);
                break;
        case SOCKET_ACCEPT_FAILED:
                if (may_log(e))
                        log_event(
                                LOG_WARNING, error, LOG_FIELDS(.message_id = MESSAGE_LIMIT_REACHED),
                                "The %s endpoint could not accept a connection: %m. Raise LimitNOFILE= "
                                "if this persists.",
                                endpoint_role_to_string(e->role));
                break;
        case SOCKET_CONNECTED:
                break;
        }
}

/* Clients that left while they waited for a result are found when something is sent to them: an answer to
 * nothing, which clients pass over. */
static bool is_gone(Endpoint *e, Peer *p) {
        WireOut *out = &e->controld->out;

        if (p->worker)
                return false;
        wire_begin(out, WIRE_PONG, NULL);
        return peer_send(p, out) == -EHOSTUNREACH;
}

/* Connections come and go; what is remembered of those without a purpose, or that are gone, is dropped in
 * bulk, each time when there are twice as many as were left by the last time. */
static void forget_peers(Endpoint *e) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        Peer *p, *next;

        if (e->forgot_usec > 0 && now - e->forgot_usec < USEC_PER_SEC)
                return;
        e->forgot_usec = now;
        HASH_ITER(hh, e->peers, p, next) {
                if (!peer_is_forgettable(p) && is_gone(e, p))
                        op_wait_drop_all(e->controld, p);
                if (peer_is_forgettable(p))
                        peer_free(&e->peers, &e->controld->dirty, p);
        }
        e->n_peers_forget = MAX(PEERS_FORGET_MIN, 2 * HASH_COUNT(e->peers));
}

int endpoint_peer(Endpoint *e, const struct iovec *routing, Peer **ret) {
        Peer *p = endpoint_find_peer(e, routing);

        if (p) {
                *ret = p;
                return 0;
        }
        if (HASH_COUNT(e->peers) >= e->n_peers_forget || HASH_COUNT(e->peers) >= PEERS_MAX)
                forget_peers(e);
        if (HASH_COUNT(e->peers) >= PEERS_MAX)
                return -ENOBUFS;
        return peer_get(&e->peers, e, routing->iov_base, routing->iov_len, ret);
}

Peer *endpoint_find_peer(Endpoint *e, const struct iovec *routing) {
        return peer_find(e->peers, routing->iov_base, routing->iov_len);
}

int endpoint_send(Endpoint *e, const struct iovec *routing, const WireOut *out) {
        int r;

        store_fault_step(STORE_FAULT_SEND);
        r = wire_send(e->socket, routing, out);
        if (r < 0)
                log_debug_errno(
                        r, "Could not send to a peer of the %s endpoint, dropping the message: %m",
                        endpoint_role_to_string(e->role));
        return r;
}

int peer_send(Peer *p, const WireOut *out) {
        struct iovec routing = { p->routing, p->routing_size };

        return endpoint_send(p->endpoint, &routing, out);
}

int request_reply(const Request *r) {
        (void) endpoint_send(r->endpoint, &r->routing, &r->endpoint->controld->out);
        return 0;
}

int request_refuse(const Request *r, WireError code, const char *format, ...) {
        WireOut *out = &r->endpoint->controld->out;
        char text[1024];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        wire_put_refusal(out, &r->message.correlation, code, text);
        return request_reply(r);
}

int request_reply_info(const Request *r, WireVerb verb, struct json_object *info) {
        _cleanup_json_ struct json_object *o = info;
        WireOut *out = &r->endpoint->controld->out;
        const char *text;
        size_t size;

        text = o ? json_object_to_json_string_length(o, JSON_COMPACT, &size) : NULL;
        if (!text)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory");
        if (size > WIRE_INFO_MAX)
                return request_refuse(r, WIRE_ERROR_TOO_LARGE,
                                      "the answer has %zu bytes; a message carries %u", size,
                                      WIRE_INFO_MAX);
        wire_begin(out, verb, &r->message.correlation);
        wire_put(out, text, size);
        return request_reply(r);
}

/* A message that breaks the protocol: one line in the journal for each peer, an error reply as long as the
 * peer may still learn from it. */
static int refuse_message(Endpoint *e, const Request *r, const WireRefusal *refusal,
                          const char *address) {
        Peer *p;

        e->n_refused++;
        if (endpoint_peer(e, &r->routing, &p) < 0)
                return 0;
        if (p->n_refused++ == 0 && may_log(e))
                log_event(LOG_WARNING, 0,
                          LOG_FIELDS(.message_id = MESSAGE_PEER_REFUSED, .peer = address),
                          "Refused a message at the %s endpoint, peer %s: %s",
                          endpoint_role_to_string(e->role),
                          isempty(address) ? "on this host" : address, refusal->text);
        if (p->n_refused > REFUSALS_ANSWERED)
                return 0;
        return request_refuse(r, refusal->code, "%s", refusal->text);
}

static int handle(Endpoint *e, const struct iovec *routing, const struct iovec *frames, size_t n,
                  const char *address) {
        Request r = { .endpoint = e, .routing = *routing, .frames = frames, .n_frames = n };
        WireRefusal refusal;
        OpHandler handler;

        if (wire_decode(frames, n, endpoint_direction[e->role], &r.message, &refusal) < 0)
                return refuse_message(e, &r, &refusal, address);

        handler = op_handler(e->role, r.message.verb);
        if (!handler)
                return request_refuse(&r, WIRE_ERROR_UNKNOWN_VERB,
                                      "this endpoint does not serve %s",
                                      wire_verb_to_string(r.message.verb));
        return handler(e->controld, &r);
}

int endpoint_handle(Endpoint *e, const struct iovec *routing, const struct iovec *frames,
                    size_t n) {
        return handle(e, routing, frames, n, NULL);
}

static int on_readable(void *socket, void *userdata) {
        Endpoint *e = userdata;
        const char *address;
        int r;

        r = frames_recv(&e->frames, socket);
        if (r == -EAGAIN || r == -EINTR)
                return 0;
        if (r == -ENOMEM) {
                log_oom();
                return 1;
        }
        if (r < 0 && r != -EMSGSIZE)
                return log_error_errno(r, "Could not receive at the %s endpoint: %m",
                                       endpoint_role_to_string(e->role));

        store_fault_step(STORE_FAULT_RECEIVE);
        address = zmq_msg_gets(&e->frames.parts[e->frames.n - 1], "Peer-Address");
        r = handle(e, &e->frames.iov[0], e->frames.iov + 1, e->frames.n - 1, address);
        return r < 0 ? r : 1;
}

int endpoint_bind(Endpoint *e, const char *address, int fd) {
        _cleanup_free_ char *bound = NULL;
        int r;

        r = zsocket_bind(e->socket, address, fd);
        if (r < 0)
                return r;
        if (fd < 0) {
                r = zsocket_last_endpoint(e->socket, &bound);
                if (r < 0)
                        return r;
        }
        return strv_extend(&e->addresses, bound ?: address);
}

int endpoint_bind_private(Endpoint *e, const char *address) {
        return zsocket_bind(e->socket, address, -1);
}

int endpoint_start(Endpoint *e) {
        return zmq_source_new(e->controld->event, e->socket, TURN_MESSAGES, on_readable, e,
                              &e->source);
}

int endpoint_set_linger(Endpoint *e, int msec) {
        return zsocket_set_int(e->socket, ZMQ_LINGER, msec);
}

int endpoint_new(Controld *c, EndpointRole role, bool is_tcp, Endpoint **ret) {
        _cleanup_(endpoint_freep) Endpoint *e = NULL;
        void *context = is_tcp ? c->tcp_context : c->local_context;
        SocketLimits limits = {
                .max_frame_bytes =
                        MAX(c->settings->max_payload_bytes, c->settings->max_result_bytes) +
                        WIRE_INFO_MAX,
                .high_water_messages = SEND_MESSAGES_MAX,
                .receive_messages = RECEIVE_MESSAGES_MAX,
        };
        int r;

        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->controld = c;
        e->role = role;
        e->is_tcp = is_tcp;
        e->n_peers_forget = PEERS_FORGET_MIN;
        r = zsocket_new(context, ZMQ_ROUTER, &limits, &e->socket);
        if (r < 0)
                return r;
        r = socket_monitor_new(c->event, context, e->socket, on_connection, e, &e->monitor);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(e);
        return 0;
}

Endpoint *endpoint_free(Endpoint *e) {
        Peer *p, *next;

        if (!e)
                return NULL;
        HASH_ITER(hh, e->peers, p, next) {
                if (p->worker)
                        worker_detach(p->worker);
                peer_free(&e->peers, &e->controld->dirty, p);
        }
        zmq_source_free(e->source);
        socket_monitor_free(e->monitor);
        zsocket_close(e->socket);
        frames_done(&e->frames);
        strv_free(e->addresses);
        free(e);
        return NULL;
}
