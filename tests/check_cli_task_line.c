/* SPDX-License-Identifier: MIT */

/* task-line.c and base64.c: what `fastworker export` writes, `fastworker import` reads. */

#include "base64.h"
#include "check-util.h"
#include "json-util.h"
#include "task-line.h"

#define ID         "0193a000-0000-7000-8000-000000000001"
#define LINE(more) "{\"task_id\":\"" ID "\",\"name\":\"a\",\"status\":\"queued\"" more "}"

static const char info[] = LINE(",\"priority\":\"high\"");

static char *line_of(const void *arguments, size_t size, const char *result, const char *error) {
        fastworker_task_view task = { .task_id = ID,
                                      .info = info,
                                      .arguments = arguments,
                                      .arguments_size = size,
                                      .result = result,
                                      .result_size = strlen(result),
                                      .error = error };
        _cleanup_json_ struct json_object *o = NULL;
        const char *why;

        o = task_line_new(&task, &why);
        ck_assert_ptr_nonnull(o);
        return strdup(json_object_to_json_string_ext(o, JSON_COMPACT));
}

static void check_line(const char *arguments, const char *result, const char *error,
                       const char *expected) {
        _cleanup_free_ char *line = line_of(arguments, strlen(arguments), result, error);

        ck_assert_contains(line, expected);
}

START_TEST(writing) {
        check_line(
                "{\"args\":[1.10]}", "[\"a/b\"]", "",
                LINE(",\"priority\":\"high\",\"arguments\":{\"args\":[1.10]},\"result\":[\"a/b\"],\"error\":null"));
        check_line("", "", "it failed",
                   "\"arguments\":null,\"result\":null,\"error\":\"it failed\"}");
        check_line("null", "", "", "\"arguments\":\"null\",\"arguments_encoding\":\"text\"");
        check_line("{not json", "x y", "",
                   "\"arguments\":\"{not json\",\"arguments_encoding\":\"text\","
                   "\"result\":\"x y\",\"result_encoding\":\"text\"");
        check_line("\xff", "\xfe\xfd", "",
                   "\"arguments\":\"/w==\",\"arguments_encoding\":\"base64\","
                   "\"result\":\"/v0=\",\"result_encoding\":\"base64\"");
}
END_TEST

START_TEST(writing_nonsense) {
        fastworker_task_view task = { .info = "[]", .error = "" };
        const char *why = NULL;

        ck_assert_ptr_null(task_line_new(&task, &why));
        ck_assert_ptr_nonnull(why);
}
END_TEST

static void check_way_back(const char *data, size_t size) {
        _cleanup_free_ char *line = line_of(data, size, "7", ""), *error = NULL;
        TaskLine l;

        ck_assert_int_eq(task_line_parse(line, strlen(line), &l, &error), 0);
        ck_assert_str_eq(l.submission.name, "a");
        ck_assert_str_eq(l.submission.key, ID);
        ck_assert_str_eq(l.submission.priority, "high");
        ck_assert(!l.has_ended);
        ck_assert_uint_eq(l.submission.arguments_size, size);
        if (size > 0)
                ck_assert_mem_eq(l.submission.arguments, data, size);
        task_line_done(&l);
}

START_TEST(there_and_back) {
        char all[256];

        for (size_t i = 0; i < sizeof(all); i++)
                all[i] = (char) i;
        for (size_t n = 0; n <= sizeof(all); n++)
                check_way_back(all, n);
        for (size_t n = 0; n < 7; n++)
                check_way_back(all + 250, n);
        check_way_back("null", 4);
        check_way_back("\"x\"", 3);
        check_way_back("{\"args\":[1.10,18446744073709551615,\"\xc3\xa4\"]}", 40);
        check_way_back("{\"args\":[184467440737095516150]}", 31);
        check_way_back("a\0b", 3);
}
END_TEST

static void check_options(const char *given, const char *expected) {
        _cleanup_free_ char *line = format_string(LINE(",\"options\":%s"), given), *error = NULL;
        TaskLine l;

        ck_assert_int_eq(task_line_parse(line, strlen(line), &l, &error), 0);
        if (expected)
                ck_assert_str_eq(l.submission.options, expected);
        else
                ck_assert_ptr_null(l.submission.options);
        task_line_done(&l);
}

