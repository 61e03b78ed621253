/* SPDX-License-Identifier: MIT */
#pragma once

/* What makes tasks survive: the narrow interface behind which a database stands. Memory is the authority while
 * the daemon runs; the store is told of every change and says when it is safe.
 *
 * Changes are appended, in order, without waiting: the functions below copy what they are given and return at
 * once. store_commit() closes what was appended since the last one into a batch and returns its ticket. A
 * batch is atomic, and batches become safe in order. Whoever must not acknowledge before a change is safe
 * keeps the ticket and waits for it. To be called from one thread, that of the event loop.
 *
 * A failed write or fsync is final: `failed` is called once, nothing is reported safe after it, and the
 * daemon must end. Only a full disk is not: the submits of a batch are then refused, all else in it waits
 * and is tried again once a second until there is room. */

#include <sys/uio.h>
#include <systemd/sd-event.h>

#include "macro.h"
#include "string-table.h"
#include "task-id.h"
#include "task-state.h"

typedef struct Store Store;

typedef enum StoreDurability {
        STORE_FULL,    /* safe = on disk: survives power loss */
        STORE_PROCESS, /* safe = with the kernel: survives the death of the process */
        STORE_NONE,    /* memory only: every batch is safe at once, nothing survives */
        _STORE_DURABILITY_MAX,
        _STORE_DURABILITY_INVALID = -EINVAL,
} StoreDurability;

/* "full", "process", "none" */
DECLARE_STRING_TABLE(store_durability, StoreDurability);

#define STORE_SEQUENCE_MAX INT64_MAX

/* A task as the store knows it. */
typedef struct StoreTask {
        /* Its key in the store: given by the caller, unique among all that are not forgotten, growing. */
        uint64_t sequence;

        /* Set by store_submit(), never changed. */
        TaskId id;
        const char *name;
        TaskPriority priority;
        uint64_t created_usec; /* CLOCK_REALTIME */
        struct iovec key, arguments, options;

        /* Replaced as a whole by store_update(). */
        TaskState state;
        uint32_t attempt; /* fencing token of the last lease */
        uint32_t crashes;
        bool cancel_asked;     /* the worker was to stop it */
        uint64_t due_usec;     /* CLOCK_REALTIME: it waits until then; 0: no such time */
        uint64_t expires_usec; /* CLOCK_REALTIME: not to be begun after that; 0: never */
        uint32_t retries;      /* attempts that failed and were followed by another */
        const char *worker;    /* holds the lease, or ended it; NULL: nobody */
        uint64_t started_usec, completed_usec; /* CLOCK_REALTIME, 0: not yet */
        struct iovec result, error;            /* after the end */
        struct iovec history;                  /* of attempts, as the caller writes it */

        /* Only when it is read back: so many of the last attempts may have been given, or not, as the store was
         * not closed in order while the task was queued. See store_begin(). */
        uint32_t n_unsure;
} StoreTask;

/* A schedule as the store knows it. */
typedef struct StoreSchedule {
        const char *name; /* its key in the store */
        /* Set by store_set_schedule(). */
        struct iovec document; /* what it is, as the caller writes it */
        bool is_from_type;     /* a task type brought it */
        const char *bringers;  /* by these subworkers; NULL: none */
        bool is_paused;

        /* How far it is: set by store_move_schedule(). */
        uint64_t added_usec, last_due_usec, n_runs;
        struct iovec last_task; /* its id, or empty */
} StoreSchedule;

/* All are called from the event loop, never from within a function of the store except store_sync(). They may
 * append and commit, but must not call store_sync() or store_close(). */
typedef struct StoreCallbacks {
        /* All batches up to this ticket are safe. */
        void (*safe)(uint64_t ticket, void *userdata);
        /* There was no room (-ENOSPC) for the submits of this batch: none of them was kept, nor will any
         * change of those tasks be. Told in order of the tickets, always before the batch is reported safe;
         * while the disk is full, long before, as the rest of the batch waits for room. */
        void (*refused)(uint64_t ticket, int error, void *userdata);
        /* After a refusal, or an opening of a full store: there is room again, as far as is known. May be NULL. */
        void (*has_room)(void *userdata);
        /* Never again anything is safe. `reason` is one line for the journal that names the file. */
        void (*failed)(int error, const char *reason, void *userdata);
        void *userdata;
} StoreCallbacks;

typedef struct StoreConfig {
        StoreDurability durability;
        const char *path; /* of the database file; not used with STORE_NONE */
        /* Of the database, beyond which submits are refused; what was taken in is brought to its end all
         * the same. UINT64_MAX: no limit. */
        uint64_t bytes_max;
        /* Kept for all but submits: of bytes_max, and of the disk, as a file beside the database that gives
         * way when the disk is full. */
        uint64_t reserve_bytes;
} StoreConfig;

/* Opens or creates, checks and migrates. Refusals leave one line for people in *ret_error (a fresh string; NULL
 * if there is no more to say than the error does) that names the file and says what to do: -EUCLEAN damaged,
 * -EMEDIUMTYPE something else, -EPROTONOSUPPORT written by a newer version, -EBUSY in use, -EACCES, -EROFS, -ENOSPC,
 * -EIO and so on. A store is never "cleaned up". The callbacks are copied. */
