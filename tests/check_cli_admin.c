/* SPDX-License-Identifier: MIT */

/* The verbs of administrators, lists, and unique tasks, with a coordinator that is a thread of the test. */

#include "cli-fixture.h"
#include "json-util.h"

#define N_DEAD 8U

static void submit_dead(void) {
        for (unsigned i = 0; i < N_DEAD; i++)
                (void) submitted("crash");
}

START_TEST(dead_list) {
        char *id;

        (void) submitted("echo");
        submit_dead();
        id = submitted("crash");
        ck_assert_int_eq(run(W("dead"), W("list")), CLI_SUCCESS);
        ck_assert_contains(output, "COMPLETED");
        ck_assert_contains(output, id);
        ck_assert_contains(output, " it crashed\n");
        ck_assert_lacks(output, "three times");
        ck_assert_lacks(output, "echo");
        ck_assert_contains(output, "\n9 dead tasks.\n");
        ck_assert_int_eq(run(W("dead"), W("list"), W("--no-legend")), CLI_SUCCESS);
        ck_assert_uint_eq(count_lines(output), 9);
        ck_assert_int_eq(run(W("dead"), W("list"), W("--limit=4")), CLI_SUCCESS);
        ck_assert_contains(output, "\n4 dead tasks; there are more, see --limit.\n");
        ck_assert_int_eq(run(W("dead"), W("list"), W("--limit=9"), W("--json=short")), CLI_SUCCESS);
        ck_assert_contains(output, "\"error\":\"it crashed\\nthree times\"");
        ck_assert_contains(output, "\"truncated\":false}\n");
        ck_assert_int_eq(run(W("dead"), W("list"), W("--name=other")), CLI_SUCCESS);
        ck_assert_contains(output, "\n0 dead tasks.\n");
}
END_TEST

START_TEST(dead_retry_and_purge_by_id) {
        char *a = submitted("crash"), *b = submitted("crash");

        check_complaint(CLI_REFUSED, "expired or unknown", W("dead"), W("retry"), W("--task-id"), a,
                        W(NO_TASK));
        ck_assert_uint_eq(fake_count(fake, FAKE_RETRIES), 0);
        check_output("Retried 2 tasks.\n", W("dead"), W("retry"), W("--task-id"), a, b, a);
        check_complaint(CLI_REFUSED, "another state", W("dead"), W("purge"), W("--task-id"), a);
        a = submitted("crash");
        check_output("Purged 1 task.\n", W("dead"), W("purge"), W("--task-id"), a);
        check_complaint(CLI_REFUSED, "expired or unknown", W("status"), W("--task-id"), a);
        ck_assert_uint_eq(fake_count(fake, FAKE_RETRIES), 2);
        ck_assert_uint_eq(fake_count(fake, FAKE_PURGES), 1);
}
END_TEST

START_TEST(dead_all) {
        _cleanup_free_ char *echo = strdup(submitted("echo"));

        submit_dead();
        check_output("Retried 0 tasks.\n", W("dead"), W("retry"), W("--all"), W("--name=other"));
        check_output("{\"retried\":8,\"skipped\":0}\n", W("dead"), W("retry"), W("--all"),
                     W("--json=short"));
        check_output("Retried 0 tasks.\n", W("dead"), W("retry"), W("--all"));
        submit_dead();
        check_output("Purged 8 tasks.\n", W("dead"), W("purge"), W("--all"), W("--name=crash"));
        ck_assert_uint_eq(fake_count(fake, FAKE_PURGES), N_DEAD);
        ck_assert_int_eq(run(W("status"), W("--task-id"), echo), CLI_SUCCESS);
}
END_TEST

/* Between the list and the order somebody else was there. */
START_TEST(dead_all_leaves_out_what_changed) {
        submit_dead();
        fake_steal(fake, 3);
        check_output("Retried 7 tasks; 1 was not dead any more.\n", W("dead"), W("retry"),
                     W("--all"));
        ck_assert_uint_eq(fake_count(fake, FAKE_RETRIES), N_DEAD - 1);
}
END_TEST

