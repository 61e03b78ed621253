/* SPDX-License-Identifier: MIT */

/* Reads everything back. What stands in the file is checked, as a damaged disk may have changed it. */

#include <stdio.h>

#include "store-sqlite.h"

#define PROGRESS_EVERY 10000U

#define COLUMNS                                                                                \
        "t.sequence, t.id, t.name, t.priority, t.created, t.key, t.arguments, t.options, "     \
        "r.state, r.attempt, r.crashes, r.worker, r.started, r.completed, r.result, r.error, " \
        "r.cancel, coalesce(r.epoch, t.epoch), r.due, r.expires, r.retries, r.history"

#define ENDED "(5, 6, 8, 9, 10)"
_Static_assert(TASK_SUCCESS == 5 && TASK_FAILURE == 6 && TASK_CANCELLED == 8 && TASK_DEAD == 9 &&
                       TASK_EXPIRED == 10,
               "the terminal states");

static const char types_sql[] = "SELECT name FROM type ORDER BY name";
static const char waiting_sql[] =
        "SELECT " COLUMNS " FROM task t LEFT JOIN run r ON r.sequence = t.sequence"
        " WHERE r.state IS NULL OR r.state NOT IN " ENDED " ORDER BY t.sequence";
/* Two steps: only numbers are sorted. */
static const char ended_sql[] =
        "SELECT sequence FROM run WHERE state IN " ENDED " ORDER BY completed, sequence";
static const char one_sql[] = "SELECT " COLUMNS " FROM task t JOIN run r ON r.sequence = t.sequence"
                              " WHERE t.sequence = ?1";

static const char schedules_sql[] =
        "SELECT s.name, s.document, s.is_from_type, s.paused, coalesce(p.added, 0),"
        " coalesce(p.last_due, 0), coalesce(p.runs, 0), p.last_task, s.bringers"
        " FROM schedule s LEFT JOIN progress p ON p.name = s.name ORDER BY s.name";

typedef struct Loading {
        sqlite3 *db;
        const StoreLoad *load;
        int64_t epoch;
        uint64_t n;
        bool stopped;    /* by the handler */
        char damage[96]; /* what is wrong with a row */
} Loading;

static struct iovec get_bytes(sqlite3_stmt *s, int i) {
        /* The pointer first: asking for it may change the size. */
        const void *data = sqlite3_column_blob(s, i);

        return (struct iovec){ (void *) data, (size_t) sqlite3_column_bytes(s, i) };
}

static int get_extra(sqlite3_stmt *s, StoreTask *ret) {
        int64_t due = sqlite3_column_int64(s, 18), expires = sqlite3_column_int64(s, 19),
                retries = sqlite3_column_int64(s, 20);

        if (due < 0 || expires < 0 || retries < 0 || retries > UINT32_MAX)
                return -EUCLEAN;
        ret->due_usec = (uint64_t) due;
        ret->expires_usec = (uint64_t) expires;
        ret->retries = (uint32_t) retries;
        ret->history = get_bytes(s, 21);
        return 0;
}

static int get_task(sqlite3_stmt *s, StoreTask *ret) {
        struct iovec id = get_bytes(s, 1);
        int64_t priority = sqlite3_column_int64(s, 3), state = TASK_QUEUED, attempt, crashes;

        *ret = (StoreTask){
                .sequence = (uint64_t) sqlite3_column_int64(s, 0),
                .name = (const char *) sqlite3_column_text(s, 2),
                .priority = (TaskPriority) priority,
                .created_usec = (uint64_t) sqlite3_column_int64(s, 4),
                .key = get_bytes(s, 5),
                .arguments = get_bytes(s, 6),
                .options = get_bytes(s, 7),
                .state = TASK_QUEUED,
        };
        if (id.iov_len != sizeof(ret->id.bytes) || !ret->name || priority < 0 ||
            priority >= _PRIORITY_MAX)
                return -EUCLEAN;
        memcpy(ret->id.bytes, id.iov_base, sizeof(ret->id.bytes));
        if (sqlite3_column_type(s, 8) == SQLITE_NULL)
                return 0;

        state = sqlite3_column_int64(s, 8);
        attempt = sqlite3_column_int64(s, 9);
        crashes = sqlite3_column_int64(s, 10);
        if (state < 0 || state >= _TASK_STATE_MAX || attempt < 0 || attempt > UINT32_MAX ||
            crashes < 0 || crashes > UINT32_MAX)
                return -EUCLEAN;
        ret->state = (TaskState) state;
        ret->attempt = (uint32_t) attempt;
        ret->crashes = (uint32_t) crashes;
        ret->worker = (const char *) sqlite3_column_text(s, 11);
        ret->started_usec = (uint64_t) sqlite3_column_int64(s, 12);
        ret->completed_usec = (uint64_t) sqlite3_column_int64(s, 13);
        ret->result = get_bytes(s, 14);
        ret->error = get_bytes(s, 15);
        ret->cancel_asked = sqlite3_column_int64(s, 16) != 0;
        return get_extra(s, ret);
}

