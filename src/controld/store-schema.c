/* SPDX-License-Identifier: MIT */

/* The database file: who may open it, what is in it, and its versions.
 *
 * A task has one row that never changes, with its arguments, and one small row with all that does, so that a
 * lease or an end never writes the arguments again. No other index is needed: memory answers every question,
 * the store only finds tasks by sequence. Both tables grow at their right edge.
 *
 * user_version is the number of migrations that were applied; application_id tells that the file is ours. */

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>

#include "store-fault.h"
#include "store-sqlite.h"

#define APPLICATION_ID 0x46575351 /* FWSQ */

/* The numbers stand in the file: names may be appended to these enums, but never moved. */
_Static_assert(TASK_PENDING == 0 && TASK_SCHEDULED == 1 && TASK_QUEUED == 2 && TASK_ASSIGNED == 3 &&
                       TASK_RUNNING == 4 && TASK_SUCCESS == 5 && TASK_FAILURE == 6 &&
                       TASK_RETRYING == 7 && TASK_CANCELLED == 8 && TASK_DEAD == 9 &&
                       TASK_EXPIRED == 10,
               "a migration is needed");
_Static_assert(PRIORITY_CRITICAL == 0 && PRIORITY_HIGH == 1 && PRIORITY_NORMAL == 2 &&
                       PRIORITY_LOW == 3,
               "a migration is needed");

static const char *const migrations[] = {
        "CREATE TABLE task ("
        " sequence INTEGER PRIMARY KEY,"
        " id BLOB NOT NULL,"
        " name TEXT NOT NULL,"
        " priority INTEGER NOT NULL,"
        " created INTEGER NOT NULL," /* microseconds since the epoch, as are the other times */
        " key BLOB,"                 /* NULL: empty, as with the other blobs */
        " arguments BLOB,"
        " options BLOB) STRICT;"
        "CREATE TABLE run (" /* a task without such a row is queued and was never leased */
        " sequence INTEGER PRIMARY KEY,"
        " state INTEGER NOT NULL,"
        " attempt INTEGER NOT NULL,"
        " crashes INTEGER NOT NULL,"
        " worker TEXT,"
        " started INTEGER NOT NULL," /* 0: not yet */
        " completed INTEGER NOT NULL,"
        " result BLOB,"
        " error BLOB) STRICT;"
        "CREATE TABLE type (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;",
        /* The epoch grows when the coordinator was not stopped in order; each row has that of its last change. */
        "ALTER TABLE task ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE run ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE run ADD COLUMN cancel INTEGER NOT NULL DEFAULT 0;" /* its worker was to stop it */
        "CREATE TABLE life (epoch INTEGER NOT NULL, clean INTEGER NOT NULL) STRICT;"
        "INSERT INTO life VALUES (0, 0);",
        "ALTER TABLE run ADD COLUMN due INTEGER NOT NULL DEFAULT 0;" /* 0: it waits for no time */
        "ALTER TABLE run ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;" /* 0: never */
        "ALTER TABLE run ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE run ADD COLUMN history BLOB;" /* of attempts: a JSON document a line */
        "CREATE TABLE schedule (" /* what it is apart from how far it is, which changes often */
        " name TEXT PRIMARY KEY,"
        " document BLOB NOT NULL," /* JSON */
        " is_from_type INTEGER NOT NULL,"
        " paused INTEGER NOT NULL,"
        " bringers TEXT) STRICT, WITHOUT ROWID;" /* ids of subworkers, spaces between */
        "CREATE TABLE progress ("
        " name TEXT PRIMARY KEY,"
        " added INTEGER NOT NULL,"
        " last_due INTEGER NOT NULL," /* 0: none yet */
        " runs INTEGER NOT NULL,"
        " last_task BLOB) STRICT, WITHOUT ROWID;"
        "CREATE TABLE pause (what TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;",
};

#define FORMAT_VERSION ((int64_t) ELEMENTSOF(migrations))

/* Set before the file is looked at, and once it is known to be ours. */
static const char first_settings[] = "PRAGMA locking_mode = EXCLUSIVE;"
                                     "PRAGMA trusted_schema = OFF;"
                                     "PRAGMA cell_size_check = ON;"
                                     "PRAGMA temp_store = MEMORY;"
                                     "PRAGMA cache_size = -8192;" /* KiB */
                                     "PRAGMA secure_delete = FAST;"
                                     "PRAGMA wal_autocheckpoint = 0;"
                                     "PRAGMA journal_size_limit = 67108864;";

int store_sqlite_errno(sqlite3 *db, int rc) {
        switch (rc & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return 0;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return -EUCLEAN;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_PERM:
        case SQLITE_AUTH:
                return -EACCES;
        case SQLITE_TOOBIG:
                return -EMSGSIZE;
        case SQLITE_CONSTRAINT:
                return -EEXIST;
        case SQLITE_CANTOPEN:
                return db && sqlite3_system_errno(db) > 0 ? -sqlite3_system_errno(db) : -ENOENT;
        case SQLITE_IOERR:
                return rc == SQLITE_IOERR_NOMEM ? -ENOMEM : -EIO;
        default:
                return -ENOTRECOVERABLE;
        }
}