START_TEST(dead_usage) {
        fake_stop(fake);
        check_complaint(CLI_USAGE, "list, retry or purge is missing", W("dead"));
        check_complaint(CLI_USAGE, "\"x\" is not one of", W("dead"), W("x"));
        check_complaint(CLI_USAGE, "\"all\" is not expected", W("dead"), W("retry"), W("all"));
        check_complaint(CLI_USAGE, "either --task-id or --all", W("dead"), W("retry"));
        check_complaint(CLI_USAGE, "either --task-id or --all", W("dead"), W("purge"), W("--all"),
                        W("--task-id"), W(NO_TASK));
        check_complaint(CLI_USAGE, "\"7\" is not a task id", W("dead"), W("purge"), W("--task-id"),
                        W("7"));
        check_complaint(CLI_USAGE, "go with retry and purge", W("dead"), W("list"), W("--all"));
        check_complaint(CLI_USAGE, "--name goes with", W("dead"), W("retry"), W("--name=a"),
                        W("--task-id"), W(NO_TASK));
        check_complaint(CLI_UNREACHABLE, "no coordinator answers", W("dead"), W("list"),
                        W("--timeout=20ms"));
}
END_TEST

START_TEST(list_reads_pages) {
        submit_dead();
        (void) submitted("echo");
        ck_assert_int_eq(run(W("list"), W("--no-legend")), CLI_SUCCESS);
        ck_assert_uint_eq(count_lines(output), N_DEAD + 1);
        ck_assert_int_eq(run(W("list"), W("--limit=0"), W("--status=dead"), W("--json=short")),
                         CLI_SUCCESS);
        ck_assert_contains(output, "{\"tasks\":[{\"task_id\":");
        ck_assert_contains(output, "],\"truncated\":false}\n");
        ck_assert_uint_eq(count_lines(output), 1);
        ck_assert_int_eq(run(W("list"), W("--limit=8")), CLI_SUCCESS);
        ck_assert_contains(output, "\n8 tasks; there are more, see --limit.\n");
        ck_assert_int_eq(run(W("list"), W("--limit=9"), W("--name=crash"), W("--worker=sw1")),
                         CLI_SUCCESS);
        ck_assert_contains(output, "\n8 tasks.\n");
        ck_assert_int_eq(run(W("list"), W("--worker=sw2")), CLI_SUCCESS);
        ck_assert_contains(output, "\n0 tasks.\n");
}
END_TEST

START_TEST(list_by_time) {
        (void) submitted("echo");
        ck_assert_int_eq(run(W("list"), W("--since=1h"), W("--until=9999-01-01")), CLI_SUCCESS);
        ck_assert_contains(output, "\n1 task.\n");
        ck_assert_int_eq(run(W("list"), W("--until"), W("1h ago")), CLI_SUCCESS);
        ck_assert_contains(output, "\n0 tasks.\n");
        ck_assert_int_eq(run(W("list"), W("--since"), W("9998-12-31 23:59")), CLI_SUCCESS);
        ck_assert_contains(output, "\n0 tasks.\n");
        check_complaint(CLI_USAGE, "--since: \"2026\" is not a time", W("list"), W("--since=2026"));
}
END_TEST

START_TEST(pause_resume_and_drain) {
        check_output("Task type echo is paused.\n", W("pause"), W("--type=echo"));
        check_output("Task type echo is resumed.\n", W("resume"), W("--type"), W("echo"));
        check_output("Priority low is paused.\n", W("pause"), W("--priority=low"));
        check_output("{\"priority\":\"low\",\"paused\":false}\n", W("resume"), W("--priority=low"),
                     W("--json=short"));
        check_output("Subworker sw1 gets no more tasks.\nSubworker sw2 gets no more tasks.\n",
                     W("drain"), W("sw1"), W("sw2"));
        check_output("Subworker sw1 gets tasks again.\n", W("drain"), W("--undo"), W("sw1"));
        check_complaint(CLI_REFUSED, "there is no subworker nobody", W("drain"), W("nobody"));
        check_complaint(CLI_USAGE, "the name of a subworker is missing", W("drain"));
        check_complaint(CLI_USAGE, "one of --type and --priority is needed", W("pause"));
        check_complaint(CLI_USAGE, "one of --type and --priority is needed", W("resume"),
                        W("--type=echo"), W("--priority=low"));
}
END_TEST

START_TEST(backup) {
        _cleanup_free_ char *path = path_in("b.db"), *told = NULL, *here = NULL, *json = NULL;

        told = format_string("Backup written to %s, 5 bytes.\n", path);
        check_output(told, W("backup"), path);
        check_complaint(CLI_REFUSED, "File exists", W("backup"), path);
        check_complaint(CLI_USAGE, "the name of the file is missing", W("backup"));
        check_complaint(CLI_USAGE, "\"b\" is not expected", W("backup"), W("a"), W("b"));

        here = get_current_dir_name();
        ck_assert_int_eq(chdir(test_directory), 0);
        json = format_string("{\"path\":\"%s/--b\",\"bytes\":5}\n", test_directory);
        check_output(json, W("backup"), W("--json=short"), W("--"), W("--b"));
        ck_assert_int_eq(chdir(here), 0);
}
END_TEST

