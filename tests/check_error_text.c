/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "error-text.h"

START_TEST(test_text) {
        _cleanup_free_ char *error = NULL;

        ck_assert_int_eq(fail_with_text(&error, -ENOENT, "%s has %d", "a.so", 7), -ENOENT);
        ck_assert_str_eq(error, "a.so has 7");
}
END_TEST

/* A way to have vasprintf() fail without using up memory: a character that the C locale does not know. */
START_TEST(test_no_text) {
        char unused[] = "unused", *error = unused;

        ck_assert_int_eq(fail_with_text(&error, -ENOENT, "%ls", L"\x4e16"), -ENOMEM);
        ck_assert_ptr_null(error);
}
END_TEST

int main(void) {
        Suite *s = suite_create("error-text");
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_text);
        tcase_add_test(t, test_no_text);
        suite_add_tcase(s, t);
        return check_run(s);
}
