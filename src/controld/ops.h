/* SPDX-License-Identifier: MIT */
#pragma once

/* The handlers of requests, a family a file. A handler answers the request, also with a refusal, and returns
 * 0; it returns < 0 only if the daemon itself is broken. */

#include "endpoint.h"

typedef int (*OpHandler)(Controld *c, const Request *r);

/* NULL if the role does not serve the verb. */
OpHandler op_handler(EndpointRole role, WireVerb verb);

/* op-submit.c */
int op_submit(Controld *c, const Request *r);

/* op-wait.c */
int op_wait(Controld *c, const Request *r);
int op_forget(Controld *c, const Request *r);
/* The client is gone: it waits for nothing any more. */
void op_wait_drop_all(Controld *c, Peer *p);
/* Tells a client that this task is expired, or never was. */
void op_wait_unknown(Controld *c, Peer *p, const TaskId *id);
/* The task is about to be freed: who still waits for it is told that it is unknown. */
void op_wait_tell_unknown(Controld *c, const Task *t);
/* Sends every result that somebody waits for. */
void op_wait_flush(Controld *c);

/* What became of the tasks of a submit that is refused though so many of them were taken before: for the text. */
#define SUBMIT_REST_MAX 96
const char *op_submit_rest(size_t n_known, char ret[static SUBMIT_REST_MAX]);
/* Returns 1 if tasks of that name can be submitted, 0 if the request was refused, or held until it can be said. */
int op_submit_check_type(Controld *c, const Request *r, const struct iovec *name);
int op_submit_refuse_type(Controld *c, const Request *r, const struct iovec *name);

/* op-cancel.c */
int op_cancel(Controld *c, const Request *r);

/* op-admin.c */
int op_retry(Controld *c, const Request *r);
int op_purge(Controld *c, const Request *r);
int op_backup(Controld *c, const Request *r);

/* op-schedule.c */
int op_schedule(Controld *c, const Request *r);

/* op-pause.c */
int op_set_paused(Controld *c, const Request *r);

/* op-query.c, op-list.c: tasks */
int op_status(Controld *c, const Request *r);
int op_list(Controld *c, const Request *r);
/* The document that LIST gives of a task, and STATUS with more; NULL when out of memory. */
struct json_object *task_to_json(const Controld *c, const Task *t);
int op_queues(Controld *c, const Request *r);

/* op-overview.c: the whole */
int op_ping(Controld *c, const Request *r);
int op_hello(Controld *c, const Request *r);
int op_discover(Controld *c, const Request *r);
int op_workers(Controld *c, const Request *r);
int op_types(Controld *c, const Request *r);
int op_stats(Controld *c, const Request *r);

/* op-register.c, op-worker.c */
int op_register(Controld *c, const Request *r);
int op_heartbeat(Controld *c, const Request *r);
int op_capacity(Controld *c, const Request *r);
int op_started(Controld *c, const Request *r);
int op_progress(Controld *c, const Request *r);
int op_done(Controld *c, const Request *r);
int op_release(Controld *c, const Request *r);
int op_drain(Controld *c, const Request *r);
int op_goodbye(Controld *c, const Request *r);

/* A connection to a worker endpoint broke: looks soon whose it was. */
void op_worker_probe_later(Controld *c);
