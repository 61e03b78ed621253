/* SPDX-License-Identifier: MIT */
#ifndef FASTWORKER_CLIENT_H
#define FASTWORKER_CLIENT_H

/* Submit tasks to FastWorker and get their results (pkg-config: fastworker).
 *
 *     fastworker_client *c;
 *     fastworker_result *result;
 *     fastworker_submission add = { .name = "add", .arguments = "{\"args\":[5,3]}" };
 *
 *     if (fastworker_client_new(&c) >= 0 && fastworker_client_connect(c) >= 0 &&
 *         fastworker_submit_and_wait(c, &add, 10 * 1000000, &result) >= 0)
 *             puts(fastworker_result_data(result, NULL));
 *
 * Errors: functions return >= 0, or a negative errno; fastworker_client_get_error() then gives a sentence.
 * Besides what is said below: -EINVAL (an argument makes no sense), -ENOMEM, -ENOTCONN (before connect or
 * start), -ETIMEDOUT (no answer in time), -EINTR (a signal handler ran; nothing is known), -EBUSY (a blocking
 * function called from a handler), and what the coordinator's refusals stand for, of which
 * fastworker_client_get_error_code() gives the name in the protocol: unknown-task-type -ENXIO, unknown-task
 * -ENOENT, queue-full -ENOBUFS, no-space -ENOSPC, exists -EEXIST, too-large -EMSGSIZE, bad-argument -EINVAL,
 * denied -EACCES, bad-message -EBADMSG, unsupported-version -EPROTONOSUPPORT, unknown-verb -EOPNOTSUPP, others
 * -EREMOTEIO.
 *
 * Strings are UTF-8. Those that go in are copied. Times are microseconds, a timeout of UINT64_MAX is for
 * ever, moments are since the epoch (0: never) unless they are said to be CLOCK_MONOTONIC.
 *
 * A client belongs to one thread at a time and not to the child of a fork; several clients are independent.
 * The library has no threads besides the I/O thread of ZeroMQ. It reconnects by itself: what is not yet
 * answered is sent again under its idempotency key, and results are asked for anew, so that a restart of the
 * coordinator shows only as a delay. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FASTWORKER_TASK_ID_SIZE 37U /* 36 characters of a UUID and the NUL */
#define FASTWORKER_BATCH_MAX    1000U

typedef struct fastworker_client fastworker_client;
typedef struct fastworker_result fastworker_result;

/* --- the client --- */

/* A new client, not connected. Free it with fastworker_client_free(), which takes NULL, returns NULL, drops
 * what is unanswered (submitted tasks go on) and must not be called from a handler. */
int fastworker_client_new(fastworker_client **ret);
fastworker_client *fastworker_client_free(fastworker_client *c);

/* Where the coordinator is, "tcp://HOST:PORT" or "ipc:///PATH", or where to ask for that; NULL takes it back.
 * Of these the first that is set is taken: address; discovery address; FASTWORKER_BASE_ADDRESS in the
 * environment; the unix socket FASTWORKER_LOCAL_SOCKET, else /run/fastworker/control.sock, if it is there and
 * we may use it; discovery at FASTWORKER_DISCOVERY_ADDRESS, else at tcp://127.0.0.1:5550. To be called before
 * connect or start; -EISCONN after. */
int fastworker_client_set_address(fastworker_client *c, const char *address);
int fastworker_client_set_discovery_address(fastworker_client *c, const char *address);

/* How long to wait for the answer to a request, 1 ms at least (default: FASTWORKER_TIMEOUT in seconds, else
 * 30 s), and how often to send it again meanwhile, in even intervals, 0 to 100 (FASTWORKER_RETRIES, else 3).
 * Waiting for a result is not such a request. */
int fastworker_client_set_timeout(fastworker_client *c, uint64_t usec);
int fastworker_client_set_retries(fastworker_client *c, unsigned n);

/* Connects and waits for the coordinator's greeting; on -ETIMEDOUT the client goes on trying. start() only
 * begins to connect and returns at once; requests wait until there is a connection. */
int fastworker_client_connect(fastworker_client *c);
int fastworker_client_start(fastworker_client *c);
int fastworker_client_is_connected(const fastworker_client *c); /* 1 after the greeting, else 0 */
const char *fastworker_client_get_address(
        const fastworker_client *c); /* NULL while it is not known */
const char *fastworker_client_get_server(
        const fastworker_client *c); /* the greeting, JSON; NULL before */

/* About the last call that failed: a sentence, and the protocol's error code or "". Both live until the next
 * call. */
const char *fastworker_client_get_error(const fastworker_client *c);
const char *fastworker_client_get_error_code(const fastworker_client *c);

/* --- the loop --- */

/* Sends what is due, reads, calls handlers. process() never blocks: 1 if it did something, 0 if there is
 * nothing (more) to do. run() does the same and, if there is nothing to do, waits up to timeout_usec first: 1
 * if something was done, 0 if the time is over, -EINTR. */
int fastworker_client_process(fastworker_client *c);
int fastworker_client_run(fastworker_client *c, uint64_t timeout_usec);

/* For an own loop: the descriptor becomes readable (POLLIN) when there is something to do. It signals
 * changes, not states: before each poll call process() until it returns 0, also after any other function of
 * this client was called. Poll no longer than to the CLOCK_MONOTONIC time that get_timeout() gives
 * (UINT64_MAX: as long as you like; 0: call process() now). The descriptor is the client's. */
int fastworker_client_get_fd(fastworker_client *c);
int fastworker_client_get_timeout(fastworker_client *c, uint64_t *ret_usec);

/* --- submitting --- */

