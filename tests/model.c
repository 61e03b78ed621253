/* SPDX-License-Identifier: MIT */

/* What requests change, and how they may be answered. */

#include <stdio.h>

#include "model.h"

Model *model;

const char *const model_types[MODEL_TYPES] = { "a", "b", "c" };

bool model_offers(unsigned worker, unsigned type) {
        return worker % MODEL_TYPES == type || worker == MODEL_WORKERS - 1;
}

bool model_is_live(const ModelTask *k) {
        return k->phase == PHASE_PENDING || k->phase == PHASE_WAITING || k->phase == PHASE_QUEUED ||
               k->phase == PHASE_LEASED;
}

bool model_is_there(const ModelTask *k) {
        return k->phase != PHASE_NONE && k->phase != PHASE_GONE;
}

unsigned model_number(const ModelTask *k) {
        return (unsigned) (k - model->tasks);
}

ModelRequest *model_request(WireVerb verb, bool is_of_worker, unsigned who) {
        unsigned number = model->n_requests++;
        ModelRequest *q = &model->requests[number % MODEL_REQUESTS];

        model_require(!q->is_open, "request %u (%s) was never answered", q->number,
                      wire_verb_to_string(q->verb));
        *q = (ModelRequest){ .verb = verb,
                             .is_of_worker = is_of_worker,
                             .who = who,
                             .number = number,
                             .refusal = _WIRE_ERROR_INVALID };
        return q;
}

static void end(ModelTask *k, TaskState state, const char *text) {
        k->end = (ModelEnd){ .state = state, .worker = k->worker, .attempt = k->attempt };
        (void) snprintf(k->end.text, sizeof(k->end.text), "%s", text);
        k->end_is_safe = false;
        k->end_ticket = UINT64_MAX;
        k->is_ending_pending = k->phase == PHASE_PENDING;
        k->phase = PHASE_ENDING;
        k->worker = MODEL_NOBODY;
        model->n_ends++;
}

static void lose_lease(ModelTask *k) {
        k->may_be_held = false;
        if (k->cancel_asked) {
                end(k, TASK_CANCELLED, "cancelled");
                return;
        }
        k->phase = PHASE_QUEUED;
        k->worker = MODEL_NOBODY;
}

void model_lease(ModelTask *k, unsigned w, uint32_t attempt) {
        model_require(attempt < MODEL_ATTEMPTS, "task %u has too many attempts", model_number(k));
        k->phase = PHASE_LEASED;
        k->may_be_held = false;
        k->worker = (int) w;
        k->attempt = attempt;
        k->holders[attempt] |= (uint8_t) (1U << w);
}

bool model_holds(const ModelTask *k, unsigned w, uint32_t attempt) {
        return k->phase == PHASE_LEASED && k->worker == (int) w && k->attempt == attempt;
}

static ModelTask *find_unique(const char *unique) {
        for (unsigned i = 0; i < model->n_tasks; i++)
                if (model_is_live(&model->tasks[i]) && streq(model->tasks[i].unique, unique))
                        return &model->tasks[i];
        return NULL;
}

void model_untake(ModelTask *k) {
        k->phase = k->key[0] ? PHASE_NONE : PHASE_GONE;
        if (k->phase == PHASE_NONE && strlen(k->key) < TASK_ID_TEXT_LENGTH)
                k->has_id = false; /* it will get another one */
        k->worker = MODEL_NOBODY;
        k->cancel_asked = k->cancel_is_safe = false;
        k->attempt = k->crashes = 0;
        k->tries = k->safe_tries = 0;
        k->is_retrying = k->is_due = false;
        memset(k->waits, 0, sizeof(k->waits));
}

static void undo_submit(ModelRequest *q) {
        for (size_t i = 0; i < q->n; i++) {
                ModelTask *k = &model->tasks[q->groups[i].task];

                if (q->groups[i].is_new)
                        model_untake(k);
        }
}

