/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "output.h"
#include "time-util.h"

static Output *output;
static int writer;

static void setup(void) {
        ck_assert_int_eq(output_new(&output, &writer), 0);
}

static void teardown(void) {
        writer = safe_close(writer);
        output = output_free(output);
}

static void put(const char *text, size_t size) {
        ck_assert_int_eq(write(writer, text, size), (ssize_t) size);
        ck_assert_int_eq(output_read(output), (ssize_t) size);
}

#define put_text(text) put((text), sizeof(text) - 1)

static void assert_line(uint64_t seq, const char *expected) {
        const char *line;
        size_t size;

        ck_assert_int_eq(output_next(output, seq, &line, &size), OUTPUT_LINE);
        ck_assert_uint_eq(size, strlen(expected));
        ck_assert_mem_eq(line, expected, size);
}

static void assert_next(uint64_t seq, OutputNext expected) {
        const char *line;
        size_t size;

        ck_assert_int_eq(output_next(output, seq, &line, &size), expected);
}

START_TEST(test_lines) {
        ck_assert_int_eq(output_read(output), -EAGAIN);
        assert_next(1, OUTPUT_NOTHING);
        put_text("one\n\n\ntwo\nthr");
        assert_line(1, "one");
        assert_line(1, "two");
        assert_next(1, OUTPUT_NOTHING);
        put_text("ee\n");
        assert_line(1, "three");
        assert_next(1, OUTPUT_NOTHING);
        writer = safe_close(writer);
        ck_assert_int_eq(output_read(output), 0);
}
END_TEST

START_TEST(test_rest) {
        const char *line;
        size_t size;

        put_text("no newline");
        assert_next(1, OUTPUT_NOTHING);
        ck_assert(output_rest(output, &line, &size));
        ck_assert_uint_eq(size, 10);
        ck_assert(!output_rest(output, &line, &size));
}
END_TEST

START_TEST(test_long_lines) {
        char text[2 * OUTPUT_LINE_MAX + 3];
        const char *line;
        size_t size;

        memset(text, 'x', sizeof(text));
        text[sizeof(text) - 1] = '\n';
        put(text, sizeof(text));
        for (int i = 0; i < 2; i++) {
                ck_assert_int_eq(output_next(output, 1, &line, &size), OUTPUT_LINE);
                ck_assert_uint_eq(size, OUTPUT_LINE_MAX);
        }
        assert_line(1, "xx");
        assert_next(1, OUTPUT_NOTHING);
}
END_TEST

/* The mark of a task ends what is its own, also in the middle of a line. */
START_TEST(test_mark) {
        put_text("a\nb\0"
                 "17\nc\n\0"
                 "18\nd\n");
        assert_line(17, "a");
        assert_line(17, "b");
        assert_next(17, OUTPUT_MARK);
        assert_next(17, OUTPUT_MARK); /* it stays */
        output_skip_mark(output);
        assert_line(18, "c");
        assert_next(18, OUTPUT_MARK);
        output_skip_mark(output);
        output_skip_mark(output);
        assert_line(19, "d");
        assert_next(19, OUTPUT_NOTHING);
}
END_TEST

START_TEST(test_mark_in_pieces) {
        put_text("x\0");
        assert_line(170, "x");
        assert_next(170, OUTPUT_NOTHING);
        put_text("17");
        assert_next(170, OUTPUT_NOTHING);
        put_text("0");
        assert_next(170, OUTPUT_NOTHING);
        put_text("\ny\n");
        assert_next(170, OUTPUT_MARK);
        output_skip_mark(output);
        assert_line(171, "y");
}
END_TEST

/* A task may write anything; what is not its own mark is text. */
START_TEST(test_no_mark) {
        put_text("a\0"
                 "b\n\0"
                 "16\n\0\0c\n");
        assert_line(17, "a");
        assert_line(17, "b");
        assert_line(17, "16");
        assert_line(17, "c");
        assert_next(17, OUTPUT_NOTHING);
}
END_TEST

START_TEST(test_full) {
        char text[16 * OUTPUT_LINE_MAX];
        const char *line;
        size_t size, n = 0;

        memset(text, 'x', sizeof(text));
        ck_assert_int_eq(write(writer, text, sizeof(text)), (ssize_t) sizeof(text));
        ck_assert_int_gt(output_read(output), 0);
        ck_assert_int_eq(output_read(output), -ENOBUFS);
        do
                while (output_next(output, 1, &line, &size) == OUTPUT_LINE)
                        n += size;
        while (output_read(output) > 0);
        ck_assert_uint_eq(n, sizeof(text));
}
END_TEST

START_TEST(test_admission) {
        uint64_t now = 100 * USEC_PER_SEC;
        unsigned lost = 99;

        for (int i = 0; i < 1000; i++) {
                ck_assert(output_admit(output, now, &lost));
                ck_assert_uint_eq(lost, 0);
        }
        ck_assert(!output_admit(output, now, &lost));
        ck_assert(!output_admit(output, now + 29 * USEC_PER_SEC, &lost));
        ck_assert(output_admit(output, now + 30 * USEC_PER_SEC, &lost));
        ck_assert_uint_eq(lost, 2);
        ck_assert(output_admit(output, now + 30 * USEC_PER_SEC, &lost));
        ck_assert_uint_eq(lost, 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("output");
        TCase *c = tcase_create("output");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, test_lines);
        tcase_add_test(c, test_rest);
        tcase_add_test(c, test_long_lines);
        tcase_add_test(c, test_mark);
        tcase_add_test(c, test_mark_in_pieces);
        tcase_add_test(c, test_no_mark);
        tcase_add_test(c, test_full);
        tcase_add_test(c, test_admission);
        suite_add_tcase(s, c);
        return check_run(s);
}
