/* SPDX-License-Identifier: MIT */

/* The connection: one DEALER socket to the discovery endpoint or to the coordinator, and the monitor that
 * tells when it is made and lost.
 *
 * What is sent while there is no connection would wait in the socket and arrive on the next one, so nothing is.
 * What was in flight when a connection broke may or may not have arrived: requests and awaits are all sent
 * again on the next one, and keys make twice the same as once. (ZMQ_IMMEDIATE would make the socket forget what
 * is in flight, but with it libzmq 4.3.4 ends the program when a connection breaks while a message of many
 * parts is being read: "Assertion failed: !_more".) */

#include <json-c/json.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "client-internal.h"
#include "json-util.h"
#include "time-util.h"

#define HIGH_WATER_MESSAGES    1000
#define HEARTBEAT_MSEC         10000 /* over TCP: so that a peer that vanished is noticed */
#define HEARTBEAT_TIMEOUT_MSEC 25000
#define GREETING_AGAIN_USEC    (2 * USEC_PER_SEC)
#define RELOCATE_USEC          (2 * USEC_PER_SEC)
#define ELSEWHERE_USEC         (USEC_PER_SEC / 2) /* for a coordinator on this host to answer */
#define MONITOR_EVENTS         (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED)

/* kind, 24 bits of the connection, 64 bits of the number */
struct iovec correlation_set(uint8_t buffer[static CORRELATION_SIZE], CorrelationKind kind,
                             uint64_t connection, uint64_t number) {
        buffer[0] = (uint8_t) kind;
        for (int i = 0; i < 3; i++)
                buffer[1 + i] = (uint8_t) (connection >> (16 - 8 * i));
        for (int i = 0; i < 8; i++)
                buffer[4 + i] = (uint8_t) (number >> (56 - 8 * i));
        return (struct iovec){ buffer, CORRELATION_SIZE };
}

bool correlation_get(const struct iovec *f, Correlation *ret) {
        const uint8_t *bytes = f->iov_base;

        if (f->iov_len != CORRELATION_SIZE)
                return false;
        *ret = (Correlation){ .kind = (CorrelationKind) bytes[0] };
        for (int i = 0; i < 3; i++)
                ret->connection = ret->connection << 8 | bytes[1 + i];
        for (int i = 0; i < 8; i++)
                ret->number = ret->number << 8 | bytes[4 + i];
        return true;
}

static int watch_socket(fastworker_client *c, void *socket) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = socket };
        size_t size = sizeof(int);
        int fd;

        if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) < 0)
                return client_fail(c, zmq_errno(),
                                   "Cannot get the descriptor of a ZeroMQ socket: %s",
                                   zmq_strerror(zmq_errno()));
        if (epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                return client_fail(c, errno, "Cannot poll a ZeroMQ socket: %m");
        return 0;
}

static void unwatch_socket(fastworker_client *c, void *socket) {
        size_t size = sizeof(int);
        int fd;

        if (socket && zmq_getsockopt(socket, ZMQ_FD, &fd, &size) >= 0)
                (void) epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void link_close(fastworker_client *c) {
        unwatch_socket(c, c->socket);
        unwatch_socket(c, c->monitor);
        c->socket = zsocket_close(c->socket);
        c->monitor = zsocket_close(c->monitor);
        c->is_connected = c->is_greeted = false;
}

int link_new_socket(fastworker_client *c, const char *address, void **ret) {
        static const SocketLimits limits = { WIRE_PAYLOAD_MAX, HIGH_WATER_MESSAGES };
        void *socket;
        int r;

        r = zsocket_new(c->context, ZMQ_DEALER, &limits, &socket);
        if (r < 0)
                return client_fail(c, -r, "Cannot make a ZeroMQ socket: %s", strerror(-r));
        if (strncmp(address, "tcp:", 4) == 0) {
                r = zsocket_set_int(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MSEC);
                if (r >= 0)
                        r = zsocket_set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MSEC);
        }
        if (r < 0) {
                zsocket_close(socket);
                return client_fail(c, -r, "Cannot set up a ZeroMQ socket: %s", strerror(-r));
        }
        *ret = socket;
        return 0;
}

