/* SPDX-License-Identifier: MIT */
#pragma once

/* Requests that wait for a short while after the start of controld: a task whose type no subworker has
 * offered yet may just be early, as subworkers need a moment to connect again. */

#include "endpoint.h"

typedef struct HeldRequest HeldRequest;

typedef struct Held {
        TAILQ_HEAD(, HeldRequest) requests;
        size_t n, bytes;
} Held;

void held_init(Held *h);
void held_done(Held *h);

/* Copies the request. -ENOBUFS when too many wait already, -ENOMEM. */
int held_add(Held *h, const Request *r);

/* Handles all of them again; those that still cannot be served may be held once more. */
int held_replay(Held *h);
