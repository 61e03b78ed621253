/* SPDX-License-Identifier: MIT */

#include <assert.h>

#include "limit.h"

static uint64_t capacity(const Rate *r) {
        return r->count * r->usec; /* at most 10^6 times 2.7 * 10^12 */
}

static void fill(Bucket *b, uint64_t now_usec) {
        uint64_t elapsed = now_usec - MIN(b->filled_usec, now_usec);

        b->filled_usec = MAX(b->filled_usec, now_usec);
        if (elapsed >= b->rate.usec)
                b->credit = capacity(&b->rate);
        else
                b->credit = MIN(b->credit + elapsed * b->rate.count, capacity(&b->rate));
}

void bucket_set_rate(Bucket *b, const Rate *rate, uint64_t now_usec) {
        uint64_t tokens = rate->count;

        if (rate->count == b->rate.count && (rate->count == 0 || rate->usec == b->rate.usec))
                return;
        if (b->rate.count > 0) {
                fill(b, now_usec);
                tokens = MIN(b->credit / b->rate.usec, rate->count);
        }
        *b = (Bucket){ .rate = *rate, .credit = tokens * rate->usec, .filled_usec = now_usec };
}

bool bucket_has_token(Bucket *b, uint64_t now_usec) {
        if (b->rate.count == 0)
                return true;
        fill(b, now_usec);
        return b->credit >= b->rate.usec;
}

void bucket_take(Bucket *b, uint64_t now_usec) {
        if (b->rate.count == 0)
                return;
        fill(b, now_usec);
        assert(b->credit >= b->rate.usec);
        b->credit -= b->rate.usec;
}

void bucket_give_back(Bucket *b, uint64_t now_usec) {
        if (b->rate.count == 0)
                return;
        fill(b, now_usec);
        b->credit = MIN(b->credit + b->rate.usec, capacity(&b->rate));
}

uint64_t bucket_next_usec(Bucket *b, uint64_t now_usec) {
        if (bucket_has_token(b, now_usec))
                return now_usec;
        return now_usec + (b->rate.usec - b->credit + b->rate.count - 1) / b->rate.count;
}
