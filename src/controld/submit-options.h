/* SPDX-License-Identifier: MIT */
#pragma once

/* The options document of a submitted task:
 *
 *     "durability": "none"             kept in memory only, whatever Durability= says
 *     "unique": "KEY"                  at most one task with this key that has not ended
 *     "unique_policy": "refuse"        a second one is refused (the default)
 *                      "return"        a second submit gets the id of the first
 *     "countdown": SECONDS             it is queued so long after it was taken
 *     "eta": TIME                      it is queued at that time: RFC 3339, or seconds since the epoch
 *     "expires": SECONDS or TIME       it is not begun any more so long after it was taken, or after that time (RFC 3339)
 *     "depends_on", "group", "after_group"    see dependency-options.h
 *     "labels", "concurrency_key", "concurrency"    see task-lane.h
 *     "max_retries" and so on          see retry.h
 *     "timeout", "soft_timeout": SECONDS, "traceparent": TEXT    for the subworker
 *     "schedule": TEXT                 the schedule that the task comes from: says so, and that is all */

#include <json-c/json.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "task.h"
#include "wire.h"

typedef struct SubmitOptions {
        bool in_memory, unique_returns;
        bool has_lane;  /* see task-lane.h */
        bool has_links; /* see dependency-options.h */
        bool is_kept;   /* somebody needs the document later */
        bool has_countdown, has_expires_in;
        uint64_t countdown_usec, expires_in_usec; /* from the taking of the task on */
        uint64_t eta_usec, expires_usec;          /* CLOCK_REALTIME; 0: not given */
        size_t unique_size;                       /* 0: none */
        char unique[WIRE_KEY_MAX];
} SubmitOptions;

/* Empty text gives the defaults. -EINVAL, and the text in *ret_error says what is wrong; -ENOMEM. */
int submit_options_parse(const struct iovec *text, SubmitOptions *ret, char ret_error[static 160]);

/* When a task that was taken at that time is to be queued, and when it expires (CLOCK_REALTIME); 0: no such time. */
uint64_t submit_options_due(const SubmitOptions *o, uint64_t created_usec);
uint64_t submit_options_expires(const SubmitOptions *o, uint64_t created_usec);

/* The document again, as a fresh object: what of the task's options its record still knows; {} if there is nothing to
 * say. NULL when out of memory. */
struct json_object *submit_options_to_json(const Task *t);

/* The task will live (again): takes the unique key that its options name, if any. -EEXIST if a task that has not
 * ended has it; -ENOMEM. */
int submit_options_claim_unique(TaskTable *table, Task *t);