START_TEST(submit_options) {
        check_complaint(CLI_REFUSED, "unique key", W("submit"), W("--task-name=echo"),
                        W("--unique=taken"));
        check_complaint(CLI_USAGE, "--unique-policy goes with --unique", W("submit"),
                        W("--task-name=echo"), W("--unique-policy=return"));
        check_output("{\"args\":[],\"kwargs\":{}}\n", W("submit"), W("--task-name=echo"),
                     W("--unique=taken"), W("--unique-policy=return"), W("--memory-only"));
        ck_assert_str_eq(
                fake_options(fake),
                "{\"unique\":\"taken\",\"unique_policy\":\"return\",\"durability\":\"none\"}");
        check_output("{\"args\":[],\"kwargs\":{}}\n", W("submit"), W("--task-name=echo"));
        ck_assert_str_eq(fake_options(fake), "");
        check_complaint(CLI_REFUSED, "the store is full", W("submit"), W("--task-name=nospace"));
        check_complaint(CLI_TASK_FAILED, "ended as dead: it crashed", W("submit"),
                        W("--task-name=crash"));
        ck_assert_int_eq(
                run_with_input("{\"name\":\"echo\",\"unique\":\"k\",\"durability\":\"none\"}\n"
                               "{\"name\":\"echo\",\"unique_policy\":\"return\"}\n",
                               (char *[]){ W("fastworker"), W("batch"), NULL }),
                CLI_BAD_INPUT);
        ck_assert_contains(complaint, "line 2: \"unique_policy\" goes with \"unique\"");
        ck_assert_str_eq(fake_options(fake), "{\"unique\":\"k\",\"durability\":\"none\"}");
}
END_TEST

#define import(input, ...) \
        run_with_input(input, (char *[]){ W("fastworker"), W("import"), __VA_ARGS__, NULL })

/* From one coordinator to another, and once more. */
START_TEST(export_and_import) {
        _cleanup_free_ char *lines = NULL, *id = NULL;

        for (unsigned i = 0; i < 5; i++)
                (void) submitted("hold");
        id = strdup(submitted("hold"));
        (void) submitted("fail");
        (void) submitted("bytes");
        ck_assert_int_eq(run(W("export")), CLI_SUCCESS);
        lines = TAKE_PTR(output);
        ck_assert_uint_eq(count_lines(lines), 8);
        /* The oldest come first. */
        ck_assert(strstr(lines, "\"hold\"") < strstr(lines, "\"fail\""));
        ck_assert_contains(lines, "\"arguments\":{\"args\":[7],\"kwargs\":{}},\"result\":null,");
        ck_assert_contains(lines, "\"error\":\"it failed as told\"");
        ck_assert_contains(lines, "\"result\":\"Iv94\",\"result_encoding\":\"base64\"");

        fake_stop(fake);
        fake_forget(fake);
        fake_start(fake);
        for (unsigned i = 0; i < 2; i++) {
                ck_assert_int_eq(import(lines, NULL), CLI_SUCCESS);
                ck_assert_str_eq(output, "Imported 6 tasks; 2 had ended.\n");
                ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), 8 + 6);
        }
        ck_assert_int_eq(run(W("status"), W("--task-id"), id), CLI_SUCCESS);
        ck_assert_contains(output, "Arguments: {\"args\":[7],\"kwargs\":{}}\n");
        ck_assert_int_eq(run(W("export"), W("--limit=2"), W("--status=queued")), CLI_SUCCESS);
        ck_assert_uint_eq(count_lines(output), 2);
        ck_assert_int_eq(run(W("export"), W("--status=dead")), CLI_SUCCESS);
        ck_assert_str_eq(output, "");
}
END_TEST

