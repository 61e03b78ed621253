/* SPDX-License-Identifier: MIT */

/* What every implementation of store.h must do: the same tests for each durability. */

#include <stdio.h>

#include "store-fixture.h"

static Fixture f;
static Workload w;

static void begin(int durability) {
        fixture_init(&f, (StoreDurability) durability);
        fixture_open(&f);
}

static bool keeps(void) {
        return f.config.durability != STORE_NONE;
}

static void reopen(void) {
        fixture_close(&f);
        fixture_open(&f);
}

/* What a store that keeps something must hold now. */
static void assert_holds(const Snapshot *expected) {
        static Snapshot loaded, nothing;

        snapshot_load(&loaded, f.store);
        if (keeps()) {
                ck_assert(snapshot_equal(&loaded, expected));
                return;
        }
        workload_expect(&(Workload){}, 0, NULL, 0, &nothing);
        ck_assert(snapshot_equal(&loaded, &nothing));
}

static void submit_one(uint64_t sequence) {
        StoreTask t = example_task(sequence, 0);

        ck_assert_int_eq(store_submit(f.store, &t, 1), 0);
}

static void update_to(uint64_t sequence, uint32_t version) {
        StoreTask t = example_task(sequence, version);

        ck_assert_int_eq(store_update(f.store, &t), 0);
}

START_TEST(test_names) {
        ck_assert_str_eq(store_durability_to_string(STORE_FULL), "full");
        ck_assert_str_eq(store_durability_to_string(STORE_PROCESS), "process");
        ck_assert_str_eq(store_durability_to_string(STORE_NONE), "none");
        for (StoreDurability d = 0; d < _STORE_DURABILITY_MAX; d++)
                ck_assert_int_eq(store_durability_from_string(store_durability_to_string(d)), d);
        ck_assert_int_eq(store_durability_from_string("most"), -EINVAL);
        ck_assert_ptr_null(store_close(NULL));
}
END_TEST

START_TEST(test_tickets) {
        uint64_t first, second;

        begin(_i);
        ck_assert_uint_eq(store_commit(f.store), 0);
        ck_assert_uint_eq(store_safe_ticket(f.store), 0);
        ck_assert_int_eq(store_submit(f.store, NULL, 0), 0);
        ck_assert_uint_eq(store_commit(f.store), 0);

        submit_one(0);
        first = store_commit(f.store);
        ck_assert_uint_gt(first, 0);
        ck_assert_uint_eq(store_commit(f.store), first);
        if (!keeps())
                ck_assert_uint_eq(store_safe_ticket(f.store), first);
        /* Never told from within a call (on_safe sees to that), but from the loop. */
        ck_assert_uint_eq(f.safe, 0);
        fixture_wait(&f, first);
        ck_assert_uint_eq(f.safe, first);
        ck_assert_uint_eq(store_safe_ticket(f.store), first);

        submit_one(1);
        submit_one(2);
        second = store_commit(f.store);
        ck_assert_uint_gt(second, first);
        fixture_wait(&f, second);
        ck_assert_uint_eq(f.safe, second);
        ck_assert_uint_eq(store_commit(f.store), second);
        fixture_done(&f);
}
END_TEST

/* Each kind of change alone comes to be safe, also those nobody waits for. */
START_TEST(test_each_kind) {
        uint64_t ticket;

        begin(_i);
        submit_one(0);
        fixture_wait(&f, store_commit(f.store));
        for (uint32_t version = 1; version < 8; version++) {
                update_to(0, version);
                fixture_wait(&f, store_commit(f.store));
        }
        ck_assert_int_eq(store_add_type(f.store, "type-1"), 0);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_int_eq(store_add_type(f.store, "type-1"), 0);
        ck_assert_int_eq(store_forget(f.store, 0), 0);
        ticket = store_commit(f.store);
        fixture_wait(&f, ticket);
        ck_assert_uint_eq(f.safe, ticket);
        fixture_done(&f);
}
END_TEST

