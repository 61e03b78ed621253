/* SPDX-License-Identifier: MIT */

#include <inttypes.h>

#include "due.h"
#include "lease.h"
#include "log.h"
#include "message-ids.h"
#include "pause.h"
#include "persist.h"
#include "recover.h"
#include "schedule-run.h"
#include "submit-options.h"
#include "task-lane.h"
#include "time-util.h"

#define EXTEND_USEC (30 * USEC_PER_SEC)

typedef struct Recovery {
        Controld *controld;
        uint64_t n_queued, n_leased, n_ended, n_cancelled;
} Recovery;

/* The worker that held it has not come yet; until it does, or its time is over, it stands in for itself. */
static int await_worker(Controld *c, const char *id, Worker **ret) {
        Worker *w = worker_find(&c->workers, id);
        int r;

        if (!w) {
                r = worker_new(&c->workers, id, &w);
                if (r < 0)
                        return r;
                w->state = WORKER_AWAITED;
                w->slots = 1;
                w->lease_usec = c->settings->inactive_usec;
                /* From now on it has time to come back; last_seen_realtime_usec stays "never". */
                w->last_seen_usec = now_usec(CLOCK_MONOTONIC);
        }
        *ret = w;
        return 0;
}

static int recover_live(Recovery *y, Task *t, const StoreTask *s) {
        Controld *c = y->controld;
        Worker *w;
        int r;

        r = submit_options_claim_unique(&c->tasks, t);
        if (r < 0 && r != -EEXIST)
                return r;

        t->queued_monotonic_usec = now_usec(CLOCK_MONOTONIC);
        r = s->worker ? await_worker(c, s->worker, &w) : -ENOSPC;
        if (r == -ENOSPC) { /* nobody has it, or there are more workers than we can keep */
                t->started_usec = 0;
                r = dependency_recover(c, t, s->state);
                if (r < 0)
                        return r;
                due_recovered(c, t, s->state);
                y->n_queued++;
                y->n_cancelled += t->cancel_asked;
                return 0;
        }
        if (r < 0)
                return r;
        r = dependency_recover(c, t, s->state);
        if (r < 0)
                return r;
        task_set_state(&c->tasks, t, TASK_QUEUED);
        lease_adopt(c, w, t);
        if (s->state == TASK_RUNNING)
                task_set_state(&c->tasks, t, TASK_RUNNING);
        y->n_leased++;
        return 0;
}

static int recover_ended(Recovery *y, Task *t, const StoreTask *s) {
        Controld *c = y->controld;
        uint64_t now = now_usec(CLOCK_REALTIME), age, up = now_usec(CLOCK_MONOTONIC);
        int r;

        r = task_set_end(&c->tasks, t, s->result.iov_base, s->result.iov_len, s->error.iov_base,
                         s->error.iov_len, s->worker);
        if (r < 0)
                return r;
        task_restore_state(&c->tasks, t, s->state);
        /* The clock may have been set since: an age that makes no sense counts as none. */
        age = now > s->completed_usec ? now - s->completed_usec : 0;
        t->completed_usec = s->completed_usec;
        t->ended_monotonic_usec = up - age; /* may wrap around, and does no harm */
        results_add(&c->results, t);
        y->n_ended++;
        return 0;
}

static int recover_extra(Controld *c, Task *t, const StoreTask *s) {
        int r;

        if (s->due_usec == 0 && s->expires_usec == 0 && s->retries == 0 && s->history.iov_len == 0)
                return 0;
        if (s->due_usec > 0 || s->expires_usec > 0 || s->retries > 0) {
                r = due_prepare(c, t);
                if (r < 0)
                        return r;
                t->extra->due_usec = s->due_usec;
                t->extra->expires_usec = s->expires_usec;
                t->extra->retries = s->retries;
        }
        return task_history_set(&c->tasks, t, &s->history);
}

