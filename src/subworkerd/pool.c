/* SPDX-License-Identifier: MIT */

/* The pool's tasks: which runner gets which, and what to do when they take long. */

#include "log.h"
#include "message-ids.h"
#include "parse-util.h"
#include "pool-internal.h"

/* --- time ----------------------------------------------------------------------------------------- */

/* There is one timer, set to the earliest need and never moved back: when it comes too early, because the
 * task that it was for has ended, looking again costs less than moving it for each task. */
void pool_arm(Pool *p, uint64_t usec) {
        if (usec >= p->tick_usec)
                return;
        p->tick_usec = usec;
        (void) sd_event_source_set_time(p->tick, usec);
        (void) sd_event_source_set_enabled(p->tick, SD_EVENT_ONESHOT);
}

bool pool_is_healthy(const Pool *p) {
        return p->tick_usec == USEC_INFINITY ||
               now_usec(CLOCK_MONOTONIC) < p->tick_usec + 10 * USEC_PER_SEC;
}

/* --- handing out ---------------------------------------------------------------------------------- */

bool member_is_usable(const Pool *p, const Member *m) {
        return m->generation == p->generation && !m->surplus && slot_state(m->slot) == SLOT_READY;
}

void pool_add(Pool *p, Job *job) {
        if (p->drain_reason) {
                job->release_reason = p->drain_reason;
                p->handlers->released(job, p->userdata);
                return;
        }
        TAILQ_INSERT_TAIL(&p->waiting, job, entry);
        p->n_waiting++;
}

static void take_waiting(Pool *p, Job *job) {
        TAILQ_REMOVE(&p->waiting, job, entry);
        p->n_waiting--;
}

/* The handlers may free jobs: stop_piped() has to know. */
static void forget(Pool *p, const Job *job) {
        if (p->stopping == job)
                p->stopping = NULL;
}

static void release(Pool *p, Job *job, const char *reason) {
        forget(p, job);
        job->release_reason = reason;
        p->handlers->released(job, p->userdata);
}

/* Puts jobs in front of those that wait: they came earlier. */
void pool_put_back(Pool *p, JobList *jobs) {
        Job *job;

        if (p->drain_reason) {
                while ((job = TAILQ_FIRST(jobs))) {
                        TAILQ_REMOVE(jobs, job, entry);
                        release(p, job, p->drain_reason);
                }
                return;
        }
        TAILQ_FOREACH(job, jobs, entry)
                p->n_waiting++;
        TAILQ_CONCAT(jobs, &p->waiting, entry);
        TAILQ_CONCAT(&p->waiting, jobs, entry);
}

/* The next runner from the cursor on that can take the job; `idle_only` looks for one that has nothing. */
static Member *choose(Pool *p, const Job *job, bool idle_only) {
        uint32_t expected = type_expected_usec(job->type);

        for (unsigned i = 0; i < p->n_members; i++) {
                Member *m = p->members[(p->cursor + i) % p->n_members];

                if (!member_is_usable(p, m) || (idle_only && slot_count(m->slot) > 0))
                        continue;
                if (slot_accepts(m->slot, expected)) {
                        p->cursor = (p->cursor + i + 1) % p->n_members;
                        return m;
                }
        }
        return NULL;
}

static void flush(Pool *p, Member *m) {
        JobList unsent = TAILQ_HEAD_INITIALIZER(unsent);
        Job *job;
        int r;

        m->staged = false;
        r = slot_flush(m->slot, &unsent);
        job = TAILQ_FIRST(&unsent);
        if (r < 0 && job) {
                char id[TASK_ID_TEXT_LENGTH + 1];

                task_id_to_text(&job->key.id, id);
                log_event(
                        LOG_WARNING, r,
                        LOG_FIELDS(.task_id = id, .task_name = type_name(job->type),
                                   .worker_id = p->config.worker_id),
                        "Cannot pass the arguments of task %s (%s) to a runner, handing it back: %m",
                        type_name(job->type), id);
                TAILQ_REMOVE(&unsent, job, entry);
                release(p, job, "the worker cannot pass the arguments on");
        }
        pool_put_back(p, &unsent);
}

