/* SPDX-License-Identifier: MIT */
#pragma once

/* The sd_notify protocol of one daemon: READY, STATUS, RELOADING, STOPPING, EXTEND_TIMEOUT_USEC, and the
 * watchdog. Without NOTIFY_SOCKET all of it does nothing. */

#include <systemd/sd-event.h>

#include "macro.h"

typedef struct Notify Notify;

/* Whether the daemon does its work, asked before each watchdog ping: false keeps the ping back, so that the
 * service manager restarts us. */
typedef bool (*NotifyHealthy)(void *userdata);

/* Takes WATCHDOG_USEC from the environment; the ping is a timer of the same loop that serves requests, at
 * the same priority, so that a loop that hangs or no longer comes round does not ping, and a timer that
 * fires late by more than half the interval is not taken as a sign of health. */
int notify_new(sd_event *event, NotifyHealthy healthy, void *userdata, Notify **ret);

void notify_ready(Notify *n, const char *status);
void notify_reloading(Notify *n);
void notify_stopping(Notify *n, const char *status);
/* Asks for `usec` more from now. */
void notify_extend_timeout(Notify *n, uint64_t usec);
/* STATUS=; sent only when the text changed, and at most once a second (the last one is sent then). */
void notify_status(Notify *n, const char *format, ...) _printf_(2, 3);

Notify *notify_free(Notify *n);
DEFINE_CLEANUP_FUNC(Notify *, notify_free);
