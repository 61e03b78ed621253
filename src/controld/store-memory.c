/* SPDX-License-Identifier: MIT */

/* STORE_NONE: keeps nothing, as nothing is to survive; only the tickets are real. */

#include "store-driver.h"

typedef struct MemoryStore {
        Store store;
        StoreCallbacks callbacks;
        sd_event_source *report;
        uint64_t ticket, reported;
        uint64_t n_open; /* changes since the last commit */
        StoreStats stats;
} MemoryStore;

static MemoryStore *memory(Store *s) {
        return (MemoryStore *) s;
}

static int memory_load(Store *s, const StoreLoad *load, char **ret_error) {
        return 0;
}

static int memory_submit(Store *s, const StoreTask *tasks, size_t n) {
        memory(s)->n_open += n;
        return 0;
}

static int memory_update(Store *s, const StoreTask *t) {
        memory(s)->n_open++;
        return 0;
}

static int memory_forget(Store *s, uint64_t sequence) {
        memory(s)->n_open++;
        return 0;
}

static int memory_add_type(Store *s, const char *name) {
        memory(s)->n_open++;
        return 0;
}

static int memory_set_schedule(Store *s, const StoreSchedule *schedule, bool with_progress) {
        memory(s)->n_open++;
        return 0;
}

static int memory_move_schedule(Store *s, const StoreSchedule *schedule, const StoreTask *tasks,
                                size_t n) {
        memory(s)->n_open += 1 + n;
        return 0;
}

static int memory_forget_schedule(Store *s, const char *name) {
        memory(s)->n_open++;
        return 0;
}

static int memory_set_paused(Store *s, const char *what, bool paused) {
        memory(s)->n_open++;
        return 0;
}

static int memory_begin(Store *s) {
        return 0;
}

static int memory_hurry(Store *s) {
        return 0;
}

static uint64_t memory_commit(Store *s) {
        MemoryStore *m = memory(s);

        if (m->n_open == 0)
                return m->ticket;
        if (m->reported == m->ticket)
                (void) sd_event_source_set_enabled(m->report, SD_EVENT_ONESHOT);
        m->stats.n_batches++;
        m->stats.n_groups++;
        m->stats.n_changes += m->n_open;
        m->n_open = 0;
        return ++m->ticket;
}

static uint64_t memory_safe_ticket(const Store *s) {
        return ((const MemoryStore *) s)->ticket;
}

static int on_report(sd_event_source *source, void *userdata) {
        MemoryStore *m = userdata;

        if (m->reported < m->ticket) {
                m->reported = m->ticket;
                m->callbacks.safe(m->reported, m->callbacks.userdata);
        }
        return 0;
}

static int memory_sync(Store *s) {
        return on_report(NULL, s);
}

static size_t memory_backlog_bytes(const Store *s) {
        return 0;
}

static bool memory_is_full(const Store *s) {
        return false;
}

static uint64_t memory_lacking_bytes(const Store *s) {
        return 0;
}

static int memory_backup(Store *s, const char *path, StoreBackupDone done, void *userdata) {
        return -EOPNOTSUPP;
}

static void memory_get_stats(Store *s, StoreStats *ret) {
        *ret = memory(s)->stats;
}

static Store *memory_close(Store *s) {
        (void) sd_event_source_disable_unref(memory(s)->report);
        free(s);
        return NULL;
}

static const StoreDriver memory_driver = {
        .close = memory_close,
        .load = memory_load,
        .submit = memory_submit,
        .update = memory_update,
        .forget = memory_forget,
        .add_type = memory_add_type,
        .set_paused = memory_set_paused,
        .set_schedule = memory_set_schedule,
        .move_schedule = memory_move_schedule,
        .forget_schedule = memory_forget_schedule,
        .begin = memory_begin,
        .hurry = memory_hurry,
        .commit = memory_commit,
        .safe_ticket = memory_safe_ticket,
        .sync = memory_sync,
        .backlog_bytes = memory_backlog_bytes,
        .is_full = memory_is_full,
        .lacking_bytes = memory_lacking_bytes,
        .backup = memory_backup,
        .get_stats = memory_get_stats,
};

int store_memory_open(sd_event *event, const StoreCallbacks *callbacks, Store **ret) {
        _cleanup_(store_closep) Store *s = calloc(1, sizeof(MemoryStore));
        int r;

        if (!s)
                return -ENOMEM;
        s->driver = &memory_driver;
        memory(s)->callbacks = *callbacks;
        r = sd_event_add_defer(event, &memory(s)->report, on_report, s);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(memory(s)->report, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}
