/* SPDX-License-Identifier: MIT */
#pragma once

/* The options of a task that say in which lane it waits:
 *
 *     "labels": [TEXT, ...]      only workers that have all of these may have it
 *     "concurrency_key": TEXT    it is begun only while fewer tasks with this key than
 *     "concurrency": N           are assigned or run; 1 if it is not given */

#include "queue.h"
#include "submit-options.h"

/* -EINVAL, and the text in ret_error says what is wrong; -ENOMEM. */
int task_lane_check(struct json_object *options, char ret_error[static 160]);

/* The task, which stands in no queue, enters the lane of its options; those of another version are passed over. -ENOMEM */
int task_lane_enter(Queue *q, Task *t);
