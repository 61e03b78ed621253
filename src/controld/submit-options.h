/* SPDX-License-Identifier: MIT */
#pragma once

/* The options document of a submitted task:
 *
 *     "durability": "none"             kept in memory only, whatever Durability= says
 *     "unique": "KEY"                  at most one task with this key that has not ended
 *     "unique_policy": "refuse"        a second one is refused (the default)
 *                      "return"        a second submit gets the id of the first */

#include <json-c/json.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "task.h"
#include "wire.h"

typedef struct SubmitOptions {
        bool in_memory, unique_returns;
        size_t unique_size; /* 0: none */
        char unique[WIRE_KEY_MAX];
} SubmitOptions;

/* Empty text gives the defaults. -EINVAL, and the text in *ret_error says what is wrong; -ENOMEM. */
int submit_options_parse(const struct iovec *text, SubmitOptions *ret, char ret_error[static 160]);

/* The document again, as a fresh object: what of the task's options its record still knows; {} if there is nothing to
 * say. NULL when out of memory. */
struct json_object *submit_options_to_json(const Task *t);

/* The task will live (again): takes the unique key that its options name, if any. -EEXIST if a task that has not
 * ended has it; -ENOMEM. */
int submit_options_claim_unique(TaskTable *table, Task *t);
