/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "details.h"
#include "log.h"
#include "message-ids.h"
#include "outbox.h"
#include "time-util.h"

/* Results in one message, beyond what one job alone may have. */
#define MESSAGE_BYTES_MAX (4U * 1024U * 1024U)
#define RESEND_USEC       (20 * USEC_PER_SEC) /* an end without an answer */
#define HOLD_USEC         USEC_PER_SEC        /* after controld was not able to take one */

typedef struct Started {
        JobKey key;
        uint64_t usec;
} Started;

/* Jobs whose end was sent in one message. */
typedef struct Batch {
        TAILQ_ENTRY(Batch) entry;
        uint64_t serial;
        uint64_t sent_usec;
        JobList jobs;
} Batch;

typedef TAILQ_HEAD(BatchList, Batch) BatchList;

struct Outbox {
        JobTable *jobs;
        const char *worker_id;
        OutboxSend send;
        void *userdata;
        WireOut out;

        Started *started;
        size_t n_started, n_started_allocated;
        JobList finished, released;
        size_t n_finished;
        BatchList batches; /* in the order of their serials */
        size_t n_reported;
        uint64_t serial;
        uint64_t hold_until_usec; /* 0: ends may be sent */
        unsigned capacity;
        bool capacity_changed;
        uint64_t n_releases_unacknowledged;
        char correlation[24]; /* of the message in `out` */
};

/* --- in ------------------------------------------------------------------------------------------- */

/* Should there be no memory, `fastworker status` says "assigned" for a while longer. */
void outbox_started(Outbox *o, const Job *job, uint64_t started_usec) {
        if (o->n_started == o->n_started_allocated) {
                size_t n = MAX(o->n_started_allocated * 2, (size_t) 16);
                Started *p = reallocarray(o->started, n, sizeof(*p));

                if (!p)
                        return;
                o->started = p;
                o->n_started_allocated = n;
        }
        o->started[o->n_started++] = (Started){ job->key, started_usec };
}

void outbox_capacity(Outbox *o, unsigned capacity) {
        o->capacity = capacity;
        o->capacity_changed = true;
}

void outbox_finished(Outbox *o, Job *job) {
        job->state = JOB_FINISHED;
        TAILQ_INSERT_TAIL(&o->finished, job, entry);
        o->n_finished++;
}

void outbox_released(Outbox *o, Job *job) {
        TAILQ_INSERT_TAIL(&o->released, job, entry);
}

/* --- batches -------------------------------------------------------------------------------------- */

static Batch *batch_of(Outbox *o, const Job *job) {
        Batch *b;
        Job *other;

        TAILQ_FOREACH(b, &o->batches, entry)
                TAILQ_FOREACH(other, &b->jobs, entry)
                        if (other == job)
                                return b;
        return NULL;
}

static void batch_free(Outbox *o, Batch *b) {
        TAILQ_REMOVE(&o->batches, b, entry);
        free(b);
}

/* Puts its jobs at the head of what is to be sent. */
static void batch_send_again(Outbox *o, Batch *b) {
        Job *job;

        while ((job = TAILQ_LAST(&b->jobs, JobList))) {
                TAILQ_REMOVE(&b->jobs, job, entry);
                o->n_reported--;
                job->state = JOB_FINISHED;
                TAILQ_INSERT_HEAD(&o->finished, job, entry);
                o->n_finished++;
        }
        batch_free(o, b);
}

static Batch *find_batch(Outbox *o, uint64_t serial) {
        Batch *b;

        /* Answers come in order: it is nearly always the first. */
        TAILQ_FOREACH(b, &o->batches, entry)
                if (b->serial == serial)
                        return b;
        return NULL;
}

void outbox_drop(Outbox *o, Job *job) {
        if (job->state == JOB_REPORTED) {
                Batch *b = batch_of(o, job);

                TAILQ_REMOVE(&b->jobs, job, entry);
                o->n_reported--;
                if (TAILQ_EMPTY(&b->jobs))
                        batch_free(o, b);
        } else {
                TAILQ_REMOVE(&o->finished, job, entry);
                o->n_finished--;
        }
        job_table_remove(o->jobs, job);
}

/* --- out ------------------------------------------------------------------------------------------ */

static void begin(Outbox *o, WireVerb verb, char kind, uint64_t serial) {
        struct iovec correlation = { o->correlation, 0 };

        correlation.iov_len = (size_t) snprintf(o->correlation, sizeof(o->correlation), "%c%llu",
                                                kind, (unsigned long long) serial);
        wire_begin(&o->out, verb, &correlation);
}

static int send_started(Outbox *o) {
        int r;

        while (o->n_started > 0) {
                size_t n = MIN(o->n_started, (size_t) WIRE_BATCH_MAX);

                wire_begin(&o->out, WIRE_STARTED, NULL);
                for (size_t i = 0; i < n; i++) {
                        wire_put_task_id(&o->out, &o->started[i].key.id);
                        wire_put_number(&o->out, o->started[i].key.attempt);
                        wire_put_number(&o->out, o->started[i].usec);
                }
                r = o->send(&o->out, o->userdata);
                if (r < 0)
                        return r;
                o->n_started -= n;
                memmove(o->started, o->started + n, o->n_started * sizeof(Started));
        }
        return 0;
}

