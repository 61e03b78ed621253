/* SPDX-License-Identifier: MIT */

/* client.c, loop.c and result.c: settings, errors, the loop, and results. */

#include <poll.h>
#include <signal.h>
#include <sys/time.h>

#include <fastworker/task.h> /* whoever uses both headers finds no clash */

#include "client-fixture.h"
#include "time-util.h"

START_TEST(settings_are_checked) {
        ck_assert_fails(fastworker_client_set_address(client, "localhost:5555"), EINVAL,
                        "tcp://HOST:PORT");
        ck_assert_fails(fastworker_client_set_discovery_address(client, "x"), EINVAL,
                        "\"x\" is not an address");
        ck_assert_fails(fastworker_client_set_timeout(client, 999), EINVAL, "1 ms");
        ck_assert_fails(fastworker_client_set_retries(client, 101), EINVAL, "101");
        ck_assert_ok(fastworker_client_set_address(client, "tcp://127.0.0.1:1"));
        ck_assert_ok(fastworker_client_set_address(client, NULL));
        ck_assert_ok(fastworker_client_set_timeout(client, 1000));
        ck_assert_ok(fastworker_client_set_timeout(client, UINT64_MAX));
        ck_assert_ok(fastworker_client_set_retries(client, 100));
}
END_TEST

START_TEST(environment_is_checked) {
        setenv("FASTWORKER_TIMEOUT", "soon", 1);
        ck_assert_fails(fastworker_client_start(client), EINVAL, "FASTWORKER_TIMEOUT=soon");
        setenv("FASTWORKER_TIMEOUT", "1", 1);
        setenv("FASTWORKER_RETRIES", "-1", 1);
        ck_assert_fails(fastworker_client_start(client), EINVAL, "FASTWORKER_RETRIES=-1");
        setenv("FASTWORKER_RETRIES", "0", 1);
        setenv("FASTWORKER_BASE_ADDRESS", "here", 1);
        ck_assert_fails(fastworker_client_start(client), EINVAL, "FASTWORKER_BASE_ADDRESS=here");
}
END_TEST

START_TEST(nothing_works_before_start) {
        fastworker_submission s = { .name = "echo" };
        char id[FASTWORKER_TASK_ID_SIZE];
        fastworker_result *result;
        uint64_t usec;

        ck_assert_fails(fastworker_submit(client, &s, id), ENOTCONN, "not connected");
        ck_assert_fails(fastworker_submit_async(client, &s), ENOTCONN, "not connected");
        ck_assert_fails(fastworker_submit_and_wait(client, &s, 1000, &result), ENOTCONN,
                        "not connected");
        ck_assert_fails(fastworker_ping(client, &usec), ENOTCONN, "not connected");
        ck_assert_fails(fastworker_client_process(client), ENOTCONN, "not connected");
        ck_assert_fails(fastworker_watch(client, "0193a000-0000-7000-8000-000000000001", NULL),
                        ENOTCONN, "not connected");
        ck_assert_int_eq(fastworker_client_is_connected(client), 0);
        ck_assert_ptr_null(fastworker_client_get_address(client));
        ck_assert_ptr_null(fastworker_client_get_server(client));
}
END_TEST

START_TEST(connects_and_greets) {
        ck_assert_int_eq(fastworker_client_is_connected(client), 1);
        ck_assert_str_eq(fastworker_client_get_address(client), fake_address(fake));
        ck_assert_contains(fastworker_client_get_server(client), "\"worker_id\":\"fake\"");
        ck_assert_fails(fastworker_client_start(client), EISCONN, "already");
        ck_assert_fails(fastworker_client_set_address(client, "tcp://127.0.0.1:1"), EISCONN,
                        "already");
        ck_assert_uint_eq(fake_count(fake, FAKE_HELLOS), 1);
}
END_TEST

START_TEST(connect_gives_up_in_time) {
        ck_assert_ok(fastworker_client_set_address(client, private_address("nobody.sock")));
        ck_assert_ok(fastworker_client_set_timeout(client, 50 * USEC_PER_MSEC));
        ck_assert_fails(fastworker_client_connect(client), ETIMEDOUT, "nobody.sock");
}
END_TEST