static void send_submit(ModelRequest *q) {
        for (size_t i = 0; i < q->n; i++) {
                ModelTask *k = &model->tasks[q->groups[i].task], *other;

                if (k->phase != PHASE_NONE)
                        continue;
                other = k->unique[0] ? find_unique(k->unique) : NULL;
                if (other && k->unique_returns)
                        q->groups[i].task = model_number(other);
                else if (other) {
                        q->refusal = WIRE_ERROR_EXISTS;
                        undo_submit(q);
                        return;
                } else {
                        k->phase = PHASE_PENDING;
                        q->groups[i].is_new = true;
                }
        }
        q->is_settled = true;
        for (size_t i = 0; i < q->n; i++) {
                const ModelTask *k = &model->tasks[q->groups[i].task];

                if (k->phase == PHASE_PENDING || (k->phase == PHASE_ENDING && k->is_ending_pending))
                        q->is_settled = false;
        }
        for (size_t i = 0; q->waits && i < q->n; i++)
                if (q->groups[i].is_new) /* else from the answer on */
                        model->tasks[q->groups[i].task].waits[q->who] = true;
}

static void send_wait(ModelRequest *q) {
        for (size_t i = 0; i < q->n; i++) {
                ModelTask *k = &model->tasks[q->groups[i].task];

                if (model_is_there(k))
                        k->waits[q->who] = true;
                else
                        k->unknown[q->who]++;
        }
}

static void send_cancel(ModelRequest *q) {
        ModelTask *k = &model->tasks[q->groups[0].task];

        if (!model_is_there(k))
                q->refusal = WIRE_ERROR_UNKNOWN_TASK;
        else if (k->phase == PHASE_LEASED)
                k->cancel_asked = true;
        else if (model_is_live(k))
                end(k, TASK_CANCELLED,
                    k->phase == PHASE_WAITING && k->is_retrying
                            ? "cancelled before its next attempt"
                            : "cancelled before it began");
        q->is_settled = k->phase == PHASE_ENDED;
        q->groups[0].ends = k->phase == PHASE_ENDING || k->phase == PHASE_ENDED;
        q->groups[0].state = k->end.state;
        q->groups[0].retries = k->retries;
}

static bool may_retry(const ModelTask *k) {
        return k->phase == PHASE_ENDED &&
               (k->end.state == TASK_FAILURE || k->end.state == TASK_DEAD);
}

static bool may_purge(const ModelTask *k) {
        return k->phase == PHASE_ENDED;
}

/* What has not ended counts as tried again. */
static bool may_name_for_retry(const ModelTask *k) {
        return may_retry(k) || (k->phase != PHASE_PENDING && k->phase != PHASE_ENDED &&
                                !(k->phase == PHASE_ENDING && k->is_ending_pending));
}

/* All or none. */
static bool all(ModelRequest *q, bool (*fits)(const ModelTask *k)) {
        for (size_t i = 0; i < q->n; i++) {
                const ModelTask *k = &model->tasks[q->groups[i].task];

                if (model_is_there(k) && fits(k))
                        continue;
                q->refusal = model_is_there(k) ? WIRE_ERROR_BAD_ARGUMENT : WIRE_ERROR_UNKNOWN_TASK;
                return false;
        }
        return true;
}

/* Whether a live one has the unique key of one of these, or two of these have the same. */
static bool retry_conflicts(const ModelRequest *q) {
        for (size_t i = 0; i < q->n; i++) {
                const ModelTask *k = &model->tasks[q->groups[i].task];

                if (!k->unique[0] || !may_retry(k))
                        continue;
                if (find_unique(k->unique))
                        return true;
                for (size_t j = 0; j < i; j++)
                        if (q->groups[j].task != q->groups[i].task &&
                            may_retry(&model->tasks[q->groups[j].task]) &&
                            streq(model->tasks[q->groups[j].task].unique, k->unique))
                                return true;
        }
        return false;
}

