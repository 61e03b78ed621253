/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "controld.h"
#include "due.h"
#include "lease.h"
#include "ledger.h"
#include "log.h"
#include "ops.h"
#include "persist.h"
#include "schedule-run.h"
#include "time-util.h"

#define OPEN UINT64_MAX

/* Not a pointer: a submit that was left out takes its task with it. The id alone would not do, as the client
 * may have chosen it and sent the task again. */
typedef struct LedgerTask {
        TaskId id;
        uint64_t sequence;
        bool is_own;       /* what takes effect is that this task is new, or that it ends */
        uint8_t state;     /* TaskState: pending ones may yet be left out */
        uint8_t end_state; /* TaskState: with LEDGER_CANCEL, how it ends */
} LedgerTask;

struct LedgerEntry {
        TAILQ_ENTRY(LedgerEntry) link;
        uint64_t ticket; /* OPEN: of the open batch */
        LedgerKind kind;
        bool wait; /* a submit whose results are to be pushed */
        Schedule *schedule;
        char *info;
        size_t n_known; /* of a refused submit: how many of its tasks were taken before */
        Peer *peer;     /* whom to answer; kept by n_pending */
        size_t correlation_size;
        uint8_t correlation[WIRE_CORRELATION_MAX];
        size_t n;
        LedgerTask tasks[];
};

void ledger_init(Ledger *l) {
        TAILQ_INIT(&l->entries);
        TAILQ_INIT(&l->returning);
}

bool ledger_is_empty(const Ledger *l) {
        return TAILQ_EMPTY(&l->entries);
}

LedgerEntry *ledger_drop(LedgerEntry *e) {
        if (e->peer)
                e->peer->n_pending--;
        free(e->info);
        free(e);
        return NULL;
}

void ledger_undo(Ledger *l, LedgerEntry *e) {
        TAILQ_REMOVE(&l->entries, e, link);
        ledger_drop(e);
}

void ledger_done(Ledger *l) {
        LedgerEntry *e;

        while ((e = TAILQ_FIRST(&l->entries)))
                ledger_undo(l, e);
        TAILQ_INIT(&l->returning);
}

bool ledger_is_awaited(const Ledger *l) {
        const LedgerEntry *e;

        TAILQ_FOREACH_REVERSE(e, &l->entries, LedgerEntries, link) {
                if (e->ticket != OPEN)
                        break;
                if (e->peer)
                        return true;
        }
        return false;
}

void ledger_return(Ledger *l, Task *t) {
        t->is_returning = true;
        t->return_ticket = OPEN;
        TAILQ_INSERT_TAIL(&l->returning, t, link);
}

void ledger_drop_return(Ledger *l, Task *t) {
        TAILQ_REMOVE(&l->returning, t, link);
        t->is_returning = false;
}

int ledger_add(Ledger *l, LedgerKind kind, const Request *r, size_t n, LedgerEntry **ret) {
        LedgerEntry *e;
        int k;

        e = malloc(sizeof(*e) + n * sizeof(LedgerTask));
        if (!e)
                return -ENOMEM;
        *e = (LedgerEntry){ .ticket = OPEN, .kind = kind };
        if (kind == LEDGER_SUBMIT)
                e->wait = wire_get_mode_is_wait(&r->message.fields[0]);
        if (r) {
                k = endpoint_peer(r->endpoint, &r->routing, &e->peer);
                if (k < 0) {
                        free(e);
                        return k;
                }
                e->peer->n_pending++;
                e->correlation_size = r->message.correlation.iov_len;
                if (e->correlation_size > 0)
                        memcpy(e->correlation, r->message.correlation.iov_base,
                               e->correlation_size);
        }
        TAILQ_INSERT_TAIL(&l->entries, e, link);
        *ret = e;
        return 0;
}

void ledger_silence(LedgerEntry *e) {
        if (!e || !e->peer)
                return;
        e->peer->n_pending--;
        e->peer = NULL;
}

void ledger_set_schedule(LedgerEntry *e, Schedule *s) {
        e->schedule = s;
}

int ledger_set_info(LedgerEntry *e, const char *text) {
        e->info = strdup(text);
        return e->info ? 0 : -ENOMEM;
}

void ledger_note(LedgerEntry *e, const Task *t, bool is_own) {
        e->tasks[e->n++] = (LedgerTask){
                .id = t->id,
                .sequence = t->sequence,
                .is_own = is_own,
                .state = t->state,
                .end_state = t->end_state,
        };
}

void ledger_close(Ledger *l, uint64_t ticket) {
        LedgerEntry *e;
        Task *t;

        TAILQ_FOREACH_REVERSE(e, &l->entries, LedgerEntries, link) {
                if (e->ticket != OPEN)
                        break;
                e->ticket =
                        ticket; /* 0: nothing was ever told to the store, nor is in this batch */
        }
        TAILQ_FOREACH_REVERSE(t, &l->returning, TaskList, link) {
                if (t->return_ticket != OPEN)
                        break;
                t->return_ticket = ticket;
        }
}

