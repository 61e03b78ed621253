/* SPDX-License-Identifier: MIT */

#include <check.h>

#include "macro.h"
#include "task-id.h"
#include "time-util.h"

static const char example[] = "01938f2a-7c3b-7123-8abc-0123456789ab";

static uint64_t msec_of(const TaskId *id) {
        uint64_t msec = 0;

        for (size_t i = 0; i < 6; i++)
                msec = msec << 8 | id->bytes[i];
        return msec;
}

START_TEST(test_text) {
        static const uint8_t bytes[] = {
                0x01, 0x93, 0x8f, 0x2a, 0x7c, 0x3b, 0x71, 0x23,
                0x8a, 0xbc, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
        };
        char text[TASK_ID_TEXT_LENGTH + 1];
        TaskId id;

        ck_assert_int_eq(task_id_from_text(example, strlen(example), &id), 0);
        ck_assert_mem_eq(id.bytes, bytes, sizeof(bytes));
        task_id_to_text(&id, text);
        ck_assert_str_eq(text, example);

        /* Upper case is read, lower case is written. */
        ck_assert_int_eq(task_id_from_text("01938F2A-7C3B-7123-8ABC-0123456789AB", 36, &id), 0);
        task_id_to_text(&id, text);
        ck_assert_str_eq(text, example);

        ck_assert_int_eq(task_id_from_text("00000000-0000-0000-0000-000000000000", 36, &id), 0);
        ck_assert_int_eq(task_id_from_text("ffffffff-ffff-ffff-ffff-ffffffffffff", 36, &id), 0);
        task_id_to_text(&id, text);
        ck_assert_str_eq(text, "ffffffff-ffff-ffff-ffff-ffffffffffff");
}
END_TEST

/* Every character of the text matters: nothing but the right kind may stand there. */
START_TEST(test_bad_text) {
        static const char others[] = { 'g', 'G', '-', ' ', '\0',        '0',
                                       '/', ':', '@', '`', (char) 0x80, (char) 0xff };
        TaskId before, id;

        memset(&before, 0x5a, sizeof(before));
        for (size_t i = 0; i < TASK_ID_TEXT_LENGTH; i++)
                for (size_t k = 0; k < ELEMENTSOF(others); k++) {
                        char text[TASK_ID_TEXT_LENGTH];
                        bool fits = example[i] == '-' ? others[k] == '-' : others[k] == '0';

                        memcpy(text, example, sizeof(text));
                        text[i] = others[k];
                        id = before;
                        ck_assert_int_eq(task_id_from_text(text, sizeof(text), &id),
                                         fits ? 0 : -EINVAL);
                        if (!fits)
                                ck_assert_mem_eq(&id, &before, sizeof(id));
                }

        for (size_t n = 0; n < 48; n++) {
                _cleanup_free_ char *text = malloc(n + 1);

                ck_assert_ptr_nonnull(text);
                memset(text, '0', n);
                for (size_t i = 0; i < n; i++)
                        if (i == 8 || i == 13 || i == 18 || i == 23)
                                text[i] = '-';
                ck_assert_int_eq(task_id_from_text(text, n, &id),
                                 n == TASK_ID_TEXT_LENGTH ? 0 : -EINVAL);
        }
        ck_assert_int_eq(task_id_from_text(NULL, 0, &id), -EINVAL);
}
END_TEST

/* More than fit into the counter of one millisecond. */
START_TEST(test_order) {
        uint64_t before = now_usec(CLOCK_REALTIME) / USEC_PER_MSEC, after;
        TaskId last = {}, id;

        for (size_t i = 0; i < 50000; i++) {
                ck_assert_int_eq(task_id_new(&id), 0);
                ck_assert_int_gt(memcmp(id.bytes, last.bytes, sizeof(id.bytes)), 0);
                ck_assert(!task_id_equal(&id, &last));
                ck_assert_uint_eq(id.bytes[6] >> 4, 7);
                ck_assert_uint_eq(id.bytes[8] >> 6, 2);
                ck_assert_uint_ge(msec_of(&id), before);
                last = id;
        }
        /* Ids may run ahead of the clock by one millisecond for 4096 of them. */
        after = now_usec(CLOCK_REALTIME) / USEC_PER_MSEC;
        ck_assert_uint_le(msec_of(&last), after + 50000 / 4096 + 1);
}
END_TEST

/* The random half differs in every bit now and then. */
START_TEST(test_random) {
        uint8_t ones[8] = {}, zeros[8] = {};
        TaskId id;

        for (size_t i = 0; i < 1000; i++) {
                ck_assert_int_eq(task_id_new(&id), 0);
                for (size_t k = 0; k < 8; k++) {
                        ones[k] |= id.bytes[8 + k];
                        zeros[k] |= (uint8_t) ~id.bytes[8 + k];
                }
        }
        ck_assert_uint_eq(ones[0], 0xbf);
        ck_assert_uint_eq(zeros[0], 0x7f);
        for (size_t k = 1; k < 8; k++) {
                ck_assert_uint_eq(ones[k], 0xff);
                ck_assert_uint_eq(zeros[k], 0xff);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("task_id");
        TCase *t = tcase_create("all");
        SRunner *runner;
        int failed;

        tcase_add_test(t, test_text);
        tcase_add_test(t, test_bad_text);
        tcase_add_test(t, test_order);
        tcase_add_test(t, test_random);
        suite_add_tcase(suite, t);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
