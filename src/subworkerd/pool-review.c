/* SPDX-License-Identifier: MIT */

/* What the pool does as time passes: which tasks take long, and what that means for others. */

#include "pool-internal.h"

/* What the age of the task at a runner's head demands. */
static void review_head(Pool *p, Member *m, uint64_t now, uint64_t *next) {
        JobList undone = TAILQ_HEAD_INITIALIZER(undone);
        uint64_t since, age;
        Job *head;

        head = slot_head(m->slot, &since);
        if (!head || slot_state(m->slot) == SLOT_ENDING)
                return;
        if (pool_review_timeout(p, head, since, now, next))
                return;
        age = now - MIN(since, now);
        if (age < TAKE_BACK_USEC) {
                *next = MIN(*next, since + TAKE_BACK_USEC);
                return;
        }

        /* It may also be that the runner got no processor for a while; that alone must not make the type
         * count as long. */
        if (age < HOARD_USEC)
                type_observe(head->type, age);
        else
                type_observe_at_least(head->type, age);
        if (slot_count(m->slot) > 1) {
                slot_take_back(m->slot, &undone);
                pool_put_back(p, &undone);
        }
        if (age < STARTED_USEC) {
                *next = MIN(*next, since + STARTED_USEC);
                return;
        }
        if (!head->started_reported) {
                head->started_reported = true;
                slot_measure(m->slot);
                p->handlers->started(head, now_usec(CLOCK_REALTIME) - age, p->userdata);
        }
        if (age < HOARD_USEC)
                *next = MIN(*next, since + HOARD_USEC);
        else
                prefetch_observe_at_least(p->prefetch, age);
}

static bool is_quick(const Pool *p, const Member *m, uint64_t now) {
        uint64_t since;

        if (m->generation != p->generation || m->surplus || m->failures > 0)
                return false;
        /* One that is killed or replaced has a successor at once. */
        return slot_state(m->slot) == SLOT_ENDING || m->worn || !slot_head(m->slot, &since) ||
               now - MIN(since, now) < HOARD_USEC;
}

/* How many runners of a kind will soon take a task that waits here; `n_free` more may be busy for long. */
static unsigned count_quick(const Pool *p, RunnerKind kind, unsigned n_free, uint64_t now) {
        unsigned n = 0, n_members = 0;

        for (unsigned i = 0; i < p->n_members; i++) {
                if (p->members[i]->kind != kind)
                        continue;
                n_members++;
                n += is_quick(p, p->members[i], now);
        }
        n += pool_limit(p, kind) - MIN(MAX(n_members, pool_target(p, kind)), pool_limit(p, kind));
        return MIN(n, n_free);
}

static unsigned count_free(const Pool *p, uint64_t now) {
        unsigned n_long = 0;

        for (unsigned i = 0; i < p->n_members; i++) {
                uint64_t since;

                n_long += slot_state(p->members[i]->slot) != SLOT_ENDING &&
                          slot_head(p->members[i]->slot, &since) &&
                          now - MIN(since, now) >= HOARD_USEC;
        }
        return p->n_target - MIN(n_long, p->n_target);
}

/* What will not be taken soon is handed back, the last that came first. */
static void review_waiting(Pool *p, uint64_t now, uint64_t *next) {
        unsigned keep[_RUNNER_KIND_MAX], n[_RUNNER_KIND_MAX] = {}, n_free, each;
        Job *job, *previous;

        if (p->n_waiting == 0)
                return;
        n_free = count_free(p, now);
        each = MAX(p->capacity / MAX(pool_slots(p), 1U), 1U);
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++)
                keep[kind] = count_quick(p, kind, n_free, now) * each;
        TAILQ_FOREACH(job, &p->waiting, entry)
                n[type_kind(job->type)]++;
        for (job = TAILQ_LAST(&p->waiting, JobList); job; job = previous) {
                RunnerKind kind = type_kind(job->type);

                previous = TAILQ_PREV(job, JobList, entry);
                if (n[kind] <= keep[kind])
                        continue;
                n[kind]--;
                pool_release_waiting(p, job,
                                     "the runners of this worker are busy with longer tasks");
        }
        if (p->n_waiting > 0)
                *next = MIN(*next, now + TAKE_BACK_USEC);
}

int pool_on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        Pool *p = userdata;
        uint64_t now = now_usec(CLOCK_MONOTONIC), next = USEC_INFINITY;

        p->tick_usec = USEC_INFINITY;
        for (unsigned i = 0; i < p->n_members; i++) {
                review_head(p, p->members[i], now, &next);
                pool_care(p, p->members[i], now, &next);
                pool_review_member(p, p->members[i], now, &next);
        }
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++)
                if (p->probes[kind])
                        pool_review_member(p, p->probes[kind], now, &next);
        if (p->orphans)
                pool_end_orphans(p);
        pool_reconcile(p);

        pool_pump(p);
        review_waiting(p, now, &next);
        pool_announce_capacity(p);
        pool_arm(p, next);
        p->handlers->turn(p->userdata);
        return 0;
}