static void send_retry(ModelRequest *q) {
        if (!all(q, may_name_for_retry))
                return;
        if (retry_conflicts(q)) {
                q->refusal = WIRE_ERROR_EXISTS;
                return;
        }
        for (size_t i = 0; i < q->n; i++) {
                ModelTask *k = &model->tasks[q->groups[i].task];

                if (may_retry(k)) {
                        k->phase = PHASE_QUEUED;
                        k->old_end = k->end;
                        k->retry_is_open = true;
                        k->end_is_safe = k->cancel_asked = k->cancel_is_safe = false;
                        k->crashes = k->safe_crashes = 0;
                        k->tries = k->safe_tries = 0;
                        k->retries++;
                        model->n_retries++;
                }
                q->groups[i].retries = k->retries;
        }
}

static void send_purge(ModelRequest *q) {
        if (!all(q, may_purge))
                return;
        for (size_t i = 0; i < q->n; i++) {
                ModelTask *k = &model->tasks[q->groups[i].task];

                k->phase = PHASE_GONE;
                k->purge_is_open = true;
                for (unsigned c = 0; c < MODEL_CLIENTS; c++) {
                        k->unknown[c] = (uint8_t) (k->unknown[c] + k->waits[c]);
                        k->waits[c] = false;
                }
        }
}

static void send_register(ModelRequest *q) {
        ModelWorker *w = &model->workers[q->who];
        bool named[MODEL_TASKS] = {};

        if (q->is_impostor) {
                q->refusal = WIRE_ERROR_NAME_IN_USE;
                return;
        }
        for (size_t i = 0; i < q->n; i++) {
                ModelGroup *g = &q->groups[i];
                ModelTask *k = &model->tasks[g->task];

                if ((k->phase == PHASE_QUEUED || k->phase == PHASE_WAITING) && k->may_be_held &&
                    g->attempt == k->attempt)
                        model_lease(k, q->who, g->attempt);
                g->is_refused = !model_holds(k, q->who, g->attempt);
                if (!g->is_refused)
                        named[g->task] = true;
        }
        for (unsigned i = 0; q->is_new_connection && i < model->n_tasks; i++) {
                ModelTask *k = &model->tasks[i];

                if (!named[i] && k->phase == PHASE_LEASED && k->worker == (int) q->who)
                        lose_lease(k);
        }
        for (unsigned i = 0; q->is_new_connection && i < MODEL_REQUESTS; i++)
                if (model->requests[i].is_of_worker && model->requests[i].who == q->who)
                        model->requests[i].is_open = false; /* the answer goes nowhere */
        w->is_attached = true;
        w->is_draining = false;
}

/* It failed, and is tried again, at once or much later. */
static bool try_again(ModelTask *k, const ModelGroup *g) {
        bool asks = strstr(g->details, "retry_after");
        int max = k->retries_max >= 0 ? k->retries_max : asks ? 100 : 0;

        if ((g->outcome != WIRE_OUTCOME_FAILURE && g->outcome != WIRE_OUTCOME_TIMEOUT) ||
            k->cancel_asked || (int) k->tries >= max || strstr(g->details, "no_retry"))
                return false;
        k->tries++;
        k->phase = PHASE_WAITING;
        k->worker = MODEL_NOBODY;
        k->is_retrying = true;
        k->is_due = asks;
        k->may_be_held = false;
        model->n_tries++;
        return true;
}

