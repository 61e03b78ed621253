/* SPDX-License-Identifier: MIT */
#pragma once

/* Shared by pool.c (tasks) and pool-runners.c (processes). */

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
        unsigned generation; /* of the command line it was started with */
        unsigned failures;   /* in a row, to start */
        uint64_t retry_usec; /* CLOCK_MONOTONIC; 0: not waiting to be started again */
        bool surplus;        /* to be removed when idle */
        bool staged;         /* has jobs to be flushed */
} Member;

struct Pool {
        sd_event *event;
        TypeTable *types;
        PoolConfig config;
        const PoolHandlers *handlers;
        void *userdata;

        Member **members; /* those that do not come up are in here as well */
        unsigned n_members, n_target;
        Member *probe; /* tries a new command line; not among the members */
        SlotShared shared;

        char **argv, **environment;
        char **next_argv, **next_environment;
        unsigned next_target;
        unsigned generation;
        bool started;        /* all runners were up once */
        bool awaiting_ready; /* the ready handler is owed */
        bool rolling;        /* some runners are old or too many */
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
void pool_put_back(Pool *p, JobList *jobs);
void pool_arm(Pool *p, uint64_t usec);
void pool_turn(Pool *p);
bool member_is_usable(const Pool *p, const Member *m);

/* pool-runners.c */
extern const SlotHandlers pool_slot_handlers;
Member *pool_find_member(Pool *p, const Slot *slot);
/* What the time demands of one runner's process; *next is lowered to when to look again. */
void pool_review_member(Pool *p, Member *m, uint64_t now, uint64_t *next);
/* Adds and removes runners until there are as many as there should be. */
void pool_reconcile(Pool *p);
Member *member_free(Member *m);
/* slot events that concern tasks, in pool.c */
void pool_on_done(Slot *s, Job *job, const RunnerMessage *m, void *userdata);
void pool_on_log(Slot *s, const Job *job, const RunnerMessage *m, void *userdata);
void pool_end_interrupted(Pool *p, const SlotEnd *end);