START_TEST(options_are_kept) {
        static const char options[] = "{\"unique\":\"a b\",\"durability\":\"none\"}";
        _cleanup_free_ char *lines = NULL, *id = NULL, *shown = NULL;

        ck_assert_int_eq(run(W("submit"), W("--task-name=hold"), W("--unique=a b"),
                             W("--unique-policy=return"), W("--memory-only"), W("--non-blocking")),
                         CLI_SUCCESS);
        id = strndup(output, FASTWORKER_TASK_ID_SIZE - 1);
        ck_assert_int_eq(run(W("export")), CLI_SUCCESS);
        lines = TAKE_PTR(output);
        ck_assert_contains(lines, "\"options\":{\"unique\":\"a b\",\"unique_policy\":"
                                  "\"return\",\"durability\":\"none\"}");

        fake_stop(fake);
        fake_forget(fake);
        fake_start(fake);
        ck_assert_int_eq(import(lines, NULL), CLI_SUCCESS);
        ck_assert_str_eq(fake_options(fake), options);
        shown = format_string("     Options: %s\n", options);
        ck_assert_int_eq(run(W("status"), W("--task-id"), id), CLI_SUCCESS);
        ck_assert_contains(output, shown);
        (void) submitted("hold");
        ck_assert_int_eq(run(W("export"), W("--limit=1")), CLI_SUCCESS);
        ck_assert_contains(output, "\"options\":{}");
}
END_TEST

/* Although whoever submitted it would have been content with the other one. */
START_TEST(import_of_a_unique_key_in_use) {
        ck_assert_int_eq(
                import("{\"task_id\":\"0193a000-0000-7000-8000-000000000001\",\"name\":\"hold\","
                       "\"status\":\"queued\",\"options\":{\"unique\":\"taken\","
                       "\"unique_policy\":\"return\"}}\n",
                       NULL),
                CLI_BAD_INPUT);
        ck_assert_contains(complaint, "line 1: a task with this unique key has not ended");
        ck_assert_str_eq(output, "Imported 0 tasks; 1 could not be taken.\n");
}
END_TEST

#define QUEUED(n, name)                                                              \
        "{\"task_id\":\"0193a000-0000-7000-8000-00000000000" n "\",\"name\":\"" name \
        "\",\"status\":\"queued\"}\n"

START_TEST(import_names_bad_lines) {
        static const char input[] = QUEUED("1", "hold") "nonsense\n\n" QUEUED("2", "nosuch")
                QUEUED("3", "two words") QUEUED("4", "hold");

        ck_assert_int_eq(import(input, NULL), CLI_BAD_INPUT);
        ck_assert_contains(complaint, "line 2: not a JSON object");
        ck_assert_contains(complaint, "line 4: nobody offers nosuch");
        ck_assert_contains(complaint, "line 5: \"two words\" is not the name of a task");
        ck_assert_uint_eq(count_lines(complaint), 3);
        ck_assert_str_eq(output, "Imported 2 tasks; 3 could not be taken.\n");
        ck_assert_int_eq(import("", W("--json=short")), CLI_SUCCESS);
        ck_assert_str_eq(output, "{\"imported\":0,\"ended\":0,\"refused\":0}\n");
}
END_TEST

START_TEST(import_stops_when_there_is_no_room) {
        ck_assert_int_eq(import(QUEUED("1", "hold") QUEUED("2", "full"), NULL), CLI_REFUSED);
        ck_assert_contains(complaint, "too many tasks are queued");
        ck_assert_str_eq(output, "Imported 0 tasks.\n");
        ck_assert_uint_eq(fake_count(fake, FAKE_TASKS), 0);
        ck_assert_int_eq(import(QUEUED("1", "nospace"), NULL), CLI_REFUSED);
        ck_assert_contains(complaint, "the store is full");
}
END_TEST

int main(void) {
        Suite *s = suite_create("cli: admin");
        TCase *t = tcase_create("admin");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, dead_list);
        tcase_add_test(t, dead_retry_and_purge_by_id);
        tcase_add_test(t, dead_all);
        tcase_add_test(t, dead_all_leaves_out_what_changed);
        tcase_add_test(t, dead_usage);
        tcase_add_test(t, list_reads_pages);
        tcase_add_test(t, list_by_time);
        tcase_add_test(t, pause_resume_and_drain);
        tcase_add_test(t, backup);
        tcase_add_test(t, submit_options);
        tcase_add_test(t, export_and_import);
        tcase_add_test(t, options_are_kept);
        tcase_add_test(t, import_of_a_unique_key_in_use);
        tcase_add_test(t, import_names_bad_lines);
        tcase_add_test(t, import_stops_when_there_is_no_room);
        suite_add_tcase(s, t);
        return check_run(s);
}