static int start_monitor(fastworker_client *c) {
        char name[64];

        (void) snprintf(name, sizeof(name), "inproc://fastworker-monitor-%u", c->n_opened++);
        if (zmq_socket_monitor(c->socket, name, MONITOR_EVENTS) < 0)
                return client_fail(c, zmq_errno(), "Cannot monitor a ZeroMQ socket: %s",
                                   zmq_strerror(zmq_errno()));
        c->monitor = zmq_socket(c->context, ZMQ_PAIR);
        if (!c->monitor || zmq_connect(c->monitor, name) < 0)
                return client_fail(c, zmq_errno(),
                                   "Cannot connect to the monitor of a ZeroMQ socket: %s",
                                   zmq_strerror(zmq_errno()));
        /* Its descriptor means something only after it was once read to the end. */
        c->monitor_is_unread = true;
        return watch_socket(c, c->monitor);
}

static int open_address(fastworker_client *c, const char *address) {
        int r;

        link_close(c);
        r = link_new_socket(c, address, &c->socket);
        if (r < 0)
                return r;
        r = start_monitor(c);
        if (r >= 0)
                r = watch_socket(c, c->socket);
        if (r >= 0) {
                r = zsocket_connect(c->socket, address);
                if (r < 0)
                        client_fail(c, -r, "Cannot connect to %s: %s", address, strerror(-r));
        }
        if (r < 0)
                link_close(c);
        /* Out of descriptors, say: then it is tried again later as well. */
        c->relocate_usec = r < 0 || c->place.is_discovery || c->place.is_guess
                                   ? usec_later(now_usec(CLOCK_MONOTONIC), RELOCATE_USEC)
                                   : USEC_INFINITY;
        c->greeting_due_usec = USEC_INFINITY;
        c->is_dirty = true;
        return r;
}

/* Goes to a place; takes it over. */
static int open_place(fastworker_client *c, Place *place) {
        place_done(&c->place);
        c->place = *place;
        *place = (Place){};

        free(c->peer_address);
        c->peer_address = NULL;
        if (!c->place.is_discovery) {
                c->peer_address = strdup(c->place.address);
                if (!c->peer_address)
                        return client_fail(c, ENOMEM, "Out of memory.");
        }
        return open_address(c, c->place.address);
}

int link_start(fastworker_client *c) {
        Place place = {};
        int r;

        r = locate(c, 0, &place);
        if (r < 0)
                return r;
        r = open_place(c, &place);
        place_done(&place);
        if (r >= 0 && locate_is_denied(c))
                c->relocate_usec = usec_later(now_usec(CLOCK_MONOTONIC),
                                              c->place.is_guess ? ELSEWHERE_USEC : 0);
        return r;
}

/* There has been no connection for a while: where else could the coordinator be? */
static int relocate(fastworker_client *c, uint64_t now) {
        Place place = {};
        int r;

        c->relocate_usec = usec_later(now, RELOCATE_USEC);
        /* And elsewhere, if we may look there, is nobody. Who was connected before goes on looking. */
        if (c->n_connections == 0 && locate_is_denied(c))
                return locate_fail_denied(c);
        for (unsigned n = 0; n < 2; n++) {
                r = locate(c, n, &place);
                if (r < 0)
                        return r;
                /* Not the same once more, unless it is to be asked again. */
                if (!c->socket || !streq(place.address, c->place.address) ||
                    (place.is_discovery && c->peer_address)) {
                        (void) open_place(c, &place);
                        place_done(&place);
                        return 1;
                }
                place_done(&place);
        }
        return 0;
}

/* HELLO, or DISCOVER at a discovery endpoint. */
static void send_greeting(fastworker_client *c, uint64_t now) {
        static const char hello[] =
                "{\"name\":\"libfastworker " PACKAGE_VERSION "\",\"versions\":[1]}";
        uint8_t buffer[CORRELATION_SIZE];
        struct iovec correlation;

        c->greeting_number = ++c->last_number;
        c->greeting_due_usec = usec_later(now, GREETING_AGAIN_USEC);
        correlation =
                correlation_set(buffer, CORRELATION_GREETING, c->n_connections, c->greeting_number);
        if (c->peer_address) {
                wire_begin(&c->out, WIRE_HELLO, &correlation);
                wire_put(&c->out, hello, sizeof(hello) - 1);
        } else
                wire_begin(&c->out, WIRE_DISCOVER, &correlation);
        /* If it cannot be sent now it is sent again when it is due. */
        (void) wire_send(c->socket, NULL, &c->out);
}

