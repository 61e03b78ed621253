/* SPDX-License-Identifier: MIT */

/* The pool's tasks: which runner gets which, and how they end. */

#include <stdio.h>

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
        return m->generation == p->generation && !m->surplus && !m->worn &&
               slot_state(m->slot) == SLOT_READY;
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

void pool_release_waiting(Pool *p, Job *job, const char *reason) {
        take_waiting(p, job);
        release(p, job, reason);
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

/* Runners that have something to do: with what they do now, not more of them may than tasks may run at once. */
unsigned pool_n_busy(const Pool *p) {
        unsigned n = 0;

        for (unsigned i = 0; i < p->n_members; i++)
                n += slot_count(p->members[i]->slot) > 0;
        return n;
}

/* The next runner from the cursor on that can take the job: one that has nothing to do, or one that has. */
static Member *choose(Pool *p, const Job *job, bool idle) {
        uint32_t expected = type_expected_usec(job->type);

        for (unsigned i = 0; i < p->n_members; i++) {
                Member *m = p->members[(p->cursor + i) % p->n_members];

                if (m->kind != type_kind(job->type) || !member_is_usable(p, m) ||
                    (slot_count(m->slot) == 0) != idle)
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

/* What is found out while tasks are handed out. */
typedef struct Round {
        unsigned n_busy;
        bool no_idle[_RUNNER_KIND_MAX], blocked[_RUNNER_KIND_MAX];
        bool full; /* a runner is there, but too many tasks run already */
} Round;

static Member *find_idle(Pool *p, const Job *job, Round *round) {
        RunnerKind kind = type_kind(job->type);
        Member *m;

        if (round->no_idle[kind])
                return NULL;
        m = choose(p, job, true);
        if (!m)
                round->no_idle[kind] = true;
        else if (round->n_busy >= p->n_target) {
                round->full = true;
                m = NULL;
        }
        return m;
}

static Member *find_runner(Pool *p, const Job *job, Round *round) {
        RunnerKind kind = type_kind(job->type);
        Member *m = find_idle(p, job, round);

        if (m)
                round->n_busy++;
        else
                m = choose(p, job, false);
        if (!m) {
                round->blocked[kind] = true;
                if (round->n_busy < p->n_target)
                        pool_want_more(p, kind);
        }
        return m;
}

/* Tasks of a kind go in order. If one has to wait only because too many run, all others wait as well: else short ones,
 * each put behind another of its kind, could keep it waiting for ever. */
static bool is_over(const Pool *p, const Round *round) {
        if (round->full)
                return true;
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++)
                if (p->command.argv[kind] && !round->blocked[kind])
                        return false;
        return true;
}

static void stage_waiting(Pool *p) {
        Round round = { .n_busy = pool_n_busy(p) };
        Job *job, *next;

        for (job = TAILQ_FIRST(&p->waiting); job; job = next) {
                Member *m;

                next = TAILQ_NEXT(job, entry);
                if (!type_is_offered(job->type)) {
                        pool_release_waiting(p, job, "this worker no longer offers the task");
                        continue;
                }
                if (round.blocked[type_kind(job->type)])
                        continue;
                m = find_runner(p, job, &round);
                if (m) {
                        take_waiting(p, job);
                        slot_stage(m->slot, job);
                        m->staged = true;
                } else if (is_over(p, &round))
                        return;
        }
}

void pool_announce_capacity(Pool *p) {
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
        pool_announce_capacity(p);
}

void pool_turn(Pool *p) {
        pool_pump(p);
        p->handlers->turn(p->userdata);
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

static const JobReason reasons[_RUNNER_REASON_MAX] = {
        [RUNNER_REASON_NONE] = JOB_REASON_NONE,
        [RUNNER_REASON_EXIT] = JOB_REASON_EXIT,
        [RUNNER_REASON_SIGNAL] = JOB_REASON_SIGNAL,
        [RUNNER_REASON_TIMEOUT] = JOB_REASON_TIMEOUT,
};

/* What was measured of the runner may lack what has ended within it. */
static void add_usage(Job *job, const RunnerUsage *usage) {
        if (!usage->is_known)
                return;
        job->measured = true;
        job->cpu_usec = MAX(job->cpu_usec, usage->cpu_usec);
        job->memory_peak_bytes = MAX(job->memory_peak_bytes, usage->memory_peak_bytes);
}

void pool_on_done(Slot *s, Job *job, const RunnerMessage *m, void *userdata) {
        Pool *p = userdata;
        uint64_t usec = m->completed_usec - MIN(m->started_usec, m->completed_usec);

        type_observe(job->type, usec);
        prefetch_observe(p->prefetch, usec);
        pool_note_wear(p, s);
        if (slot_is_littered(s) && slot_count(s) == 0)
                pool_arm(p, now_usec(CLOCK_MONOTONIC));
        if (!m->success)
                job->reason = reasons[m->reason];
        add_usage(job, &m->usage);
        job->no_retry = m->no_retry;
        job->has_retry_after = m->has_retry_after;
        job->retry_after_usec = m->retry_after_usec;
        finish(p, job, m->success ? WIRE_OUTCOME_SUCCESS : WIRE_OUTCOME_FAILURE, m->payload,
               m->payload_size, m->started_usec, m->completed_usec);
}

void pool_on_progress(Slot *s, const Job *job, const RunnerMessage *m, void *userdata) {
        Pool *p = userdata;

        p->handlers->progress(job, m->percent, m->payload, m->payload_size, p->userdata);
}

void pool_on_log(Slot *s, const Job *job, const RunnerMessage *m, void *userdata) {
        Pool *p = userdata;

        p->handlers->log(job, m->priority, m->payload, m->payload_size, p->userdata);
}

static void end_timed_out(Pool *p, Job *job, uint64_t started_usec) {
        char limit[32], text[96];

        limits_format_usec(job->limits.timeout_usec, limit, sizeof(limit));
        (void) snprintf(text, sizeof(text), "ran longer than its timeout of %s", limit);
        job->reason = JOB_REASON_TIMEOUT;
        finish(p, job, WIRE_OUTCOME_FAILURE, text, strlen(text), started_usec,
               now_usec(CLOCK_REALTIME));
}

/* The task that ran in a runner that is gone. */
void pool_end_interrupted(Pool *p, const SlotEnd *end) {
        Job *job = end->interrupted;
        _cleanup_free_ char *text = NULL;
        char id[TASK_ID_TEXT_LENGTH + 1];

        if (!job)
                return;
        if (job->cancelled) {
                cancelled(p, job, "cancelled while it ran", end->started_usec);
                return;
        }
        if (job->timed_out) {
                end_timed_out(p, job, end->started_usec);
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
        if (job->output_tail && asprintf(&text, "%s: %s", end->reason, job->output_tail) < 0)
                text = NULL;
        finish(p, job, WIRE_OUTCOME_CRASH, text ?: end->reason, strlen(text ?: end->reason),
               end->started_usec, now_usec(CLOCK_REALTIME));
}

/* Takes everything else out of the socket, so that killing cannot hit a task that begins in between, and reads what was
 * answered. Returns whether the job is still there: in the pipe, or in `undone` if it had not begun. */
static bool isolate(Pool *p, Job *job, JobList *undone) {
        Slot *slot = job->slot; /* which the job may leave, or be freed */
        bool is_there;

        p->pump_off = true;
        p->stopping = job;
        slot_take_back(slot, undone);
        slot_settle(slot);
        p->pump_off = false;
        is_there = p->stopping;
        p->stopping = NULL;
        return is_there;
}

static void stop_piped(Pool *p, Job *job, bool unwanted) {
        JobList undone = TAILQ_HEAD_INITIALIZER(undone);

        if (isolate(p, job, &undone)) {
                job->cancelled = true;
                job->unwanted = unwanted;
                if (job->state == JOB_PIPED)
                        slot_kill(job->slot);
                else {
                        TAILQ_REMOVE(&undone, job, entry);
                        cancelled(p, job, not_begun, 0);
                }
        }
        pool_put_back(p, &undone);
}

void pool_time_out(Pool *p, Job *job) {
        JobList undone = TAILQ_HEAD_INITIALIZER(undone);

        /* One that the runner had not begun yet goes to another. */
        if (isolate(p, job, &undone) && job->state == JOB_PIPED) {
                job->timed_out = true;
                slot_kill(job->slot);
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
        pool_announce_capacity(p);
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

/* Those of a kind that work, or will in a moment; of which one is enough where others are started when needed. */
static unsigned count_working(const Pool *p, RunnerKind kind) {
        unsigned n = 0;

        for (unsigned i = 0; i < p->n_members; i++) {
                const Member *m = p->members[i];

                n += m->kind == kind && !m->surplus &&
                     (m->failures == 0 || slot_state(m->slot) == SLOT_READY);
        }
        return n > 0 ? n + pool_limit(p, kind) - MIN(pool_target(p, kind), pool_limit(p, kind)) : 0;
}

unsigned pool_slots(const Pool *p) {
        unsigned n = 0;

        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++)
                n += count_working(p, kind);
        return MIN(n, p->n_target);
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
        pool_announce_capacity(p);
}

/* --- life ----------------------------------------------------------------------------------------- */

static int init_shared(Pool *p) {
        int r;

        p->shared = (SlotShared){
                .user = p->config.user,
                .cgroup = p->config.cgroup,
                .memory_max = p->config.memory_max,
                .output_max = p->config.output_max,
                .tasks_max = p->config.wear.tasks,
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
        r = sd_event_add_time(event, &p->tick, CLOCK_MONOTONIC, 0, 1, pool_on_tick, p);
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
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++) {
                member_free(p->probes[kind]);
                free(p->probe_types[kind]);
        }
        runner_inbox_free(p->shared.inbox);
        free(p->shared.packets);
        pool_command_done(&p->command);
        pool_command_done(&p->next);
        prefetch_free(p->prefetch);
        sd_event_source_disable_unref(p->tick);
        sd_event_unref(p->event);
        free(p);
        return NULL;
}
