/* SPDX-License-Identifier: MIT */

/* What registered subworkers say: they live, have room, began, ended or hand back tasks, drain, leave. */

#include <inttypes.h>

#include "controld.h"
#include "json-util.h"
#include "lease.h"
#include "log.h"
#include "message-ids.h"
#include "ops.h"
#include "pause.h"
#include "persist.h"
#include "task-history.h"
#include "time-util.h"
#include "worker-care.h"

#define ERROR_TEXT_MAX \
        3500U /* of ours; a crash comes with the last that the task has written, 2 KiB */
#define CRASH_PREFIX_MAX 80U
#define CRASHES_MAX      3U
#define REASON_MAX       200U /* bytes of it that are logged */
#define PROBE_DELAY_USEC (100 * USEC_PER_MSEC)

/* The sender as a registered worker; else refuses and returns NULL. */
static Worker *sender(const Request *r) {
        Peer *p = endpoint_find_peer(r->endpoint, &r->routing);

        if (!p || !p->worker) {
                request_refuse(r, WIRE_ERROR_NOT_REGISTERED, "%s: register first",
                               wire_verb_to_string(r->message.verb));
                return NULL;
        }
        worker_seen(p->worker);
        return p->worker;
}

static int acknowledge(Controld *c, const Request *r) {
        wire_begin(&c->out, WIRE_ACK, &r->message.correlation);
        return request_reply(r);
}

int op_heartbeat(Controld *c, const Request *r) {
        Worker *w = sender(r);

        if (!w)
                return 0;
        /* A reload has changed this, and REGISTERED is what tells it. */
        if (w->on_demand != pause_lets_leave(c, w))
                return request_refuse(r, WIRE_ERROR_NOT_REGISTERED,
                                      "HEARTBEAT: settings have changed, register again");
        return acknowledge(c, r);
}

int op_capacity(Controld *c, const Request *r) {
        Worker *w = sender(r);

        if (w)
                w->capacity = (uint32_t) MIN(wire_get_number(&r->message.fields[0]),
                                             (uint64_t) WORKER_CAPACITY_MAX);
        return 0;
}

/* A time by the worker's clock, which need not agree with ours: kept between creation and now. */
static uint64_t sane_start(const Task *t, uint64_t usec) {
        uint64_t now = now_usec(CLOCK_REALTIME);

        return usec == 0 ? 0 : CLAMP(usec, t->created_usec, MAX(now, t->created_usec));
}

int op_started(Controld *c, const Request *r) {
        Worker *w = sender(r);

        for (size_t i = 0; w && i < r->message.n_groups; i++) {
                const struct iovec *g = wire_group(&r->message, i);
                TaskId id = wire_get_task_id(&g[0]);
                Task *t = lease_find(c, w, &id, wire_get_number(&g[1]));

                if (!t || t->state != TASK_ASSIGNED)
                        continue;
                task_set_state(&c->tasks, t, TASK_RUNNING);
                t->started_usec = sane_start(t, wire_get_number(&g[2]));
                (void) persist_change(c, t);
        }
        return 0;
}

/* Not in the store: after a restart the next word comes soon enough. */
int op_progress(Controld *c, const Request *r) {
        Worker *w = sender(r);

        for (size_t i = 0; w && i < r->message.n_groups; i++) {
                const struct iovec *g = wire_group(&r->message, i);
                TaskId id = wire_get_task_id(&g[0]);
                Task *t = lease_find(c, w, &id, wire_get_number(&g[1]));

                if (t &&
                    task_set_progress(t, wire_get_number(&g[2]), g[3].iov_base, g[3].iov_len) < 0)
                        log_oom();
        }
        return 0;
}

/* Results that a worker sends for leases that it does not hold: one line a message. */
static void log_stale(Controld *c, const Worker *w, size_t n, const TaskId *first) {
        char text[TASK_ID_TEXT_LENGTH + 1];

        c->counters.results_refused += n;
        task_id_to_text(first, text);
        log_event(
                LOG_NOTICE, 0,
                LOG_FIELDS(.message_id = MESSAGE_RESULT_REFUSED, .task_id = text,
                           .worker_id = w->id),
                "Subworker %s reports the end of %zu task%s that it does not hold (any more), ignoring; the "
                "first is %s.",
                w->id, n, n == 1 ? "" : "s", text);
}

