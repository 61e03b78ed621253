/* SPDX-License-Identifier: MIT */
#pragma once

/* All runners of a worker, and the tasks that wait for one.
 *
 * A task goes to an idle runner at once. If there is none, and tasks of its type have been short lately, it
 * goes into a runner's socket behind others; if the one that runs there then turns out long, the rest is
 * taken back. Tasks for which no runner will be free soon are handed back to controld, so that another
 * worker can have them.
 *
 * There are kinds of runners, for modules in different languages; a task goes to one of its kind. However many
 * runners there are, at most as many tasks run at once as was asked for. Interpreters are not started before they
 * are needed, but for one that tells what tasks there are. */

#include <systemd/sd-event.h>

#include "cgroup.h"
#include "job-user.h"
#include "job.h"

typedef struct Pool Pool;

/* A job handed to a handler is in no list any more. Handlers may not call the pool, except turn. */
typedef struct PoolHandlers {
        /* Every runner has loaded its modules: for the first time, or after a reload. */
        void (*ready)(void *userdata);
        /* A runner could not start, before ready was called. At a reload: the old runners stay. */
        void (*failed)(const char *reason, void *userdata);
        void (*types_changed)(void *userdata);
        void (*capacity)(unsigned capacity, void *userdata);
        /* It runs since `started_usec` (CLOCK_REALTIME); called only for tasks that are not short. */
        void (*started)(Job *job, uint64_t started_usec, void *userdata);
        void (*finished)(Job *job, void *userdata);
        /* Not run, or interrupted: see job->release_reason. */
        void (*released)(Job *job, void *userdata);
        /* The end of a job that controld has dropped. */
        void (*dropped)(Job *job, void *userdata);
        /* How far it is, in hundredths of a percent. */
        void (*progress)(const Job *job, unsigned percent, const char *text, size_t size,
                         void *userdata);
        void (*log)(const Job *job, int priority, const char *text, size_t size, void *userdata);
        /* After some of the above. */
        void (*turn)(void *userdata);
} PoolHandlers;

/* When a runner is replaced by a fresh one; 0: never. */
typedef struct PoolWear {
        uint64_t tasks;        /* after so many */
        uint64_t memory_bytes; /* when it has more in use, while no task runs */
} PoolWear;

typedef struct PoolConfig {
        const char *worker_id; /* for messages; borrowed */
        size_t result_max;     /* bytes */
        unsigned prefetch_max;
        const JobUser *user; /* of the runners; NULL: ours; borrowed */
        Cgroup *cgroup;      /* for the runners; NULL: none; borrowed */
        uint64_t memory_max; /* bytes, of a runner and all that it starts; 0: no limit */
        uint64_t output_max; /* bytes that a task may have logged; 0: no limit */
        PoolWear wear;
        bool owns_children; /* all children of this process are the pool's, and what these leave behind */
} PoolConfig;

/* `types` outlives the pool. */
int pool_new(sd_event *event, TypeTable *types, const PoolConfig *config,
             const PoolHandlers *handlers, void *userdata, Pool **ret);
Pool *pool_free(Pool *p);
DEFINE_CLEANUP_FUNC(Pool *, pool_free);

/* How runners are started: a command line for each kind of which there are modules, and the environment. */
typedef struct PoolCommand {
        char **argv[_RUNNER_KIND_MAX]; /* NULL: no runners of that kind */
        char **environment;
        char **optional; /* modules whose tasks give way to others of the name */
} PoolCommand;

void pool_command_done(PoolCommand *c);

/* Starts runners for `n` tasks at once; takes the command over in every case. The first call starts the pool; a later
 * one tries the new command with one runner of each kind and, when these have loaded their modules, replaces the
 * others as they become idle. */
int pool_run(Pool *p, PoolCommand *command, unsigned n);

void pool_set_limits(Pool *p, unsigned prefetch_max, size_t result_max);
void pool_set_output_max(Pool *p, uint64_t bytes);
/* The limit on memory is for runners that are started from now on. */
void pool_set_wear(Pool *p, const PoolWear *wear, uint64_t memory_max);

/* Gives tasks to the pool; pool_pump() then hands them out. */
void pool_add(Pool *p, Job *job);
void pool_pump(Pool *p);

/* Stops a job that waits or runs: it ends as finished, with the outcome it had if it ended before, else
 * cancelled; or as dropped. */
void pool_cancel(Pool *p, Job *job);
void pool_drop(Pool *p, Job *job);

/* Takes no more tasks: hands back what has not begun, and whatever is added from now on. */
void pool_drain(Pool *p, const char *reason);
/* Kills what runs and hands that back as well. */
void pool_interrupt(Pool *p, const char *reason);

/* Lets idle runners end by themselves, after a drain. */
void pool_stop(Pool *p);

unsigned pool_slots(const Pool *p);    /* tasks that it runs at once, now or in a moment */
unsigned pool_capacity(const Pool *p); /* as announced last */
unsigned pool_n_running(const Pool *p);
unsigned pool_n_waiting(const Pool *p); /* outside of sockets */
/* Whether further ends of tasks are to be expected within a fraction of a millisecond. */
bool pool_expects_more(const Pool *p);
/* Whether the pool looks after its runners in time. */
bool pool_is_healthy(const Pool *p);
/* Whether the job runs, and since when (CLOCK_MONOTONIC). */
bool pool_job_runs(const Pool *p, const Job *job, uint64_t *ret_since);