/* How often the store was not closed in order since the row was written. Each time one more lease can have been
 * given that did not get here: of a task that is queued here none else, see store_begin(). */
static int count_lost_attempts(const Loading *l, sqlite3_stmt *s, StoreTask *t) {
        int64_t epoch = sqlite3_column_int64(s, 17);

        if (epoch < 0 || epoch > l->epoch || l->epoch - epoch > UINT32_MAX - (int64_t) t->attempt)
                return -EUCLEAN;
        if (task_state_is_terminal(t->state) || t->state == TASK_ASSIGNED ||
            t->state == TASK_RUNNING)
                return 0;
        t->n_unsure = (uint32_t) (l->epoch - epoch);
        t->attempt += t->n_unsure;
        return 0;
}

static int load_task(Loading *l, sqlite3_stmt *s) {
        StoreTask t;
        int r;

        r = get_task(s, &t);
        if (r >= 0)
                r = count_lost_attempts(l, s, &t);
        if (sqlite3_errcode(l->db) == SQLITE_NOMEM)
                return -ENOMEM;
        if (r < 0) {
                (void) snprintf(l->damage, sizeof(l->damage),
                                "the task with the sequence number %" PRIu64 " makes no sense",
                                t.sequence);
                return r;
        }
        if (l->load->task) {
                r = l->load->task(&t, l->load->userdata);
                if (r < 0) {
                        l->stopped = true;
                        return r;
                }
        }
        if (++l->n % PROGRESS_EVERY == 0 && l->load->progress)
                l->load->progress(l->n, l->load->userdata);
        return 0;
}

static int load_type(Loading *l, sqlite3_stmt *s) {
        const char *name = (const char *) sqlite3_column_text(s, 0);
        int r;

        if (!name)
                return -ENOMEM;
        r = l->load->type ? l->load->type(name, l->load->userdata) : 0;
        l->stopped = r < 0;
        return r;
}

static int load_schedule(Loading *l, sqlite3_stmt *s) {
        int64_t added = sqlite3_column_int64(s, 4), last = sqlite3_column_int64(s, 5),
                runs = sqlite3_column_int64(s, 6);
        StoreSchedule schedule = {
                .name = (const char *) sqlite3_column_text(s, 0),
                .document = get_bytes(s, 1),
                .is_from_type = sqlite3_column_int(s, 2) != 0,
                .is_paused = sqlite3_column_int(s, 3) != 0,
                .added_usec = (uint64_t) added,
                .last_due_usec = (uint64_t) last,
                .n_runs = (uint64_t) runs,
                .last_task = get_bytes(s, 7),
                .bringers = (const char *) sqlite3_column_text(s, 8),
        };
        int r;

        if (!schedule.name)
                return -ENOMEM;
        if (added < 0 || last < 0 || runs < 0 ||
            (schedule.last_task.iov_len != 0 && schedule.last_task.iov_len != sizeof(TaskId))) {
                (void) snprintf(l->damage, sizeof(l->damage), "the schedule %.60s makes no sense",
                                schedule.name);
                return -EUCLEAN;
        }
        r = l->load->schedule ? l->load->schedule(&schedule, l->load->userdata) : 0;
        l->stopped = r < 0;
        return r;
}

