/* SPDX-License-Identifier: MIT */

/* What happens when the process is killed, or the disk fails, at each single step: what was reported safe is
 * there, and no batch is there by half. Full disks are in check_store_full.c. */

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "../src/controld/store-fault.h"
#include "store-fixture.h"

#define N_BATCHES 24
#define N_MANY    700 /* enough for the log to be moved */

static Fixture f;
static Workload w;

static void set_fault(StoreFaultPoint point, StoreFaultAction action, uint64_t n, uint64_t count) {
        store_fault_set(&(StoreFault){ .point = point, .action = action, .n = n, .count = count });
}

/* --- directives ---------------------------------------------------------------------------------- */

START_TEST(test_parse) {
        static const char *const bad[] = {
                "",
                "write",
                "write:",
                "write:0",
                "write:x",
                "none:1",
                "write:1:no",
                "write:1:eio:0",
                "write:1:eio:1:1",
                "begin:1:eio",
                "sync:1:short",
                "commit:1:enospc",
                "write:-1",
                "write:1:eio:-1",
        };
        StoreFault d;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                ck_assert_int_eq(store_fault_parse(bad[i], &d), -EINVAL);
        ck_assert_int_eq(store_fault_parse("commit:3", &d), 0);
        ck_assert(d.point == STORE_FAULT_COMMIT && d.action == STORE_FAULT_KILL && d.n == 3 &&
                  d.count == 1);
        ck_assert_int_eq(store_fault_parse("write:17:enospc:200", &d), 0);
        ck_assert(d.point == STORE_FAULT_WRITE && d.action == STORE_FAULT_ENOSPC && d.n == 17 &&
                  d.count == 200);
        for (StoreFaultPoint p = 0; p < _STORE_FAULT_POINT_MAX; p++)
                ck_assert_int_eq(store_fault_point_from_string(store_fault_point_to_string(p)), p);
}
END_TEST

START_TEST(test_environment) {
        _cleanup_free_ char *error = NULL;

        fixture_init(&f, STORE_FULL);
        ck_assert_int_eq(setenv("FASTWORKER_STORE_FAULT", "rubbish", 1), 0);
        ck_assert_int_eq(fixture_try_open(&f, &error), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error, "FASTWORKER_STORE_FAULT"));
        ck_assert_int_eq(setenv("FASTWORKER_STORE_FAULT", "open:1:eio", 1), 0);
        ck_assert_int_eq(fixture_try_open(&f, NULL), -EIO);
        /* It was the first time only. */
        fixture_open(&f);
        fixture_done(&f);
}
END_TEST

/* --- killed -------------------------------------------------------------------------------------- */

static int acks;

static void write_ack(uint64_t ticket) {
        if (write(acks, &ticket, sizeof(ticket)) != sizeof(ticket))
                abort();
}

/* Opens, goes through the workload, in groups of one or a few batches, and closes. */
static void child_main(int fd, uint64_t n_batches) {
        uint64_t random = 1;

        acks = fd;
        f.on_safe = write_ack;
        f.expects_failure = true;
        if (fixture_try_open(&f, NULL) < 0)
                _exit(1);
        workload_init(&w, 11);
        for (uint64_t i = 1; i <= n_batches; i++) {
                workload_append(&w, f.store, i);
                if (store_commit(f.store) != i)
                        _exit(2);
                random = random * 1103515245 + 12345;
                if (random >> 16 & 1)
                        continue;
                if (fixture_sync(&f) < 0)
                        _exit(3);
        }
        (void) fixture_sync(&f);
        fixture_close(&f);
        _exit(0);
}

/* Returns whether the fault struck. */
static bool run_child(const StoreFault *fault, uint64_t n_batches, uint64_t *ret_acked) {
        uint64_t ticket;
        int fds[2], status;
        pid_t pid;

        ck_assert_int_eq(pipe(fds), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                close(fds[0]);
                store_fault_set(fault);
                child_main(fds[1], n_batches);
        }
        close(fds[1]);
        *ret_acked = 0;
        while (read(fds[0], &ticket, sizeof(ticket)) == sizeof(ticket))
                *ret_acked = ticket;
        close(fds[0]);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status)) {
                ck_assert_int_eq(WTERMSIG(status), SIGKILL);
                return true;
        }
        ck_assert_int_eq(WEXITSTATUS(status), 0);
        return false;
}

static void replay(uint64_t n_batches) {
        workload_init(&w, 11);
        for (uint64_t i = 1; i <= n_batches; i++)
                workload_append(&w, NULL, i);
}

