/* SPDX-License-Identifier: MIT */

#include <strings.h>

#include "task-state.h"

static const char *const task_state_table[_TASK_STATE_MAX] = {
        [TASK_PENDING] = "pending",     [TASK_SCHEDULED] = "scheduled",
        [TASK_QUEUED] = "queued",       [TASK_ASSIGNED] = "assigned",
        [TASK_RUNNING] = "running",     [TASK_SUCCESS] = "success",
        [TASK_FAILURE] = "failure",     [TASK_RETRYING] = "retrying",
        [TASK_CANCELLED] = "cancelled", [TASK_DEAD] = "dead",
        [TASK_EXPIRED] = "expired",
};

DEFINE_STRING_TABLE(task_state, TaskState);

static const char *const task_priority_table[_PRIORITY_MAX] = {
        [PRIORITY_CRITICAL] = "critical",
        [PRIORITY_HIGH] = "high",
        [PRIORITY_NORMAL] = "normal",
        [PRIORITY_LOW] = "low",
};

const char *task_priority_to_string(TaskPriority p) {
        return (int) p >= 0 && p < _PRIORITY_MAX ? task_priority_table[p] : NULL;
}

TaskPriority task_priority_from_text(const char *s, size_t size) {
        if (size == 0)
                return PRIORITY_NORMAL;

        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                if (strlen(task_priority_table[p]) == size &&
                    strncasecmp(task_priority_table[p], s, size) == 0)
                        return p;
        return _PRIORITY_INVALID;
}

#define TO(s) (1U << TASK_##s)

/* From a row's state to each state named in it. An attempt that was handed back, or whose worker was lost,
 * goes back to queued without having failed. */
static const unsigned transitions[_TASK_STATE_MAX] = {
        [TASK_PENDING] = TO(SCHEDULED) | TO(QUEUED) | TO(CANCELLED),
        [TASK_SCHEDULED] = TO(QUEUED) | TO(CANCELLED) | TO(EXPIRED),
        [TASK_QUEUED] = TO(ASSIGNED) | TO(CANCELLED) | TO(EXPIRED) | TO(DEAD),
        [TASK_ASSIGNED] = TO(RUNNING) | TO(QUEUED) | TO(SUCCESS) | TO(FAILURE) | TO(RETRYING) |
                          TO(CANCELLED) | TO(DEAD),
        [TASK_RUNNING] =
                TO(QUEUED) | TO(SUCCESS) | TO(FAILURE) | TO(RETRYING) | TO(CANCELLED) | TO(DEAD),
        /* Only by an administrator's wish: */
        [TASK_FAILURE] = TO(QUEUED),
        [TASK_DEAD] = TO(QUEUED),
        [TASK_RETRYING] = TO(QUEUED) | TO(CANCELLED) | TO(EXPIRED),
};

bool task_state_is_terminal(TaskState s) {
        switch (s) {
        case TASK_SUCCESS:
        case TASK_FAILURE:
        case TASK_CANCELLED:
        case TASK_DEAD:
        case TASK_EXPIRED:
                return true;
        default:
                return false;
        }
}

bool task_state_may_become(TaskState from, TaskState to) {
        if ((int) from < 0 || from >= _TASK_STATE_MAX || (int) to < 0 || to >= _TASK_STATE_MAX)
                return false;
        return transitions[from] & (1U << to);
}
