/* SPDX-License-Identifier: MIT */
#pragma once

/* A task that controld leased to this worker, from its arrival until its result is acknowledged. */

#include <sys/queue.h>

#include "limits.h"
#include "string-table.h"
#include "task-id.h"
#include "type.h"
#include "wire.h"

/* Why an attempt has not succeeded, as far as we know. */
typedef enum JobReason {
        JOB_REASON_NONE,
        JOB_REASON_TIMEOUT,
        JOB_REASON_OOM,
        JOB_REASON_EXIT,      /* its process ended by itself */
        JOB_REASON_SIGNAL,    /* its process was killed */
        JOB_REASON_EXCEPTION, /* its own error */
        JOB_REASON_CANCELLED,
        _JOB_REASON_MAX,
        _JOB_REASON_INVALID = -EINVAL,
} JobReason;

DECLARE_STRING_TABLE(job_reason, JobReason);

typedef enum JobState {
        JOB_WAITING,  /* not given to a runner */
        JOB_PIPED,    /* in a runner's socket; the first one there runs */
        JOB_FINISHED, /* its end is to be reported */
        JOB_REPORTED, /* sent, not yet acknowledged */
} JobState;

/* One lease: the attempt number is its fencing token. */
typedef struct JobKey {
        TaskId id;
        uint64_t attempt;
} JobKey;

typedef struct Job Job;
typedef TAILQ_HEAD(JobList, Job) JobList;

/* Fields that the owner of the state (pool, slot, outbox) works with; the rest is private to job.c. */
struct Job {
        TAILQ_ENTRY(Job) entry; /* in the list of its state */
        JobState state;
        JobKey key;
        TaskType *type;
        void *slot;             /* PIPED: whose */
        uint64_t seq;           /* PIPED: its number there */
        uint32_t expected_usec; /* PIPED: what it counts for there */
        bool started_reported;
        bool cancelled; /* it is being stopped, and its end is not news */
        bool unwanted;  /* nobody waits for its end: controld has dropped the lease */
        bool alone;     /* report it in a message of its own: one with others was refused */
        bool refused;   /* a message of its own was refused */

        bool timed_out; /* it is being stopped, as it ran for too long */
        TaskLimits limits;
        char *traceparent; /* NULL: none */

        WireOutcome outcome; /* FINISHED, REPORTED */
        JobReason reason;
        bool measured; /* what it has used is known; for short tasks it is not */
        uint64_t cpu_usec;
        uint64_t memory_peak_bytes; /* 0: not known */
        uint64_t started_usec, completed_usec;
        char *text; /* result, or error text */
        size_t text_size;
        bool no_retry;             /* what the task wants to become of it */
        uint64_t retry_after_usec; /* with has_retry_after */
        bool has_retry_after;
        char *output_tail; /* the last it wrote, UTF-8; NULL: not kept */
        char *details; /* what else is told of its end: made by the outbox; NULL: nothing, or not made yet */

        const char *release_reason; /* handed back; static */

        size_t arguments_size;
        char *arguments;
};

typedef struct JobTable JobTable;

int job_table_new(JobTable **ret);
/* Frees the jobs as well. */
JobTable *job_table_free(JobTable *t);
DEFINE_CLEANUP_FUNC(JobTable *, job_table_free);

/* Makes a job with a copy of the arguments and enters it. -EEXIST if there is one with the key. */
int job_table_add(JobTable *t, const JobKey *key, TaskType *type, const void *arguments,
                  size_t size, Job **ret);
Job *job_table_find(JobTable *t, const JobKey *key);
size_t job_table_count(const JobTable *t);
/* Iterates in order of arrival: NULL gives the first. */
Job *job_table_next(JobTable *t, Job *previous);

/* Takes a job that is in no list out of the table and frees it. */
void job_table_remove(JobTable *t, Job *job);

/* Takes from the options of its submission (JSON, may be empty) what goes before its type's options. What is no
 * document of that kind is passed over. Returns 0 or -ENOMEM. */
int job_set_options(Job *job, const char *options, size_t size);

/* Enters the end of a job: copies the result or error text (the latter cut at WIRE_TEXT_MAX) and lets go of
 * the arguments. If there is no memory for the copy, the job fails with a text that says so. */
void job_finish(Job *job, WireOutcome outcome, const char *text, size_t size, uint64_t started_usec,
                uint64_t completed_usec);