int store_open(sd_event *event, const StoreConfig *config, const StoreCallbacks *callbacks,
               Store **ret, char **ret_error);

/* Makes all that was committed safe, as far as it still can, then closes; what was appended since the last
 * commit is dropped. No callback is called any more (for the last tickets: store_sync() before). NULL. */
Store *store_close(Store *s);
DEFINE_CLEANUP_FUNC(Store *, store_close);

/* What store_load() calls; each may be NULL. What they are given is borrowed for the call; a handler that
 * returns < 0 ends the loading with that. */
typedef struct StoreLoad {
        int (*type)(const char *name, void *userdata);
        int (*task)(const StoreTask *t, void *userdata);
        int (*schedule)(const StoreSchedule *s, void *userdata);
        int (*paused)(const char *what, void *userdata);
        void (*progress)(uint64_t n_loaded, void *userdata); /* now and then */
        void *userdata;
} StoreLoad;

/* To be called before anything is appended: the types by name, every task not ended by sequence, the ended ones by
 * completion, then the schedules by name, and what is paused. Errors as for store_open(). */
int store_load(Store *s, const StoreLoad *load, char **ret_error);

/* Before the first lease: that the store is in use is safe when the batch in which this is appended is. If it is
 * not closed in order then, the attempts that may have been given count as given when it is read back. That is
 * one for each such end; so a task must not be leased again before its return to the queue is safe. -ENOMEM. */
int store_begin(Store *s);

/* Each returns 0 or -ENOMEM (then nothing was appended). */
int store_submit(Store *s, const StoreTask *tasks, size_t n); /* all or none; any state */
/* Everything that changes after the submit, the result included, is now as it says here. For tasks that were
 * submitted and not forgotten; if the submit was refused, nothing happens. */
int store_update(Store *s, const StoreTask *t);
/* The task leaves the store. */
int store_forget(Store *s, uint64_t sequence);
/* Known ones may be added again. */
int store_add_type(Store *s, const char *name);
int store_set_paused(Store *s, const char *what, bool paused); /* a name of the caller's */
/* Makes or replaces the schedule; unless `with_progress`, how far it is stays as it was (for a new one: nowhere). */
int store_set_schedule(Store *s, const StoreSchedule *schedule, bool with_progress);
/* How far the schedule is now, and the tasks that it made on its way there (n may be 0): all or none, as these are a
 * submit: if the batch is refused for want of room, none of it happens. */
int store_move_schedule(Store *s, const StoreSchedule *schedule, const StoreTask *tasks, size_t n);
int store_forget_schedule(Store *s, const char *name);

/* Closes the batch. An empty one is safe with the one before it, whose ticket is returned (0: none was before).
 * Batches with a submit, an end, or a return to the queue are written at once. Others (leases, starts, types,
 * forgets) may lie for STORE_LAZY_USEC, as nobody waits for them, to be written with one that is. */
uint64_t store_commit(Store *s);
/* Somebody waits for what was appended so far: it must not lie. -ENOMEM: it may. */
int store_hurry(Store *s);
#define STORE_LAZY_USEC (UINT64_C(100) * 1000)

/* The last ticket that was reported safe; all before it are, too. With STORE_NONE what store_commit() has
 * just returned, so that the caller need not wait for the callback. */
uint64_t store_safe_ticket(const Store *s);

/* For the end of the daemon: blocks until all that was committed is safe, and calls the callbacks. -ENOSPC if
 * there is no room for all of it now, -EIO or the like after a failure. */
int store_sync(Store *s);

/* What waits in memory to be written or reported. The caller refuses submits when the disk is too slow. */
size_t store_backlog_bytes(const Store *s);

/* Whether submits would be refused: the last write found the disk full, or the store is above bytes_max less
 * the reserve. Recovers by itself. */
bool store_is_full(const Store *s);

/* How many bytes of tasks that have ended are to be forgotten, lest submits be refused; 0: none. More than 0 as
 * soon as there is less room for submits than the reserve, or than the last refused one would have taken.
 * What was forgotten shows when it is safe that it was. */
uint64_t store_lacking_bytes(const Store *s);

/* Copies the store, as it is at some moment after the call, to a new file (which must not exist), without
 * stopping it. `done` is called from the loop, once, with a reason for people after an error; not at all when
 * the store fails or is closed before. -EEXIST, -EBUSY (one is running), -EOPNOTSUPP (STORE_NONE), -EACCES and so on. */
typedef void (*StoreBackupDone)(int error, const char *reason, void *userdata);
int store_backup(Store *s, const char *path, StoreBackupDone done, void *userdata);

typedef struct StoreStats {
        uint64_t bytes;     /* of the files, the log included */
        uint64_t n_batches; /* made safe, as are the following */
        uint64_t n_changes;
        uint64_t n_groups; /* batches are written in groups; each is one transaction */
        uint64_t group_usec_max, group_usec_total;
} StoreStats;
void store_get_stats(Store *s, StoreStats *ret);
