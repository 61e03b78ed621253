/* SPDX-License-Identifier: MIT */
#pragma once

/* Whether and when a failed attempt is followed by another. Pure: no clock, no I/O; chance is given by the caller. */

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "retry-limits.h"

/* A task that asks for another attempt, for which nobody set a number, has so many. */
#define RETRY_ASKED_MAX 100U

/* Why an attempt failed, as a worker says in the details of its end. */
typedef enum RetryReason {
        RETRY_EXIT,      /* a command ended with a bad status */
        RETRY_SIGNAL,    /* or by a signal */
        RETRY_TIMEOUT,   /* it ran too long */
        RETRY_OOM,       /* it was killed for want of memory */
        RETRY_EXCEPTION, /* the task itself says that it failed */
        _RETRY_REASON_MAX,
        _RETRY_REASON_INVALID = -EINVAL,
} RetryReason;

#define RETRY_ON_ALL ((1U << _RETRY_REASON_MAX) - 1)

/* What was set; the rest is as RETRY_POLICY_DEFAULT says. */
typedef struct RetryPolicy {
        bool has_max;
        uint32_t max; /* attempts after the first that failed */
        uint64_t delay_usec, backoff_max_usec;
        double backoff; /* each delay is so many times the one before */
        double jitter;  /* 0..1: up to this part of a delay is taken off by chance */
        unsigned on; /* of enum RetryReason: a bit for each that is followed by another attempt */
} RetryPolicy;

#define RETRY_POLICY_DEFAULT                              \
        ((RetryPolicy){                                   \
                .delay_usec = UINT64_C(60) * 1000000,     \
                .backoff_max_usec = UINT64_C(3600000000), \
                .backoff = 2.0,                           \
                .on = RETRY_ON_ALL,                       \
        })

/* What the task itself wants, by the details of its end. */
typedef struct RetryAnswer {
        bool never;
        bool has_after;
        uint64_t after_usec;
        RetryReason reason; /* _RETRY_REASON_INVALID: one that is not known here */
} RetryAnswer;

/* Overrides what the policy says by the keys "max_retries", "retry_delay", "retry_backoff", "retry_backoff_max",
 * "retry_jitter" and "retry_on" of the document (NULL: none). -EINVAL: *ret_error (static) says what one of them must be; the
 * others were taken. */
int retry_policy_read(RetryPolicy *p, struct json_object *o, const char **ret_error);

/* The keys "retry_after" (seconds), "no_retry" and "reason"; a value that makes no sense is passed over. */
void retry_answer_read(RetryAnswer *a, struct json_object *o);

/* The delay before attempt n + 2, after n attempts were followed by another. `chance` is evenly spread. */
uint64_t retry_delay(const RetryPolicy *p, uint32_t n, uint32_t chance);

/* Whether there is another attempt after n were followed by one, and after which time. */
bool retry_decide(const RetryPolicy *p, const RetryAnswer *a, uint32_t n, uint32_t chance,
                  uint64_t *ret_delay_usec);
