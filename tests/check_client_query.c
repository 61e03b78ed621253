/* SPDX-License-Identifier: MIT */

/* query.c and status.c: questions, orders, and waiting for tasks that are there. */

#include "client-fixture.h"
#include "time-util.h"

#define NO_TASK "0193a000-0000-7000-8000-000000000001"

static char id[FASTWORKER_TASK_ID_SIZE];

static void submit(const char *name, const char *arguments) {
        fastworker_submission s = { .name = name, .arguments = arguments, .priority = "high" };

        ck_assert_ok(fastworker_submit(client, &s, id));
}

START_TEST(ids_are_checked) {
        fastworker_result *result;
        char *json;

        ck_assert_fails(fastworker_cancel(client, "7"), EINVAL, "\"7\" is not a task id");
        ck_assert_fails(fastworker_cancel(client, NULL), EINVAL, "not a task id");
        ck_assert_fails(fastworker_wait(client, "", LONG_USEC, &result), EINVAL, "not a task id");
        ck_assert_fails(fastworker_watch(client, "x", NULL), EINVAL, "not a task id");
        ck_assert_fails(fastworker_unwatch(client, "x"), EINVAL, "not a task id");
        ck_assert_fails(fastworker_get_task_status(client, "x", &json), EINVAL, "not a task id");
        ck_assert_fails(fastworker_get_task_result(client, "x", &result), EINVAL, "not a task id");
}
END_TEST

START_TEST(unknown_tasks) {
        fastworker_result *result = NULL;
        char *json = NULL;

        ck_assert_fails(fastworker_cancel(client, NO_TASK), ENOENT, "expired or unknown");
        ck_assert_str_eq(fastworker_client_get_error_code(client), "unknown-task");
        ck_assert_fails(fastworker_get_task_status(client, NO_TASK, &json), ENOENT,
                        "expired or unknown");
        ck_assert_ptr_null(json);
        ck_assert_fails(fastworker_get_task_result(client, NO_TASK, &result), ENOENT,
                        "expired or unknown");
        ck_assert_ptr_null(result);
        ck_assert_ok(fastworker_wait(client, NO_TASK, LONG_USEC, &result));
        ck_assert_str_eq(fastworker_result_status(result), "unknown");
        ck_assert_str_eq(fastworker_result_error(result), "expired or unknown");
        ck_assert_str_eq(fastworker_result_task_id(result), NO_TASK);
        fastworker_result_free(result);
}
END_TEST

START_TEST(wait_for_what_has_ended) {
        fastworker_result *result;

        submit("echo", "7");
        for (unsigned i = 0; i < 2; i++) {
                ck_assert_ok(fastworker_wait(client, id, LONG_USEC, &result));
                ck_assert_str_eq(fastworker_result_data(result, NULL), "7");
                ck_assert_str_eq(fastworker_result_task_id(result), id);
                fastworker_result_free(result);
        }
}
END_TEST

START_TEST(wait_gives_up_in_time) {
        fastworker_result *result;

        submit("hold", NULL);
        ck_assert_fails(fastworker_wait(client, id, 10 * USEC_PER_MSEC, &result), ETIMEDOUT,
                        "goes on");
        ck_assert_int_eq(fastworker_cancel(client, id), 0);
        ck_assert_ok(fastworker_wait(client, id, LONG_USEC, &result));
        ck_assert_str_eq(fastworker_result_status(result), "cancelled");
        fastworker_result_free(result);
}
END_TEST

START_TEST(watch_and_unwatch) {
        Seen *seen = watch_results();
        fastworker_result *result;

        submit("hold", NULL);
        ck_assert_fails(fastworker_unwatch(client, id), ENOENT, id);
        ck_assert_ok(fastworker_watch(client, id, (void *) 1));
        ck_assert_ok(fastworker_watch(client, id, (void *) 2));
        ck_assert_uint_eq(fastworker_client_get_pending(client), 2);
        ck_assert_ok(fastworker_unwatch(client, id));
        ck_assert_uint_eq(fastworker_client_get_pending(client), 0);

        /* A blocking wait and a watch for one task do not get into each other's way. */
        ck_assert_ok(fastworker_watch(client, id, (void *) 3));
        ck_assert_fails(fastworker_wait(client, id, 10 * USEC_PER_MSEC, &result), ETIMEDOUT,
                        "goes on");
        ck_assert_uint_eq(fastworker_client_get_pending(client), 1);
        ck_assert_int_eq(fastworker_cancel(client, id), 0);
        run_until_done();
        ck_assert_uint_eq(seen->n_results, 1);
        ck_assert_uint_eq(seen->count[3], 1);
        ck_assert_str_eq(seen->last_status, "cancelled");
}
END_TEST

