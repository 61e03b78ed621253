/* SPDX-License-Identifier: MIT */
#pragma once

/* A moving average of durations in which each new one counts for an eighth. */

#include "macro.h"

typedef struct Average {
        uint64_t scaled; /* microseconds times AVERAGE_SCALE */
        bool known;
} Average;

#define AVERAGE_SCALE    UINT64_C(64)
#define AVERAGE_USEC_MAX UINT64_C(1000000000000) /* 11 days; longer counts as this */

static inline void average_add(Average *a, uint64_t usec) {
        uint64_t x = MIN(usec, AVERAGE_USEC_MAX) * AVERAGE_SCALE;

        a->scaled = a->known ? a->scaled - a->scaled / 8 + x / 8 : x;
        a->known = true;
}

static inline void average_raise(Average *a, uint64_t usec) {
        uint64_t x = MIN(usec, AVERAGE_USEC_MAX) * AVERAGE_SCALE;

        a->scaled = a->known ? MAX(a->scaled, x) : x;
        a->known = true;
}

static inline uint64_t average_usec(const Average *a) {
        return a->scaled / AVERAGE_SCALE;
}