/* Returns whether the fault struck. */
static bool kill_once(StoreDurability durability, const StoreFault *fault, uint64_t n_batches) {
        uint64_t acked;
        bool struck;

        fixture_init(&f, durability);
        struck = run_child(fault, n_batches, &acked);
        if (!struck)
                ck_assert_uint_eq(acked, n_batches);
        fixture_open(&f);
        (void) workload_check_prefix(&w, f.store, acked, n_batches);

        /* It is as good as ever. */
        ck_assert_int_eq(store_add_type(f.store, "type-0"), 0);
        (void) store_commit(f.store);
        ck_assert_int_eq(fixture_sync(&f), 0);
        fixture_close(&f);
        fixture_check_file(&f);
        fixture_done(&f);
        return struck;
}

static void kill_at_each(StoreDurability durability, StoreFaultPoint point, uint64_t step) {
        StoreFault fault = { .point = point, .action = STORE_FAULT_KILL, .n = 1, .count = 1 };

        replay(N_BATCHES);
        while (kill_once(durability, &fault, N_BATCHES))
                fault.n += step;
        /* The steps were really there. */
        ck_assert_uint_gt(fault.n, 1);
}

START_TEST(test_kill_at_step) {
        static const StoreFaultPoint points[] = { STORE_FAULT_BEGIN, STORE_FAULT_COMMIT,
                                                  STORE_FAULT_COMMITTED, STORE_FAULT_REPORT };

        for (size_t i = 0; i < ELEMENTSOF(points); i++)
                kill_at_each((StoreDurability) _i, points[i], 1);
        kill_at_each((StoreDurability) _i, STORE_FAULT_STATEMENT, 2);
}
END_TEST

START_TEST(test_kill_at_call) {
        kill_at_each((StoreDurability) _i, STORE_FAULT_OPEN, 1);
        kill_at_each((StoreDurability) _i, STORE_FAULT_WRITE, 3);
        kill_at_each((StoreDurability) _i, STORE_FAULT_SYNC, 1);
}
END_TEST

/* A fault that begins to count when the log is moved. */
static StoreFault in_checkpoint;

static void arm_in_checkpoint(StoreFaultPoint point, void *userdata) {
        if (point == STORE_FAULT_CHECKPOINT)
                store_fault_set(&in_checkpoint);
}

static const StoreFault until_checkpoint = { .at = arm_in_checkpoint };

START_TEST(test_kill_at_checkpoint) {
        StoreFault at_once = {
                .point = STORE_FAULT_CHECKPOINT, .action = STORE_FAULT_KILL, .n = 1, .count = 1
        };

        replay(N_MANY);
        ck_assert(kill_once((StoreDurability) _i, &at_once, N_MANY));
        for (uint64_t n = 1; n < 40; n += 6) {
                in_checkpoint = (StoreFault){
                        .point = STORE_FAULT_WRITE, .action = STORE_FAULT_KILL, .n = n, .count = 1
                };
                ck_assert(kill_once((StoreDurability) _i, &until_checkpoint, N_MANY));
        }
        for (uint64_t n = 1; n < 4; n++) {
                in_checkpoint = (StoreFault){
                        .point = STORE_FAULT_SYNC, .action = STORE_FAULT_KILL, .n = n, .count = 1
                };
                ck_assert(kill_once((StoreDurability) _i, &until_checkpoint, N_MANY) ||
                          (n > 2 && _i == STORE_PROCESS));
        }
}
END_TEST

/* --- the disk fails ------------------------------------------------------------------------------ */

/* Runs the workload until it is through or the store has failed; returns the last ticket. */
static uint64_t run_until_failure(uint64_t n_batches) {
        uint64_t ticket = 0;

        workload_init(&w, 11);
        while (ticket < n_batches && f.n_failed == 0) {
                workload_append(&w, f.store, ++ticket);
                ck_assert_uint_eq(store_commit(f.store), ticket);
                if (ticket % 3 == 0)
                        (void) fixture_sync(&f);
        }
        (void) fixture_sync(&f);
        return ticket;
}

static void fail_at_each(StoreFaultPoint point, StoreFaultAction action, int error) {
        bool struck = true;

        for (uint64_t n = 1; struck; n++) {
                uint64_t last = 0, safe = 0;
                size_t backlog;
                int r;

                fixture_init(&f, STORE_FULL);
                f.expects_failure = true;
                set_fault(point, action, n, UINT64_MAX);
                r = fixture_try_open(&f, NULL);
                if (r >= 0) {
                        last = run_until_failure(N_BATCHES);
                        safe = f.safe;
                        if (f.n_failed > 0) {
                                ck_assert_int_eq(f.error, error);
                                /* Nothing is reported ever after, nor does anything pile up. */
                                ck_assert_int_eq(fixture_sync(&f), error);
                                backlog = store_backlog_bytes(f.store);
                                workload_append(&w, f.store, last + 1);
                                (void) store_commit(f.store);
                                ck_assert_uint_eq(store_backlog_bytes(f.store), backlog);
                                ck_assert_int_eq(fixture_sync(&f), error);
                                ck_assert_uint_eq(f.safe, safe);
                        } else
                                ck_assert_uint_eq(safe, N_BATCHES);
                } else
                        ck_assert_int_eq(r, error);
                struck = r < 0 || f.n_failed > 0;
                fixture_close(&f);

                store_fault_set(&(StoreFault){});
                f.expects_failure = false;
                fixture_open(&f);
                (void) workload_check_prefix(&w, f.store, safe, last);
                fixture_close(&f);
                fixture_check_file(&f);
                fixture_done(&f);
                workload_init(&w, 11);
        }
}

