/* SPDX-License-Identifier: MIT */

/* line-reader.c and batch-line.c: the input of `fastworker batch`. */

#include "batch-line.h"
#include "check-util.h"
#include "line-reader.h"

/* Writes pieces into a pipe, one before each fill, and joins what comes out with "|"; "!" for a long line. */
static char *read_pieces(size_t max_bytes, const char *const *pieces) {
        LineReader l = { .max_bytes = max_bytes };
        char *out = NULL, *text;
        size_t size, n;
        const char *line;
        FILE *f = open_memstream(&out, &size);
        int fds[2], r;

        ck_assert_int_eq(pipe(fds), 0);
        while (!l.is_at_end) {
                if (*pieces) {
                        ck_assert_int_eq(write(fds[1], *pieces, strlen(*pieces)), strlen(*pieces));
                        pieces++;
                } else
                        fds[1] = safe_close(fds[1]);
                ck_assert_int_eq(line_reader_fill(&l, fds[0]), 0);
                while ((r = line_reader_next(&l, &line, &n)) != 0) {
                        ck_assert(r == 1 || r == -EMSGSIZE);
                        fprintf(f, "%.*s|", r == 1 ? (int) n : 1, r == 1 ? line : "!");
                }
        }
        fclose(f);
        safe_close(fds[0]);
        line_reader_done(&l);
        text = out;
        return text;
}

#define check_lines(max, expected, ...)                                                 \
        do {                                                                            \
                _cleanup_free_ char *_lines =                                           \
                        read_pieces((max), (const char *const[]){ __VA_ARGS__, NULL }); \
                ck_assert_str_eq(_lines, (expected));                                   \
        } while (false)

START_TEST(lines) {
        check_lines(10, "a|b|c|", "a\nb\nc\n");
        check_lines(10, "a|b|c|", "a\nb\nc");
        check_lines(10, "abc|", "a", "b", "c");
        check_lines(10, "abc|d|", "ab", "c\nd\n");
        check_lines(10, "|||", "\n\n", "\n");
        check_lines(10, "a||b|", "a", "\n", "\n", "b", "\n");
        check_lines(10, "", NULL);
}
END_TEST

START_TEST(long_lines) {
        check_lines(3, "abc|!|de|", "abc\nabcd\nde\n");
        check_lines(3, "!|de|", "abcdef", "ghi", "jkl\nde");
        check_lines(3, "a|!|", "a\nabcdef");
        check_lines(3, "!|", "abcdef", "ghi");
        check_lines(3, "!|x|", "abcdef", "\n", "x");
}
END_TEST

START_TEST(many_lines_through_a_small_window) {
        _cleanup_free_ char *path = NULL;
        LineReader l = { .max_bytes = 100 };
        size_t n = 0, size;
        const char *line;
        FILE *f;
        int fd;

        path = path_in("lines");
        f = fopen(path, "we");
        for (int i = 0; i < 50000; i++)
                fprintf(f, "%d\n", i);
        fclose(f);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        while (!l.is_at_end) {
                ck_assert_int_eq(line_reader_fill(&l, fd), 0);
                while (line_reader_next(&l, &line, &size) > 0) {
                        char expected[16];

                        ck_assert_uint_eq((size_t) snprintf(expected, sizeof(expected), "%zu", n),
                                          size);
                        ck_assert_int_eq(memcmp(line, expected, size), 0);
                        n++;
                }
        }
        ck_assert_uint_eq(n, 50000);
        ck_assert_uint_le(l.allocated, 1024 * 1024);
        line_reader_done(&l);
        safe_close(fd);
}
END_TEST

START_TEST(read_errors) {
        LineReader l = { .max_bytes = 10 };

        ck_assert_int_eq(line_reader_fill(&l, -1), -EBADF);
        line_reader_done(&l);
}
END_TEST

static void check_line(const char *text, const char *name, const char *arguments,
                       const char *priority, const char *key) {
        BatchLine l;
        char *error = NULL;

        ck_assert_int_eq(batch_line_parse(text, strlen(text), "low", &l, &error), 0);
        ck_assert_str_eq(l.submission.name, name);
        ck_assert_str_eq(l.submission.arguments, arguments);
        ck_assert_str_eq(l.submission.priority, priority);
        ck_assert_pstr_eq(l.submission.key, key);
        batch_line_done(&l);
}

START_TEST(good_lines) {
        check_line("{\"task_name\":\"a\"}", "a", "{\"args\":[],\"kwargs\":{}}", "low", NULL);
        check_line("{\"name\":\"a\",\"priority\":null,\"key\":\"k\"}", "a",
                   "{\"args\":[],\"kwargs\":{}}", "low", "k");
        check_line(
                " { \"name\" : \"a\", \"args\" : [1.10, \"x/y\"], \"kwargs\" : {\"b\": [ ]}, \"priority\" : \"High\" } ",
                "a", "{\"args\":[1.10,\"x/y\"],\"kwargs\":{\"b\":[]}}", "High", NULL);
}
END_TEST

static void check_bad(const char *text, const char *why) {
        _cleanup_free_ char *error = NULL;
        BatchLine l;

        ck_assert_int_eq(batch_line_parse(text, strlen(text), NULL, &l, &error), -EBADMSG);
        ck_assert_contains(error, why);
}

START_TEST(bad_lines) {
        check_bad("nonsense", "not a JSON object");
        check_bad("[1]", "not a JSON object");
        check_bad("{\"name\":\"a\"} x", "not a JSON object");
        check_bad("{}", "\"task_name\" is missing");
        check_bad("{\"name\":null}", "\"task_name\" is missing");
        check_bad("{\"name\":7}", "\"name\" must be a string");
        check_bad("{\"name\":\"a\",\"task_name\":\"b\"}", "give one of them");
        check_bad("{\"name\":\"a\",\"args\":5}", "\"args\" must be an array");
        check_bad("{\"name\":\"a\",\"kwargs\":[]}", "\"kwargs\" must be an object");
        check_bad("{\"name\":\"a\",\"priority\":1}", "\"priority\" must be a string");
        check_bad("{\"name\":\"a\",\"arg\":[1]}", "unknown key \"arg\": a line has task_name");
}
END_TEST

int main(void) {
        Suite *s = suite_create("cli: input");
        TCase *t = tcase_create("input");

        tcase_add_checked_fixture(t, setup_directory, teardown_directory);
        tcase_add_test(t, lines);
        tcase_add_test(t, long_lines);
        tcase_add_test(t, many_lines_through_a_small_window);
        tcase_add_test(t, read_errors);
        tcase_add_test(t, good_lines);
        tcase_add_test(t, bad_lines);
        suite_add_tcase(s, t);
        return check_run(s);
}
