/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "parse-util.h"
#include "time-util.h"

#define UNTOUCHED UINT64_C(4711)

typedef int (*Parser)(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

typedef struct Case {
        const char *text;
        int r;
        uint64_t value;
} Case;

static void check_cases(Parser parser, uint64_t min, uint64_t max, const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++) {
                uint64_t value = UNTOUCHED;
                int r = parser(cases[i].text, min, max, &value);

                ck_assert_msg(r == cases[i].r, "\"%s\" gave %d, not %d", cases[i].text, r,
                              cases[i].r);
                ck_assert_msg(value == (r < 0 ? UNTOUCHED : cases[i].value), "\"%s\" gave %ju",
                              cases[i].text, (uintmax_t) value);
        }
}

START_TEST(test_uint) {
        static const Case any[] = {
                { "0", 0, 0 },
                { "00012", 0, 12 },
                { "18446744073709551615", 0, UINT64_MAX },
                { "18446744073709551616", -ERANGE, 0 },
                { "99999999999999999999999999", -ERANGE, 0 },
                { "99999999999999999999999999x", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { NULL, -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "+1", -EINVAL, 0 },
                { " 1", -EINVAL, 0 },
                { "1 ", -EINVAL, 0 },
                { "0x10", -EINVAL, 0 },
                { "1.0", -EINVAL, 0 },
                { "1\n", -EINVAL, 0 },
                { "\xd9\xa1", -EINVAL, 0 }, /* an Arabic digit one */
        };
        static const Case ranged[] = {
                { "9", -ERANGE, 0 },
                { "10", 0, 10 },
                { "20", 0, 20 },
                { "21", -ERANGE, 0 },
        };

        check_cases(parse_uint, 0, UINT64_MAX, any, ELEMENTSOF(any));
        check_cases(parse_uint, 10, 20, ranged, ELEMENTSOF(ranged));
}
END_TEST

START_TEST(test_bool) {
        static const char *const yes[] = { "yes", "YES", "Yes", "true", "True", "on", "1" };
        static const char *const no[] = { "no", "NO", "false", "off", "OFF", "0" };
        static const char *const bad[] = { "", "y", "n", "2", "yes ", " no", "enabled", "00" };
        bool b;

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                b = false;
                ck_assert_int_eq(parse_bool(yes[i], &b), 0);
                ck_assert(b);
        }
        for (size_t i = 0; i < ELEMENTSOF(no); i++) {
                b = true;
                ck_assert_int_eq(parse_bool(no[i], &b), 0);
                ck_assert(!b);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                b = true;
                ck_assert_int_eq(parse_bool(bad[i], &b), -EINVAL);
                ck_assert(b);
        }
        ck_assert_int_eq(parse_bool(NULL, &b), -EINVAL);
}
END_TEST