static int load_schedules(Loading *l) {
        _cleanup_(sqlite3_stmt_freep) sqlite3_stmt *s = NULL;
        int r;

        r = store_sqlite_prepare(l->db, schedules_sql, &s);
        if (r < 0)
                return r;
        while ((r = sqlite3_step(s)) == SQLITE_ROW) {
                r = load_schedule(l, s);
                if (r < 0)
                        return r;
        }
        return store_sqlite_errno(l->db, r);
}

static int load_paused(Loading *l) {
        _cleanup_(sqlite3_stmt_freep) sqlite3_stmt *s = NULL;
        int r;

        r = store_sqlite_prepare(l->db, "SELECT what FROM pause ORDER BY what", &s);
        if (r < 0)
                return r;
        while ((r = sqlite3_step(s)) == SQLITE_ROW) {
                const char *what = (const char *) sqlite3_column_text(s, 0);

                if (!what)
                        return -ENOMEM;
                r = l->load->paused ? l->load->paused(what, l->load->userdata) : 0;
                if (r < 0) {
                        l->stopped = true;
                        return r;
                }
        }
        return store_sqlite_errno(l->db, r);
}

static int load_ended(Loading *l, sqlite3_stmt *sequences, sqlite3_stmt *one) {
        int rc, r;

        (void) sqlite3_bind_int64(one, 1, sqlite3_column_int64(sequences, 0));
        rc = sqlite3_step(one);
        if (rc == SQLITE_ROW)
                r = load_task(l, one);
        else
                r = store_sqlite_errno(l->db, rc); /* a task that is not there is passed over */
        (void) sqlite3_reset(one);
        return r;
}

static int load_all(Loading *l) {
        _cleanup_(sqlite3_stmt_freep) sqlite3_stmt *types = NULL, *waiting = NULL, *ended = NULL,
                                                   *one = NULL;
        int r;

        r = store_sqlite_prepare(l->db, types_sql, &types);
        if (r >= 0)
                r = store_sqlite_prepare(l->db, waiting_sql, &waiting);
        if (r >= 0)
                r = store_sqlite_prepare(l->db, ended_sql, &ended);
        if (r >= 0)
                r = store_sqlite_prepare(l->db, one_sql, &one);
        if (r < 0)
                return r;

        while ((r = sqlite3_step(types)) == SQLITE_ROW) {
                r = load_type(l, types);
                if (r < 0)
                        return r;
        }
        if (r != SQLITE_DONE)
                return store_sqlite_errno(l->db, r);
        while ((r = sqlite3_step(waiting)) == SQLITE_ROW) {
                r = load_task(l, waiting);
                if (r < 0)
                        return r;
        }
        if (r != SQLITE_DONE)
                return store_sqlite_errno(l->db, r);
        while ((r = sqlite3_step(ended)) == SQLITE_ROW) {
                r = load_ended(l, ended, one);
                if (r < 0)
                        return r;
        }
        return store_sqlite_errno(l->db, r);
}

int store_sqlite_epoch(sqlite3 *db, int64_t *ret) {
        int64_t epoch;
        int r;

        r = store_sqlite_get_number(
                db, "SELECT epoch + (clean = 0) FROM life WHERE epoch BETWEEN 0 AND 4294967295",
                &epoch);
        if (r < 0)
                return r == -ENODATA ? -EUCLEAN : r;
        *ret = epoch;
        return 0;
}

int store_sqlite_load(sqlite3 *db, const char *path, const StoreLoad *load, char **ret_error) {
        Loading l = { .db = db, .load = load };
        int r;

        r = store_sqlite_epoch(db, &l.epoch);
        if (r >= 0)
                r = load_all(&l);
        if (r >= 0)
                r = load_schedules(&l);
        if (r >= 0)
                r = load_paused(&l);
        if (r >= 0)
                return 0;
        if (l.stopped)
                return r;
        return store_sqlite_refuse(db, path, r, l.damage[0] ? l.damage : NULL, ret_error);
}
