/* SPDX-License-Identifier: MIT */

#include "retry.h"
#include "json-util.h"
#include "time-util.h"

static uint64_t to_usec(double seconds) {
        return (uint64_t) (seconds * (double) USEC_PER_SEC);
}

static int note(int k, int so_far, const char *text, const char **ret_error) {
        if (k >= 0)
                return so_far;
        *ret_error = text;
        return -EINVAL;
}

static const char *const retry_reason_table[_RETRY_REASON_MAX] = {
        [RETRY_EXIT] = "exit", [RETRY_SIGNAL] = "signal",       [RETRY_TIMEOUT] = "timeout",
        [RETRY_OOM] = "oom",   [RETRY_EXCEPTION] = "exception",
};

static RetryReason reason_from_text(const char *text) {
        for (RetryReason i = 0; i < _RETRY_REASON_MAX; i++)
                if (streq(text, retry_reason_table[i]))
                        return i;
        return _RETRY_REASON_INVALID;
}

/* A list of reasons, or the word "all". Returns 1 if it is there. */
static int read_on(struct json_object *o, unsigned *ret) {
        struct json_object *list = NULL;
        unsigned on = 0;
        int r;

        r = json_get_array(o, "retry_on", &list);
        if (r <= 0)
                return r;
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                const char *word = json_text(json_object_array_get_idx(list, i));
                RetryReason reason;

                if (!word)
                        return -EINVAL;
                if (streq(word, "all")) {
                        on = RETRY_ON_ALL;
                        continue;
                }
                reason = reason_from_text(word);
                if (reason < 0)
                        return -EINVAL;
                on |= 1U << reason;
        }
        *ret = on;
        return 1;
}

int retry_policy_read(RetryPolicy *p, struct json_object *o, const char **ret_error) {
        uint64_t max = 0;
        double seconds = 0;
        int k, r = 0;

        if (!o)
                return 0;
        k = json_get_uint(o, "max_retries", 0, RETRIES_MAX, &max);
        if (k > 0) {
                p->has_max = true;
                p->max = (uint32_t) max;
        }
        r = note(k, r, "\"max_retries\" must be a number from 0 to 10000", ret_error);
        k = json_get_double(o, "retry_delay", 0, RETRY_SECONDS_MAX, &seconds);
        if (k > 0)
                p->delay_usec = to_usec(seconds);
        r = note(k, r, "\"retry_delay\" must be a number of seconds, at most ten years", ret_error);
        k = json_get_double(o, "retry_backoff", 1, RETRY_FACTOR_MAX, &p->backoff);
        r = note(k, r, "\"retry_backoff\" must be a number from 1 to 1000", ret_error);
        k = json_get_double(o, "retry_backoff_max", 0, RETRY_SECONDS_MAX, &seconds);
        if (k > 0)
                p->backoff_max_usec = to_usec(seconds);
        r = note(k, r, "\"retry_backoff_max\" must be a number of seconds, at most ten years",
                 ret_error);
        k = json_get_double(o, "retry_jitter", 0, 1, &p->jitter);
        r = note(k, r, "\"retry_jitter\" must be a number from 0 to 1", ret_error);
        k = read_on(o, &p->on);
        return note(k, r,
                    "\"retry_on\" must be a list of the words exit, signal, timeout, oom, "
                    "exception and all",
                    ret_error);
}

void retry_answer_read(RetryAnswer *a, struct json_object *o) {
        const char *reason = NULL;
        double seconds = 0;

        *a = (RetryAnswer){ .reason = _RETRY_REASON_INVALID };
        if (!o)
                return;
        if (json_get_string(o, "reason", &reason) > 0)
                a->reason = reason_from_text(reason);
        (void) json_get_bool(o, "no_retry", &a->never);
        if (json_get_double(o, "retry_after", 0, RETRY_SECONDS_MAX, &seconds) > 0) {
                a->has_after = true;
                a->after_usec = to_usec(seconds);
        }
}

uint64_t retry_delay(const RetryPolicy *p, uint32_t n, uint32_t chance) {
        double delay = (double) p->delay_usec, max = (double) p->backoff_max_usec;

        /* More steps than this change nothing: 0 stays 0, and all else is at the limit. */
        for (uint32_t i = 0; i < n && i < 10000 && delay < max && p->backoff > 1; i++)
                delay *= p->backoff;
        /* The limit is one of the growth: a first delay that is longer was wanted so. */
        if (n > 0 && delay > max)
                delay = MAX(max, (double) p->delay_usec);
        delay -= delay * p->jitter * ((double) chance / (double) UINT32_MAX);
        return (uint64_t) delay;
}

bool retry_decide(const RetryPolicy *p, const RetryAnswer *a, uint32_t n, uint32_t chance,
                  uint64_t *ret_delay_usec) {
        uint32_t max = p->has_max ? p->max : a->has_after ? RETRY_ASKED_MAX : 0;

        if (a->never || n >= max)
                return false;
        /* Who asks for another attempt gets it; a reason that is not known is none that was left out. */
        if (!a->has_after && a->reason >= 0 && !(p->on & (1U << a->reason)))
                return false;
        *ret_delay_usec = a->has_after ? a->after_usec : retry_delay(p, n, chance);
        return true;
}
