/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdio.h>

#include "details.h"
#include "json-util.h"
#include "time-util.h"

/* A task that fails and nobody knows of anything else has said so itself. */
static JobReason reason_of(const Job *job) {
        switch (job->outcome) {
        case WIRE_OUTCOME_SUCCESS:
                return JOB_REASON_NONE;
        case WIRE_OUTCOME_CANCELLED:
                return JOB_REASON_CANCELLED;
        case WIRE_OUTCOME_FAILURE:
                return job->reason == JOB_REASON_NONE ? JOB_REASON_EXCEPTION : job->reason;
        default:
                return job->reason;
        }
}

/* Microseconds are all the precision there is; a double would be written with 17 digits. */
static int add_seconds(struct json_object *o, const char *key, uint64_t usec) {
        char text[32];
        int n;

        n = snprintf(text, sizeof(text), "%" PRIu64 ".%06" PRIu64, usec / USEC_PER_SEC,
                     usec % USEC_PER_SEC);
        while (text[n - 1] == '0' && text[n - 2] != '.')
                text[--n] = '\0';
        return json_add(o, key, json_object_new_double_s((double) usec / USEC_PER_SEC, text));
}

static int add_usage(struct json_object *o, const Job *job) {
        struct json_object *usage = json_object_new_object();
        int r;

        r = json_add(o, "usage", usage);
        if (r >= 0)
                r = add_seconds(usage, "cpu_sec", job->cpu_usec);
        if (r >= 0 && job->memory_peak_bytes > 0)
                r = json_add_uint(usage, "memory_peak", job->memory_peak_bytes);
        if (r >= 0)
                r = add_seconds(usage, "wall_sec",
                                job->completed_usec - MIN(job->started_usec, job->completed_usec));
        return r;
}

static int add_all(struct json_object *o, const Job *job, JobReason reason) {
        int r = 0;

        if (job->has_retry_after)
                r = add_seconds(o, "retry_after", job->retry_after_usec);
        if (r >= 0 && job->no_retry)
                r = json_add_bool(o, "no_retry", true);
        if (r >= 0 && reason != JOB_REASON_NONE)
                r = json_add_string(o, "reason", job_reason_to_string(reason));
        if (r >= 0 && job->measured)
                r = add_usage(o, job);
        if (r >= 0 && job->output_tail)
                r = json_add_string(o, "output_tail", job->output_tail);
        return r;
}

int details_format(const Job *job, char **ret) {
        _cleanup_json_ struct json_object *o = NULL;
        JobReason reason = reason_of(job);
        int r;

        *ret = NULL;
        if (reason == JOB_REASON_NONE && !job->measured && !job->no_retry &&
            !job->has_retry_after && !job->output_tail)
                return 0;
        o = json_object_new_object();
        if (!o)
                return -ENOMEM;
        r = add_all(o, job, reason);
        return r < 0 ? r : json_to_text(o, ret);
}
