/* SPDX-License-Identifier: MIT */

/* The options of a task that is submitted. */

#include "controld-test.h"
#include "json-util.h"
#include "submit-options.h"

static char error[160];
static SubmitOptions options;

static int parse(const char *text) {
        struct iovec field = { (char *) text, strlen(text) };

        memset(error, 0, sizeof(error));
        return submit_options_parse(&field, &options, error);
}

START_TEST(test_defaults) {
        static const char *const texts[] = { "", "{}", " { } " };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                memset(&options, 0xff, sizeof(options));
                ck_assert_int_eq(parse(texts[i]), 0);
                ck_assert(!options.in_memory);
                ck_assert(!options.unique_returns);
                ck_assert_uint_eq(options.unique_size, 0);
        }
}
END_TEST

START_TEST(test_all) {
        ck_assert_int_eq(parse("{\"durability\":\"none\",\"unique\":\"report 7\","
                               "\"unique_policy\":\"return\"}"),
                         0);
        ck_assert(options.in_memory);
        ck_assert(options.unique_returns);
        ck_assert_uint_eq(options.unique_size, 8);
        ck_assert_mem_eq(options.unique, "report 7", 8);
        ck_assert_int_eq(parse("{\"unique\":\"x\",\"unique_policy\":\"refuse\"}"), 0);
        ck_assert(!options.unique_returns);
        ck_assert(!options.in_memory);
}
END_TEST

START_TEST(test_lane) {
        ck_assert_int_eq(parse("{\"concurrency_key\":\"k\",\"concurrency\":3}"), 0);
        ck_assert(options.has_lane && options.is_kept);
        ck_assert_int_eq(parse("{\"labels\":[\"gpu\",\"big\",\"gpu\"]}"), 0);
        ck_assert(options.has_lane && options.is_kept);
        ck_assert_int_eq(parse("{\"labels\":[]}"), 0);
        ck_assert_int_eq(parse("{\"unique\":\"labels\"}"), 0);
        ck_assert(!options.has_lane);
}
END_TEST

