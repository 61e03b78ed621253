/* SPDX-License-Identifier: MIT */

#include <pthread.h>
#include <signal.h>

#include "parse-util.h"
#include "store-fault.h"

static const char *const store_fault_point_table[_STORE_FAULT_POINT_MAX] = {
        [STORE_FAULT_BEGIN] = "begin",
        [STORE_FAULT_STATEMENT] = "statement",
        [STORE_FAULT_COMMIT] = "commit",
        [STORE_FAULT_COMMITTED] = "committed",
        [STORE_FAULT_BACKUP] = "backup",
        [STORE_FAULT_REPORT] = "report",
        [STORE_FAULT_CHECKPOINT] = "checkpoint",
        [STORE_FAULT_RECEIVE] = "receive",
        [STORE_FAULT_SEND] = "send",
        [STORE_FAULT_OPEN] = "open",
        [STORE_FAULT_WRITE] = "write",
        [STORE_FAULT_SYNC] = "sync",
        [STORE_FAULT_TRUNCATE] = "truncate",
};

static const char *const store_fault_action_table[_STORE_FAULT_ACTION_MAX] = {
        [STORE_FAULT_KILL] = "kill",     [STORE_FAULT_EIO] = "eio",
        [STORE_FAULT_ENOSPC] = "enospc", [STORE_FAULT_EDQUOT] = "edquot",
        [STORE_FAULT_SHORT] = "short",
};

DEFINE_STRING_TABLE(store_fault_point, StoreFaultPoint);
DEFINE_STRING_TABLE(store_fault_action, StoreFaultAction);

bool store_fault_enabled = false;

static struct {
        pthread_mutex_t lock; /* the loop may change the fault while the writer runs */
        bool environment_read;
        StoreFault fault;
        uint64_t counts[_STORE_FAULT_POINT_MAX];
        uint64_t unsynced;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

void store_fault_die(void) {
        (void) raise(SIGKILL);
}

/* Returns whether the fault strikes now. */
static bool count(StoreFaultPoint point) {
        uint64_t n = ++state.counts[point];

        return state.fault.count > 0 && point == state.fault.point && n >= state.fault.n &&
               n - state.fault.n < state.fault.count;
}

void store_fault_point(StoreFaultPoint point) {
        StoreFault fault;
        bool strikes;

        pthread_mutex_lock(&state.lock);
        strikes = count(point);
        fault = state.fault;
        pthread_mutex_unlock(&state.lock);

        if (strikes && fault.action == STORE_FAULT_KILL)
                store_fault_die();
        if (fault.at)
                fault.at(point, fault.userdata);
}

StoreFaultAction store_fault_call(StoreFaultPoint point) {
        StoreFaultAction action = _STORE_FAULT_ACTION_INVALID;

        pthread_mutex_lock(&state.lock);
        if (count(point))
                action = state.fault.action;
        pthread_mutex_unlock(&state.lock);
        return action;
}

void store_fault_note_log(bool synced) {
        pthread_mutex_lock(&state.lock);
        state.unsynced = synced ? 0 : state.unsynced + 1;
        pthread_mutex_unlock(&state.lock);
}

uint64_t store_fault_count(StoreFaultPoint point) {
        uint64_t n;

        pthread_mutex_lock(&state.lock);
        n = state.counts[point];
        pthread_mutex_unlock(&state.lock);
        return n;
}

uint64_t store_fault_unsynced(void) {
        uint64_t n;

        pthread_mutex_lock(&state.lock);
        n = state.unsynced;
        pthread_mutex_unlock(&state.lock);
        return n;
}

void store_fault_set(const StoreFault *fault) {
        pthread_mutex_lock(&state.lock);
        state.fault = *fault;
        state.environment_read = true;
        memset(state.counts, 0, sizeof(state.counts));
        if (!store_fault_enabled)
                store_fault_enabled = true; /* no writer runs yet that reads it */
        pthread_mutex_unlock(&state.lock);
}

int store_fault_parse(const char *text, StoreFault *ret) {
        _cleanup_strv_ char **parts = NULL;
        StoreFault f = { .count = 1 };
        size_t n;
        int r;

        r = strv_split_extend(&parts, text, ":");
        if (r < 0)
                return r;
        n = strv_length(parts);
        if (n < 2 || n > 4)
                return -EINVAL;
        f.point = store_fault_point_from_string(parts[0]);
        f.action = n > 2 ? store_fault_action_from_string(parts[2]) : STORE_FAULT_KILL;
        if ((int) f.point < 0 || (int) f.action < 0)
                return -EINVAL;
        if (f.action != STORE_FAULT_KILL && f.point < STORE_FAULT_OPEN)
                return -EINVAL;
        if (f.action == STORE_FAULT_SHORT && f.point != STORE_FAULT_WRITE)
                return -EINVAL;
        if (parse_uint(parts[1], 1, UINT64_MAX, &f.n) < 0)
                return -EINVAL;
        if (n > 3 && parse_uint(parts[3], 1, UINT64_MAX, &f.count) < 0)
                return -EINVAL;
        *ret = f;
        return 0;
}

int store_fault_from_environment(void) {
        const char *text = secure_getenv("FASTWORKER_STORE_FAULT");
        StoreFault f;
        int r;

        if (state.environment_read || !text)
                return 0;
        r = store_fault_parse(text, &f);
        if (r < 0)
                return r;
        store_fault_set(&f);
        return 0;
}
