/* SPDX-License-Identifier: MIT */

/* submit.c: what is refused at once, messages that tasks share, batches, idempotency keys. */

#include "client-fixture.h"
#include "time-util.h"

START_TEST(nonsense_is_refused_at_once) {
        static char long_name[257], long_key[66];
        fastworker_submission s = { .name = "echo" };
        char id[FASTWORKER_TASK_ID_SIZE];

        memset(long_name, 'x', sizeof(long_name) - 1);
        memset(long_key, 'x', sizeof(long_key) - 1);
        s.name = NULL;
        ck_assert_fails(fastworker_submit(client, &s, id), EINVAL, "not the name of a task");
        s.name = "two words";
        ck_assert_fails(fastworker_submit(client, &s, id), EINVAL, "\"two words\"");
        s.name = long_name;
        ck_assert_fails(fastworker_submit_async(client, &s), EINVAL, "1 to 255");
        s.name = "echo";
        s.priority = "urgent";
        ck_assert_fails(fastworker_submit(client, &s, id), EINVAL, "\"urgent\" is not a priority");
        s.priority = "High";
        s.key = long_key;
        ck_assert_fails(fastworker_submit(client, &s, id), EINVAL, "64");
        s.key = "tab\t";
        ck_assert_fails(fastworker_submit(client, &s, id), EINVAL, "printable");
        s.key = NULL;
        s.reserved[1] = id;
        ck_assert_fails(fastworker_submit(client, &s, id), EINVAL, "reserved");
        s.reserved[1] = NULL;
        ck_assert_fails(fastworker_submit_batch_async(client, &s, 0), EINVAL, "1 to 1000");
        ck_assert_fails(fastworker_submit_batch_async(client, &s, 1001), EINVAL, "1001");
        ck_assert_uint_eq(fastworker_client_get_pending(client), 0);
        ck_assert_ok(fastworker_submit(client, &s, id));
        ck_assert_uint_eq(fake_count(fake, FAKE_SUBMITS), 1);
}
END_TEST

START_TEST(the_coordinators_limit_is_known) {
        _cleanup_free_ char *big = calloc(1, 1000001);
        fastworker_submission s = { .name = "echo", .arguments = big, .arguments_size = 1000001 };
        fastworker_result *result;

        ck_assert_ptr_nonnull(big);
        memset(big, ' ', 1000001);
        ck_assert_fails(fastworker_submit_async(client, &s), EMSGSIZE,
                        "1000001 bytes; the limit is 1000000");
        s.arguments_size = 1000000;
        ck_assert_ok(fastworker_submit_and_wait(client, &s, LONG_USEC, &result));
        fastworker_result_free(result);
}
END_TEST

START_TEST(arguments_may_have_any_bytes) {
        static const char bytes[] = "a\0b";
        fastworker_submission s = { .name = "echo", .arguments = bytes, .arguments_size = 2 };
        fastworker_result *result;
        size_t size;

        ck_assert_ok(fastworker_submit_and_wait(client, &s, LONG_USEC, &result));
        fastworker_result_data(result, &size);
        ck_assert_uint_eq(size, 2);
        fastworker_result_free(result);
        s.arguments = NULL;
        s.arguments_size = 0;
        ck_assert_ok(fastworker_submit_and_wait(client, &s, LONG_USEC, &result));
        ck_assert_str_eq(fastworker_result_data(result, &size), "");
        ck_assert_uint_eq(size, 0);
        fastworker_result_free(result);
}
END_TEST

START_TEST(refusals_have_code_and_text) {
        fastworker_submission s = { .name = "nosuch" };
        char id[FASTWORKER_TASK_ID_SIZE];
        fastworker_result *result;

        ck_assert_fails(fastworker_submit(client, &s, id), ENXIO, "nobody offers nosuch");
        ck_assert_str_eq(fastworker_client_get_error_code(client), "unknown-task-type");
        s.name = "full";
        ck_assert_fails(fastworker_submit_and_wait(client, &s, LONG_USEC, &result), ENOBUFS,
                        "too many");
        ck_assert_str_eq(fastworker_client_get_error_code(client), "queue-full");
        s.name = "bad name";
        ck_assert_int_eq(fastworker_submit(client, &s, id), -EINVAL);
        ck_assert_str_eq(fastworker_client_get_error_code(client), "");
}
END_TEST

