/* SPDX-License-Identifier: MIT */

/* What clients, administrators and subworkers do, well behaved or not. */

#include <stdio.h>

#include "due.h"
#include "model-driver.h"
#include "turn.h"
#include "worker-care.h"

ModelTask *pick(bool (*fits)(const ModelTask *k)) {
        unsigned first = model->n_tasks > 0 ? (unsigned) draw(model->n_tasks) : 0;

        for (unsigned i = 0; i < model->n_tasks; i++) {
                ModelTask *k = &model->tasks[(first + i) % model->n_tasks];

                if (fits(k))
                        return k;
        }
        return NULL;
}

bool is_known(const ModelTask *k) {
        return k->is_known;
}

static bool is_ending(const ModelTask *k) {
        return k->is_known && k->phase == PHASE_ENDING;
}

bool is_unfinished(const ModelTask *k) {
        return model_is_live(k) || k->phase == PHASE_ENDING;
}

static bool has_failed(const ModelTask *k) {
        return k->is_known && k->phase == PHASE_ENDED &&
               (k->end.state == TASK_FAILURE || k->end.state == TASK_DEAD);
}

static bool can_resend(const ModelTask *k) {
        return k->key[0] && k->phase != PHASE_GONE;
}

bool must_resend(const ModelTask *k) {
        return k->key[0] && k->phase == PHASE_NONE;
}

static ModelTask *new_task(void) {
        ModelTask *k;
        uint64_t kind = draw(5);

        if (model->n_tasks == MODEL_TASKS)
                return NULL;
        k = &model->tasks[model->n_tasks++];
        *k = (ModelTask){ .worker = MODEL_NOBODY };
        k->type = (uint8_t) draw(MODEL_TYPES);
        k->priority = (uint8_t) draw(_PRIORITY_MAX);
        k->in_memory = once_in(10);
        k->is_scheduled = once_in(5);
        k->retries_max = once_in(2) ? -1 : (int) draw(4);
        if (kind < 2) {
                ck_assert_int_eq(task_id_new(&k->id), 0);
                task_id_to_text(&k->id, k->key);
                k->has_id = k->is_known = true;
        } else if (kind < 4)
                (void) snprintf(k->key, sizeof(k->key), "k%u", model_number(k));
        if (once_in(4)) {
                (void) snprintf(k->unique, sizeof(k->unique), "u%" PRIu64, draw(6));
                k->unique_returns = once_in(2);
        }
        return k;
}

void add(ModelRequest *q, const ModelTask *k) {
        if (k && q->n < MODEL_BATCH)
                q->groups[q->n++] = (ModelGroup){ .task = model_number(k),
                                                  .attempt = k->attempt,
                                                  .details = "" };
}

static void add_known(ModelRequest *q, const ModelTask *k) {
        if (k && k->is_known)
                add(q, k);
}

static void submit(unsigned client) {
        ModelRequest *q = model_request(WIRE_SUBMIT, false, client);

        q->waits = once_in(2);
        for (uint64_t n = 1 + draw(4); n > 0; n--)
                add(q, once_in(4) ? pick(once_in(2) ? can_resend : must_resend) : new_task());
        if (q->n > 0)
                send_request(q);
}

/* Most choose well, others do not care. */
static void name_tasks(WireVerb verb, unsigned client, uint64_t n,
                       bool (*fits)(const ModelTask *k)) {
        ModelRequest *q = model_request(verb, false, client);

        for (; n > 0; n--)
                add_known(q, pick(once_in(5) ? is_known : fits));
        if (q->n > 0)
                send_request(q);
}

static void act_as_client(void) {
        unsigned client = (unsigned) draw(MODEL_CLIENTS);
        uint64_t what = draw(32);

        if (what < 14)
                submit(client);
        else if (what < 18)
                name_tasks(WIRE_WAIT, client, 1 + draw(4), is_known);
        else if (what < 19)
                name_tasks(WIRE_FORGET, client, 1 + draw(4), is_known);
        else if (what < 23)
                name_tasks(WIRE_CANCEL, client, 1, once_in(2) ? is_ending : is_unfinished);
        else if (what < 26)
                name_tasks(WIRE_STATUS, client, 1, is_known);
        else if (what < 30)
                name_tasks(WIRE_RETRY, client, 1 + draw(2), has_failed);
        else if (what < 31)
                name_tasks(WIRE_PURGE, client, 1 + draw(3), has_failed);
        else
                model_reconnect(client);
}

/* --- what subworkers do ----------------------------------------------------------------------- */

static bool has_id(const ModelTask *k) {
        return k->has_id;
}

static int leaseholder;

static bool is_its(const ModelTask *k) {
        return k->phase == PHASE_LEASED && k->worker == leaseholder;
}

/* Any task and attempt, past or yet to come. */
static void add_false(ModelRequest *q) {
        const ModelTask *k = pick(has_id);
        ModelGroup *g = &q->groups[q->n];

        if (!k || k->attempt > MODEL_ATTEMPTS - 50)
                return;
        add(q, k);
        g->attempt += (uint32_t) draw(4);
        g->attempt -= g->attempt < 2 ? 0 : (uint32_t) draw(3);
}

/* It was handed out just before the crash, and the coordinator does not know to whom. */
static bool has_from_before(const ModelTask *k, unsigned w) {
        return (k->phase == PHASE_QUEUED || k->phase == PHASE_WAITING) && k->may_be_held &&
               (k->holders[k->attempt] & (1U << w));
}