static void on_connected(fastworker_client *c) {
        c->n_connections++;
        c->is_connected = true;
        c->is_greeted = false;
        c->relocate_usec = USEC_INFINITY;
        send_greeting(c, now_usec(CLOCK_MONOTONIC));
        if (c->peer_address) {
                c->next_unsent = c->requests;
                c->next_unsubscribed = c->awaits;
        }
}

static void on_disconnected(fastworker_client *c) {
        c->is_connected = c->is_greeted = false;
        c->greeting_due_usec = USEC_INFINITY;
        if (c->place.is_discovery || c->place.is_guess)
                c->relocate_usec = usec_later(now_usec(CLOCK_MONOTONIC), RELOCATE_USEC);
}

int link_read_monitor(fastworker_client *c) {
        int r, did = 0;

        if (!c->monitor)
                return 0;
        while ((r = frames_recv(&c->in, c->monitor)) >= 0) {
                uint16_t event;

                if (c->in.n < 1 || c->in.iov[0].iov_len < sizeof(event))
                        continue;
                memcpy(&event, c->in.iov[0].iov_base, sizeof(event));
                if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
                        on_connected(c);
                else
                        on_disconnected(c);
                did = 1;
        }
        c->monitor_is_unread = false;
        if (r != -EAGAIN)
                return client_fail(c, -r, "Cannot read from the socket's monitor: %s",
                                   strerror(-r));
        return did;
}

static int take_welcome(fastworker_client *c, const struct iovec *info) {
        _cleanup_json_ struct json_object *o = NULL;
        struct json_object *limits;
        const char *why;
        char *text;

        if (json_parse_object(info->iov_base, info->iov_len, &o, &why) < 0)
                return client_fail(c, EBADMSG, "The coordinator's greeting is not JSON: %s", why);
        text = wire_get_string(info);
        if (!text)
                return client_fail(c, ENOMEM, "Out of memory.");

        if (json_get_object(o, "limits", &limits) > 0)
                (void) json_get_uint(limits, "max_payload_bytes", 1, WIRE_PAYLOAD_MAX,
                                     &c->max_payload_bytes);
        free(c->server);
        c->server = text;
        c->is_greeted = true;
        return 0;
}

static int take_discovered(fastworker_client *c, const struct iovec *info) {
        char *address;
        int r;

        r = locate_choose(c, c->place.address, info, &address);
        if (r < 0)
                return r;
        r = open_address(c, address);
        if (r < 0) {
                free(address);
                return r;
        }
        c->peer_address = address;
        return 0;
}

int link_take_greeting(fastworker_client *c, const WireMessage *m) {
        int r;

        if (m->verb == WIRE_ERROR)
                r = client_refused(c, &m->fields[0], &m->fields[1]);
        else if (m->verb == WIRE_WELCOME && c->peer_address)
                r = take_welcome(c, &m->fields[0]);
        else if (m->verb == WIRE_INFO && !c->peer_address)
                r = take_discovered(c, &m->fields[0]);
        else
                r = client_fail(c, EBADMSG, "The coordinator answers a greeting with %s.",
                                wire_verb_to_string(m->verb));

        /* Whoever is in connect() is told; then it is tried again. */
        c->greeting_error = MIN(r, 0);
        c->greeting_due_usec = c->is_greeted || !c->is_connected
                                       ? USEC_INFINITY
                                       : usec_later(now_usec(CLOCK_MONOTONIC), GREETING_AGAIN_USEC);
        return 1;
}

int link_check_due(fastworker_client *c, uint64_t now) {
        if (now >= c->greeting_due_usec) {
                send_greeting(c, now);
                return 1;
        }
        if (now >= c->relocate_usec)
                return relocate(c, now);
        return 0;
}

uint64_t link_due(const fastworker_client *c) {
        return MIN(c->greeting_due_usec, c->relocate_usec);
}
