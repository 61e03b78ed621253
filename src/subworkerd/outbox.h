/* SPDX-License-Identifier: MIT */
#pragma once

/* What is to be told to controld about tasks: that they run, that they have ended, that they are handed back.
 * Collected during a turn of the loop and sent as few messages; ends are kept until controld has
 * acknowledged them. */

#include "job.h"

typedef struct Outbox Outbox;

/* Sends one message; -EAGAIN: not now. The message and what it borrows may change after the call. */
typedef int (*OutboxSend)(const WireOut *out, void *userdata);

/* Jobs are taken out of `jobs` when controld has acknowledged their end or they were handed back. */
int outbox_new(JobTable *jobs, const char *worker_id, OutboxSend send, void *userdata,
               Outbox **ret);
Outbox *outbox_free(Outbox *o);
DEFINE_CLEANUP_FUNC(Outbox *, outbox_free);

void outbox_started(Outbox *o, const Job *job, uint64_t started_usec);
void outbox_capacity(Outbox *o, unsigned capacity);
/* These take jobs that are in no list. */
void outbox_finished(Outbox *o, Job *job);
void outbox_released(Outbox *o, Job *job);

/* Forgets a job that controld does not want any more; it is FINISHED or REPORTED. */
void outbox_drop(Outbox *o, Job *job);

/* Sends what there is. Returns 0, or the error of `send`: the rest goes with the next flush. */
int outbox_flush(Outbox *o);

/* The answers; correlation ids that are not the outbox's are passed over. */
void outbox_acknowledged(Outbox *o, const struct iovec *correlation);
void outbox_refused(Outbox *o, const struct iovec *correlation, WireError code, const char *text);

/* The connection is gone: ends that were not acknowledged are sent again. Those handed back are forgotten, as
 * the next registration does not name them; those to be handed back still are. */
void outbox_reset(Outbox *o);

/* Lets ends be sent again that had no answer for long, and those that had to wait. To be called at
 * outbox_due() (CLOCK_MONOTONIC; USEC_INFINITY: not needed). */
void outbox_review(Outbox *o, uint64_t now);
uint64_t outbox_due(const Outbox *o);

size_t outbox_n_finished(const Outbox *o); /* not sent */
size_t outbox_n_unacknowledged(
        const Outbox *o); /* ends and hand-backs for which an answer is to come */
