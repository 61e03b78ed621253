/* SPDX-License-Identifier: MIT */

/* The model beside the coordinator's memory, in service and after a restart. */

#include <stdio.h>

#include "model.h"

/* Tasks are told apart by their arguments, as ids are not known before the answer. */
ModelTask *model_find(const Task *t) {
        char text[16] = "";
        unsigned number;

        model_require(t->arguments_size > 0 && t->arguments_size < sizeof(text),
                      "a task has other arguments");
        memcpy(text, task_arguments(t), t->arguments_size);
        number = (unsigned) strtoul(text, NULL, 10);
        model_require(number < model->n_tasks, "there is a task %s that was never submitted", text);
        return &model->tasks[number];
}

static int worker_number(const Worker *w) {
        return w ? w->id[1] - '0' : MODEL_NOBODY;
}

static bool has_end(const Task *t, const ModelEnd *end) {
        const char *text = end->state == TASK_SUCCESS ? task_result(t) : task_error(t);
        size_t size = end->state == TASK_SUCCESS ? t->result_size : t->error_size;

        return t->state == end->state && size == strlen(end->text) &&
               memcmp(text, end->text, size) == 0;
}

static void take_id(ModelTask *k, const Task *t) {
        if (!k->has_id)
                k->id = t->id;
        k->has_id = true;
        model_require(task_id_equal(&k->id, &t->id), "task %u has another id", model_number(k));
        model_require(!k->is_present, "task %u is there twice", model_number(k));
        k->is_present = true;
}

/* --- in service ------------------------------------------------------------------------------- */

/* What became safe meanwhile. */
static void follow(ModelTask *k, const Task *t) {
        if (t->state != TASK_PENDING)
                k->is_safe = true;
        if (k->phase == PHASE_PENDING && t->state == TASK_QUEUED && !k->is_scheduled)
                k->phase = PHASE_QUEUED;
        if (k->phase == PHASE_PENDING && t->state == TASK_SCHEDULED && k->is_scheduled)
                k->phase = PHASE_WAITING;
        if (k->phase == PHASE_WAITING && t->state == TASK_QUEUED && k->is_due) {
                k->phase = PHASE_QUEUED;
                k->is_retrying = false;
        }
        if (t->state != TASK_PENDING)
                k->is_ending_pending = false;
        if (k->phase == PHASE_ENDING && task_state_is_terminal(t->state)) {
                model_require(k->end_ticket <= model->safe, "task %u ended before that is safe",
                              model_number(k));
                k->phase = PHASE_ENDED;
                k->end_is_safe = true;
                k->retry_is_open = false; /* which came before */
        }
        /* An attempt is spent when the handing out fails. */
        if (k->phase == PHASE_QUEUED && t->attempt > k->attempt && model->broken != MODEL_NOBODY) {
                k->attempt = t->attempt;
                k->may_be_held = false;
        }
}

static bool is_right(const ModelTask *k, const Task *t) {
        bool leased = t->state == TASK_ASSIGNED || t->state == TASK_RUNNING;

        if (worker_number(t->worker) != k->worker || t->is_ending != (k->phase == PHASE_ENDING))
                return false;
        if (model_is_live(k) && (t->attempt != k->attempt || t->crashes != k->crashes ||
                                 task_retries(t) != k->tries || t->cancel_asked != k->cancel_asked))
                return false;
        switch (k->phase) {
        case PHASE_PENDING:
                return t->state == TASK_PENDING;
        case PHASE_WAITING:
                return t->state == (k->is_retrying ? TASK_RETRYING : TASK_SCHEDULED);
        case PHASE_QUEUED:
                return t->state == TASK_QUEUED;
        case PHASE_LEASED:
                return leased;
        case PHASE_ENDING:
                return !task_state_is_terminal(t->state) && t->end_state == k->end.state;
        case PHASE_ENDED:
                return has_end(t, &k->end);
        default:
                return false;
        }
}

typedef struct Counts {
        uint64_t by_state[_TASK_STATE_MAX], queued[_PRIORITY_MAX], bytes, ended, timed;
        uint32_t leased[MODEL_WORKERS];
} Counts;

static void count(Counts *n, const Task *t) {
        n->by_state[t->state]++;
        n->bytes += task_payload_bytes(t);
        n->ended += task_state_is_terminal(t->state);
        if (t->state == TASK_QUEUED && !t->is_ending && !t->is_returning)
                n->queued[t->priority]++;
        n->timed += task_waits_for_time(t) && !t->is_ending && !t->is_returning;
        if (t->worker)
                n->leased[worker_number(t->worker)]++;
}

