/* SPDX-License-Identifier: MIT */

/* The thread that writes. It takes all batches that wait as one group and makes them safe in one transaction, so
 * that the slower the disk, the more share an fsync. Between groups, and only there, it moves the log into
 * the database (a checkpoint), copies a part of a backup, and looks whether a full disk has room again.
 *
 * A full disk: the group is rolled back and tried again without its submits, then once a second. As long as it
 * lasts, and the file has no unused pages, submits are refused as soon as they come. */

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "store-fault.h"
#include "store-sqlite.h"
#include "time-util.h"

#define RETRY_USEC      USEC_PER_SEC
#define GROUP_BYTES_MAX (16U * 1024U * 1024U) /* of memory: what one transaction may grow to */
#define LAZY_BYTES_MAX  (1024U * 1024U)
/* Pages in the log (4 KiB each) from which on it is moved when nothing else is to be done, or anyway. The
 * second bounds the time for which a commit may be held up, the file, and the time that opening takes. */
#define CHECKPOINT_IDLE   1000
#define CHECKPOINT_ALWAYS 4000

struct StoreWriter {
        /* The thread's own while it runs. */
        sqlite3 *db;
        StoreApply *apply;
        StoreSpace *space;
        StoreMerge merge;
        char *path;
        int log_pages;
        uint64_t checkpoint_usec; /* not before */

        pthread_t thread;
        bool has_thread;
        int event_fd;

        pthread_mutex_t lock;
        pthread_cond_t wake, progress; /* for the thread; from it */
        /* All below: with the lock. */
        StoreBatch *next, *newest; /* what waits */
        StoreBatch *undecided;     /* the first of these whose submits may yet be refused */
        size_t waiting_bytes;
        uint64_t urgent;            /* the last ticket that is */
        uint64_t lazy_usec;         /* when what waits must be written, urgent or not */
        uint64_t sleeps_until_usec; /* 0: it does not sleep */
        bool stopping;
        unsigned n_syncing;
        uint64_t n_tries;
        bool is_stuck; /* there is no room even without the submits */
        uint64_t retry_usec;
        bool has_news;
        StoreBackup *backup;
        bool backup_is_copying, backup_is_finished;
        char reason[1024];
        StoreNews news;
        StoreStats stats;
};

/* --- both sides, with the lock ------------------------------------------------------------------- */

static void post_news(StoreWriter *w) {
        w->news.was_short = w->news.was_short || store_space_is_short(w->space);
        if (!w->has_news) {
                w->has_news = true;
                (void) eventfd_write(w->event_fd, 1);
        }
        if (w->n_syncing > 0)
                (void) pthread_cond_broadcast(&w->progress);
}

/* When the thread has something to do: 0 for now. */
static uint64_t next_usec(const StoreWriter *w) {
        uint64_t at;

        if (w->stopping || w->backup_is_copying)
                return 0;
        if (w->undecided && store_space_takes_nothing(w->space))
                return 0;
        at = store_space_look_usec(w->space);
        if (!w->next)
                return at;
        if (w->is_stuck && w->n_syncing == 0)
                return w->retry_usec;
        if (w->n_syncing > 0 || w->urgent > w->news.written || w->waiting_bytes > LAZY_BYTES_MAX)
                return 0;
        return MIN(at, w->lazy_usec);
}

/* While it sleeps what is its own may be looked at. */
static void wake(StoreWriter *w) {
        if (w->sleeps_until_usec > 0 && next_usec(w) < w->sleeps_until_usec)
                (void) pthread_cond_signal(&w->wake);
}

/* --- the thread ---------------------------------------------------------------------------------- */

static void sleep_until_due(StoreWriter *w) {
        uint64_t at;

        while ((at = next_usec(w)) > now_usec(CLOCK_MONOTONIC)) {
                struct timespec ts = { .tv_sec = (time_t) (at / USEC_PER_SEC),
                                       .tv_nsec = (long) (at % USEC_PER_SEC * NSEC_PER_USEC) };

                w->sleeps_until_usec = at;
                if (at == USEC_INFINITY)
                        (void) pthread_cond_wait(&w->wake, &w->lock);
                else
                        (void) pthread_cond_timedwait(&w->wake, &w->lock, &ts);
                w->sleeps_until_usec = 0;
        }
}

