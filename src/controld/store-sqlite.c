/* SPDX-License-Identifier: MIT */

/* The loop's side of the SQLite driver: collects changes, hands batches to the writer, and tells the caller what
 * became of them. */

#include <assert.h>
#include <stdio.h>
#include <sys/stat.h>

#include "store-fault.h"
#include "store-sqlite.h"

typedef struct SqliteStore {
        Store store;
        StoreCallbacks callbacks;
        char *path;
        sqlite3 *db; /* the writer's; here only for loading */
        StoreWriter *writer;
        sd_event_source *news;
        StoreBatches batches;
        StoreBatch *untold; /* the first that is not known yet to be refused or not */
        uint64_t safe;      /* ticket */
        bool is_dead;       /* `failed` was called */
        bool was_short;     /* `has_room` is to be called */
        StoreBackupDone backup_done;
        void *backup_userdata;
} SqliteStore;

static SqliteStore *sqlite(Store *s) {
        return (SqliteStore *) s;
}

static int sqlite_load(Store *s, const StoreLoad *load, char **ret_error) {
        /* The writer has had nothing to do yet, so that it leaves the connection alone. */
        assert(sqlite(s)->batches.last_ticket == 0 && !sqlite(s)->backup_done);
        return store_sqlite_load(sqlite(s)->db, sqlite(s)->path, load, ret_error);
}

/* What can never become safe need not pile up. */
static int add(SqliteStore *s, StoreChangeKind kind, const StoreTask *tasks, size_t n) {
        return s->is_dead ? 0 : store_batches_add(&s->batches, kind, tasks, n);
}

static int sqlite_submit(Store *s, const StoreTask *tasks, size_t n) {
        return add(sqlite(s), STORE_CHANGE_SUBMIT, tasks, n);
}

/* Without what store_submit() has set, whatever the caller left in there. */
static int sqlite_update(Store *s, const StoreTask *t) {
        StoreTask changed = {
                .sequence = t->sequence,
                .state = t->state,
                .attempt = t->attempt,
                .crashes = t->crashes,
                .cancel_asked = t->cancel_asked,
                .worker = t->worker,
                .started_usec = t->started_usec,
                .completed_usec = t->completed_usec,
                .result = t->result,
                .error = t->error,
                .due_usec = t->due_usec,
                .expires_usec = t->expires_usec,
                .retries = t->retries,
                .history = t->history,
        };

        return add(sqlite(s), STORE_CHANGE_UPDATE, &changed, 1);
}

static int sqlite_forget(Store *s, uint64_t sequence) {
        return add(sqlite(s), STORE_CHANGE_FORGET, &(StoreTask){ .sequence = sequence }, 1);
}

static int sqlite_add_type(Store *s, const char *name) {
        return add(sqlite(s), STORE_CHANGE_TYPE, &(StoreTask){ .name = name }, 1);
}

static int sqlite_set_paused(Store *s, const char *what, bool paused) {
        return add(sqlite(s), paused ? STORE_CHANGE_PAUSE : STORE_CHANGE_RESUME,
                   &(StoreTask){ .name = what }, 1);
}

static int sqlite_set_schedule(Store *store, const StoreSchedule *schedule, bool with_progress) {
        SqliteStore *s = sqlite(store);

        return s->is_dead ? 0
                          : store_batches_add_schedule(&s->batches,
                                                       with_progress
                                                               ? STORE_CHANGE_SCHEDULE_AND_PROGRESS
                                                               : STORE_CHANGE_SCHEDULE,
                                                       schedule);
}

static int sqlite_move_schedule(Store *store, const StoreSchedule *schedule, const StoreTask *tasks,
                                size_t n) {
        SqliteStore *s = sqlite(store);

        return s->is_dead ? 0 : store_batches_move_schedule(&s->batches, schedule, tasks, n);
}

static int sqlite_forget_schedule(Store *store, const char *name) {
        SqliteStore *s = sqlite(store);

        return s->is_dead ? 0
                          : store_batches_add_schedule(&s->batches, STORE_CHANGE_FORGET_SCHEDULE,
                                                       &(StoreSchedule){ .name = name });
}

static int sqlite_begin(Store *s) {
        return sqlite(s)->is_dead ? 0 : store_batches_hurry(&sqlite(s)->batches);
}

static int sqlite_hurry(Store *s) {
        const StoreBatches *b = &sqlite(s)->batches;

        return b->open || b->last_ticket > sqlite(s)->safe ? sqlite_begin(s) : 0;
}

static uint64_t sqlite_commit(Store *s) {
        StoreBatch *b = store_batches_close(&sqlite(s)->batches);

        if (b) {
                store_writer_put(sqlite(s)->writer, &sqlite(s)->batches, b);
                if (!sqlite(s)->untold)
                        sqlite(s)->untold = b;
        }
        return sqlite(s)->batches.last_ticket;
}

static uint64_t sqlite_safe_ticket(const Store *s) {
        return ((const SqliteStore *) s)->safe;
}

static void tell_refusals(SqliteStore *s, uint64_t decided) {
        StoreBatch *b;

        while ((b = s->untold) && b->ticket <= decided) {
                s->untold = b->next;
                if (!b->is_refused)
                        continue;
                s->was_short = true;
                s->callbacks.refused(b->ticket, -ENOSPC, s->callbacks.userdata);
        }
}

static void tell_room(SqliteStore *s) {
        if (!s->was_short || store_space_is_short(store_writer_space(s->writer)))
                return;
        s->was_short = false;
        if (s->callbacks.has_room)
                s->callbacks.has_room(s->callbacks.userdata);
}

