/* SPDX-License-Identifier: MIT */

/* How the SQLite driver writes: what is grouped and merged, when the log is moved, the limit, and backups while
 * writing goes on. */

#include <dirent.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../src/controld/store-fault.h"
#include "store-fixture.h"
#include "time-util.h"

static Fixture f;

/* The writer, held at one of its steps. */
static struct {
        _Atomic StoreFaultPoint point;
        sem_t reached, go;
} hold;

static void on_step(StoreFaultPoint point, void *userdata) {
        if (point != hold.point)
                return;
        (void) sem_post(&hold.reached);
        while (sem_wait(&hold.go) < 0)
                ;
}

/* Counts anew; holds at each such step unless it is _STORE_FAULT_POINT_INVALID. */
static void watch(StoreFaultPoint point) {
        (void) sem_init(&hold.reached, 0, 0);
        (void) sem_init(&hold.go, 0, 0);
        hold.point = point;
        store_fault_set(&(StoreFault){ .at = on_step });
}

static void wait_until_held(void) {
        while (sem_wait(&hold.reached) < 0)
                ;
}

static void let_go(unsigned times) {
        for (unsigned i = 0; i < times; i++)
                (void) sem_post(&hold.go);
}

static void begin(StoreDurability durability) {
        fixture_init(&f, durability);
        fixture_open(&f);
}

static void submit(uint64_t sequence, size_t arguments_size) {
        static uint8_t bytes[100000];
        StoreTask t = { .sequence = sequence,
                        .name = "add",
                        .priority = PRIORITY_NORMAL,
                        .state = TASK_QUEUED,
                        .arguments = { bytes, arguments_size } };

        ck_assert_int_eq(store_submit(f.store, &t, 1), 0);
}

static void update(uint64_t sequence, TaskState state, size_t result_size) {
        static uint8_t bytes[100000];
        StoreTask t = {
                .sequence = sequence, .state = state, .attempt = 1, .result = { bytes, result_size }
        };

        ck_assert_int_eq(store_update(f.store, &t), 0);
}

static StoreStats stats(void) {
        StoreStats s;

        store_get_stats(f.store, &s);
        return s;
}

static int count_one(const StoreTask *t, void *userdata) {
        unsigned *by_state = userdata;

        by_state[t->state]++;
        return 0;
}

/* How many tasks of a state the store holds after opening it anew. */
static unsigned count(TaskState state) {
        unsigned by_state[_TASK_STATE_MAX] = {};
        StoreLoad load = { .task = count_one, .userdata = by_state };

        fixture_close(&f);
        fixture_open(&f);
        ck_assert_int_eq(store_load(f.store, &load, NULL), 0);
        return by_state[state];
}

/* --- groups -------------------------------------------------------------------------------------- */

START_TEST(test_group) {
        uint64_t ticket;

        watch(STORE_FAULT_BEGIN);
        begin(STORE_FULL);
        submit(0, 10);
        (void) store_commit(f.store);
        wait_until_held();

        /* Whatever comes while the writer is busy is the next group, and of each task only the end is written. */
        for (uint64_t i = 1; i <= 100; i++) {
                submit(i, 10);
                (void) store_commit(f.store);
        }
        for (uint64_t i = 1; i <= 100; i++)
                update(i, TASK_ASSIGNED, 0);
        (void) store_commit(f.store);
        for (uint64_t i = 1; i <= 100; i++)
                update(i, TASK_SUCCESS, 10);
        ticket = store_commit(f.store);
        let_go(2);
        fixture_wait(&f, ticket);
        ck_assert_uint_eq(stats().n_groups, 2);
        ck_assert_uint_eq(stats().n_batches, 103);
        ck_assert_uint_eq(stats().n_changes, 301);
        ck_assert_uint_le(f.n_safe, 2);
        ck_assert_uint_eq(store_fault_count(STORE_FAULT_STATEMENT),
                          (1 + 1 + 1 + 1) + (1 + 200 + 1));
        ck_assert_uint_eq(store_fault_count(STORE_FAULT_COMMITTED), 2);
        watch(_STORE_FAULT_POINT_INVALID);
        ck_assert_uint_eq(count(TASK_SUCCESS), 100);
        fixture_done(&f);
}
END_TEST