static void stage_waiting(Pool *p) {
        bool idle = true;
        Job *job;

        while ((job = TAILQ_FIRST(&p->waiting))) {
                Member *m;

                if (!type_is_offered(job->type)) {
                        take_waiting(p, job);
                        release(p, job, "this worker no longer offers the task");
                        continue;
                }
                m = idle ? choose(p, job, true) : NULL;
                if (!m) {
                        idle = false;
                        m = choose(p, job, false);
                }
                if (!m)
                        return;
                take_waiting(p, job);
                slot_stage(m->slot, job);
                m->staged = true;
        }
}

static void announce_capacity(Pool *p) {
        unsigned capacity = p->drain_reason ? 0 : prefetch_capacity(p->prefetch, pool_slots(p));

        if (capacity == p->capacity)
                return;
        p->capacity = capacity;
        p->handlers->capacity(capacity, p->userdata);
}

void pool_pump(Pool *p) {
        if (p->pump_off)
                return;
        if (p->n_waiting > 0) {
                stage_waiting(p);
                for (unsigned i = 0; i < p->n_members; i++)
                        if (p->members[i]->staged)
                                flush(p, p->members[i]);

                /* Somebody has work now: see later whether it takes long. */
                pool_arm(p, now_usec(CLOCK_MONOTONIC) + TAKE_BACK_USEC);
        }
        announce_capacity(p);
}

void pool_turn(Pool *p) {
        pool_pump(p);
        p->handlers->turn(p->userdata);
}

/* --- long tasks ----------------------------------------------------------------------------------- */

/* What the age of the task at a runner's head demands. */
static void review_head(Pool *p, Member *m, uint64_t now, uint64_t *next) {
        JobList undone = TAILQ_HEAD_INITIALIZER(undone);
        uint64_t since, age;
        Job *head;

        head = slot_head(m->slot, &since);
        if (!head || slot_state(m->slot) == SLOT_ENDING)
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
                p->handlers->started(head, now_usec(CLOCK_REALTIME) - age, p->userdata);
        }
        if (age < HOARD_USEC)
                *next = MIN(*next, since + HOARD_USEC);
        else
                prefetch_observe_at_least(p->prefetch, age);
}

/* Runners that will soon take a task that waits here. */
static unsigned count_quick(Pool *p, uint64_t now) {
        unsigned n = 0;

        for (unsigned i = 0; i < p->n_members; i++) {
                const Member *m = p->members[i];
                uint64_t since;

                if (m->generation != p->generation || m->surplus || m->failures > 0)
                        continue;
                /* One that is killed has a successor at once. */
                if (slot_state(m->slot) == SLOT_ENDING || !slot_head(m->slot, &since) ||
                    now - MIN(since, now) < HOARD_USEC)
                        n++;
        }
        return n;
}

static void review_waiting(Pool *p, uint64_t now, uint64_t *next) {
        unsigned n_quick, keep;

        if (p->n_waiting == 0)
                return;
        n_quick = count_quick(p, now);
        keep = n_quick * MAX(p->capacity / MAX(pool_slots(p), 1U), 1U);
        while (p->n_waiting > keep) {
                Job *job = TAILQ_LAST(&p->waiting, JobList);

                take_waiting(p, job);
                release(p, job, "the runners of this worker are busy with longer tasks");
        }
        if (p->n_waiting > 0)
                *next = MIN(*next, now + TAKE_BACK_USEC);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        Pool *p = userdata;
        uint64_t now = now_usec(CLOCK_MONOTONIC), next = USEC_INFINITY;

        p->tick_usec = USEC_INFINITY;
        for (unsigned i = 0; i < p->n_members; i++) {
                review_head(p, p->members[i], now, &next);
                pool_review_member(p, p->members[i], now, &next);
        }
        if (p->probe)
                pool_review_member(p, p->probe, now, &next);
        pool_reconcile(p);

        pool_pump(p);
        review_waiting(p, now, &next);
        announce_capacity(p);
        pool_arm(p, next);
        p->handlers->turn(p->userdata);
        return 0;
}

/* --- ends of tasks -------------------------------------------------------------------------------- */

