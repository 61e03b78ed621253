/* SPDX-License-Identifier: MIT */
#pragma once

/* One ROUTER socket: for one role and one kind of transport, as these are zones of trust. It takes messages,
 * has them decoded, hands requests to the handler of their verb and refuses the rest. */

#include "peer.h"
#include "zmq-util.h"

typedef struct Controld Controld;

typedef enum EndpointRole {
        ENDPOINT_CLIENT,
        ENDPOINT_WORKER,
        ENDPOINT_DISCOVERY,
        _ENDPOINT_ROLE_MAX,
        _ENDPOINT_ROLE_INVALID = -EINVAL,
} EndpointRole;

DECLARE_STRING_TABLE(endpoint_role, EndpointRole);

typedef struct Request {
        Endpoint *endpoint;
        struct iovec routing; /* who sent it */
        WireMessage message;
        const struct iovec *frames; /* the whole message behind the routing id */
        size_t n_frames;
} Request;

int endpoint_new(Controld *c, EndpointRole role, bool is_tcp, Endpoint **ret);
Endpoint *endpoint_free(Endpoint *e);
DEFINE_CLEANUP_FUNC(Endpoint *, endpoint_free);

/* Binds an address, or uses a listening socket that was passed (fd >= 0, kept by the caller). */
int endpoint_bind(Endpoint *e, const char *address, int fd);
/* The same without telling anybody of the address. */
int endpoint_bind_private(Endpoint *e, const char *address);
/* Starts to take messages. */
int endpoint_start(Endpoint *e);
/* From now on closing waits so long for what is still to be sent. */
int endpoint_set_linger(Endpoint *e, int msec);

EndpointRole endpoint_role(const Endpoint *e);
bool endpoint_is_tcp(const Endpoint *e);
char *const *endpoint_addresses(const Endpoint *e);
/* Messages refused since the start. */
uint64_t endpoint_n_refused(const Endpoint *e);

/* Handles a message (without routing id) as if it had just come. < 0 only if the daemon is broken. */
int endpoint_handle(Endpoint *e, const struct iovec *routing, const struct iovec *frames, size_t n);

/* The record of the sender; made if needed. -ENOMEM, or -ENOBUFS when too many peers are remembered. */
int endpoint_peer(Endpoint *e, const struct iovec *routing, Peer **ret);
Peer *endpoint_find_peer(Endpoint *e, const struct iovec *routing);

/* Sends; what cannot be delivered (the peer is gone, or does not read) is dropped with a debug line. Returns
 * the error all the same. */
int endpoint_send(Endpoint *e, const struct iovec *routing, const WireOut *out);
int peer_send(Peer *p, const WireOut *out);

/* Answers a request with ERROR. Always returns 0, so that handlers can return it. */
int request_refuse(const Request *r, WireError code, const char *format, ...) _printf_(3, 4);
/* Answers with what stands in the scratch message. Always returns 0. */
int request_reply(const Request *r);
/* Answers with INFO and this object, which is consumed; NULL is answered as out of memory. Returns 0. */
struct json_object;
int request_reply_info(const Request *r, WireVerb verb, struct json_object *info);