/* sqlite3_system_errno() knows nothing of what happens in a commit. */
static int file_errno(sqlite3 *db, int file) {
        sqlite3_file *f = NULL;
        int error = 0;

        if (sqlite3_file_control(db, NULL, file, &f) == SQLITE_OK && f && f->pMethods)
                (void) f->pMethods->xFileControl(f, SQLITE_FCNTL_LAST_ERRNO, &error);
        return error;
}

int store_sqlite_write_errno(sqlite3 *db, int rc, int file, char *ret_why, size_t size) {
        int r = store_sqlite_errno(db, rc), error;

        if (r >= 0)
                return r;
        if ((rc & 0xff) != SQLITE_IOERR) {
                (void) snprintf(ret_why, size, "%s", sqlite3_errmsg(db));
                return r;
        }
        error = file_errno(db, file);
        (void) snprintf(ret_why, size, "%s (code %d, %s)", sqlite3_errmsg(db), rc, strerror(error));
        /* A write beyond a quota leaves things as a full disk does; a failed fsync never. */
        return rc == SQLITE_IOERR_WRITE && error == EDQUOT ? -ENOSPC : r;
}

int store_sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret) {
        return store_sqlite_errno(
                db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL));
}

int store_sqlite_get_number(sqlite3 *db, const char *sql, int64_t *ret) {
        _cleanup_(sqlite3_stmt_freep) sqlite3_stmt *s = NULL;
        int rc;

        rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(s);
        if (rc != SQLITE_ROW)
                return rc == SQLITE_DONE ? -ENODATA : store_sqlite_errno(db, rc);
        *ret = sqlite3_column_int64(s, 0);
        return 0;
}

int store_sqlite_refuse(sqlite3 *db, const char *path, int error, const char *what,
                        char **ret_error) {
        switch (error) {
        case -EUCLEAN:
                return store_refuse(ret_error, error,
                                    "%s is damaged (%s). It was left as it is: put a backup in its "
                                    "place, or move it away to start with nothing.",
                                    path, what ? what : sqlite3_errmsg(db));
        case -EBUSY:
                return store_refuse(
                        ret_error, error,
                        "%s is in use by another process. Only one coordinator may have "
                        "it: stop that one, or give this one another StateDirectory=.",
                        path);
        case -ENOSPC:
                return store_refuse(ret_error, error, "There is no room to open %s: free some.",
                                    path);
        default:
                return store_refuse(ret_error, error, "%s cannot be used: %s.", path,
                                    what ? what : strerror(-error));
        }
}

static int refuse_access(const char *path, int error, char **ret_error) {
        const char *hint = "";

        if (error == -EACCES || error == -EPERM)
                hint = " It must belong to the user that the coordinator runs as.";
        else if (error == -EROFS)
                hint = " Give the coordinator a StateDirectory= that can be written.";
        return store_refuse(ret_error, error, "%s cannot be written: %s.%s", path, strerror(-error),
                            hint);
}

/* SQLite would open what it may only read, create files for all to read, and say little about why not. The
 * file is never opened here if it exists: closing it would drop the locks this process may have on it. */
static int check_access(const char *path, char **ret_error) {
        _cleanup_free_ char *copy = strdup(path);
        const char *directory;
        struct stat st;
        int fd;

        if (!copy)
                return -ENOMEM;
        directory = dirname(copy);
        if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) < 0)
                return refuse_access(directory, -errno, ret_error);

        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0) {
                (void) close(fd);
                return 0;
        }
        if (errno != EEXIST)
                return refuse_access(path, -errno, ret_error);
        if (stat(path, &st) < 0)
                return refuse_access(path, -errno, ret_error);
        if (!S_ISREG(st.st_mode))
                return store_refuse(ret_error, -EMEDIUMTYPE, "%s is no regular file: remove it.",
                                    path);
        if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0)
                return refuse_access(path, -errno, ret_error);
        return 0;
}

