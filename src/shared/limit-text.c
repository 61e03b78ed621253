/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdio.h>

#include "limit-text.h"
#include "parse-util.h"
#include "time-util.h"

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

int rate_parse(const char *s, Rate *ret) {
        const char *slash = strchr(s, '/');
        _cleanup_free_ char *count = NULL, *span = NULL;
        Rate rate;
        int r;

        /* "5/1" is not clear enough, nor is "5/". */
        if (!slash || slash[1] == '\0' || is_digit(s[strlen(s) - 1]))
                return -EINVAL;
        count = strndup(s, (size_t) (slash - s));
        if (asprintf(&span, "%s%s", is_digit(slash[1]) ? "" : "1", slash + 1) < 0)
                span = NULL;
        if (!count || !span)
                return -ENOMEM;
        r = parse_uint(count, 1, RATE_COUNT_MAX, &rate.count);
        if (r >= 0)
                r = parse_usec(span, USEC_PER_MSEC, RATE_USEC_MAX, &rate.usec);
        if (r < 0)
                return r;
        *ret = rate;
        return 0;
}

const char *rate_to_text(const Rate *r, char ret[static RATE_TEXT_MAX]) {
        static const struct {
                uint64_t usec;
                char unit;
        } units[] = { { USEC_PER_SEC, 's' },
                      { USEC_PER_MINUTE, 'm' },
                      { 60 * USEC_PER_MINUTE, 'h' } };

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (r->usec == units[i].usec) {
                        (void) snprintf(ret, RATE_TEXT_MAX, "%" PRIu64 "/%c", r->count,
                                        units[i].unit);
                        return ret;
                }
        (void) snprintf(ret, RATE_TEXT_MAX, "%" PRIu64 "/%" PRIu64 "ms", r->count,
                        r->usec / USEC_PER_MSEC);
        return ret;
}

bool rate_is_lower(const Rate *a, const Rate *b) {
        if (a->count == 0 || b->count == 0)
                return a->count > 0;
        /* At most 10^6 times 2.7 * 10^12: they fit. Of equal ones that which comes in smaller portions. */
        if (a->count * b->usec != b->count * a->usec)
                return a->count * b->usec < b->count * a->usec;
        return a->count < b->count;
}

bool label_is_valid(const char *s) {
        size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-");

        return n > 0 && n <= LABEL_LENGTH_MAX && s[n] == '\0';
}
