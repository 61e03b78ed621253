/* SPDX-License-Identifier: MIT */

/* Not linked but included: whatever is sent must be seen, without knowing before what it is. */
#include "model-driver.h"
#include "controld-fixture.c"
#include "store-driver.h"

uint64_t draw(uint64_t n) {
        uint64_t x = model->random;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        model->random = x;
        return (x >> 11) % n;
}

bool once_in(uint64_t n) {
        return draw(n) == 0;
}

/* --- a store that is as slow as it is told ---------------------------------------------------- */

static uint64_t n_appended, ticket;

static int slow_submit(Store *s, const StoreTask *tasks, size_t n) {
        n_appended += n;
        return 0;
}

static int slow_update(Store *s, const StoreTask *t) {
        n_appended++;
        return 0;
}

static int slow_forget(Store *s, uint64_t sequence) {
        n_appended++;
        return 0;
}

static int slow_add_type(Store *s, const char *name) {
        n_appended++;
        return 0;
}

static int slow_set_paused(Store *s, const char *what, bool paused) {
        n_appended++;
        return 0;
}

static int slow_hurry(Store *s) {
        return 0;
}

static uint64_t slow_commit(Store *s) {
        if (n_appended > 0)
                ticket++;
        n_appended = 0;
        return ticket;
}

static uint64_t slow_safe_ticket(const Store *s) {
        return model->safe;
}

static size_t slow_backlog_bytes(const Store *s) {
        return 0;
}

static bool slow_is_full(const Store *s) {
        return false;
}

static uint64_t slow_lacking_bytes(const Store *s) {
        return 0;
}

static Store *slow_close(Store *s) {
        return NULL;
}

uint64_t open_ticket(void) {
        return ticket + (n_appended > 0 ? 1 : 0);
}

static const StoreDriver slow_driver = {
        .close = slow_close,
        .submit = slow_submit,
        .update = slow_update,
        .forget = slow_forget,
        .add_type = slow_add_type,
        .set_paused = slow_set_paused,
        .hurry = slow_hurry,
        .commit = slow_commit,
        .safe_ticket = slow_safe_ticket,
        .backlog_bytes = slow_backlog_bytes,
        .is_full = slow_is_full,
        .lacking_bytes = slow_lacking_bytes,
};

static Store slow_store = { .driver = &slow_driver };

void slow_store_setup(void) {
        store_close(fixture->store);
        fixture->store = &slow_store;
        fixture->settings->durability = STORE_FULL;
}

static bool is_slow(void) {
        return fixture->store == &slow_store;
}

void let_store_work(void) {
        if (is_slow()) {
                model->safe += draw(MIN(ticket - model->safe, 3U) + 1);
                ledger_settle(fixture, model->safe);
                return;
        }
        for (uint64_t n = draw(4); n > 0; n--)
                ck_assert_int_ge(sd_event_run(fixture->event, once_in(4) ? USEC_PER_MSEC : 0), 0);
}

void settle(void) {
        if (!is_slow()) {
                fixture_settle();
                return;
        }
        persist_commit(fixture);
        model->safe = ticket;
        ledger_settle(fixture, model->safe);
}

/* --- messages --------------------------------------------------------------------------------- */

static const char *peer_name(const ModelRequest *q) {
        static char name[16];

        (void) snprintf(name, sizeof(name), "%c%u.%u",
                        q->is_impostor    ? 'x'
                        : q->is_of_worker ? 'w'
                                          : 'c',
                        q->who,
                        q->is_of_worker ? model->workers[q->who].connection
                                        : model->connections[q->who]);
        return name;
}

static void read_sent(bool with_answers) {
        for (size_t i = 0; i < n_sent; i++) {
                WireRefusal refusal;
                WireMessage m;

                model_require(wire_decode(sent[i].frames, sent[i].n,
                                          WIRE_CONTROLD_TO_CLIENT | WIRE_CONTROLD_TO_WORKER, &m,
                                          &refusal) >= 0,
                              "to %s: %s", sent[i].peer, refusal.text);
                if (with_answers || m.verb == WIRE_TASKS)
                        model_receive(sent[i].peer, &m);
        }
        free_sent();
}

void read_all(void) {
        read_sent(true);
}

void read_assignments(void) {
        read_sent(false);
}