/* Returns the version of the format, 0 for a file with nothing in it. */
static int identify(sqlite3 *db, const char *path, int64_t *ret_version, char **ret_error) {
        int64_t id = 0, version = 0, n_objects = 0;
        int r;

        r = store_sqlite_get_number(db, "PRAGMA application_id", &id);
        if (r >= 0)
                r = store_sqlite_get_number(db, "PRAGMA user_version", &version);
        if (r >= 0)
                r = store_sqlite_get_number(db, "SELECT count(*) FROM sqlite_schema", &n_objects);
        if (r < 0)
                return store_sqlite_refuse(db, path, r, NULL, ret_error);
        if (id == 0 && version == 0 && n_objects == 0) {
                *ret_version = 0;
                return 0;
        }
        if (id != APPLICATION_ID)
                return store_refuse(ret_error, -EMEDIUMTYPE,
                                    "%s is a database of some other program. It was left as it is: "
                                    "give the coordinator another StateDirectory=.",
                                    path);
        if (version > FORMAT_VERSION)
                return store_refuse(ret_error, -EPROTONOSUPPORT,
                                    "%s was written by a newer version (format %" PRId64
                                    ", this one knows up to %" PRId64
                                    "). It was left as it is: install the newer version again.",
                                    path, version, FORMAT_VERSION);
        if (version < 1)
                return store_sqlite_refuse(db, path, -EUCLEAN, "its header has no version",
                                           ret_error);
        *ret_version = version;
        return 0;
}

static int migrate(sqlite3 *db, int64_t version) {
        int r = 0;

        for (; r >= 0 && version < FORMAT_VERSION; version++) {
                char end[128];

                (void) snprintf(end, sizeof(end),
                                "PRAGMA application_id = %d; PRAGMA user_version = %" PRId64
                                "; COMMIT",
                                APPLICATION_ID, version + 1);
                r = store_sqlite_errno(db, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
                if (r >= 0)
                        r = store_sqlite_errno(
                                db, sqlite3_exec(db, migrations[version], NULL, NULL, NULL));
                if (r >= 0)
                        r = store_sqlite_errno(db, sqlite3_exec(db, end, NULL, NULL, NULL));
        }
        return r;
}

/* Quick also for a huge file: the tables are there, and so are the ends of each. What lies between is read, and
 * checked, when it is loaded. */
static int check_tables(sqlite3 *db) {
        static const char *const queries[] = {
                "SELECT count(*) FROM (SELECT * FROM task ORDER BY sequence LIMIT 1)",
                "SELECT count(*) FROM (SELECT * FROM task ORDER BY sequence DESC LIMIT 1)",
                "SELECT count(*) FROM (SELECT * FROM run ORDER BY sequence LIMIT 1)",
                "SELECT count(*) FROM (SELECT * FROM run ORDER BY sequence DESC LIMIT 1)",
                "SELECT count(*) FROM (SELECT * FROM type ORDER BY name DESC LIMIT 1)",
                "SELECT count(*) FROM life",
                "SELECT count(*) FROM (SELECT * FROM schedule ORDER BY name DESC LIMIT 1)",
                "SELECT count(*) FROM (SELECT * FROM progress ORDER BY name DESC LIMIT 1)",
                "SELECT count(*) FROM pause",
        };
        int64_t n;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(queries); i++) {
                r = store_sqlite_get_number(db, queries[i], &n);
                if (r < 0)
                        return r == -ENOTRECOVERABLE ? -EUCLEAN : r;
        }
        return 0;
}

static int enable_log(sqlite3 *db) {
        _cleanup_(sqlite3_stmt_freep) sqlite3_stmt *s = NULL;
        int rc;

        rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &s, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(s);
        if (rc != SQLITE_ROW)
                return store_sqlite_errno(db, rc);
        return streq((const char *) sqlite3_column_text(s, 0), "wal") ? 0 : -EIO;
}

static int set_up(sqlite3 *db, const StoreConfig *config, int64_t version) {
        char sql[96];
        int r;

        r = enable_log(db);
        if (r < 0)
                return r;
        (void) snprintf(sql, sizeof(sql), "PRAGMA synchronous = %s",
                        config->durability == STORE_FULL ? "FULL" : "NORMAL");
        r = store_sqlite_errno(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
        if (r < 0)
                return r;
        /* No max_page_count: it would stop the ends, too, of what was taken in. See store-space.c. */
        r = migrate(db, version);
        return r < 0 ? r : check_tables(db);
}

int store_schema_open(const StoreConfig *config, sqlite3 **ret, char **ret_error) {
        _cleanup_(sqlite3_closep) sqlite3 *db = NULL;
        int64_t version = 0;
        int r;

        r = check_access(config->path, ret_error);
        if (r < 0)
                return r;
        r = sqlite3_open_v2(config->path, &db,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                            store_fault_vfs());
        r = store_sqlite_errno(db, r);
        if (r < 0)
                return store_sqlite_refuse(db, config->path, r, NULL, ret_error);
        (void) sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        r = store_sqlite_errno(db, sqlite3_exec(db, first_settings, NULL, NULL, NULL));
        if (r < 0)
                return store_sqlite_refuse(db, config->path, r, NULL, ret_error);
        r = identify(db, config->path, &version, ret_error);
        if (r < 0)
                return r;
        r = set_up(db, config, version);
        if (r < 0)
                return store_sqlite_refuse(db, config->path, r, NULL, ret_error);
        *ret = TAKE_PTR(db);
        return 0;
}
