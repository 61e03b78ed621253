/* SPDX-License-Identifier: MIT */

#include "worker-care.h"
#include "lease.h"
#include "log.h"
#include "message-ids.h"
#include "time-util.h"

#define FORGET_INACTIVE_USEC (10 * USEC_PER_MINUTE)

void worker_lost_connection(Worker *w) {
        if (w->lost_usec == 0)
                w->lost_usec = now_usec(CLOCK_MONOTONIC);
}

static void log_loss(const Worker *w, WorkerLoss why, uint32_t n_tasks) {
        static const char *const texts[] = {
                [WORKER_SILENT] = "was silent for too long and is inactive",
                [WORKER_DISCONNECTED] = "is gone: its connection was lost",
                [WORKER_LEFT] = "left",
        };
        bool clean = why == WORKER_LEFT;

        log_event(clean && n_tasks == 0 ? LOG_INFO : LOG_NOTICE, 0,
                  LOG_FIELDS(.message_id = why == WORKER_SILENT ? MESSAGE_WORKER_INACTIVE
                                                                : MESSAGE_WORKER_GONE,
                             .worker_id = w->id),
                  "%s %s %s, %" PRIu32 " task%s queued again.",
                  w->local ? "Local worker" : "Subworker", w->id, texts[why], n_tasks,
                  n_tasks == 1 ? "" : "s");
}

void worker_deactivate(Controld *c, Worker *w, WorkerLoss why) {
        if (w->state != WORKER_INACTIVE)
                log_loss(w, why, w->n_leased);
        lease_return_all(c, w);
        w->state = WORKER_INACTIVE;
        scale_gone(c->scale, w);
        w->lost_usec = 0;
        /* Whatever it still sends is answered with not-registered, so that it registers and learns which
         * of its tasks are not its own any more. */
        worker_detach(w);
        if (why == WORKER_LEFT || w->local)
                worker_free(&c->workers, w);
}

void worker_care(Controld *c, bool is_late) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        Worker *w, *next;

        HASH_ITER(hh, c->workers.workers, w, next) {
                uint64_t silent = now - w->last_seen_usec;

                w->is_stalled = false;
                if (w->state == WORKER_INACTIVE) {
                        if (silent > FORGET_INACTIVE_USEC)
                                worker_free(&c->workers, w);
                } else if (silent > w->lease_usec && !is_late)
                        worker_deactivate(c, w, WORKER_SILENT);
                else if (w->lost_usec > 0 && now - w->lost_usec > c->settings->reconnect_usec)
                        worker_deactivate(c, w, WORKER_DISCONNECTED);
        }
}