/* Refuses the submits of everything that waits. */
static void refuse_all(StoreWriter *w) {
        StoreBatch *b = w->undecided;

        for (; b; b = b->next)
                if (b->n_submits > 0)
                        b->is_refused = true;
        w->undecided = NULL;
        if (w->newest)
                w->news.decided = w->newest->ticket;
        post_news(w);
}

static void disk_full(StoreWriter *w) {
        store_space_disk_filled_up(w->space);
        store_apply_expect_unknown(w->apply);
        pthread_mutex_lock(&w->lock);
        refuse_all(w);
        pthread_mutex_unlock(&w->lock);
}

/* Returns `error`. */
static int failed(StoreWriter *w, int error, const char *what, const char *why) {
        pthread_mutex_lock(&w->lock);
        w->news.error = error;
        (void) snprintf(w->reason, sizeof(w->reason), "Cannot %s %s: %s.", what, w->path,
                        why ? why : strerror(-error));
        w->news.reason = w->reason;
        post_news(w);
        pthread_mutex_unlock(&w->lock);
        /* Closing must not try to go on. */
        (void) sqlite3_db_config(w->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        return error;
}

/* Which submits of the group are within the limit. */
static void decide(StoreWriter *w, StoreBatch *first, StoreBatch *last) {
        uint64_t room = store_space_room(w->space);

        if (room == UINT64_MAX)
                return;
        for (StoreBatch *b = first;; b = b->next) {
                if (b->n_submits > 0 && !b->is_refused) {
                        if (b->submit_bytes > room) {
                                b->is_refused = true;
                                store_apply_expect_unknown(w->apply);
                                store_space_want(w->space, b->submit_bytes);
                        } else
                                room -= b->submit_bytes;
                }
                if (b == last)
                        break;
        }
}

static int try_group(StoreWriter *w, StoreBatch *first, StoreBatch *last) {
        int r;

        r = store_merge(&w->merge, first, last);
        if (r < 0)
                return r;
        return store_apply_write(w->apply, &w->merge);
}

static void count_group(StoreWriter *w, const StoreBatch *first, const StoreBatch *last,
                        uint64_t usec) {
        StoreStats *s = &w->stats;

        for (const StoreBatch *b = first;; b = b->next) {
                s->n_batches++;
                s->n_changes += b->n_changes;
                if (b == last)
                        break;
        }
        s->n_groups++;
        s->group_usec_total += usec;
        s->group_usec_max = MAX(s->group_usec_max, usec);
}

static void group_is_safe(StoreWriter *w, const StoreBatch *first, const StoreBatch *last,
                          uint64_t usec) {
        store_fault_step(STORE_FAULT_REPORT);
        pthread_mutex_lock(&w->lock);
        count_group(w, first, last, usec);
        for (const StoreBatch *b = first;; b = b->next) {
                w->waiting_bytes -= b->bytes;
                if (b == last)
                        break;
        }
        w->next = last->next;
        if (!w->next)
                w->newest = NULL;
        w->lazy_usec = now_usec(CLOCK_MONOTONIC) + STORE_LAZY_USEC;
        if (w->undecided && w->undecided->ticket <= last->ticket)
                w->undecided = last->next;
        w->is_stuck = false;
        w->news.written = last->ticket;
        w->news.decided = MAX(w->news.decided, last->ticket);
        post_news(w);
        pthread_mutex_unlock(&w->lock);
}

static int write_group(StoreWriter *w, StoreBatch *first, StoreBatch *last) {
        uint64_t begin = now_usec(CLOCK_MONOTONIC);
        bool has_submits = !store_space_takes_nothing(w->space);
        int r;

        decide(w, first, last);
        r = try_group(w, first, last);
        if (r == -ENOSPC) {
                disk_full(w);
                if (has_submits)
                        r = try_group(w, first, last);
        }
        pthread_mutex_lock(&w->lock);
        w->n_tries++;
        w->is_stuck = r == -ENOSPC;
        w->retry_usec = now_usec(CLOCK_MONOTONIC) + RETRY_USEC;
        if (w->n_syncing > 0)
                (void) pthread_cond_broadcast(&w->progress);
        pthread_mutex_unlock(&w->lock);
        if (r == -ENOSPC)
                return 0;
        if (r < 0)
                return failed(w, r, "write to", r == -ENOMEM ? NULL : store_apply_error(w->apply));
        r = store_space_measure(w->space);
        if (r < 0)
                return failed(w, r, "read", NULL);
        group_is_safe(w, first, last, now_usec(CLOCK_MONOTONIC) - begin);
        return 0;
}

/* What is to be written now, with the lock; NULL: nothing yet. Where there is no room every other try takes all
 * that waits: what it forgets may make the room. */
static StoreBatch *take_group(const StoreWriter *w, StoreBatch **ret_last) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        StoreBatch *last = w->next;
        bool hurry = w->stopping || w->n_syncing > 0, take_all = w->is_stuck && w->n_tries % 2 == 0;
        size_t bytes;

        if (!last)
                return NULL;
        if (w->is_stuck && !hurry && now < w->retry_usec)
                return NULL;
        if (!w->is_stuck && !hurry && w->urgent <= w->news.written && now < w->lazy_usec &&
            w->waiting_bytes <= LAZY_BYTES_MAX)
                return NULL;
        for (bytes = last->bytes; last->next; last = last->next) {
                bytes += last->next->bytes;
                if (bytes > GROUP_BYTES_MAX && !take_all)
                        break;
        }
        *ret_last = last;
        return w->next;
}

