/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "json-util.h"

static int parse_string(const char *text, struct json_object **ret, const char **ret_error) {
        return json_parse(text, strlen(text), ret, ret_error);
}

START_TEST(test_good) {
        /* What is printed may be spelled otherwise than what was read. */
        static const struct {
                const char *text, *printed;
        } cases[] = {
                { "null", "null" },
                { "true", "true" },
                { "false", "false" },
                { "0", "0" },
                { "-0", "0" },
                { "42", "42" },
                { "-7", "-7" },
                { "1.5", "1.5" },
                { "1e5", "1e5" },
                { "1E+5", "1E+5" },
                { "99999999999999999999.0", "99999999999999999999.0" },
                { "0.25e-3", "0.25e-3" },
                { "18446744073709551615", "18446744073709551615" },
                { "-9223372036854775808", "-9223372036854775808" },
                { "\"\"", "\"\"" },
                { "\"a\\n\\\"\\\\\\u00e4\"", "\"a\\n\\\"\\\\\xc3\xa4\"" },
                { "\"\\\\\"", "\"\\\\\"" },
                { "\"\\\\\\\"\"", "\"\\\\\\\"\"" },
                { "\"\xe2\x82\xac\"", "\"\xe2\x82\xac\"" },
                { " \t\r\n[ ] \n", "[]" },
                { "[1,[2,[]],{}]", "[1,[2,[]],{}]" },
                { "{\"a\":{\"b\":null}}", "{\"a\":{\"b\":null}}" },
                { "{\"\":1}", "{\"\":1}" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ struct json_object *o = NULL;
                const char *error = "(none)";

                ck_assert_msg(parse_string(cases[i].text, &o, &error) == 0, "%s: %s", cases[i].text,
                              error);
                ck_assert_str_eq(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
                                 cases[i].printed);
        }
}
END_TEST

static const char *const bad_texts[] = {
        "",
        " ",
        "{",
        "[",
        "[1",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\\\\\\"",
        /* trailing garbage */
        "{}x",
        "{}{}",
        "1 2",
        "12x",
        "[] ]",
        "null,",
        "truefalse",
        "nullnull",
        /* not quite JSON */
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "'a'",
        "[1 2]",
        "{\"a\" 1}",
        "{1:2}",
        "[,1]",
        "//x\n1",
        "/**/1",
        "1/**/",
        "True",
        "NULL",
        "nul",
        "nulL",
        "tru",
        "undefined",
        "NaN",
        "[NaN]",
        "nan",
        "Infinity",
        "-Infinity",
        "[-Infinity]",
        "\xef\xbb\xbf{}",
        /* numbers */
        "01",
        "00",
        "-01",
        "-",
        "+1",
        ".5",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "-.5",
        "01.5",
        "-00",
        "0x10",
        "1-2",
        "--1",
        "1.2.3",
        "1e5e5",
        "[1.]",
        "{\"a\":00}",
        "18446744073709551616",
        "-9223372036854775809",
        "99999999999999999999999",
        /* strings */
        "\"a\nb\"",
        "\"a\tb\"",
        "\"\x01\"",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "{\"\xff\":1}",
        "\xc3\xa4",
        /* white space that is none in JSON */
        "\v1",
        "\f1",
        "\xc2\xa0[]",
};

START_TEST(test_bad) {
        for (size_t i = 0; i < ELEMENTSOF(bad_texts); i++) {
                struct json_object *o = NULL;
                const char *error = NULL;
                int r = parse_string(bad_texts[i], &o, &error);

                ck_assert_msg(r == -EBADMSG, "case %zu, %s, gave %d", i, bad_texts[i], r);
                ck_assert_ptr_null(o);
                ck_assert(!isempty(error));
                /* The reason is optional. */
                ck_assert_int_eq(parse_string(bad_texts[i], &o, NULL), -EBADMSG);
        }
}
END_TEST

START_TEST(test_nul) {
        static const struct {
                const char *text;
                size_t size;
        } cases[] = { { "{}\0", 3 }, { "\0", 1 }, { "1\0", 2 }, { "\"a\0b\"", 5 }, { "{}\0x", 4 } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct json_object *o = NULL;

                ck_assert_msg(json_parse(cases[i].text, cases[i].size, &o, NULL) == -EBADMSG,
                              "case %zu", i);
        }
}
END_TEST

/* The size counts, not a NUL behind it. */
START_TEST(test_not_terminated) {
        static const char text[] = { '[', '1', '2', ']', '3', '4', 'x' };
        _cleanup_json_ struct json_object *o = NULL, *number = NULL;

        ck_assert_int_eq(json_parse(text, 4, &o, NULL), 0);
        ck_assert_uint_eq(json_object_array_length(o), 1);
        ck_assert_int_eq(json_parse(text + 4, 2, &number, NULL), 0);
        ck_assert_int_eq(json_object_get_int(number), 34);
}
END_TEST

START_TEST(test_depth) {
        char text[2 * JSON_DEPTH_MAX + 2];
        _cleanup_json_ struct json_object *o = NULL, *deeper = NULL;
        size_t n = JSON_DEPTH_MAX - 1;

        memset(text, '[', n);
        memset(text + n, ']', n);
        ck_assert_int_eq(json_parse(text, 2 * n, &o, NULL), 0);
        n = JSON_DEPTH_MAX + 1;
        memset(text, '[', n);
        memset(text + n, ']', n - 1);
        ck_assert_int_eq(json_parse(text, 2 * n - 1, &deeper, NULL), -EBADMSG);
}
END_TEST

START_TEST(test_object) {
        _cleanup_json_ struct json_object *empty = NULL, *o = NULL;
        struct json_object *none = NULL;
        const char *error = NULL;

        ck_assert_int_eq(json_parse_object("", 0, &empty, NULL), 0);
        ck_assert_int_eq(json_object_object_length(empty), 0);
        ck_assert_int_eq(json_parse_object("{\"a\":1}", 7, &o, NULL), 0);
        ck_assert_int_eq(json_object_object_length(o), 1);

        ck_assert_int_eq(json_parse_object("[]", 2, &none, &error), -EBADMSG);
        ck_assert_str_eq(error, "not an object");
        ck_assert_int_eq(json_parse_object("null", 4, &none, NULL), -EBADMSG);
        ck_assert_int_eq(json_parse_object("{", 1, &none, NULL), -EBADMSG);
        ck_assert_ptr_null(none);
}
END_TEST

static struct json_object *object(const char *text) {
        struct json_object *o = NULL;

        ck_assert_int_eq(json_parse_object(text, strlen(text), &o, NULL), 0);
        return o;
}

START_TEST(test_getters) {
        _cleanup_json_ struct json_object *o = object(
                "{\"s\":\"text\",\"e\":\"\",\"n\":7,\"z\":null,\"t\":true,\"f\":false,\"o\":{\"k\":1},"
                "\"a\":[1],\"nul\":\"a\\u0000b\"}");
        struct json_object *sub = NULL;
        const char *s = "untouched";
        bool b = true;

        ck_assert_int_eq(json_get_string(o, "missing", &s), 0);
        ck_assert_int_eq(json_get_string(o, "z", &s), 0);
        ck_assert_int_eq(json_get_string(o, "n", &s), -EINVAL);
        ck_assert_int_eq(json_get_string(o, "o", &s), -EINVAL);
        ck_assert_int_eq(json_get_string(o, "nul", &s), -EINVAL);
        ck_assert_str_eq(s, "untouched");
        ck_assert_int_eq(json_get_string(o, "s", &s), 1);
        ck_assert_str_eq(s, "text");
        ck_assert_int_eq(json_get_string(o, "e", &s), 1);
        ck_assert_str_eq(s, "");

        ck_assert_int_eq(json_get_bool(o, "missing", &b), 0);
        ck_assert_int_eq(json_get_bool(o, "n", &b), -EINVAL);
        ck_assert_int_eq(json_get_bool(o, "s", &b), -EINVAL);
        ck_assert(b);
        ck_assert_int_eq(json_get_bool(o, "f", &b), 1);
        ck_assert(!b);
        ck_assert_int_eq(json_get_bool(o, "t", &b), 1);
        ck_assert(b);

        ck_assert_int_eq(json_get_object(o, "a", &sub), -EINVAL);
        ck_assert_int_eq(json_get_array(o, "o", &sub), -EINVAL);
        ck_assert_int_eq(json_get_array(o, "z", &sub), 0);
        ck_assert_ptr_null(sub);
        ck_assert_int_eq(json_get_object(o, "o", &sub), 1);
        ck_assert_int_eq(json_object_object_length(sub), 1);
        ck_assert_int_eq(json_get_array(o, "a", &sub), 1);
        ck_assert_uint_eq(json_object_array_length(sub), 1);
}
END_TEST

START_TEST(test_text) {
        _cleanup_json_ struct json_object *o = NULL;

        ck_assert_int_eq(parse_string("[\"a\",\"\",\"a\\u0000\",\"\\u0000\",7,null]", &o, NULL), 0);
        ck_assert_str_eq(json_text(json_object_array_get_idx(o, 0)), "a");
        ck_assert_str_eq(json_text(json_object_array_get_idx(o, 1)), "");
        for (size_t i = 2; i < 6; i++)
                ck_assert_ptr_null(json_text(json_object_array_get_idx(o, i)));
}
END_TEST

START_TEST(test_get_uint) {
        static const struct {
                const char *text;
                uint64_t min, max;
                int r;
                uint64_t value;
        } cases[] = {
                { "{\"n\":0}", 0, UINT64_MAX, 1, 0 },
                { "{\"n\":-0}", 0, UINT64_MAX, 1, 0 },
                { "{\"n\":18446744073709551615}", 0, UINT64_MAX, 1, UINT64_MAX },
                { "{\"n\":-9223372036854775808}", 0, UINT64_MAX, -ERANGE, 0 },
                { "{\"n\":-1}", 0, UINT64_MAX, -ERANGE, 0 },
                { "{\"n\":9}", 10, 20, -ERANGE, 0 },
                { "{\"n\":10}", 10, 20, 1, 10 },
                { "{\"n\":20}", 10, 20, 1, 20 },
                { "{\"n\":21}", 10, 20, -ERANGE, 0 },
                { "{\"n\":1.0}", 0, 20, -EINVAL, 0 },
                { "{\"n\":1.5}", 0, 20, -EINVAL, 0 },
                { "{\"n\":1e1}", 0, 20, -EINVAL, 0 },
                { "{\"n\":\"1\"}", 0, 20, -EINVAL, 0 },
                { "{\"n\":true}", 0, 20, -EINVAL, 0 },
                { "{\"n\":[1]}", 0, 20, -EINVAL, 0 },
                { "{\"n\":null}", 0, 20, 0, 0 },
                { "{}", 0, 20, 0, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ struct json_object *o = object(cases[i].text);
                uint64_t value = 4711;
                int r = json_get_uint(o, "n", cases[i].min, cases[i].max, &value);

                ck_assert_msg(r == cases[i].r, "%s gave %d", cases[i].text, r);
                ck_assert_uint_eq(value, r > 0 ? cases[i].value : 4711);
        }
}
END_TEST

START_TEST(test_unknown_key) {
        static const char *const known[] = { "a", "b", NULL };
        _cleanup_json_ struct json_object *good = object("{\"b\":1,\"a\":2}"),
                                          *empty = object("{}"), *bad = object("{\"a\":1,\"c\":2}");

        ck_assert_ptr_null(json_unknown_key(good, known));
        ck_assert_ptr_null(json_unknown_key(empty, known));
        ck_assert_str_eq(json_unknown_key(bad, known), "c");
}
END_TEST

START_TEST(test_add) {
        _cleanup_json_ struct json_object *o = object("");

        ck_assert_int_eq(json_add(o, "a", json_object_new_int(1)), 0);
        ck_assert_int_eq(json_add(o, "none", NULL), -ENOMEM);
        ck_assert_int_eq(json_add_string(o, "s", "te\"xt"), 0);
        ck_assert_int_eq(json_add_string(o, "z", NULL), 0);
        ck_assert_int_eq(json_add_uint(o, "u", UINT64_MAX), 0);
        ck_assert_int_eq(json_add_bool(o, "b", true), 0);
        ck_assert_str_eq(
                json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
                "{\"a\":1,\"s\":\"te\\\"xt\",\"z\":null,\"u\":18446744073709551615,\"b\":true}");
}
END_TEST

START_TEST(test_add_time) {
        _cleanup_json_ struct json_object *o = object("");

        /* The time zone has no say. */
        ck_assert_int_eq(setenv("TZ", "Pacific/Auckland", 1), 0);
        ck_assert_int_eq(json_add_time(o, "never", 0), 0);
        ck_assert_int_eq(json_add_time(o, "first", 1), 0);
        ck_assert_int_eq(json_add_time(o, "leap", UINT64_C(951827696000000)), 0);
        ck_assert_int_eq(json_add_time(o, "micro", UINT64_C(1795523401123456)), 0);
        ck_assert_int_eq(json_add_time(o, "far", UINT64_MAX), 0);
        ck_assert_str_eq(
                json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
                "{\"never\":null,\"first\":\"1970-01-01T00:00:00.000001Z\","
                "\"leap\":\"2000-02-29T12:34:56.000000Z\",\"micro\":\"2026-11-24T12:30:01.123456Z\","
                "\"far\":null}");
}
END_TEST

int main(void) {
        Suite *s = suite_create("json-util");
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_good);
        tcase_add_test(t, test_bad);
        tcase_add_test(t, test_nul);
        tcase_add_test(t, test_not_terminated);
        tcase_add_test(t, test_depth);
        tcase_add_test(t, test_object);
        tcase_add_test(t, test_getters);
        tcase_add_test(t, test_get_uint);
        tcase_add_test(t, test_text);
        tcase_add_test(t, test_unknown_key);
        tcase_add_test(t, test_add);
        tcase_add_test(t, test_add_time);
        suite_add_tcase(s, t);
        return check_run(s);
}
