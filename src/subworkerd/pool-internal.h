/* SPDX-License-Identifier: MIT */
#pragma once

/* Shared by pool.c (tasks), pool-review.c (time) and pool-runners.c (processes). */

#include "pool.h"
#include "prefetch.h"
#include "slot.h"
#include "time-util.h"

/* How old the task at the head of a runner may get before something is done about it. */
#define TAKE_BACK_USEC (5 * USEC_PER_MSEC)  /* what is behind it in the socket is taken back */
#define STARTED_USEC   (10 * USEC_PER_MSEC) /* controld is told that it runs */
#define HOARD_USEC     (20 * USEC_PER_MSEC) /* the runner counts as taken for tasks that wait here */

typedef struct Member {
        Slot *slot;
        RunnerKind kind;
        unsigned generation; /* of the command line it was started with */
        unsigned failures;   /* in a row, to start */
        uint64_t retry_usec; /* CLOCK_MONOTONIC; 0: not waiting to be started again */
        bool surplus;        /* to be removed when idle */
        bool worn;           /* to be started again when idle */
        bool staged;         /* has jobs to be flushed */

        uint64_t cared_seq;            /* the slot's, when it was looked after last */
        uint64_t idle_seq, idle_since; /* when it was first seen idle; 0: it is not */
        uint64_t weighed_usec;
} Member;

struct Pool {
        sd_event *event;
        TypeTable *types;
        PoolConfig config;
        const PoolHandlers *handlers;
        void *userdata;

        Member **members; /* those that do not come up are in here as well */
        unsigned n_members, n_members_allocated;
        unsigned n_target;                   /* tasks at once */
        unsigned n_interpreters;             /* wanted so far, at most n_target */
        Member *probes[_RUNNER_KIND_MAX];    /* try a new command; not among the members */
        char *probe_types[_RUNNER_KIND_MAX]; /* what they said in HELLO */
        size_t probe_types_size[_RUNNER_KIND_MAX];
        SlotShared shared;

        PoolCommand command, next;
        unsigned next_target;
        unsigned generation; /* from 1 */
        bool started;        /* all runners were up once */
        bool awaiting_ready; /* the ready handler is owed */
        bool rolling;        /* some runners are old or too many */
        bool orphans;        /* not all that was killed has ended */
        uint64_t failure_logged_usec;

        JobList waiting;
        unsigned n_waiting;
        unsigned cursor;
        bool pump_off;
        const Job *stopping; /* not to be lost sight of while answers are read */

        Prefetch *prefetch;
        unsigned capacity;
        const char *drain_reason, *interrupt_reason;

        sd_event_source *tick;
        uint64_t tick_usec; /* when it is due, USEC_INFINITY: it is off */
};

/* pool.c */
void pool_announce_capacity(Pool *p);
void pool_release_waiting(Pool *p, Job *job, const char *reason);
void pool_put_back(Pool *p, JobList *jobs);
void pool_arm(Pool *p, uint64_t usec);
void pool_turn(Pool *p);
bool member_is_usable(const Pool *p, const Member *m);
unsigned pool_n_busy(const Pool *p);

/* Ends a task that has run for too long, unless it ends while we look. */
void pool_time_out(Pool *p, Job *job);

/* pool-care.c */
/* Returns whether the task's time is over, which it then is for good. */
bool pool_review_timeout(Pool *p, Job *head, uint64_t since, uint64_t now, uint64_t *next);
/* Looks after a runner that has had tasks, when it is idle. */
void pool_care(Pool *p, Member *m, uint64_t now, uint64_t *next);
/* A task has ended. */
void pool_note_wear(Pool *p, const Slot *slot);
/* Ends what runners that are gone have left to us. */
void pool_end_orphans(Pool *p);

/* pool-review.c */
int pool_on_tick(sd_event_source *source, uint64_t usec, void *userdata);

/* pool-runners.c */
extern const SlotHandlers pool_slot_handlers;
Member *pool_find_member(Pool *p, const Slot *slot);
/* What the time demands of one runner's process; *next is lowered to when to look again. */
void pool_review_member(Pool *p, Member *m, uint64_t now, uint64_t *next);
/* Adds and removes runners until there are as many as there should be. */
void pool_reconcile(Pool *p);
/* A task waits that one more runner of its kind could take; starts that unless one is coming up. */
void pool_want_more(Pool *p, RunnerKind kind);
/* How many runners of the kind there may be in the end, and are to be now. */
unsigned pool_limit(const Pool *p, RunnerKind kind);
unsigned pool_target(const Pool *p, RunnerKind kind);
Member *member_free(Member *m);
/* slot events that concern tasks, in pool.c */
void pool_on_done(Slot *s, Job *job, const RunnerMessage *m, void *userdata);
void pool_on_progress(Slot *s, const Job *job, const RunnerMessage *m, void *userdata);
void pool_on_log(Slot *s, const Job *job, const RunnerMessage *m, void *userdata);
void pool_end_interrupted(Pool *p, const SlotEnd *end);
