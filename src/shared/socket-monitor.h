/* SPDX-License-Identifier: MIT */
#pragma once

/* What happens to the connections of a ZeroMQ socket: peers that connect and leave, rubbish in place of a
 * handshake, accepts that fail. */

#include <systemd/sd-event.h>

#include "macro.h"

typedef enum SocketEvent {
        SOCKET_CONNECTED, /* the ZMTP handshake succeeded */
        SOCKET_DISCONNECTED,
        SOCKET_NOT_ZMTP, /* a peer spoke something else, left or was refused before the handshake was done;
                               * error: EPROTO, EACCES (authentication), ETIMEDOUT, EPIPE, ECONNRESET ... */
        SOCKET_ACCEPT_FAILED, /* out of descriptors and the like; error is an errno; at most once a second */
} SocketEvent;

typedef struct SocketMonitor SocketMonitor;

/* `peer` is the address of the other side ("127.0.0.1:4711"), or "" if it is not known (unix
 * sockets, peers that are gone already, several that come at once). The handler may free the monitor. */
typedef void (*SocketMonitorHandler)(SocketEvent event, int error, const char *peer,
                                     void *userdata);

/* The socket must outlive the monitor. */
int socket_monitor_new(sd_event *event, void *context, void *socket, SocketMonitorHandler handler,
                       void *userdata, SocketMonitor **ret);
SocketMonitor *socket_monitor_free(SocketMonitor *m);
DEFINE_CLEANUP_FUNC(SocketMonitor *, socket_monitor_free);
