/* SPDX-License-Identifier: MIT */
#pragma once

/* A ZeroMQ socket as an event source of sd-event. Nothing else may look at ZMQ_FD or ZMQ_EVENTS. */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "macro.h"

typedef struct ZmqSource ZmqSource;

/* Called while the socket has something to read: takes one message. Returns 1 if it took one, 0 if there
 * was none (EAGAIN), < 0 only if the daemon itself is broken, which ends the loop with that error. It may
 * pause or free the source. */
typedef int (*ZmqSourceHandler)(void *socket, void *userdata);

/* Watches `socket`, which must outlive the source. At most `budget` (> 0) messages are taken in one turn, so
 * that other sources get theirs. A socket that can no longer be asked ends the loop with its error. The socket may be sent to from anywhere in the loop. */
int zmq_source_new(sd_event *event, void *socket, unsigned budget, ZmqSourceHandler handler,
                   void *userdata, ZmqSource **ret);

/* Stops and restarts taking messages; what arrives meanwhile waits in the socket. */
int zmq_source_pause(ZmqSource *s);
int zmq_source_resume(ZmqSource *s);

ZmqSource *zmq_source_free(ZmqSource *s);
DEFINE_CLEANUP_FUNC(ZmqSource *, zmq_source_free);
