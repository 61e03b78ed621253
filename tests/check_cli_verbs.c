/* SPDX-License-Identifier: MIT */

/* The verbs, with a coordinator that is a thread of the test: output, complaints, exit statuses. */

#include <sched.h>
#include <signal.h>

#include "cli-fixture.h"

START_TEST(submit_prints_the_result) {
        check_output("{\"args\":[5,\"x\"],\"kwargs\":{}}\n", W("submit"), W("--task-name"),
                     W("echo"), W("--args"), W("5"), W("x"));
        ck_assert_int_eq(fake_count(fake, FAKE_TASKS), 1);
}
END_TEST

START_TEST(submit_keeps_bytes) {
        check_output("\"\xffx\n", W("submit"), W("--task-name"), W("bytes"));
        ck_assert_int_eq(run(W("submit"), W("--task-name"), W("bytes"), W("--json=short")),
                         CLI_SUCCESS);
        ck_assert_contains(
                output, "\"status\":\"success\",\"result\":\"\\\"\xef\xbf\xbdx\",\"error\":null");
        ck_assert_ptr_eq(strchr(output, '\n'), output + strlen(output) - 1);
}
END_TEST

START_TEST(submit_tells_what_went_wrong) {
        check_complaint(CLI_TASK_FAILED, "(fail) ended as failure: it failed as told", W("submit"),
                        W("--task-name"), W("fail"));
        check_complaint(CLI_REFUSED, "there are: echo, fail", W("submit"), W("--task-name"),
                        W("nosuch"));
        check_complaint(CLI_REFUSED, "too many tasks", W("submit"), W("--task-name=full"),
                        W("--non-blocking"));
        check_complaint(CLI_USAGE, "\"urgent\" is not a priority", W("submit"),
                        W("--task-name=echo"), W("--priority=urgent"));
        check_complaint(CLI_USAGE, "--task-name is missing", W("submit"), W("--args"), W("1"));
        ck_assert_int_eq(run(W("submit"), W("--task-name"), W("fail"), W("--json=short")),
                         CLI_TASK_FAILED);
        ck_assert_contains(output, "\"error\":\"it failed as told\"");
        ck_assert_str_eq(complaint, "");
}
END_TEST

START_TEST(submit_gives_up_in_time) {
        check_complaint(CLI_TIMEOUT, "goes on: fastworker wait --task-id 0", W("submit"),
                        W("--task-name"), W("hold"), W("--timeout=20ms"));
        check_complaint(CLI_UNREACHABLE, "may have taken the task or not", W("submit"),
                        W("--task-name"), W("mute"), W("--timeout=200ms"));
        fake_stop(fake);
        check_complaint(CLI_UNREACHABLE, "no coordinator answers at ipc://", W("submit"),
                        W("--task-name"), W("echo"), W("--timeout=20ms"));
}
END_TEST

START_TEST(submit_is_interrupted) {
        Capture err;
        pid_t pid;

        capture_begin(&err, STDERR_FILENO);
        pid = spawn_words(
                (char *[]){ W("fastworker"), W("submit"), W("--task-name"), W("hold"), NULL });
        while (fake_count(fake, FAKE_TASKS) == 0)
                sched_yield();
        ck_assert_int_eq(kill(pid, SIGINT), 0);
        ck_assert_int_eq(wait_for_exit(pid), CLI_SIGNAL + SIGINT);
        complaint = capture_end(&err);
        ck_assert_contains(complaint, "interrupted");
}
END_TEST

START_TEST(wait_for_one_and_for_many) {
        char *good = submitted("echo"), *bad = submitted("fail"), *held;
        _cleanup_free_ char *line = NULL;

        check_output("{\"args\":[7],\"kwargs\":{}}\n", W("wait"), W("--task-id"), good);
        check_complaint(CLI_TASK_FAILED, "ended as failure: it failed as told", W("wait"),
                        W("--task-id"), bad);
        ck_assert_int_eq(run(W("wait"), W("--task-id"), good, bad), CLI_TASK_FAILED);
        line = format_string("%s\tfailure\tit failed as told\n", bad);
        ck_assert_contains(output, line);
        ck_assert_contains(output, "\tsuccess\t{\"args\":[7],\"kwargs\":{}}\n");
        check_complaint(CLI_REFUSED, "expired or unknown", W("wait"), W("--task-id"), W(NO_TASK));
        held = submitted("hold");
        check_complaint(CLI_TIMEOUT, "1 task goes on", W("wait"), W("--task-id"), held,
                        W("--timeout=20ms"));
        ck_assert_int_eq(run(W("cancel"), W("--task-id"), held), CLI_SUCCESS);
        check_complaint(CLI_CANCELLED, "ended as cancelled", W("wait"), W("--task-id"), held);
}
END_TEST

START_TEST(task_ids_are_checked) {
        static const char *const with_ids[] = { "wait", "status", "cancel" };

        fake_stop(fake); /* for that nobody has to be asked */
        for (size_t i = 0; i < ELEMENTSOF(with_ids); i++) {
                check_complaint(CLI_USAGE, "--task-id is missing", W(with_ids[i]));
                check_complaint(CLI_USAGE, "\"4711\" is not a task id", W(with_ids[i]),
                                W("--task-id"), W(NO_TASK), W("4711"));
        }
}
END_TEST

