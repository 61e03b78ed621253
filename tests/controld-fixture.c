/* SPDX-License-Identifier: MIT */

#include <stdarg.h>

#include "controld-fixture.h"
#include "due.h"
#include "json-util.h"
#include "ops.h"
#include "pause.h"
#include "persist.h"
#include "schedule-run.h"

typedef struct Sent {
        char peer[16];
        struct iovec *frames;
        size_t n;
        bool taken;
} Sent;

struct Endpoint {
        Controld *controld;
        Peer *peers;
};

/* Like ck_assert(), which allocates also if all is well and so would take the failure that a test
 * means for others. */
#define require(condition)                                  \
        do {                                                \
                if (!(condition))                           \
                        ck_abort_msg("not %s", #condition); \
        } while (false)

Controld *fixture;
bool fixture_holds_commits;
int (*fixture_handle)(const struct iovec *routing, const struct iovec *frames, size_t n);

static Endpoint endpoint;
static Sent sent[4096];
static size_t n_sent;
static WireMessage taken;
static WireOut request;

static char broken_peer[16];
static unsigned broken_after;
static int broken_error;

/* --- life ------------------------------------------------------------------------------------- */

/* Nothing of the one who runs the tests. */
static void clear_environment(void) {
        (void) unsetenv("FASTWORKER_CONFIG");
        for (size_t i = 0; i < controld_conf_table.n_items; i++)
                if (controld_conf_table.items[i].env)
                        (void) unsetenv(controld_conf_table.items[i].env);
}

static void forget(const Task *t, void *userdata) {
        dependency_flush(userdata, t);
        persist_forget(userdata, t);
}

static void start(StoreDurability durability, const char *state_directory) {
        static char *argv[] = { (char *) "fastworker-controld", (char *) "--config=/dev/null",
                                NULL };
        Controld *c = calloc(1, sizeof(*c));
        void *settings = NULL;

        ck_assert_ptr_nonnull(c);
        clear_environment();
        ck_assert_int_eq(conf_load(&controld_conf_table, 2, argv, &settings, &c->conf), 1);
        c->settings = settings;
        c->settings->durability = durability;
        if (state_directory) {
                free(c->settings->state_directory);
                c->settings->state_directory = strdup(state_directory);
                ck_assert_ptr_nonnull(c->settings->state_directory);
                c->settings->max_store_bytes =
                        16 * 1024 * 1024; /* a small reserve is quicker made */
        }
        queue_init(&c->queue);
        worker_registry_init(&c->workers);
        results_init(&c->results, c->settings->result_cache_size,
                     c->settings->result_cache_ttl_usec);
        TAILQ_INIT(&c->dirty);
        held_init(&c->held);
        ledger_init(&c->ledger);
        dependencies_init(&c->dependencies);
        c->results.forget = forget;
        c->results.userdata = c;
        endpoint = (Endpoint){ .controld = c };
        fixture = c;
        ck_assert_int_eq(sd_event_new(&c->event), 0);
        ck_assert_int_eq(due_open(c), 0);
        ck_assert_int_eq(persist_open(c), 0);
        if (durability != STORE_NONE)
                fixture_settle(); /* no lease is given before */
}

void fixture_setup(void) {
        fixture_holds_commits = false;
        start(STORE_NONE, NULL);
}

static void free_sent(void) {
        for (size_t i = 0; i < n_sent; i++) {
                for (size_t k = 0; k < sent[i].n; k++)
                        free(sent[i].frames[k].iov_base);
                free(sent[i].frames);
        }
        n_sent = 0;
}

static void stop(void) {
        Controld *c = fixture;
        Worker *w, *next_worker;
        Peer *p, *next_peer;
        Task *t;

        c->store = store_close(c->store);
        if (c->backup)
                c->backup = ledger_drop(c->backup);
        schedules_done(c);
        ledger_done(&c->ledger);
        held_done(&c->held);
        HASH_ITER(hh, c->workers.workers, w, next_worker) {
                while ((t = TAILQ_FIRST(&w->leases))) {
                        TAILQ_REMOVE(&w->leases, t, link);
                        w->n_leased--;
                }
                worker_free(&c->workers, w);
        }
        HASH_ITER(hh, endpoint.peers, p, next_peer)
                peer_free(&endpoint.peers, &c->dirty, p);
        ck_assert(TAILQ_EMPTY(&c->dirty));
        timers_done(&c->timers);
        task_table_done(&c->tasks);
        dependencies_done(&c->dependencies);
        task_types_free(&c->types);
        pauses_done(c);
        sd_event_source_disable_unref(c->token);
        wire_out_done(&c->out);
        wire_out_done(&request);
        conf_settings_free(&controld_conf_table, c->settings);
        conf_free(c->conf);
        sd_event_unref(c->event);
        free(c);
        free_sent();
        broken_error = 0;
        fixture_handle = NULL;
        fixture = NULL;
}

void fixture_teardown(void) {
        stop();
}

void fixture_restart(StoreDurability durability, const char *directory) {
        stop();
        start(durability, directory);
}

void fixture_settle(void) {
        uint64_t ticket;

        persist_commit(fixture);
        ticket = store_commit(fixture->store);
        while (store_safe_ticket(fixture->store) < ticket)
                ck_assert_int_ge(sd_event_run(fixture->event, UINT64_MAX), 0);
        ledger_settle(fixture, ticket);
}

/* --- things ----------------------------------------------------------------------------------- */

Peer *fixture_peer(const char *name) {
        Peer *p = NULL;

        ck_assert_int_eq(peer_get(&endpoint.peers, &endpoint, name, strlen(name), &p), 0);
        return p;
}

Worker *fixture_worker(const char *id, const char *type, uint32_t capacity) {
        Worker *w = make_worker(&fixture->workers, id, make_type(&fixture->types, type),
                                fixture_peer(id));

        w->capacity = capacity;
        return w;
}

Task *fixture_submit(const char *type, TaskPriority priority) {
        return push_task(&fixture->tasks, &fixture->queue, make_type(&fixture->types, type),
                         priority);
}

Task *fixture_pop(TaskPriority p) {
        QueueCursor c;
        Task *t;

        ck_assert_int_eq(queue_cursor_begin(&c, &fixture->queue, p), 0);
        t = queue_cursor_get(&c);
        ck_assert_ptr_nonnull(t);
        queue_cursor_take(&c);
        queue_cursor_end(&c);
        return t;
}

int fixture_end(Task *t, const TaskEnd *end) {
        LedgerEntry *e;
        int r;

        r = ledger_add(&fixture->ledger, LEDGER_QUIET, NULL, 1, &e);
        if (r < 0)
                return r;
        r = task_end(fixture, t, end);
        if (r < 0) {
                ledger_undo(&fixture->ledger, e);
                return r;
        }
        ledger_note(e, t, false);
        persist_commit(fixture);
        return 0;
}

/* --- sending ---------------------------------------------------------------------------------- */

static bool is_broken(const char *peer) {
        if (broken_error == 0 || !streq(peer, broken_peer))
                return false;
        if (broken_after == 0)
                return true;
        broken_after--;
        return false;
}

void fixture_break(const char *peer, unsigned after, int error) {
        (void) snprintf(broken_peer, sizeof(broken_peer), "%s", peer);
        broken_after = after;
        broken_error = error;
}

/* Not with malloc(), which a test may let fail. */
static void *allocate(size_t size) {
        void *p = NULL;

        require(posix_memalign(&p, sizeof(void *), size + 1) == 0);
        return p;
}

static void keep(const char *peer, const WireOut *out) {
        Sent *s = &sent[n_sent];

        require(n_sent < ELEMENTSOF(sent));
        *s = (Sent){ .n = out->n, .frames = allocate(out->n * sizeof(struct iovec)) };
        (void) snprintf(s->peer, sizeof(s->peer), "%s", peer);
        for (size_t i = 0; i < out->n; i++) {
                size_t size = out->frames[i].size;

                s->frames[i] = (struct iovec){ allocate(size), size };
                memcpy(s->frames[i].iov_base, wire_frame_data(&out->frames[i]), size);
        }
        n_sent++;
}

int endpoint_send(Endpoint *e, const struct iovec *routing, const WireOut *out) {
        char peer[16] = "";

        require(routing->iov_len < sizeof(peer));
        memcpy(peer, routing->iov_base, routing->iov_len);
        if (out->error < 0)
                return out->error;
        if (is_broken(peer))
                return broken_error;
        keep(peer, out);
        return 0;
}

int peer_send(Peer *p, const WireOut *out) {
        struct iovec routing = { p->routing, p->routing_size };

        return endpoint_send(p->endpoint, &routing, out);
}

const WireMessage *fixture_take(const char *peer, WireVerb verb) {
        WireRefusal refusal;
        Sent *s = sent;

        while (s < sent + n_sent && (s->taken || !streq(s->peer, peer)))
                s++;
        ck_assert_msg(s < sent + n_sent, "%s to %s was not sent", wire_verb_to_string(verb), peer);
        s->taken = true;
        ck_assert_msg(wire_decode(s->frames, s->n,
                                  WIRE_CONTROLD_TO_CLIENT | WIRE_CONTROLD_TO_WORKER, &taken,
                                  &refusal) >= 0,
                      "to %s: %s", peer, refusal.text);
        ck_assert_msg(taken.verb == verb, "%s was sent to %s, not %s",
                      wire_verb_to_string(taken.verb), peer, wire_verb_to_string(verb));
        return &taken;
}

void fixture_take_error(const char *peer, WireError code, const char *text) {
        const WireMessage *m = fixture_take(peer, WIRE_ERROR);
        _cleanup_free_ char *said = wire_get_string(&m->fields[1]);

        ck_assert_ptr_nonnull(said);
        ck_assert_msg(wire_get_error(&m->fields[0]) == code, "%.*s: %s", (int) m->fields[0].iov_len,
                      (const char *) m->fields[0].iov_base, said);
        ck_assert_contains(said, text);
}

TaskId fixture_id(const WireMessage *m, size_t group) {
        ck_assert_uint_lt(group, m->n_groups);
        return wire_get_task_id(&wire_group(m, group)[0]);
}

void fixture_take_nothing(void) {
        for (size_t i = 0; i < n_sent; i++)
                ck_assert_msg(sent[i].taken, "a message to %s was sent: %.*s", sent[i].peer,
                              (int) sent[i].frames[0].iov_len,
                              (const char *) sent[i].frames[0].iov_base);
}

/* --- receiving -------------------------------------------------------------------------------- */

WireOut *fixture_begin(WireVerb verb) {
        static const struct iovec correlation = { (char *) "c1", 2 };

        wire_begin(&request, verb, &correlation);
        return &request;
}

void fixture_request(const char *peer, EndpointRole role) {
        static struct iovec frames[WIRE_FRAMES_MAX];
        Request r = {
                .endpoint = &endpoint,
                .routing = { (char *) peer, strlen(peer) },
                .frames = frames,
                .n_frames = request.n,
        };
        WireRefusal refusal;
        OpHandler handler;

        require(request.n <= ELEMENTSOF(frames));
        require(request.error == 0);
        for (size_t i = 0; i < request.n; i++)
                frames[i] = (struct iovec){ (char *) wire_frame_data(&request.frames[i]),
                                            request.frames[i].size };
        if (wire_decode(frames, request.n,
                        role == ENDPOINT_WORKER ? WIRE_WORKER_TO_CONTROLD : WIRE_CLIENT_TO_CONTROLD,
                        &r.message, &refusal) < 0)
                ck_abort_msg("%s", refusal.text);
        handler = op_handler(role, r.message.verb);
        require(handler);
        require(handler(fixture, &r) == 0);
        if (!fixture_holds_commits)
                persist_commit(fixture);
}

int endpoint_handle(Endpoint *e, const struct iovec *routing, const struct iovec *frames,
                    size_t n) {
        require(fixture_handle);
        return fixture_handle(routing, frames, n);
}

/* --- the rest of endpoint.h ------------------------------------------------------------------- */

const char *endpoint_role_to_string(EndpointRole role) {
        return "test";
}

EndpointRole endpoint_role(const Endpoint *e) {
        return ENDPOINT_WORKER;
}

bool endpoint_is_tcp(const Endpoint *e) {
        return false;
}

char *const *endpoint_addresses(const Endpoint *e) {
        return NULL;
}

uint64_t endpoint_n_refused(const Endpoint *e) {
        return 0;
}

int endpoint_peer(Endpoint *e, const struct iovec *routing, Peer **ret) {
        return peer_get(&e->peers, e, routing->iov_base, routing->iov_len, ret);
}

Peer *endpoint_find_peer(Endpoint *e, const struct iovec *routing) {
        return peer_find(e->peers, routing->iov_base, routing->iov_len);
}

int request_reply(const Request *r) {
        (void) endpoint_send(r->endpoint, &r->routing, &r->endpoint->controld->out);
        return 0;
}

int request_refuse(const Request *r, WireError code, const char *format, ...) {
        char text[1024];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        wire_put_refusal(&r->endpoint->controld->out, &r->message.correlation, code, text);
        return request_reply(r);
}

int request_reply_info(const Request *r, WireVerb verb, struct json_object *info) {
        _cleanup_json_ struct json_object *o = info;
        WireOut *out = &r->endpoint->controld->out;

        require(o);
        wire_begin(out, verb, &r->message.correlation);
        wire_put_string(out, json_object_to_json_string_ext(o, JSON_COMPACT));
        return request_reply(r);
}
