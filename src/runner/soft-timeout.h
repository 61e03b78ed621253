/* SPDX-License-Identifier: MIT */
#pragma once

/* Tells the thread that runs a task function that the soft timeout of the task is over: by a signal that interrupts
 * system calls, and for whoever asks. */

#include <time.h>

#include "macro.h"

typedef struct SoftTimeout {
        uint64_t usec;     /* 0: none */
        uint64_t due_usec; /* CLOCK_MONOTONIC */
        timer_t timer;
        bool has_timer; /* it is kept for the next call */
} SoftTimeout;

/* From now on, for the calling thread. Without a timer, should there be none to be had, soft_timeout_is_over() tells it
 * all the same. 0: none. */
void soft_timeout_begin(SoftTimeout *t, uint64_t usec);
void soft_timeout_end(SoftTimeout *t);
bool soft_timeout_is_over(const SoftTimeout *t);
void soft_timeout_done(SoftTimeout *t);
