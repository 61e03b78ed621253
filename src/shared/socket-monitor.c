/* SPDX-License-Identifier: MIT */

/* libzmq tells about the connections of a socket on a pair of inproc sockets, in two frames: number and value
 * of an event, and an address. The address is that of our own side, and only some events carry the
 * connection's descriptor:
 *
 *     ACCEPTED or CONNECTED (fd), then HANDSHAKE_SUCCEEDED (no fd),          later DISCONNECTED (fd)
 *     ACCEPTED or CONNECTED (fd), then HANDSHAKE_FAILED_... (no fd) directly before DISCONNECTED (fd)
 *     ACCEPTED or CONNECTED (fd), then only                                        DISCONNECTED (fd)
 *
 * The last is what rubbish looks like that passes for an old version of ZMTP, or a peer of the wrong socket
 * type. So we remember by descriptor who came; a success is credited to the one connection that waits for it,
 * and when several do, all of them get the benefit of the doubt. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <zmq.h>

#include "socket-monitor.h"
#include "time-util.h"
#include "zmq-source.h"
#include "zmq-util.h"

#define EVENTS                                                                        \
        (ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED | ZMQ_EVENT_CONNECTED |         \
         ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |                     \
         ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | \
         ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

#define BUDGET 64U
/* When the queue is full, libzmq's I/O thread waits for us: make that hard to reach. */
#define HIGH_WATER  100000
#define ADDRESS_MAX 64U
/* Out of descriptors, libzmq tries again and again. */
#define ACCEPT_FAILED_USEC USEC_PER_SEC

typedef enum ConnectionState {
        CONNECTION_NONE,
        CONNECTION_WAITS, /* for its handshake */
        CONNECTION_UP,    /* or may be */
} ConnectionState;

typedef struct Connection {
        ConnectionState state;
        char *peer; /* NULL: not known */
} Connection;

struct SocketMonitor {
        void *socket, *events;
        ZmqSource *source;
        Connection *connections; /* by descriptor */
        size_t n_connections, n_waiting;
        int handshake_error; /* of the connection whose DISCONNECTED comes next */
        uint64_t accept_failed_at;
        SocketMonitorHandler handler;
        void *userdata;
};

/* "127.0.0.1:4711", or NULL for a unix socket and for one that is closed by now. */
static char *peer_of(int fd) {
        union {
                struct sockaddr any;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        } a = {};
        socklen_t size = sizeof(a);
        char host[INET6_ADDRSTRLEN], *text = NULL;
        int r = -1;

        if (getpeername(fd, &a.any, &size) < 0)
                return NULL;
        if (a.any.sa_family == AF_INET && inet_ntop(AF_INET, &a.in.sin_addr, host, sizeof(host)))
                r = asprintf(&text, "%s:%u", host, (unsigned) ntohs(a.in.sin_port));
        else if (a.any.sa_family == AF_INET6 &&
                 inet_ntop(AF_INET6, &a.in6.sin6_addr, host, sizeof(host)))
                r = asprintf(&text, "[%s]:%u", host, (unsigned) ntohs(a.in6.sin6_port));
        return r < 0 ? NULL : text;
}

static void forget(SocketMonitor *m, Connection *c) {
        if (c->state == CONNECTION_WAITS)
                m->n_waiting--;
        free(c->peer);
        *c = (Connection){};
}

/* The entry of a descriptor, made if needed; NULL when out of memory. */
static Connection *connection_of(SocketMonitor *m, size_t fd) {
        size_t n = MAX(m->n_connections * 2, fd + 1);
        Connection *bigger;

        if (fd < m->n_connections)
                return &m->connections[fd];
        bigger = reallocarray(m->connections, n, sizeof(*bigger));
        if (!bigger)
                return NULL;
        memset(bigger + m->n_connections, 0, (n - m->n_connections) * sizeof(*bigger));
        m->connections = bigger;
        m->n_connections = n;
        return &bigger[fd];
}

static void on_begin(SocketMonitor *m, int fd) {
        Connection *c = fd >= 0 ? connection_of(m, (size_t) fd) : NULL;

        if (!c)
                return;
        forget(m, c);
        c->state = CONNECTION_WAITS;
        c->peer = peer_of(fd);
        m->n_waiting++;
}

