/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "text.h"

#define BAD "\xef\xbf\xbd"

static void assert_clean(const char *text, size_t size, bool keep_nul, const char *expected,
                         size_t expected_size) {
        _cleanup_free_ char *got = NULL;
        size_t n;

        ck_assert_int_eq(text_clean(text, size, keep_nul, &got, &n), 0);
        ck_assert_uint_eq(n, expected_size);
        ck_assert_mem_eq(got, expected, n + 1);
}
#define assert_text(text, keep_nul, expected) \
        assert_clean(text, sizeof(text) - 1, keep_nul, expected, sizeof(expected) - 1)

START_TEST(test_clean) {
        assert_text("", false, "");
        assert_text("plain\n", false, "plain\n");
        assert_text("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", false,
                    "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
        assert_text("a\0b", true, "a\0b");
        assert_text("a\0b", false, "a" BAD "b");
        assert_text("\xff\xfe", false, BAD BAD);
        assert_text("a\xc3", false, "a" BAD);
        assert_text("\xc3"
                    "a",
                    false, BAD "a");
        assert_text("\xed\xa0\x80", false, BAD BAD BAD);
        assert_text("\xc0\x80", false, BAD BAD);
}
END_TEST

int main(void) {
        Suite *s = suite_create("text");
        TCase *c = tcase_create("text");

        tcase_add_test(c, test_clean);
        suite_add_tcase(s, c);
        return check_run(s);
}
