/* SPDX-License-Identifier: MIT */
#pragma once

/* How the parts of libfastworker fit together.
 *
 * A Request is a message that wants an answer; it is kept, ready to be sent again, until the answer is
 * here or its time is over. An Await is a task whose result somebody wants. Both live in hash tables whose
 * order of insertion is the order of sending: everything before next_unsent (next_unsubscribed) has been
 * sent on this connection, everything from there on has not. A new connection just moves the marks back to
 * the beginning. link.c owns the sockets and does so.
 *
 * Blocking functions put a Reply on their stack and run the loop until it is done. */

#include <inttypes.h>

#include "request.h"

#define _public_ __attribute__((visibility("default")))

struct fastworker_result {
        char task_id[FASTWORKER_TASK_ID_SIZE];
        const char *status; /* static */
        char *data, *error;
        size_t data_size, data_allocated, error_allocated;
        char code[65];
        uint64_t started_usec, completed_usec;
        void *userdata;
};

typedef struct Place {
        char *address;
        bool is_discovery; /* ask there for the address */
        bool is_guess;     /* nobody said so: another place may turn out to be right */
} Place;

struct fastworker_client {
        char *address, *discovery_address;
        uint64_t timeout_usec; /* 0: not set yet */
        int retries;           /* -1: not set yet */

        /* link.c */
        void *context, *socket, *monitor;
        int epoll_fd;
        unsigned n_opened;
        uint64_t n_connections; /* made so far */
        Place place;
        char *peer_address;
        bool is_connected, is_greeted, monitor_is_unread;
        char *server;
        uint64_t max_payload_bytes;
        uint64_t greeting_number, greeting_due_usec, relocate_usec;
        int greeting_error;

        /* request.c */
        Request *requests, *next_unsent, *open, *spare;
        size_t n_spare;
        uint64_t last_number;
        uint64_t requests_due_usec;

        /* await.c */
        Await *awaits, *next_unsubscribed;
        uint64_t resubscribe_usec;

        size_t n_pending;
        fastworker_result_handler result_handler;
        fastworker_accepted_handler accepted_handler;
        void *result_userdata, *accepted_userdata;
        bool is_started, in_handler;
        bool is_dirty;  /* there may be something to do that the descriptor does not tell */
        Reply *waiting; /* of the blocking function that runs, or NULL */

        Frames in;
        WireOut out;
        fastworker_result current;
        char error[2048], error_code[65];
};

/* client.c: keeps the sentence for fastworker_client_get_error(); returns -error (a positive errno). */
int client_fail(fastworker_client *c, int error, const char *format, ...) _printf_(3, 4);
/* The same for a refusal of the coordinator; the texts are not NUL-terminated. */
int client_refused(fastworker_client *c, const struct iovec *code, const struct iovec *text);
/* What the environment says, unless the program said it. */
int client_load_settings(fastworker_client *c);
uint64_t usec_later(uint64_t a, uint64_t b); /* a + b, or USEC_INFINITY */

/* loop.c */
/* What a blocking function checks first. */
int client_may_block(fastworker_client *c);
/* Runs the loop until the reply is done or CLOCK_MONOTONIC passes the deadline. Returns reply->error. */
int client_block(fastworker_client *c, Reply *reply, uint64_t deadline_usec);
/* Forgets what a blocking function that gives up has left behind. */
void client_abandon(fastworker_client *c, Reply *reply);
/* fastworker_client_run() with a CLOCK_MONOTONIC deadline. */
int client_run_until(fastworker_client *c, uint64_t deadline_usec);

/* locate.c: which place to try, the n-th time (counted from 0). */
int locate(fastworker_client *c, unsigned n, Place *ret);
void place_done(Place *p);
/* Whether there is a unix socket that we would use, but may not. */
bool locate_is_denied(const fastworker_client *c);
/* Says so. Returns -EACCES. */
int locate_fail_denied(fastworker_client *c);
/* Says so and returns -EACCES if the address is that of such a socket. */
int locate_check_address(fastworker_client *c, const char *address);
/* The client endpoint named in an answer to DISCOVER from `asked`; a fresh string. */
int locate_choose(fastworker_client *c, const char *asked, const struct iovec *info, char **ret);
const char *locate_discovery_address(const fastworker_client *c);

/* link.c */
int link_start(fastworker_client *c);
void link_close(fastworker_client *c);
int link_new_socket(fastworker_client *c, const char *address, void **ret);
int link_read_monitor(fastworker_client *c); /* 1: something happened */
int link_take_greeting(fastworker_client *c, const WireMessage *m);
int link_check_due(fastworker_client *c, uint64_t now); /* 1: something was done */
uint64_t link_due(const fastworker_client *c);

/* query.c: -EINVAL if the text is not an id. The second gives it as the protocol has it, in lower case. */
int client_get_id(fastworker_client *c, const char *text, TaskId *ret);
int client_get_id_text(fastworker_client *c, const char *text,
                       char ret[static TASK_ID_TEXT_LENGTH + 1]);

/* result.c */
void result_clear(fastworker_result *r);
void result_done(fastworker_result *r);
int result_set_data(fastworker_result *r, const void *data, size_t size);
int result_set_error(fastworker_result *r, const void *text, size_t size);
/* A result that did not come from a task; `code` is at most 64 characters. */
void result_set_refusal(fastworker_result *r, const char *status, const char *text,
                        const char *code);
int result_from_group(fastworker_result *r, const struct iovec *group);
/* Hands c->current to a reply or to the handler. */
void result_deliver(fastworker_client *c, Reply *reply, void *userdata);

/* receive.c: 1 if a message was there. */
int client_receive(fastworker_client *c);

/* status.c: what TASK says as one JSON object, or as a result (1; 0 if the task has not ended). */
int status_to_json(const WireMessage *m, char **ret);
int status_to_result(const WireMessage *m, fastworker_result **ret);

/* --- submission.c --- */

/* The options of a submission that has some with a field of its own: a fresh string, else NULL. -EINVAL, -ENOMEM: with a
 * client, that is told. */
int submission_options(fastworker_client *c, const fastworker_submission *s, char **ret);