static Task *find(const Controld *c, const LedgerTask *l) {
        Task *t = task_find(&c->tasks, &l->id);

        return t && t->sequence == l->sequence ? t : NULL;
}

static struct iovec correlation(LedgerEntry *e) {
        return (struct iovec){ e->correlation, e->correlation_size };
}

static void answer(Controld *c, LedgerEntry *e) {
        if (e->peer)
                (void) peer_send(e->peer, &c->out);
}

/* The submit is refused: its tasks vanish as if they had never come, also from the store if it has them. Returns how
 * many those are at most. */
static size_t drop_tasks(Controld *c, LedgerEntry *e) {
        size_t n_stored = 0;

        for (size_t i = 0; i < e->n; i++) {
                Task *t = find(c, &e->tasks[i]);

                if (!t || !e->tasks[i].is_own)
                        continue;
                n_stored += !t->in_memory;
                persist_forget(c, t);
                waiters_drop(t, &c->dirty);
                task_free(&c->tasks, t);
        }
        for (size_t i = 0; i < e->n; i++)
                e->n_known += find(c, &e->tasks[i]) != NULL;
        return n_stored;
}

static void refuse_submit(Controld *c, LedgerEntry *e) {
        struct iovec id = correlation(e);
        char text[200], rest[SUBMIT_REST_MAX];

        (void) snprintf(text, sizeof(text),
                        "the store is full (MaxStoreBytes=, or the disk): %s, try again later",
                        op_submit_rest(e->n_known, rest));
        wire_put_refusal(&c->out, &id, WIRE_ERROR_NO_SPACE, text);
        answer(c, e);
}

/* One that was safe before can be gone, too, but only because it was purged or is expired. */
static bool is_left_out(const Controld *c, const LedgerTask *l) {
        return l->state == TASK_PENDING && !find(c, l);
}

static bool names_left_out(const Controld *c, const LedgerEntry *e) {
        for (size_t i = 0; i < e->n; i++)
                if (is_left_out(c, &e->tasks[i]))
                        return true;
        return false;
}

/* New tasks were given their waiter when they were made. */
static void wait_for_known(Controld *c, LedgerEntry *e) {
        for (size_t i = 0; e->wait && e->peer && i < e->n; i++) {
                Task *t = find(c, &e->tasks[i]);

                if (e->tasks[i].is_own)
                        continue;
                if (!t)
                        op_wait_unknown(c, e->peer, &e->tasks[i].id);
                else if (peer_wait(e->peer, t, &c->dirty) < 0) {
                        log_oom();
                        return;
                }
        }
}

/* A submit may name a task whose own submit was left out meanwhile. Then it is refused as a whole; but what of it
 * is in the store would come back after a crash, so it must have left before that is said. Returns false if the
 * entry now waits for that. */
static bool settle_left_out(Controld *c, LedgerEntry *e) {
        if (drop_tasks(c, e) == 0) {
                refuse_submit(c, e);
                return true;
        }
        TAILQ_REMOVE(&c->ledger.entries, e, link);
        e->kind = LEDGER_REFUSED;
        e->ticket = OPEN;
        TAILQ_INSERT_TAIL(&c->ledger.entries, e, link);
        return false;
}

/* Returns false if the entry is not done with yet. */
static bool settle_submit(Controld *c, LedgerEntry *e) {
        struct iovec id = correlation(e);

        if (names_left_out(c, e))
                return settle_left_out(c, e);
        wire_begin(&c->out, WIRE_ACCEPTED, &id);
        for (size_t i = 0; i < e->n; i++) {
                wire_put_task_id(&c->out, &e->tasks[i].id);
                if (e->tasks[i].is_own)
                        task_enqueue(c, find(c, &e->tasks[i]));
        }
        answer(c, e);
        wait_for_known(c, e);
        return true;
}

/* If it had ended before, it may have been tried again or purged meanwhile: what is told is the end that it had,
 * and another one is not ours to settle. */
static void settle_cancel(Controld *c, LedgerEntry *e) {
        const LedgerTask *l = &e->tasks[0];
        struct iovec id = correlation(e);
        Task *t = find(c, l);

        if (is_left_out(c, l)) {
                wire_put_refusal(&c->out, &id, WIRE_ERROR_UNKNOWN_TASK, "this task was not taken");
                answer(c, e);
                return;
        }
        if (t && l->is_own)
                task_settle(c, t);
        wire_begin(&c->out, WIRE_CANCELLED, &id);
        wire_put_task_id(&c->out, &l->id);
        wire_put_string(&c->out, wire_cancel_to_string(l->end_state == TASK_CANCELLED
                                                               ? WIRE_CANCEL_CANCELLED
                                                               : WIRE_CANCEL_FINISHED));
        wire_put_string(&c->out, task_state_to_string(l->end_state));
        answer(c, e);
}

