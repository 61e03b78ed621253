/* SPDX-License-Identifier: MIT */
#pragma once

/* Which worker gets a task. Pure. */

#include "worker.h"

/* The least loaded worker that offers the lane's type, has its labels, is active, connected, and willing to hold one more
 * task; of equally loaded ones the one that was given a task the longest ago. The local worker counts only where no
 * other active one could do it, however busy those are. NULL if nobody has room. */
Worker *dispatch_choose(const Lane *lane);

/* Whether an active subworker, not counting the local one, offers the type. */
bool dispatch_is_offered(const TaskType *type);
/* Whether one of those has the labels as well. */
bool dispatch_lane_is_offered(const Lane *lane);

typedef enum DispatchLimit {
        DISPATCH_FREE,
        DISPATCH_PAUSED,
        DISPATCH_CONCURRENCY, /* as many tasks of the type are leased as may be */
        DISPATCH_RATE,        /* until *ret_usec (CLOCK_MONOTONIC) */
} DispatchLimit;

/* Whether a task of that type may be begun now. */
DispatchLimit dispatch_limit(TaskType *type, uint64_t now_usec, uint64_t *ret_usec);
