/* SPDX-License-Identifier: MIT */
#ifndef FASTWORKER_QUERY_H
#define FASTWORKER_QUERY_H

/* Questions and orders. All of these wait for the answer. <fastworker/client.h> brings this along. */

#include <fastworker/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 0: it is cancelled; 1: it runs and is being stopped, its result will say; 2: it had ended. */
int fastworker_cancel(fastworker_client *c, const char *task_id);

/* The answers are JSON objects, NUL-terminated, to be freed with free(). doc/protocol.md has their fields. */
int fastworker_get_task_status(fastworker_client *c, const char *task_id, char **ret_json);
int fastworker_get_subworker_status(fastworker_client *c, char **ret_json);
int fastworker_get_queues(fastworker_client *c, char **ret_json);
int fastworker_get_types(fastworker_client *c, char **ret_json);
int fastworker_get_stats(fastworker_client *c, char **ret_json);

/* What is not set matches all. */
typedef struct fastworker_filter {
        const char *status;              /* of a task, like "queued" or "dead" */
        const char *name, *worker;       /* the whole name, the whole id */
        uint64_t since_usec, until_usec; /* created at or after, and before; 0: any time */
        const char *after;               /* the "next" of the page before */
        unsigned limit;                  /* tasks in a page, 1 to 1000; 0: 100 */
        const void *reserved[4];         /* NULL */
} fastworker_filter;

/* A page of tasks, the newest first: {"tasks":[...],"truncated":false}, with "next" unless it was the last one.
 * A page may have fewer tasks than asked for, or none, and still a next one. NULL as filter: all tasks. */
int fastworker_list(fastworker_client *c, const fastworker_filter *filter, char **ret_json);

/* A task with its payloads as they are, byte for byte; they are not NUL-terminated. */
typedef struct fastworker_task_view {
        const char *task_id;
        const char *info; /* JSON: what else fastworker_get_task_status() tells */
        const void *arguments, *result;
        size_t arguments_size, result_size;
        const char *error; /* "" when there is none */
} fastworker_task_view;
typedef void (*fastworker_task_handler)(fastworker_client *c, const fastworker_task_view *task,
                                        void *userdata);

/* Asks for n tasks at once, at most FASTWORKER_BATCH_MAX, and calls the handler for each that is known, in the
 * order of the answers. What it gets lives until it returns. Returns how many there were. */
int fastworker_get_tasks(fastworker_client *c, const char *const *task_ids, size_t n,
                         fastworker_task_handler handler, void *userdata);

/* Queues tasks again that ended as failure or dead; takes tasks that have ended out of the history. All of the n,
 * at most FASTWORKER_BATCH_MAX, or none: -ENOENT (one is unknown), -EINVAL (one is in another state). When the
 * connection broke on the way, these errors may also mean that it was done before. */
int fastworker_retry(fastworker_client *c, const char *const *task_ids, size_t n);
int fastworker_purge(fastworker_client *c, const char *const *task_ids, size_t n);

/* Has the coordinator write a copy of its store to a new file, named by an absolute path on its machine; returns
 * when that is on disk, which may take longer than the usual timeout. */
int fastworker_backup(fastworker_client *c, const char *path);

/* Of the task type or priority of that name (what is "type" or "priority") no more tasks are begun, or the subworker
 * ("worker") gets none, until it is called with paused = 0. What runs goes on. */
int fastworker_set_paused(fastworker_client *c, const char *what, const char *name, int paused);

/* Schedules, which submit a task again and again. add: the document is a JSON object with "name", "task", "cron" or
 * "interval" and so on, as the protocol has it; the answer shows the schedule. -EEXIST: there is another one of that
 * name. list: the options are a JSON object or NULL; a page, with "next" if there are more. next: the next n (1 to 100)
 * times at which it is due. run: submits its task now, outside of the plan (ret_task_id may be NULL). -ENOENT: there is
 * no schedule of that name. */
int fastworker_schedule_add(fastworker_client *c, const char *document, char **ret_json);
int fastworker_schedule_list(fastworker_client *c, const char *options, char **ret_json);
int fastworker_schedule_next(fastworker_client *c, const char *name, unsigned n, char **ret_json);
int fastworker_schedule_pause(fastworker_client *c, const char *name);
int fastworker_schedule_resume(fastworker_client *c, const char *name);
int fastworker_schedule_run(fastworker_client *c, const char *name,
                            char ret_task_id[FASTWORKER_TASK_ID_SIZE]);
int fastworker_schedule_remove(fastworker_client *c, const char *name);

/* The time until the answer came. */
int fastworker_ping(fastworker_client *c, uint64_t *ret_usec);

/* Asks at the discovery address alone (NULL: the client's, the environment's, or the default) who is there.
 * Needs no connection. */
int fastworker_discover(fastworker_client *c, const char *discovery_address, char **ret_json);

#ifdef __cplusplus
}
#endif

#endif
