/* SPDX-License-Identifier: MIT */

/* Two things may run out: the room within bytes_max, which is counted, and that on the disk, which shows when a
 * write fails. Only submits are held to the limit: the end of what was taken in is written wherever there is room
 * for it. On the disk a file is kept that holds room. It is given up when there is no other, so that what was taken
 * in can still be brought to its end, and made anew when there is.
 *
 * A database never becomes smaller: what is forgotten leaves unused pages in it. So they count as room within the
 * limit, and on a full disk submits may use them, too, but for as much as the reserve is kept for all else. */

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>

#include "store-sqlite.h"
#include "time-util.h"

#define LOOK_EVERY_USEC USEC_PER_SEC
/* For so long room is sought for a submit that was too large. */
#define WANTED_USEC (10 * USEC_PER_SEC)

struct StoreSpace {
        sqlite3_stmt *page_count, *free_count;
        uint64_t page_bytes, used, unused;
        uint64_t submits_max; /* of `used`; UINT64_MAX: no limit */
        uint64_t wanted, wanted_until_usec;
        bool disk_is_full;
        bool is_paused; /* the disk is full, and not even what is unused is given to submits */
        uint64_t look_usec;
        char *reserve_path;
        uint64_t reserve_bytes;
        bool reserve_is_held;
        /* For other threads. */
        atomic_bool is_full, is_short;
        _Atomic uint64_t lacking;
};

uint64_t store_space_room(const StoreSpace *s) {
        uint64_t room = UINT64_MAX;

        if (s->submits_max < UINT64_MAX)
                room = s->submits_max - MIN(s->submits_max, s->used);
        if (s->is_paused)
                room = 0;
        else if (s->disk_is_full)
                room = MIN(room, s->unused - MIN(s->unused, s->reserve_bytes));
        return room;
}

/* What must leave for submits to have as much room as is wanted, or as the reserve has. */
static uint64_t lacking(const StoreSpace *s) {
        uint64_t target = MAX(MAX(s->wanted, s->reserve_bytes), UINT64_C(1)), n = 0;

        if (s->submits_max < UINT64_MAX && s->used + target > s->submits_max)
                n = s->used + target - s->submits_max;
        if (s->disk_is_full && s->reserve_bytes + target > s->unused)
                n = MAX(n, s->reserve_bytes + target - s->unused);
        return n;
}

static void tell(StoreSpace *s) {
        uint64_t room = store_space_room(s);

        atomic_store(&s->is_full, room == 0);
        atomic_store(&s->is_short, room == 0 || s->wanted > room);
        atomic_store(&s->lacking, lacking(s));
}

bool store_space_takes_nothing(const StoreSpace *s) {
        return s->disk_is_full && store_space_room(s) == 0;
}

bool store_space_disk_is_full(const StoreSpace *s) {
        return s->disk_is_full;
}

int store_space_log_pages_max(const StoreSpace *s) {
        if (s->disk_is_full)
                return 1;
        return s->reserve_is_held
                       ? (int) MIN(s->reserve_bytes / 2 / s->page_bytes + 1, (uint64_t) INT_MAX)
                       : INT_MAX;
}

uint64_t store_space_look_usec(const StoreSpace *s) {
        return s->disk_is_full ? s->look_usec : USEC_INFINITY;
}

bool store_space_is_full(const StoreSpace *s) {
        return atomic_load(&s->is_full);
}

bool store_space_is_short(const StoreSpace *s) {
        return atomic_load(&s->is_short);
}

uint64_t store_space_lacking(const StoreSpace *s) {
        return atomic_load(&s->lacking);
}

void store_space_want(StoreSpace *s, uint64_t bytes) {
        s->wanted = MAX(s->wanted, bytes);
        s->wanted_until_usec = now_usec(CLOCK_MONOTONIC) + WANTED_USEC;
        tell(s);
}

