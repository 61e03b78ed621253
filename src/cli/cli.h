/* SPDX-License-Identifier: MIT */
#pragma once

/* The verbs of `fastworker`, one a file, and what they share. A verb gets its own words (argv[0] is its name)
 * and returns a CliStatus; whatever it has to complain about it has said on stderr by then. */

#include <json-c/json.h>
#include <stdio.h>

#include <fastworker/client.h>

#include "exit-status.h"
#include "macro.h"
#include "options.h"

typedef struct Verb {
        const char *name; /* NULL: a heading for the list of verbs */
        int (*run)(int argc, char *argv[]);
        const char *summary; /* for the list of verbs */
} Verb;

#define TIMEOUT_QUESTION_USEC (5 * UINT64_C(1000000)) /* for verbs that only ask */
#define TIMEOUT_RESULT_USEC   (30 * UINT64_C(1000000))

extern const Verb verbs[]; /* ends with a NULL name and summary */

/* The whole command line but for the end: argv[1] is the verb. Returns a status. */
int run_verb(int argc, char *argv[]);

int verb_backup(int argc, char *argv[]);
int verb_batch(int argc, char *argv[]);
int verb_cancel(int argc, char *argv[]);
int verb_control_plane(int argc, char *argv[]);
int verb_dead(int argc, char *argv[]);
int verb_drain(int argc, char *argv[]);
int verb_discover(int argc, char *argv[]);
int verb_export(int argc, char *argv[]);
int verb_help(int argc, char *argv[]);
int verb_import(int argc, char *argv[]);
int verb_list(int argc, char *argv[]);
int verb_logs(int argc, char *argv[]);
int verb_pause(int argc, char *argv[]);
int verb_ping(int argc, char *argv[]);
int verb_queues(int argc, char *argv[]);
int verb_schedule(int argc, char *argv[]);
int verb_resume(int argc, char *argv[]);
int verb_status(int argc, char *argv[]);
int verb_submit(int argc, char *argv[]);
int verb_subworker(int argc, char *argv[]);
int verb_task(int argc, char *argv[]);
int verb_wait(int argc, char *argv[]);
int verb_workers(int argc, char *argv[]);

const Verb *find_verb(const char *name); /* or NULL */
void print_verbs(void);

/* --- output.c --- */

/* "fastworker VERB: text" on stderr; control characters in it are escaped. Returns the status. */
int complain(CliStatus status, const char *format, ...) _printf_(2, 3);
int complain_oom(void);
bool is_utf8(const char *text);
bool is_blank(const char *text, size_t size);
/* Text of others for a person: on a terminal, control characters are escaped. */
void print_text(FILE *f, const char *text, size_t size);
/* As --json= says (short if it is off). */
int print_json(struct json_object *o);
/* A JSON answer of the coordinator: printed if --json= asks for it (0), else parsed into *ret (1). */
int print_or_parse(const char *text, struct json_object **ret, int *ret_status);
/* A payload as value if it is JSON, else as string; null if it is empty. -ENOMEM. */
int add_payload(struct json_object *o, const char *key, const char *data, size_t size);
/* A text that need not be UTF-8. */
int add_text(struct json_object *o, const char *key, const char *text);
/* Members of an answer for a table; "-" for what is missing or null. */
const char *text_of(struct json_object *o, const char *key);
struct json_object *member(struct json_object *o, const char *key); /* NULL if missing */

/* --- table.c --- */

typedef struct Column {
        const char *name;
        enum {
                COLUMN_TEXT,
                COLUMN_NUMBER,
                COLUMN_CUT
        } kind; /* CUT gives way on a narrow terminal */
} Column;

typedef struct Table Table;
Table *table_new(const Column *columns, size_t n); /* NULL: out of memory */
/* As many strings as columns. */
int table_add(Table *t, const char *const *cells);
/* Prints and frees it. */
int table_show(Table *t);
Table *table_free(Table *t);
DEFINE_CLEANUP_FUNC(Table *, table_free);

/* --- session.c --- */

static inline void client_freep(fastworker_client **c) {
        fastworker_client_free(*c);
}
#define _cleanup_client_ _cleanup_(client_freep)

/* --timeout, else FASTWORKER_TIMEOUT, else the given one. Returns 0, or a status after having complained. */
int session_timeout(uint64_t fallback_usec, uint64_t *ret_usec);
/* Now plus that. */
uint64_t session_deadline(uint64_t timeout_usec);
/* Both in one, for verbs that ask and need no deadline of their own. */
int session_open(uint64_t fallback_usec, fastworker_client **ret);
/* A client as the options say, connected. Returns 0, or a status after having complained. */
int session_connect(uint64_t timeout_usec, fastworker_client **ret);
/* The status for a function of the client that failed; complains. */
int session_failed(fastworker_client *c, int error);
/* Asks one question and shows the JSON of the answer, as --json= says or with the function. */
int session_show(int (*ask)(fastworker_client *c, char **ret_json),
                 int (*show)(struct json_object *o));
/* From here on SIGINT and SIGTERM do not end the program; session_turn() tells of them. */
int session_hold_signals(void);
/* Lets the client work. If there is nothing to do, waits until the CLOCK_MONOTONIC deadline or for `fd` (-1:
 * none) to become readable. Returns 1 if `fd` is readable, 0, -EINTR for a signal (*ret_signal), -ETIMEDOUT
 * for the deadline, or an error of the client. */
int session_turn(fastworker_client *c, int fd, uint64_t deadline_usec, int *ret_signal);

/* --- progress.c --- */

/* session_turn() that says on stderr, once a second if there is news, how far these tasks are. */
int progress_turn(fastworker_client *c, const Words *ids, uint64_t deadline_usec, int *ret_signal);
/* To be called before anything else is printed. */
void progress_end(void);

/* --- arguments.c --- */

/* The words of --args and the object of --kwargs as arguments of a task: a fresh string. Complains. */
int make_arguments(const Words *args, const char *kwargs, char **ret);

/* --- task-options.c --- */

/* What stands on a command line; NULL and 0: not given. */
typedef struct TaskOptions {
        const char *unique, *policy, *durability, *eta, *expires, *retry_backoff, *retry_jitter;
        const char *traceparent, *concurrency_key;
        const char *depends_on, *group, *after_group;
        Words labels;
        uint64_t concurrency; /* 0: not given */
        uint64_t countdown_usec, retry_delay_usec, retry_backoff_max_usec, timeout_usec,
                soft_timeout_usec;
        uint64_t max_retries; /* UINT64_MAX: not given */
} TaskOptions;

/* A JSON object as a fresh string, or *ret = NULL if there is nothing in it. CLI_USAGE after a complaint, -ENOMEM. */
int make_task_options(const TaskOptions *t, char **ret);
int task_options_to_text(struct json_object *o, char **ret);

/* --- task-ids.c: --task-id of `status`, `wait`, `cancel` and `dead` --- */

/* Complains unless there is at least one and all are ids. */
int check_task_ids(const Words *ids, const Usage *usage);
/* Checks them, connects, and calls the function for each; returns the first status that is not success. */
int for_each_task_id(const Words *ids, const Usage *usage,
                     int (*function)(fastworker_client *c, const char *id));

/* --- result.c --- */

int status_of_result(const fastworker_result *r);
/* Prints a result on stdout as `submit` and `wait` do, or says on stderr why there is none. */
int show_result(const fastworker_result *r, const char *name);
/* One object; `line` 0 is left out. NULL: out of memory. */
struct json_object *result_to_json(const fastworker_result *r, uint64_t line);