static void finish(Pool *p, Job *job, WireOutcome outcome, const char *text, size_t size,
                   uint64_t started_usec, uint64_t completed_usec) {
        forget(p, job);
        if (job->unwanted) {
                p->handlers->dropped(job, p->userdata);
                return;
        }
        job_finish(job, outcome, text, size, started_usec, completed_usec);
        p->handlers->finished(job, p->userdata);
}

static const char not_begun[] = "cancelled before it began";

static void cancelled(Pool *p, Job *job, const char *text, uint64_t started_usec) {
        finish(p, job, WIRE_OUTCOME_CANCELLED, text, strlen(text), started_usec,
               now_usec(CLOCK_REALTIME));
}

void pool_on_done(Slot *s, Job *job, const RunnerMessage *m, void *userdata) {
        Pool *p = userdata;
        uint64_t usec = m->completed_usec - MIN(m->started_usec, m->completed_usec);

        type_observe(job->type, usec);
        prefetch_observe(p->prefetch, usec);
        finish(p, job, m->success ? WIRE_OUTCOME_SUCCESS : WIRE_OUTCOME_FAILURE, m->payload,
               m->payload_size, m->started_usec, m->completed_usec);
}

void pool_on_log(Slot *s, const Job *job, const RunnerMessage *m, void *userdata) {
        Pool *p = userdata;

        p->handlers->log(job, m->priority, m->payload, m->payload_size, p->userdata);
}

/* The task that ran in a runner that is gone. */
void pool_end_interrupted(Pool *p, const SlotEnd *end) {
        Job *job = end->interrupted;
        char id[TASK_ID_TEXT_LENGTH + 1];

        if (!job)
                return;
        if (job->cancelled) {
                cancelled(p, job, "cancelled while it ran", end->started_usec);
                return;
        }
        if (p->interrupt_reason) {
                release(p, job, p->interrupt_reason);
                return;
        }

        task_id_to_text(&job->key.id, id);
        log_event(LOG_WARNING, 0,
                  LOG_FIELDS(.message_id = MESSAGE_TASK_CRASHED, .task_id = id,
                             .task_name = type_name(job->type), .worker_id = p->config.worker_id),
                  "Task %s (%s) crashed: %s", type_name(job->type), id, end->reason);
        finish(p, job, WIRE_OUTCOME_CRASH, end->reason, strlen(end->reason), end->started_usec,
               now_usec(CLOCK_REALTIME));
}

/* Stops one that runs, unless it ends while we look. Everything else comes out of the socket first, so that
 * the kill cannot hit a task that begins in between. */
static void stop_piped(Pool *p, Job *job, bool unwanted) {
        JobList undone = TAILQ_HEAD_INITIALIZER(undone);
        Slot *slot = job->slot;

        p->pump_off = true;
        p->stopping = job;
        slot_take_back(slot, &undone);
        slot_settle(slot);
        p->pump_off = false;

        if (p->stopping) {
                p->stopping = NULL;
                job->cancelled = true;
                job->unwanted = unwanted;
                if (job->state == JOB_PIPED)
                        slot_kill(slot);
                else {
                        TAILQ_REMOVE(&undone, job, entry);
                        cancelled(p, job, not_begun, 0);
                }
        }
        pool_put_back(p, &undone);
}

static void stop_job(Pool *p, Job *job, bool unwanted) {
        if (job->state == JOB_PIPED)
                stop_piped(p, job, unwanted);
        else if (job->state == JOB_WAITING) {
                take_waiting(p, job);
                job->unwanted = unwanted;
                cancelled(p, job, not_begun, 0);
        }
}

void pool_cancel(Pool *p, Job *job) {
        stop_job(p, job, false);
}

void pool_drop(Pool *p, Job *job) {
        stop_job(p, job, true);
}

void pool_drain(Pool *p, const char *reason) {
        JobList undone = TAILQ_HEAD_INITIALIZER(undone);

        p->drain_reason = reason;
        TAILQ_CONCAT(&undone, &p->waiting, entry);
        p->n_waiting = 0;
        pool_put_back(p, &undone);
        for (unsigned i = 0; i < p->n_members; i++) {
                slot_take_back(p->members[i]->slot, &undone);
                pool_put_back(p, &undone);
        }
        announce_capacity(p);
}