void come(unsigned w, bool is_honest) {
        ModelRequest *q = model_request(WIRE_REGISTER, true, w);
        ModelWorker *m = &model->workers[w];

        q->is_new_connection =
                !m->is_attached || model->broken == (int) w || is_honest || !once_in(3);
        m->capacity = is_honest ? 8 : (uint32_t) draw(7);
        if (q->is_new_connection)
                m->connection++;
        if (model->broken == (int) w) {
                fixture_break("", 0, 0);
                model->broken = MODEL_NOBODY;
        }
        for (unsigned i = 0; i < model->n_tasks && q->n < MODEL_BATCH - 3; i++)
                if ((model_holds(&model->tasks[i], w, model->tasks[i].attempt) ||
                     has_from_before(&model->tasks[i], w)) &&
                    (is_honest || !once_in(8)))
                        add(q, &model->tasks[i]);
        for (uint64_t n = is_honest ? 0 : draw(4); n > 0; n--)
                add_false(q);
        send_request(q);
}

static void come_as(unsigned w) {
        ModelRequest *q;

        if (!model->workers[w].is_attached)
                return;
        q = model_request(WIRE_REGISTER, true, w);
        q->is_impostor = true;
        send_request(q);
}

static const char *draw_details(void) {
        return once_in(3) ? "{\"retry_after\":0}" : once_in(4) ? "{\"no_retry\":true}" : "";
}

static WireOutcome draw_outcome(void) {
        uint64_t n = draw(20);

        return n < 9    ? WIRE_OUTCOME_SUCCESS
               : n < 12 ? WIRE_OUTCOME_FAILURE
               : n < 17 ? WIRE_OUTCOME_CRASH
               : n < 18 ? WIRE_OUTCOME_TIMEOUT
                        : WIRE_OUTCOME_CANCELLED;
}

/* Of its own, but one in four is late, repeated, or made up. */
static void report(unsigned w, WireVerb verb) {
        ModelRequest *q = model_request(verb, true, w);

        leaseholder = (int) w;
        for (uint64_t n = 1 + draw(3); n > 0; n--)
                if (once_in(4))
                        add_false(q);
                else
                        add(q, pick(is_its));
        for (size_t i = 0; i < q->n; i++) {
                q->groups[i].outcome = draw_outcome();
                q->groups[i].details = draw_details();
                (void) snprintf(q->groups[i].text, sizeof(q->groups[i].text), "%s%u",
                                once_in(30) ? "much longer than what is kept of a result " : "",
                                model->n_texts++);
        }
        if (q->n > 0)
                send_request(q);
}

static void say(unsigned w, WireVerb verb) {
        ModelRequest *q = model_request(verb, true, w);

        if (verb == WIRE_CAPACITY && model->workers[w].is_attached)
                model->workers[w].capacity = (uint32_t) draw(7);
        send_request(q);
}

static void vanish(unsigned w) {
        _cleanup_free_ char *name = format_string("w%u.%u", w, model->workers[w].connection);

        if (model->broken != MODEL_NOBODY)
                return;
        fixture_break(name, 0, -EHOSTUNREACH);
        model->broken = (int) w;
}

static void act_as_worker(void) {
        unsigned w = (unsigned) draw(MODEL_WORKERS);
        uint64_t what = draw(64);

        if (!model->workers[w].is_attached && once_in(2))
                what = 0;
        if (model->broken == (int) w) {
                if (once_in(4))
                        come(w, false);
        } else if (what < 3)
                come(w, false);
        else if (what < 4)
                come_as(w);
        else if (what < 10)
                say(w, WIRE_CAPACITY);
        else if (what < 12)
                say(w, WIRE_HEARTBEAT);
        else if (what < 13)
                say(w, once_in(2) ? WIRE_DRAIN : WIRE_GOODBYE);
        else if (what < 22)
                report(w, WIRE_STARTED);
        else if (what < 28)
                report(w, WIRE_RELEASE);
        else if (what < 29)
                vanish(w);
        else
                report(w, WIRE_DONE);
}

/* --- time ------------------------------------------------------------------------------------- */

/* The second's tick: some were silent for too long, a lost connection is found or given up. */
static void tick(void) {
        Worker *w, *next;

        HASH_ITER(hh, fixture->workers.workers, w, next) {
                unsigned i = (unsigned) (w->id[1] - '0');
                bool is_gone = false;

                if (w->state != WORKER_INACTIVE && once_in(8)) {
                        w->last_seen_usec -= w->lease_usec + USEC_PER_SEC;
                        is_gone = true;
                } else if (w->lost_usec > 0 && once_in(2)) {
                        w->lost_usec -= fixture->settings->reconnect_usec + USEC_PER_SEC;
                        is_gone = true;
                } else if (model->broken == (int) i && w->peer && once_in(2))
                        worker_lost_connection(w);
                if (is_gone)
                        model_lose_worker(i);
        }
        worker_care(fixture, false);
        model_note_ends(open_ticket());
}

/* The time of one in n of those that wait for it comes. */
void let_time_pass(unsigned n) {
        Task *t, *next;

        HASH_ITER(hh, fixture->tasks.tasks, t, next) {
                if (!t->extra || t->extra->timer == 0 || !once_in(n))
                        continue;
                timers_remove(&fixture->timers, t);
                t->extra->due_usec = 1;
                timers_add(&fixture->timers, t);
                model_find(t)->is_due = true;
        }
        due_run(fixture);
}

void step(void) {
        uint64_t what = draw(100);

        model->step++;
        if (what < 25)
                act_as_client();
        else if (what < 55)
                act_as_worker();
        else if (what < 57)
                tick();
        else if (what < 60)
                let_time_pass(6);
        else if (what < 80)
                let_store_work();
        else
                turn_end(fixture);
}
