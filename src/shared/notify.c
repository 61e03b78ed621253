/* SPDX-License-Identifier: MIT */

/* What we tell the service manager. A message that cannot be delivered is no reason to stop working, so
 * nothing here fails after the start. */

#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "notify.h"
#include "time-util.h"

#define STATUS_INTERVAL_USEC USEC_PER_SEC

struct Notify {
        sd_event *event;
        sd_event_source *watchdog, *status_timer;
        char *status, *sent_status; /* the last one given, and the last one sent */
        uint64_t status_sent_at;
        uint64_t ping_interval;
        NotifyHealthy healthy;
        void *userdata;
};

/* Three pings fit into WATCHDOG_USEC, so that one that comes late or is kept back once does no harm.
 *
 * `usec` is when the timer was due. If it comes much later, the loop hung in between: that it came round now
 * says little, so we look again soon. */
static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata) {
        Notify *n = userdata;
        uint64_t now = now_usec(CLOCK_MONOTONIC), wait = n->ping_interval;
        bool late = now - usec > n->ping_interval / 2;
        int r;

        if (late)
                wait /= 4;
        else if (!n->healthy || n->healthy(n->userdata))
                (void) sd_notify(0, "WATCHDOG=1");
        r = sd_event_source_set_time(source, now + wait);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void send_status(Notify *n, const char *prefix) {
        char *copy;

        if (!n->status)
                (void) sd_notify(0, isempty(prefix) ? "" : prefix);
        else
                (void) sd_notifyf(0, "%s%sSTATUS=%s", prefix, isempty(prefix) ? "" : "\n",
                                  n->status);
        n->status_sent_at = now_usec(CLOCK_MONOTONIC);

        copy = n->status ? strdup(n->status) : NULL;
        free(n->sent_status);
        n->sent_status = copy;
}

static int on_status_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Notify *n = userdata;

        if (n->status && (!n->sent_status || !streq(n->status, n->sent_status)))
                send_status(n, "");
        return 0;
}

/* A line break would begin another assignment. */
static void keep_status(Notify *n, char *text) {
        for (char *p = text; p && *p; p++)
                if ((unsigned char) *p < 0x20)
                        *p = ' ';
        free(n->status);
        n->status = text;
}

static int start_watchdog(Notify *n) {
        uint64_t usec = 0;
        int r;

        r = sd_watchdog_enabled(0, &usec);
        if (r <= 0)
                return r;
        n->ping_interval = MAX(usec / 3, UINT64_C(1));
        return sd_event_add_time_relative(n->event, &n->watchdog, CLOCK_MONOTONIC, n->ping_interval,
                                          MAX(n->ping_interval / 10, UINT64_C(1)), on_watchdog, n);
}

int notify_new(sd_event *event, NotifyHealthy healthy, void *userdata, Notify **ret) {
        _cleanup_(notify_freep) Notify *n = NULL;
        int r;

        n = calloc(1, sizeof(*n));
        if (!n)
                return -ENOMEM;
        n->event = sd_event_ref(event);
        n->healthy = healthy;
        n->userdata = userdata;

        r = sd_event_add_time(event, &n->status_timer, CLOCK_MONOTONIC, 0, 0, on_status_timer, n);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(n->status_timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = start_watchdog(n);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(n);
        return 0;
}

void notify_ready(Notify *n, const char *status) {
        if (status)
                keep_status(n, strdup(status));
        send_status(n, "READY=1");
}

void notify_reloading(Notify *n) {
        /* The time stamp is for managers that wait for the READY=1 that belongs to their request. */
        (void) sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
                          (unsigned long long) now_usec(CLOCK_MONOTONIC));
}

void notify_stopping(Notify *n, const char *status) {
        if (status)
                keep_status(n, strdup(status));
        send_status(n, "STOPPING=1");
}

void notify_extend_timeout(Notify *n, uint64_t usec) {
        (void) sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%llu", (unsigned long long) usec);
}

void notify_status(Notify *n, const char *format, ...) {
        char *text = NULL;
        uint64_t due;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0)
                return;
        if (n->status && streq(text, n->status)) {
                free(text);
                return;
        }
        keep_status(n, text);

        due = n->status_sent_at + STATUS_INTERVAL_USEC;
        if (n->status_sent_at == 0 || now_usec(CLOCK_MONOTONIC) >= due) {
                on_status_timer(n->status_timer, 0, n);
                return;
        }
        if (sd_event_source_set_time(n->status_timer, due) >= 0)
                (void) sd_event_source_set_enabled(n->status_timer, SD_EVENT_ONESHOT);
}

Notify *notify_free(Notify *n) {
        if (!n)
                return NULL;
        sd_event_source_disable_unref(n->watchdog);
        sd_event_source_disable_unref(n->status_timer);
        sd_event_unref(n->event);
        free(n->status);
        free(n->sent_status);
        free(n);
        return NULL;
}