START_TEST(test_eio) {
        fail_at_each(STORE_FAULT_WRITE, STORE_FAULT_EIO, -EIO);
        fail_at_each(STORE_FAULT_SYNC, STORE_FAULT_EIO, -EIO);
}
END_TEST

/* A failed fsync is final, whatever its reason. */
START_TEST(test_sync_without_space) {
        fail_at_each(STORE_FAULT_SYNC, STORE_FAULT_ENOSPC, -EIO);
}
END_TEST

START_TEST(test_reason) {
        fixture_init(&f, STORE_FULL);
        f.expects_failure = true;
        store_fault_set(&(StoreFault){});
        fixture_open(&f);
        set_fault(STORE_FAULT_SYNC, STORE_FAULT_EIO, 1, 1);
        workload_init(&w, 1);
        workload_append(&w, f.store, 1);
        (void) store_commit(f.store);
        fixture_wait_for_failure(&f);
        ck_assert_int_eq(f.error, -EIO);
        ck_assert_ptr_nonnull(strstr(f.reason, "disk I/O error"));
        ck_assert_ptr_nonnull(strstr(f.reason, strerror(EIO)));
        fixture_done(&f);
}
END_TEST

/* While the log is moved: everything in it is safe, but the disk is not to be trusted any more. */
START_TEST(test_eio_in_checkpoint) {
        static const StoreFaultPoint points[] = { STORE_FAULT_WRITE, STORE_FAULT_SYNC };

        for (size_t i = 0; i < ELEMENTSOF(points); i++) {
                uint64_t last, safe;

                fixture_init(&f, STORE_FULL);
                f.expects_failure = true;
                in_checkpoint = (StoreFault){
                        .point = points[i], .action = STORE_FAULT_EIO, .n = 1, .count = 1
                };
                store_fault_set(&until_checkpoint);
                fixture_open(&f);
                last = run_until_failure(N_MANY);
                safe = f.safe;
                ck_assert_int_eq(f.error, -EIO);
                fixture_close(&f);
                store_fault_set(&(StoreFault){});
                fixture_open(&f);
                (void) workload_check_prefix(&w, f.store, safe, last);
                fixture_close(&f);
                fixture_check_file(&f);
                fixture_done(&f);
        }
}
END_TEST

/* --- fsync --------------------------------------------------------------------------------------- */

static void count_unsynced(StoreFaultPoint point, void *userdata) {
        if (point == STORE_FAULT_COMMITTED && store_fault_unsynced() > 0)
                (*(unsigned *) userdata)++;
}

/* With "full" nothing is called safe before an fsync; with "process" there is none on the way. */
START_TEST(test_durability) {
        unsigned n_unsynced = 0;
        uint64_t n_syncs;

        fixture_init(&f, (StoreDurability) _i);
        store_fault_set(&(StoreFault){ .at = count_unsynced, .userdata = &n_unsynced });
        fixture_open(&f);
        n_syncs = store_fault_count(STORE_FAULT_SYNC);
        (void) run_until_failure(N_BATCHES);
        n_syncs = store_fault_count(STORE_FAULT_SYNC) - n_syncs;
        ck_assert_uint_gt(store_fault_count(STORE_FAULT_COMMITTED), 5);
        if (_i == STORE_FULL) {
                ck_assert_uint_eq(n_unsynced, 0);
                ck_assert_uint_ge(n_syncs, store_fault_count(STORE_FAULT_COMMITTED));
        } else {
                ck_assert_uint_eq(n_unsynced, store_fault_count(STORE_FAULT_COMMITTED));
                ck_assert_uint_eq(n_syncs, 0);
        }
        fixture_done(&f);
}
END_TEST

int main(void) {
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_parse);
        tcase_add_test(t, test_environment);
        tcase_add_loop_test(t, test_kill_at_step, STORE_FULL, STORE_PROCESS + 1);
        tcase_add_loop_test(t, test_kill_at_call, STORE_FULL, STORE_PROCESS + 1);
        tcase_add_loop_test(t, test_kill_at_checkpoint, STORE_FULL, STORE_PROCESS + 1);
        tcase_add_test(t, test_eio);
        tcase_add_test(t, test_eio_in_checkpoint);
        tcase_add_test(t, test_sync_without_space);
        tcase_add_test(t, test_reason);
        tcase_add_loop_test(t, test_durability, STORE_FULL, STORE_PROCESS + 1);
        return fixture_run("store_fault", t);
}
