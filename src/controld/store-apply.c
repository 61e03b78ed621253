/* SPDX-License-Identifier: MIT */

#include "store-fault.h"
#include "store-sqlite.h"

typedef enum Statement {
        BEGIN,
        COMMIT,
        ROLLBACK,
        INSERT_TASK,
        SET_RUN,
        SET_RUN_IF_TASK,
        DELETE_TASKS,
        DELETE_RUNS,
        INSERT_TYPE,
        SET_SCHEDULE,
        SET_PROGRESS,
        DELETE_SCHEDULE,
        DELETE_PROGRESS,
        INSERT_PAUSE,
        DELETE_PAUSE,
        SET_LIFE,
        _STATEMENT_MAX,
} Statement;

static const char *const statement_sql[_STATEMENT_MAX] = {
        [BEGIN] = "BEGIN IMMEDIATE",
        [COMMIT] = "COMMIT",
        [ROLLBACK] = "ROLLBACK",
        [INSERT_TASK] = "INSERT INTO task VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        [SET_RUN] = "INSERT OR REPLACE INTO run VALUES"
                    " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        [SET_RUN_IF_TASK] = ("INSERT OR REPLACE INTO run SELECT"
                             " ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15"
                             " WHERE EXISTS (SELECT 1 FROM task WHERE sequence = ?1)"),
        [DELETE_TASKS] = "DELETE FROM task WHERE sequence BETWEEN ?1 AND ?2",
        [DELETE_RUNS] = "DELETE FROM run WHERE sequence BETWEEN ?1 AND ?2",
        [INSERT_TYPE] = "INSERT OR IGNORE INTO type VALUES (?1)",
        [SET_SCHEDULE] = "INSERT OR REPLACE INTO schedule VALUES (?1, ?2, ?3, ?4, ?5)",
        /* It may have been forgotten meanwhile. */
        [SET_PROGRESS] = "INSERT OR REPLACE INTO progress SELECT ?1, ?2, ?3, ?4, ?5"
                         " WHERE EXISTS (SELECT 1 FROM schedule WHERE name = ?1)",
        [DELETE_SCHEDULE] = "DELETE FROM schedule WHERE name = ?1",
        [DELETE_PROGRESS] = "DELETE FROM progress WHERE name = ?1",
        [INSERT_PAUSE] = "INSERT OR IGNORE INTO pause VALUES (?1)",
        [DELETE_PAUSE] = "DELETE FROM pause WHERE what = ?1",
        [SET_LIFE] = "UPDATE life SET epoch = ?1, clean = ?2",
};

struct StoreApply {
        sqlite3 *db;
        sqlite3_stmt *statements[_STATEMENT_MAX];
        bool expect_unknown;
        int64_t epoch; /* of this life of the store */
        bool in_use;   /* the file says so */
        /* Tasks to be deleted whose sequences follow upon each other: they mostly do, as the oldest leave
         * first, and a range costs a third. */
        bool has_range;
        uint64_t range_first, range_last;
        char error[256];
};

static int run(StoreApply *a, Statement which) {
        sqlite3_stmt *s = a->statements[which];
        int rc, r;

        store_fault_step(STORE_FAULT_STATEMENT);
        rc = sqlite3_step(s);
        r = store_sqlite_write_errno(a->db, rc, SQLITE_FCNTL_JOURNAL_POINTER, a->error,
                                     sizeof(a->error));
        (void) sqlite3_reset(s);
        return r;
}

/* What is bound stays in memory until the group is done: no copies. */
static void bind_bytes(sqlite3_stmt *s, int i, struct iovec v) {
        if (v.iov_len > 0)
                (void) sqlite3_bind_blob64(s, i, v.iov_base, v.iov_len, SQLITE_STATIC);
        else
                (void) sqlite3_bind_null(s, i);
}

static void bind_string(sqlite3_stmt *s, int i, const char *text) {
        (void) sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
}

static int insert_task(StoreApply *a, const StoreTask *t) {
        sqlite3_stmt *s = a->statements[INSERT_TASK];

        (void) sqlite3_bind_int64(s, 1, (int64_t) t->sequence);
        (void) sqlite3_bind_blob(s, 2, t->id.bytes, sizeof(t->id.bytes), SQLITE_STATIC);
        bind_string(s, 3, t->name);
        (void) sqlite3_bind_int(s, 4, (int) t->priority);
        (void) sqlite3_bind_int64(s, 5, (int64_t) t->created_usec);
        bind_bytes(s, 6, t->key);
        bind_bytes(s, 7, t->arguments);
        bind_bytes(s, 8, t->options);
        (void) sqlite3_bind_int64(s, 9, a->epoch);
        return run(a, INSERT_TASK);
}