START_TEST(status_shows_a_task) {
        char *id = submitted("echo");
        _cleanup_free_ char *text = NULL, *json = NULL;

        ck_assert_int_eq(run(W("status"), W("--task-id"), id), CLI_SUCCESS);
        text = format_string("Task: %s\n", id);
        ck_assert_contains(output, text);
        ck_assert_contains(output, "Status: success\n");
        ck_assert_contains(output, "Result: {\"args\":[7],\"kwargs\":{}}\n");
        ck_assert_lacks(output, "Error:");
        ck_assert_int_eq(run(W("status"), W("--task-id"), id, W("--json=short")), CLI_SUCCESS);
        json = format_string("{\"task_id\":\"%s\",\"name\":\"echo\",\"status\":\"success\",", id);
        ck_assert_contains(output, json);
        check_complaint(CLI_REFUSED, "expired or unknown", W("status"), W("--task-id"), W(NO_TASK));
}
END_TEST

START_TEST(cancel_tells_the_truth) {
        char *held = submitted("hold"), *done;
        _cleanup_free_ char *line = format_string("Task %s is cancelled.\n", held);

        check_output(line, W("cancel"), W("--task-id"), held);
        check_complaint(CLI_REFUSED, "had ended before: cancelled", W("cancel"), W("--task-id"),
                        held);
        done = submitted("echo");
        check_complaint(CLI_REFUSED, "had ended before: success", W("cancel"), W("--task-id"),
                        done);
        ck_assert_int_eq(run(W("cancel"), W("--task-id"), done, W("--json=short")), CLI_REFUSED);
        ck_assert_contains(output, "\"outcome\":\"finished\",\"status\":\"success\"}\n");
        check_complaint(CLI_REFUSED, "expired or unknown", W("cancel"), W("--task-id"), W(NO_TASK));
}
END_TEST

START_TEST(tables) {
        ck_assert_int_eq(run(W("list")), CLI_SUCCESS);
        ck_assert_contains(output, "TASK ID");
        ck_assert_contains(output, NO_TASK
                           " echo success high     sw1          1 2026-11-24T12:30:01.000001Z -\n");
        ck_assert_contains(output, "\n1 task.\n");
        ck_assert_int_eq(run(W("list"), W("--types"), W("--no-legend")), CLI_SUCCESS);
        ck_assert_str_eq(output, "echo      0 -     sw1     Says it again.\n");
        ck_assert_int_eq(run(W("workers")), CLI_SUCCESS);
        ck_assert_contains(
                output,
                "sw1    active    2     1    7 tcp://127.0.0.1:5561 2026-11-24T12:30:01.000001Z\n");
        ck_assert_contains(output, "Subworkers: 1, active: 1.\n");
        ck_assert_int_eq(run(W("workers"), W("--no-legend")), CLI_SUCCESS);
        ck_assert_lacks(output, "WORKER");
        ck_assert_lacks(output, "Subworkers");
        ck_assert_int_eq(run(W("queues")), CLI_SUCCESS);
        ck_assert_contains(output, "high          2 -     echo " NO_TASK "\n");
        ck_assert_contains(output, "Queued: 3.\n");
}
END_TEST

START_TEST(json_answers) {
        ck_assert_int_eq(run(W("workers"), W("--json=short")), CLI_SUCCESS);
        ck_assert_contains(
                output,
                "{\"total_subworkers\":1,\"active_subworkers\":1,\"subworkers\":{\"sw1\":{\"address\":");
        ck_assert_int_eq(run(W("workers"), W("--json"), W("pretty")), CLI_SUCCESS);
        ck_assert_contains(output, "{\n  \"total_subworkers\": 1,\n");
        ck_assert_int_eq(run(W("queues"), W("--json=short")), CLI_SUCCESS);
        ck_assert_contains(output, "\"total_queued\":3}\n");
        ck_assert_int_eq(run(W("list"), W("--json=short")), CLI_SUCCESS);
        ck_assert_contains(output, "{\"tasks\":[{\"task_id\":");
        ck_assert_int_eq(run(W("ping"), W("--json=short")), CLI_SUCCESS);
        ck_assert_contains(output, "\"worker_id\":\"fake\"");
}
END_TEST

START_TEST(ping_and_discover) {
        setenv("FASTWORKER_DISCOVERY_ADDRESS", fake_address(fake), 1);
        ck_assert_int_eq(run(W("ping")), CLI_SUCCESS);
        ck_assert_contains(output, "fake, version -, at ipc://");
        ck_assert_int_eq(run(W("discover")), CLI_SUCCESS);
        ck_assert_contains(output, fake_address(fake));
        check_complaint(CLI_USAGE, "--address has no use", W("discover"),
                        W("--address=tcp://127.0.0.1:1"));
        check_complaint(CLI_UNREACHABLE, "nobody.sock", W("ping"), W("--timeout=20ms"),
                        W("--address"), W(private_address("nobody.sock")));
        check_complaint(CLI_USAGE, "is not an address", W("ping"), W("--address=localhost"));
        setenv("FASTWORKER_TIMEOUT", "never", 1);
        check_complaint(CLI_USAGE, "FASTWORKER_TIMEOUT=never", W("ping"));
}
END_TEST

