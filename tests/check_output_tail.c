/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "output-tail.h"

static OutputTail t;

static void add(const char *line) {
        output_tail_add(&t, line, strlen(line));
}

START_TEST(test_lines) {
        _cleanup_free_ char *none = NULL, *some = NULL, *cleared = NULL;

        none = output_tail_get(&t);
        ck_assert_ptr_null(none);
        add("one");
        add("");
        add("two \xff");
        some = output_tail_get(&t);
        ck_assert_str_eq(some, "one\ntwo \xef\xbf\xbd");
        output_tail_clear(&t);
        cleared = output_tail_get(&t);
        ck_assert_ptr_null(cleared);
}
END_TEST

/* What falls out are the oldest lines, whole ones. */
START_TEST(test_full) {
        char line[16];

        for (unsigned i = 0; i < 5000; i++) {
                _cleanup_free_ char *text = NULL;

                (void) snprintf(line, sizeof(line), "line %u", i);
                add(line);
                text = output_tail_get(&t);
                ck_assert_uint_lt(strlen(text), OUTPUT_TAIL_MAX);
                ck_assert(strncmp(text, "line ", 5) == 0);
                ck_assert_str_eq(text + strlen(text) - strlen(line), line);
                if (i > 1000)
                        ck_assert_uint_gt(strlen(text), OUTPUT_TAIL_MAX - 2 * sizeof(line));
        }
}
END_TEST

START_TEST(test_long_line) {
        static char line[3 * OUTPUT_TAIL_MAX];
        _cleanup_free_ char *text = NULL, *both = NULL;

        memset(line, 'x', sizeof(line));
        line[sizeof(line) - 1] = 'y';
        add("short");
        output_tail_add(&t, line, sizeof(line));
        text = output_tail_get(&t);
        ck_assert_uint_eq(strlen(text), OUTPUT_TAIL_MAX - 1);
        ck_assert_int_eq(text[OUTPUT_TAIL_MAX - 2], 'y');
        add("next");
        both = output_tail_get(&t);
        ck_assert_str_eq(both, "next");
}
END_TEST

int main(void) {
        Suite *s = suite_create("output-tail");
        TCase *c = tcase_create("output-tail");

        tcase_add_test(c, test_lines);
        tcase_add_test(c, test_full);
        tcase_add_test(c, test_long_line);
        suite_add_tcase(s, c);
        return check_run(s);
}