START_TEST(tasks_share_messages) {
        Seen *seen = watch_results();

        submit_many("echo", 0, 5000);
        ck_assert_uint_eq(fastworker_client_get_pending(client), 5000);
        run_until_done();
        ck_assert_uint_eq(seen->n_success, 5000);
        ck_assert_uint_eq(seen->n_accepted, 5000);
        ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), 5000);
        ck_assert_uint_eq(fake_count(fake, FAKE_SUBMITS), 5);
        for (size_t i = 0; i < 5000; i++)
                ck_assert_uint_eq(seen->count[i], 1);
}
END_TEST

START_TEST(big_tasks_share_less) {
        _cleanup_free_ char *big = calloc(1, 300001);
        fastworker_submission s = { .name = "echo", .arguments = big };

        ck_assert_ptr_nonnull(big);
        memset(big, ' ', 300000);
        for (unsigned i = 0; i < 4; i++)
                ck_assert_ok(fastworker_submit_async(client, &s));
        run_until_done();
        ck_assert_uint_eq(fake_count(fake, FAKE_SUBMITS), 4);
}
END_TEST

START_TEST(one_refused_task_does_not_touch_the_others) {
        Seen *seen = watch_results();

        submit_many("echo", 0, 10);
        submit_many("nosuch", 10, 1);
        submit_many("echo", 11, 10);
        run_until_done();
        ck_assert_uint_eq(seen->n_results, 21);
        ck_assert_uint_eq(seen->n_success, 20);
        ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), 20);
        for (size_t i = 0; i < 21; i++)
                ck_assert_uint_eq(seen->count[i], 1);
}
END_TEST

START_TEST(a_refused_result_says_why) {
        Seen *seen = watch_results();

        submit_many("nosuch", 0, 1);
        run_until_done();
        ck_assert_str_eq(seen->last_status, "refused");
        ck_assert_str_eq(seen->last_code, "unknown-task-type");
        ck_assert_contains(seen->last_error, "there are: echo, fail");
        ck_assert_uint_eq(seen->n_accepted, 0);
}
END_TEST

START_TEST(a_batch_is_all_or_nothing) {
        fastworker_submission s[3] = { { .name = "echo" },
                                       { .name = "nosuch" },
                                       { .name = "echo" } };
        char ids[3][FASTWORKER_TASK_ID_SIZE];
        Seen *seen = watch_results();

        ck_assert_fails(fastworker_submit_batch(client, s, 3, ids), ENXIO, "nosuch");
        ck_assert_ok(fastworker_submit_batch_async(client, s, 3));
        run_until_done();
        ck_assert_uint_eq(seen->count[0], 3);
        ck_assert_str_eq(seen->last_status, "refused");
        ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), 0);
        ck_assert_uint_eq(fake_count(fake, FAKE_SUBMITS), 2);

        s[1].name = "fail";
        ck_assert_ok(fastworker_submit_batch(client, s, 3, ids));
        ck_assert_str_ne(ids[0], ids[1]);
        ck_assert_str_ne(ids[1], ids[2]);
        ck_assert_ok(fastworker_submit_batch_async(client, s, 3));
        run_until_done();
        ck_assert_uint_eq(seen->n_success, 2);
        ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), 6);
}
END_TEST

START_TEST(a_batch_stays_apart_from_single_tasks) {
        fastworker_submission s[2] = { { .name = "echo" }, { .name = "nosuch" } };
        Seen *seen = watch_results();

        submit_many("echo", 0, 2);
        ck_assert_ok(fastworker_submit_batch_async(client, s, 2));
        submit_many("echo", 2, 2);
        run_until_done();
        ck_assert_uint_eq(seen->n_success, 4);
        ck_assert_uint_eq(seen->n_results, 6);
        ck_assert_uint_eq(fake_count(fake, FAKE_SUBMITS), 3);
}
END_TEST