static void check_counts(const Controld *c, const Counts *n) {
        Worker *w, *next;

        for (TaskState s = 0; s < _TASK_STATE_MAX; s++)
                model_require(c->tasks.by_state[s] == n->by_state[s],
                              "%" PRIu64 " tasks are %s, not %" PRIu64, n->by_state[s],
                              task_state_to_string(s), c->tasks.by_state[s]);
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                model_require(c->queue.n[p] == n->queued[p],
                              "%" PRIu64 " tasks wait with priority %s, not %" PRIu64, n->queued[p],
                              task_priority_to_string(p), c->queue.n[p]);
        model_require(c->tasks.payload_bytes == n->bytes && c->results.n == n->ended,
                      "there are %" PRIu64 " bytes and %" PRIu64 " results", n->bytes, n->ended);
        model_require(c->timers.n == n->timed, "%zu tasks wait for their time, not %" PRIu64,
                      c->timers.n, n->timed);
        HASH_ITER(hh, c->workers.workers, w, next) {
                uint32_t n_leases = 0;
                Task *t;

                TAILQ_FOREACH(t, &w->leases, link)
                        n_leases += t->worker == w;
                model_require(w->n_leased == n->leased[worker_number(w)] && w->n_leased == n_leases,
                              "worker %s has %" PRIu32 " leases, not %" PRIu32, w->id,
                              n->leased[worker_number(w)], w->n_leased);
        }
}

static void check_peers(const Controld *c) {
        for (unsigned i = 0; i < MODEL_CLIENTS; i++) {
                _cleanup_free_ char *name = format_string("c%u.%u", i, model->connections[i]);
                uint32_t n = 0;

                for (unsigned k = 0; k < model->n_tasks; k++) {
                        n += model->tasks[k].waits[i];
                        model_require(model->tasks[k].unknown[i] == 0,
                                      "client %u was not told that task %u is unknown", i, k);
                }
                model_require(fixture_peer(name)->n_waiters == n,
                              "client %u waits for %" PRIu32 " tasks, not %" PRIu32, i, n,
                              fixture_peer(name)->n_waiters);
        }
        for (unsigned i = 0; i < MODEL_WORKERS; i++) {
                _cleanup_free_ char *id = format_string("w%u", i);
                const Worker *w = worker_find(&c->workers, id);

                model_require((w && w->peer) == model->workers[i].is_attached,
                              "worker %u is registered, or not, against expectation", i);
        }
}

void model_compare(const Controld *c) {
        Counts counts = {};
        Task *t, *next;

        for (unsigned i = 0; i < model->n_tasks; i++)
                model->tasks[i].is_present = false;
        HASH_ITER(hh, c->tasks.tasks, t, next) {
                ModelTask *k = model_find(t);

                take_id(k, t);
                follow(k, t);
                model_require(is_right(k, t),
                              "task %u should be in phase %d (worker %d, attempt %" PRIu32
                              "), but is %s%s (worker %d, attempt %" PRIu32 ")",
                              model_number(k), k->phase, k->worker, k->attempt,
                              task_state_to_string(t->state), t->is_ending ? ", ending" : "",
                              worker_number(t->worker), t->attempt);
                count(&counts, t);
        }
        for (unsigned i = 0; i < model->n_tasks; i++)
                model_require(model->tasks[i].is_present == model_is_there(&model->tasks[i]),
                              "task %u in phase %d is lost, or there again", i,
                              model->tasks[i].phase);
        check_counts(c, &counts);
        check_peers(c);
}

/* --- after a restart -------------------------------------------------------------------------- */

/* The last turn may have failed to hand it out, which spends an attempt. A queued one that the store does not know of
 * counts as given. */
static uint32_t last_attempt(const ModelTask *k, const Task *t) {
        return k->attempt + (model->broken != MODEL_NOBODY && !t->worker ? 1 : 0) +
               (t->may_be_held ? 1 : 0);
}

