/* SPDX-License-Identifier: MIT */
#pragma once

/* Answers that must not be given before what they promise is safe: each waits here for the ticket of its
 * batch of changes, then takes effect and is sent. */

#include "endpoint.h"

typedef struct LedgerEntry LedgerEntry;

typedef struct Ledger {
        TAILQ_HEAD(LedgerEntries, LedgerEntry)
        entries;            /* by ticket; those of the open batch last */
        TaskList returning; /* the same */
} Ledger;

typedef enum LedgerKind {
        LEDGER_SUBMIT, /* new tasks enter the queue; ACCEPTED, or a refusal when there was no space */
        LEDGER_END,    /* ended tasks become results; ACK to the worker that told */
        LEDGER_CANCEL, /* the same; CANCELLED to the client */
        LEDGER_STOP,   /* a running task is to be stopped; CANCELLED to the client */
        LEDGER_QUIET,  /* an end that nobody asked for */
        LEDGER_DONE,   /* something else was done; ACK */
        LEDGER_SCHEDULE, /* tasks of a schedule enter the queue, and it goes on; INFO if somebody asked */
        LEDGER_REFUSED, /* a submit of which the store has a part is undone; the refusal */
} LedgerKind;

void ledger_init(Ledger *l);
/* Forgets all entries; they take no effect. */
void ledger_done(Ledger *l);
bool ledger_is_empty(const Ledger *l);

/* A new entry of the open batch that will answer `r` (NULL with LEDGER_QUIET). Room for n tasks is reserved, so
 * that ledger_note() cannot fail. -ENOMEM. */
int ledger_add(Ledger *l, LedgerKind kind, const Request *r, size_t n, LedgerEntry **ret);
/* is_own: this request makes the task, or ends it; it does not just name it. */
void ledger_note(LedgerEntry *e, const Task *t, bool is_own);
/* For LEDGER_SCHEDULE: whose progress it is (NULL: nobody's any more), and the answer, copied. The latter: -ENOMEM. */
typedef struct Schedule Schedule;
void ledger_set_schedule(LedgerEntry *e, Schedule *s);
int ledger_set_info(LedgerEntry *e, const char *text);
/* It takes effect, but its answer is not sent: not all of the request was done. NULL is fine. */
void ledger_silence(LedgerEntry *e);
/* Takes an entry of the open batch back. */
void ledger_undo(Ledger *l, LedgerEntry *e);

/* The task, of which the store was told just now that it is queued again, or waits for a retry, enters its queue when that is safe: so the
 * store knows of all leases that a task had before it is given the next one. */
void ledger_return(Ledger *l, Task *t);
/* It does not. */
void ledger_drop_return(Ledger *l, Task *t);

/* Whether somebody waits for an answer that depends on the open batch. */
bool ledger_is_awaited(const Ledger *l);

/* An answer that waits for something else than a batch: stands in no list, is given by ledger_answer() (ACK, or
 * ERROR bad-argument with the reason) or dropped, both of which free it. ledger_drop() returns NULL. */
int ledger_detached(Ledger *l, const Request *r, LedgerEntry **ret);
void ledger_answer(Controld *c, LedgerEntry *e, int error, const char *reason);
LedgerEntry *ledger_drop(LedgerEntry *e);

/* The open batch was given this ticket. */
void ledger_close(Ledger *l, uint64_t ticket);

/* Everything up to the ticket is safe. */
void ledger_settle(Controld *c, uint64_t ticket);

/* The store had no room for the submits of this batch. */
void ledger_refuse_submits(Controld *c, uint64_t ticket);