typedef struct fastworker_submission {
        const char *name;      /* 1 to 255 letters, digits or . _ : - */
        const char *arguments; /* JSON text, by convention {"args":[...],"kwargs":{...}}, or NULL */
        size_t arguments_size; /* bytes, at most 64 MiB; 0: arguments ends with a NUL */
        const char *priority;  /* critical high normal low, any case; NULL: normal */
        const char *key; /* up to 64 printable ASCII characters: the same key, the same task; NULL:
                                    * a random one of 128 bits */
        /* NULL, or a JSON object of up to 64 KiB with one or more of: "durability":"none", the store is not to keep
         * the task; "unique":"KEY" of up to 64 characters, there is to be no other unfinished task with that;
         * "unique_policy", what to do if there is: "refuse" (the default, -EEXIST) or "return" that one's id. */
        const char *options;
        /* Options with a field of their own; 0 and NULL: not given. What "options" has, too, is -EINVAL. */
        uint64_t countdown_usec,
                eta_usec;      /* queued so long after it was taken, or at that moment */
        uint64_t expires_usec; /* the moment after which it is not begun any more */
        int max_retries;       /* when it fails; -1: none, whatever its type says */
        uint64_t retry_delay_usec, retry_backoff_max_usec;
        double retry_backoff, retry_jitter;
        uint64_t timeout_usec, soft_timeout_usec; /* of each attempt */
        const char *const
                *depends_on; /* ids, then NULL: these must have ended with success first */
        const char *group, *after_group; /* it is one of a group; a group must have ended first */

        void *userdata;          /* for the handlers */
        const void *reserved[4]; /* NULL */
} fastworker_submission;

/* Waits until the coordinator has taken the task (all of the n tasks or none, n at most
 * FASTWORKER_BATCH_MAX), and gives the ids; NULL if they are not wanted. */
int fastworker_submit(fastworker_client *c, const fastworker_submission *s,
                      char ret_task_id[FASTWORKER_TASK_ID_SIZE]);
int fastworker_submit_batch(fastworker_client *c, const fastworker_submission *s, size_t n,
                            char (*ret_task_ids)[FASTWORKER_TASK_ID_SIZE]);

/* Submits and waits for the result: 0 however the task ended, -ETIMEDOUT when timeout_usec are over (it goes
 * on). The result is the caller's. */
int fastworker_submit_and_wait(fastworker_client *c, const fastworker_submission *s,
                               uint64_t timeout_usec, fastworker_result **ret);

/* Never blocks; the result goes to the handler of fastworker_on_result(), exactly once for each task. The
 * tasks of several calls travel together at the next process() or run(), each on its own feet; those of one
 * batch are taken all or none. */
int fastworker_submit_async(fastworker_client *c, const fastworker_submission *s);
int fastworker_submit_batch_async(fastworker_client *c, const fastworker_submission *s, size_t n);

/* Called from process(), run() and the blocking functions. Handlers may call everything but those. The result
 * and the id are the library's and live until the handler returns; task_userdata is the submission's (or the
 * one given to fastworker_watch()), userdata the one given here. NULL takes a handler back. */
typedef void (*fastworker_result_handler)(fastworker_client *c, const fastworker_result *result,
                                          void *userdata);
typedef void (*fastworker_accepted_handler)(fastworker_client *c, const char *task_id,
                                            void *task_userdata, void *userdata);
int fastworker_on_result(fastworker_client *c, fastworker_result_handler handler, void *userdata);
int fastworker_on_accepted(fastworker_client *c, fastworker_accepted_handler handler,
                           void *userdata);

/* Results that the handler is still to get. */
size_t fastworker_client_get_pending(const fastworker_client *c);

/* --- results --- */

/* Waits for the end of a task, whoever submitted it: 0 however it ended, also when the coordinator does not
 * know it (any more), -ETIMEDOUT when timeout_usec are over (it goes on). */
int fastworker_wait(fastworker_client *c, const char *task_id, uint64_t timeout_usec,
                    fastworker_result **ret);

/* The same without blocking, for the handler; and no longer (-ENOENT: it was not watched). */
int fastworker_watch(fastworker_client *c, const char *task_id, void *task_userdata);
int fastworker_unwatch(fastworker_client *c, const char *task_id);

/* What is known now: 1 and the result if the task has ended, 0 if it has not, -ENOENT. */
int fastworker_get_task_result(fastworker_client *c, const char *task_id, fastworker_result **ret);

/* "success"; "failure", "cancelled", "dead" (crashed too often), "expired" (too late to begin) with an error;
 * "unknown": the coordinator does not know the id (any more); of submissions "refused", with a code, and
 * "unanswered": no answer in time, so that the task may exist or not. */
const char *fastworker_result_status(const fastworker_result *r);
int fastworker_result_is_success(const fastworker_result *r);
const char *fastworker_result_task_id(const fastworker_result *r); /* "" when there is none */
/* The result as the task gave it, JSON text by convention; followed by a NUL that *ret_size (may be NULL) does
 * not count. */
const char *fastworker_result_data(const fastworker_result *r, size_t *ret_size);
const char *fastworker_result_error(const fastworker_result *r);      /* "" when there is none */
const char *fastworker_result_error_code(const fastworker_result *r); /* "" when not refused */
uint64_t fastworker_result_started_at(const fastworker_result *r);
uint64_t fastworker_result_completed_at(const fastworker_result *r);
void *fastworker_result_userdata(const fastworker_result *r);
int fastworker_result_copy(const fastworker_result *r, fastworker_result **ret);
fastworker_result *fastworker_result_free(fastworker_result *r); /* takes and returns NULL */

#ifdef __cplusplus
}
#endif

#include <fastworker/query.h>

#endif