START_TEST(test_merge_to_nothing) {
        watch(STORE_FAULT_BEGIN);
        begin(STORE_FULL);
        submit(0, 10);
        (void) store_commit(f.store);
        wait_until_held();
        for (uint64_t i = 1; i <= 100; i++) {
                submit(i, 10);
                update(i, TASK_FAILURE, 10);
                (void) store_commit(f.store);
                ck_assert_int_eq(store_forget(f.store, i), 0);
                (void) store_commit(f.store);
        }
        let_go(2);
        fixture_wait(&f, 201);
        /* No transaction at all. */
        ck_assert_uint_eq(store_fault_count(STORE_FAULT_COMMITTED), 1);
        ck_assert_uint_eq(store_fault_count(STORE_FAULT_STATEMENT), 4);
        watch(_STORE_FAULT_POINT_INVALID);
        ck_assert_uint_eq(count(TASK_FAILURE), 0);
        ck_assert_uint_eq(count(TASK_QUEUED), 1);
        fixture_done(&f);
}
END_TEST

START_TEST(test_few_statements) {
        watch(_STORE_FAULT_POINT_INVALID);
        begin(STORE_PROCESS);
        for (uint64_t i = 0; i < 300; i++)
                submit(i, 10);
        fixture_wait(&f, store_commit(f.store));

        /* A lease and an end are one. */
        watch(_STORE_FAULT_POINT_INVALID);
        for (uint64_t i = 0; i < 300; i++)
                update(i, TASK_ASSIGNED, 0);
        for (uint64_t i = 0; i < 300; i++)
                update(i, TASK_CANCELLED, 0);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_uint_eq(store_fault_count(STORE_FAULT_STATEMENT), 1 + 300 + 1);

        /* A run of tasks leaves with two, whatever else is in between. */
        watch(_STORE_FAULT_POINT_INVALID);
        for (uint64_t i = 0; i < 300; i++)
                if (i != 150) {
                        ck_assert_int_eq(store_forget(f.store, i), 0);
                        submit(1000 + i, 10);
                }
        fixture_wait(&f, store_commit(f.store));
        ck_assert_uint_eq(store_fault_count(STORE_FAULT_STATEMENT), 1 + 2 * 2 + 299 + 1);
        ck_assert_uint_eq(count(TASK_CANCELLED), 1);
        ck_assert_uint_eq(count(TASK_QUEUED), 299);
        fixture_close(&f);
        fixture_check_file(&f);
        fixture_done(&f);
}
END_TEST

/* More than one group's worth is still to be written when the store is closed. */
START_TEST(test_close) {
        begin(STORE_PROCESS);
        for (uint64_t i = 0; i < 400; i++) {
                submit(i, 100000);
                (void) store_commit(f.store);
        }
        ck_assert_uint_eq(count(TASK_QUEUED), 400);
        fixture_done(&f);
}
END_TEST

/* Leases wait for something that somebody waits for. */
START_TEST(test_lazy) {
        uint64_t before;

        watch(_STORE_FAULT_POINT_INVALID);
        begin(STORE_FULL);
        submit(0, 10);
        fixture_wait(&f, store_commit(f.store));

        before = now_usec(CLOCK_MONOTONIC);
        update(0, TASK_ASSIGNED, 0);
        (void) store_commit(f.store);
        submit(1, 10);
        fixture_wait(&f, store_commit(f.store));
        /* Unless the machine took so long over this that the lease had to go alone. */
        if (now_usec(CLOCK_MONOTONIC) - before < STORE_LAZY_USEC)
                ck_assert_uint_eq(stats().n_groups, 2);

        before = now_usec(CLOCK_MONOTONIC);
        update(0, TASK_RUNNING, 0);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_uint_ge(now_usec(CLOCK_MONOTONIC) - before, STORE_LAZY_USEC);
        fixture_done(&f);
}
END_TEST