START_TEST(options) {
        check_options("{}", NULL);
        check_options("null", NULL);
        check_options("{\"unique_policy\":\"return\"}", NULL);
        check_options("{ \"durability\": \"none\" }", "{\"durability\":\"none\"}");
        check_options("{\"unique\":\"a/b\",\"unique_policy\":\"return\",\"more\":[1.10]}",
                      "{\"unique\":\"a/b\",\"more\":[1.10]}");
}
END_TEST

START_TEST(states) {
        static const char *const live[] = { "pending",  "scheduled", "queued",
                                            "assigned", "running",   "retrying" };
        static const char *const ended[] = { "success", "failure", "cancelled", "dead", "expired" };

        for (size_t i = 0; i < ELEMENTSOF(live) + ELEMENTSOF(ended); i++) {
                bool has_ended = i >= ELEMENTSOF(live);
                const char *state = has_ended ? ended[i - ELEMENTSOF(live)] : live[i];
                _cleanup_free_ char *line = format_string(
                        "{\"task_id\":\"" ID "\",\"name\":\"a\",\"status\":\"%s\"}", state);
                char *error = NULL;
                TaskLine l;

                ck_assert_int_eq(task_line_parse(line, strlen(line), &l, &error), 0);
                ck_assert_int_eq(l.has_ended, has_ended);
                ck_assert_ptr_null(l.submission.arguments);
                task_line_done(&l);
        }
}
END_TEST

static void check_bad(const char *text, const char *why) {
        _cleanup_free_ char *error = NULL;
        TaskLine l;

        ck_assert_int_eq(task_line_parse(text, strlen(text), &l, &error), -EBADMSG);
        ck_assert_contains(error, why);
}

START_TEST(bad_lines) {
        check_bad("nonsense", "not a JSON object");
        check_bad("[]", "not a JSON object");
        check_bad("{}", "\"task_id\" must be there");
        check_bad("{\"task_id\":\"" ID "\"}", "\"name\" must be there");
        check_bad("{\"task_id\":\"" ID "\",\"name\":\"a\"}", "\"status\" must be there");
        check_bad("{\"task_id\":7}", "\"task_id\" must be there and a string");
        check_bad("{\"task_id\":\"7\",\"name\":\"a\",\"status\":\"queued\"}", "not a task id");
        check_bad("{\"task_id\":\"" ID "\",\"name\":\"a\",\"status\":\"done\"}",
                  "\"done\" is not the state of a task");
        check_bad(LINE(",\"priority\":1"), "\"priority\" must be a string");
        check_bad(LINE(",\"arguments_encoding\":1"), "\"arguments_encoding\" must be a string");
        check_bad(LINE(",\"arguments\":[],\"arguments_encoding\":\"text\""), "must be a string");
        check_bad(LINE(",\"arguments_encoding\":\"text\""), "\"arguments\" must be a string");
        check_bad(LINE(",\"arguments\":\"!\",\"arguments_encoding\":\"base64\""), "not base64");
        check_bad(LINE(",\"arguments\":\"YQ\",\"arguments_encoding\":\"base64\""), "not base64");
        check_bad(LINE(",\"arguments\":\"x\",\"arguments_encoding\":\"rot13\""),
                  "must be \"text\" or \"base64\"");
        check_bad(LINE(",\"options\":[]"), "\"options\" must be an object");
        check_bad(LINE(",\"options\":\"{}\""), "\"options\" must be an object");
}
END_TEST

int main(void) {
        Suite *s = suite_create("cli: task lines");
        TCase *t = tcase_create("task lines");

        tcase_add_test(t, writing);
        tcase_add_test(t, writing_nonsense);
        tcase_add_test(t, there_and_back);
        tcase_add_test(t, options);
        tcase_add_test(t, states);
        tcase_add_test(t, bad_lines);
        suite_add_tcase(s, t);
        return check_run(s);
}
