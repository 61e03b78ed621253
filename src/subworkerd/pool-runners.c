/* SPDX-License-Identifier: MIT */

/* The pool's processes: starting, starting again, replacing, removing. */

#include <stdio.h>

#include "log.h"
#include "message-ids.h"
#include "parse-util.h"
#include "pool-internal.h"

#define HELLO_USEC     (60 * USEC_PER_SEC) /* to load the modules */
#define STOP_USEC      (5 * USEC_PER_SEC)  /* to end when idle and told to */
#define RETRY_USEC     (100 * USEC_PER_MSEC)
#define RETRY_MAX_USEC (30 * USEC_PER_SEC)
#define LONG_LIFE_USEC (10 * USEC_PER_SEC) /* after that, what failed before is forgotten */
#define REMIND_USEC    USEC_PER_MINUTE

static uint64_t retry_delay(unsigned failures) {
        return MIN(RETRY_USEC << MIN(failures - 1, 16U), RETRY_MAX_USEC);
}

Member *member_free(Member *m) {
        if (!m)
                return NULL;
        slot_free(m->slot);
        free(m);
        return NULL;
}
DEFINE_CLEANUP_FUNC(Member *, member_free);

static int member_new(Pool *p, RunnerKind kind, Member **ret) {
        _cleanup_(member_freep) Member *m = NULL;
        int r;

        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->kind = kind;
        r = slot_new(&p->shared, &m->slot);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

static int reserve_members(Pool *p, unsigned n) {
        Member **members;

        if (p->n_members + n <= p->n_members_allocated)
                return 0;
        members = reallocarray(p->members, p->n_members + n, sizeof(Member *));
        if (!members)
                return -ENOMEM;
        p->members = members;
        p->n_members_allocated = p->n_members + n;
        return 0;
}

/* For one of those that were reserved. While there are probes, one for each stays so. */
static void append_member(Pool *p, Member *m) {
        p->members[p->n_members++] = m;
}

static void remove_member(Pool *p, unsigned i) {
        member_free(p->members[i]);
        p->members[i] = p->members[--p->n_members];
        p->cursor = 0;
}

Member *pool_find_member(Pool *p, const Slot *slot) {
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++)
                if (p->probes[kind] && p->probes[kind]->slot == slot)
                        return p->probes[kind];
        for (unsigned i = 0; i < p->n_members; i++)
                if (p->members[i]->slot == slot)
                        return p->members[i];
        return NULL;
}

/* --- failures ------------------------------------------------------------------------------------- */

void pool_command_done(PoolCommand *c) {
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++)
                strv_free(c->argv[kind]);
        strv_free(c->environment);
        strv_free(c->optional);
        *c = (PoolCommand){};
}

static bool is_probe(const Pool *p, const Member *m) {
        return p->probes[m->kind] == m;
}

/* A process that is still there is let end like one that is not needed any more: we may be called by its slot. */
static void drop_probe(Pool *p, RunnerKind kind) {
        Member *m = TAKE_PTR(p->probes[kind]);

        free(p->probe_types[kind]);
        p->probe_types[kind] = NULL;
        if (!m)
                return;
        m->generation = 0;
        m->surplus = true;
        if (slot_state(m->slot) == SLOT_DOWN)
                member_free(m);
        else
                append_member(p, m);
}

static void drop_probes(Pool *p) {
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++)
                drop_probe(p, kind);
        pool_command_done(&p->next);
}

static void log_failure(Pool *p, const char *reason) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        bool again = p->failure_logged_usec > 0 && now < p->failure_logged_usec + REMIND_USEC;

        if (!again)
                p->failure_logged_usec = now;
        log_event(again ? LOG_DEBUG : LOG_WARNING, 0,
                  LOG_FIELDS(.message_id = MESSAGE_RUNNER_FAILED, .worker_id = p->config.worker_id),
                  "A runner has failed (%s), starting it again.", reason);
}

/* A runner that did not come up, or ended by itself without a task to blame. */
static void on_failure(Pool *p, Member *m, const char *reason) {
        if (is_probe(p, m)) {
                p->handlers->failed(reason, p->userdata);
                drop_probes(p);
                return;
        }
        if (!p->started) {
                m->retry_usec = USEC_INFINITY;
                p->handlers->failed(reason, p->userdata);
                return;
        }
        m->failures++;
        m->retry_usec = now_usec(CLOCK_MONOTONIC) + retry_delay(m->failures);
        pool_arm(p, m->retry_usec);
        log_failure(p, reason);
}