static void on_success(SocketMonitor *m) {
        const char *peer = "";

        for (size_t i = 0; i < m->n_connections && m->n_waiting > 0; i++) {
                Connection *c = &m->connections[i];

                if (c->state != CONNECTION_WAITS)
                        continue;
                if (m->n_waiting == 1 && !*peer && c->peer)
                        peer = c->peer;
                c->state = CONNECTION_UP;
        }
        m->n_waiting = 0;
        m->handler(SOCKET_CONNECTED, 0, peer, m->userdata);
}

static void on_end(SocketMonitor *m, int fd) {
        Connection *c = fd >= 0 && (size_t) fd < m->n_connections ? &m->connections[fd] : NULL;
        bool refused = m->handshake_error > 0 || (c && c->state == CONNECTION_WAITS);
        int error = m->handshake_error > 0 ? m->handshake_error : refused ? EPROTO : 0;
        _cleanup_free_ char *peer = c ? TAKE_PTR(c->peer) : NULL;

        if (c)
                forget(m, c);
        m->handshake_error = 0;
        m->handler(refused ? SOCKET_NOT_ZMTP : SOCKET_DISCONNECTED, error, peer ?: "", m->userdata);
}

static void on_accept_failed(SocketMonitor *m, int error) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (m->accept_failed_at > 0 && now - m->accept_failed_at < ACCEPT_FAILED_USEC)
                return;
        m->accept_failed_at = now;
        m->handler(SOCKET_ACCEPT_FAILED, error, "", m->userdata);
}

/* Calls the handler at most once, and last: it may free the monitor. */
static void dispatch(SocketMonitor *m, uint16_t event, int32_t value) {
        switch (event) {
        case ZMQ_EVENT_ACCEPTED:
        case ZMQ_EVENT_CONNECTED:
                on_begin(m, value);
                break;
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
                on_success(m);
                break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                /* The time limit of a handshake shows as EAGAIN. */
                m->handshake_error = value == EAGAIN ? ETIMEDOUT : value > 0 ? value : EPROTO;
                break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
                m->handshake_error = EPROTO;
                break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
                m->handshake_error = EACCES;
                break;
        case ZMQ_EVENT_DISCONNECTED:
                on_end(m, value);
                break;
        case ZMQ_EVENT_ACCEPT_FAILED:
                on_accept_failed(m, value);
                break;
        }
}

static int on_message(void *socket, void *userdata) {
        unsigned char head[sizeof(uint16_t) + sizeof(int32_t)];
        char address[ADDRESS_MAX];
        uint16_t event;
        int32_t value;
        int n;

        n = zmq_recv(socket, head, sizeof(head), ZMQ_DONTWAIT);
        if (n < 0)
                return zmq_errno() == EAGAIN || zmq_errno() == EINTR ? 0 : -zmq_errno();
        /* The address is of no use, but it is there. */
        (void) zmq_recv(socket, address, sizeof(address), ZMQ_DONTWAIT);
        if (n != (int) sizeof(head))
                return 1;
        memcpy(&event, head, sizeof(event));
        memcpy(&value, head + sizeof(event), sizeof(value));
        dispatch(userdata, event, value);
        return 1;
}

int socket_monitor_new(sd_event *event, void *context, void *socket, SocketMonitorHandler handler,
                       void *userdata, SocketMonitor **ret) {
        static unsigned counter; /* names of inproc endpoints are one space in a context */
        _cleanup_(socket_monitor_freep) SocketMonitor *m = NULL;
        char address[64];
        int r;

        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->handler = handler;
        m->userdata = userdata;

        (void) snprintf(address, sizeof(address), "inproc://fastworker-monitor-%u", ++counter);
        if (zmq_socket_monitor(socket, address, EVENTS) < 0)
                return -zmq_errno();
        m->socket = socket;
        m->events = zmq_socket(context, ZMQ_PAIR);
        if (!m->events)
                return -zmq_errno();
        r = zsocket_set_int(m->events, ZMQ_LINGER, 0);
        if (r < 0)
                return r;
        r = zsocket_set_int(m->events, ZMQ_RCVHWM, HIGH_WATER);
        if (r < 0)
                return r;
        r = zsocket_connect(m->events, address);
        if (r < 0)
                return r;
        r = zmq_source_new(event, m->events, BUDGET, on_message, m, &m->source);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

SocketMonitor *socket_monitor_free(SocketMonitor *m) {
        if (!m)
                return NULL;
        zmq_source_free(m->source);
        if (m->socket)
                (void) zmq_socket_monitor(m->socket, NULL, 0);
        zsocket_close(m->events);
        for (size_t i = 0; i < m->n_connections; i++)
                free(m->connections[i].peer);
        free(m->connections);
        free(m);
        return NULL;
}