/* A random history, in batches that are written alone or together as it happens, then read back. */
START_TEST(test_history) {
        uint64_t ticket = 0;

        begin(_i);
        workload_init(&w, 1);
        for (size_t round = 0; round < 10; round++) {
                uint64_t n = 1 + workload_random(&w, 30);

                for (uint64_t i = 0; i < n; i++) {
                        workload_append(&w, f.store, ticket + 1);
                        ck_assert_uint_eq(store_commit(f.store), ++ticket);
                        if (workload_random(&w, 6) == 0)
                                fixture_wait(&f, workload_random(&w, ticket + 1));
                        else if (workload_random(&w, 3) == 0)
                                ck_assert_int_eq(fixture_sync(&f), 0);
                }
                if (round % 2 == 0)
                        fixture_wait(&f, ticket);
                reopen();
                assert_holds(&w.now);
                workload_init(&w, 100 + round);
                fixture_done(&f);
                begin(_i);
                ticket = 0;
        }
        fixture_done(&f);
}
END_TEST

/* The same history gives the same store, however it is cut into batches and groups. */
START_TEST(test_merge) {
        static const size_t sizes[] = { 1, 2, 7, 50, 400 };

        for (size_t k = 0; k < ELEMENTSOF(sizes); k++) {
                begin(_i);
                workload_init(&w, 7);
                for (size_t i = 0; i < 400; i++) {
                        workload_append(&w, f.store, 1);
                        if ((i + 1) % sizes[k] == 0) {
                                (void) store_commit(f.store);
                                if (k % 2 == 0)
                                        ck_assert_int_eq(fixture_sync(&f), 0);
                        }
                }
                (void) store_commit(f.store);
                reopen();
                assert_holds(&w.now);
                fixture_done(&f);
        }
}
END_TEST

START_TEST(test_open_changes_are_dropped) {
        static Snapshot expected;

        begin(_i);
        workload_init(&w, 3);
        workload_append(&w, f.store, 1);
        (void) store_commit(f.store);
        expected = w.now;
        workload_append(&w, f.store, 2);
        reopen();
        assert_holds(&expected);
        fixture_done(&f);
}
END_TEST

START_TEST(test_sync) {
        uint64_t ticket = 0;

        begin(_i);
        ck_assert_int_eq(fixture_sync(&f), 0);
        workload_init(&w, 4);
        for (size_t i = 0; i < 200; i++) {
                workload_append(&w, f.store, ++ticket);
                ck_assert_uint_eq(store_commit(f.store), ticket);
        }
        ck_assert_int_eq(fixture_sync(&f), 0);
        ck_assert_uint_eq(f.safe, ticket);
        ck_assert_uint_eq(store_safe_ticket(f.store), ticket);
        ck_assert_uint_eq(store_backlog_bytes(f.store), 0);

        /* Also for what nobody waits for. */
        submit_one(TASKS_MAX - 1);
        update_to(TASKS_MAX - 1, 1);
        ticket = store_commit(f.store);
        ck_assert_int_eq(fixture_sync(&f), 0);
        ck_assert_uint_eq(f.safe, ticket);
        fixture_done(&f);
}
END_TEST

START_TEST(test_backlog) {
        begin(_i);
        ck_assert_uint_eq(store_backlog_bytes(f.store), 0);
        ck_assert(!store_is_full(f.store));
        for (uint64_t i = 0; i < 1000; i++)
                submit_one(i);
        if (keeps())
                ck_assert_uint_gt(store_backlog_bytes(f.store), 1000 * 16);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_uint_eq(store_backlog_bytes(f.store), 0);
        ck_assert(!store_is_full(f.store));
        fixture_done(&f);
}
END_TEST

START_TEST(test_stats) {
        StoreStats before, after;

        begin(_i);
        store_get_stats(f.store, &before);
        ck_assert_uint_eq(before.n_batches, 0);
        submit_one(0);
        submit_one(1);
        fixture_wait(&f, store_commit(f.store));
        update_to(0, 1);
        (void) store_commit(f.store);
        ck_assert_int_eq(fixture_sync(&f), 0);
        store_get_stats(f.store, &after);
        ck_assert_uint_eq(after.n_batches, 2);
        ck_assert_uint_eq(after.n_changes, 3);
        ck_assert_uint_eq(after.n_groups, 2);
        ck_assert_uint_ge(after.group_usec_total, after.group_usec_max);
        if (keeps())
                ck_assert_uint_gt(after.bytes, 4096);
        fixture_done(&f);
}
END_TEST

