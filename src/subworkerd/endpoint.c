/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "endpoint.h"
#include "log.h"
#include "message-ids.h"
#include "socket-monitor.h"
#include "time-util.h"
#include "wire.h"
#include "zmq-source.h"
#include "zmq-util.h"

#define BUDGET           16U
#define HIGH_WATER       100
#define FRAME_MAX        (64U * 1024U) /* no request has more than a few bytes */
#define REMEMBERED_PEERS 32U
#define WARNINGS_MAX     10U /* a minute */

typedef struct Refused {
        char peer[64];
} Refused;

struct Endpoint {
        void *socket;
        SocketMonitor *monitor;
        ZmqSource *source;
        Frames frames;
        WireOut out;
        char *address;
        const char *worker_id;
        const EndpointHandlers *handlers;
        void *userdata;

        Refused refused[REMEMBERED_PEERS]; /* a ring of peers that were warned about */
        size_t next_refused;
        uint64_t window_usec; /* when the current minute of warnings began */
        unsigned n_warnings, n_unsaid;
};

const char *endpoint_address(const Endpoint *e) {
        return e->address;
}

/* --- refusals ------------------------------------------------------------------------------------- */

static bool is_known(const Endpoint *e, const char *peer) {
        for (size_t i = 0; i < REMEMBERED_PEERS; i++)
                if (streq(e->refused[i].peer, peer))
                        return true;
        return false;
}

/* Whether there may be another line: one a peer, and not too many altogether. */
static bool may_warn(Endpoint *e, const char *peer) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (now >= e->window_usec + USEC_PER_MINUTE) {
                e->window_usec = now;
                e->n_warnings = 0;
        }
        if (is_known(e, peer) || e->n_warnings >= WARNINGS_MAX) {
                e->n_unsaid++;
                return false;
        }
        (void) snprintf(e->refused[e->next_refused].peer, sizeof(e->refused[0].peer), "%s", peer);
        e->next_refused = (e->next_refused + 1) % REMEMBERED_PEERS;
        e->n_warnings++;
        return true;
}

static void warn_refused(Endpoint *e, const char *peer, const char *why) {
        char others[64] = "";

        if (!may_warn(e, peer))
                return;
        if (e->n_unsaid > 0)
                (void) snprintf(others, sizeof(others), " (and %u more before that)", e->n_unsaid);
        e->n_unsaid = 0;
        log_event(LOG_WARNING, 0,
                  LOG_FIELDS(.message_id = MESSAGE_PEER_REFUSED, .worker_id = e->worker_id,
                             .peer = peer),
                  "Refusing a message from %s at %s%s: %s", peer, e->address, others, why);
}

/* The routing id of a connection, as text. */
static void name_peer(const struct iovec *routing, char ret[static 64]) {
        size_t n = MIN(routing->iov_len, (size_t) 16);
        char *p = stpcpy(ret, "connection ");

        for (size_t i = 0; i < n; i++)
                p += snprintf(p, 3, "%02x", ((const unsigned char *) routing->iov_base)[i]);
}

/* --- requests ------------------------------------------------------------------------------------- */

static void reply(Endpoint *e, const struct iovec *routing) {
        int r = wire_send(e->socket, routing, &e->out);

        if (r < 0)
                log_debug_errno(r, "Cannot answer a peer at %s: %m", e->address);
}

static void refuse(Endpoint *e, const struct iovec *routing, const struct iovec *correlation,
                   const WireRefusal *refusal) {
        char peer[64];

        name_peer(routing, peer);
        warn_refused(e, peer, refusal->text);
        wire_put_refusal(&e->out, correlation, refusal->code, refusal->text);
        reply(e, routing);
}

static void on_report(Endpoint *e, const struct iovec *routing, const WireMessage *m) {
        _cleanup_free_ char *text = NULL;

        if (e->handlers->report(&text, e->userdata) < 0)
                wire_put_refusal(&e->out, &m->correlation, WIRE_ERROR_INTERNAL, "out of memory");
        else {
                wire_begin(&e->out, WIRE_INFO, &m->correlation);
                wire_put_string(&e->out, text);
        }
        reply(e, routing);
}

static void dispatch(Endpoint *e, const struct iovec *routing, const WireMessage *m) {
        switch (m->verb) {
        case WIRE_PING:
                wire_begin(&e->out, WIRE_PONG, &m->correlation);
                reply(e, routing);
                break;
        case WIRE_REPORT:
                on_report(e, routing, m);
                break;
        case WIRE_DRAIN:
                wire_begin(&e->out, WIRE_ACK, &m->correlation);
                reply(e, routing);
                e->handlers->drain(e->userdata);
                break;
        default:
                break; /* the decoder lets no other verb through */
        }
}