START_TEST(the_same_key_is_the_same_task) {
        fastworker_submission s = { .name = "echo", .key = "order 66" };
        char first[FASTWORKER_TASK_ID_SIZE], second[FASTWORKER_TASK_ID_SIZE];
        Seen *seen = watch_results();

        ck_assert_ok(fastworker_submit(client, &s, first));
        ck_assert_ok(fastworker_submit(client, &s, second));
        ck_assert_str_eq(first, second);
        ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), 1);

        /* Twice in one message: two results for one task. */
        s.userdata = (void *) 1;
        ck_assert_ok(fastworker_submit_async(client, &s));
        s.userdata = (void *) 2;
        ck_assert_ok(fastworker_submit_async(client, &s));
        run_until_done();
        ck_assert_uint_eq(seen->count[1], 1);
        ck_assert_uint_eq(seen->count[2], 1);
        ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), 1);

        s.key = NULL;
        ck_assert_ok(fastworker_submit(client, &s, second));
        ck_assert_str_ne(first, second);
        ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), 2);
}
END_TEST

START_TEST(unanswered_submits_end) {
        Seen *seen = watch_results();

        ck_assert_ok(fastworker_client_set_timeout(client, 50 * USEC_PER_MSEC));
        ck_assert_ok(fastworker_client_set_retries(client, 0));
        submit_many("deaf", 0, 2);
        run_until_done();
        ck_assert_uint_eq(seen->n_results, 2);
        ck_assert_str_eq(seen->last_status, "unanswered");
        ck_assert_contains(seen->last_error, "within 50 ms");
        ck_assert_uint_eq(fake_count(fake, FAKE_SUBMITS), 1);
}
END_TEST

START_TEST(an_overdue_submit_is_sent_again) {
        Seen *seen = watch_results();

        ck_assert_ok(fastworker_client_set_timeout(client, LONG_USEC));
        ck_assert_ok(fastworker_client_set_retries(client, 100));
        submit_many("deaf", 0, 2);
        run_until_done();
        ck_assert_uint_eq(seen->n_success, 2);
        ck_assert_uint_eq(seen->count[0], 1);
        ck_assert_uint_eq(seen->count[1], 1);
        ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), 2);
        ck_assert_uint_ge(fake_count(fake, FAKE_SUBMITS), 2);
}
END_TEST

START_TEST(a_stopping_coordinator_is_asked_again) {
        Seen *seen = watch_results();

        submit_many("stop", 0, 1);
        run_until_done();
        ck_assert_uint_eq(seen->n_success, 1);
        ck_assert_uint_eq(fake_count(fake, FAKE_SUBMITS), 2);
}
END_TEST

int main(void) {
        Suite *s = suite_create("client: submit");
        TCase *t = tcase_create("submit");

        tcase_add_checked_fixture(t, setup_connected, teardown_all);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, nonsense_is_refused_at_once);
        tcase_add_test(t, the_coordinators_limit_is_known);
        tcase_add_test(t, arguments_may_have_any_bytes);
        tcase_add_test(t, refusals_have_code_and_text);
        tcase_add_test(t, tasks_share_messages);
        tcase_add_test(t, big_tasks_share_less);
        tcase_add_test(t, one_refused_task_does_not_touch_the_others);
        tcase_add_test(t, a_refused_result_says_why);
        tcase_add_test(t, a_batch_is_all_or_nothing);
        tcase_add_test(t, a_batch_stays_apart_from_single_tasks);
        tcase_add_test(t, the_same_key_is_the_same_task);
        tcase_add_test(t, unanswered_submits_end);
        tcase_add_test(t, an_overdue_submit_is_sent_again);
        tcase_add_test(t, a_stopping_coordinator_is_asked_again);
        suite_add_tcase(s, t);
        return check_run(s);
}