START_TEST(help_is_there) {
        for (const Verb *v = verbs; v->summary; v++) {
                if (!v->name || streq(v->name, "control-plane") || streq(v->name, "subworker"))
                        continue;
                ck_assert_int_eq(run(W("--help")), CLI_SUCCESS);
                ck_assert_contains(output, v->name);
                ck_assert_int_eq(run(W(v->name), W("--help")), CLI_SUCCESS);
                ck_assert_contains(output, v->name);
        }
        ck_assert_int_eq(run(W("help"), W("exit-status")), CLI_SUCCESS);
        ck_assert_contains(output, "    3  not finished within --timeout");
        check_complaint(CLI_USAGE, "no verb \"x\"", W("help"), W("x"));
        check_complaint(CLI_USAGE, "did you mean status", W("statsu"));
        check_complaint(CLI_USAGE, "a verb is missing", NULL);
}
END_TEST

#define batch(input, ...) \
        run_with_input(input, (char *[]){ W("fastworker"), W("batch"), __VA_ARGS__, NULL })

START_TEST(batch_runs_all) {
        _cleanup_free_ char *input = NULL;
        size_t size;
        FILE *f = open_memstream(&input, &size);

        for (int i = 0; i < 3000; i++)
                fprintf(f, "{\"task_name\":\"echo\",\"args\":[%d]}\n", i);
        fclose(f);
        ck_assert_int_eq(batch(input, W("--window=7")), CLI_SUCCESS);
        ck_assert_uint_eq(count_lines(output), 3000);
        ck_assert_contains(output, "{\"line\":3000,\"task_id\":\"");
        ck_assert_contains(
                output,
                "\"status\":\"success\",\"result\":{\"args\":[2999],\"kwargs\":{}},\"error\":null");
        ck_assert_str_eq(complaint, "");
        ck_assert_int_eq(batch("", NULL), CLI_SUCCESS);
        ck_assert_str_eq(output, "");
}
END_TEST

START_TEST(batch_goes_on_after_bad_lines) {
        static const char input[] =
                "{\"name\":\"echo\"}\nnonsense\n\n{\"name\":\"nosuch\"}\n{\"name\":\"two words\"}\n"
                "{\"name\":\"echo\"}";

        ck_assert_int_eq(batch(input, NULL), CLI_BAD_INPUT);
        ck_assert_uint_eq(count_lines(output), 5);
        ck_assert_contains(complaint, "line 2: not a JSON object");
        ck_assert_contains(complaint, "line 5: \"two words\" is not the name of a task");
        ck_assert_contains(
                output,
                "{\"line\":2,\"task_id\":null,\"status\":\"refused\",\"result\":null,\"error\":\"not a JSON object");
        ck_assert_contains(output, "{\"line\":4,\"task_id\":null,\"status\":\"refused\"");
        ck_assert_contains(output, "\"code\":\"unknown-task-type\"");
        ck_assert_contains(output, "{\"line\":6,");
        ck_assert_int_eq(batch(input, W("--fail-fast")), CLI_BAD_INPUT);
        ck_assert_lacks(output, "\"line\":6");
}
END_TEST

START_TEST(batch_tells_failures) {
        ck_assert_int_eq(batch("{\"name\":\"echo\"}\n{\"name\":\"fail\"}\n", NULL),
                         CLI_TASK_FAILED);
        ck_assert_contains(output, "\"line\":2,");
        ck_assert_contains(output, "\"error\":\"it failed as told\"");
        ck_assert_int_eq(batch("{\"name\":\"hold\"}\n", W("--timeout=20ms")), CLI_TIMEOUT);
        ck_assert_contains(complaint, "tasks that go on: 1");
}
END_TEST

int main(void) {
        Suite *s = suite_create("cli: verbs");
        TCase *t = tcase_create("verbs");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, submit_prints_the_result);
        tcase_add_test(t, submit_keeps_bytes);
        tcase_add_test(t, submit_tells_what_went_wrong);
        tcase_add_test(t, submit_gives_up_in_time);
        tcase_add_test(t, submit_is_interrupted);
        tcase_add_test(t, wait_for_one_and_for_many);
        tcase_add_test(t, task_ids_are_checked);
        tcase_add_test(t, status_shows_a_task);
        tcase_add_test(t, cancel_tells_the_truth);
        tcase_add_test(t, tables);
        tcase_add_test(t, json_answers);
        tcase_add_test(t, ping_and_discover);
        tcase_add_test(t, help_is_there);
        tcase_add_test(t, batch_runs_all);
        tcase_add_test(t, batch_goes_on_after_bad_lines);
        tcase_add_test(t, batch_tells_failures);
        suite_add_tcase(s, t);
        return check_run(s);
}