static uint8_t big[3 * 1024 * 1024];
static const StoreTask *given;
static unsigned n_calls;

static int compare_with_given(const StoreTask *t, void *userdata) {
        n_calls++;
        ck_assert_uint_eq(t->sequence, given->sequence);
        ck_assert_str_eq(t->name, given->name);
        ck_assert_str_eq(t->worker, given->worker);
        ck_assert_uint_eq(t->attempt, given->attempt);
        ck_assert_uint_eq(t->crashes, given->crashes);
        ck_assert_uint_eq(t->due_usec, given->due_usec);
        ck_assert_uint_eq(t->expires_usec, given->expires_usec);
        ck_assert_uint_eq(t->retries, given->retries);
        ck_assert_uint_eq(t->history.iov_len, given->history.iov_len);
        ck_assert_mem_eq(t->history.iov_base, big, given->history.iov_len);
        ck_assert_uint_eq(t->created_usec, given->created_usec);
        ck_assert_uint_eq(t->started_usec, given->started_usec);
        ck_assert_uint_eq(t->completed_usec, given->completed_usec);
        ck_assert_uint_eq(t->key.iov_len, 0);
        ck_assert_uint_eq(t->arguments.iov_len, sizeof(big));
        ck_assert_mem_eq(t->arguments.iov_base, big, sizeof(big));
        ck_assert_uint_eq(t->result.iov_len, sizeof(big));
        ck_assert_mem_eq(t->result.iov_base, big, sizeof(big));
        ck_assert_uint_eq(t->error.iov_len, 1);
        ck_assert_mem_eq(t->error.iov_base, big, 1);
        return 0;
}

/* Of each field. */
START_TEST(test_extremes) {
        static char name[256], worker[129];
        StoreTask t = {
                .sequence = STORE_SEQUENCE_MAX,
                .name = memset(name, 'n', sizeof(name) - 1),
                .priority = PRIORITY_LOW,
                .state = TASK_EXPIRED,
                .attempt = UINT32_MAX,
                .crashes = UINT32_MAX,
                .due_usec = INT64_MAX,
                .expires_usec = INT64_MAX - 1,
                .retries = UINT32_MAX,
                .history = { big, 20000 },
                .worker = memset(worker, 'w', sizeof(worker) - 1),
                .created_usec = UINT64_MAX,
                .started_usec = UINT64_MAX,
                .completed_usec = UINT64_MAX,
                .arguments = { big, sizeof(big) },
                .result = { big, sizeof(big) },
                .error = { big, 1 },
        };
        StoreLoad load = { .task = compare_with_given };

        for (size_t i = 0; i < sizeof(big); i++)
                big[i] = (uint8_t) (i * 7 + i / 255);
        begin(_i);
        given = &t;
        n_calls = 0;
        ck_assert_int_eq(store_submit(f.store, &t, 1), 0);
        fixture_wait(&f, store_commit(f.store));
        reopen();
        ck_assert_int_eq(store_load(f.store, &load, NULL), 0);
        ck_assert_uint_eq(n_calls, keeps() ? 1 : 0);
        fixture_done(&f);
}
END_TEST

static int stop_at_third(const StoreTask *t, void *userdata) {
        return ++n_calls == 3 ? -ECANCELED : 0;
}

static int stop_at_type(const char *name, void *userdata) {
        return -EXFULL;
}

static void count_progress(uint64_t n, void *userdata) {
        n_calls++;
        ck_assert_uint_eq(n % 10000, 0);
}

