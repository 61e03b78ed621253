/* SPDX-License-Identifier: MIT */

/* A pool with runners of two kinds. */

#include "pool-test.h"

static void start_both(unsigned n) {
        run_modes("good", "other", n);
        run_until(seen.n_ready == 1);
        ck_assert_uint_eq(pool_slots(pool), n);
        ck_assert_uint_eq(type_table_count(types), ODD_RUNNER_N_TYPES + 3);
}

/* Each task goes to a runner of its kind; interpreters are started when they are needed. */
START_TEST(test_kinds) {
        start_both(2);
        ck_assert_uint_eq(n_children(), 3);
        add("other.ok", 1);
        add("ok", 2);
        pool_pump(pool);
        run_until(seen.n_finished == 2);
        ck_assert_uint_eq(seen.outcomes[WIRE_OUTCOME_SUCCESS], 2);
        ck_assert_uint_eq(n_children(), 3);

        add("progress", 3);
        pool_pump(pool);
        run_until(seen.n_finished == 3);
        ck_assert_uint_eq(seen.percent, 4250);

        add("other.wait", 4);
        add("other.wait", 5);
        pool_pump(pool);
        run_until(seen.n_waiting_logs == 2);
        ck_assert_uint_eq(n_children(), 4);
        ck_assert_uint_eq(seen.n_finished, 3);
        ck_assert_uint_eq(pool_slots(pool), 2);
}
END_TEST

/* However many runners there are, not more tasks run than were asked for. */
START_TEST(test_kinds_share) {
        Job *wait;

        start_both(1);
        wait = add("wait", 1);
        add("other.ok", 2);
        add("ok", 3);
        pool_pump(pool);
        run_until(seen.n_released == 2);
        ck_assert_uint_eq(pool_n_running(pool), 1);
        ck_assert_uint_eq(seen.n_finished, 0);
        pool_cancel(pool, wait);
        run_until(seen.n_finished == 1);
        add("other.wait", 4);
        add("ok", 5);
        pool_pump(pool);
        run_until(seen.n_released == 3);
        ck_assert_uint_eq(pool_n_running(pool), 1);
}
END_TEST

/* Short tasks of one kind do not keep one of the other from its turn. */
START_TEST(test_kinds_take_turns) {
        unsigned n_other = 0;

        start_both(1);
        run_ok(100);
        for (unsigned i = 0; i < 20; i++)
                add("ok", 200 + i);
        add("other.ok", 300);
        for (unsigned i = 0; i < 20; i++)
                add("ok", 301 + i);
        pool_pump(pool);
        run_until(seen.n_finished + seen.n_released == 100 + 41);
        for (unsigned i = 100; i < seen.n_finished; i++)
                n_other += seen.order[i] <= 300;
        /* What came before it ended before it. */
        for (unsigned i = 100; i < seen.n_finished && seen.order[i] != 300; i++)
                ck_assert_uint_lt(seen.order[i], 300);
        ck_assert_uint_ge(n_other, 1);
}
END_TEST

START_TEST(test_kinds_conflict) {
        run_modes("other", "other", 1);
        run_until(seen.n_failed == 1);
        ck_assert_str_eq(seen.failed, "task other.ok is defined in /m/other.py and in /m/other.py");
        ck_assert_uint_eq(seen.n_ready, 0);
}
END_TEST

/* Kinds come and go with a reload; one that fails changes nothing. */
START_TEST(test_reload_kinds) {
        start(1);
        run_modes("good", "failed", 1);
        run_until(seen.n_failed == 1);
        run_modes("good", "good", 1);
        run_until(seen.n_failed == 2);
        ck_assert_ptr_nonnull(strstr(seen.failed, " is defined in "));
        run_until(n_children() == 1);
        run_ok(10);
        ck_assert_uint_eq(type_table_count(types), ODD_RUNNER_N_TYPES);
        ck_assert_uint_eq(seen.n_ready, 1);

        run_modes("good", "other", 1);
        run_until(seen.n_ready == 2);
        ck_assert_uint_eq(type_table_count(types), ODD_RUNNER_N_TYPES + 3);
        add("other.ok", 20);
        pool_pump(pool);
        run_until(seen.n_finished == 11);

        run_modes(NULL, "other", 2);
        run_until(seen.n_ready == 3);
        ck_assert_uint_eq(type_table_count(types), 3);
        run_until(n_children() == 1);
        ck_assert_uint_eq(pool_slots(pool), 2);
        add("ok", 21);
        add("other.ok", 22);
        pool_pump(pool);
        run_until(seen.n_finished == 12);
        ck_assert_uint_eq(seen.n_released, 1);
        ck_assert_str_eq(seen.reason, "this worker no longer offers the task");
}
END_TEST

int main(int argc, char *argv[]) {
        Suite *s;
        TCase *c;

        if (argc == 3 && streq(argv[1], "--as-runner"))
                return odd_runner(argv[2]);

        s = suite_create("pool-kinds");
        c = tcase_create("pool-kinds");
        tcase_set_timeout(c, 60);
        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, test_kinds);
        tcase_add_test(c, test_kinds_share);
        tcase_add_test(c, test_kinds_take_turns);
        tcase_add_test(c, test_kinds_conflict);
        tcase_add_test(c, test_reload_kinds);
        suite_add_tcase(s, c);
        return check_run(s);
}