void pool_interrupt(Pool *p, const char *reason) {
        p->interrupt_reason = reason;
        for (unsigned i = 0; i < p->n_members; i++) {
                slot_settle(p->members[i]->slot);
                if (slot_head(p->members[i]->slot, NULL))
                        slot_kill(p->members[i]->slot);
        }
}

void pool_stop(Pool *p) {
        for (unsigned i = 0; i < p->n_members; i++)
                slot_stop(p->members[i]->slot);
}

/* --- what others may know ------------------------------------------------------------------------- */

unsigned pool_slots(const Pool *p) {
        unsigned n = 0;

        for (unsigned i = 0; i < p->n_members; i++) {
                const Member *m = p->members[i];

                n += !m->surplus && (m->failures == 0 || slot_state(m->slot) == SLOT_READY);
        }
        return n;
}

unsigned pool_capacity(const Pool *p) {
        return p->capacity;
}

unsigned pool_n_running(const Pool *p) {
        unsigned n = 0;

        for (unsigned i = 0; i < p->n_members; i++)
                n += slot_count(p->members[i]->slot) > 0;
        return n;
}

unsigned pool_n_waiting(const Pool *p) {
        return p->n_waiting;
}

bool pool_expects_more(const Pool *p) {
        for (unsigned i = 0; i < p->n_members; i++)
                if (slot_count(p->members[i]->slot) > 1)
                        return true;
        return false;
}

bool pool_job_runs(const Pool *p, const Job *job, uint64_t *ret_since) {
        return job->state == JOB_PIPED && slot_head(job->slot, ret_since) == job;
}

/* A runner of before may have been given a higher limit: what it sends is bound by the higher one of both. */
void pool_set_limits(Pool *p, unsigned prefetch_max, size_t result_max) {
        p->shared.result_max = MAX(p->shared.result_max, result_max);
        prefetch_set_max(p->prefetch, prefetch_max);
        announce_capacity(p);
}

/* --- life ----------------------------------------------------------------------------------------- */

static int init_shared(Pool *p) {
        int r;

        p->shared = (SlotShared){
                .user = p->config.user,
                .event = p->event,
                .handlers = &pool_slot_handlers,
                .userdata = p,
                .result_max = MAX(p->config.result_max, (size_t) RUNNER_TEXT_MAX),
        };
        r = runner_inbox_new(SLOT_PIPE_MAX, &p->shared.inbox);
        if (r < 0)
                return r;
        p->shared.packets = calloc(SLOT_PIPE_MAX, sizeof(RunnerPacket));
        if (!p->shared.packets)
                return -ENOMEM;
        for (size_t i = 0; i < SLOT_PIPE_MAX; i++)
                p->shared.packets[i].fd = -EBADF;
        return 0;
}

int pool_new(sd_event *event, TypeTable *types, const PoolConfig *config,
             const PoolHandlers *handlers, void *userdata, Pool **ret) {
        _cleanup_(pool_freep) Pool *p = NULL;
        int r;

        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        p->event = sd_event_ref(event);
        p->types = types;
        p->config = *config;
        p->handlers = handlers;
        p->userdata = userdata;
        p->tick_usec = USEC_INFINITY;
        TAILQ_INIT(&p->waiting);

        r = init_shared(p);
        if (r < 0)
                return r;
        r = prefetch_new(config->prefetch_max, &p->prefetch);
        if (r < 0)
                return r;
        r = sd_event_add_time(event, &p->tick, CLOCK_MONOTONIC, 0, 1, on_tick, p);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(p->tick, SD_EVENT_OFF);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(p);
        return 0;
}

Pool *pool_free(Pool *p) {
        if (!p)
                return NULL;
        for (unsigned i = 0; i < p->n_members; i++)
                member_free(p->members[i]);
        free(p->members);
        member_free(p->probe);
        runner_inbox_free(p->shared.inbox);
        free(p->shared.packets);
        strv_free(p->argv);
        strv_free(p->environment);
        strv_free(p->next_argv);
        strv_free(p->next_environment);
        prefetch_free(p->prefetch);
        sd_event_source_disable_unref(p->tick);
        sd_event_unref(p->event);
        free(p);
        return NULL;
}
