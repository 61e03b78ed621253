/* SPDX-License-Identifier: MIT */

/* Leaving in order: take nothing more, hand back what has not begun, let what runs end within DrainSec=, have
 * controld acknowledge it all, say goodbye. */

#include <inttypes.h>

#include "log.h"
#include "message-ids.h"
#include "subworkerd.h"
#include "time-util.h"

#define STEP_USEC      USEC_PER_SEC
#define EXTEND_USEC    (10 * USEC_PER_SEC)
#define INTERRUPT_USEC (5 * USEC_PER_SEC) /* for killed runners to be gone */
#define SETTLE_USEC    (2 * USEC_PER_SEC)
#define LEAVE_USEC     USEC_PER_SEC
#define LINGER_MSEC    500U

static const char drain_correlation[] = "drain", goodbye_correlation[] = "goodbye";

static void send_plain(Subworkerd *s, WireVerb verb, const char *correlation) {
        struct iovec c = { (char *) correlation, strlen(correlation) };
        WireOut out = {};
        int r;

        wire_begin(&out, verb, &c);
        r = link_send(s->link, &out);
        if (r < 0 && r != -ENOTCONN)
                log_debug_errno(r, "Cannot send %s: %m", wire_verb_to_string(verb));
        wire_out_done(&out);
}

static void set_deadline(Subworkerd *s, uint64_t usec) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        s->drain_deadline_usec = usec > USEC_INFINITY - now ? USEC_INFINITY : now + usec;
}

static void interrupt(Subworkerd *s) {
        unsigned n = pool_n_running(s->pool);

        if (n == 0)
                return;
        log_event(LOG_NOTICE, 0, LOG_FIELDS(.worker_id = s->settings->worker_id),
                  "Interrupting %u task%s, to be run again elsewhere.", n, n == 1 ? "" : "s");
        pool_interrupt(s->pool, "interrupted by shutdown");
        set_deadline(s, INTERRUPT_USEC);
}

static void finish(Subworkerd *s) {
        link_linger(s->link, LINGER_MSEC);
        (void) sd_event_exit(s->event, 0);
}

static void leave(Subworkerd *s) {
        size_t n = outbox_n_unacknowledged(s->outbox);

        if (n > 0)
                log_event(
                        LOG_WARNING, 0, LOG_FIELDS(.worker_id = s->settings->worker_id),
                        "%zu report%s not acknowledged by the control plane; it will have %s tasks run again.",
                        n, n == 1 ? " was" : "s were", n == 1 ? "its" : "their");
        s->drain = DRAIN_LEAVING;
        set_deadline(s, LEAVE_USEC);
        if (link_state(s->link) != LINK_UP) {
                finish(s);
                return;
        }
        send_plain(s, WIRE_GOODBYE, goodbye_correlation);
        if (s->hurry)
                finish(s);
}

static void show(Subworkerd *s) {
        unsigned n = pool_n_running(s->pool);

        notify_extend_timeout(s->notify, EXTEND_USEC);
        if (s->drain == DRAIN_RUNNING)
                notify_status(s->notify, "Draining: %u task%s still running", n, n == 1 ? "" : "s");
        else
                notify_status(s->notify, "Stopping: reporting to the control plane");
}

void drain_advance(Subworkerd *s) {
        bool late = now_usec(CLOCK_MONOTONIC) >= s->drain_deadline_usec;

        if (s->drain == DRAIN_RUNNING && pool_n_running(s->pool) == 0) {
                s->drain = DRAIN_SETTLING;
                set_deadline(s, SETTLE_USEC);
                pool_stop(s->pool);
                tasks_flush(s);
                late = false;
        }
        /* Who is just being registered waits for that, in order to be taken off the list again. */
        if (s->drain == DRAIN_SETTLING &&
            (late || s->hurry ||
             (outbox_n_unacknowledged(s->outbox) == 0 && link_state(s->link) != LINK_REGISTERING)))
                leave(s);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Subworkerd *s = userdata;
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (s->drain == DRAIN_RUNNING && now >= s->drain_deadline_usec) {
                if (s->interrupted) { /* killed, and yet not gone */
                        finish(s);
                        return 0;
                }
                s->interrupted = true;
                interrupt(s);
        }
        if (s->drain == DRAIN_LEAVING && now >= s->drain_deadline_usec)
                finish(s);
        show(s);
        (void) sd_event_source_set_time(source,
                                        MIN(now + STEP_USEC, MAX(s->drain_deadline_usec, now)));
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void drain_acknowledged(Subworkerd *s, const struct iovec *correlation) {
        size_t n = strlen(goodbye_correlation);

        if (s->drain == DRAIN_LEAVING && correlation->iov_len == n &&
            memcmp(correlation->iov_base, goodbye_correlation, n) == 0)
                finish(s);
}

void drain_hurry(Subworkerd *s) {
        if (s->drain == DRAIN_NONE)
                drain_begin(s);
        if (s->hurry)
                return;
        s->hurry = true;
        if (s->drain == DRAIN_RUNNING && !s->interrupted) {
                s->interrupted = true;
                interrupt(s);
        } else if (s->drain == DRAIN_LEAVING)
                finish(s);
}

static void begin(Subworkerd *s, const char *reason) {
        int r;

        s->drain = DRAIN_RUNNING;
        set_deadline(s, s->settings->drain_usec);
        notify_stopping(s->notify, "Draining");
        show(s);
        send_plain(s, WIRE_DRAIN, drain_correlation);
        pool_drain(s->pool, reason);

        r = sd_event_add_time(s->event, &s->drain_timer, CLOCK_MONOTONIC,
                              MIN(now_usec(CLOCK_MONOTONIC) + STEP_USEC, s->drain_deadline_usec), 1,
                              on_timer, s);
        if (r < 0) {
                log_error_errno(r, "Cannot wait for the end of tasks, stopping at once: %m");
                (void) sd_event_exit(s->event, r);
        }
}

void drain_begin(Subworkerd *s) {
        unsigned n = pool_n_running(s->pool);

        if (s->drain != DRAIN_NONE)
                return;
        log_event(s->settings->local ? LOG_DEBUG : LOG_INFO, 0,
                  LOG_FIELDS(.message_id = MESSAGE_SUBWORKERD_DRAINING,
                             .worker_id = s->settings->worker_id),
                  "Subworker %s is stopping; %u task%s running.", s->settings->worker_id, n,
                  n == 1 ? " is" : "s are");
        begin(s, "the worker is stopping");
}

void drain_idle(Subworkerd *s) {
        if (s->drain != DRAIN_NONE)
                return;
        log_event(LOG_INFO, 0,
                  LOG_FIELDS(.message_id = MESSAGE_SUBWORKERD_IDLE,
                             .worker_id = s->settings->worker_id),
                  "Subworker %s leaves, as it has had nothing to do for %" PRIu64
                  " s; the coordinator starts it again when it is needed.",
                  s->settings->worker_id, s->settings->idle_timeout_usec / USEC_PER_SEC);
        begin(s, "the worker leaves, as it had nothing to do");
}
