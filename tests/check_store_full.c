/* SPDX-License-Identifier: MIT */

/* Disks without room: submits are refused, nothing else is lost, and it is got over without help. */

#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "../src/controld/store-fault.h"
#include "store-fixture.h"

#define N_BATCHES 24
#define N_MANY    700 /* enough for the log to be moved */

static Fixture f;
static Workload w;

static void set_fault(StoreFaultAction action, uint64_t n, uint64_t count) {
        store_fault_set(&(StoreFault){
                .point = STORE_FAULT_WRITE, .action = action, .n = n, .count = count });
}

static void assert_state(uint64_t last) {
        static Snapshot loaded, expected;

        fixture_close(&f);
        store_fault_set(&(StoreFault){});
        workload_expect(&w, last, f.refused, f.n_refused, &expected);
        fixture_open(&f);
        snapshot_load(&loaded, f.store);
        ck_assert(snapshot_equal(&loaded, &expected));
        fixture_close(&f);
        fixture_check_file(&f);
}

/* From the n-th write on there is no room; then there is again. Returns whether it was noticed. */
static bool fill_up_at(uint64_t n, StoreFaultAction action) {
        uint64_t ticket = 0;
        bool noticed;

        fixture_init(&f, STORE_FULL);
        f.expects_refusals = true;
        store_fault_set(&(StoreFault){});
        fixture_open(&f);
        set_fault(action, n, UINT64_MAX);
        workload_init(&w, 11);
        while (ticket < N_BATCHES) {
                workload_append(&w, f.store, ++ticket);
                ck_assert_uint_eq(store_commit(f.store), ticket);
                if (ticket % 3 == 0 && fixture_sync(&f) < 0)
                        ck_assert(store_is_full(f.store));
        }
        noticed = fixture_sync(&f) < 0 || f.n_refused > 0;

        /* Room again: all that waits gets through, without being asked to. */
        set_fault(action, 0, 0);
        fixture_wait(&f, ticket);
        ck_assert_uint_eq(f.n_failed, 0);
        assert_state(ticket);
        fixture_done(&f);
        return noticed;
}

START_TEST(test_enospc) {
        uint64_t n = 1;

        while (fill_up_at(n, STORE_FAULT_ENOSPC))
                n += 19;
        ck_assert_uint_gt(n, 20);
}
END_TEST

START_TEST(test_short_write) {
        uint64_t n = 1;

        while (fill_up_at(n, STORE_FAULT_SHORT))
                n += 29;
        ck_assert_uint_gt(n, 30);
}
END_TEST

/* Of a quota that is used up SQLite makes an I/O error. */
START_TEST(test_quota) {
        ck_assert(fill_up_at(1, STORE_FAULT_EDQUOT));
        ck_assert(fill_up_at(20, STORE_FAULT_EDQUOT));
}
END_TEST

/* No room to move the log: it grows instead, and is moved later. */
static void arm_in_checkpoint(StoreFaultPoint point, void *userdata) {
        if (point == STORE_FAULT_CHECKPOINT)
                set_fault(STORE_FAULT_ENOSPC, 1, 1);
}

START_TEST(test_enospc_in_checkpoint) {
        fixture_init(&f, STORE_FULL);
        f.expects_refusals = true;
        store_fault_set(&(StoreFault){ .at = arm_in_checkpoint });
        fixture_open(&f);
        workload_init(&w, 11);
        for (uint64_t ticket = 1; ticket <= N_MANY; ticket++) {
                workload_append(&w, f.store, ticket);
                ck_assert_uint_eq(store_commit(f.store), ticket);
                if (ticket % 3 == 0)
                        ck_assert_int_eq(fixture_sync(&f), 0);
        }
        ck_assert_int_eq(fixture_sync(&f), 0);
        ck_assert_uint_eq(f.safe, N_MANY);
        ck_assert_uint_gt(f.n_refused, 0);
        assert_state(N_MANY);
        fixture_done(&f);
}
END_TEST

