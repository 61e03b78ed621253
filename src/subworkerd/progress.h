/* SPDX-License-Identifier: MIT */
#pragma once

/* How far running tasks are, on the way to controld: of each, the newest word, at most so often. */

#include "job.h"
#include "time-util.h"

#define PROGRESS_INTERVAL_USEC (500 * USEC_PER_MSEC)

typedef struct ProgressTable ProgressTable;

/* Sends one message; -EAGAIN: not now. The message and what it borrows may change after the call. */
typedef int (*ProgressSend)(const WireOut *out, void *userdata);

int progress_new(ProgressSend send, void *userdata, ProgressTable **ret);
ProgressTable *progress_free(ProgressTable *t);
DEFINE_CLEANUP_FUNC(ProgressTable *, progress_free);

/* `percent` in hundredths. Without memory nobody hears of it. */
void progress_report(ProgressTable *t, const Job *job, unsigned percent, const char *text,
                     size_t size);
/* The job has ended. */
void progress_forget(ProgressTable *t, const Job *job);

/* Sends what is due at `now` (CLOCK_MONOTONIC). Returns 0, or the error of `send`: it is tried again. */
int progress_flush(ProgressTable *t, uint64_t now);
/* When the next one is; USEC_INFINITY: there is none. */
uint64_t progress_due(const ProgressTable *t);