/* The end of an attempt that did not end the task: what is told of it is known already. */
static bool is_in_history(const Worker *w, const Task *t) {
        _cleanup_json_ struct json_object *last = task_history_last(t);
        const char *by = NULL, *outcome = NULL;
        uint64_t attempt = 0;

        return last && json_get_string(last, "worker", &by) > 0 && streq(by, w->id) &&
               json_get_uint(last, "attempt", 0, UINT32_MAX, &attempt) > 0 &&
               attempt == t->attempt && json_get_string(last, "outcome", &outcome) > 0 &&
               !streq(outcome, TASK_ATTEMPT_LOST) && !streq(outcome, TASK_ATTEMPT_RELEASED);
}

/* A result that comes again, as its ACK was lost. */
static bool is_repeated(Controld *c, const Worker *w, const TaskId *id, uint64_t attempt) {
        const Task *t = task_find(&c->tasks, id);
        const char *by = t ? task_last_worker(t) : NULL;

        if (!t || t->worker || t->attempt != attempt)
                return false;
        return by ? streq(by, w->id) : is_in_history(w, t);
}

static TaskState state_after(WireOutcome outcome) {
        switch (outcome) {
        case WIRE_OUTCOME_SUCCESS:
                return TASK_SUCCESS;
        case WIRE_OUTCOME_CANCELLED:
                return TASK_CANCELLED;
        default:
                return TASK_FAILURE;
        }
}

/* A result that is too long to keep fails its task, with a text that says so. */
static void limit_result(const Controld *c, TaskEnd *end, char *text, size_t size) {
        uint64_t max = c->settings->max_result_bytes;

        if (end->result.iov_len <= max)
                return;
        (void) snprintf(text, size,
                        "the result has %zu bytes; at most %" PRIu64 " are kept (MaxResultBytes=)",
                        end->result.iov_len, max);
        *end = (TaskEnd){ .state = TASK_FAILURE,
                          .error = { text, strlen(text) },
                          .started_usec = end->started_usec };
}

/* A task whose runner died is tried again, but not for ever: it may be what kills them. Returns 1 if it was
 * queued again. */
static int take_crash(Controld *c, Task *t, const TaskAttempt *a, TaskEnd *end, char *text,
                      size_t size) {
        int r;

        r = task_history_add(&c->tasks, t, a);
        if (r < 0)
                return r;
        if (++t->crashes < CRASHES_MAX) {
                lease_return_begun(c, t);
                return 1;
        }
        (void) snprintf(text, size, "crashed its runner %u times, the last time: %.*s", CRASHES_MAX,
                        (int) MIN(end->error.iov_len, size - CRASH_PREFIX_MAX),
                        (const char *) end->error.iov_base);
        end->state = TASK_DEAD;
        end->error = (struct iovec){ text, strlen(text) };
        return 0;
}

static RetryPolicy policy_of(const Task *t) {
        RetryPolicy p = t->type->retry ? *t->type->retry : RETRY_POLICY_DEFAULT;
        _cleanup_json_ struct json_object *o = NULL;
        const char *unused;

        /* Checked when it was submitted; without memory it is as if there were none. */
        if (t->options_size > 0 &&
            json_parse_object(task_options(t), t->options_size, &o, NULL) >= 0)
                (void) retry_policy_read(&p, o, &unused);
        return p;
}

/* A worker that gives no reason leaves it to the outcome. */
static bool wants_retry(const Task *t, const struct iovec *g, struct json_object *details,
                        uint64_t *ret_delay) {
        RetryPolicy p = policy_of(t);
        RetryAnswer answer;

        retry_answer_read(&answer, details);
        if (answer.reason < 0)
                answer.reason = wire_get_outcome(&g[2]) == WIRE_OUTCOME_TIMEOUT ? RETRY_TIMEOUT
                                                                                : RETRY_EXCEPTION;
        return retry_decide(&p, &answer, task_retries(t), arc4random(), ret_delay);
}

/* Of a later version, or of no version: then it is as if there were none. */
static struct json_object *details_of(const struct iovec *text) {
        struct json_object *o = NULL;