START_TEST(test_no_room_to_open) {
        for (uint64_t n = 1; n < 5; n++) {
                _cleanup_free_ char *error = NULL;

                fixture_init(&f, STORE_FULL);
                set_fault(STORE_FAULT_ENOSPC, n, UINT64_MAX);
                ck_assert_int_eq(fixture_try_open(&f, &error), -ENOSPC);
                ck_assert_ptr_nonnull(strstr(error, f.path));
                ck_assert_ptr_nonnull(strstr(error, "free some"));
                store_fault_set(&(StoreFault){});
                fixture_open(&f);
                fixture_done(&f);
        }
}
END_TEST

/* Submits are accepted again within about a second, though nothing else happens. */
START_TEST(test_recovery) {
        uint64_t ticket;

        fixture_init(&f, STORE_FULL);
        f.expects_refusals = true;
        store_fault_set(&(StoreFault){});
        fixture_open(&f);
        set_fault(STORE_FAULT_ENOSPC, 1, UINT64_MAX);
        workload_init(&w, 1);
        do {
                workload_append(&w, f.store, 1);
        } while (w.next_sequence == 0);
        ticket = store_commit(f.store);
        while (f.n_refused == 0)
                fixture_turn(&f);
        ck_assert_uint_eq(f.refused[0], ticket);
        ck_assert(store_is_full(f.store));
        set_fault(STORE_FAULT_ENOSPC, 0, 0);
        fixture_wait(&f, ticket);
        while (f.n_room == 0) /* that is told, too */
                fixture_turn(&f);
        ck_assert(!store_is_full(f.store));
        do {
                workload_append(&w, f.store, 2);
        } while (w.ops[w.n_ops - 1].kind != OP_SUBMIT);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_uint_eq(f.n_refused, 1);
        assert_state(2);
        fixture_done(&f);
}
END_TEST

static bool write_text(const char *path, const char *text) {
        FILE *file = fopen(path, "we");
        bool ok;

        if (!file)
                return false;
        ok = fputs(text, file) >= 0;
        return fclose(file) == 0 && ok;
}

/* In a namespace of our own, as root or not. */
static bool may_mount(void) {
        char users[32], groups[32];

        (void) snprintf(users, sizeof(users), "0 %u 1", (unsigned) geteuid());
        (void) snprintf(groups, sizeof(groups), "0 %u 1", (unsigned) getegid());
        if (geteuid() == 0) {
                if (unshare(CLONE_NEWNS) < 0)
                        return false;
        } else if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
                   !write_text("/proc/self/setgroups", "deny") ||
                   !write_text("/proc/self/uid_map", users) ||
                   !write_text("/proc/self/gid_map", groups))
                return false;
        return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) >= 0;
}