/* The log stays small, also under load. */
START_TEST(test_log) {
        const uint64_t bytes_max = (4000 + 2 * 50 + 100) * 4120;
        char path[128];
        struct stat st;

        watch(_STORE_FAULT_POINT_INVALID);
        begin(STORE_PROCESS);
        (void) snprintf(path, sizeof(path), "%s-wal", f.path);
        for (uint64_t i = 0; i < 9000; i += 50) {
                for (uint64_t k = i; k < i + 50; k++)
                        submit(k, 4000);
                (void) store_commit(f.store);
                ck_assert_int_eq(fixture_sync(&f), 0);
                ck_assert_int_eq(stat(path, &st), 0);
                ck_assert_uint_le((uint64_t) st.st_size, bytes_max);
        }
        ck_assert_uint_ge(store_fault_count(STORE_FAULT_CHECKPOINT), 2);
        ck_assert_uint_eq(count(TASK_QUEUED), 9000);

        /* A thousand pages are moved once the writer has nothing else to do. */
        watch(STORE_FAULT_CHECKPOINT);
        for (uint64_t i = 10000; i < 11100; i++)
                submit(i, 4000);
        (void) store_commit(f.store);
        wait_until_held();
        let_go(1);
        ck_assert_int_eq(fixture_sync(&f), 0);
        submit(20000, 1);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_uint_eq(store_fault_count(STORE_FAULT_CHECKPOINT), 1);
        fixture_done(&f);
}
END_TEST

/* --- the limit ----------------------------------------------------------------------------------- */

/* Submits tasks until one is refused; returns how many were not. */
static uint64_t fill(uint64_t first) {
        uint64_t s = first, ticket;

        f.n_refused = 0;
        for (;; s++) {
                ck_assert_uint_lt(s - first, 2000);
                submit(s, 1000);
                ticket = store_commit(f.store);
                fixture_wait(&f, ticket);
                if (f.n_refused > 0)
                        break;
        }
        ck_assert_uint_eq(f.refused[0], ticket);
        return s - first;
}

START_TEST(test_limit) {
        uint64_t n;
        struct stat st;

        fixture_init(&f, STORE_PROCESS);
        f.config.bytes_max = 1024 * 1024;
        f.config.reserve_bytes = 256 * 1024;
        f.expects_refusals = true;
        fixture_open(&f);
        n = fill(0);
        ck_assert_uint_gt(n, 400);

        /* A change of a refused task is none, in the same group or later. */
        submit(5000, 1000);
        update(5000, TASK_SUCCESS, 10);
        fixture_wait(&f, store_commit(f.store));
        update(5000, TASK_SUCCESS, 10);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_uint_eq(f.n_refused, 2);

        /* What was taken goes on, in the reserve. */
        for (uint64_t s = 0; s < n; s++)
                update(s, TASK_SUCCESS, 200);
        fixture_wait(&f, store_commit(f.store));
        ck_assert(store_is_full(f.store));
        fixture_close(&f);
        ck_assert_int_eq(stat(f.path, &st), 0);
        ck_assert_uint_le((uint64_t) st.st_size, f.config.bytes_max);
        fixture_open(&f);
        ck_assert(store_is_full(f.store));
        ck_assert_uint_eq(count(TASK_SUCCESS), n);

        for (uint64_t s = 0; s < n; s++)
                ck_assert_int_eq(store_forget(f.store, s), 0);
        fixture_wait(&f, store_commit(f.store));
        ck_assert(!store_is_full(f.store));
        ck_assert_uint_gt(fill(10000), 400);
        fixture_close(&f);
        fixture_check_file(&f);
        fixture_done(&f);
}
END_TEST

/* What was taken in is brought to its end also when even the reserve is used up; submits are refused until enough is
 * forgotten. */
START_TEST(test_ends_beyond_limit) {
        uint64_t n, ticket;
        struct stat st;

        fixture_init(&f, STORE_PROCESS);
        f.config.bytes_max = 1024 * 1024;
        f.config.reserve_bytes = 64 * 1024;
        f.expects_refusals = true;
        fixture_open(&f);
        n = fill(0);
        for (uint64_t s = 0; s < n; s++)
                update(s, TASK_SUCCESS, 2000);
        ticket = store_commit(f.store);
        ck_assert_int_eq(fixture_sync(&f), 0);
        ck_assert_uint_eq(f.safe, ticket);
        ck_assert(store_is_full(f.store));
        ck_assert_uint_gt(store_lacking_bytes(f.store), 1024 * 1024);
        ck_assert_uint_eq(count(TASK_SUCCESS), n);
        ck_assert_int_eq(stat(f.path, &st), 0);
        ck_assert_uint_gt((uint64_t) st.st_size, f.config.bytes_max);
        submit(7000, 10);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_uint_eq(f.n_refused, 1);

        for (uint64_t s = 0; s < n; s++)
                if (s % 10 > 0)
                        ck_assert_int_eq(store_forget(f.store, s), 0);
        fixture_wait(&f, store_commit(f.store));
        ck_assert(!store_is_full(f.store));
        ck_assert_uint_eq(f.n_room, 1);
        submit(7001, 10);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_uint_eq(f.n_refused, 1);
        fixture_done(&f);
}
END_TEST

