/* SPDX-License-Identifier: MIT */

/* A pool whose runners are this program itself; see odd-runner.h. */

#include <signal.h>

#include "pool-test.h"

START_TEST(test_runs_in_order) {
        start(1);
        run_ok(JOBS_MAX);
        ck_assert_uint_eq(seen.outcomes[WIRE_OUTCOME_SUCCESS], JOBS_MAX);
        for (unsigned i = 0; i < JOBS_MAX; i++)
                ck_assert_uint_eq(seen.order[i], i);
        ck_assert_str_eq(seen.text, "{}");
        ck_assert_uint_eq(pool_n_running(pool), 0);
        ck_assert_uint_eq(pool_n_waiting(pool), 0);
        ck_assert(!pool_expects_more(pool));
        ck_assert(pool_is_healthy(pool));
        /* Now it is known that they are short. */
        ck_assert_uint_gt(seen.capacity, 1);
        ck_assert_uint_eq(seen.capacity, pool_capacity(pool));
}
END_TEST

START_TEST(test_all_slots_work) {
        start(3);
        ck_assert_uint_eq(seen.capacity, 3);
        for (unsigned i = 0; i < 3; i++)
                add("wait", i);
        pool_pump(pool);
        ck_assert_uint_eq(pool_n_running(pool), 3);
        run_until(seen.n_waiting_logs == 3);
        run_until(seen.n_started == 3);
        ck_assert_uint_eq(seen.n_finished, 0);
}
END_TEST

/* Behind a task that takes long nothing waits: it goes back to controld. */
START_TEST(test_does_not_hoard) {
        uint64_t since;
        Job *wait;

        start(1);
        run_ok(100);
        ck_assert_uint_gt(seen.capacity, 10);

        /* A long one of a type that is not known goes to the runner, short ones behind it stay here. */
        wait = add("wait", 200);
        for (unsigned i = 201; i < 221; i++)
                add("ok", i);
        pool_pump(pool);
        ck_assert(pool_job_runs(pool, wait, &since));
        run_until(seen.n_released == 20);
        ck_assert_str_eq(seen.reason, BUSY_REASON);
        ck_assert_uint_eq(seen.capacity, 1);
        ck_assert_uint_eq(seen.n_started, 1);
        ck_assert(pool_job_runs(pool, wait, &since));

        /* And so do tasks that come in spite of that. */
        add("ok", 300);
        pool_pump(pool);
        run_until(seen.n_released == 21);
}
END_TEST

/* A task that was thought short, and isn't: what is in the socket behind it comes back out and, as there is
 * another runner, runs there. */
START_TEST(test_takes_back) {
        TaskType *wait;

        start(2);
        wait = type_table_find(types, "wait", 4);
        type_observe(wait, 5);
        run_ok(100);

        add("wait", 200);
        for (unsigned i = 201; i < 240; i++)
                add("ok", i);
        pool_pump(pool);
        run_until(seen.n_finished + seen.n_released == 100 + 39);
        ck_assert_uint_eq(seen.outcomes[WIRE_OUTCOME_SUCCESS], seen.n_finished);
        ck_assert_uint_gt(seen.n_finished, 100);
        ck_assert_uint_eq(pool_n_running(pool), 1);
}
END_TEST

START_TEST(test_crash) {
        start(1);
        for (unsigned i = 0; i < 50; i++) {
                add(i % 10 == 5 ? "segv" : "ok", i);
                pool_pump(pool);
                run_until(seen.n_finished == i + 1);
        }
        ck_assert_uint_eq(seen.outcomes[WIRE_OUTCOME_CRASH], 5);
        ck_assert_uint_eq(seen.outcomes[WIRE_OUTCOME_SUCCESS], 45);
        for (unsigned i = 0; i < 50; i++)
                ck_assert_uint_eq(seen.order[i], i);
        add("exit", 60);
        pool_pump(pool);
        run_until(seen.n_finished == 51);
        ck_assert_str_eq(seen.text, "runner exited with status 3");
}
END_TEST

