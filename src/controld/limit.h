/* SPDX-License-Identifier: MIT */
#pragma once

/* A token bucket: holds at most as many tokens as the rate's count, full at first, and is filled evenly. The time is given
 * by the caller. */

#include "limit-text.h"

typedef struct Bucket {
        Rate rate;            /* count 0: no limit */
        uint64_t credit;      /* a token is worth rate.usec; each microsecond brings rate.count */
        uint64_t filled_usec; /* as of when */
} Bucket;

/* With another rate the tokens that are there stay, as far as there is room for them; a new one is full. */
void bucket_set_rate(Bucket *b, const Rate *rate, uint64_t now_usec);

bool bucket_has_token(Bucket *b, uint64_t now_usec);
/* There must be one. */
void bucket_take(Bucket *b, uint64_t now_usec);
/* One that was taken was not used. */
void bucket_give_back(Bucket *b, uint64_t now_usec);

/* When there is a token. */
uint64_t bucket_next_usec(Bucket *b, uint64_t now_usec);
