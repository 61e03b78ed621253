/* SPDX-License-Identifier: MIT */

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "due.h"
#include "lease.h"
#include "log.h"
#include "persist.h"
#include "task-extra.h"
#include "task-history.h"
#include "time-util.h"

/* The task's story, for "journalctl TASK_ID=", with LogLevel=debug only. Otherwise it costs nothing but that look:
 * each task comes by here several times. */
#define tell(t, ...)                                \
        do {                                        \
                if (log_is_shown(LOG_DEBUG))        \
                        tell_story(t, __VA_ARGS__); \
        } while (false)

static void __attribute__((cold)) _printf_(2, 3)
        tell_story(const Task *t, const char *format, ...) {
        char id[TASK_ID_TEXT_LENGTH + 1], what[256];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(what, sizeof(what), format, ap);
        va_end(ap);
        task_id_to_text(&t->id, id);
        log_event(LOG_DEBUG, 0,
                  LOG_FIELDS(.task_id = id, .task_name = t->type->name,
                             .worker_id = t->worker ? t->worker->id : NULL),
                  "Task %s (%s): %s", t->type->name, id, what);
}

void lease_adopt(Controld *c, Worker *w, Task *t) {
        assert(!t->worker);
        timers_remove(&c->timers, t); /* once given it does not expire */
        task_set_state(&c->tasks, t, TASK_ASSIGNED);
        t->worker = w;
        t->may_be_held = false;
        TAILQ_INSERT_TAIL(&w->leases, t, link);
        w->n_leased++;
        queue_lease(&c->queue, t);
}

void lease_grant(Controld *c, Worker *w, Task *t) {
        t->attempt++;
        lease_adopt(c, w, t);
        w->last_assigned = ++c->workers.n_assigned;
        if (w->n_unsent++ == 0)
                TAILQ_INSERT_TAIL(&c->workers.unsent, w, unsent);
        tell(t, "given to subworker %s, attempt %" PRIu64, w->id, (uint64_t) t->attempt);
        (void) persist_change(c, t);
}

Task *lease_find(Controld *c, const Worker *w, const TaskId *id, uint64_t attempt) {
        Task *t = task_find(&c->tasks, id);

        return t && t->worker == w && t->attempt == attempt ? t : NULL;
}

/* Assignments are sent in the turn in which they are made, so that a lease never ends unsent except when that
 * sending fails, which resets n_unsent before. */
static void take_from_worker(Controld *c, Task *t) {
        Worker *w = t->worker;

        assert(w->n_unsent == 0);
        TAILQ_REMOVE(&w->leases, t, link);
        w->n_leased--;
        queue_unlease(&c->queue, t);
        t->worker = NULL;
        task_clear_progress(t);
}

int lease_end_quietly(Controld *c, Task *t, const TaskEnd *end) {
        LedgerEntry *e;
        int r;

        r = ledger_add(&c->ledger, LEDGER_QUIET, NULL, 1, &e);
        if (r < 0)
                return r;
        r = task_end(c, t, end);
        if (r < 0) {
                ledger_undo(&c->ledger, e);
                return r;
        }
        ledger_note(e, t, true);
        return 0;
}

static int queue_again(Controld *c, Task *t) {
        t->started_usec = 0;
        task_set_state(&c->tasks, t, TASK_QUEUED);
        ledger_return(&c->ledger, t);
        c->counters.requeued++;
        tell(t, "queued again");
        return persist_change(c, t);
}

int lease_end_cancelled(Controld *c, Task *t) {
        static const char text[] = "cancelled";
        const TaskEnd end = { .state = TASK_CANCELLED,
                              .error = { (char *) text, sizeof(text) - 1 } };

        return lease_end_quietly(c, t, &end);
}

/* An attempt that had begun, as far as is known, and of whose end nobody has told. */
static void note_lost(Controld *c, Task *t) {
        static const char text[] = "its subworker was lost, or came back without it";
        const TaskAttempt a = {
                .worker = t->worker->id,
                .outcome = TASK_ATTEMPT_LOST,
                .started_usec = t->started_usec,
                .completed_usec = MAX(now_usec(CLOCK_REALTIME), t->started_usec),
                .error = { (char *) text, sizeof(text) - 1 },
        };

        if (t->state == TASK_RUNNING && task_history_add(&c->tasks, t, &a) < 0)
                log_oom();
}

void lease_return_begun(Controld *c, Task *t) {
        note_lost(c, t);
        if (t->cancel_asked) {
                if (lease_end_cancelled(c, t) >= 0)
                        return;
                log_oom();
        }
        take_from_worker(c, t);
        (void) queue_again(c, t);
}