/* Without memory to say it in, controld goes by the settings. */
static const char *details_of(Job *job) {
        if (!job->details)
                (void) details_format(job, &job->details);
        return job->details;
}

static void put_done(WireOut *out, Job *job) {
        bool success = job->outcome == WIRE_OUTCOME_SUCCESS;

        wire_put_task_id(out, &job->key.id);
        wire_put_number(out, job->key.attempt);
        wire_put_string(out, wire_outcome_to_string(job->outcome));
        wire_put(out, success ? job->text : NULL, success ? job->text_size : 0);
        wire_put(out, success ? NULL : job->text, success ? 0 : job->text_size);
        wire_put_number(out, job->started_usec);
        wire_put_number(out, job->completed_usec);
        wire_put_string(out, details_of(job));
}

/* Writes one message of jobs from the head of the list. Returns how many. */
static size_t put_batch(Outbox *o, uint64_t serial) {
        size_t n = 0, bytes = 0;
        Job *job;

        begin(o, WIRE_DONE, 'd', serial);
        TAILQ_FOREACH(job, &o->finished, entry) {
                if (n > 0 && (job->alone || n == WIRE_BATCH_MAX ||
                              bytes + job->text_size > MESSAGE_BYTES_MAX))
                        break;
                put_done(&o->out, job);
                bytes += job->text_size;
                n++;
                if (job->alone)
                        break;
        }
        return n;
}

static int send_batch(Outbox *o) {
        Batch *b;
        size_t n;
        int r;

        b = malloc(sizeof(*b));
        if (!b)
                return -ENOMEM;
        TAILQ_INIT(&b->jobs);
        b->serial = ++o->serial;
        n = put_batch(o, b->serial);
        r = o->send(&o->out, o->userdata);
        if (r < 0) {
                free(b);
                return r;
        }

        b->sent_usec = now_usec(CLOCK_MONOTONIC);
        TAILQ_INSERT_TAIL(&o->batches, b, entry);
        for (; n > 0; n--) {
                Job *job = TAILQ_FIRST(&o->finished);

                TAILQ_REMOVE(&o->finished, job, entry);
                o->n_finished--;
                job->state = JOB_REPORTED;
                TAILQ_INSERT_TAIL(&b->jobs, job, entry);
                o->n_reported++;
        }
        return 0;
}

