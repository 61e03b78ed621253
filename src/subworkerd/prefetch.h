/* SPDX-License-Identifier: MIT */
#pragma once

/* How many tasks a worker asks for: its slots, and as many more as keep them busy while the next ones are on
 * their way. That is a few milliseconds of work: tasks that take longer than the way to here are better
 * left where any worker can have them. Pure. */

#include "macro.h"

typedef struct Prefetch Prefetch;

int prefetch_new(unsigned max, Prefetch **ret);
Prefetch *prefetch_free(Prefetch *p);
DEFINE_CLEANUP_FUNC(Prefetch *, prefetch_free);

void prefetch_set_max(Prefetch *p, unsigned max);

/* A task has ended after so long. */
void prefetch_observe(Prefetch *p, uint64_t usec);

/* A task has been running for so long and has not ended. */
void prefetch_observe_at_least(Prefetch *p, uint64_t usec);

/* The capacity to announce for that many slots that can work. It moves only when what would be right has
 * become notably different, so that not each task brings an announcement. */
unsigned prefetch_capacity(Prefetch *p, unsigned n_slots);