static void tell_backup(SqliteStore *s, StoreBackup *finished) {
        _cleanup_(store_backup_freep) StoreBackup *b = finished;
        StoreBackupDone done = TAKE_PTR(s->backup_done);
        const char *reason;
        int r;

        r = store_backup_result(b, &reason);
        done(r, reason, s->backup_userdata);
}

static void tell_news(SqliteStore *s) {
        StoreNews news;

        store_writer_get_news(s->writer, &news);
        tell_refusals(s, news.decided);
        if (news.written > s->safe) {
                s->safe = news.written;
                store_batches_release(&s->batches, s->safe);
                s->callbacks.safe(s->safe, s->callbacks.userdata);
        }
        s->was_short = s->was_short || news.was_short;
        tell_room(s);
        if (news.backup)
                tell_backup(s, news.backup);
        if (news.error < 0 && !s->is_dead) {
                s->is_dead = true;
                s->callbacks.failed(news.error, news.reason, s->callbacks.userdata);
        }
}

static int on_news(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        tell_news(userdata);
        return 0;
}

static int sqlite_sync(Store *s) {
        int r;

        r = store_writer_sync(sqlite(s)->writer);
        tell_news(sqlite(s));
        return r;
}

static size_t sqlite_backlog_bytes(const Store *s) {
        return ((const SqliteStore *) s)->batches.bytes;
}

static bool sqlite_is_full(const Store *s) {
        return store_space_is_full(store_writer_space(((const SqliteStore *) s)->writer));
}

static uint64_t sqlite_lacking_bytes(const Store *s) {
        return store_space_lacking(store_writer_space(((const SqliteStore *) s)->writer));
}

static int sqlite_backup(Store *store, const char *path, StoreBackupDone done, void *userdata) {
        SqliteStore *s = sqlite(store);
        _cleanup_(store_backup_freep) StoreBackup *b = NULL;
        int r;

        if (s->backup_done)
                return -EBUSY;
        r = store_backup_new(path, store_writer_backup_finished, s->writer, &b);
        if (r < 0)
                return r;
        r = store_writer_start_backup(s->writer, b);
        if (r < 0)
                return r;
        (void) TAKE_PTR(b);
        s->backup_done = done;
        s->backup_userdata = userdata;
        return 0;
}

static uint64_t file_bytes(const char *path, const char *suffix) {
        _cleanup_free_ char *name = NULL;
        struct stat st;

        if (asprintf(&name, "%s%s", path, suffix) < 0) {
                name = NULL;
                return 0;
        }
        return stat(name, &st) < 0 ? 0 : (uint64_t) st.st_size;
}

static void sqlite_get_stats(Store *s, StoreStats *ret) {
        store_writer_get_stats(sqlite(s)->writer, ret);
        ret->bytes = file_bytes(sqlite(s)->path, "") + file_bytes(sqlite(s)->path, "-wal");
}

/* If nothing was committed, the file has not been touched and stays as it is. If something was appended since, it is
 * dropped now, and may be a lease. */
static void end_in_order(SqliteStore *s) {
        if (s->writer && !s->is_dead && !s->batches.open && s->batches.last_ticket > 0 &&
            store_batches_end(&s->batches) >= 0)
                (void) sqlite_commit(&s->store);
}

static Store *sqlite_close(Store *store) {
        SqliteStore *s = sqlite(store);

        end_in_order(s);
        (void) sd_event_source_disable_unref(s->news);
        store_writer_free(s->writer);
        store_batches_done(&s->batches);
        free(s->path);
        free(s);
        return NULL;
}

static const StoreDriver sqlite_driver = {
        .close = sqlite_close,
        .load = sqlite_load,
        .submit = sqlite_submit,
        .update = sqlite_update,
        .forget = sqlite_forget,
        .add_type = sqlite_add_type,
        .set_paused = sqlite_set_paused,
        .set_schedule = sqlite_set_schedule,
        .move_schedule = sqlite_move_schedule,
        .forget_schedule = sqlite_forget_schedule,
        .begin = sqlite_begin,
        .hurry = sqlite_hurry,
        .commit = sqlite_commit,
        .safe_ticket = sqlite_safe_ticket,
        .sync = sqlite_sync,
        .backlog_bytes = sqlite_backlog_bytes,
        .is_full = sqlite_is_full,
        .lacking_bytes = sqlite_lacking_bytes,
        .backup = sqlite_backup,
        .get_stats = sqlite_get_stats,
};

int store_sqlite_open(sd_event *event, const StoreConfig *config, const StoreCallbacks *callbacks,
                      Store **ret, char **ret_error) {
        _cleanup_(store_closep) Store *store = NULL;
        SqliteStore *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        store = &s->store;
        store->driver = &sqlite_driver;
        s->callbacks = *callbacks;
        s->path = strdup(config->path);
        if (!s->path)
                return -ENOMEM;
        r = store_fault_from_environment();
        if (r < 0)
                return store_refuse(ret_error, r, "FASTWORKER_STORE_FAULT= makes no sense.");
        r = store_schema_open(config, &s->db, ret_error);
        if (r < 0)
                return r;
        r = store_writer_new(config, s->db, &s->writer);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &s->news, store_writer_fd(s->writer), EPOLLIN, on_news, s);
        if (r < 0)
                return r;
        s->was_short = store_space_is_short(store_writer_space(s->writer));
        *ret = TAKE_PTR(store);
        return 0;
}