static void recover_ended(ModelTask *k, const Task *t) {
        bool had_ended = k->phase == PHASE_ENDING || k->phase == PHASE_ENDED ||
                         (k->phase == PHASE_GONE && k->purge_is_open);

        if (!had_ended || !has_end(t, &k->end)) {
                model_require(k->retry_is_open && has_end(t, &k->old_end),
                              "task %u in phase %d came back as %s", model_number(k), k->phase,
                              task_state_to_string(t->state));
                k->end = k->old_end;
        }
        model_require(t->attempt <= last_attempt(k, t), "task %u came back with attempt %" PRIu32,
                      model_number(k), t->attempt);
        k->attempt = t->attempt;
        k->tries = k->safe_tries = task_retries(t);
        k->phase = PHASE_ENDED;
        k->worker = MODEL_NOBODY;
        k->end_is_safe = true;
}

static void recover_live(ModelTask *k, const Task *t) {
        int w = worker_number(t->worker);

        model_require(k->phase != PHASE_NONE && k->phase != PHASE_GONE && !k->end_is_safe,
                      "task %u in phase %d came back as %s", model_number(k), k->phase,
                      task_state_to_string(t->state));
        model_require(t->attempt <= last_attempt(k, t) &&
                              t->attempt >= (w == MODEL_NOBODY ? k->last_given : 1),
                      "task %u came back with attempt %" PRIu32 ", not %" PRIu32
                      "; the last that was given is %" PRIu32,
                      model_number(k), t->attempt, k->attempt, k->last_given);
        model_require(t->cancel_asked ? k->cancel_asked && w != MODEL_NOBODY : !k->cancel_is_safe,
                      "task %u was to be stopped, or not, and that is forgotten", model_number(k));
        model_require(t->crashes <= k->crashes && t->crashes >= k->safe_crashes,
                      "task %u came back with %u crashes, not %u to %u", model_number(k),
                      t->crashes, k->safe_crashes, k->crashes);
        model_require(task_retries(t) <= k->tries && task_retries(t) >= k->safe_tries,
                      "task %u came back as %s after %u retries, not %u to %u", model_number(k),
                      task_state_to_string(t->state), task_retries(t), k->safe_tries, k->tries);
        model_require(t->state == TASK_SCHEDULED || !k->is_scheduled || k->is_due ||
                              k->attempt > 0 || k->retries > 0,
                      "task %u was to wait, and came back as %s", model_number(k),
                      task_state_to_string(t->state));
        model_require(w == MODEL_NOBODY || (k->holders[t->attempt] & (1U << w)),
                      "task %u came back with worker %d, who never had it", model_number(k), w);
        k->phase = w != MODEL_NOBODY        ? PHASE_LEASED
                   : task_waits_for_time(t) ? PHASE_WAITING
                                            : PHASE_QUEUED;
        k->is_retrying = t->state == TASK_RETRYING;
        k->is_due = false;
        k->tries = k->safe_tries = task_retries(t);
        k->worker = w;
        k->crashes = t->crashes;
        k->cancel_asked = k->cancel_is_safe = t->cancel_asked;
        k->may_be_held = t->may_be_held;
        k->attempt = t->attempt;
}

static void recover_lost(ModelTask *k) {
        if (k->in_memory && k->phase != PHASE_NONE)
                k->phase = PHASE_GONE;
        else if (model_is_there(k)) {
                model_require(!k->is_safe, "task %u in phase %d is lost", model_number(k),
                              k->phase);
                model_untake(k);
        }
        k->worker = MODEL_NOBODY;
}

void model_recover(const Controld *c) {
        Task *t, *next;

        model->is_dying = false;
        for (unsigned i = 0; i < MODEL_CLIENTS; i++)
                model_reconnect(i);
        for (unsigned i = 0; i < MODEL_WORKERS; i++) {
                model->workers[i].is_attached = model->workers[i].is_draining = false;
                model->workers[i].connection++;
        }
        for (unsigned i = 0; i < MODEL_REQUESTS; i++)
                model->requests[i].is_open = false;
        for (unsigned i = 0; i < model->n_tasks; i++)
                model->tasks[i].is_present = false;
        HASH_ITER(hh, c->tasks.tasks, t, next) {
                ModelTask *k = model_find(t);

                take_id(k, t);
                model_require(!k->in_memory, "task %u was to be kept in memory only",
                              model_number(k));
                if (task_state_is_terminal(t->state))
                        recover_ended(k, t);
                else
                        recover_live(k, t);
                k->is_safe = true;
        }
        for (unsigned i = 0; i < model->n_tasks; i++) {
                ModelTask *k = &model->tasks[i];

                if (!k->is_present)
                        recover_lost(k);
                k->retry_is_open = k->purge_is_open = false;
                memset(k->unknown, 0, sizeof(k->unknown));
        }
        model->broken = MODEL_NOBODY;
}