START_TEST(cancel_tells_the_truth) {
        submit("hold", NULL);
        ck_assert_int_eq(fastworker_cancel(client, id), 0);
        ck_assert_int_eq(fastworker_cancel(client, id), 2);
        submit("echo", NULL);
        ck_assert_int_eq(fastworker_cancel(client, id), 2);
}
END_TEST

START_TEST(status_is_one_object) {
        _cleanup_free_ char *json = NULL, *expected = NULL;

        submit("echo", "{\"args\":[\"a/b\",1.10]}");
        ck_assert_ok(fastworker_get_task_status(client, id, &json));
        expected = format_string(
                "{\"task_id\":\"%s\",\"name\":\"echo\",\"status\":\"success\",\"priority\":\"high\","
                "\"worker\":\"sw1\",\"attempt\":1,\"result\":{\"args\":[\"a/b\",1.10]},\"error\":null,"
                "\"created_at\":\"2026-11-24T12:30:01.000001Z\",\"started_at\":null,"
                "\"completed_at\":\"2026-11-24T12:30:02.25Z\","
                "\"arguments\":{\"args\":[\"a/b\",1.10]},\"options\":{},\"extra\":7}",
                id);
        ck_assert_str_eq(json, expected);
}
END_TEST

START_TEST(status_of_what_is_not_json) {
        _cleanup_free_ char *json = NULL, *other = NULL, *null = NULL;

        submit("bytes", "{not json");
        ck_assert_ok(fastworker_get_task_status(client, id, &json));
        ck_assert_contains(json, "\"result\":\"\\\"\xef\xbf\xbdx\"");
        ck_assert_contains(json, "\"arguments\":\"{not json\"");
        submit("fail", NULL);
        ck_assert_ok(fastworker_get_task_status(client, id, &other));
        ck_assert_contains(other, "\"result\":null,\"error\":\"it failed as told\"");
        submit("echo", "null");
        ck_assert_ok(fastworker_get_task_status(client, id, &null));
        ck_assert_contains(null, "\"result\":null,\"error\":null");
}
END_TEST

START_TEST(results_without_waiting) {
        fastworker_result *result = NULL;

        submit("hold", NULL);
        ck_assert_int_eq(fastworker_get_task_result(client, id, &result), 0);
        ck_assert_ptr_null(result);
        submit("echo", "[1]");
        ck_assert_int_eq(fastworker_get_task_result(client, id, &result), 1);
        ck_assert_str_eq(fastworker_result_status(result), "success");
        ck_assert_str_eq(fastworker_result_data(result, NULL), "[1]");
        ck_assert_uint_eq(fastworker_result_completed_at(result), UINT64_C(1795523402250000));
        ck_assert_uint_eq(fastworker_result_started_at(result), 0);
        fastworker_result_free(result);
}
END_TEST

START_TEST(other_questions) {
        _cleanup_free_ char *list = NULL, *workers = NULL, *queues = NULL, *types = NULL,
                            *stats = NULL;
        uint64_t usec = 0;

        ck_assert_ok(fastworker_list(client, NULL, &list));
        ck_assert_contains(list, "\"tasks\":[");
        ck_assert_ok(fastworker_get_subworker_status(client, &workers));
        ck_assert_contains(workers, "\"total_subworkers\":1");
        ck_assert_ok(fastworker_get_queues(client, &queues));
        ck_assert_contains(queues, "\"total_queued\":3");
        ck_assert_ok(fastworker_get_types(client, &types));
        ck_assert_contains(types, "\"types\":[");
        ck_assert_ok(fastworker_get_stats(client, &stats));
        ck_assert_contains(stats, "\"version\"");
        ck_assert_ok(fastworker_ping(client, &usec));
        ck_assert_uint_gt(usec, 0);
}
END_TEST

START_TEST(refused_questions) {
        char *json = NULL;

        fake_refuse_all(fake, "internal", "out of memory");
        ck_assert_fails(fastworker_get_queues(client, &json), EREMOTEIO, "out of memory");
        ck_assert_str_eq(fastworker_client_get_error_code(client), "internal");
        ck_assert_ptr_null(json);
}
END_TEST

int main(void) {
        Suite *s = suite_create("client: query");
        TCase *t = tcase_create("query");

        tcase_add_checked_fixture(t, setup_connected, teardown_all);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, ids_are_checked);
        tcase_add_test(t, unknown_tasks);
        tcase_add_test(t, wait_for_what_has_ended);
        tcase_add_test(t, wait_gives_up_in_time);
        tcase_add_test(t, watch_and_unwatch);
        tcase_add_test(t, cancel_tells_the_truth);
        tcase_add_test(t, status_is_one_object);
        tcase_add_test(t, status_of_what_is_not_json);
        tcase_add_test(t, results_without_waiting);
        tcase_add_test(t, other_questions);
        tcase_add_test(t, refused_questions);
        suite_add_tcase(s, t);
        return check_run(s);
}
