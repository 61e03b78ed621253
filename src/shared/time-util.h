/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>
#include <time.h>

#define USEC_PER_MSEC   UINT64_C(1000)
#define USEC_PER_SEC    UINT64_C(1000000)
#define NSEC_PER_USEC   UINT64_C(1000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_INFINITY   UINT64_MAX

/* The given clock in microseconds. Intervals and deadlines use CLOCK_MONOTONIC, what users see
 * (created_at, completed_at) CLOCK_REALTIME. */
static inline uint64_t now_usec(clockid_t clock) {
        struct timespec ts;

        (void) clock_gettime(clock, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / NSEC_PER_USEC;
}

/* Microseconds to whole milliseconds for poll(), rounded up so that it never spins. */
static inline int usec_to_poll_msec(uint64_t usec) {
        if (usec == USEC_INFINITY)
                return -1;
        if (usec / USEC_PER_MSEC >= INT32_MAX - 1)
                return INT32_MAX;
        return (int) ((usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}
