/* SPDX-License-Identifier: MIT */
#pragma once

/* What is told of the end of a task besides its outcome: the last field of DONE in doc/protocol.md. */

#include "job.h"

/* "retry_after" (seconds) and "no_retry", as the task wants; "reason" of what is no success; "usage" of what was measured;
 * "output_tail" if there is one. Returns 0 with a fresh string of JSON, or with NULL if there is nothing to say, as of
 * most tasks; or -ENOMEM. */
int details_format(const Job *job, char **ret);