        return text->iov_len > 0 && json_parse_object(text->iov_base, text->iov_len, &o, NULL) >= 0
                       ? o
                       : NULL;
}

static TaskAttempt attempt_of(const Task *t, const struct iovec *g, const TaskEnd *end,
                              struct json_object *details) {
        uint64_t now = now_usec(CLOCK_REALTIME);

        return (TaskAttempt){
                .worker = t->worker->id,
                .outcome = wire_outcome_to_string(wire_get_outcome(&g[2])),
                .started_usec = end->started_usec,
                .completed_usec = CLAMP(wire_get_number(&g[6]), end->started_usec,
                                        MAX(now, end->started_usec)),
                .error = end->error,
                .details = details,
        };
}

/* An attempt that failed may be followed by another; one that was to be stopped is not. Returns 1 if it is. */
static int take_failure(Controld *c, Task *t, const struct iovec *g, const TaskAttempt *a) {
        uint64_t delay;
        int r;

        if (t->cancel_asked || !wants_retry(t, g, a->details, &delay))
                return 0;
        r = lease_retry(c, t, delay, a);
        return r < 0 ? r : 1;
}

/* What ends a task that was tried before stands in its history, too. That of most others has no details and is told by
 * the task itself. */
static int note_last_attempt(Controld *c, Task *t, const TaskAttempt *a) {
        if (task_retries(t) == 0 && task_history(t).iov_len == 0 && !task_history_keeps(a->details))
                return 0;
        return task_history_add(&c->tasks, t, a);
}

static void read_end(const Task *t, const struct iovec *g, TaskEnd *ret) {
        WireOutcome outcome = wire_get_outcome(&g[2]);

        *ret = (TaskEnd){ .state = state_after(outcome) };
        if (outcome == WIRE_OUTCOME_SUCCESS)
                ret->result = g[3];
        else
                ret->error = g[4];
        ret->started_usec = sane_start(t, wire_get_number(&g[5]));
}

/* Returns 1, 0 if the worker does not hold the lease, or -ENOMEM. */
static int end_one(Controld *c, Worker *w, const struct iovec *g, const TaskId *id,
                   LedgerEntry *e) {
        uint64_t attempt = wire_get_number(&g[1]);
        WireOutcome outcome = wire_get_outcome(&g[2]);
        Task *t = lease_find(c, w, id, attempt);
        _cleanup_json_ struct json_object *details = NULL;
        char text[ERROR_TEXT_MAX];
        TaskAttempt a;
        TaskEnd end;
        int r = 0;

        if (!t)
                return is_repeated(c, w, id, attempt) ? 1 : 0;
        details = details_of(&g[7]);
        read_end(t, g, &end);
        limit_result(c, &end, text, sizeof(text));
        a = attempt_of(t, g, &end, details);
        if (outcome == WIRE_OUTCOME_CRASH)
                r = take_crash(c, t, &a, &end, text, sizeof(text));
        else if (outcome == WIRE_OUTCOME_FAILURE || outcome == WIRE_OUTCOME_TIMEOUT)
                r = take_failure(c, t, g, &a);
        if (r != 0)
                return r;
        r = note_last_attempt(c, t, &a);
        if (r >= 0)
                r = task_end(c, t, &end);
        if (r < 0)
                return r;
        ledger_note(e, t, true);
        return 1;
}

int op_done(Controld *c, const Request *r) {
        Worker *w = sender(r);
        size_t n_stale = 0;
        TaskId first = {};
        LedgerEntry *e = NULL;
        int k;

        if (!w)
                return 0;
        k = ledger_add(&c->ledger, LEDGER_END, r, r->message.n_groups, &e);
        for (size_t i = 0; k >= 0 && i < r->message.n_groups; i++) {
                const struct iovec *g = wire_group(&r->message, i);
                TaskId id = wire_get_task_id(&g[0]);

                k = end_one(c, w, g, &id, e);
                if (k == 0 && n_stale++ == 0)
                        first = id;
        }
        if (n_stale > 0)
                log_stale(c, w, n_stale, &first);
        if (k < 0) {
                /* The worker keeps what is not acknowledged and sends it again; those that were taken are
                 * known by then. */
                log_oom();
                ledger_silence(e);
        }
        return 0;
}