START_TEST(test_load_handlers) {
        StoreLoad nothing = {}, third = { .task = stop_at_third }, type = { .type = stop_at_type },
                  progress = { .progress = count_progress };
        char *error = (char *) "not set";

        begin(_i);
        for (uint64_t i = 0; i < 20000; i++) {
                StoreTask t = { .sequence = i, .name = "add", .state = TASK_QUEUED };

                ck_assert_int_eq(store_submit(f.store, &t, 1), 0);
        }
        ck_assert_int_eq(store_add_type(f.store, "type-1"), 0);
        (void) store_commit(f.store);
        reopen();
        ck_assert_int_eq(store_load(f.store, &nothing, &error), 0);
        ck_assert_ptr_null(error);
        n_calls = 0;
        ck_assert_int_eq(store_load(f.store, &third, &error), keeps() ? -ECANCELED : 0);
        ck_assert_ptr_null(error);
        ck_assert_uint_eq(n_calls, keeps() ? 3 : 0);
        ck_assert_int_eq(store_load(f.store, &type, NULL), keeps() ? -EXFULL : 0);
        n_calls = 0;
        ck_assert_int_eq(store_load(f.store, &progress, NULL), 0);
        ck_assert_uint_eq(n_calls, keeps() ? 2 : 0);

        /* Loading leaves the store ready for use. */
        submit_one(30000);
        fixture_wait(&f, store_commit(f.store));
        fixture_done(&f);
}
END_TEST

static void backup_done(int error, const char *reason, void *userdata) {
        ck_assert_msg(error == 0, "%s", reason);
        ck_assert_ptr_null(reason);
        *(bool *) userdata = true;
}

START_TEST(test_backup) {
        char path[128];
        bool done = false;
        int r;

        begin(_i);
        workload_init(&w, 5);
        for (size_t i = 0; i < 100; i++)
                workload_append(&w, f.store, 1);
        fixture_wait(&f, store_commit(f.store));
        (void) snprintf(path, sizeof(path), "%s/copy.db", f.directory);
        r = store_backup(f.store, path, backup_done, &done);
        if (!keeps()) {
                ck_assert_int_eq(r, -EOPNOTSUPP);
                fixture_done(&f);
                return;
        }
        ck_assert_int_eq(r, 0);
        ck_assert_int_eq(store_backup(f.store, path, backup_done, &done), -EBUSY);
        while (!done)
                fixture_turn(&f);
        ck_assert_int_eq(store_backup(f.store, path, backup_done, &done), -EEXIST);
        ck_assert_int_eq(store_backup(f.store, "/nonexistent/copy.db", backup_done, &done),
                         -ENOENT);

        fixture_close(&f);
        f.config.path = path;
        fixture_open(&f);
        assert_holds(&w.now);
        fixture_done(&f);
}
END_TEST

/* From within a callback the store may be used. */
static void submit_again(uint64_t ticket) {
        if (ticket < 20) {
                submit_one(ticket);
                ck_assert_uint_eq(store_commit(f.store), ticket + 1);
        }
}

START_TEST(test_reentrance) {
        begin(_i);
        f.on_safe = submit_again;
        submit_one(0);
        (void) store_commit(f.store);
        fixture_wait(&f, 20);
        ck_assert_uint_eq(f.n_safe, 20);
        fixture_done(&f);
}
END_TEST

int main(void) {
        TCase *t = tcase_create("all");
        const int n = _STORE_DURABILITY_MAX;

        tcase_add_test(t, test_names);
        tcase_add_loop_test(t, test_tickets, 0, n);
        tcase_add_loop_test(t, test_each_kind, 0, n);
        tcase_add_loop_test(t, test_history, 0, n);
        tcase_add_loop_test(t, test_merge, 0, n);
        tcase_add_loop_test(t, test_open_changes_are_dropped, 0, n);
        tcase_add_loop_test(t, test_sync, 0, n);
        tcase_add_loop_test(t, test_backlog, 0, n);
        tcase_add_loop_test(t, test_stats, 0, n);
        tcase_add_loop_test(t, test_extremes, 0, n);
        tcase_add_loop_test(t, test_load_handlers, 0, n);
        tcase_add_loop_test(t, test_backup, 0, n);
        tcase_add_loop_test(t, test_reentrance, 0, n);
        return fixture_run("store", t);
}