/* How much is to be forgotten is told before submits are refused, and for one that is larger than what is left. */
START_TEST(test_lacking) {
        uint64_t n = 0, lacking;

        fixture_init(&f, STORE_PROCESS);
        f.config.bytes_max = 1024 * 1024;
        f.config.reserve_bytes = 128 * 1024;
        f.expects_refusals = true;
        fixture_open(&f);
        ck_assert_uint_eq(store_lacking_bytes(f.store), 0);
        while (store_lacking_bytes(f.store) == 0) {
                submit(n++, 20000);
                fixture_wait(&f, store_commit(f.store));
        }
        lacking = store_lacking_bytes(f.store);
        ck_assert_uint_le(lacking, 2 * 20480);

        /* Of what is lacking for it, and not for small ones. */
        for (uint64_t i = 0; i < 4; i++)
                submit(1000 + i, 100000);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_uint_eq(f.n_refused, 1);
        ck_assert(!store_is_full(f.store) && f.n_room == 0);
        ck_assert_uint_ge(store_lacking_bytes(f.store), lacking + 400000 - f.config.reserve_bytes);
        submit(2000, 10);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_uint_eq(f.n_refused, 1);

        for (uint64_t i = 0; store_lacking_bytes(f.store) > 0; i++) {
                ck_assert_uint_lt(i, n);
                ck_assert_int_eq(store_forget(f.store, i), 0);
                fixture_wait(&f, store_commit(f.store));
        }
        ck_assert_uint_eq(f.n_room, 1);
        for (uint64_t i = 0; i < 4; i++)
                submit(3000 + i, 100000);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_uint_eq(f.n_refused, 1);
        fixture_done(&f);
}
END_TEST

/* --- backups ------------------------------------------------------------------------------------- */

typedef struct Backup {
        bool done;
        int error;
        char reason[256];
} Backup;

static void on_backup(int error, const char *reason, void *userdata) {
        Backup *b = userdata;

        ck_assert(!b->done);
        ck_assert(f.may_call);
        b->done = true;
        b->error = error;
        (void) snprintf(b->reason, sizeof(b->reason), "%s", reason ? reason : "");
}

static unsigned n_files(void) {
        DIR *d = opendir(f.directory);
        struct dirent *e;
        unsigned n = 0;

        ck_assert_ptr_nonnull(d);
        while ((e = readdir(d)))
                n += e->d_name[0] != '.';
        ck_assert_int_eq(closedir(d), 0);
        return n;
}

/* 4 MB, so that it is copied in several parts. */
static void begin_large(void) {
        begin(STORE_PROCESS);
        for (uint64_t i = 0; i < 400; i++)
                submit(i, 10000);
        fixture_wait(&f, store_commit(f.store));
}

typedef struct Copied {
        uint64_t n_new;
        uint32_t attempt; /* of the task 5 */
} Copied;

static int load_copied(const StoreTask *t, void *userdata) {
        Copied *c = userdata;

        if (t->sequence == 5)
                c->attempt = t->attempt;
        if (t->sequence >= 1000)
                ck_assert_uint_eq(t->sequence, 1000 + c->n_new++);
        return 0;
}

/* Each batch has a new task and an update of an old one, which was copied long before. */
START_TEST(test_backup) {
        StoreTask old = { .sequence = 5, .state = TASK_ASSIGNED };
        Copied c = {};
        StoreLoad load = { .task = load_copied, .userdata = &c };
        Backup backup = {};
        char path[128];
        uint64_t n = 0, ticket;
        struct stat st;

        watch(STORE_FAULT_BACKUP);
        begin_large();
        (void) snprintf(path, sizeof(path), "%s/copy.db", f.directory);
        ck_assert_int_eq(store_backup(f.store, path, on_backup, &backup), 0);
        while (!backup.done) {
                submit(1000 + n++, 100);
                old.attempt++;
                ck_assert_int_eq(store_update(f.store, &old), 0);
                /* Appended before the next part is copied, safe after it. */
                ticket = store_commit(f.store);
                let_go(1);
                fixture_wait(&f, ticket);
        }
        ck_assert_msg(backup.error == 0, "%s", backup.reason);
        ck_assert_uint_ge(store_fault_count(STORE_FAULT_BACKUP), 4);
        watch(_STORE_FAULT_POINT_INVALID);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode, S_IFREG | 0600);
        fixture_close(&f);
        ck_assert_uint_eq(n_files(), 2);

        f.config.path = path;
        fixture_open(&f);
        ck_assert_int_eq(store_load(f.store, &load, NULL), 0);
        ck_assert_uint_ge(c.n_new, 2);
        ck_assert_uint_le(c.n_new, n);
        ck_assert_uint_eq(c.attempt, c.n_new);
        fixture_done(&f);
}
END_TEST

