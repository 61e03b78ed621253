/* SPDX-License-Identifier: MIT */
#pragma once

/* Task ids are UUIDs version 7 (RFC 9562): 48 bits of milliseconds, then a counter and random bits, so
 * that ids made by one coordinator sort by age. On the wire and for users they are the 36 characters
 * of the usual text form, in lower case. */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define TASK_ID_TEXT_LENGTH 36 /* without the terminating NUL */

typedef struct TaskId {
        uint8_t bytes[16];
} TaskId;

/* A new id, greater than any id made before by this thread. Returns -errno if the kernel gives no
 * random bytes. */
int task_id_new(TaskId *ret);

/* Writes 36 characters and a NUL. */
void task_id_to_text(const TaskId *id, char ret[static TASK_ID_TEXT_LENGTH + 1]);

/* Reads exactly 36 characters (upper or lower case; any UUID version). -EINVAL for all else. */
int task_id_from_text(const char *text, size_t size, TaskId *ret);

static inline bool task_id_equal(const TaskId *a, const TaskId *b) {
        return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