static int set_run(StoreApply *a, Statement which, const StoreTask *t) {
        sqlite3_stmt *s = a->statements[which];

        (void) sqlite3_bind_int64(s, 1, (int64_t) t->sequence);
        (void) sqlite3_bind_int(s, 2, (int) t->state);
        (void) sqlite3_bind_int64(s, 3, t->attempt);
        (void) sqlite3_bind_int64(s, 4, t->crashes);
        bind_string(s, 5, t->worker);
        (void) sqlite3_bind_int64(s, 6, (int64_t) t->started_usec);
        (void) sqlite3_bind_int64(s, 7, (int64_t) t->completed_usec);
        bind_bytes(s, 8, t->result);
        bind_bytes(s, 9, t->error);
        (void) sqlite3_bind_int64(s, 10, a->epoch);
        (void) sqlite3_bind_int(s, 11, t->cancel_asked);
        (void) sqlite3_bind_int64(s, 12, (int64_t) t->due_usec);
        (void) sqlite3_bind_int64(s, 13, (int64_t) t->expires_usec);
        (void) sqlite3_bind_int64(s, 14, t->retries);
        bind_bytes(s, 15, t->history);
        return run(a, which);
}

static int flush_range(StoreApply *a) {
        static const Statement both[] = { DELETE_TASKS, DELETE_RUNS };
        int r;

        if (!a->has_range)
                return 0;
        a->has_range = false;
        for (size_t i = 0; i < ELEMENTSOF(both); i++) {
                sqlite3_stmt *s = a->statements[both[i]];

                (void) sqlite3_bind_int64(s, 1, (int64_t) a->range_first);
                (void) sqlite3_bind_int64(s, 2, (int64_t) a->range_last);
                r = run(a, both[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int forget(StoreApply *a, uint64_t sequence) {
        int r;

        if (a->has_range && sequence == a->range_last + 1) {
                a->range_last = sequence;
                return 0;
        }
        r = flush_range(a);
        if (r < 0)
                return r;
        a->has_range = true;
        a->range_first = a->range_last = sequence;
        return 0;
}

/* Before anything else: it makes room, which the rest may need. */
static int forget_all(StoreApply *a, const StoreMerge *m) {
        int r;

        a->has_range = false;
        for (size_t i = 0; i < m->n; i++) {
                r = m->tasks[i].forget ? forget(a, m->tasks[i].sequence) : 0;
                if (r < 0)
                        return r;
        }
        return flush_range(a);
}

static int apply_task(StoreApply *a, const StoreMergedTask *t) {
        int r;

        if (t->submit) {
                r = insert_task(a, t->submit);
                if (r < 0)
                        return r;
        }
        if (!t->update)
                return 0;
        return set_run(a, t->submit || !a->expect_unknown ? SET_RUN : SET_RUN_IF_TASK, t->update);
}

static int set_progress(StoreApply *a, const StoreSchedule *s) {
        sqlite3_stmt *statement = a->statements[SET_PROGRESS];

        bind_string(statement, 1, s->name);
        (void) sqlite3_bind_int64(statement, 2, (int64_t) s->added_usec);
        (void) sqlite3_bind_int64(statement, 3, (int64_t) s->last_due_usec);
        (void) sqlite3_bind_int64(statement, 4, (int64_t) s->n_runs);
        bind_bytes(statement, 5, s->last_task);
        return run(a, SET_PROGRESS);
}

static int set_schedule(StoreApply *a, const StoreSchedule *s, bool with_progress) {
        sqlite3_stmt *statement = a->statements[SET_SCHEDULE];
        int r;

        bind_string(statement, 1, s->name);
        (void) sqlite3_bind_blob64(statement, 2, s->document.iov_base, s->document.iov_len,
                                   SQLITE_STATIC);
        (void) sqlite3_bind_int(statement, 3, s->is_from_type);
        (void) sqlite3_bind_int(statement, 4, s->is_paused);
        bind_string(statement, 5, s->bringers);
        r = run(a, SET_SCHEDULE);
        return r < 0 || !with_progress ? r : set_progress(a, s);
}

static int set_paused(StoreApply *a, Statement which, const char *what) {
        bind_string(a->statements[which], 1, what);
        return run(a, which);
}

static int apply_schedule(StoreApply *a, const StoreChange *c) {
        int r;

        switch (c->kind) {
        case STORE_CHANGE_PAUSE:
                return set_paused(a, INSERT_PAUSE, c->task.name);
        case STORE_CHANGE_RESUME:
                return set_paused(a, DELETE_PAUSE, c->task.name);
        case STORE_CHANGE_SCHEDULE:
        case STORE_CHANGE_SCHEDULE_AND_PROGRESS:
                return set_schedule(a, &c->schedule, c->kind == STORE_CHANGE_SCHEDULE_AND_PROGRESS);
        case STORE_CHANGE_SCHEDULE_PROGRESS:
                return set_progress(a, &c->schedule);
        default:
                bind_string(a->statements[DELETE_SCHEDULE], 1, c->schedule.name);
                bind_string(a->statements[DELETE_PROGRESS], 1, c->schedule.name);
                r = run(a, DELETE_SCHEDULE);
                return r < 0 ? r : run(a, DELETE_PROGRESS);
        }
}

/* The first transaction says that the store is in use, the last one that it is not any more. */
static int set_life(StoreApply *a, const StoreMerge *m) {
        sqlite3_stmt *s = a->statements[SET_LIFE];

        if (a->in_use && !m->is_end)
                return 0;
        (void) sqlite3_bind_int64(s, 1, a->epoch);
        (void) sqlite3_bind_int(s, 2, m->is_end);
        return run(a, SET_LIFE);
}

static int apply(StoreApply *a, const StoreMerge *m) {
        int r;

        store_fault_step(STORE_FAULT_BEGIN);
        r = run(a, BEGIN);
        if (r < 0)
                return r;
        r = forget_all(a, m);
        if (r < 0)
                return r;
        for (size_t i = 0; i < m->n_types; i++) {
                bind_string(a->statements[INSERT_TYPE], 1, m->types[i]);
                r = run(a, INSERT_TYPE);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < m->n; i++) {
                r = apply_task(a, &m->tasks[i]);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < m->n_schedules; i++) {
                r = apply_schedule(a, m->schedules[i]);
                if (r < 0)
                        return r;
        }
        r = set_life(a, m);
        if (r < 0)
                return r;
        store_fault_step(STORE_FAULT_COMMIT);
        r = run(a, COMMIT);
        if (r < 0)
                return r;
        a->in_use = true;
        store_fault_step(STORE_FAULT_COMMITTED);
        return 0;
}

int store_apply_write(StoreApply *a, const StoreMerge *m) {
        bool is_empty = m->n_types == 0 && m->n_schedules == 0 && a->in_use && !m->is_end;
        int r;

        for (size_t i = 0; is_empty && i < m->n; i++)
                is_empty = !m->tasks[i].forget && !m->tasks[i].submit && !m->tasks[i].update;
        if (is_empty)
                return 0;
        r = apply(a, m);
        if (r < 0 && !sqlite3_get_autocommit(a->db)) {
                (void) sqlite3_step(a->statements[ROLLBACK]);
                (void) sqlite3_reset(a->statements[ROLLBACK]);
        }
        return r;
}

const char *store_apply_error(const StoreApply *a) {
        return a->error;
}

void store_apply_expect_unknown(StoreApply *a) {
        a->expect_unknown = true;
}

StoreApply *store_apply_free(StoreApply *a) {
        if (!a)
                return NULL;
        for (size_t i = 0; i < _STATEMENT_MAX; i++)
                (void) sqlite3_finalize(a->statements[i]);
        free(a);
        return NULL;
}

int store_apply_new(sqlite3 *db, StoreApply **ret) {
        StoreApply *a = calloc(1, sizeof(*a));
        int r;

        if (!a)
                return -ENOMEM;
        a->db = db;
        r = store_sqlite_epoch(db, &a->epoch);
        if (r < 0) {
                store_apply_free(a);
                return r;
        }
        for (size_t i = 0; i < _STATEMENT_MAX; i++) {
                r = store_sqlite_prepare(db, statement_sql[i], &a->statements[i]);
                if (r < 0) {
                        store_apply_free(a);
                        return r;
                }
        }
        *ret = a;
        return 0;
}
