/* SPDX-License-Identifier: MIT */
#pragma once

/* What tasks use of processor and memory. Only a task that takes long is measured, so that short ones pay nothing: a
 * task is noticed when it has run for some milliseconds already, and what its runner has used since it was read last,
 * but no more than that time, is added. */

#include <sys/types.h>

#include "cgroup.h"

typedef struct Usage {
        uint64_t cpu_usec;
        uint64_t memory_bytes;     /* the most at any time; 0: not known */
        uint64_t memory_now_bytes; /* the same */
} Usage;

/* Reads what the group, or if that is NULL the process and those of its children that it has waited for, have used
 * so far. What is hidden from us counts as nothing. */
void usage_read(pid_t pid, const CgroupLeaf *group, Usage *ret);

/* Lets the peak of the process's memory begin anew, if the kernel lets us. */
void usage_reset_peak(pid_t pid);

/* Resident memory of the group or process at this moment, 0 if not known. */
uint64_t usage_memory(pid_t pid, const CgroupLeaf *group);

/* Of one runner. */
typedef struct Meter {
        bool running;
        uint64_t last_cpu_usec; /* as read last */
        Usage begin;            /* when the task was noticed */
        uint64_t credit_usec;   /* what it had used until then */
} Meter;

void meter_reset(Meter *m);
/* A task is noticed that has run for `age`. */
void meter_begin(Meter *m, pid_t pid, const CgroupLeaf *group, uint64_t age_usec);
/* No task runs. */
void meter_idle(Meter *m, pid_t pid, const CgroupLeaf *group);
/* A task has ended, and `total` was read. Returns whether it had been noticed. */
bool meter_end(Meter *m, const Usage *total, Usage *ret);
/* The same for one that has ended its runner after it had run for `age`, noticed or not: `total` is of all the runner's life,
 * so that the most memory may have been an earlier task's. */
void meter_end_last(Meter *m, const Usage *total, uint64_t age_usec, Usage *ret);