START_TEST(test_refused) {
        static const struct {
                const char *text, *said;
        } cases[] = {
                { "[]", "must be one JSON object" },
                { "{", "must be one JSON object" },
                { "{} {}", "must be one JSON object" },
                { "{\"time_out\":5}", "no option time_out" },
                { "{\"timeout\":0}", "\"timeout\" must be a number of seconds, more than 0" },
                { "{\"soft_timeout\":\"5\"}", "\"soft_timeout\" must be a number" },
                { "{\"traceparent\":5}", "\"traceparent\" must be text" },
                { "{\"countdown\":-1}", "\"countdown\" must be a number of seconds" },
                { "{\"countdown\":1e9}", "at most ten years" },
                { "{\"countdown\":1,\"eta\":5}", "exclude each other" },
                { "{\"eta\":true}", "\"eta\" must be a time" },
                { "{\"eta\":\"2026-11-24 12:30\"}", "\"eta\" is no time like" },
                { "{\"eta\":\"2026-02-30T12:30:00Z\"}", "\"eta\" is no time like" },
                { "{\"eta\":\"2026-11-24T12:30:00\"}", "\"eta\" is no time like" },
                { "{\"expires\":0}", "\"expires\" must be a number of seconds, more than 0" },
                { "{\"expires\":5,\"countdown\":5}", "expire before it is due" },
                { "{\"expires\":\"2026-11-24T12:30:00Z\",\"eta\":\"2026-11-24T12:30:00Z\"}",
                  "expire before it is due" },
                { "{\"max_retries\":-1}", "\"max_retries\" must be" },
                { "{\"retry_jitter\":1.5}", "\"retry_jitter\" must be" },
                { "{\"durability\":\"full\"}", "can only be \"none\"" },
                { "{\"durability\":true}", "can only be \"none\"" },
                { "{\"unique\":\"\"}", "1 to 64 printable" },
                { "{\"unique\":7}", "1 to 64 printable" },
                { "{\"unique\":\"a\\nb\"}", "1 to 64 printable" },
                { "{\"unique\":\"\xc3\xa4\"}", "1 to 64 printable" },
                { "{\"unique\":\"01234567890123456789012345678901234567890123456789"
                  "012345678901234\"}",
                  "1 to 64 printable" },
                { "{\"unique\":\"a\",\"unique_policy\":\"maybe\"}", "\"refuse\" or \"return\"" },
                { "{\"labels\":\"gpu\"}", "\"labels\" must be a list" },
                { "{\"labels\":[\"no way\"]}", "\"labels\" must be a list" },
                { "{\"labels\":[\"gpu\",7]}", "\"labels\" must be a list" },
                { "{\"concurrency_key\":\"\"}", "\"concurrency_key\" must be 1 to 64" },
                { "{\"concurrency_key\":\"k\",\"concurrency\":0}", "from 1 to 1000000" },
                { "{\"concurrency\":2}", "goes with \"concurrency_key\"" },
                { "{\"unique\":\"a\",\"unique_policy\":1}", "\"refuse\" or \"return\"" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ck_assert_msg(parse(cases[i].text) == -EINVAL, "%s", cases[i].text);
                ck_assert_contains(error, cases[i].said);
        }
}
END_TEST

/* An option's name may be as long as all options. */
START_TEST(test_long_name) {
        char text[1200] = "{\"";

        memset(text + 2, 'x', 1000);
        strcat(text, "\":1}");
        ck_assert_int_eq(parse(text), -EINVAL);
        ck_assert_contains(error, "no option xxxx");
        ck_assert_uint_lt(strlen(error), sizeof(error));
}
END_TEST

START_TEST(test_longest_key) {
        ck_assert_int_eq(parse("{\"unique\":\"01234567890123456789012345678901234567890123456789"
                               "01234567890123\"}"),
                         0);
        ck_assert_uint_eq(options.unique_size, WIRE_KEY_MAX);
}
END_TEST

START_TEST(test_claim) {
        static const char text[] = "{\"unique\":\"u\"}", bad[] = "{\"later\":1}";
        TaskTable table = {};
        TaskType *types = NULL;
        TaskSpec spec = make_spec(make_type(&types, "a"), PRIORITY_NORMAL);
        Task *t, *second, *other;

        spec.options = text;
        spec.options_size = sizeof(text) - 1;
        ck_assert_int_eq(task_new(&table, &spec, &t), 0);
        ck_assert_int_eq(task_id_new(&spec.id), 0);
        ck_assert_int_eq(task_new(&table, &spec, &second), 0);
        spec.options = bad;
        spec.options_size = sizeof(bad) - 1;
        ck_assert_int_eq(task_id_new(&spec.id), 0);
        ck_assert_int_eq(task_new(&table, &spec, &other), 0);

        ck_assert_int_eq(submit_options_claim_unique(&table, t), 0);
        ck_assert_ptr_eq(task_find_by_unique(&table, "u", 1), t);
        ck_assert_int_eq(submit_options_claim_unique(&table, second), -EEXIST);
        ck_assert_ptr_null(second->unique);
        ck_assert_int_eq(submit_options_claim_unique(&table, other), 0);
        ck_assert_ptr_null(other->unique);
        task_drop_unique(&table, t);
        ck_assert_int_eq(submit_options_claim_unique(&table, second), 0);
        ck_assert_ptr_eq(task_find_by_unique(&table, "u", 1), second);
        task_table_done(&table);
        ck_assert_ptr_null(table.uniques);
        task_types_free(&types);
}
END_TEST

static void check_json(const char *text, bool in_memory, const char *expected) {
        _cleanup_json_ struct json_object *o = NULL;
        TaskTable table = {};
        TaskType *types = NULL;
        TaskSpec spec = make_spec(make_type(&types, "a"), PRIORITY_NORMAL);
        Task *t;

        spec.options = text;
        spec.options_size = strlen(text);
        ck_assert_int_eq(task_new(&table, &spec, &t), 0);
        t->in_memory = in_memory;
        o = submit_options_to_json(t);
        ck_assert_ptr_nonnull(o);
        ck_assert_str_eq(json_object_to_json_string_ext(o, JSON_COMPACT), expected);
        task_table_done(&table);
        task_types_free(&types);
}

START_TEST(test_to_json) {
        check_json("", false, "{}");
        check_json("", true, "{\"durability\":\"none\"}");
        check_json("{\"unique\": \"a/b\"}", false, "{\"unique\":\"a/b\"}");
        check_json("{\"durability\":\"none\",\"unique\":\"u\",\"unique_policy\":\"return\"}", true,
                   "{\"durability\":\"none\",\"unique\":\"u\",\"unique_policy\":\"return\"}");
        check_json("{\"later\":[1.10]}", true, "{\"later\":[1.10],\"durability\":\"none\"}");
        check_json("{broken", false, "{}");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("submit_options");
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_defaults);
        tcase_add_test(t, test_all);
        tcase_add_test(t, test_lane);
        tcase_add_test(t, test_refused);
        tcase_add_test(t, test_long_name);
        tcase_add_test(t, test_longest_key);
        tcase_add_test(t, test_claim);
        tcase_add_test(t, test_to_json);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