/* A real file system without room, of which the reserve gives some. */
START_TEST(test_reserve) {
        uint64_t ticket = 0;
        char filler[128];
        struct stat st;
        FILE *file;

        if (!may_mount()) {
                (void) puts(
                        "No file system can be mounted here: the test of the reserve is left out.");
                return;
        }
        fixture_init(&f, STORE_FULL);
        ck_assert_int_eq(mount("tmpfs", f.directory, "tmpfs", 0, "size=4m"), 0);
        f.expects_refusals = true;
        f.config.reserve_bytes = 1024 * 1024;
        fixture_open(&f);
        (void) snprintf(filler, sizeof(filler), "%s-reserve", f.path);
        ck_assert_int_eq(stat(filler, &st), 0);
        ck_assert_int_eq(st.st_size, 1024 * 1024);

        (void) snprintf(filler, sizeof(filler), "%s/filler", f.directory);
        file = fopen(filler, "we");
        ck_assert_ptr_nonnull(file);
        setbuf(file, NULL);
        workload_init(&w, 5);
        workload_append(&w, f.store, ++ticket);
        fixture_wait(&f, store_commit(f.store));
        while (fputc('x', file) != EOF) {
                static const char block[4095];

                (void) fwrite(block, 1, sizeof(block), file);
        }
        (void) fclose(file);

        /* Submits are refused, all else goes on at once. */
        while (f.n_refused == 0) {
                workload_append(&w, f.store, ++ticket);
                ck_assert_uint_eq(store_commit(f.store), ticket);
                ck_assert_int_eq(fixture_sync(&f), 0);
        }
        ck_assert(store_is_full(f.store));
        for (size_t i = 0; i < 20; i++) {
                workload_append(&w, f.store, ++ticket);
                ck_assert_uint_eq(store_commit(f.store), ticket);
                ck_assert_int_eq(fixture_sync(&f), 0);
        }

        /* With room again the reserve is made anew, and submits are taken. */
        ck_assert_int_eq(unlink(filler), 0);
        while (store_is_full(f.store))
                (void) sched_yield();
        (void) snprintf(filler, sizeof(filler), "%s-reserve", f.path);
        ck_assert_int_eq(stat(filler, &st), 0);
        ck_assert_int_eq(st.st_size, 1024 * 1024);
        assert_state(ticket);
        fixture_close(&f);
        ck_assert_int_eq(umount2(f.directory, MNT_DETACH), 0);
        fixture_done(&f);
}
END_TEST

/* The disk is full of the store itself, which never becomes smaller: what is forgotten makes room in it. */
START_TEST(test_disk_full_of_tasks) {
        static uint8_t bytes[10000];
        StoreTask task = { .name = "add",
                           .priority = PRIORITY_NORMAL,
                           .state = TASK_QUEUED,
                           .arguments = { bytes, sizeof(bytes) } };
        const uint64_t reserve = 1024 * 1024;
        uint64_t n;

        if (!may_mount()) {
                (void) puts("No file system can be mounted here: a test of full ones is left out.");
                return;
        }
        fixture_init(&f, STORE_FULL);
        ck_assert_int_eq(mount("tmpfs", f.directory, "tmpfs", 0, "size=12m"), 0);
        f.expects_refusals = true;
        f.config.reserve_bytes = reserve;
        store_fault_set(&(StoreFault){});
        fixture_open(&f);
        for (n = 0; f.n_refused == 0; n++) {
                task.sequence = n;
                ck_assert_int_eq(store_submit(f.store, &task, 1), 0);
                fixture_wait(&f, store_commit(f.store));
        }
        ck_assert_uint_gt(n, 300);
        ck_assert_uint_ge(store_lacking_bytes(f.store), reserve);

        for (uint64_t i = 0; store_lacking_bytes(f.store) > 0;) {
                ck_assert_uint_lt(i, n - 100);
                for (uint64_t end = i + 20; i < end; i++)
                        ck_assert_int_eq(store_forget(f.store, i), 0);
                fixture_wait(&f, store_commit(f.store));
        }
        while (f.n_room == 0)
                fixture_turn(&f);
        f.n_refused = 0;
        for (uint64_t i = 0; i < 50; i++) {
                task.sequence = n + i;
                ck_assert_int_eq(store_submit(f.store, &task, 1), 0);
                fixture_wait(&f, store_commit(f.store));
        }
        ck_assert_uint_eq(f.n_refused, 0);
        fixture_close(&f);
        fixture_check_file(&f);
        ck_assert_int_eq(umount2(f.directory, MNT_DETACH), 0);
        fixture_done(&f);
}
END_TEST

int main(void) {
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_enospc);
        tcase_add_test(t, test_short_write);
        tcase_add_test(t, test_quota);
        tcase_add_test(t, test_enospc_in_checkpoint);
        tcase_add_test(t, test_no_room_to_open);
        tcase_add_test(t, test_recovery);
        tcase_add_test(t, test_reserve);
        tcase_add_test(t, test_disk_full_of_tasks);
        return fixture_run("store_full", t);
}
