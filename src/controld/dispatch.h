/* SPDX-License-Identifier: MIT */
#pragma once

/* Which worker gets a task. Pure. */

#include "worker.h"

/* The least loaded worker that offers the type, is active, connected, and willing to hold one more task; of
 * equally loaded ones the one that was given a task the longest ago. The local worker counts only where no
 * other active one offers the type, however busy those are. NULL if nobody has room. */
Worker *dispatch_choose(const TaskType *type);

/* Whether an active subworker, not counting the local one, offers the type. */
bool dispatch_is_offered(const TaskType *type);
