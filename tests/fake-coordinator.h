/* SPDX-License-Identifier: MIT */
#pragma once

/* A coordinator for tests of clients: a thread with a ROUTER socket that answers by the name of a task.
 *
 *     echo    succeeds with its arguments as result         fail    fails
 *     bytes   succeeds with bytes that are not UTF-8        hold    stays queued until it is cancelled
 *     nosuch  is refused as unknown-task-type               full    is refused as queue-full
 *     deaf    its first SUBMIT gets no answer               stop    its first SUBMIT is answered "stopping"
 *     mute    gets no answer to any SUBMIT
 *     slow    is accepted at once, and done with the next PING
 *     crash   ends as dead                                  nospace is refused as no-space
 *
 * The unique key "taken" is. LIST gives the tasks, or one made up while there are none, in small pages. What RETRY
 * queues again stays queued. A backup holds the word "store"; one to /mute gets
 * no answer. SCHEDULE is answered with what was asked for; the schedule "s" is there until it is removed.
 *
 * Tasks and idempotency keys outlive fake_stop() and fake_start() unless fake_forget() is called between. */

#include <stdatomic.h>

#include "macro.h"

typedef struct Fake Fake;

typedef enum FakeCounter {
        FAKE_HELLOS,
        FAKE_SUBMITS, /* messages */
        FAKE_TASKS,   /* made: not those of a known key */
        FAKE_WAITS,   /* ids in WAIT messages */
        FAKE_FORGETS,
        FAKE_RETRIES, /* ids in RETRY messages that were followed */
        FAKE_PURGES,
        FAKE_BACKUPS,   /* asked for */
        FAKE_SCHEDULES, /* requests that were followed */
        FAKE_REQUESTS,
        _FAKE_COUNTER_MAX,
} FakeCounter;

/* Listens at `address` ("tcp://127.0.0.1:*" takes a free port). Fails the test on error. */
Fake *fake_new(const char *address);
/* What it really listens at; the same after a restart. */
const char *fake_address(const Fake *f);
/* Another address to announce in answers to DISCOVER, instead of its own. While it is stopped. */
void fake_announce(Fake *f, const char *address);
/* The protocol code (and text) with which every request but PING is refused from now on; NULL: none. */
void fake_refuse_all(Fake *f, const char *code, const char *text);

/* When the next RETRY or PURGE comes, its n-th task (from 1) has just been queued again by somebody else. */
void fake_steal(Fake *f, unsigned n);
/* The next RETRY, PURGE or SCHEDULE is done, but not answered. */
void fake_mute_once(Fake *f);
/* The options of the task that was submitted last, or "". While no submit is on its way. */
const char *fake_options(const Fake *f);

void fake_stop(Fake *f);
void fake_start(Fake *f);
void fake_forget(Fake *f);

unsigned fake_count(const Fake *f, FakeCounter counter);
Fake *fake_free(Fake *f);
