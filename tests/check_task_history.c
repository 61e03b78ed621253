/* SPDX-License-Identifier: MIT */

/* The attempts that a task remembers. */

#include "controld-test.h"
#include "json-util.h"
#include "task-history.h"

static TaskTable table;
static TaskType *types;
static Task *task;

static void setup(void) {
        task = make_task(&table, make_type(&types, "a"), PRIORITY_NORMAL);
}

static void teardown(void) {
        task_table_done(&table);
        ck_assert_uint_eq(table.payload_bytes, 0);
        task_types_free(&types);
}

static void note(uint32_t attempt, const char *error, size_t size) {
        const TaskAttempt a = { .worker = "w1",
                                .outcome = "failure",
                                .started_usec = 1,
                                .completed_usec = 2,
                                .error = { (char *) error, size } };

        task->attempt = attempt;
        ck_assert_int_eq(task_history_add(&table, task, &a), 0);
        ck_assert_uint_eq(table.payload_bytes, task_payload_bytes(task));
}

static const char *error_of(struct json_object *array, size_t i) {
        const char *text = NULL;

        ck_assert_int_eq(json_get_string(json_object_array_get_idx(array, i), "error", &text), 1);
        return text;
}

START_TEST(test_add) {
        _cleanup_json_ struct json_object *empty = task_history_to_json(task), *array = NULL;
        uint64_t attempt = 0;

        ck_assert_uint_eq(json_object_array_length(empty), 0);
        note(3, "a\nb", 3);
        note(3, "the same attempt again", 10);
        note(5, "", 0);
        array = task_history_to_json(task);
        ck_assert_uint_eq(json_object_array_length(array), 2);
        ck_assert_str_eq(error_of(array, 0), "a\nb");
        ck_assert_int_eq(
                json_get_uint(json_object_array_get_idx(array, 1), "attempt", 0, 9, &attempt), 1);
        ck_assert_uint_eq(attempt, 5);
        task_history_clear(&table, task);
        ck_assert_uint_eq(table.payload_bytes, 0);
        note(5, "again", 5);
        ck_assert_uint_gt(task_history(task).iov_len, 0);
}
END_TEST

/* The oldest leave. */
START_TEST(test_limit) {
        _cleanup_json_ struct json_object *array = NULL;
        char text[16];

        for (uint32_t i = 1; i <= TASK_HISTORY_MAX + 5; i++)
                note(i, text, (size_t) snprintf(text, sizeof(text), "error %u", i));
        array = task_history_to_json(task);
        ck_assert_uint_eq(json_object_array_length(array), TASK_HISTORY_MAX);
        ck_assert_str_eq(error_of(array, 0), "error 6");
        ck_assert_str_eq(error_of(array, TASK_HISTORY_MAX - 1), "error 25");
}
END_TEST

/* Whole characters, and nothing but text. */
START_TEST(test_errors) {
        _cleanup_json_ struct json_object *array = NULL;
        char text[600];

        memset(text, 'x', sizeof(text));
        memcpy(text + TASK_HISTORY_ERROR_MAX - 1, "\xc3\xa4", 2);
        note(1, text, sizeof(text));
        note(2, "\xff\xc3z", 3);
        array = task_history_to_json(task);
        ck_assert_uint_eq(strlen(error_of(array, 0)), TASK_HISTORY_ERROR_MAX - 1);
        ck_assert_str_eq(error_of(array, 1), "??z");
}
END_TEST

/* What a worker says of it: what is known of that, as long as it makes sense. */
START_TEST(test_details) {
        static const char good[] =
                "{\"usage\":{\"cpu_sec\":0.25,\"memory_peak\":4096,\"wall_sec\":1.5,\"x\":1},"
                "\"reason\":\"oom\",\"output_tail\":\"a\\nb\",\"retry_after\":3}";
        static const char bad[] = "{\"usage\":[1],\"reason\":7,\"output_tail\":{}}";
        struct json_object *o = NULL, *last, *usage = NULL;
        TaskAttempt a = { .worker = "w1", .outcome = "failure" };
        const char *text = NULL;

        ck_assert_ptr_null(task_history_last(task));
        ck_assert(!task_history_keeps(NULL));
        ck_assert_int_eq(json_parse_object(good, sizeof(good) - 1, &o, NULL), 0);
        ck_assert(task_history_keeps(o));
        a.details = o;
        task->attempt = 1;
        ck_assert_int_eq(task_history_add(&table, task, &a), 0);
        json_object_put(o);
        last = task_history_last(task);
        ck_assert_int_eq(json_get_object(last, "usage", &usage), 1);
        ck_assert_str_eq(json_object_to_json_string_ext(usage, JSON_C_TO_STRING_PLAIN),
                         "{\"cpu_sec\":0.25,\"memory_peak\":4096,\"wall_sec\":1.5}");
        ck_assert_int_eq(json_get_string(last, "reason", &text), 1);
        ck_assert_str_eq(text, "oom");
        ck_assert_int_eq(json_get_string(last, "output_tail", &text), 1);
        ck_assert_str_eq(text, "a\nb");
        ck_assert(!json_object_object_get_ex(last, "retry_after", NULL));
        json_object_put(last);

        ck_assert_int_eq(json_parse_object(bad, sizeof(bad) - 1, &o, NULL), 0);
        a.details = o;
        task->attempt = 2;
        ck_assert_int_eq(task_history_add(&table, task, &a), 0);
        json_object_put(o);
        last = task_history_last(task);
        ck_assert_int_eq(json_object_object_length(last), 6); /* none of them */
        json_object_put(last);
}
END_TEST

START_TEST(test_store) {
        static const char damaged[] = "{\"error\":\"a\"}\nrubbish\n{\"error\":\"b\"}";
        const struct iovec text = { (char *) damaged, sizeof(damaged) - 1 }, none = {};
        _cleanup_json_ struct json_object *array = NULL;

        ck_assert_int_eq(task_history_set(&table, task, &text), 0);
        ck_assert_uint_eq(table.payload_bytes, text.iov_len);
        array = task_history_to_json(task);
        ck_assert_uint_eq(json_object_array_length(array), 2);
        ck_assert_str_eq(error_of(array, 1), "b");
        ck_assert_int_eq(task_history_set(&table, task, &none), 0);
        ck_assert_uint_eq(task_history(task).iov_len, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("task_history");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, test_add);
        tcase_add_test(t, test_limit);
        tcase_add_test(t, test_errors);
        tcase_add_test(t, test_details);
        tcase_add_test(t, test_store);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
