/* SPDX-License-Identifier: MIT */
#pragma once

/* The parts of the SQLite driver, for its own files only. The loop appends to batches (store-sqlite.c); one
 * thread, the writer, owns the connection and writes whatever waits as one transaction. */

#include <sqlite3.h>

#include "store-batch.h"
#include "store-driver.h"

/* --- store-schema.c: the file, its format, and SQLite's codes as -errno -------------------------- */

int store_schema_open(const StoreConfig *config, sqlite3 **ret, char **ret_error);
/* 0 for SQLITE_OK, ROW and DONE. -ENOSPC: the disk is full, and nothing was harmed. */
int store_sqlite_errno(sqlite3 *db, int rc);
/* The same for a failed write to one of the files, SQLITE_FCNTL_JOURNAL_POINTER (the log) or
 * SQLITE_FCNTL_FILE_POINTER, with what SQLite and the kernel say about it. */
int store_sqlite_write_errno(sqlite3 *db, int rc, int file, char *ret_why, size_t size);
/* The value of a statement that yields one number, a PRAGMA for example. */
int store_sqlite_get_number(sqlite3 *db, const char *sql, int64_t *ret);
/* Prepares for many uses. */
int store_sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret);
/* The line for people about an error while opening or reading. */
int store_sqlite_refuse(sqlite3 *db, const char *path, int error, const char *what,
                        char **ret_error);

static inline void sqlite3_stmt_freep(sqlite3_stmt **s) {
        (void) sqlite3_finalize(*s);
}

static inline void sqlite3_closep(sqlite3 **db) {
        (void) sqlite3_close(*db);
}

/* --- store-load.c -------------------------------------------------------------------------------- */

int store_sqlite_load(sqlite3 *db, const char *path, const StoreLoad *load, char **ret_error);
/* That of this life of the store, before anything is written in it. */
int store_sqlite_epoch(sqlite3 *db, int64_t *ret);

/* --- store-apply.c: merged changes to statements ------------------------------------------------- */

typedef struct StoreApply StoreApply;

int store_apply_new(sqlite3 *db, StoreApply **ret);
StoreApply *store_apply_free(StoreApply *a);
/* One transaction, all or nothing: -ENOSPC, or another -errno after which nothing more must be written;
 * store_apply_error() says more about that. */
int store_apply_write(StoreApply *a, const StoreMerge *m);
const char *store_apply_error(const StoreApply *a);
/* From now on there may be changes of tasks that the store does not have. */
void store_apply_expect_unknown(StoreApply *a);

/* --- store-space.c: how much room there is, in the limit and on the disk ------------------------ */

typedef struct StoreSpace StoreSpace;

int store_space_new(const StoreConfig *config, sqlite3 *db, StoreSpace **ret);
StoreSpace *store_space_free(StoreSpace *s);
/* How many bytes submits may add; UINT64_MAX: no limit. */
uint64_t store_space_room(const StoreSpace *s);
/* A submit of that size was refused. */
void store_space_want(StoreSpace *s, uint64_t bytes);
/* To be called after each transaction. */
int store_space_measure(StoreSpace *s);
/* A write found the disk full: gives up the reserve. */
void store_space_disk_filled_up(StoreSpace *s);
bool store_space_disk_is_full(const StoreSpace *s);
/* When the log is to be moved at the latest. */
int store_space_log_pages_max(const StoreSpace *s);
/* It is, and there is no room for submits in the file either. */
bool store_space_takes_nothing(const StoreSpace *s);
/* While the disk is full: looks whether there is room again, if it is time to (CLOCK_MONOTONIC; USEC_INFINITY
 * otherwise). */
uint64_t store_space_look_usec(const StoreSpace *s);
bool store_space_look(StoreSpace *s); /* true: it is no longer short, see below */
/* These may be called from any thread: whether all submits would be refused; those, or ones like the last that was;
 * see store_lacking_bytes(). */
bool store_space_is_full(const StoreSpace *s);
bool store_space_is_short(const StoreSpace *s);
uint64_t store_space_lacking(const StoreSpace *s);

/* --- store-backup.c ------------------------------------------------------------------------------ */

typedef struct StoreBackup StoreBackup;

typedef enum StoreBackupState {
        STORE_BACKUP_COPYING,   /* store_backup_step() is to be called */
        STORE_BACKUP_FINISHING, /* a thread of its own waits for the disk, then calls `finished` */
} StoreBackupState;

/* Called by the loop. `finished` is called from another thread. */
int store_backup_new(const char *path, void (*finished)(void *userdata), void *userdata,
                     StoreBackup **ret);
/* Called by the writer: copies a part. An error shows in the end, not here. */
StoreBackupState store_backup_step(StoreBackup *b, sqlite3 *source);
/* Once finished: 0 or -errno, with a line for people. */
int store_backup_result(const StoreBackup *b, const char **ret_reason);
/* Gives it up if it has not finished; waits for its thread. */
StoreBackup *store_backup_free(StoreBackup *b);
DEFINE_CLEANUP_FUNC(StoreBackup *, store_backup_free);

/* --- store-writer.c: the thread ------------------------------------------------------------------ */

typedef struct StoreWriter StoreWriter;

/* Takes over the connection. */
int store_writer_new(const StoreConfig *config, sqlite3 *db, StoreWriter **ret);
/* Writes what can be written, ends the thread, closes the connection. */
StoreWriter *store_writer_free(StoreWriter *w);
DEFINE_CLEANUP_FUNC(StoreWriter *, store_writer_free);

/* Readable when there is news. */
int store_writer_fd(const StoreWriter *w);
/* Links the batch and hands it over. */
void store_writer_put(StoreWriter *w, StoreBatches *batches, StoreBatch *batch);
/* Waits until all is written, or cannot be. 0, -ENOSPC, or the error of a failure. */
int store_writer_sync(StoreWriter *w);
/* -EBUSY if one is running. Takes the backup over on success. */
int store_writer_start_backup(StoreWriter *w, StoreBackup *b);
/* To be given to store_backup_new(), with the writer. */
void store_writer_backup_finished(void *userdata);
const StoreSpace *store_writer_space(const StoreWriter *w);

typedef struct StoreNews {
        uint64_t decided; /* of the batches up to here is_refused may be read */
        uint64_t written;
        int error;
        const char *reason;  /* for people, after an error */
        StoreBackup *backup; /* finished: now the caller's */
        bool was_short;      /* store_space_is_short() was true at some time since the last news */
} StoreNews;

void store_writer_get_news(StoreWriter *w, StoreNews *ret);
/* All but the size of the files. */
void store_writer_get_stats(StoreWriter *w, StoreStats *ret);
