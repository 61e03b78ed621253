/* SPDX-License-Identifier: MIT */
#pragma once

/* The connection to controld: finds its worker endpoint, connects, registers, keeps alive, and starts over
 * when it breaks. */

#include <systemd/sd-event.h>

#include "wire.h"

typedef struct Link Link;

typedef enum LinkState {
        LINK_SEARCHING, /* asks where the worker endpoint is */
        LINK_CONNECTING,
        LINK_REGISTERING, /* connected, waits for the answer */
        LINK_UP,
        _LINK_STATE_MAX,
        _LINK_STATE_INVALID = -EINVAL,
} LinkState;

DECLARE_STRING_TABLE(link_state, LinkState);

typedef struct LinkHandlers {
        /* Adds the fields and groups of REGISTER. */
        void (*describe)(WireOut *out, void *userdata);
        /* Registered; the groups of the message are leases that are void. */
        void (*up)(const WireMessage *m, void *userdata);
        void (*down)(void *userdata);
        /* Not heard for so long that controld may give our tasks to others by now. */
        void (*expired)(void *userdata);
        void (*tasks)(const WireMessage *m, void *userdata);
        void (*revoke)(const WireMessage *m, void *userdata);
        /* ACK, or ERROR with its code and text, to a message sent with link_send(). */
        void (*acknowledged)(const struct iovec *correlation, void *userdata);
        void (*refused)(const struct iovec *correlation, WireError code, const char *text,
                        void *userdata);
        /* How many tasks run, for HEARTBEAT. */
        unsigned (*n_running)(void *userdata);
} LinkHandlers;

typedef struct LinkConfig {
        const char *worker_id;                                 /* borrowed, as the addresses */
        const char *control_plane_address, *discovery_address; /* either may be NULL */
        bool direct; /* the former is the worker endpoint itself */
} LinkConfig;

int link_new(sd_event *event, void *context, const LinkConfig *config, const LinkHandlers *handlers,
             void *userdata, Link **ret);
Link *link_free(Link *l);
DEFINE_CLEANUP_FUNC(Link *, link_free);

int link_start(Link *l);

LinkState link_state(const Link *l);
/* The worker endpoint, or the address where it is asked for. */
const char *link_address(const Link *l);
/* What controld takes, 0: not known. */
uint64_t link_max_result_bytes(const Link *l);
/* Registered at a coordinator that starts this worker again when it is needed. */
bool link_is_on_demand(const Link *l);
/* Whether the link looks after itself in time. */
bool link_is_healthy(const Link *l);

/* Sends a message of a registered worker. -ENOTCONN when not registered, -EAGAIN when the queue is full. */
int link_send(Link *l, const WireOut *out);

/* Registers again, when what is offered has changed. */
void link_register_again(Link *l);

/* Lets what was sent still go out when the link is freed, for so long at most. */
void link_linger(Link *l, unsigned msec);
