/* SPDX-License-Identifier: MIT */
#pragma once

/* What a task may use. Pure, but for limits_memory_fallback(). */

#include "macro.h"

/* From the options of a task type or of a task; 0: none. */
typedef struct TaskLimits {
        uint64_t timeout_usec, soft_timeout_usec;
} TaskLimits;

/* From the options of a task type, where whoever installs it says what its tasks may take of the machine; 0: not set.
 * A submitter has no say in it. */
typedef struct TaskResources {
        uint64_t memory_max; /* bytes, of all processes together */
        uint64_t tasks_max;  /* processes and threads */
        uint64_t cpu_weight; /* as in cgroups: 100 is everybody's */
} TaskResources;

#define CPU_WEIGHT_DEFAULT UINT64_C(100)

/* Takes "resources" out of an options document. What is out of range is passed over, as is a document that is none. */
void task_resources_parse(const char *options, size_t size, TaskResources *ret);

static inline bool task_resources_are_set(const TaskResources *r) {
        return r->memory_max > 0 || r->tasks_max > 0 || r->cpu_weight > 0;
}

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
