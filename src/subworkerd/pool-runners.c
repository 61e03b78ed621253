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

static int member_new(Pool *p, Member **ret) {
        _cleanup_(member_freep) Member *m = NULL;
        int r;

        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        r = slot_new(&p->shared, &m->slot);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

static int append_member(Pool *p, Member *m) {
        Member **members = reallocarray(p->members, p->n_members + 1, sizeof(Member *));

        if (!members)
                return -ENOMEM;
        p->members = members;
        members[p->n_members++] = m;
        return 0;
}

static void remove_member(Pool *p, unsigned i) {
        member_free(p->members[i]);
        p->members[i] = p->members[--p->n_members];
        p->cursor = 0;
}

Member *pool_find_member(Pool *p, const Slot *slot) {
        if (p->probe && p->probe->slot == slot)
                return p->probe;
        for (unsigned i = 0; i < p->n_members; i++)
                if (p->members[i]->slot == slot)
                        return p->members[i];
        return NULL;
}

/* --- failures ------------------------------------------------------------------------------------- */

static void drop_probe(Pool *p) {
        p->probe = member_free(p->probe);
        p->next_argv = strv_free(p->next_argv);
        p->next_environment = strv_free(p->next_environment);
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
        if (m == p->probe) {
                p->handlers->failed(reason, p->userdata);
                drop_probe(p);
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
        bool is_probe = m == p->probe;
        int r;

        m->retry_usec = 0;
        m->generation = p->generation;
        r = slot_start(m->slot, is_probe ? p->next_argv : p->argv,
                       is_probe ? p->next_environment : p->environment);
        if (r < 0) {
                char reason[256];

                (void) snprintf(reason, sizeof(reason), "%s: %s",
                                is_probe ? p->next_argv[0] : p->argv[0], strerror(-r));
                on_failure(p, m, reason);
        }
        pool_arm(p, now_usec(CLOCK_MONOTONIC) + HELLO_USEC);
}

/* --- as many as there should be ------------------------------------------------------------------- */

static unsigned count_surplus(const Pool *p) {
        unsigned n = 0;

        for (unsigned i = 0; i < p->n_members; i++)
                n += p->members[i]->surplus;
        return n;
}

/* Idle ones leave first, old ones before new ones; a busy one leaves when its task has ended. */
static bool may_leave(const Pool *p, const Member *m, unsigned pass) {
        bool busy = slot_count(m->slot) > 0, old = m->generation != p->generation;

        return pass == 3 || (pass == 2 && old) || (pass == 1 && !busy) || (old && !busy);
}

static void mark_surplus(Pool *p) {
        for (unsigned pass = 0; pass <= 3; pass++)
                for (unsigned i = 0; i < p->n_members; i++) {
                        Member *m = p->members[i];

                        if (p->n_members - count_surplus(p) <= p->n_target)
                                return;
                        if (!m->surplus && may_leave(p, m, pass))
                                m->surplus = true;
                }
}

static void unmark_surplus(Pool *p) {
        for (unsigned i = 0; i < p->n_members; i++)
                if (p->members[i]->surplus && p->n_members - count_surplus(p) < p->n_target)
                        p->members[i]->surplus = false;
}

static void add_members(Pool *p) {
        while (p->n_members < p->n_target) {
                _cleanup_(member_freep) Member *m = NULL;

                if (member_new(p, &m) < 0 || append_member(p, m) < 0) {
                        log_oom();
                        return;
                }
                start(p, TAKE_PTR(m));
        }
}

/* Those that are not wanted any more, or were started with an old command line. */
static void retire(Pool *p, Member *m) {
        JobList undone = TAILQ_HEAD_INITIALIZER(undone);

        if (!m->surplus && m->generation == p->generation)
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
        if (p->drain_reason || !p->argv)
                return;
        unmark_surplus(p);
        mark_surplus(p);
        add_members(p);

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
                p->rolling = p->rolling || m->surplus || m->generation != p->generation;
                i++;
        }
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

/* The new command line works: from now on it is the one. */
static void adopt_probe(Pool *p) {
        Member *m = TAKE_PTR(p->probe);

        strv_free(p->argv);
        strv_free(p->environment);
        p->argv = TAKE_PTR(p->next_argv);
        p->environment = TAKE_PTR(p->next_environment);
        p->n_target = p->next_target;
        m->generation = ++p->generation;
        for (unsigned i = 0; i < p->n_members; i++) {
                p->members[i]->failures = 0;
                p->members[i]->retry_usec = 0;
        }
        if (append_member(p, m) < 0) {
                log_oom();
                member_free(m);
        }
        p->handlers->ready(p->userdata);
}

static void on_ready(Slot *s, const char *types, size_t size, void *userdata) {
        Pool *p = userdata;
        Member *m = pool_find_member(p, s);
        int r;

        /* A runner of an old command line has nothing new to say. */
        if (m == p->probe || m->generation == p->generation) {
                r = type_table_set(p->types, types, size);
                if (r > 0)
                        p->handlers->types_changed(p->userdata);
                else if (r < 0)
                        log_event(
                                LOG_WARNING, r, LOG_FIELDS(.worker_id = p->config.worker_id),
                                "The list of task types from a runner is malformed, ignoring: %m");
        }
        if (m == p->probe)
                adopt_probe(p);
        else
                check_all_ready(p);
        pool_reconcile(p);
}

/* Whether the end of a runner was nobody's wish and no task's doing. */
static bool is_failure(const Pool *p, const Member *m, const SlotEnd *end) {
        if (m == p->probe)
                return true;
        if (end->intended) /* killed because it did not come up, or stopped because it is not needed */
                return !end->was_ready && !m->surplus && m->generation == p->generation;
        return !end->interrupted;
}

static void on_gone(Slot *s, const SlotEnd *end, void *userdata) {
        Pool *p = userdata;
        Member *m = pool_find_member(p, s);
        bool failure = is_failure(p, m, end);

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
        .log = pool_on_log,
        .gone = on_gone,
        .turn = on_turn,
};

int pool_run(Pool *p, char **argv, char **environment, unsigned n) {
        int r;

        if (!p->argv) {
                p->n_target = n;
                p->argv = argv;
                p->environment = environment;
                p->awaiting_ready = true;
                pool_reconcile(p);
                return 0;
        }

        drop_probe(p);
        p->next_argv = argv;
        p->next_environment = environment;
        p->next_target = n;
        r = member_new(p, &p->probe);
        if (r < 0)
                drop_probe(p);
        else
                start(p, p->probe);
        return r;
}