START_TEST(test_cancel) {
        Job *running, *waiting;

        start(1);
        running = add("wait", 1);
        waiting = add("wait", 2);
        pool_pump(pool);
        run_until(seen.n_waiting_logs == 1);
        pool_cancel(pool, waiting);
        ck_assert_uint_eq(seen.outcomes[WIRE_OUTCOME_CANCELLED], 1);
        ck_assert_str_eq(seen.text, "cancelled before it began");
        pool_cancel(pool, running);
        ck_assert_uint_eq(seen.n_finished, 1);
        pool_cancel(pool, running); /* once more does no harm */
        add("ok", 3);
        pool_pump(pool);
        run_until(seen.n_finished == 3);
        ck_assert_uint_eq(seen.outcomes[WIRE_OUTCOME_CANCELLED], 2);
        ck_assert_uint_eq(seen.outcomes[WIRE_OUTCOME_SUCCESS], 1);
        ck_assert_uint_eq(seen.order[1], 1);
        ck_assert_uint_eq(seen.order[2], 3);
}
END_TEST

/* Cancelling one that is in the socket behind others concerns no other. */
START_TEST(test_cancel_in_socket) {
        Job *victim = NULL;
        TaskType *ok;

        start(1);
        ok = type_table_find(types, "ok", 2);
        type_observe(ok, 5);
        for (unsigned i = 0; i < 10; i++) {
                Job *job = add("ok", i);

                if (i == 7)
                        victim = job;
        }
        pool_pump(pool);
        ck_assert_int_eq(victim->state, JOB_PIPED);
        pool_cancel(pool, victim);
        pool_pump(pool);
        run_until(seen.n_finished + seen.n_released == 10);
        /* It may have been too late, and on a slow machine some are handed back; but nobody was hit. */
        ck_assert_uint_le(seen.outcomes[WIRE_OUTCOME_CANCELLED], 1);
        ck_assert_uint_eq(seen.outcomes[WIRE_OUTCOME_SUCCESS] +
                                  seen.outcomes[WIRE_OUTCOME_CANCELLED],
                          seen.n_finished);
}
END_TEST

START_TEST(test_drop) {
        Job *running, *waiting;

        start(1);
        running = add("wait", 1);
        waiting = add("ok", 2);
        pool_pump(pool);
        run_until(seen.n_waiting_logs == 1);
        pool_drop(pool, waiting);
        ck_assert_uint_eq(seen.n_dropped, 1);
        pool_drop(pool, running);
        run_until(seen.n_dropped == 2);
        ck_assert_uint_eq(seen.n_finished, 0);
        add("ok", 3);
        pool_pump(pool);
        run_until(seen.n_finished == 1);
        ck_assert_uint_eq(seen.order[0], 3);
}
END_TEST

START_TEST(test_drain) {
        TaskType *ok;

        start(1);
        ok = type_table_find(types, "ok", 2);
        add("wait", 1);
        for (unsigned i = 2; i < 10; i++)
                add("ok", i);
        pool_pump(pool);
        run_until(seen.n_waiting_logs == 1);
        pool_drain(pool, "stopping");
        ck_assert_uint_eq(seen.n_released, 8);
        ck_assert_str_eq(seen.reason, "stopping");
        ck_assert_uint_eq(seen.capacity, 0);
        ck_assert_uint_eq(pool_n_running(pool), 1);
        ck_assert(type_is_offered(ok));
        add("ok", 20);
        ck_assert_uint_eq(seen.n_released, 9);

        pool_interrupt(pool, "interrupted by shutdown");
        run_until(pool_n_running(pool) == 0);
        ck_assert_uint_eq(seen.n_released, 10);
        ck_assert_str_eq(seen.reason, "interrupted by shutdown");
        ck_assert_uint_eq(seen.n_finished, 0);
        ck_assert_uint_eq(job_table_count(jobs), 0);
        pool_stop(pool);
}
END_TEST

