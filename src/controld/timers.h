/* SPDX-License-Identifier: MIT */
#pragma once

/* Tasks that wait for a time: for that at which they enter the queue, or for that at which they expire. A heap with
 * the earliest first, and one timer for it, armed only while there is something to wait for. The times are those of
 * the wall clock; when it is set the kernel looks again, so that nobody has to. */

#include <systemd/sd-event.h>

#include "task-extra.h"

typedef struct Timers {
        Task **heap;
        size_t n, allocated;
        uint64_t armed_usec; /* USEC_INFINITY: not armed */
        sd_event_source *source;
} Timers;

/* The handler is to call timers_due(), until that returns NULL or it has done enough for one turn. */
int timers_init(Timers *t, sd_event *event, sd_event_time_handler_t handler, void *userdata);
void timers_done(Timers *t);

/* So that timers_add() cannot fail for n tasks. -ENOMEM */
int timers_reserve(Timers *t, size_t n);

/* The task waits for the earlier one of its due time (if it is scheduled or retrying) and its expiry; for none of
 * both it is not added. */
void timers_add(Timers *t, Task *task);
/* One that is not there may be named, too. */
void timers_remove(Timers *t, Task *task);

/* Takes out the first one whose time has come; NULL if there is none. */
Task *timers_due(Timers *t, uint64_t now_usec);

/* To be called at the end of each turn. */
int timers_arm(Timers *t);
