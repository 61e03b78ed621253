/* SPDX-License-Identifier: MIT */

/* options.c and arguments.c: what a command line means. */

#include "check-util.h"
#include "cli.h"

static bool flag;
static const char *text;
static Words words;
static uint64_t number, timespan;

static const Option options[] = {
        { "words", OPTION_WORDS, &words, "WORD", "Words" },
        { "text", OPTION_TEXT, &text, "TEXT", "A text" },
        { "flag", OPTION_FLAG, &flag, NULL, "A flag" },
        { "number", OPTION_NUMBER, &number, "N", "A number", 1, 10 },
        { "time", OPTION_TIME, &timespan, "TIME", "A time" },
};
static const Usage usage = {
        .verb = "try",
        .synopsis = "[OPTION...]",
        .text = "Tries.",
        .options = options,
        .n_options = ELEMENTSOF(options),
};

/* The complaint of the last parse(), and what --help printed. */
static char *complaint, *output;

static void forget(void) {
        free(complaint);
        free(output);
        complaint = output = NULL;
        words_done(&words);
}

static int parse_words(char *argv[]) {
        Capture err, out;
        int argc = 0, r;

        while (argv[argc])
                argc++;
        forget();
        capture_begin(&err, STDERR_FILENO);
        capture_begin(&out, STDOUT_FILENO);
        r = parse_options(&usage, argc, argv);
        output = capture_end(&out);
        complaint = capture_end(&err);
        return r;
}

#define parse(...) parse_words((char *[]){ (char *) "try", __VA_ARGS__, NULL })
#define W(s)       ((char *) (s))

#define check_refused(complaint_part, ...)                       \
        do {                                                     \
                ck_assert_int_eq(parse(__VA_ARGS__), -EINVAL);   \
                ck_assert_contains(complaint, (complaint_part)); \
        } while (false)

START_TEST(values) {
        ck_assert_int_eq(parse(W("--text"), W("a"), W("--flag"), W("--number=7"), W("--time=500ms"),
                               W("--json=short"), W("--no-legend"),
                               W("--address=tcp://127.0.0.1:1"), W("--timeout"), W("2")),
                         1);
        ck_assert_str_eq(text, "a");
        ck_assert(flag);
        ck_assert_uint_eq(number, 7);
        ck_assert_uint_eq(timespan, 500000);
        ck_assert_int_eq(arg_json, JSON_SHORT);
        ck_assert(!arg_legend);
        ck_assert_str_eq(arg_address, "tcp://127.0.0.1:1");
        ck_assert_uint_eq(arg_timeout_usec, 2000000);
        ck_assert_str_eq(complaint, "");
        ck_assert_int_eq(parse(W("--text=")), 1);
        ck_assert_str_eq(text, "");
        ck_assert_int_eq(parse(W("--text"), W("--flag")), 1);
        ck_assert_str_eq(text, "--flag");
}
END_TEST

static void check_words(size_t n, const char *const *expected) {
        ck_assert_uint_eq(words.n, n);
        for (size_t i = 0; i < n; i++)
                ck_assert_str_eq(words.words[i], expected[i]);
}

START_TEST(words_up_to_the_next_option) {
        ck_assert_int_eq(
                parse(W("--words"), W("-5"), W("3"), W("-"), W("-x"), W(""), W("--text"), W("t")),
                1);
        check_words(5, (const char *const[]){ "-5", "3", "-", "-x", "" });
        ck_assert_str_eq(text, "t");
        ck_assert_int_eq(parse(W("--words"), W("--flag")), 1);
        check_words(0, NULL);
        ck_assert_int_eq(parse(W("--words"), W("a"), W("--text=t"), W("--words=b"), W("c"),
                               W("--number"), W("1")),
                         1);
        check_words(3, (const char *const[]){ "a", "b", "c" });
}
END_TEST

START_TEST(two_dashes_end_options) {
        ck_assert_int_eq(
                parse(W("--words"), W("a"), W("--"), W("--flag"), W("--"), W("--nonsense")), 1);
        check_words(4, (const char *const[]){ "a", "--flag", "--", "--nonsense" });
        check_refused("write -- before it", W("--words"), W("--nonsense"));
        check_refused("did you mean --flag", W("--words"), W("a"), W("--falg"));
}
END_TEST

