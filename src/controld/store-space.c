/* SPDX-License-Identifier: MIT */

/* Two things may run out: the room within bytes_max, which is counted, and that on the disk, which shows when a
 * write fails. For the latter a file is kept that holds room. It is given up when there is no other, so that
 * what was taken in can still be brought to its end, and made anew when there is. */

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>

#include "store-sqlite.h"
#include "time-util.h"

#define LOOK_EVERY_USEC USEC_PER_SEC

struct StoreSpace {
        sqlite3_stmt *page_count, *free_count; /* NULL without a limit */
        uint64_t page_bytes, submits_max;
        uint64_t room; /* within the limit */
        bool disk_is_full;
        uint64_t look_usec;
        char *reserve_path;
        uint64_t reserve_bytes;
        bool reserve_is_held;
        atomic_bool is_full;
};

static void tell(StoreSpace *s) {
        atomic_store(&s->is_full, s->disk_is_full || s->room == 0);
}

uint64_t store_space_room(const StoreSpace *s) {
        return s->disk_is_full ? 0 : s->room;
}

bool store_space_disk_is_full(const StoreSpace *s) {
        return s->disk_is_full;
}

uint64_t store_space_look_usec(const StoreSpace *s) {
        return s->disk_is_full ? s->look_usec : USEC_INFINITY;
}

bool store_space_is_full(const StoreSpace *s) {
        return atomic_load(&s->is_full);
}

static int read_number(sqlite3_stmt *s, uint64_t *ret) {
        int rc = sqlite3_step(s);

        if (rc == SQLITE_ROW)
                *ret = (uint64_t) sqlite3_column_int64(s, 0);
        (void) sqlite3_reset(s);
        return rc == SQLITE_ROW ? 0 : store_sqlite_errno(sqlite3_db_handle(s), rc);
}

int store_space_measure(StoreSpace *s) {
        uint64_t pages = 0, unused = 0, used;
        int r;

        if (!s->page_count)
                return 0;
        r = read_number(s->page_count, &pages);
        if (r >= 0)
                r = read_number(s->free_count, &unused);
        if (r < 0)
                return r;
        used = (pages - unused) * s->page_bytes;
        s->room = used < s->submits_max ? s->submits_max - used : 0;
        tell(s);
        return 0;
}

/* A file system that cannot set room aside, or a directory that does not let us, is no reason to stop: then
 * there is no reserve. Returns false only if there is no room. */
static bool take_reserve(StoreSpace *s) {
        _cleanup_close_ int fd = -EBADF;

        if (s->reserve_bytes == 0 || s->reserve_is_held)
                return true;
        fd = open(s->reserve_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return errno != ENOSPC && errno != EDQUOT;
        if (fallocate(fd, 0, 0, (off_t) s->reserve_bytes) < 0) {
                if (errno != ENOSPC && errno != EDQUOT)
                        return true;
                (void) unlink(s->reserve_path);
                return false;
        }
        if (ftruncate(fd, (off_t) s->reserve_bytes) >= 0) /* it may have been larger */
                s->reserve_is_held = true;
        return true;
}

void store_space_disk_filled_up(StoreSpace *s) {
        if (s->reserve_bytes > 0)
                (void) unlink(s->reserve_path);
        s->reserve_is_held = false;
        s->disk_is_full = true;
        s->look_usec = now_usec(CLOCK_MONOTONIC) + LOOK_EVERY_USEC;
        tell(s);
}

/* Without a reserve the next submit finds out. */
void store_space_look(StoreSpace *s) {
        if (now_usec(CLOCK_MONOTONIC) < store_space_look_usec(s))
                return;
        s->disk_is_full = !take_reserve(s);
        s->look_usec = now_usec(CLOCK_MONOTONIC) + LOOK_EVERY_USEC;
        tell(s);
}

StoreSpace *store_space_free(StoreSpace *s) {
        if (!s)
                return NULL;
        (void) sqlite3_finalize(s->page_count);
        (void) sqlite3_finalize(s->free_count);
        free(s->reserve_path);
        free(s);
        return NULL;
}

static int set_limit(StoreSpace *s, const StoreConfig *config, sqlite3 *db) {
        int64_t page_bytes;
        int r;

        s->room = UINT64_MAX;
        if (config->bytes_max == UINT64_MAX)
                return 0;
        r = store_sqlite_get_number(db, "PRAGMA page_size", &page_bytes);
        if (r >= 0)
                r = store_sqlite_prepare(db, "PRAGMA page_count", &s->page_count);
        if (r >= 0)
                r = store_sqlite_prepare(db, "PRAGMA freelist_count", &s->free_count);
        if (r < 0)
                return r;
        s->page_bytes = (uint64_t) page_bytes;
        s->submits_max = config->bytes_max - MIN(config->bytes_max, config->reserve_bytes);
        return store_space_measure(s);
}

int store_space_new(const StoreConfig *config, sqlite3 *db, StoreSpace **ret) {
        StoreSpace *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->reserve_bytes = MIN(config->reserve_bytes, (uint64_t) INT64_MAX);
        if (asprintf(&s->reserve_path, "%s-reserve", config->path) < 0) {
                s->reserve_path = NULL;
                r = -ENOMEM;
        } else
                r = set_limit(s, config, db);
        if (r < 0) {
                store_space_free(s);
                return r;
        }
        if (!take_reserve(s))
                store_space_disk_filled_up(s);
        *ret = s;
        return 0;
}
