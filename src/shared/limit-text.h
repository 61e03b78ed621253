/* SPDX-License-Identifier: MIT */
#pragma once

/* Limits of task types as they are written in task files, in the options of modules and in the protocol. */

#include "macro.h"

/* So many in so much time; a count of 0 is no limit. */
typedef struct Rate {
        uint64_t count, usec;
} Rate;

#define RATE_COUNT_MAX   1000000U
#define RATE_USEC_MAX    (UINT64_C(31) * 86400 * 1000000)
#define RATE_TEXT_MAX    64U
#define CONCURRENCY_MAX  1000000U
#define LABEL_LENGTH_MAX 63U
#define LABELS_MAX       32U /* of a task, a task type or a worker */

/* "10/s", "100/min", "5/h", "20/10s", "20/10000ms": the span without a number is one of it. -EINVAL, -ERANGE, -ENOMEM */
int rate_parse(const char *s, Rate *ret);

/* "10/s", "100/m", "5/h"; another span in milliseconds, "20/10000ms". Returns its argument. */
const char *rate_to_text(const Rate *r, char ret[static RATE_TEXT_MAX]);

/* Whether a allows less than b; what is no limit allows most. */
bool rate_is_lower(const Rate *a, const Rate *b);

/* A label is 1 to LABEL_LENGTH_MAX letters, digits or _ . : - */
bool label_is_valid(const char *s);