static void send_done_group(unsigned w, ModelGroup *g) {
        ModelTask *k = &model->tasks[g->task];
        char text[100];

        if (model_holds(k, w, g->attempt)) {
                if (g->outcome == WIRE_OUTCOME_CRASH && ++k->crashes < 3)
                        lose_lease(k);
                else if (g->outcome == WIRE_OUTCOME_CRASH) {
                        (void) snprintf(text, sizeof(text),
                                        "crashed its runner 3 times, the last time: %.50s",
                                        g->text);
                        end(k, TASK_DEAD, text);
                } else if (g->outcome == WIRE_OUTCOME_SUCCESS &&
                           strlen(g->text) > MODEL_RESULT_MAX) {
                        (void) snprintf(text, sizeof(text),
                                        "the result has %zu bytes; at most %d are kept "
                                        "(MaxResultBytes=)",
                                        strlen(g->text), MODEL_RESULT_MAX);
                        end(k, TASK_FAILURE, text);
                } else if (!try_again(k, g))
                        end(k,
                            g->outcome == WIRE_OUTCOME_SUCCESS     ? TASK_SUCCESS
                            : g->outcome == WIRE_OUTCOME_CANCELLED ? TASK_CANCELLED
                                                                   : TASK_FAILURE,
                            g->text);
                g->crashes = k->crashes;
                g->tries = k->tries;
        } else
                model->n_refused++;
        g->ends = (k->phase == PHASE_ENDING || k->phase == PHASE_ENDED) &&
                  k->end.worker == (int) w && k->end.attempt == g->attempt;
        g->retries = k->retries;
}

static void send_of_worker(ModelRequest *q) {
        ModelWorker *w = &model->workers[q->who];

        if (!w->is_attached) {
                q->refusal = WIRE_ERROR_NOT_REGISTERED;
                return;
        }
        for (size_t i = 0; i < q->n; i++) {
                ModelTask *k = &model->tasks[q->groups[i].task];

                if (q->verb == WIRE_DONE)
                        send_done_group(q->who, &q->groups[i]);
                else if (q->verb == WIRE_RELEASE && model_holds(k, q->who, q->groups[i].attempt))
                        lose_lease(k);
        }
        if (q->verb == WIRE_DRAIN)
                w->is_draining = true;
        else if (q->verb == WIRE_GOODBYE)
                model_lose_worker(q->who);
}

void model_send(ModelRequest *q) {
        switch (q->verb) {
        case WIRE_SUBMIT:
                send_submit(q);
                break;
        case WIRE_WAIT:
                send_wait(q);
                break;
        case WIRE_FORGET:
                for (size_t i = 0; i < q->n; i++)
                        model->tasks[q->groups[i].task].waits[q->who] = false;
                break;
        case WIRE_CANCEL:
                send_cancel(q);
                break;
        case WIRE_STATUS:
                if (!model_is_there(&model->tasks[q->groups[0].task]))
                        q->refusal = WIRE_ERROR_UNKNOWN_TASK;
                break;
        case WIRE_RETRY:
                send_retry(q);
                break;
        case WIRE_PURGE:
                send_purge(q);
                break;
        case WIRE_REGISTER:
                send_register(q);
                break;
        default:
                send_of_worker(q);
                break;
        }
        /* These are answered only if something is wrong, or with what is no answer. */
        q->is_open =
                (q->verb != WIRE_CAPACITY && q->verb != WIRE_STARTED && q->verb != WIRE_WAIT) ||
                q->refusal != _WIRE_ERROR_INVALID;
}

void model_lose_worker(unsigned w) {
        for (unsigned i = 0; i < model->n_tasks; i++) {
                ModelTask *k = &model->tasks[i];

                if (k->phase == PHASE_LEASED && k->worker == (int) w)
                        lose_lease(k);
        }
        model->workers[w].is_attached = model->workers[w].is_draining = false;
}

void model_note_ends(uint64_t ticket) {
        for (unsigned i = 0; i < model->n_tasks; i++)
                if (model->tasks[i].end_ticket == UINT64_MAX)
                        model->tasks[i].end_ticket = ticket;
}

void model_reconnect(unsigned client) {
        for (unsigned i = 0; i < model->n_tasks; i++)
                model->tasks[i].waits[client] = false;
        for (unsigned i = 0; i < MODEL_REQUESTS; i++)
                if (!model->requests[i].is_of_worker && model->requests[i].who == client)
                        model->requests[i].is_open = false;
        model->connections[client]++;
}
