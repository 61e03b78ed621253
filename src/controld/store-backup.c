/* SPDX-License-Identifier: MIT */

/* A copy of the database, made by the writer between its transactions, a part at a time; SQLite itself writes
 * again into the copy what changes meanwhile. It grows under a temporary name beside its own, and gets its own
 * once it is complete and on disk. Waiting for that may take long, hence a thread that does only this. */

#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>

#include "store-fault.h"
#include "store-sqlite.h"

#define STEP_PAGES 256

struct StoreBackup {
        char *path, *temporary, *directory;
        int fd; /* of the temporary file */
        sqlite3 *db;
        sqlite3_backup *copy;
        pthread_t thread;
        bool has_thread;
        int error;
        char reason[512];
        void (*finished)(void *userdata);
        void *userdata;
};

static void fail(StoreBackup *b, int error, const char *what) {
        b->error = error;
        (void) snprintf(b->reason, sizeof(b->reason), "Cannot write the backup %s: %s.", b->path,
                        what ? what : strerror(-error));
}

static void close_copy(StoreBackup *b) {
        (void) sqlite3_backup_finish(TAKE_PTR(b->copy));
        (void) sqlite3_close(TAKE_PTR(b->db));
}

static int give_name(StoreBackup *b) {
        if (renameat2(AT_FDCWD, b->temporary, AT_FDCWD, b->path, RENAME_NOREPLACE) >= 0)
                return 0;
        if (errno != EINVAL && errno != ENOSYS)
                return -errno;
        /* Some file systems do not know that flag. */
        if (link(b->temporary, b->path) < 0)
                return -errno;
        (void) unlink(b->temporary);
        return 0;
}

static int sync_directory(const StoreBackup *b) {
        _cleanup_close_ int fd = open(b->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

static void *finish(void *userdata) {
        StoreBackup *b = userdata;
        int r;

        if (b->error == 0) {
                r = fsync(b->fd) < 0 ? -errno : 0;
                if (r >= 0)
                        r = give_name(b);
                if (r >= 0) {
                        free(TAKE_PTR(b->temporary));
                        r = sync_directory(b);
                }
                if (r < 0)
                        fail(b, r, NULL);
        }
        b->finished(b->userdata);
        return NULL;
}

static int begin(StoreBackup *b, sqlite3 *source) {
        int rc;

        rc = sqlite3_open_v2(b->temporary, &b->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             store_fault_vfs());
        if (rc == SQLITE_OK)
                rc = sqlite3_exec(b->db,
                                  "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF;"
                                  "PRAGMA synchronous = OFF",
                                  NULL, NULL, NULL);
        if (rc == SQLITE_OK) {
                b->copy = sqlite3_backup_init(b->db, "main", source, "main");
                if (!b->copy)
                        rc = sqlite3_extended_errcode(b->db);
        }
        return rc;
}

StoreBackupState store_backup_step(StoreBackup *b, sqlite3 *source) {
        int rc;

        store_fault_step(STORE_FAULT_BACKUP);
        rc = b->copy ? SQLITE_OK : begin(b, source);
        if (rc == SQLITE_OK)
                rc = sqlite3_backup_step(b->copy, STEP_PAGES);
        if (rc == SQLITE_OK) {
                /* Lets the disk begin, so that there is little left to wait for in the end. */
                (void) sync_file_range(b->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
                return STORE_BACKUP_COPYING;
        }
        if (rc != SQLITE_DONE)
                fail(b, store_sqlite_errno(b->db, rc), sqlite3_errstr(rc));
        close_copy(b);
        if (rc == SQLITE_DONE && pthread_create(&b->thread, NULL, finish, b) == 0)
                b->has_thread = true;
        else
                (void) finish(b);
        return STORE_BACKUP_FINISHING;
}

int store_backup_result(const StoreBackup *b, const char **ret_reason) {
        *ret_reason = b->error < 0 ? b->reason : NULL;
        return b->error;
}

StoreBackup *store_backup_free(StoreBackup *b) {
        if (!b)
                return NULL;
        if (b->has_thread)
                (void) pthread_join(b->thread, NULL);
        close_copy(b);
        if (b->temporary)
                (void) unlink(b->temporary);
        safe_close(b->fd);
        free(b->temporary);
        free(b->directory);
        free(b->path);
        free(b);
        return NULL;
}

int store_backup_new(const char *path, void (*finished)(void *userdata), void *userdata,
                     StoreBackup **ret) {
        _cleanup_(store_backup_freep) StoreBackup *b = NULL;
        _cleanup_free_ char *copy = strdup(path), *temporary = NULL;

        if (!copy)
                return -ENOMEM;
        b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        *b = (StoreBackup){ .fd = -EBADF, .finished = finished, .userdata = userdata };
        b->path = strdup(path);
        b->directory = strdup(dirname(copy));
        if (!b->path || !b->directory)
                return -ENOMEM;
        if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) >= 0)
                return -EEXIST;
        b->fd = mkostemp(temporary, O_CLOEXEC);
        if (b->fd < 0)
                return -errno;
        b->temporary = TAKE_PTR(temporary);
        *ret = TAKE_PTR(b);
        return 0;
}
