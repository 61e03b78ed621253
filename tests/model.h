/* SPDX-License-Identifier: MIT */
#pragma once

/* What a coordinator must do, without how: for each request what it changes and how it may be answered, and what of
 * that must still hold after a crash. It knows no clock, no queue and no store. A test asks both the same and
 * compares, see check_model.c. It holds no pointers, so that it can lie in memory that outlives a process. */

#include "controld-fixture.h"

enum {
        MODEL_CLIENTS = 3,
        MODEL_WORKERS = 4,
        MODEL_TYPES = 3,
        MODEL_TASKS = 1000,
        MODEL_BATCH = 16, /* groups in a request */
        MODEL_ATTEMPTS = 250,
        MODEL_REQUESTS = 1024, /* that wait for an answer */
        MODEL_RESULT_MAX = 40,
        MODEL_NOBODY = -1,
};

typedef enum ModelPhase {
        PHASE_NONE,    /* not submitted, or of a submit that was not taken */
        PHASE_PENDING, /* submitted */
        PHASE_WAITING, /* for its time, which may have come */
        PHASE_QUEUED,
        PHASE_LEASED,
        PHASE_ENDING, /* its end is decided, and not yet safe */
        PHASE_ENDED,
        PHASE_GONE, /* purged, or it was only in memory */
} ModelPhase;

typedef struct ModelEnd {
        TaskState state;
        char text[100]; /* the result, or the error */
        int worker;     /* whose lease it was, MODEL_NOBODY: nobody's */
        uint32_t attempt;
} ModelEnd;

typedef struct ModelTask {
        ModelPhase phase;
        TaskId id;
        bool has_id;
        bool is_known;  /* to clients: its id may be used */
        bool is_safe;   /* it may not be lost any more: ACCEPTED was seen, or it was given out */
        bool in_memory; /* by the submitter's wish it need not survive */
        bool unique_returns, cancel_asked;
        bool cancel_is_safe; /* the wish was acknowledged */
        bool may_be_held; /* after a crash: the last attempt may have been given in the last moment */
        uint32_t last_given;    /* attempt, over all lives */
        bool is_present;        /* while comparing */
        bool is_ending_pending; /* it was cancelled before its submit was safe */
        uint8_t type, priority, crashes, safe_crashes;
        bool is_scheduled;          /* it is to be queued much later */
        bool is_retrying;           /* it waits for another attempt */
        bool is_due;                /* its time has come */
        int retries_max;            /* attempts after one that failed; -1: as many as it asks for */
        unsigned tries, safe_tries; /* attempts that failed and were followed by another */
        char key[40], unique[4];
        int worker; /* who holds the lease */
        uint32_t attempt;
        ModelEnd end;
        unsigned retries;
        bool retry_is_open,
                purge_is_open; /* not acknowledged: after a crash it may not have been */
        bool end_is_safe;
        uint64_t end_ticket;             /* of the store, see model_note_ends() */
        ModelEnd old_end;                /* before the retry */
        uint8_t holders[MODEL_ATTEMPTS]; /* a bit for each worker that had this attempt */
        bool waits[MODEL_CLIENTS];       /* a RESULT is due */
        uint8_t unknown[MODEL_CLIENTS];  /* so many RESULTs that say unknown are due at once */
} ModelTask;

typedef struct ModelGroup {
        unsigned task;
        uint32_t attempt;
        WireOutcome outcome;
        char text[100];
        const char *details;
        unsigned tries;
        bool is_new;      /* SUBMIT: this one made the task */
        bool is_refused;  /* REGISTER: this lease is not acknowledged */
        bool ends;        /* DONE: the ACK promises that the task has ended */
        TaskState state;  /* CANCEL: what it has ended as, or will have */
        unsigned retries; /* what the promise is about: */
        uint8_t crashes;
} ModelGroup;

typedef struct ModelRequest {
        bool is_open;
        WireVerb verb;
        bool is_of_worker, is_impostor, is_new_connection, waits;
        unsigned who;
        WireError refusal; /* the only right answer; _WIRE_ERROR_INVALID: none */
        unsigned number;
        uint64_t ticket; /* of the store: what it promises is safe then */
        bool is_settled; /* nothing new: it promises nothing that is not safe yet */
        size_t n;
        ModelGroup groups[MODEL_BATCH];
} ModelRequest;

typedef struct ModelWorker {
        bool is_attached, is_draining;
        unsigned connection;
        uint32_t capacity;
} ModelWorker;

typedef struct Model {
        uint64_t seed, random, step;
        uint64_t safe; /* the store's last safe ticket, if the test knows it */
        unsigned n_requests, n_texts, n_tasks;
        bool is_dying, is_finished;
        int broken; /* the worker that cannot be reached, though the coordinator may not know */
        unsigned connections[MODEL_CLIENTS];
        ModelWorker workers[MODEL_WORKERS];
        ModelTask tasks[MODEL_TASKS];
        ModelRequest requests[MODEL_REQUESTS];
        uint64_t n_ends, n_tries, n_retries, n_refused, n_crashes,
                n_results; /* that the test does something */
} Model;

extern const char *const model_types[MODEL_TYPES];

/* Unlike ck_assert() it costs nothing as long as all is well. */
#define model_require(condition, format, ...)                                                    \
        do {                                                                                     \
                if (!(condition))                                                                \
                        ck_abort_msg("seed %" PRIu64 ", step %" PRIu64 ": " format, model->seed, \
                                     model->step __VA_OPT__(, ) __VA_ARGS__);                    \
        } while (false)

extern Model *model;

unsigned model_number(const ModelTask *k);
bool model_offers(unsigned worker, unsigned type);
bool model_is_live(const ModelTask *k);
bool model_is_there(const ModelTask *k);

bool model_holds(const ModelTask *k, unsigned w, uint32_t attempt);
void model_lease(ModelTask *k, unsigned w, uint32_t attempt);

/* The one that the coordinator has there. */
ModelTask *model_find(const Task *t);

/* A new request, to be filled in. */
ModelRequest *model_request(WireVerb verb, bool is_of_worker, unsigned who);

/* It is sent: decides what it changes and how it may be answered. */
void model_send(ModelRequest *q);

/* The coordinator does not know it (any more); a client that has a key may send it again. */
void model_untake(ModelTask *k);

/* The ends that were decided since the last call will be safe with that ticket. */
void model_note_ends(uint64_t ticket);

/* A message came to the peer of this name, "c0.1" or "w0.1": client or worker, its number, its connection. */
void model_receive(const char *peer, const WireMessage *m);

/* The worker is taken for gone, and what it holds is queued again. */
void model_lose_worker(unsigned w);

/* The client comes with a new connection. */
void model_reconnect(unsigned client);

/* Everything in the coordinator is as the model says, and its own counts are right. */
void model_compare(const Controld *c);

/* The same after a restart: what was not safe may be gone, all else must be there. Forgets all connections. */
void model_recover(const Controld *c);
