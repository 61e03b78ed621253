/* SPDX-License-Identifier: MIT */

/* What the coordinator says, held against the model; what it acknowledges is safe from then on. */

#include <stdio.h>

#include "model.h"

static ModelTask *find(const struct iovec *field) {
        TaskId id = wire_get_task_id(field);

        for (unsigned i = 0; i < model->n_tasks; i++)
                if (model->tasks[i].has_id && task_id_equal(&model->tasks[i].id, &id))
                        return &model->tasks[i];
        model_require(false, "nobody has submitted task %.*s", (int) field->iov_len,
                      (const char *) field->iov_base);
        return NULL;
}

static bool says(const struct iovec *field, const char *text) {
        return field->iov_len == strlen(text) && memcmp(field->iov_base, text, field->iov_len) == 0;
}

static bool ended_so(const ModelTask *k, const struct iovec *status) {
        return (k->phase == PHASE_ENDING || k->phase == PHASE_ENDED) &&
               says(status, task_state_to_string(k->end.state));
}

static void accepted(const ModelRequest *q, const WireMessage *m) {
        model_require(m->n_groups == q->n, "%zu tasks were submitted, %zu accepted", q->n,
                      m->n_groups);
        for (size_t i = 0; i < q->n; i++) {
                ModelTask *k = &model->tasks[q->groups[i].task];
                TaskId id = wire_get_task_id(&wire_group(m, i)[0]);

                if (!k->has_id)
                        k->id = id;
                model_require(task_id_equal(&k->id, &id), "task %u was accepted with another id",
                              q->groups[i].task);
                k->has_id = k->is_known = k->is_safe = true;
                if (!q->waits || q->groups[i].is_new)
                        continue;
                if (model_is_there(k))
                        k->waits[q->who] = true;
                else
                        k->unknown[q->who]++;
        }
}

static void acknowledged(const ModelRequest *q) {
        for (size_t i = 0; i < q->n; i++) {
                const ModelGroup *g = &q->groups[i];
                ModelTask *k = &model->tasks[g->task];

                if (q->verb == WIRE_PURGE)
                        k->purge_is_open = false;
                if (g->retries != k->retries)
                        continue;
                if (q->verb == WIRE_RETRY)
                        k->retry_is_open = false;
                else if (q->verb == WIRE_DONE && g->ends)
                        k->end_is_safe = true;
                else if (q->verb == WIRE_DONE) {
                        k->safe_crashes = MAX(k->safe_crashes, g->crashes);
                        k->safe_tries = MAX(k->safe_tries, g->tries);
                }
        }
}

static void registered(const ModelRequest *q, const WireMessage *m) {
        size_t n = 0;

        for (size_t i = 0; i < q->n; i++) {
                const ModelGroup *g = &q->groups[i];
                TaskId id;

                if (!g->is_refused)
                        continue;
                model_require(n < m->n_groups, "the lease of task %u was acknowledged", g->task);
                id = wire_get_task_id(&wire_group(m, n)[0]);
                model_require(task_id_equal(&id, &model->tasks[g->task].id) &&
                                      wire_get_number(&wire_group(m, n)[1]) == g->attempt,
                              "the lease of task %u was acknowledged, or another was not", g->task);
                n++;
        }
        model_require(n == m->n_groups, "a lease that stands was not acknowledged");
}

static void cancelled(const ModelRequest *q, const WireMessage *m) {
        const ModelGroup *g = &q->groups[0];
        ModelTask *k = &model->tasks[g->task];
        WireCancel how = wire_get_cancel(&m->fields[1]);

        model_require(find(&m->fields[0]) == k, "another task was cancelled");
        if (how == WIRE_CANCEL_STOPPING) {
                model_require(!g->ends && (k->cancel_asked || g->retries != k->retries),
                              "task %u does not run, and is to be stopped", q->groups[0].task);
                if (g->retries == k->retries)
                        k->cancel_is_safe = true;
                return;
        }
        model_require(g->ends, "task %u runs, and was not stopped", g->task);
        /* As it ended then: somebody may have tried it again before that was safe. */
        model_require(says(&m->fields[2], task_state_to_string(g->state)) &&
                              (how == WIRE_CANCEL_FINISHED || g->state == TASK_CANCELLED),
                      "task %u is cancelled: %.*s, which it is not", g->task,
                      (int) m->fields[2].iov_len, (const char *) m->fields[2].iov_base);
        if (g->retries == k->retries)
                k->end_is_safe = true;
}