START_TEST(connect_tells_a_refusal) {
        fake = fake_new(private_address("control.sock"));
        fake_refuse_all(fake, "unsupported-version", "we speak FW9");
        ck_assert_ok(fastworker_client_set_address(client, fake_address(fake)));
        ck_assert_fails(fastworker_client_connect(client), EPROTONOSUPPORT, "we speak FW9");
        ck_assert_str_eq(fastworker_client_get_error_code(client), "unsupported-version");
}
END_TEST

START_TEST(call_gives_the_result) {
        fastworker_submission s = { .name = "echo", .arguments = "{\"args\":[1]}", .userdata = &s };
        fastworker_result *result, *copy;
        size_t size;

        ck_assert_ok(fastworker_submit_and_wait(client, &s, LONG_USEC, &result));
        ck_assert_int_eq(fastworker_result_is_success(result), 1);
        ck_assert_str_eq(fastworker_result_status(result), "success");
        ck_assert_str_eq(fastworker_result_data(result, &size), "{\"args\":[1]}");
        ck_assert_uint_eq(size, strlen("{\"args\":[1]}"));
        ck_assert_str_eq(fastworker_result_error(result), "");
        ck_assert_str_eq(fastworker_result_error_code(result), "");
        ck_assert_uint_eq(strlen(fastworker_result_task_id(result)), 36);
        ck_assert_uint_gt(fastworker_result_completed_at(result), UINT64_C(1600000000000000));
        ck_assert_uint_le(fastworker_result_started_at(result),
                          fastworker_result_completed_at(result));
        ck_assert_ptr_eq(fastworker_result_userdata(result), &s);

        ck_assert_int_eq(fastworker_result_copy(result, &copy), 0);
        ck_assert_str_eq(fastworker_result_task_id(copy), fastworker_result_task_id(result));
        ck_assert_ptr_null(fastworker_result_free(result));
        ck_assert_str_eq(fastworker_result_data(copy, NULL), "{\"args\":[1]}");
        fastworker_result_free(copy);
        ck_assert_ptr_null(fastworker_result_free(NULL));
}
END_TEST

START_TEST(call_tells_a_failure) {
        fastworker_submission s = { .name = "fail" };
        fastworker_result *result;

        ck_assert_ok(fastworker_submit_and_wait(client, &s, LONG_USEC, &result));
        ck_assert_int_eq(fastworker_result_is_success(result), 0);
        ck_assert_str_eq(fastworker_result_status(result), "failure");
        ck_assert_str_eq(fastworker_result_error(result), "it failed as told");
        ck_assert_str_eq(fastworker_result_data(result, NULL), "");
        fastworker_result_free(result);
}
END_TEST

START_TEST(call_gives_up_in_time) {
        fastworker_submission s = { .name = "hold" };
        fastworker_result *result = NULL;
        uint64_t usec;

        ck_assert_fails(fastworker_submit_and_wait(client, &s, 20 * USEC_PER_MSEC, &result),
                        ETIMEDOUT, "goes on");
        ck_assert_ptr_null(result);
        ck_assert_uint_eq(fastworker_client_get_pending(client), 0);
        ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), 1);
        /* The coordinator is told, on the way of the next request at the latest. */
        ck_assert_ok(fastworker_ping(client, &usec));
        ck_assert_uint_eq(fake_count(fake, FAKE_FORGETS), 1);
}
END_TEST

static int own_loop_timeout(void) {
        uint64_t until, now = now_usec(CLOCK_MONOTONIC);

        ck_assert_ok(fastworker_client_get_timeout(client, &until));
        if (until == UINT64_MAX)
                return -1;
        return usec_to_poll_msec(until > now ? until - now : 0);
}

/* Everything through poll(): a wake-up that is missed makes it time out. */
START_TEST(a_loop_of_ones_own) {
        Seen *seen = watch_results();
        size_t n_submitted = 0;
        enum { N = 20000, WINDOW = 7 };

        while (seen->n_results < N) {
                struct pollfd fd = { .fd = fastworker_client_get_fd(client), .events = POLLIN };
                int r;

                for (; n_submitted < N && fastworker_client_get_pending(client) < WINDOW;
                     n_submitted++)
                        submit_many("echo", n_submitted, 1);
                r = fastworker_client_process(client);
                ck_assert_ok(r);
                if (r == 0) {
                        int timeout = own_loop_timeout();

                        /* Unless the client itself wanted to be called earlier, the descriptor must end it. */
                        ck_assert(poll(&fd, 1, timeout < 0 ? 5000 : MIN(timeout, 5000)) == 1 ||
                                  (timeout >= 0 && timeout < 5000));
                }
        }
        ck_assert_uint_eq(seen->n_success, N);
        ck_assert_uint_eq(seen->n_accepted, N);
        ck_assert_uint_eq(fastworker_client_get_pending(client), 0);
}
END_TEST