static int read_number(sqlite3_stmt *s, uint64_t *ret) {
        int rc = sqlite3_step(s);

        if (rc == SQLITE_ROW)
                *ret = (uint64_t) sqlite3_column_int64(s, 0);
        (void) sqlite3_reset(s);
        return rc == SQLITE_ROW ? 0 : store_sqlite_errno(sqlite3_db_handle(s), rc);
}

int store_space_measure(StoreSpace *s) {
        uint64_t pages = 0, unused = 0;
        int r;

        r = read_number(s->page_count, &pages);
        if (r >= 0)
                r = read_number(s->free_count, &unused);
        if (r < 0)
                return r;
        s->used = (pages - unused) * s->page_bytes;
        s->unused = unused * s->page_bytes;
        if (s->wanted <= store_space_room(s) || now_usec(CLOCK_MONOTONIC) >= s->wanted_until_usec)
                s->wanted = 0;
        tell(s);
        return 0;
}

/* A file system that cannot set room aside, or a directory that does not let us, is no reason to stop: then
 * there is no reserve. Returns false only if there is no room for so many bytes, of which those beyond the reserve
 * are given back. */
static bool take_reserve(StoreSpace *s, uint64_t bytes) {
        _cleanup_close_ int fd = -EBADF;

        if (s->reserve_bytes == 0 || s->reserve_is_held)
                return true;
        fd = open(s->reserve_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return errno != ENOSPC && errno != EDQUOT;
        if (fallocate(fd, 0, 0, (off_t) bytes) < 0) {
                if (errno != ENOSPC && errno != EDQUOT)
                        return true;
                (void) unlink(s->reserve_path);
                return false;
        }
        if (ftruncate(fd, (off_t) s->reserve_bytes) >= 0)
                s->reserve_is_held = true;
        return true;
}

void store_space_disk_filled_up(StoreSpace *s) {
        if (s->reserve_bytes > 0)
                (void) unlink(s->reserve_path);
        s->reserve_is_held = false;
        s->disk_is_full = s->is_paused = true;
        s->look_usec = now_usec(CLOCK_MONOTONIC) + LOOK_EVERY_USEC;
        tell(s);
}

/* There is room again if there is more than what was given up, lest submits eat that. Without a reserve the next
 * submit finds out, as it does when there are unused pages but no room for the log. */
bool store_space_look(StoreSpace *s) {
        bool was_short = store_space_is_short(s);

        if (now_usec(CLOCK_MONOTONIC) < store_space_look_usec(s))
                return false;
        s->disk_is_full = !take_reserve(s, 2 * s->reserve_bytes);
        s->is_paused = false;
        s->look_usec = now_usec(CLOCK_MONOTONIC) + LOOK_EVERY_USEC;
        tell(s);
        return was_short && !store_space_is_short(s);
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

static int prepare(StoreSpace *s, const StoreConfig *config, sqlite3 *db) {
        int64_t page_bytes;
        int r;

        r = store_sqlite_get_number(db, "PRAGMA page_size", &page_bytes);
        if (r >= 0)
                r = store_sqlite_prepare(db, "PRAGMA page_count", &s->page_count);
        if (r >= 0)
                r = store_sqlite_prepare(db, "PRAGMA freelist_count", &s->free_count);
        if (r < 0)
                return r;
        s->page_bytes = (uint64_t) page_bytes;
        s->submits_max =
                config->bytes_max == UINT64_MAX
                        ? UINT64_MAX
                        : config->bytes_max - MIN(config->bytes_max, config->reserve_bytes);
        return store_space_measure(s);
}

int store_space_new(const StoreConfig *config, sqlite3 *db, StoreSpace **ret) {
        StoreSpace *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->reserve_bytes = MIN(config->reserve_bytes, (uint64_t) INT64_MAX / 2);
        if (asprintf(&s->reserve_path, "%s-reserve", config->path) < 0) {
                s->reserve_path = NULL;
                r = -ENOMEM;
        } else
                r = prepare(s, config, db);
        if (r < 0) {
                store_space_free(s);
                return r;
        }
        if (!take_reserve(s, s->reserve_bytes))
                store_space_disk_filled_up(s);
        *ret = s;
        return 0;
}
