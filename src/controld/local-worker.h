/* SPDX-License-Identifier: MIT */
#pragma once

/* The control plane works, too: a child fastworker-subworkerd that offers the coordinator's own task modules
 * while no other active subworker does. It is started when such a task waits and stopped when it has had
 * nothing to do for a while. */

#include "macro.h"

typedef struct Controld Controld;
typedef struct LocalWorker LocalWorker;

/* `address` is the worker endpoint it connects to, copied. */
int local_worker_new(Controld *c, const char *address, LocalWorker **ret);
/* Kills it if it still runs. */
LocalWorker *local_worker_free(LocalWorker *l);
DEFINE_CLEANUP_FUNC(LocalWorker *, local_worker_free);

/* Starts it now, to learn what its modules offer; `ready` is called once it has registered (error 0) or has
 * failed (-errno). */
typedef void (*LocalWorkerReady)(int error, void *userdata);
int local_worker_learn(LocalWorker *l, LocalWorkerReady ready, void *userdata);

/* A task waits for it: starts it if it does not run. Cheap when it does. */
void local_worker_want(LocalWorker *l);

/* Whether a process of this number is our child. NULL for l is never. */
bool local_worker_is(const LocalWorker *l, uint64_t pid);
bool local_worker_runs(const LocalWorker *l);
void local_worker_registered(LocalWorker *l);

/* Called about once a second: stops it when it was idle for long. */
void local_worker_care(LocalWorker *l);

/* Asks it to finish; local_worker_runs() turns false when it has. */
void local_worker_stop(LocalWorker *l);
/* Its settings changed: a running one is replaced. */
void local_worker_restart(LocalWorker *l);