static void start(Pool *p, Member *m) {
        const PoolCommand *c = is_probe(p, m) ? &p->next : &p->command;
        int r;

        m->retry_usec = 0;
        m->generation = p->generation;
        m->worn = false;
        m->cared_seq = slot_seq(m->slot);
        r = slot_start(m->slot, c->argv[m->kind], c->environment);
        if (r < 0) {
                char reason[256];

                (void) snprintf(reason, sizeof(reason), "%s: %s", c->argv[m->kind][0],
                                strerror(-r));
                on_failure(p, m, reason);
        }
        pool_arm(p, now_usec(CLOCK_MONOTONIC) + HELLO_USEC);
}

/* --- as many as there should be ------------------------------------------------------------------- */

unsigned pool_limit(const Pool *p, RunnerKind kind) {
        return p->command.argv[kind] ? p->n_target : 0;
}

unsigned pool_target(const Pool *p, RunnerKind kind) {
        unsigned n = pool_limit(p, kind);

        return kind == RUNNER_PYTHON ? MIN(n, p->n_interpreters) : n;
}

/* Those that are to stay. */
static unsigned count_members(const Pool *p, RunnerKind kind) {
        unsigned n = 0;

        for (unsigned i = 0; i < p->n_members; i++)
                n += p->members[i]->kind == kind && !p->members[i]->surplus;
        return n;
}

/* Idle ones leave first, old ones before new ones; a busy one leaves when its task has ended. */
static bool may_leave(const Pool *p, const Member *m, unsigned pass) {
        bool busy = slot_count(m->slot) > 0, old = m->generation != p->generation;

        return pass == 3 || (pass == 2 && old) || (pass == 1 && !busy) || (old && !busy);
}

static void mark_surplus(Pool *p, RunnerKind kind) {
        for (unsigned pass = 0; pass <= 3; pass++)
                for (unsigned i = 0; i < p->n_members; i++) {
                        Member *m = p->members[i];

                        if (count_members(p, kind) <= pool_target(p, kind))
                                return;
                        if (m->kind == kind && !m->surplus && may_leave(p, m, pass))
                                m->surplus = true;
                }
}

static void unmark_surplus(Pool *p, RunnerKind kind) {
        for (unsigned i = 0; i < p->n_members; i++) {
                Member *m = p->members[i];

                if (m->kind == kind && m->surplus && m->generation > 0 &&
                    count_members(p, kind) < pool_target(p, kind))
                        m->surplus = false;
        }
}

static void add_members(Pool *p, RunnerKind kind) {
        while (count_members(p, kind) < pool_target(p, kind)) {
                _cleanup_(member_freep) Member *m = NULL;

                if (reserve_members(p, 1 + _RUNNER_KIND_MAX) < 0 || member_new(p, kind, &m) < 0) {
                        log_oom();
                        return;
                }
                append_member(p, m);
                start(p, TAKE_PTR(m));
        }
}

/* Those that are not wanted any more, or were started with an old command line. */
static void retire(Pool *p, Member *m) {
        JobList undone = TAILQ_HEAD_INITIALIZER(undone);

        if (!m->surplus && !m->worn && m->generation == p->generation)
                return;
        if (slot_count(m->slot) > 1) {
                slot_take_back(m->slot, &undone);
                pool_put_back(p, &undone);
        }
        if (slot_count(m->slot) == 0 || slot_state(m->slot) == SLOT_STARTING) {
                slot_stop(m->slot);
                pool_arm(p, now_usec(CLOCK_MONOTONIC) + STOP_USEC);
        }
}

void pool_reconcile(Pool *p) {
        if (p->drain_reason || p->generation == 0)
                return;
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++) {
                unmark_surplus(p, kind);
                mark_surplus(p, kind);
                add_members(p, kind);
        }

        p->rolling = false;
        for (unsigned i = 0; i < p->n_members;) {
                Member *m = p->members[i];

                retire(p, m);
                if (slot_state(m->slot) == SLOT_DOWN && m->surplus) {
                        remove_member(p, i);
                        continue;
                }
                if (slot_state(m->slot) == SLOT_DOWN && m->retry_usec == 0)
                        start(p, m);
                p->rolling = p->rolling || m->surplus || m->worn || m->generation != p->generation;
                i++;
        }
}

