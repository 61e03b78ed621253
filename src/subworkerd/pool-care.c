/* SPDX-License-Identifier: MIT */

/* What keeps one task from harming others: its time ends, what it has left behind is ended, and runners that have grown
 * old or big are replaced. */

#include <inttypes.h>

#include "log.h"
#include "module-path.h"
#include "pool-internal.h"

#define IDLE_USEC    (10 * USEC_PER_MSEC) /* without a task for so long, a runner is looked at */
#define COMMAND_USEC (3 * USEC_PER_SEC)
#define WEIGH_USEC   USEC_PER_SEC        /* how often that is done to one that is never idle */
#define ORPHAN_USEC  (5 * USEC_PER_MSEC) /* when to look whether those that were killed have ended */

/* A runner that executes a command kills that itself, and knows better what to say. It is given time to do so. */
static uint64_t time_to_kill(const TaskType *type) {
        return module_kind(type_file(type)) == MODULE_COMMAND ? COMMAND_USEC : 0;
}

bool pool_review_timeout(Pool *p, Job *head, uint64_t since, uint64_t now, uint64_t *next) {
        uint64_t due;

        if (head->limits.timeout_usec == 0 || head->timed_out)
                return false;
        due = since + head->limits.timeout_usec + time_to_kill(head->type);
        if (now < due) {
                *next = MIN(*next, due);
                return false;
        }
        pool_time_out(p, head);
        return true;
}

/* Its next task would make it older still: it is replaced when it is idle. */
static void wear_out(Pool *p, Member *m) {
        m->worn = true;
        p->rolling = true;
        log_debug("Runner %d is replaced after %" PRIu64 " tasks.", (int) slot_pid(m->slot),
                  slot_n_ended(m->slot));
}

static bool is_too_big(const Pool *p, const Member *m) {
        return p->config.wear.memory_bytes > 0 &&
               slot_memory(m->slot) > p->config.wear.memory_bytes;
}

void pool_care(Pool *p, Member *m, uint64_t now, uint64_t *next) {
        uint64_t seq = slot_seq(m->slot);

        if (slot_state(m->slot) != SLOT_READY || seq == m->cared_seq) {
                m->idle_since = 0;
                return;
        }
        if (slot_count(m->slot) > 0) {
                m->idle_since = 0;
                return;
        }
        if (m->idle_since == 0 || m->idle_seq != seq) {
                m->idle_since = now;
                m->idle_seq = seq;
        }
        if (!slot_is_littered(m->slot) && now < m->idle_since + IDLE_USEC) {
                *next = MIN(*next, m->idle_since + IDLE_USEC);
                return;
        }
        if (!slot_clean_up(m->slot)) {
                *next = MIN(*next, now + ORPHAN_USEC);
                return;
        }
        m->cared_seq = seq;
        m->idle_since = 0;
        if (!m->worn && is_too_big(p, m))
                wear_out(p, m);
}

static bool has_done_enough(const Pool *p, const Slot *slot) {
        return p->config.wear.tasks > 0 && slot_n_ended(slot) >= p->config.wear.tasks;
}

/* One that is never idle for long is weighed between two tasks, but not between any two. */
static bool is_found_too_big(Pool *p, Member *m) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (now < m->weighed_usec + WEIGH_USEC)
                return false;
        m->weighed_usec = now;
        return is_too_big(p, m);
}

void pool_note_wear(Pool *p, const Slot *slot) {
        bool old = has_done_enough(p, slot);
        Member *m;

        if (!old && p->config.wear.memory_bytes == 0)
                return;
        m = pool_find_member(p, slot);
        if (!m->worn && slot_state(slot) == SLOT_READY && (old || is_found_too_big(p, m)))
                wear_out(p, m);
}

void pool_end_orphans(Pool *p) {
        PidList known = {};
        size_t n = 0;
        int r = 0;

        p->orphans = false;
        if (!p->config.owns_children)
                return;
        for (unsigned i = 0; i < p->n_members && r >= 0; i++)
                r = pid_list_add(&known, slot_pid(p->members[i]->slot));
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX && r >= 0; kind++)
                if (p->probes[kind])
                        r = pid_list_add(&known, slot_pid(p->probes[kind]->slot));
        if (r >= 0)
                n = process_tree_end_orphans(&known, PROCESS_TREE_USEC);
        pid_list_done(&known);
        if (n > 0 || r < 0) {
                p->orphans = true;
                pool_arm(p, now_usec(CLOCK_MONOTONIC) + ORPHAN_USEC);
        }
}

void pool_set_output_max(Pool *p, uint64_t bytes) {
        p->shared.output_max = bytes;
}

void pool_set_wear(Pool *p, const PoolWear *wear, uint64_t memory_max) {
        p->config.wear = *wear;
        p->shared.tasks_max = wear->tasks;
        p->shared.memory_max = memory_max;
}