START_TEST(test_does_not_start) {
        run_mode("failed", 1);
        run_until(seen.n_failed == 1);
        ck_assert_str_eq(seen.failed, "modules are missing");
        ck_assert_uint_eq(seen.n_ready, 0);
}
END_TEST

/* New runners take the place of the old ones as these become idle; nothing is lost. */
START_TEST(test_reload) {
        Job *wait;

        start(2);
        wait = add("wait", 1000);
        pool_pump(pool);
        run_until(seen.n_waiting_logs == 1);
        run_mode("good", 3);
        run_ok(10);
        run_until(seen.n_ready == 2);
        run_until(pool_slots(pool) == 3);
        ck_assert_uint_eq(pool_n_running(pool), 1);
        pool_cancel(pool, wait);
        run_until(seen.outcomes[WIRE_OUTCOME_CANCELLED] == 1);

        run_mode("good", 1);
        run_until(seen.n_ready == 3);
        run_until(pool_slots(pool) == 1 && n_children() == 1);
        add("ok", 20);
        pool_pump(pool);
        run_until(seen.n_finished == 12);
        ck_assert_uint_eq(seen.n_released, 0);
}
END_TEST

/* If the new ones do not start, the old ones go on. */
START_TEST(test_reload_fails) {
        start(2);
        run_mode("failed", 4);
        run_until(seen.n_failed == 1);
        ck_assert_str_eq(seen.failed, "modules are missing");
        run_ok(10);
        ck_assert_uint_eq(seen.n_ready, 1);

        run_mode("good", 1);
        run_until(seen.n_ready == 2);
        run_until(n_children() == 1);
}
END_TEST

/* A runner that is killed from outside while idle is replaced. */
START_TEST(test_replaces) {
        _cleanup_free_ char *path = format_string("/proc/self/task/%d/children", (int) getpid());
        FILE *f;
        int pid;

        start(1);
        f = fopen(path, "re");
        ck_assert_int_eq(fscanf(f, "%d", &pid), 1);
        (void) fclose(f);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        run_until(pool_slots(pool) == 0);
        ck_assert_uint_eq(seen.capacity, 0);
        run_until(pool_slots(pool) == 1);
        ck_assert_uint_eq(seen.capacity, 1);
        add("ok", 1);
        pool_pump(pool);
        run_until(seen.n_finished == 1);
        ck_assert_uint_eq(seen.n_failed, 0);
}
END_TEST

START_TEST(test_limits) {
        start(1);
        add("ok", 1);
        pool_pump(pool);
        run_until(seen.n_finished == 1);
        ck_assert_uint_gt(seen.capacity, 1);
        pool_set_limits(pool, 0, 1 << 20);
        ck_assert_uint_eq(seen.capacity, 1);
}
END_TEST

int main(int argc, char *argv[]) {
        Suite *s;
        TCase *c;

        if (argc == 3 && streq(argv[1], "--as-runner"))
                return odd_runner(argv[2]);

        s = suite_create("pool");
        c = tcase_create("pool");
        tcase_add_checked_fixture(c, setup, teardown);
        tcase_set_timeout(c, 60);
        tcase_add_test(c, test_runs_in_order);
        tcase_add_test(c, test_all_slots_work);
        tcase_add_test(c, test_does_not_hoard);
        tcase_add_test(c, test_takes_back);
        tcase_add_test(c, test_crash);
        tcase_add_test(c, test_cancel);
        tcase_add_test(c, test_cancel_in_socket);
        tcase_add_test(c, test_drop);
        tcase_add_test(c, test_drain);
        tcase_add_test(c, test_does_not_start);
        tcase_add_test(c, test_reload);
        tcase_add_test(c, test_reload_fails);
        tcase_add_test(c, test_replaces);
        tcase_add_test(c, test_limits);
        suite_add_tcase(s, c);
        return check_run(s);
}