void pool_want_more(Pool *p, RunnerKind kind) {
        if (pool_target(p, kind) >= pool_limit(p, kind) ||
            count_members(p, kind) < pool_target(p, kind))
                return;
        for (unsigned i = 0; i < p->n_members; i++) {
                const Member *m = p->members[i];

                if (m->kind == kind && !m->surplus && slot_state(m->slot) != SLOT_READY)
                        return;
        }
        p->n_interpreters++;
        p->rolling = true; /* at the end of the turn: here, the list of runners is in use */
        pool_arm(p, now_usec(CLOCK_MONOTONIC));
}

void pool_review_member(Pool *p, Member *m, uint64_t now, uint64_t *next) {
        uint64_t due;

        switch (slot_state(m->slot)) {
        case SLOT_DOWN:
                due = m->retry_usec > 0 ? m->retry_usec : USEC_INFINITY;
                if (now >= due) {
                        start(p, m);
                        return;
                }
                break;
        case SLOT_STARTING:
                due = slot_state_since(m->slot) + HELLO_USEC;
                if (now >= due) {
                        slot_kill(m->slot);
                        return;
                }
                break;
        case SLOT_ENDING:
                due = slot_state_since(m->slot) + STOP_USEC;
                if (now >= due) {
                        slot_kill(m->slot);
                        return; /* what survives that, no timer of ours will end */
                }
                break;
        default:
                return;
        }
        *next = MIN(*next, due);
}

/* --- what slots report ---------------------------------------------------------------------------- */

static void check_all_ready(Pool *p) {
        if (!p->awaiting_ready)
                return;
        for (unsigned i = 0; i < p->n_members; i++)
                if (slot_state(p->members[i]->slot) != SLOT_READY)
                        return;
        p->started = true;
        p->awaiting_ready = false;
        p->handlers->ready(p->userdata);
}

static void describe_conflict(const TypeConflict *conflict, char *ret, size_t size) {
        (void) snprintf(ret, size, "task %s is defined in %s and in %s", conflict->name,
                        conflict->file, conflict->other_file);
}

static void complain_left_out(Pool *p) {
        TypeConflict conflict;
        char reason[1024];

        while (type_table_next_left_out(p->types, &conflict)) {
                describe_conflict(&conflict, reason, sizeof(reason));
                log_event(LOG_ERR, 0,
                          LOG_FIELDS(.message_id = MESSAGE_TASK_FILE_BAD,
                                     .task_name = conflict.name, .worker_id = p->config.worker_id),
                          "Task file %s is left out: %s", conflict.file, reason);
        }
}

/* Takes what a runner of the command that is in force offers. Returns whether it may serve. */
static bool take_types(Pool *p, Member *m, const char *types, size_t size) {
        const TypeList list = { types, size, p->command.optional };
        TypeConflict conflict;
        char reason[1024];
        int r;

        r = type_table_set(p->types, m->kind, &list, &conflict);
        if (r >= 0)
                complain_left_out(p);
        if (r > 0)
                p->handlers->types_changed(p->userdata);
        else if (r == -EEXIST) {
                describe_conflict(&conflict, reason, sizeof(reason));
                if (!p->started) {
                        p->handlers->failed(reason, p->userdata);
                        return false;
                }
                log_event(LOG_WARNING, 0, LOG_FIELDS(.worker_id = p->config.worker_id),
                          "What a new runner offers is ignored: %s.", reason);
        } else if (r < 0)
                log_event(LOG_WARNING, r, LOG_FIELDS(.worker_id = p->config.worker_id),
                          "The list of task types from a runner is malformed, ignoring: %m");
        return true;
}

/* Refuses the new command. */
static void refuse(Pool *p, const char *reason) {
        p->handlers->failed(reason, p->userdata);
        drop_probes(p);
}

/* Returns false, having refused the command, if its types cannot be. */
static bool take_probe_types(Pool *p) {
        TypeList lists[_RUNNER_KIND_MAX];
        TypeConflict conflict;
        char reason[1024];
        int r;

        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++)
                lists[kind] = (TypeList){ p->probe_types[kind], p->probe_types_size[kind],
                                          p->next.optional };
        r = type_table_set_all(p->types, lists, &conflict);
        if (r >= 0)
                complain_left_out(p);
        if (r > 0)
                p->handlers->types_changed(p->userdata);
        if (r >= 0)
                return true;
        if (r == -EEXIST)
                describe_conflict(&conflict, reason, sizeof(reason));
        else
                (void) snprintf(reason, sizeof(reason),
                                "the list of task types from a runner cannot be taken: %s",
                                strerror(-r));
        refuse(p, reason);
        return false;
}