static int on_task(const StoreTask *s, void *userdata) {
        Recovery *y = userdata;
        Controld *c = y->controld;
        TaskSpec spec = {
                .priority = s->priority,
                .id = s->id,
                .arguments = s->arguments.iov_base,
                .arguments_size = s->arguments.iov_len,
                .options = s->options.iov_base,
                .options_size = s->options.iov_len,
        };
        Task *t;
        int r;

        r = task_type_get(&c->types, s->name, &spec.type);
        if (r < 0)
                return r;
        r = task_new(&c->tasks, &spec, &t);
        if (r < 0)
                return r;
        if (s->key.iov_len > 0) {
                r = task_add_key(&c->tasks, t, s->key.iov_base, s->key.iov_len);
                if (r < 0)
                        return r;
        }
        t->sequence = s->sequence;
        t->attempt = s->attempt;
        t->may_be_held = s->n_unsure > 0;
        t->cancel_asked = s->cancel_asked;
        t->crashes = (uint8_t) MIN(s->crashes, UINT8_MAX);
        t->created_usec = s->created_usec;
        t->started_usec = s->started_usec;
        r = recover_extra(c, t, s);
        if (r < 0)
                return r;
        r = task_lane_enter(&c->queue, t);
        if (r < 0)
                return r;
        queue_note_sequence(&c->queue, s->sequence);
        return task_state_is_terminal(s->state) ? recover_ended(y, t, s) : recover_live(y, t, s);
}

static int on_type(const char *name, void *userdata) {
        Recovery *y = userdata;
        TaskType *type;

        return task_type_get(&y->controld->types, name, &type);
}

static int on_schedule(const StoreSchedule *s, void *userdata) {
        Recovery *y = userdata;

        return schedule_recover(y->controld, s);
}

static int on_paused(const char *what, void *userdata) {
        Recovery *y = userdata;

        return pause_recover(y->controld, what);
}

static void on_progress(uint64_t n, void *userdata) {
        Recovery *y = userdata;

        notify_extend_timeout(y->controld->notify, EXTEND_USEC);
        notify_status(y->controld->notify, "Recovering: %" PRIu64 " tasks", n);
}

static int by_sequence(const Task *a, const Task *b) {
        return a->sequence < b->sequence ? -1 : 1;
}

/* Those that were to be stopped, and that nobody has. */
static int end_cancelled(Controld *c) {
        Task *t, *next;
        int r;

        HASH_ITER(hh, c->tasks.tasks, t, next) {
                if (!t->cancel_asked || (t->state != TASK_QUEUED && !task_waits_for_time(t)))
                        continue;
                r = lease_end_cancelled(c, t);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The store is told before anything else, that it may know after a crash how far the attempts can have come. */
static int begin(Controld *c, const Recovery *y) {
        int r;

        r = store_begin(c->store);
        if (r >= 0 && y->n_cancelled > 0)
                r = end_cancelled(c);
        if (r >= 0)
                r = dependency_recover_all(c);
        if (r < 0)
                return log_oom();
        persist_commit(c);
        c->lease_ticket = store_commit(c->store);
        return 0;
}

int recover(Controld *c) {
        _cleanup_free_ char *error = NULL;
        Recovery y = { .controld = c };
        const StoreLoad load = { .task = on_task,
                                 .type = on_type,
                                 .schedule = on_schedule,
                                 .paused = on_paused,
                                 .progress = on_progress,
                                 .userdata = &y };
        int r;

        r = store_load(c->store, &load, &error);
        if (r < 0)
                return log_event(LOG_ERR, r, LOG_FIELDS(.message_id = MESSAGE_STORE_FAILED),
                                 "Could not read the tasks back from the store: %s",
                                 error ?: strerror(-r));
        if (y.n_ended > 0)
                HASH_SRT(hh, c->tasks.tasks, by_sequence); /* the order that LIST shows */
        results_trim(&c->results, &c->tasks, &c->dirty, c->settings->max_total_bytes / 2);
        if (y.n_queued + y.n_leased + y.n_ended > 0)
                log_info("Recovered %" PRIu64 " queued tasks, %" PRIu64 " handed out, %" PRIu64
                         " results.",
                         y.n_queued, y.n_leased, y.n_ended);
        return begin(c, &y);
}
