/* SPDX-License-Identifier: MIT */

/* link.c, request.c and await.c: coordinators that come late, go, and come back. */

#include <sched.h>

#include "client-fixture.h"
#include "time-util.h"

static void restart(void) {
        fake_stop(fake);
        fake_start(fake);
}

START_TEST(the_coordinator_may_come_last) {
        Seen *seen = watch_results();

        ck_assert_ok(fastworker_client_set_address(client, private_address("control.sock")));
        ck_assert_ok(fastworker_client_start(client));
        submit_many("echo", 0, 3);
        while (fastworker_client_process(client) > 0)
                ;
        ck_assert_int_eq(fastworker_client_is_connected(client), 0);
        fake = fake_new(private_address("control.sock"));
        run_until_done();
        ck_assert_uint_eq(seen->n_success, 3);
        ck_assert_int_eq(fastworker_client_is_connected(client), 1);
}
END_TEST

START_TEST(a_restart_is_invisible_to_blocking_calls) {
        fastworker_submission s = { .name = "echo" };
        fastworker_result *result;
        char id[FASTWORKER_TASK_ID_SIZE];

        for (unsigned i = 0; i < 3; i++) {
                restart();
                ck_assert_ok(fastworker_submit(client, &s, id));
                restart();
                ck_assert_ok(fastworker_wait(client, id, LONG_USEC, &result));
                ck_assert_int_eq(fastworker_result_is_success(result), 1);
                fastworker_result_free(result);
        }
        ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), 3);
}
END_TEST

START_TEST(results_are_asked_for_again) {
        Seen *seen = watch_results();
        uint64_t usec;

        submit_many("slow", 0, 1);
        while (seen->n_accepted < 1)
                ck_assert_int_eq(fastworker_client_run(client, LONG_USEC), 1);
        restart();
        /* The WAIT of the new connection travels before the ping that ends the task. */
        ck_assert_ok(fastworker_ping(client, &usec));
        run_until_done();
        ck_assert_uint_eq(seen->n_success, 1);
        ck_assert_uint_ge(fake_count(fake, FAKE_WAITS), 1);
}
END_TEST

/* Half of a stream is unsent, unanswered or running when the coordinator goes, five times. */
START_TEST(a_stream_survives_restarts) {
        enum { N = 20000 };
        Seen *seen = watch_results();

        for (size_t i = 0; i < 5; i++) {
                size_t goal = i * (N / 5) + N / 20;

                submit_many("echo", i * (N / 5), N / 5);
                while (seen->n_results < goal)
                        ck_assert_int_eq(fastworker_client_run(client, LONG_USEC), 1);
                restart();
        }
        run_until_done();
        ck_assert_uint_eq(seen->n_success, N);
        for (size_t i = 0; i < N; i++)
                ck_assert_uint_eq(seen->count[i], 1);
        ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), N);
}
END_TEST

START_TEST(a_coordinator_without_memory_is_told_apart) {
        Seen *seen = watch_results();

        submit_many("hold", 0, 2);
        while (seen->n_accepted < 2)
                ck_assert_int_eq(fastworker_client_run(client, LONG_USEC), 1);
        fake_stop(fake);
        fake_forget(fake);
        fake_start(fake);
        run_until_done();
        ck_assert_uint_eq(seen->n_results, 2);
        ck_assert_str_eq(seen->last_status, "unknown");
        ck_assert_str_eq(seen->last_error, "expired or unknown");
}
END_TEST

static void cancel_later(fastworker_client *c, const char *task_id, void *task_userdata,
                         void *userdata) {
        strcpy(userdata, task_id);
}

/* The first answer lies unread in the socket when the coordinator forgets the task: whatever is read first, the
 * task must come to an end. */