/* The new command works: from now on it is the one. */
static void adopt_probes(Pool *p) {
        pool_command_done(&p->command);
        p->command = p->next;
        p->next = (PoolCommand){};
        p->n_target = p->next_target;
        p->generation++;
        for (unsigned i = 0; i < p->n_members; i++) {
                p->members[i]->failures = 0;
                p->members[i]->retry_usec = 0;
        }
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++) {
                Member *m = TAKE_PTR(p->probes[kind]);

                free(p->probe_types[kind]);
                p->probe_types[kind] = NULL;
                if (!m)
                        continue;
                m->generation = p->generation;
                append_member(p, m);
        }
        p->handlers->ready(p->userdata);
}

static void on_probe_ready(Pool *p, RunnerKind kind, const char *types, size_t size) {
        free(p->probe_types[kind]);
        p->probe_types[kind] = malloc(MAX(size, (size_t) 1));
        if (!p->probe_types[kind]) {
                refuse(p, strerror(ENOMEM));
                return;
        }
        memcpy(p->probe_types[kind], types, size);
        p->probe_types_size[kind] = size;
        for (RunnerKind other = 0; other < _RUNNER_KIND_MAX; other++)
                if (p->probes[other] && !p->probe_types[other])
                        return;
        if (take_probe_types(p))
                adopt_probes(p);
}

static void on_ready(Slot *s, const char *types, size_t size, void *userdata) {
        Pool *p = userdata;
        Member *m = pool_find_member(p, s);

        /* A runner of an old command line has nothing new to say. */
        if (is_probe(p, m))
                on_probe_ready(p, m->kind, types, size);
        else if (m->generation != p->generation || take_types(p, m, types, size))
                check_all_ready(p);
        pool_reconcile(p);
}

/* Whether the end of a runner was nobody's wish and no task's doing. */
static bool is_failure(const Pool *p, const Member *m, const SlotEnd *end) {
        if (is_probe(p, m))
                return true;
        if (end->intended) /* killed because it did not come up, or stopped because it is not needed */
                return !end->was_ready && !m->surplus && m->generation == p->generation;
        return !end->interrupted;
}

static void on_gone(Slot *s, const SlotEnd *end, void *userdata) {
        Pool *p = userdata;
        Member *m = pool_find_member(p, s);
        bool failure = is_failure(p, m, end);

        pool_end_orphans(p);
        pool_end_interrupted(p, end);
        pool_put_back(p, end->undone);
        if (p->drain_reason)
                return;

        if (end->was_ready && end->ready_usec >= LONG_LIFE_USEC)
                m->failures = 0;
        if (failure)
                on_failure(p, m, end->intended ? "it did not come up in time" : end->reason);
        pool_reconcile(p);
}

static void on_turn(void *userdata) {
        Pool *p = userdata;

        if (p->rolling)
                pool_reconcile(p);
        pool_turn(p);
}

const SlotHandlers pool_slot_handlers = {
        .ready = on_ready,
        .done = pool_on_done,
        .progress = pool_on_progress,
        .log = pool_on_log,
        .gone = on_gone,
        .turn = on_turn,
};

static int start_probes(Pool *p) {
        int r;

        r = reserve_members(p, _RUNNER_KIND_MAX);
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX && r >= 0; kind++)
                if (p->next.argv[kind])
                        r = member_new(p, kind, &p->probes[kind]);
        if (r < 0) {
                drop_probes(p);
                return r;
        }
        /* A start that fails drops all of them. */
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++)
                if (p->probes[kind])
                        start(p, p->probes[kind]);
        return 0;
}

int pool_run(Pool *p, PoolCommand *command, unsigned n) {
        if (p->generation == 0) {
                p->generation = 1;
                p->n_target = n;
                p->n_interpreters = 1;
                p->command = *command;
                p->awaiting_ready = true;
                *command = (PoolCommand){};
                pool_reconcile(p);
                return 0;
        }

        drop_probes(p);
        p->next = *command;
        p->next_target = n;
        *command = (PoolCommand){};
        return start_probes(p);
}