START_TEST(an_idle_client_sleeps) {
        uint64_t until;
        int r;

        while ((r = fastworker_client_process(client)) > 0)
                ;
        ck_assert_ok(r);
        ck_assert_ok(fastworker_client_get_timeout(client, &until));
        ck_assert_uint_eq(until, UINT64_MAX);
        ck_assert_int_eq(fastworker_client_run(client, 1000), 0);
}
END_TEST

static void on_alarm(int sig) {}

START_TEST(a_signal_ends_waiting) {
        struct sigaction action = { .sa_handler = on_alarm };
        /* Again and again, in case it comes before the wait. */
        struct itimerval timer = { .it_interval.tv_usec = 10000, .it_value.tv_usec = 10000 };
        fastworker_submission s = { .name = "hold" };
        fastworker_result *result;
        int r;

        ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
        ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
        ck_assert_fails(fastworker_submit_and_wait(client, &s, LONG_USEC, &result), EINTR,
                        "signal");
        /* What the call has left to be sent is not waited for. */
        while ((r = fastworker_client_run(client, LONG_USEC)) > 0)
                ;
        ck_assert_int_eq(r, -EINTR);
}
END_TEST

static void call_from_handler(fastworker_client *c, const fastworker_result *r, void *userdata) {
        unsigned *n = userdata;
        fastworker_submission s = { .name = "echo" };
        char id[FASTWORKER_TASK_ID_SIZE];

        ck_assert_int_eq(fastworker_submit(c, &s, id), -EBUSY);
        ck_assert_int_eq(fastworker_client_process(c), -EBUSY);
        ck_assert_int_eq(fastworker_cancel(c, "0193a000-0000-7000-8000-000000000001"), -EBUSY);
        if (++*n < 3)
                ck_assert_int_eq(fastworker_submit_async(c, &s), 0);
}

START_TEST(handlers_may_submit_but_not_wait) {
        unsigned n = 0;

        ck_assert_ok(fastworker_on_result(client, call_from_handler, &n));
        submit_many("echo", 0, 1);
        run_until_done();
        ck_assert_uint_eq(n, 3);
}
END_TEST

START_TEST(free_takes_anything) {
        fastworker_client *c;

        ck_assert_ptr_null(fastworker_client_free(NULL));
        ck_assert_int_eq(fastworker_client_new(&c), 0);
        ck_assert_ptr_null(fastworker_client_free(c));
        /* With requests that are unsent, unanswered, and awaited. */
        submit_many("hold", 0, 3);
        ck_assert_ok(fastworker_client_process(client));
        submit_many("echo", 3, 3);
        ck_assert_ok(fastworker_watch(client, "0193a000-0000-7000-8000-000000000001", NULL));
        client = fastworker_client_free(client);
}
END_TEST

int main(void) {
        Suite *s = suite_create("client");
        TCase *t;

        t = tcase_create("not connected");
        tcase_add_checked_fixture(t, setup_nothing, teardown_all);
        tcase_add_test(t, settings_are_checked);
        tcase_add_test(t, environment_is_checked);
        tcase_add_test(t, nothing_works_before_start);
        tcase_add_test(t, connect_gives_up_in_time);
        tcase_add_test(t, connect_tells_a_refusal);
        suite_add_tcase(s, t);

        t = tcase_create("connected");
        tcase_add_checked_fixture(t, setup_connected, teardown_all);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, connects_and_greets);
        tcase_add_test(t, call_gives_the_result);
        tcase_add_test(t, call_tells_a_failure);
        tcase_add_test(t, call_gives_up_in_time);
        tcase_add_test(t, a_loop_of_ones_own);
        tcase_add_test(t, an_idle_client_sleeps);
        tcase_add_test(t, a_signal_ends_waiting);
        tcase_add_test(t, handlers_may_submit_but_not_wait);
        tcase_add_test(t, free_takes_anything);
        suite_add_tcase(s, t);
        return check_run(s);
}
