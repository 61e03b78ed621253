/* SPDX-License-Identifier: MIT */
#pragma once

/* What a task can be, how it may change, and the four priorities. Pure. */

#include "string-table.h"

typedef enum TaskState {
        TASK_PENDING,   /* received, not yet committed */
        TASK_SCHEDULED, /* waits for its time */
        TASK_QUEUED,    /* waits for a worker */
        TASK_ASSIGNED,  /* sent to a worker, not known to have begun */
        TASK_RUNNING,
        TASK_SUCCESS, /* terminal, as are all below but retrying */
        TASK_FAILURE,
        TASK_RETRYING, /* failed, waits for its next attempt */
        TASK_CANCELLED,
        TASK_DEAD,    /* crashed its runner too often */
        TASK_EXPIRED, /* its time was over before it began */
        _TASK_STATE_MAX,
        _TASK_STATE_INVALID = -EINVAL,
} TaskState;

typedef enum TaskPriority {
        PRIORITY_CRITICAL,
        PRIORITY_HIGH,
        PRIORITY_NORMAL,
        PRIORITY_LOW,
        _PRIORITY_MAX,
        _PRIORITY_INVALID = -EINVAL,
} TaskPriority;

DECLARE_STRING_TABLE(task_state, TaskState);
const char *task_priority_to_string(TaskPriority p);

/* Any letter case, `size` bytes without a NUL; an empty name is PRIORITY_NORMAL. _PRIORITY_INVALID for
 * other names. */
TaskPriority task_priority_from_text(const char *s, size_t size);

/* A task in a terminal state has ended. It stays so, but for failure and dead, from which somebody may ask to
 * try again. */
bool task_state_is_terminal(TaskState s);

/* Whether a task in `from` may become `to`. Staying is not a transition. */
bool task_state_may_become(TaskState from, TaskState to);
