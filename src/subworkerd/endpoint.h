/* SPDX-License-Identifier: MIT */
#pragma once

/* A subworker's own endpoint (BaseAddress=, or a socket from the service manager): PING, REPORT, DRAIN. */

#include <systemd/sd-event.h>

#include "macro.h"

typedef struct Endpoint Endpoint;

typedef struct EndpointHandlers {
        /* The document that answers REPORT, a fresh string. */
        int (*report)(char **ret, void *userdata);
        void (*drain)(void *userdata);
} EndpointHandlers;

/* `fd` >= 0 is a listening socket to use; `worker_id` is borrowed. */
int endpoint_new(sd_event *event, void *context, const char *address, int fd, const char *worker_id,
                 const EndpointHandlers *handlers, void *userdata, Endpoint **ret);
Endpoint *endpoint_free(Endpoint *e);
DEFINE_CLEANUP_FUNC(Endpoint *, endpoint_free);

/* Where it listens. */
const char *endpoint_address(const Endpoint *e);