/* An ERROR is not answered, lest two programs go on telling each other for ever. */
static bool is_error(const struct iovec *frame) {
        static const char verb[] = "FW1 ERROR";

        return frame->iov_len == strlen(verb) && memcmp(frame->iov_base, verb, strlen(verb)) == 0;
}

static int on_message(void *socket, void *userdata) {
        Endpoint *e = userdata;
        const struct iovec *iov;
        WireRefusal refusal;
        WireMessage m = {};
        int r;

        r = frames_recv(&e->frames, socket);
        if (r == -EAGAIN || r == -EINTR)
                return 0;
        if (r == -ENOMEM)
                return 1;
        if (r < 0 && r != -EMSGSIZE)
                return log_error_errno(r, "Cannot receive at %s: %m", e->address);

        iov = e->frames.iov;
        r = wire_decode(iov + 1, e->frames.n - 1, WIRE_ANYONE_TO_WORKER, &m, &refusal);
        if (r >= 0)
                dispatch(e, &iov[0], &m);
        else if (e->frames.n < 2 || !is_error(&iov[1]))
                refuse(e, &iov[0], &m.correlation, &refusal);
        return 1;
}

/* Connecting to a unix socket and leaving without a word is how controld wakes a worker; it may come after the worker
 * has started, too. */
static bool was_visit(const Endpoint *e, int error) {
        return strncmp(e->address, "ipc://", 6) == 0 && (error == EPIPE || error == ECONNRESET);
}

static void on_connection(SocketEvent event, int error, const char *peer, void *userdata) {
        Endpoint *e = userdata;
        char host[64];
        char *colon;

        if (event == SOCKET_ACCEPT_FAILED) {
                if (may_warn(e, "accept"))
                        log_warning_errno(error, "Cannot accept a connection at %s: %m",
                                          e->address);
                return;
        }
        if (event != SOCKET_NOT_ZMTP || was_visit(e, error))
                return;
        (void) snprintf(host, sizeof(host), "%s", isempty(peer) ? "a peer" : peer);
        colon = strrchr(host, ':');
        if (colon)
                *colon = '\0'; /* each of its connections has another port */
        warn_refused(e, host, "no handshake of the ZeroMQ protocol");
}

/* --- life ----------------------------------------------------------------------------------------- */

static int listen_at(Endpoint *e, const char *address, int fd) {
        int r;

        r = zsocket_bind(e->socket, address, fd);
        if (r < 0)
                return log_error_errno(r, "Cannot listen at %s (BaseAddress=): %m", address);
        if (fd < 0)
                r = zsocket_last_endpoint(e->socket, &e->address);
        else {
                e->address = strdup(address);
                r = e->address ? 0 : -ENOMEM;
        }
        return r < 0 ? log_error_errno(r, "Cannot tell where the endpoint listens: %m") : 0;
}

int endpoint_new(sd_event *event, void *context, const char *address, int fd, const char *worker_id,
                 const EndpointHandlers *handlers, void *userdata, Endpoint **ret) {
        static const SocketLimits limits = { .max_frame_bytes = FRAME_MAX,
                                             .high_water_messages = HIGH_WATER };
        _cleanup_(endpoint_freep) Endpoint *e = NULL;
        int r;

        e = calloc(1, sizeof(*e));
        if (!e)
                return log_oom();
        e->worker_id = worker_id;
        e->handlers = handlers;
        e->userdata = userdata;

        r = zsocket_new(context, ZMQ_ROUTER, &limits, &e->socket);
        if (r >= 0)
                r = socket_monitor_new(event, context, e->socket, on_connection, e, &e->monitor);
        if (r < 0)
                return log_error_errno(r, "Cannot make the endpoint at %s: %m", address);
        r = listen_at(e, address, fd);
        if (r < 0)
                return r;
        r = zmq_source_new(event, e->socket, BUDGET, on_message, e, &e->source);
        if (r < 0)
                return log_error_errno(r, "Cannot watch the endpoint at %s: %m", address);
        *ret = TAKE_PTR(e);
        return 0;
}

Endpoint *endpoint_free(Endpoint *e) {
        if (!e)
                return NULL;
        zmq_source_free(e->source);
        socket_monitor_free(e->monitor);
        zsocket_close(e->socket);
        frames_done(&e->frames);
        wire_out_done(&e->out);
        free(e->address);
        free(e);
        return NULL;
}
