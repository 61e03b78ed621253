/* SPDX-License-Identifier: MIT */

#include <assert.h>

#include "lease.h"
#include "log.h"

void lease_grant(Controld *c, Worker *w, Task *t) {
        assert(!t->worker);
        task_set_state(&c->tasks, t, TASK_ASSIGNED);
        t->attempt++;
        t->worker = w;
        TAILQ_INSERT_TAIL(&w->leases, t, link);
        w->n_leased++;
        w->last_assigned = ++c->workers.n_assigned;
        if (w->n_unsent++ == 0)
                TAILQ_INSERT_TAIL(&c->workers.unsent, w, unsent);
}

Task *lease_find(Controld *c, const Worker *w, const TaskId *id, uint64_t attempt) {
        Task *t = task_find(&c->tasks, id);

        return t && t->worker == w && t->attempt == attempt ? t : NULL;
}

/* Assignments are sent in the turn in which they are made, so that a lease never ends unsent except when that
 * sending fails, which resets n_unsent before. */
static void take_from_worker(Task *t) {
        Worker *w = t->worker;

        assert(w->n_unsent == 0);
        TAILQ_REMOVE(&w->leases, t, link);
        w->n_leased--;
        t->worker = NULL;
}

void lease_return(Controld *c, Task *t) {
        if (t->cancel_asked) {
                static const char text[] = "cancelled";
                TaskEnd end = { .state = TASK_CANCELLED,
                                .error = { (char *) text, sizeof(text) - 1 } };

                if (task_end(c, t, &end) >= 0)
                        return;
                log_oom();
        }
        take_from_worker(t);
        t->started_usec = 0;
        task_set_state(&c->tasks, t, TASK_QUEUED);
        queue_reinsert(&c->queue, t);
        c->counters.requeued++;
}

void lease_return_all(Controld *c, Worker *w) {
        Task *t;

        /* The youngest first: each then finds its place at once. */
        while ((t = TAILQ_LAST(&w->leases, TaskList)))
                lease_return(c, t);
}

static void count_end(Controld *c, TaskState state) {
        if (state == TASK_SUCCESS)
                c->counters.succeeded++;
        else if (state == TASK_CANCELLED)
                c->counters.cancelled++;
        else
                c->counters.failed++;
}

int task_end(Controld *c, Task *t, const TaskEnd *end) {
        int r;

        r = task_set_end(&c->tasks, t, end->result.iov_base, end->result.iov_len,
                         end->error.iov_base, end->error.iov_len, t->worker ? t->worker->id : NULL);
        if (r < 0)
                return r;

        if (t->worker) {
                t->worker->n_done++;
                take_from_worker(t);
        } else if (t->state == TASK_QUEUED)
                queue_remove(&c->queue, t);
        if (end->started_usec > 0)
                t->started_usec = end->started_usec;
        task_set_state(&c->tasks, t, end->state);
        count_end(c, end->state);
        results_add(&c->results, t);
        waiters_ready(t, &c->dirty);
        return 0;
}
