/* SPDX-License-Identifier: MIT */

/* A layer between SQLite and its own access to files, for store-fault.h: passes everything on, except what is
 * to fail. */

#include <sqlite3.h>

#include "store-fault.h"

#define VFS_NAME "fastworker-fault"

typedef struct FaultFile {
        sqlite3_file base;
        bool is_log;
        int error;                           /* the last one that was injected */
        _Alignas(sqlite3_int64) char real[]; /* SQLite aligns its files no further */
} FaultFile;

static sqlite3_vfs *real_vfs;
static _Thread_local int injected_errno;

static sqlite3_file *real(sqlite3_file *f) {
        return (sqlite3_file *) ((FaultFile *) f)->real;
}

/* What SQLite's own layer returns for this failure. */
static int fail(sqlite3_file *f, StoreFaultAction action, int code) {
        static const int errors[_STORE_FAULT_ACTION_MAX] = {
                [STORE_FAULT_EIO] = EIO,
                [STORE_FAULT_ENOSPC] = ENOSPC,
                [STORE_FAULT_EDQUOT] = EDQUOT,
                [STORE_FAULT_SHORT] = ENOSPC,
        };

        injected_errno = ((FaultFile *) f)->error = errors[action];
        /* Only for writes it knows what a full disk is. */
        return code == SQLITE_IOERR_WRITE && injected_errno == ENOSPC ? SQLITE_FULL : code;
}

static int fault_close(sqlite3_file *f) {
        return real(f)->pMethods->xClose(real(f));
}

static int fault_read(sqlite3_file *f, void *data, int size, sqlite3_int64 offset) {
        return real(f)->pMethods->xRead(real(f), data, size, offset);
}

static int fault_write(sqlite3_file *f, const void *data, int size, sqlite3_int64 offset) {
        StoreFaultAction action = store_fault_call(STORE_FAULT_WRITE);

        if (action == STORE_FAULT_SHORT || action == STORE_FAULT_KILL)
                (void) real(f)->pMethods->xWrite(real(f), data, size / 2, offset);
        if (action == STORE_FAULT_KILL)
                store_fault_die();
        if ((int) action >= 0)
                return fail(f, action, SQLITE_IOERR_WRITE);
        if (((FaultFile *) f)->is_log)
                store_fault_note_log(false);
        return real(f)->pMethods->xWrite(real(f), data, size, offset);
}

static int fault_truncate(sqlite3_file *f, sqlite3_int64 size) {
        StoreFaultAction action = store_fault_call(STORE_FAULT_TRUNCATE);

        if (action == STORE_FAULT_KILL)
                store_fault_die();
        if ((int) action >= 0)
                return fail(f, action, SQLITE_IOERR_TRUNCATE);
        return real(f)->pMethods->xTruncate(real(f), size);
}

static int fault_sync(sqlite3_file *f, int flags) {
        StoreFaultAction action = store_fault_call(STORE_FAULT_SYNC);
        int rc;

        if (action == STORE_FAULT_KILL)
                store_fault_die();
        if ((int) action >= 0)
                return fail(f, action, SQLITE_IOERR_FSYNC);
        rc = real(f)->pMethods->xSync(real(f), flags);
        if (rc == SQLITE_OK && ((FaultFile *) f)->is_log)
                store_fault_note_log(true);
        return rc;
}

static int fault_file_size(sqlite3_file *f, sqlite3_int64 *ret) {
        return real(f)->pMethods->xFileSize(real(f), ret);
}

static int fault_lock(sqlite3_file *f, int level) {
        return real(f)->pMethods->xLock(real(f), level);
}

static int fault_unlock(sqlite3_file *f, int level) {
        return real(f)->pMethods->xUnlock(real(f), level);
}

static int fault_check_reserved_lock(sqlite3_file *f, int *ret) {
        return real(f)->pMethods->xCheckReservedLock(real(f), ret);
}

static int fault_file_control(sqlite3_file *f, int op, void *arg) {
        if (op == SQLITE_FCNTL_LAST_ERRNO && ((FaultFile *) f)->error > 0) {
                *(int *) arg = ((FaultFile *) f)->error;
                return SQLITE_OK;
        }
        return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int fault_sector_size(sqlite3_file *f) {
        return real(f)->pMethods->xSectorSize(real(f));
}

static int fault_device_characteristics(sqlite3_file *f) {
        return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

/* Version 1: no shared memory, which the store does not use either. */
static const sqlite3_io_methods fault_methods = {
        .iVersion = 1,
        .xClose = fault_close,
        .xRead = fault_read,
        .xWrite = fault_write,
        .xTruncate = fault_truncate,
        .xSync = fault_sync,
        .xFileSize = fault_file_size,
        .xLock = fault_lock,
        .xUnlock = fault_unlock,
        .xCheckReservedLock = fault_check_reserved_lock,
        .xFileControl = fault_file_control,
        .xSectorSize = fault_sector_size,
        .xDeviceCharacteristics = fault_device_characteristics,
};

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags,
                      int *ret_flags) {
        StoreFaultAction action = store_fault_call(STORE_FAULT_OPEN);
        int rc;

        f->pMethods = NULL;
        if (action == STORE_FAULT_KILL)
                store_fault_die();
        if ((int) action >= 0)
                return fail(f, action, SQLITE_CANTOPEN);
        injected_errno = 0;
        rc = real_vfs->xOpen(real_vfs, name, real(f), flags, ret_flags);
        if (rc == SQLITE_OK) {
                f->pMethods = &fault_methods;
                ((FaultFile *) f)->is_log = flags & SQLITE_OPEN_WAL;
                ((FaultFile *) f)->error = 0;
        }
        return rc;
}

static int fault_get_last_error(sqlite3_vfs *vfs, int size, char *text) {
        return injected_errno > 0 ? injected_errno : real_vfs->xGetLastError(real_vfs, size, text);
}

const char *store_fault_vfs(void) {
        static sqlite3_vfs vfs;

        if (!store_fault_enabled)
                return NULL;
        if (!real_vfs) {
                real_vfs = sqlite3_vfs_find(NULL);
                vfs = *real_vfs;
                vfs.zName = VFS_NAME;
                vfs.szOsFile += (int) sizeof(FaultFile);
                vfs.xOpen = fault_open;
                vfs.xGetLastError = fault_get_last_error;
                vfs.pNext = NULL;
                (void) sqlite3_vfs_register(&vfs, 0);
        }
        return VFS_NAME;
}