void lease_return(Controld *c, Task *t) {
        if (t->state == TASK_ASSIGNED)
                bucket_give_back(&t->type->bucket, now_usec(CLOCK_MONOTONIC));
        lease_return_begun(c, t);
}

void lease_return_all(Controld *c, Worker *w) {
        Task *t;

        /* The youngest first: each then finds its place at once. */
        while ((t = TAILQ_LAST(&w->leases, TaskList)))
                lease_return(c, t);
}

static void count_end(Controld *c, TaskState state) {
        if (state == TASK_SUCCESS)
                c->counters.succeeded++;
        else if (state == TASK_CANCELLED)
                c->counters.cancelled++;
        else
                c->counters.failed++;
}

int task_end(Controld *c, Task *t, const TaskEnd *end) {
        uint64_t started = t->started_usec;
        int r;

        r = task_set_end(&c->tasks, t, end->result.iov_base, end->result.iov_len,
                         end->error.iov_base, end->error.iov_len, t->worker ? t->worker->id : NULL);
        if (r < 0)
                return r;
        if (end->started_usec > 0)
                t->started_usec = end->started_usec;
        /* The clock may have been set back since; nothing ends before it began. */
        t->completed_usec = MAX(now_usec(CLOCK_REALTIME), MAX(t->started_usec, t->created_usec));
        t->end_state = (uint8_t) end->state;
        r = persist_end(c, t);
        if (r < 0) {
                t->started_usec = started;
                t->completed_usec = 0;
                task_clear_end(&c->tasks, t);
                return r;
        }

        if (t->worker) {
                t->worker->n_done++;
                take_from_worker(c, t);
        } else if (t->is_returning)
                ledger_drop_return(&c->ledger, t);
        else if (t->state == TASK_QUEUED)
                queue_remove(&c->queue, t);
        timers_remove(&c->timers, t);
        task_drop_unique(&c->tasks, t);
        t->is_ending = true;
        dependency_ended(c, t);
        return 0;
}

void task_settle(Controld *c, Task *t) {
        t->is_ending = false;
        task_set_state(&c->tasks, t, t->end_state);
        count_end(c, t->state);
        tell(t, "ended as %s, attempt %" PRIu64, task_state_to_string(t->state),
             (uint64_t) t->attempt);
        results_add(&c->results, t);
        dependency_settled(c, t);
        waiters_ready(t, &c->dirty);
}

void task_enqueue(Controld *c, Task *t) {
        uint64_t due = task_due(t);
        bool waits = due > now_usec(CLOCK_REALTIME) || task_waits_for_tasks(t);

        task_set_state(&c->tasks, t, waits ? TASK_SCHEDULED : TASK_QUEUED);
        t->queued_monotonic_usec = now_usec(CLOCK_MONOTONIC);
        c->counters.submitted++;
        tell(t, "accepted, priority %s%s", task_priority_to_string(t->priority),
             waits ? ", to be queued later" : "");
        if (t->is_ending) /* it was cancelled meanwhile */
                return;
        if (!waits)
                queue_push(&c->queue, t);
        timers_add(&c->timers, t);
}

int lease_retry(Controld *c, Task *t, uint64_t delay_usec, const TaskAttempt *a) {
        int r;

        r = due_prepare(c, t);
        if (r >= 0)
                r = task_history_add(&c->tasks, t, a);
        if (r < 0)
                return r;
        t->extra->due_usec = now_usec(CLOCK_REALTIME) + delay_usec;
        t->extra->retries++;
        take_from_worker(c, t);
        t->started_usec = 0;
        task_set_state(&c->tasks, t, TASK_RETRYING);
        ledger_return(&c->ledger, t);
        c->counters.retried++;
        tell(t, "attempt %" PRIu32 " failed, retry %" PRIu32 " in %" PRIu64 " ms", t->attempt,
             t->extra->retries, delay_usec / USEC_PER_MSEC);
        (void) persist_change(c, t);
        return 0;
}

/* As if it had never been tried; it does not expire any more, as somebody wants it now. */
static void forget_retries(Controld *c, Task *t) {
        if (!t->extra)
                return;
        task_history_clear(&c->tasks, t);
        t->extra->due_usec = t->extra->expires_usec = t->extra->order = 0;
        t->extra->retries = 0;
}

int task_retry(Controld *c, Task *t) {
        int r;

        dependency_flush(c, t);
        waiters_wait_again(t, &c->dirty); /* clients that did not get the old result yet */
        results_remove(&c->results, t);
        t->crashes = 0;
        t->completed_usec = 0;
        t->cancel_asked = false;
        task_clear_end(&c->tasks, t);
        forget_retries(c, t);
        r = queue_again(c, t);
        dependency_again(c, t);
        return r;
}