START_TEST(refusals) {
        check_refused("unknown option --txt, did you mean --text", W("--txt=x"));
        check_refused("unknown option --discovery-adress, did you mean --discovery-address",
                      W("--discovery-adress"), W("x"));
        check_refused("unknown option --zzzzzz; see --help", W("--zzzzzz"));
        check_refused("--flag takes no value", W("--flag=yes"));
        check_refused("--text needs a value: --text=TEXT", W("--text"));
        check_refused("\"11\" is not a number from 1 to 10", W("--number=11"));
        check_refused("\"0\" is not a number", W("--number"), W("0"));
        check_refused("\"soon\" is not a time", W("--time=soon"));
        check_refused("\"0\" is not a time", W("--timeout=0"));
        check_refused("\"long\" is not one of short, pretty and off", W("--json=long"));
        check_refused("\"stray\" is not expected here", W("stray"));
        check_refused("\"--\" is not expected here", W("--"));
        check_refused("\"-x\" is not expected here", W("-x"));
}
END_TEST

START_TEST(help) {
        ck_assert_int_eq(parse(W("--help")), 0);
        ck_assert_contains(output, "Tries.");
        ck_assert_contains(output, "--words WORD...");
        ck_assert_contains(output, "--number=N ");
        ck_assert_contains(output, "--address=ADDRESS");
        ck_assert_contains(output, "--no-legend");
        ck_assert_int_eq(parse(W("-h")), 0);
        ck_assert_contains(output, "Tries.");
}
END_TEST

START_TEST(nearest) {
        static const char *const known[] = { "submit", "status", "subworker", NULL };

        ck_assert_str_eq(nearest_word("statsu", 6, known), "status");
        ck_assert_str_eq(nearest_word("sub", 3, known), "submit");
        ck_assert_str_eq(nearest_word("subw", 4, known), "subworker");
        ck_assert_str_eq(nearest_word("submitt", 7, known), "submit");
        ck_assert_ptr_null(nearest_word("x", 1, known));
        ck_assert_ptr_null(nearest_word("queues", 6, known));
        ck_assert_ptr_null(nearest_word("", 0, known));
        ck_assert_ptr_null(
                nearest_word("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 54, known));
}
END_TEST

static char *arguments_of(const Words *args, const char *kwargs, int expected) {
        char *made = NULL;
        Capture err;

        capture_begin(&err, STDERR_FILENO);
        ck_assert_int_eq(make_arguments(args, kwargs, &made), expected);
        free(complaint);
        complaint = capture_end(&err);
        return made;
}

START_TEST(arguments) {
        static const char *given[] = { "5",     "-1.10",     "true", "null", "five", "\"5\"",
                                       "[1,2]", "{\"a\":1}", "",     "1 2",  "a\"b", "01" };
        Words args = { given, ELEMENTSOF(given), ELEMENTSOF(given) };
        _cleanup_free_ char *made = arguments_of(&args, "{\"x\": 1.50}", 0), *none = NULL,
                            *empty = NULL;

        ck_assert_str_eq(
                made,
                "{\"args\":[5,-1.10,true,null,\"five\",\"5\",[1,2],{\"a\":1},\"\",\"1 2\",\"a\\\"b\",\"01\"],"
                "\"kwargs\":{\"x\": 1.50}}");
        none = arguments_of(&(Words){}, NULL, 0);
        ck_assert_str_eq(none, "{\"args\":[],\"kwargs\":{}}");
        empty = arguments_of(&(Words){}, "", 0);
        ck_assert_str_eq(empty, "{\"args\":[],\"kwargs\":{}}");
}
END_TEST

START_TEST(bad_arguments) {
        static const char *given[] = { "a\xff" };

        ck_assert_ptr_null(arguments_of(&(Words){ given, 1, 1 }, NULL, CLI_USAGE));
        ck_assert_contains(complaint, "a\\xff\" is not UTF-8");
        ck_assert_ptr_null(arguments_of(&(Words){}, "[1]", CLI_USAGE));
        ck_assert_contains(complaint, "not a JSON object");
        ck_assert_ptr_null(arguments_of(&(Words){}, "{", CLI_USAGE));
        ck_assert_contains(complaint, "--kwargs");
}
END_TEST

int main(void) {
        Suite *s = suite_create("cli: options");
        TCase *t = tcase_create("options");

        tcase_add_checked_fixture(t, NULL, forget);
        tcase_add_test(t, values);
        tcase_add_test(t, words_up_to_the_next_option);
        tcase_add_test(t, two_dashes_end_options);
        tcase_add_test(t, refusals);
        tcase_add_test(t, help);
        tcase_add_test(t, nearest);
        tcase_add_test(t, arguments);
        tcase_add_test(t, bad_arguments);
        suite_add_tcase(s, t);
        return check_run(s);
}