static void put_submit(WireOut *out, const ModelTask *k, char *arguments, char *options,
                       size_t size) {
        size_t n;

        (void) snprintf(arguments, size, "%u", model_number(k));
        n = (size_t) snprintf(options, size, "{\"retry_delay\":10000");
        if (k->unique[0])
                n += (size_t) snprintf(options + n, size - n,
                                       ",\"unique\":\"%s\",\"unique_policy\":\"%s\"", k->unique,
                                       k->unique_returns ? "return" : "refuse");
        if (k->in_memory)
                n += (size_t) snprintf(options + n, size - n, ",\"durability\":\"none\"");
        if (k->is_scheduled)
                n += (size_t) snprintf(options + n, size - n, ",\"countdown\":10000");
        if (k->retries_max >= 0)
                n += (size_t) snprintf(options + n, size - n, ",\"max_retries\":%d",
                                       k->retries_max);
        (void) snprintf(options + n, size - n, "}");
        if (!k->unique[0] && !k->in_memory && !k->is_scheduled && k->retries_max < 0)
                options[0] = '\0';
        wire_put_string(out, model_types[k->type]);
        wire_put_string(out, task_priority_to_string(k->priority));
        wire_put_string(out, k->key);
        wire_put_string(out, arguments);
        wire_put_string(out, options);
}

static void put_group(WireOut *out, WireVerb verb, const ModelGroup *g) {
        wire_put_task_id(out, &model->tasks[g->task].id);
        if (verb == WIRE_WAIT || verb == WIRE_FORGET || verb == WIRE_RETRY || verb == WIRE_PURGE ||
            verb == WIRE_STATUS || verb == WIRE_CANCEL)
                return;
        wire_put_number(out, g->attempt);
        if (verb == WIRE_STARTED)
                wire_put_number(out, draw(3));
        if (verb != WIRE_DONE)
                return;
        wire_put_string(out, wire_outcome_to_string(g->outcome));
        wire_put_string(out, g->text); /* only one of result and error counts */
        wire_put_string(out, g->text);
        wire_put_number(out, 0);
        wire_put_number(out, 0);
        wire_put_string(out, g->details);
}

static void put_fields(WireOut *out, const ModelRequest *q) {
        static char id[8];

        (void) snprintf(id, sizeof(id), "w%u", q->who);
        if (q->verb == WIRE_SUBMIT)
                wire_put_string(out, q->waits ? "wait" : "");
        else if (q->verb == WIRE_HEARTBEAT || q->verb == WIRE_CAPACITY)
                wire_put_number(out, model->workers[q->who].capacity);
        else if (q->verb == WIRE_RELEASE)
                wire_put_string(out, "for a test");
        else if (q->verb == WIRE_REGISTER) {
                wire_put_string(out, id);
                wire_put_number(out, 4);
                wire_put_number(out, model->workers[q->who].capacity);
        }
}

/* The types that a worker offers, which are always the same, and that this is process 7. */
static void put_info(WireOut *out, const ModelRequest *q) {
        static char info[200];
        size_t n = (size_t) snprintf(info, sizeof(info), "{\"host\":\"h\",\"pid\":%d,\"types\":[",
                                     q->is_impostor ? 8 : 7);
        const char *separator = "";

        for (unsigned i = 0; i < MODEL_TYPES; i++) {
                if (!model_offers(q->who, i))
                        continue;
                n += (size_t) snprintf(info + n, sizeof(info) - n, "%s{\"name\":\"%s\"}", separator,
                                       model_types[i]);
                separator = ",";
        }
        (void) snprintf(info + n, sizeof(info) - n, "]}");
        wire_put_string(out, info);
}

void send_request(ModelRequest *q) {
        static char correlation[16], arguments[MODEL_BATCH][100], options[MODEL_BATCH][200];
        struct iovec field = { correlation, 0 };

        field.iov_len = (size_t) snprintf(correlation, sizeof(correlation), "%u", q->number);
        wire_begin(&request, q->verb, &field);
        put_fields(&request, q);
        if (q->verb == WIRE_REGISTER)
                put_info(&request, q);
        for (size_t i = 0; i < q->n; i++)
                if (q->verb == WIRE_SUBMIT)
                        put_submit(&request, &model->tasks[q->groups[i].task], arguments[i],
                                   options[i], sizeof(options[i]));
                else
                        put_group(&request, q->verb, &q->groups[i]);
        model_send(q);
        fixture_request(peer_name(q), q->is_of_worker ? ENDPOINT_WORKER : ENDPOINT_CLIENT);
        q->ticket = open_ticket();
        model_note_ends(open_ticket());
}