static int send_finished(Outbox *o) {
        int r;

        while (o->n_finished > 0 && o->hold_until_usec == 0) {
                r = send_batch(o);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int send_capacity(Outbox *o) {
        int r;

        if (!o->capacity_changed)
                return 0;
        wire_begin(&o->out, WIRE_CAPACITY, NULL);
        wire_put_number(&o->out, o->capacity);
        r = o->send(&o->out, o->userdata);
        if (r >= 0)
                o->capacity_changed = false;
        return r;
}

static void forget_released(Outbox *o, size_t n) {
        for (; n > 0; n--) {
                Job *job = TAILQ_FIRST(&o->released);

                TAILQ_REMOVE(&o->released, job, entry);
                job_table_remove(o->jobs, job);
        }
}

/* A message for each run of jobs with the same reason. */
static int send_released(Outbox *o) {
        Job *job;
        int r;

        while ((job = TAILQ_FIRST(&o->released))) {
                const char *reason = job->release_reason;
                size_t n = 0;

                begin(o, WIRE_RELEASE, 'r', ++o->serial);
                wire_put_string(&o->out, reason);
                TAILQ_FOREACH(job, &o->released, entry) {
                        if (job->release_reason != reason || n == WIRE_BATCH_MAX)
                                break;
                        wire_put_task_id(&o->out, &job->key.id);
                        wire_put_number(&o->out, job->key.attempt);
                        n++;
                }
                r = o->send(&o->out, o->userdata);
                if (r < 0)
                        return r;
                o->n_releases_unacknowledged++;
                forget_released(o, n);
        }
        return 0;
}

/* The capacity goes before what is handed back, lest that be sent here again at once. */
int outbox_flush(Outbox *o) {
        int r;

        r = send_started(o);
        if (r < 0)
                return r;
        r = send_finished(o);
        if (r < 0)
                return r;
        r = send_capacity(o);
        if (r < 0)
                return r;
        return send_released(o);
}

/* --- answers -------------------------------------------------------------------------------------- */

/* Returns the kind of message that the answer is for, or 0 if it is none of ours. */
static char parse_correlation(const struct iovec *correlation, uint64_t *ret_serial) {
        struct iovec number = *correlation;
        const char *text = correlation->iov_base;

        if (number.iov_len < 2 || (text[0] != 'd' && text[0] != 'r'))
                return 0;
        number.iov_base = (char *) text + 1;
        number.iov_len--;
        if (!wire_field_is_valid(WIRE_KIND_NUMBER, &number))
                return 0;
        *ret_serial = wire_get_number(&number);
        return text[0];
}

static void release_answered(Outbox *o) {
        o->n_releases_unacknowledged -= MIN(o->n_releases_unacknowledged, UINT64_C(1));
}

void outbox_acknowledged(Outbox *o, const struct iovec *correlation) {
        uint64_t serial;
        char kind;
        Batch *b;
        Job *job;

        kind = parse_correlation(correlation, &serial);
        if (kind == 'r')
                release_answered(o);
        if (kind != 'd')
                return;
        b = find_batch(o, serial);
        if (!b)
                return;
        while ((job = TAILQ_FIRST(&b->jobs))) {
                TAILQ_REMOVE(&b->jobs, job, entry);
                o->n_reported--;
                job_table_remove(o->jobs, job);
        }
        batch_free(o, b);
}

/* controld does not take the message that told this job's end, and no other was in it: the job fails with
 * the reason, and if it does not take that either, is given up. */
static void end_refused(Outbox *o, Job *job, WireError code, const char *reason) {
        _cleanup_free_ char *text = NULL;
        char id[TASK_ID_TEXT_LENGTH + 1];
        bool again = job->refused;

        task_id_to_text(&job->key.id, id);
        log_event(LOG_WARNING, 0,
                  LOG_FIELDS(.message_id = MESSAGE_RESULT_REFUSED, .task_id = id,
                             .task_name = type_name(job->type), .worker_id = o->worker_id),
                  "The control plane refuses the result of task %s (%s): %s; %s.",
                  type_name(job->type), id, reason,
                  again ? "giving it up" : "reporting that as a failure");
        if (again) {
                outbox_drop(o, job);
                return;
        }
        if (asprintf(&text, "the control plane refused the result (%s): %s",
                     wire_error_to_string(code), reason) < 0)
                text = NULL;
        job->refused = true;
        job_finish(job, WIRE_OUTCOME_FAILURE, text ? text : "", text ? strlen(text) : 0,
                   job->started_usec, job->completed_usec);
}

void outbox_refused(Outbox *o, const struct iovec *correlation, WireError code, const char *text) {
        uint64_t serial;
        char kind;
        Batch *b;
        Job *job;

        kind = parse_correlation(correlation, &serial);
        if (kind == 'r')
                release_answered(o);
        if (kind != 'd')
                return;
        b = find_batch(o, serial);
        if (!b)
                return;

        switch (code) {
        case WIRE_ERROR_BAD_MESSAGE:
        case WIRE_ERROR_BAD_ARGUMENT:
        case WIRE_ERROR_TOO_LARGE:
        case WIRE_ERROR_DENIED:
                break;
        default: /* it may take the same message later */
                o->hold_until_usec = now_usec(CLOCK_MONOTONIC) + HOLD_USEC;
                batch_send_again(o, b);
                return;
        }

        job = TAILQ_FIRST(&b->jobs);
        if (!TAILQ_NEXT(job, entry)) {
                batch_send_again(o, b);
                end_refused(o, job, code, text);
                return;
        }
        TAILQ_FOREACH(job, &b->jobs, entry)
                job->alone = true;
        batch_send_again(o, b);
}

void outbox_reset(Outbox *o) {
        Batch *b;

        while ((b = TAILQ_LAST(&o->batches, BatchList)))
                batch_send_again(o, b);
        o->n_started = 0;
        o->capacity_changed = false;
        o->hold_until_usec = 0;
        o->n_releases_unacknowledged = 0;
}

void outbox_review(Outbox *o, uint64_t now) {
        Batch *b;

        if (now >= o->hold_until_usec)
                o->hold_until_usec = 0;
        b = TAILQ_FIRST(&o->batches);
        if (b && now >= b->sent_usec + RESEND_USEC)
                batch_send_again(o, b);
}

uint64_t outbox_due(const Outbox *o) {
        const Batch *b = TAILQ_FIRST(&o->batches);
        uint64_t due = o->hold_until_usec > 0 ? o->hold_until_usec : USEC_INFINITY;

        return b ? MIN(due, b->sent_usec + RESEND_USEC) : due;
}

size_t outbox_n_finished(const Outbox *o) {
        return o->n_finished;
}

size_t outbox_n_unacknowledged(const Outbox *o) {
        return o->n_finished + o->n_reported + !TAILQ_EMPTY(&o->released) +
               o->n_releases_unacknowledged;
}

/* --- life ----------------------------------------------------------------------------------------- */

int outbox_new(JobTable *jobs, const char *worker_id, OutboxSend send, void *userdata,
               Outbox **ret) {
        Outbox *o = calloc(1, sizeof(*o));

        if (!o)
                return -ENOMEM;
        o->jobs = jobs;
        o->worker_id = worker_id;
        o->send = send;
        o->userdata = userdata;
        TAILQ_INIT(&o->finished);
        TAILQ_INIT(&o->released);
        TAILQ_INIT(&o->batches);
        *ret = o;
        return 0;
}

Outbox *outbox_free(Outbox *o) {
        Batch *b;

        if (!o)
                return NULL;
        while ((b = TAILQ_FIRST(&o->batches)))
                batch_free(o, b);
        free(o->started);
        wire_out_done(&o->out);
        free(o);
        return NULL;
}