static void log_release(const Worker *w, const Task *t, const struct iovec *reason) {
        char id[TASK_ID_TEXT_LENGTH + 1];

        if (!log_is_shown(LOG_DEBUG))
                return;
        task_id_to_text(&t->id, id);
        log_event(LOG_DEBUG, 0,
                  LOG_FIELDS(.task_id = id, .task_name = t->type->name, .worker_id = w->id),
                  "Subworker %s hands back task %s (%s, attempt %" PRIu32 "): %.*s", w->id, id,
                  t->type->name, t->attempt, (int) MIN(reason->iov_len, (size_t) REASON_MAX),
                  (const char *) reason->iov_base);
}

/* What had begun was an attempt, though it is spent for nothing. */
static void note_release(Controld *c, Worker *w, Task *t, const struct iovec *reason) {
        const TaskAttempt a = {
                .worker = w->id,
                .outcome = TASK_ATTEMPT_RELEASED,
                .started_usec = t->started_usec,
                .completed_usec = MAX(now_usec(CLOCK_REALTIME), t->started_usec),
                .error = { reason->iov_base, MIN(reason->iov_len, (size_t) REASON_MAX) },
        };

        if (t->state == TASK_RUNNING && task_history_add(&c->tasks, t, &a) < 0)
                log_oom();
}

int op_release(Controld *c, const Request *r) {
        Worker *w = sender(r);

        for (size_t i = r->message.n_groups; w && i > 0; i--) {
                const struct iovec *g = wire_group(&r->message, i - 1);
                TaskId id = wire_get_task_id(&g[0]);
                Task *t = lease_find(c, w, &id, wire_get_number(&g[1]));

                if (!t)
                        continue;
                log_release(w, t, &r->message.fields[0]);
                note_release(c, w, t, &r->message.fields[0]);
                lease_return(c, t);
        }
        return w ? acknowledge(c, r) : 0;
}

int op_drain(Controld *c, const Request *r) {
        Worker *w = sender(r);

        if (!w)
                return 0;
        w->is_leaving = true;
        if (w->state == WORKER_ACTIVE) {
                w->state = WORKER_DRAINING;
                log_event(LOG_INFO, 0, LOG_FIELDS(.worker_id = w->id),
                          "Subworker %s drains, it holds %" PRIu32 " task%s.", w->id, w->n_leased,
                          w->n_leased == 1 ? "" : "s");
        }
        return acknowledge(c, r);
}

int op_goodbye(Controld *c, const Request *r) {
        Worker *w = sender(r);

        if (!w)
                return 0;
        worker_deactivate(c, w, WORKER_LEFT);
        return acknowledge(c, r);
}

/* A ROUTER does not say which peer left, but it refuses to send to one that did. */
static int on_probe(sd_event_source *s, uint64_t usec, void *userdata) {
        Controld *c = userdata;
        Worker *w, *next;

        HASH_ITER(hh, c->workers.workers, w, next) {
                if (!w->peer || w->lost_usec > 0)
                        continue;
                wire_begin(&c->out, WIRE_PING, NULL);
                if (peer_send(w->peer, &c->out) == -EHOSTUNREACH)
                        worker_lost_connection(w);
        }
        return 0;
}

void op_worker_probe_later(Controld *c) {
        int r;

        if (c->probe) {
                int enabled;

                /* One that is pending serves for this connection, too. */
                if (sd_event_source_get_enabled(c->probe, &enabled) >= 0 && enabled != SD_EVENT_OFF)
                        return;
                r = sd_event_source_set_time_relative(c->probe, PROBE_DELAY_USEC);
                if (r >= 0)
                        r = sd_event_source_set_enabled(c->probe, SD_EVENT_ONESHOT);
        } else
                r = sd_event_add_time_relative(c->event, &c->probe, CLOCK_MONOTONIC,
                                               PROBE_DELAY_USEC, 10 * USEC_PER_MSEC, on_probe, c);
        if (r < 0)
                log_warning_errno(
                        r,
                        "Could not arm the probe of subworkers, waiting for their heartbeats: %m");
}
