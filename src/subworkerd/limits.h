/* SPDX-License-Identifier: MIT */
#pragma once

/* What a task may use. Pure, but for limits_memory_fallback(). */

#include "macro.h"

/* From the options of a task type or of a task; 0: none. */
typedef struct TaskLimits {
        uint64_t timeout_usec, soft_timeout_usec;
} TaskLimits;

/* Takes "timeout" and "soft_timeout" (seconds, as a number) out of an options document, where they are given; anything
 * else in there is not our business. Returns 0, -EBADMSG if it is no JSON object, or -ENOMEM. */
int task_limits_parse(const char *options, size_t size, TaskLimits *l);

/* "traceparent" of the options: 1 with a fresh string, or 0. */
int task_limits_traceparent(const char *options, size_t size, char **ret);

/* "64M", "1500K", "1234" */
void limits_format_bytes(uint64_t bytes, char *ret, size_t size);
/* "5 s", "0.25 s" */
void limits_format_usec(uint64_t usec, char *ret, size_t size);

/* For the child, where no control group can limit its memory: limits what this process and each that it starts may
 * allocate. 0: does nothing. Returns 0 or -errno. */
int limits_memory_fallback(uint64_t bytes);