START_TEST(an_answer_from_before) {
        char id[FASTWORKER_TASK_ID_SIZE] = "";
        Seen *seen = watch_results();

        ck_assert_ok(fastworker_on_accepted(client, cancel_later, id));
        for (unsigned i = 0; i < 10; i++) {
                unsigned n = fake_count(fake, FAKE_TASKS);

                submit_many("hold", 0, 1);
                ck_assert_int_eq(fastworker_client_process(client), 1);
                while (fake_count(fake, FAKE_TASKS) == n)
                        sched_yield();
                fake_stop(fake);
                fake_forget(fake);
                fake_start(fake);
                while (fastworker_client_get_pending(client) > 0) {
                        ck_assert_int_ge(fastworker_client_run(client, 100 * USEC_PER_MSEC), 0);
                        if (id[0])
                                (void) fastworker_cancel(client, id);
                        id[0] = '\0';
                }
        }
        ck_assert_uint_eq(seen->n_results, 10);
}
END_TEST

START_TEST(more_waits_than_fit_into_a_message) {
        enum { N = 2500 };
        Seen *seen = watch_results();

        submit_many("hold", 0, N);
        while (seen->n_accepted < N)
                ck_assert_int_eq(fastworker_client_run(client, LONG_USEC), 1);
        fake_stop(fake);
        fake_forget(fake);
        fake_start(fake);
        run_until_done();
        ck_assert_uint_eq(seen->n_results, N);
        for (size_t i = 0; i < N; i++)
                ck_assert_uint_eq(seen->count[i], 1);
}
END_TEST

START_TEST(a_refused_wait_is_asked_again_later) {
        Seen *seen = watch_results();
        fastworker_submission s = { .name = "echo" };
        char id[FASTWORKER_TASK_ID_SIZE];

        ck_assert_ok(fastworker_submit(client, &s, id));
        fake_refuse_all(fake, "queue-full", "too many waits");
        ck_assert_ok(fastworker_watch(client, id, NULL));
        ck_assert_int_eq(fastworker_client_run(client, LONG_USEC), 1);
        while (fake_count(fake, FAKE_REQUESTS) < 3)
                ck_assert_int_ge(fastworker_client_run(client, USEC_PER_MSEC), 0);
        fake_refuse_all(fake, NULL, NULL);
        run_until_done();
        ck_assert_uint_eq(seen->n_success, 1);
}
END_TEST

START_TEST(a_denied_wait_ends) {
        Seen *seen = watch_results();

        fake_refuse_all(fake, "denied", "not for you");
        ck_assert_ok(fastworker_watch(client, "0193a000-0000-7000-8000-000000000001", (void *) 1));
        ck_assert_ok(fastworker_watch(client, "0193a000-0000-7000-8000-000000000002", (void *) 2));
        run_until_done();
        ck_assert_uint_eq(seen->count[1], 1);
        ck_assert_uint_eq(seen->count[2], 1);
        ck_assert_str_eq(seen->last_status, "refused");
        ck_assert_str_eq(seen->last_code, "denied");
        ck_assert_str_eq(seen->last_error, "not for you");
}
END_TEST

/* Nobody answers: each question ends by itself, and the client is still good. */
START_TEST(questions_end_while_it_is_away) {
        uint64_t usec;

        ck_assert_ok(fastworker_client_set_timeout(client, 50 * USEC_PER_MSEC));
        fake_stop(fake);
        ck_assert_fails(fastworker_ping(client, &usec), ETIMEDOUT, "within 50 ms");
        fake_start(fake);
        ck_assert_ok(fastworker_client_set_timeout(client, LONG_USEC));
        ck_assert_ok(fastworker_ping(client, &usec));
        ck_assert_uint_gt(usec, 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("client: restart");
        TCase *t;

        t = tcase_create("start");
        tcase_add_checked_fixture(t, setup_nothing, teardown_all);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, the_coordinator_may_come_last);
        suite_add_tcase(s, t);

        t = tcase_create("restart");
        tcase_add_checked_fixture(t, setup_connected, teardown_all);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, a_restart_is_invisible_to_blocking_calls);
        tcase_add_test(t, results_are_asked_for_again);
        tcase_add_test(t, a_stream_survives_restarts);
        tcase_add_test(t, a_coordinator_without_memory_is_told_apart);
        tcase_add_test(t, an_answer_from_before);
        tcase_add_test(t, more_waits_than_fit_into_a_message);
        tcase_add_test(t, a_refused_wait_is_asked_again_later);
        tcase_add_test(t, a_denied_wait_ends);
        tcase_add_test(t, questions_end_while_it_is_away);
        suite_add_tcase(s, t);
        return check_run(s);
}
