/* SPDX-License-Identifier: MIT */
#pragma once

/* ZeroMQ sockets with our limits, multipart messages in and out, and -errno instead of -1/errno. */

#include <sys/uio.h>
#include <zmq.h>

#include "macro.h"
#include "wire.h"

/* A received message. Reused from message to message; its bytes live until the next receive. */
typedef struct Frames {
        zmq_msg_t *parts;
        struct iovec *iov; /* as many as parts */
        size_t n, allocated;
} Frames;

/* Receives one whole message without blocking. Returns 0, -EAGAIN when there is none, -EMSGSIZE when it had
 * more than 1 + WIRE_FRAMES_MAX frames (the first ones are kept, the rest was read and dropped), -ENOMEM
 * (the message was dropped), or -ETERM and the like. */
int frames_recv(Frames *f, void *socket);
void frames_done(Frames *f);

/* Sends a message without blocking, all frames or none. `routing` is the peer of a ROUTER, else NULL. The
 * bytes are copied. Returns 0, -EAGAIN (the peer's queue is full), -EHOSTUNREACH (a ROUTER's peer is gone),
 * out->error if the message could not be built, or another -errno. */
int wire_send(void *socket, const struct iovec *routing, const WireOut *out);

typedef struct SocketLimits {
        size_t max_frame_bytes;
        int high_water_messages; /* each way, for each peer */
        int receive_messages;    /* another limit for those received; 0: the same */
} SocketLimits;

/* A new socket: LINGER 0, MAXMSGSIZE, HWM, short time limits to connect and for the handshake, TCP keepalive and
 * reconnect intervals; a ROUTER also reports peers that are gone instead of dropping what is sent to them. */
int zsocket_new(void *context, int type, const SocketLimits *limits, void **ret);
int zsocket_set_int(void *socket, int option, int value);

/* Addresses are those of address_parse() (others go to libzmq as they are); "localhost" means 127.0.0.1,
 * other names mean IPv4 addresses and are for connecting only, and to bind the wildcard host is to bind for
 * IPv4 and IPv6.
 *
 * Binds; `fd` >= 0 is a listening socket to use instead of an own one (it is duplicated, the caller keeps
 * it), for which `address` only gives the kind (tcp:// or ipc://). -EADDRINUSE also when somebody listens at
 * a unix socket's path, -EEXIST when there is something else than a socket. */
int zsocket_bind(void *socket, const char *address, int fd);
int zsocket_connect(void *socket, const char *address);

/* Closes without waiting and returns NULL. */
void *zsocket_close(void *socket);

/* The address that the last bind really used ("tcp://127.0.0.1:5555" for port *); a fresh string. */
int zsocket_last_endpoint(void *socket, char **ret);