static const char *status(const ModelTask *k, const struct iovec *info) {
        static const char *const texts[] = { "pending", "scheduled", "retrying",
                                             "queued",  "assigned",  "running" };
        _cleanup_free_ char *text = wire_get_string(info);
        char wanted[40];

        if (k->phase == PHASE_ENDED) {
                (void) snprintf(wanted, sizeof(wanted), "\"status\":\"%s\"",
                                task_state_to_string(k->end.state));
                return text && strstr(text, wanted) ? "ended" : NULL;
        }
        for (size_t i = 0; text && i < ELEMENTSOF(texts); i++) {
                (void) snprintf(wanted, sizeof(wanted), "\"status\":\"%s\"", texts[i]);
                if (strstr(text, wanted))
                        return texts[i];
        }
        return NULL;
}

/* What has ended says so with all it left; what is not safe yet is not told. */
static void described(const ModelRequest *q, const WireMessage *m) {
        const ModelTask *k = &model->tasks[q->groups[0].task];
        bool has_ended = k->phase == PHASE_ENDED;
        const char *result = has_ended && k->end.state == TASK_SUCCESS ? k->end.text : "";
        const char *error = has_ended && k->end.state != TASK_SUCCESS ? k->end.text : "";

        model_require(status(k, &m->fields[0]), "task %u in phase %d is described as %.*s",
                      q->groups[0].task, k->phase, (int) m->fields[0].iov_len,
                      (const char *) m->fields[0].iov_base);
        model_require(says(&m->fields[2], result) && says(&m->fields[3], error),
                      "task %u is described with another result", q->groups[0].task);
}

static void refused(ModelRequest *q, const WireMessage *m) {
        WireError code = wire_get_error(&m->fields[0]);

        model_require(code == q->refusal, "%s %u was refused: %.*s", wire_verb_to_string(q->verb),
                      q->number, (int) m->fields[1].iov_len, (const char *) m->fields[1].iov_base);
}

static void answered(const WireMessage *m) {
        char text[WIRE_CORRELATION_MAX + 1] = "";
        ModelRequest *q;
        unsigned number;

        memcpy(text, m->correlation.iov_base, m->correlation.iov_len);
        number = (unsigned) strtoul(text, NULL, 10);
        q = &model->requests[number % MODEL_REQUESTS];
        model_require(q->is_open && q->number == number, "%s to request %s, which has its answer",
                      wire_verb_to_string(m->verb), text);
        q->is_open = false;
        if (m->verb == WIRE_ERROR) {
                refused(q, m);
                return;
        }
        model_require(q->refusal == _WIRE_ERROR_INVALID, "%s %s was not refused",
                      wire_verb_to_string(q->verb), text);
        if (q->verb == WIRE_SUBMIT || q->verb == WIRE_DONE || q->verb == WIRE_RETRY ||
            q->verb == WIRE_PURGE || q->verb == WIRE_CANCEL)
                model_require(q->ticket <= model->safe || q->is_settled,
                              "%s %s is answered before it is safe", wire_verb_to_string(q->verb),
                              text);
        if (q->verb == WIRE_SUBMIT && m->verb == WIRE_ACCEPTED)
                accepted(q, m);
        else if (q->verb == WIRE_CANCEL && m->verb == WIRE_CANCELLED)
                cancelled(q, m);
        else if (q->verb == WIRE_STATUS && m->verb == WIRE_TASK)
                described(q, m);
        else if (q->verb == WIRE_REGISTER && m->verb == WIRE_REGISTERED)
                registered(q, m);
        else {
                model_require(m->verb == WIRE_ACK, "%s is no answer to %s",
                              wire_verb_to_string(m->verb), wire_verb_to_string(q->verb));
                acknowledged(q);
        }
}

