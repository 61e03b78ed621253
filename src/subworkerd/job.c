/* SPDX-License-Identifier: MIT */

#include "job.h"
#include "hash.h"

/* Arguments and results up to these sizes, which most are, need no allocation of their own. */
#define SMALL_ARGUMENTS_MAX 512U
#define SMALL_TEXT_MAX      64U

typedef struct JobRecord {
        Job job; /* first: a Job * is a JobRecord * */
        UT_hash_handle hh;
        char small_text[SMALL_TEXT_MAX];
        char small_arguments[];
} JobRecord;

struct JobTable {
        JobRecord *records;
};

/* The key is hashed as bytes. */
_Static_assert(sizeof(JobKey) == sizeof(TaskId) + sizeof(uint64_t), "JobKey has padding");

static const char *const job_reason_table[_JOB_REASON_MAX] = {
        [JOB_REASON_NONE] = "",
        [JOB_REASON_TIMEOUT] = "timeout",
        [JOB_REASON_OOM] = "oom",
        [JOB_REASON_EXIT] = "exit",
        [JOB_REASON_SIGNAL] = "signal",
        [JOB_REASON_EXCEPTION] = "exception",
        [JOB_REASON_CANCELLED] = "cancelled",
};
DEFINE_STRING_TABLE(job_reason, JobReason);

static void set_text(JobRecord *record, char *text, size_t size) {
        if (record->job.text != record->small_text)
                free(record->job.text);
        record->job.text = text;
        record->job.text_size = size;
}

static void drop_arguments(JobRecord *record) {
        if (record->job.arguments != record->small_arguments)
                free(record->job.arguments);
        record->job.arguments = NULL;
        record->job.arguments_size = 0;
}

static JobRecord *job_free(JobRecord *record) {
        if (!record)
                return NULL;
        set_text(record, NULL, 0);
        drop_arguments(record);
        free(record->job.traceparent);
        free(record->job.output_tail);
        free(record->job.details);
        free(record);
        return NULL;
}

static JobRecord *job_new(const JobKey *key, TaskType *type, const void *arguments, size_t size) {
        bool small = size <= SMALL_ARGUMENTS_MAX;
        JobRecord *record;

        record = malloc(sizeof(*record) + (small ? size : 0));
        if (!record)
                return NULL;
        record->hh.tbl = NULL;
        record->job =
                (Job){ .state = JOB_WAITING, .key = *key, .type = type, .arguments_size = size };
        if (type)
                record->job.limits = *type_limits(type);
        record->job.arguments = small ? record->small_arguments : malloc(size);
        if (!record->job.arguments) {
                free(record);
                return NULL;
        }
        if (size > 0)
                memcpy(record->job.arguments, arguments, size);
        return record;
}

int job_table_add(JobTable *t, const JobKey *key, TaskType *type, const void *arguments,
                  size_t size, Job **ret) {
        JobRecord *record;

        if (job_table_find(t, key))
                return -EEXIST;
        record = job_new(key, type, arguments, size);
        if (!record)
                return -ENOMEM;
        HASH_ADD(hh, t->records, job.key, sizeof(JobKey), record);
        if (!record->hh.tbl) {
                job_free(record);
                return -ENOMEM;
        }
        *ret = &record->job;
        return 0;
}

Job *job_table_find(JobTable *t, const JobKey *key) {
        JobRecord *record;

        HASH_FIND(hh, t->records, key, sizeof(JobKey), record);
        return record ? &record->job : NULL;
}

size_t job_table_count(const JobTable *t) {
        return HASH_COUNT(t->records);
}

Job *job_table_next(JobTable *t, Job *previous) {
        JobRecord *record = previous ? ((JobRecord *) previous)->hh.next : t->records;

        return record ? &record->job : NULL;
}

void job_table_remove(JobTable *t, Job *job) {
        JobRecord *record = (JobRecord *) job;

        HASH_DEL(t->records, record);
        job_free(record);
}

int job_set_options(Job *job, const char *options, size_t size) {
        int r;

        if (size <= strlen("{}"))
                return 0;
        r = task_limits_parse(options, size, &job->limits);
        if (r == -EBADMSG)
                return 0;
        if (r >= 0)
                r = task_limits_traceparent(options, size, &job->traceparent);
        return MIN(r, 0);
}

void job_finish(Job *job, WireOutcome outcome, const char *text, size_t size, uint64_t started_usec,
                uint64_t completed_usec) {
        static const char no_memory[] = "the worker had no memory for the result";
        JobRecord *record = (JobRecord *) job;
        char *copy = record->small_text;

        if (outcome != WIRE_OUTCOME_SUCCESS)
                size = MIN(size, (size_t) WIRE_TEXT_MAX);
        if (size > SMALL_TEXT_MAX) {
                copy = malloc(size);
                if (!copy) {
                        copy = record->small_text;
                        text = no_memory;
                        size = strlen(no_memory);
                        outcome = WIRE_OUTCOME_FAILURE;
                }
        }
        if (size > 0)
                memmove(copy, text, size);
        set_text(record, copy, size);
        drop_arguments(record);
        free(job->details);
        job->details = NULL;

        job->state = JOB_FINISHED;
        job->outcome = outcome;
        job->started_usec = started_usec;
        job->completed_usec = completed_usec;
}

int job_table_new(JobTable **ret) {
        JobTable *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        *ret = t;
        return 0;
}

JobTable *job_table_free(JobTable *t) {
        JobRecord *record, *next;

        if (!t)
                return NULL;
        HASH_ITER(hh, t->records, record, next) {
                HASH_DEL(t->records, record);
                job_free(record);
        }
        free(t);
        return NULL;
}