START_TEST(test_bytes) {
        static const Case any[] = {
                { "0", 0, 0 },
                { "512", 0, 512 },
                { "1K", 0, 1024 },
                { "1M", 0, 1048576 },
                { "3G", 0, UINT64_C(3221225472) },
                { "17179869183G", 0, UINT64_C(17179869183) << 30 },
                { "17179869184G", -ERANGE, 0 },
                { "18446744073709551616", -ERANGE, 0 },
                { "K", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { NULL, -EINVAL, 0 },
                { "1k", -EINVAL, 0 },
                { "1 K", -EINVAL, 0 },
                { "1KB", -EINVAL, 0 },
                { "1KM", -EINVAL, 0 },
                { "-1K", -EINVAL, 0 },
                { "1.5M", -EINVAL, 0 },
        };
        static const Case ranged[] = {
                { "1023", -ERANGE, 0 },
                { "1K", 0, 1024 },
                { "1M", 0, 1048576 },
                { "1025K", -ERANGE, 0 },
        };

        check_cases(parse_bytes, 0, UINT64_MAX, any, ELEMENTSOF(any));
        check_cases(parse_bytes, 1024, 1048576, ranged, ELEMENTSOF(ranged));
}
END_TEST

START_TEST(test_usec) {
        static const Case any[] = {
                { "0", 0, 0 },
                { "30", 0, 30 * USEC_PER_SEC },
                { "1.5", 0, 1500000 },
                { "0.0000019", 0, 1 },
                { "500ms", 0, 500000 },
                { "500 ms", 0, 500000 },
                { "7us", 0, 7 },
                { "7usec", 0, 7 },
                { "2s", 0, 2 * USEC_PER_SEC },
                { "2sec", 0, 2 * USEC_PER_SEC },
                { "2seconds", 0, 2 * USEC_PER_SEC },
                { "1min 30s", 0, 90 * USEC_PER_SEC },
                { "1min30s", 0, 90 * USEC_PER_SEC },
                { "1 min 30 s", 0, 90 * USEC_PER_SEC },
                { "2m", 0, 120 * USEC_PER_SEC },
                { "1.5h", 0, 90 * USEC_PER_MINUTE },
                { "1d 2h 3min 4s 5ms 6us", 0, UINT64_C(93784005006) },
                { "2w", 0, 14 * 24 * 60 * USEC_PER_MINUTE },
                { "infinity", 0, USEC_INFINITY },
                { "18446744073709551614us", 0, UINT64_MAX - 1 },
                { "18446744073709551615us", -ERANGE, 0 }, /* would mean infinity */
                { "18446744073709551616us", -ERANGE, 0 },
                { "18446744073709551000us 1s", -ERANGE, 0 },
                { "99999999999999w", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { NULL, -EINVAL, 0 },
                { " ", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "+1s", -EINVAL, 0 },
                { " 1s", -EINVAL, 0 },
                { "1s ", -EINVAL, 0 },
                { "1  s", -EINVAL, 0 },
                { "1min  30s", -EINVAL, 0 },
                { "1min 30", -EINVAL, 0 },
                { "1x", -EINVAL, 0 },
                { "1sx", -EINVAL, 0 },
                { ".5", -EINVAL, 0 },
                { "5.", -EINVAL, 0 },
                { "5.s", -EINVAL, 0 },
                { "s", -EINVAL, 0 },
                { "1S", -EINVAL, 0 },
                { "Infinity", -EINVAL, 0 },
                { "infinity 1s", -EINVAL, 0 },
        };
        static const Case ranged[] = {
                { "999ms", -ERANGE, 0 },        { "1s", 0, USEC_PER_SEC },
                { "1min", 0, USEC_PER_MINUTE }, { "60.000001s", -ERANGE, 0 },
                { "infinity", -ERANGE, 0 },
        };

        check_cases(parse_usec, 0, UINT64_MAX, any, ELEMENTSOF(any));
        check_cases(parse_usec, USEC_PER_SEC, USEC_PER_MINUTE, ranged, ELEMENTSOF(ranged));
}
END_TEST

START_TEST(test_utf8) {
        static const struct {
                const char *text;
                size_t size;
                int r;
                uint32_t c;
        } cases[] = {
                { "a", 1, 1, 'a' },
                { "\0", 1, 1, 0 },
                { "\x7f", 1, 1, 0x7f },
                { "\xc2\x80", 2, 2, 0x80 },
                { "\xc3\xa4x", 3, 2, 0xe4 },
                { "\xe0\xa0\x80", 3, 3, 0x800 },
                { "\xe2\x82\xac", 3, 3, 0x20ac },
                { "\xef\xbf\xbf", 3, 3, 0xffff },
                { "\xf0\x90\x80\x80", 4, 4, 0x10000 },
                { "\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff },
                { "\xf4\x90\x80\x80", 4, -EINVAL, 0 }, /* above the last code point */
                { "\xc0\x80", 2, -EINVAL, 0 },         /* overlong */
                { "\xc1\xbf", 2, -EINVAL, 0 },
                { "\xe0\x9f\xbf", 3, -EINVAL, 0 },
                { "\xf0\x8f\xbf\xbf", 4, -EINVAL, 0 },
                { "\xed\xa0\x80", 3, -EINVAL, 0 }, /* surrogate */
                { "\xed\xbf\xbf", 3, -EINVAL, 0 },
                { "\x80", 1, -EINVAL, 0 },
                { "\xbf", 1, -EINVAL, 0 },
                { "\xc3", 1, -EINVAL, 0 }, /* cut */
                { "\xe2\x82", 2, -EINVAL, 0 },
                { "\xf0\x90\x80", 3, -EINVAL, 0 },
                { "\xc3(", 2, -EINVAL, 0 },
                { "\xe2(\xac", 3, -EINVAL, 0 },
                { "\xf8\x88\x80\x80\x80", 5, -EINVAL, 0 },
                { "\xff", 1, -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint32_t c = UNTOUCHED;
                int r = utf8_decode(cases[i].text, cases[i].size, &c);

                ck_assert_msg(r == cases[i].r, "case %zu gave %d", i, r);
                ck_assert_uint_eq(c, r < 0 ? UNTOUCHED : cases[i].c);
        }
}
END_TEST

START_TEST(test_strv) {
        _cleanup_strv_ char **l = NULL;
        _cleanup_free_ char *empty = NULL, *joined = NULL, *single = NULL;
        char *one[] = { (char *) "one", NULL };

        ck_assert_uint_eq(strv_length(l), 0);
        ck_assert(!strv_contains(l, "a"));
        empty = strv_join(l, ", ");
        ck_assert_str_eq(empty, "");

        ck_assert_int_eq(strv_split_extend(&l, " , a,b  c,,", ", "), 0);
        ck_assert_int_eq(strv_extend(&l, "d e"), 0);
        ck_assert_int_eq(strv_split_extend(&l, "", ", "), 0);
        ck_assert_int_eq(strv_split_extend(&l, ", ,", ", "), 0);
        ck_assert_uint_eq(strv_length(l), 4);
        ck_assert(strv_contains(l, "d e"));
        ck_assert(!strv_contains(l, "d"));
        joined = strv_join(l, ", ");
        ck_assert_str_eq(joined, "a, b, c, d e");
        single = strv_join(one, ", ");
        ck_assert_str_eq(single, "one");

        STRV_FOREACH(s, (char **) NULL)
                ck_abort_msg("an empty list has no elements");
        ck_assert_ptr_null(strv_free(NULL));
}
END_TEST

int main(void) {
        Suite *s = suite_create("parse-util");
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_uint);
        tcase_add_test(t, test_bool);
        tcase_add_test(t, test_bytes);
        tcase_add_test(t, test_usec);
        tcase_add_test(t, test_utf8);
        tcase_add_test(t, test_strv);
        suite_add_tcase(s, t);
        return check_run(s);
}
