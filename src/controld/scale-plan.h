/* SPDX-License-Identifier: MIT */
#pragma once

/* Which instances of the subworker's unit are to be started, and when. Pure: no I/O, no clock of its own, and what
 * happens to an instance is told by the caller. */

#include "task-type.h"

typedef enum InstanceState {
        INSTANCE_ASLEEP,  /* may be woken */
        INSTANCE_WAKING,  /* was woken and has not registered yet */
        INSTANCE_RUNNING, /* its worker is registered */
        INSTANCE_RESTING, /* was of no use lately: not woken for a while */
        INSTANCE_FAILED, /* could not be woken, or did not register in time: not woken for a while */
        _INSTANCE_STATE_MAX,
        _INSTANCE_STATE_INVALID = -EINVAL,
} InstanceState;

DECLARE_STRING_TABLE(instance_state, InstanceState);

typedef struct Instance {
        unsigned number; /* from 1 */
        InstanceState state;
        uint64_t since_usec;  /* CLOCK_MONOTONIC, as all times here */
        uint64_t until_usec;  /* WAKING: must have registered; RESTING, FAILED: is left alone */
        unsigned n_useless;   /* starts in a row that did not register, or did no task */
        int error;            /* FAILED: errno of the connection; 0: it did not register */
        const Worker *worker; /* RUNNING */
        bool is_known;        /* it has registered once, with these types */
        TaskType **types;     /* sorted by address */
        size_t n_types;
} Instance;

/* Tasks of a type that wait. */
typedef struct ScaleDemand {
        const TaskType *type; /* NULL: some that nobody has offered yet */
        uint64_t n_tasks;
} ScaleDemand;

typedef struct ScalePlan {
        Instance *instances;
        size_t n;
        size_t n_in_state[_INSTANCE_STATE_MAX];
        uint64_t generation; /* grows with each change of an instance's state; never 0 */
        size_t wave;         /* how many were woken together last; 0: there was no need */
        uint64_t wake_timeout_usec;
        uint64_t n_wakes, n_failures;
} ScalePlan;

/* Instances 1 to n, all asleep. -ENOMEM. */
int scale_plan_init(ScalePlan *p, size_t n, uint64_t wake_timeout_usec);
void scale_plan_done(ScalePlan *p);

/* Whether one that does not run now may offer the type (NULL: one that nobody has offered yet). */
bool scale_plan_may_help(const ScalePlan *p, const TaskType *type);

/* How many to wake for so many waiting tasks: none while one is being woken, as it may be all that is needed; then one,
 * and if that did not help twice as many each time. */
size_t scale_plan_wave(const ScalePlan *p, uint64_t n_tasks);
/* The one to wake for the type next, or NULL: of those that may offer it the one with the fewest useless starts, of
 * these the first. */
Instance *scale_plan_choose(ScalePlan *p, const TaskType *type);
/* So many were woken (0: there is no need any more), to be told after each wave. */
void scale_plan_end_wave(ScalePlan *p, size_t n);

/* What happened to an instance. */
void instance_woken(ScalePlan *p, Instance *i, uint64_t now);
/* Could not be woken. */
void instance_unreachable(ScalePlan *p, Instance *i, int error, uint64_t now);
/* Its worker has registered, with these types. -ENOMEM: they are not known, which does no harm. */
int instance_registered(ScalePlan *p, Instance *i, const Worker *w, uint64_t now);
/* Its worker is gone. */
void instance_gone(ScalePlan *p, Instance *i, uint64_t n_done, uint64_t now);

/* Lets time pass. Returns the first instance that has just missed its time to register, with its state changed, or NULL
 * when there is no more. */
Instance *scale_plan_pass(ScalePlan *p, uint64_t now);