static int move_log(StoreWriter *w, bool idle) {
        int r, at = idle ? CHECKPOINT_IDLE : CHECKPOINT_ALWAYS;
        char why[256];

        /* On a full disk moving it must be possible in what the reserve gives, and as soon as all was moved the
         * log begins anew in the file that it has. */
        at = MIN(at, store_space_log_pages_max(w->space));
        if (w->log_pages < at || now_usec(CLOCK_MONOTONIC) < w->checkpoint_usec)
                return 0;
        store_fault_step(STORE_FAULT_CHECKPOINT);
        r = sqlite3_wal_checkpoint_v2(w->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        r = store_sqlite_write_errno(w->db, r, SQLITE_FCNTL_FILE_POINTER, why, sizeof(why));
        if (r == -ENOSPC) {
                /* All stays in the log meanwhile, and is safe there. */
                w->checkpoint_usec = now_usec(CLOCK_MONOTONIC) + RETRY_USEC;
                disk_full(w);
                return 0;
        }
        if (r < 0)
                return failed(w, r, "write to", why);
        w->log_pages = 0;
        return 0;
}

static int work(StoreWriter *w) {
        StoreBatch *first, *last = NULL;
        bool copying, idle, has_room;
        int r;

        pthread_mutex_lock(&w->lock);
        sleep_until_due(w);
        if (w->undecided && store_space_takes_nothing(w->space))
                refuse_all(w);
        first = take_group(w, &last);
        pthread_mutex_unlock(&w->lock);

        if (first) {
                r = write_group(w, first, last);
                if (r < 0)
                        return r;
        }
        has_room = !w->is_stuck && store_space_look(w->space);

        pthread_mutex_lock(&w->lock);
        if (has_room)
                post_news(w);
        idle = !w->next || w->urgent <= w->news.written;
        copying = w->backup_is_copying;
        pthread_mutex_unlock(&w->lock);
        r = move_log(w, idle);
        if (r < 0)
                return r;
        if (copying && store_backup_step(w->backup, w->db) == STORE_BACKUP_FINISHING) {
                pthread_mutex_lock(&w->lock);
                w->backup_is_copying = false;
                pthread_mutex_unlock(&w->lock);
        }
        return 0;
}

static void *writer_main(void *userdata) {
        StoreWriter *w = userdata;
        bool done = false;

        while (!done) {
                if (work(w) < 0)
                        break;
                pthread_mutex_lock(&w->lock);
                done = w->stopping && (!w->next || w->is_stuck);
                pthread_mutex_unlock(&w->lock);
        }
        return NULL;
}

static int on_commit(void *userdata, sqlite3 *db, const char *name, int n_pages) {
        ((StoreWriter *) userdata)->log_pages = n_pages;
        return SQLITE_OK;
}

/* --- the loop ------------------------------------------------------------------------------------ */

void store_writer_put(StoreWriter *w, StoreBatches *batches, StoreBatch *batch) {
        pthread_mutex_lock(&w->lock);
        store_batches_link(batches, batch);
        if (!w->next) {
                w->next = batch;
                w->lazy_usec = now_usec(CLOCK_MONOTONIC) + STORE_LAZY_USEC;
        }
        if (!w->undecided)
                w->undecided = batch;
        w->newest = batch;
        w->waiting_bytes += batch->bytes;
        if (batch->is_urgent)
                w->urgent = batch->ticket;
        wake(w);
        pthread_mutex_unlock(&w->lock);
}

int store_writer_sync(StoreWriter *w) {
        uint64_t target, tries;
        int r = 0;

        pthread_mutex_lock(&w->lock);
        target = w->newest ? w->newest->ticket : 0;
        tries = w->n_tries;
        w->n_syncing++;
        wake(w);
        while (w->news.error == 0 && w->news.written < target &&
               !(w->is_stuck && w->n_tries > tries))
                (void) pthread_cond_wait(&w->progress, &w->lock);
        w->n_syncing--;
        if (w->news.error < 0)
                r = w->news.error;
        else if (w->news.written < target)
                r = -ENOSPC;
        pthread_mutex_unlock(&w->lock);
        return r;
}

int store_writer_start_backup(StoreWriter *w, StoreBackup *b) {
        int r = 0;

        pthread_mutex_lock(&w->lock);
        if (w->news.error < 0)
                r = w->news.error;
        else if (w->backup)
                r = -EBUSY;
        else {
                w->backup = b;
                w->backup_is_copying = true;
                wake(w);
        }
        pthread_mutex_unlock(&w->lock);
        return r;
}

void store_writer_backup_finished(void *userdata) {
        StoreWriter *w = userdata;

        pthread_mutex_lock(&w->lock);
        w->backup_is_finished = true;
        post_news(w);
        pthread_mutex_unlock(&w->lock);
}

void store_writer_get_news(StoreWriter *w, StoreNews *ret) {
        eventfd_t ignored;

        pthread_mutex_lock(&w->lock);
        if (w->has_news)
                (void) eventfd_read(w->event_fd, &ignored);
        w->has_news = false;
        *ret = w->news;
        w->news.was_short = false;
        if (w->backup_is_finished) {
                w->backup_is_finished = false;
                ret->backup = TAKE_PTR(w->backup);
        }
        pthread_mutex_unlock(&w->lock);
}

void store_writer_get_stats(StoreWriter *w, StoreStats *ret) {
        pthread_mutex_lock(&w->lock);
        *ret = w->stats;
        pthread_mutex_unlock(&w->lock);
}

const StoreSpace *store_writer_space(const StoreWriter *w) {
        return w->space;
}

int store_writer_fd(const StoreWriter *w) {
        return w->event_fd;
}

StoreWriter *store_writer_free(StoreWriter *w) {
        if (!w)
                return NULL;
        if (w->has_thread) {
                pthread_mutex_lock(&w->lock);
                w->stopping = true;
                wake(w);
                pthread_mutex_unlock(&w->lock);
                (void) pthread_join(w->thread, NULL);
        }
        store_backup_free(w->backup);
        store_apply_free(w->apply);
        store_space_free(w->space);
        store_merge_done(&w->merge);
        (void) sqlite3_close(w->db);
        safe_close(w->event_fd);
        (void) pthread_cond_destroy(&w->progress);
        (void) pthread_cond_destroy(&w->wake);
        (void) pthread_mutex_destroy(&w->lock);
        free(w->path);
        free(w);
        return NULL;
}

/* Signals are for the loop. */
static int start_thread(StoreWriter *w) {
        sigset_t all, before;
        int r;

        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&w->thread, NULL, writer_main, w);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r > 0)
                return -r;
        w->has_thread = true;
        (void) pthread_setname_np(w->thread, "store");
        return 0;
}

int store_writer_new(const StoreConfig *config, sqlite3 *db, StoreWriter **ret) {
        _cleanup_(store_writer_freep) StoreWriter *w = calloc(1, sizeof(*w));
        pthread_condattr_t monotonic;
        int r;

        if (!w) {
                (void) sqlite3_close(db);
                return -ENOMEM;
        }
        w->db = db;
        (void) pthread_mutex_init(&w->lock, NULL);
        (void) pthread_condattr_init(&monotonic);
        (void) pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        (void) pthread_cond_init(&w->wake, &monotonic);
        (void) pthread_cond_init(&w->progress, NULL);
        (void) pthread_condattr_destroy(&monotonic);
        w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (w->event_fd < 0)
                return -errno;
        w->path = strdup(config->path);
        if (!w->path)
                return -ENOMEM;
        r = store_apply_new(db, &w->apply);
        if (r >= 0)
                r = store_space_new(config, db, &w->space);
        if (r < 0)
                return r;
        if (store_space_disk_is_full(w->space))
                store_apply_expect_unknown(w->apply);
        (void) sqlite3_wal_hook(db, on_commit, w);
        r = start_thread(w);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}
