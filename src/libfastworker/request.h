/* SPDX-License-Identifier: MIT */
#pragma once

/* What is on its way: requests that want an answer and tasks whose results are awaited. */

#include <fastworker/client.h>

#include "hash.h"
#include "macro.h"
#include "wire.h"
#include "zmq-util.h"

#define CLIENT_REQUEST_BYTES_MAX \
        (512U * 1024U) /* tasks of several calls share a message up to this size */

/* The first byte of a correlation id says what was sent. */
typedef enum CorrelationKind {
        CORRELATION_REQUEST,
        CORRELATION_WAIT,
        CORRELATION_GREETING,
} CorrelationKind;

/* A correlation id, and over which connection (counted; 24 bits of it) its message was sent. */
typedef struct Correlation {
        CorrelationKind kind;
        uint32_t connection;
        uint64_t number;
} Correlation;

/* What a blocking function waits for. */
typedef struct Reply {
        bool done;
        bool is_repeated; /* the request was sent more than once: an earlier one may have been done */
        int error;        /* -errno; the client's error text says more */
        uint64_t number;                           /* the request, while it is unanswered */
        char (*task_ids)[FASTWORKER_TASK_ID_SIZE]; /* of SUBMIT: where the ids go, or NULL */
        bool wants_result; /* of SUBMIT: done only with the result of the task */
        TaskId task_id;
        fastworker_result *result;
        char *json;
        int outcome;
} Reply;

/* Turns a received answer into the caller's reply; < 0 fails it. */
typedef int (*ReplyTake)(fastworker_client *c, const WireMessage *m, Reply *reply);

typedef struct Request {
        uint64_t number;
        WireVerb verb;
        uint64_t created_usec; /* CLOCK_MONOTONIC, as all of these */
        uint64_t due_usec;     /* when to send it again */
        Reply *reply;          /* or NULL: to the handlers */
        ReplyTake take;
        bool wants_results; /* SUBMIT in mode "wait" */
        bool is_atomic;     /* SUBMIT: one batch, not the tasks of several calls */
        bool was_sent;
        int error; /* sticks while it is built */

        uint32_t *sizes; /* of the frames after the first two */
        size_t n_frames, sizes_allocated;
        char *bytes; /* the frames, end to end */
        size_t n_bytes, bytes_allocated;
        void **userdata; /* of the tasks of a SUBMIT */
        size_t n_tasks, userdata_allocated;

        struct Request *next_spare;
        UT_hash_handle hh;
} Request;

typedef struct Await {
        TaskId id;
        uint64_t wait_number; /* of the WAIT that asked for it, 0: none did */
        Reply *reply;         /* or NULL: to the handler */
        void *userdata;
        struct Await *more; /* others that want the same result */
        UT_hash_handle hh;
} Await;

/* request.c: a request is made, filled, and then queued; request_queue() frees it if it fails. */
Request *request_new(fastworker_client *c, WireVerb verb, Reply *reply, ReplyTake take);
void request_put(Request *q, const void *data, size_t size);
void request_put_userdata(Request *q, void *userdata);
int request_queue(fastworker_client *c, Request *q);
void request_drop(Request *q); /* one that was not queued */
Request *request_find(fastworker_client *c, uint64_t number);
void request_free(fastworker_client *c, Request *q); /* unlinks it as well */
void requests_done(fastworker_client *c);
int requests_flush(fastworker_client *c);                   /* 1: something was sent */
int requests_check_due(fastworker_client *c, uint64_t now); /* 1: something was done */
void request_postpone(fastworker_client *c, Request *q);    /* the coordinator is going down */
/* Fails it with the client's error text: the reply, or a result for each of its tasks. Frees it. */
void request_fail(fastworker_client *c, Request *q, int error, const char *status);
/* One question with no more than one field. */
int request_ask(fastworker_client *c, WireVerb verb, const void *field, size_t size, Reply *reply,
                ReplyTake take);

/* await.c */
int await_add(fastworker_client *c, const TaskId *id, Reply *reply, void *userdata,
              bool is_subscribed);
/* Takes one out: the reply's, or (reply NULL) all that go to the handler. Returns how many. */
size_t await_remove(fastworker_client *c, const TaskId *id, const Reply *reply);
void awaits_done(fastworker_client *c);
int awaits_flush(fastworker_client *c); /* 1: something was sent */
void awaits_finish(fastworker_client *c, const struct iovec *group);
void awaits_refused(fastworker_client *c, uint64_t wait_number, WireError code);

/* submit.c */
void submit_take_accepted(fastworker_client *c, Request *q, const WireMessage *m);
void submit_split(fastworker_client *c, Request *q);

/* link.c: what stands in the second frame of what we send. */
#define CORRELATION_SIZE 12U
struct iovec correlation_set(uint8_t buffer[static CORRELATION_SIZE], CorrelationKind kind,
                             uint64_t connection, uint64_t number);
bool correlation_get(const struct iovec *f, Correlation *ret);