/* Nothing is left of a backup that does not come to its end. */
START_TEST(test_backup_given_up) {
        Backup backup = {};
        char path[128];

        watch(STORE_FAULT_BACKUP);
        begin_large();
        (void) snprintf(path, sizeof(path), "%s/copy.db", f.directory);
        ck_assert_int_eq(store_backup(f.store, path, on_backup, &backup), 0);
        wait_until_held();
        let_go(100);
        fixture_close(&f);
        ck_assert(!backup.done);
        ck_assert_uint_eq(n_files(), access(path, F_OK) < 0 ? 1 : 2);
        fixture_done(&f);
}
END_TEST

static void disk_fills_up(StoreFaultPoint point, void *userdata) {
        if (point == STORE_FAULT_BACKUP && store_fault_count(STORE_FAULT_BACKUP) == 2)
                store_fault_set(&(StoreFault){ .point = STORE_FAULT_WRITE,
                                               .action = STORE_FAULT_ENOSPC,
                                               .n = 1,
                                               .count = 1000000 });
}

/* That is the end of the backup, not of the store. */
START_TEST(test_backup_no_space) {
        Backup backup = {};
        char path[128];

        store_fault_set(&(StoreFault){ .at = disk_fills_up });
        begin_large();
        (void) snprintf(path, sizeof(path), "%s/copy.db", f.directory);
        ck_assert_int_eq(store_backup(f.store, path, on_backup, &backup), 0);
        while (!backup.done)
                fixture_turn(&f);
        ck_assert_int_eq(backup.error, -ENOSPC);
        ck_assert_ptr_nonnull(strstr(backup.reason, path));
        ck_assert_int_lt(access(path, F_OK), 0);

        watch(_STORE_FAULT_POINT_INVALID);
        submit(1000, 10);
        fixture_wait(&f, store_commit(f.store));
        backup.done = false;
        ck_assert_int_eq(store_backup(f.store, path, on_backup, &backup), 0);
        while (!backup.done)
                fixture_turn(&f);
        ck_assert_int_eq(backup.error, 0);
        fixture_close(&f);
        ck_assert_uint_eq(n_files(), 2);
        fixture_done(&f);
}
END_TEST

/* Somebody else made a file of that name meanwhile: it is not replaced. */
START_TEST(test_backup_exists) {
        Backup backup = {};
        char path[128];
        FILE *file;

        watch(STORE_FAULT_BACKUP);
        begin_large();
        (void) snprintf(path, sizeof(path), "%s/copy.db", f.directory);
        ck_assert_int_eq(store_backup(f.store, path, on_backup, &backup), 0);
        wait_until_held();
        file = fopen(path, "wxe");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_eq(fclose(file), 0);
        let_go(100);
        while (!backup.done)
                fixture_turn(&f);
        ck_assert_int_eq(backup.error, -EEXIST);
        fixture_close(&f);
        ck_assert_uint_eq(n_files(), 2);
        fixture_done(&f);
}
END_TEST

int main(void) {
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_group);
        tcase_add_test(t, test_merge_to_nothing);
        tcase_add_test(t, test_few_statements);
        tcase_add_test(t, test_close);
        tcase_add_test(t, test_lazy);
        tcase_add_test(t, test_log);
        tcase_add_test(t, test_limit);
        tcase_add_test(t, test_ends_beyond_limit);
        tcase_add_test(t, test_lacking);
        tcase_add_test(t, test_backup);
        tcase_add_test(t, test_backup_given_up);
        tcase_add_test(t, test_backup_no_space);
        tcase_add_test(t, test_backup_exists);
        return fixture_run("store_writer", t);
}