static void settle_stop(Controld *c, LedgerEntry *e) {
        const LedgerTask *l = &e->tasks[0];
        struct iovec id = correlation(e);

        wire_begin(&c->out, WIRE_CANCELLED, &id);
        wire_put_task_id(&c->out, &l->id);
        wire_put_string(&c->out, wire_cancel_to_string(WIRE_CANCEL_STOPPING));
        wire_put_string(&c->out, task_state_to_string(l->state));
        answer(c, e);
}

static void settle_end(Controld *c, LedgerEntry *e) {
        struct iovec id = correlation(e);

        for (size_t i = 0; i < e->n; i++) {
                Task *t = find(c, &e->tasks[i]);

                if (t && t->is_ending)
                        task_settle(c, t);
        }
        wire_begin(&c->out, WIRE_ACK, &id);
        answer(c, e);
}

static void settle_schedule(Controld *c, LedgerEntry *e) {
        struct iovec id = correlation(e);

        /* One that was run by a request that came before this one, and was refused, cannot be told as made. */
        if (!e->schedule && names_left_out(c, e)) {
                refuse_submit(c, e);
                return;
        }
        for (size_t i = 0; i < e->n; i++)
                if (e->tasks[i].is_own)
                        task_enqueue(c, find(c, &e->tasks[i]));
        wire_begin(&c->out, WIRE_INFO, &id);
        wire_put_string(&c->out, e->info);
        answer(c, e);
        if (e->schedule)
                schedule_settle(c, TAKE_PTR(e->schedule));
}

static void refuse_schedule(Controld *c, LedgerEntry *e) {
        (void) drop_tasks(c, e);
        e->n_known = 0;
        refuse_submit(c, e);
        if (e->schedule)
                schedule_refuse(c, TAKE_PTR(e->schedule));
}

static void settle_returns(Controld *c, uint64_t ticket) {
        Task *t;

        while ((t = TAILQ_FIRST(&c->ledger.returning)) && t->return_ticket <= ticket) {
                ledger_drop_return(&c->ledger, t);
                due_returned(c, t);
        }
}

void ledger_settle(Controld *c, uint64_t ticket) {
        LedgerEntry *e;

        while ((e = TAILQ_FIRST(&c->ledger.entries)) && e->ticket <= ticket) {
                bool is_done = true;

                switch (e->kind) {
                case LEDGER_SUBMIT:
                        is_done = settle_submit(c, e);
                        break;
                case LEDGER_REFUSED:
                        refuse_submit(c, e);
                        break;
                case LEDGER_CANCEL:
                        settle_cancel(c, e);
                        break;
                case LEDGER_STOP:
                        settle_stop(c, e);
                        break;
                case LEDGER_SCHEDULE:
                        settle_schedule(c, e);
                        break;
                case LEDGER_END:
                case LEDGER_QUIET:
                case LEDGER_DONE:
                        settle_end(c, e);
                        break;
                }
                if (is_done)
                        ledger_undo(&c->ledger, e);
        }
        settle_returns(c, ticket);
}

void ledger_refuse_submits(Controld *c, uint64_t ticket) {
        LedgerEntry *e, *next;

        for (e = TAILQ_FIRST(&c->ledger.entries); e; e = next) {
                next = TAILQ_NEXT(e, link);
                if (e->ticket > ticket)
                        break;
                if (e->ticket == ticket && e->kind == LEDGER_SCHEDULE &&
                    (e->n > 0 || e->schedule)) {
                        refuse_schedule(c, e);
                        ledger_undo(&c->ledger, e);
                        continue;
                }
                if (e->ticket != ticket || e->kind != LEDGER_SUBMIT)
                        continue;
                (void) drop_tasks(c, e); /* the store has none of them */
                refuse_submit(c, e);
                ledger_undo(&c->ledger, e);
        }
}

int ledger_detached(Ledger *l, const Request *r, LedgerEntry **ret) {
        LedgerEntry *e;
        int k;

        k = ledger_add(l, LEDGER_DONE, r, 0, &e);
        if (k < 0)
                return k;
        TAILQ_REMOVE(&l->entries, e, link);
        *ret = e;
        return 0;
}

void ledger_answer(Controld *c, LedgerEntry *e, int error, const char *reason) {
        struct iovec id = correlation(e);

        if (error < 0)
                wire_put_refusal(&c->out, &id, WIRE_ERROR_BAD_ARGUMENT, reason ?: strerror(-error));
        else
                wire_begin(&c->out, WIRE_ACK, &id);
        answer(c, e);
        ledger_drop(e);
}
