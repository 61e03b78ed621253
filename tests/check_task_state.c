/* SPDX-License-Identifier: MIT */

#include <check.h>

#include "task-state.h"

/* The table once more, cell by cell: a row's state may become a column's where there is an x. The columns are
 * pending scheduled queued assigned running success failure retrying cancelled dead expired. */
/* clang-format off */
static const char *const expected[_TASK_STATE_MAX] = {
        [TASK_PENDING]   = ".xx.....x..",
        [TASK_SCHEDULED] = "..x.....x.x",
        [TASK_QUEUED]    = "...x....xxx",
        [TASK_ASSIGNED]  = "..x.xxxxxx.",
        [TASK_RUNNING]   = "..x..xxxxx.",
        [TASK_SUCCESS]   = "...........",
        [TASK_FAILURE]   = "..x........",
        [TASK_RETRYING]  = "..x.....x.x",
        [TASK_CANCELLED] = "...........",
        [TASK_DEAD]      = "..x........",
        [TASK_EXPIRED]   = "...........",
};
/* clang-format on */

START_TEST(test_transitions) {
        for (TaskState from = 0; from < _TASK_STATE_MAX; from++) {
                ck_assert_uint_eq(strlen(expected[from]), _TASK_STATE_MAX);
                for (TaskState to = 0; to < _TASK_STATE_MAX; to++)
                        ck_assert_msg(
                                task_state_may_become(from, to) == (expected[from][to] == 'x'),
                                "%s to %s", task_state_to_string(from), task_state_to_string(to));
        }
}
END_TEST

START_TEST(test_out_of_range) {
        ck_assert(!task_state_may_become(_TASK_STATE_INVALID, TASK_QUEUED));
        ck_assert(!task_state_may_become(_TASK_STATE_MAX, TASK_QUEUED));
        ck_assert(!task_state_may_become(TASK_QUEUED, _TASK_STATE_INVALID));
        ck_assert(!task_state_may_become(TASK_QUEUED, _TASK_STATE_MAX));
        ck_assert(!task_state_is_terminal(_TASK_STATE_INVALID));
        ck_assert(!task_state_is_terminal(_TASK_STATE_MAX));
}
END_TEST

/* Each state is either left by itself or terminal, and each can be reached. Out of a terminal one leads at most
 * one way, back into the queue, by an administrator's wish. */
START_TEST(test_terminal) {
        for (TaskState s = 0; s < _TASK_STATE_MAX; s++) {
                bool left = false, reached = s == TASK_PENDING;

                for (TaskState other = 0; other < _TASK_STATE_MAX; other++) {
                        left = left || task_state_may_become(s, other);
                        reached = reached || task_state_may_become(other, s);
                }
                ck_assert_msg(left != task_state_is_terminal(s) || s == TASK_FAILURE ||
                                      s == TASK_DEAD,
                              "%s", task_state_to_string(s));
                ck_assert_msg(reached, "%s", task_state_to_string(s));
                ck_assert(!task_state_may_become(s, s));
        }
}
END_TEST

START_TEST(test_state_names) {
        for (TaskState s = 0; s < _TASK_STATE_MAX; s++) {
                ck_assert_ptr_nonnull(task_state_to_string(s));
                ck_assert_int_eq(task_state_from_string(task_state_to_string(s)), s);
        }
        ck_assert_str_eq(task_state_to_string(TASK_QUEUED), "queued");
        ck_assert_str_eq(task_state_to_string(TASK_DEAD), "dead");
        ck_assert_ptr_null(task_state_to_string(_TASK_STATE_MAX));
        ck_assert_ptr_null(task_state_to_string(_TASK_STATE_INVALID));
        ck_assert_int_eq(task_state_from_string("Queued"), _TASK_STATE_INVALID);
        ck_assert_int_eq(task_state_from_string(""), _TASK_STATE_INVALID);
        ck_assert_int_eq(task_state_from_string(NULL), _TASK_STATE_INVALID);
        ck_assert_int_eq(task_state_from_string("unknown"), _TASK_STATE_INVALID);
}
END_TEST

static TaskPriority parse(const char *s) {
        return task_priority_from_text(s, strlen(s));
}

START_TEST(test_priorities) {
        ck_assert_int_eq(PRIORITY_CRITICAL, 0);
        ck_assert_int_eq(PRIORITY_LOW, 3);
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                ck_assert_int_eq(parse(task_priority_to_string(p)), p);
        ck_assert_int_eq(parse("CRITICAL"), PRIORITY_CRITICAL);
        ck_assert_int_eq(parse("High"), PRIORITY_HIGH);
        ck_assert_int_eq(parse(""), PRIORITY_NORMAL);
        ck_assert_int_eq(task_priority_from_text(NULL, 0), PRIORITY_NORMAL);
        ck_assert_int_eq(task_priority_from_text("lowest", 3), PRIORITY_LOW);
        ck_assert_int_eq(parse("lowest"), _PRIORITY_INVALID);
        ck_assert_int_eq(parse("lo"), _PRIORITY_INVALID);
        ck_assert_int_eq(task_priority_from_text("low", 4), _PRIORITY_INVALID);
        ck_assert_int_eq(task_priority_from_text("lo\0", 3), _PRIORITY_INVALID);
        ck_assert_int_eq(parse("0"), _PRIORITY_INVALID);
        ck_assert_ptr_null(task_priority_to_string(_PRIORITY_MAX));
        ck_assert_ptr_null(task_priority_to_string(_PRIORITY_INVALID));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("task_state");
        TCase *t = tcase_create("all");
        SRunner *runner;
        int failed;

        tcase_add_test(t, test_transitions);
        tcase_add_test(t, test_out_of_range);
        tcase_add_test(t, test_terminal);
        tcase_add_test(t, test_state_names);
        tcase_add_test(t, test_priorities);
        suite_add_tcase(suite, t);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