static void receive_results(unsigned client, const WireMessage *m) {
        for (size_t i = 0; i < m->n_groups; i++) {
                const struct iovec *g = wire_group(m, i);
                ModelTask *k = find(&g[0]);
                bool is_success = k->end.state == TASK_SUCCESS;

                if (says(&g[1], "unknown")) {
                        model_require(k->unknown[client] > 0, "task %u is unknown",
                                      model_number(k));
                        k->unknown[client]--;
                        continue;
                }
                model_require(k->waits[client], "client %u does not wait for task %u", client,
                              model_number(k));
                model_require(ended_so(k, &g[1]) && says(&g[2], is_success ? k->end.text : "") &&
                                      says(&g[3], is_success ? "" : k->end.text),
                              "task %u has another result than %.*s, \"%.*s\", \"%.*s\"",
                              model_number(k), (int) g[1].iov_len, (const char *) g[1].iov_base,
                              (int) g[2].iov_len, (const char *) g[2].iov_base, (int) g[3].iov_len,
                              (const char *) g[3].iov_base);
                k->waits[client] = false;
                k->end_is_safe = true;
                model->n_results++;
        }
}

static unsigned count_leases(unsigned w) {
        unsigned n = 0;

        for (unsigned i = 0; i < model->n_tasks; i++)
                n += model->tasks[i].phase == PHASE_LEASED && model->tasks[i].worker == (int) w;
        return n;
}

static void receive_tasks(unsigned w, const WireMessage *m) {
        for (size_t i = 0; i < m->n_groups; i++) {
                const struct iovec *g = wire_group(m, i);
                unsigned number = (unsigned) wire_get_number(&g[3]);
                ModelTask *k = &model->tasks[number];
                TaskId id = wire_get_task_id(&g[0]);

                model_require(number < model->n_tasks, "task %u was never submitted", number);
                model_require(k->phase == PHASE_QUEUED ||
                                      (k->phase == PHASE_PENDING && !k->is_scheduled) ||
                                      (k->phase == PHASE_WAITING && k->is_due),
                              "task %u in phase %d is handed out", number, k->phase);
                model_require(!k->has_id || task_id_equal(&id, &k->id), "task %u has another id",
                              number);
                model_require(wire_get_number(&g[1]) > k->attempt &&
                                      wire_get_number(&g[1]) > k->last_given,
                              "task %u is handed out with an attempt that was given", number);
                k->last_given = (uint32_t) wire_get_number(&g[1]);
                model_require(says(&g[2], model_types[k->type]) && model_offers(w, k->type),
                              "task %u is handed to one who does not offer its type", number);
                k->id = id;
                k->has_id = k->is_safe = true;
                model_lease(k, w, (uint32_t) wire_get_number(&g[1]));
        }
        model_require(model->workers[w].is_attached && !model->workers[w].is_draining &&
                              count_leases(w) <= model->workers[w].capacity,
                      "worker %u wants no more tasks", w);
}

static void receive_revokes(unsigned w, const WireMessage *m) {
        for (size_t i = 0; i < m->n_groups; i++) {
                const ModelTask *k = find(&wire_group(m, i)[0]);

                model_require(
                        k->cancel_asked &&
                                model_holds(k, w, (uint32_t) wire_get_number(&wire_group(m, i)[1])),
                        "nobody wants task %u stopped", model_number(k));
        }
}

void model_receive(const char *peer, const WireMessage *m) {
        unsigned who, connection;
        char kind;

        model_require(sscanf(peer, "%c%u.%u", &kind, &who, &connection) == 3, "peer %s", peer);
        if (connection != (kind == 'c'   ? model->connections[who]
                           : kind == 'w' ? model->workers[who].connection
                                         : connection))
                return; /* nobody is there any more */
        if (m->correlation.iov_len > 0)
                answered(m);
        else if (kind == 'c' && m->verb == WIRE_RESULT)
                receive_results(who, m);
        else if (kind == 'w' && m->verb == WIRE_TASKS)
                receive_tasks(who, m);
        else if (kind == 'w' && m->verb == WIRE_REVOKE)
                receive_revokes(who, m);
        else
                model_require(kind == 'w' && m->verb == WIRE_PING, "%s to %s",
                              wire_verb_to_string(m->verb), peer);
}
