/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "job.h"

static JobTable *table;

static void setup(void) {
        ck_assert_int_eq(job_table_new(&table), 0);
}

static void teardown(void) {
        table = job_table_free(table);
}

static JobKey key(uint8_t n, uint64_t attempt) {
        JobKey k = { .attempt = attempt };

        k.id.bytes[15] = n;
        return k;
}

static Job *add(uint8_t n, uint64_t attempt, const char *arguments) {
        JobKey k = key(n, attempt);
        Job *job;

        ck_assert_int_eq(job_table_add(table, &k, NULL, arguments, strlen(arguments), &job), 0);
        return job;
}

START_TEST(test_table) {
        Job *a = add(1, 1, "x"), *b = add(2, 1, ""), *c = add(1, 2, "y"), *again = NULL;
        JobKey k = key(1, 1), missing = key(3, 1);

        ck_assert_int_eq(job_table_add(table, &k, NULL, NULL, 0, &again), -EEXIST);
        ck_assert_ptr_null(again);
        ck_assert_uint_eq(job_table_count(table), 3);
        ck_assert_ptr_eq(job_table_find(table, &k), a);
        ck_assert_ptr_eq(job_table_find(table, &c->key), c);
        ck_assert_ptr_null(job_table_find(table, &missing));

        ck_assert_ptr_eq(job_table_next(table, NULL), a);
        ck_assert_ptr_eq(job_table_next(table, a), b);
        ck_assert_ptr_eq(job_table_next(table, b), c);
        ck_assert_ptr_null(job_table_next(table, c));

        job_table_remove(table, b);
        ck_assert_ptr_eq(job_table_next(table, a), c);
        ck_assert_uint_eq(job_table_count(table), 2);
}
END_TEST

START_TEST(test_arguments) {
        static const size_t sizes[] = { 0, 1, 512, 513, 100000 };
        size_t size = sizes[_i];
        _cleanup_free_ char *arguments = calloc(size + 1, 1);
        Job *job;

        memset(arguments, 'a', size);
        job = add(1, 1, arguments);
        ck_assert_int_eq(job->state, JOB_WAITING);
        ck_assert_uint_eq(job->arguments_size, size);
        ck_assert_int_eq(memcmp(job->arguments, arguments, size), 0);

        /* They are not needed any more once it has ended. */
        job_finish(job, WIRE_OUTCOME_SUCCESS, "8", 1, 5, 6);
        ck_assert_uint_eq(job->arguments_size, 0);
}
END_TEST

START_TEST(test_finish) {
        static const size_t sizes[] = { 0, 1, 64, 65, 1000000 };
        size_t size = sizes[_i];
        _cleanup_free_ char *text = calloc(size + 1, 1);
        Job *job = add(1, 1, "x");

        memset(text, 'r', size);
        job_finish(job, WIRE_OUTCOME_SUCCESS, text, size, 5, 6);
        ck_assert_int_eq(job->state, JOB_FINISHED);
        ck_assert_int_eq(job->outcome, WIRE_OUTCOME_SUCCESS);
        ck_assert_uint_eq(job->started_usec, 5);
        ck_assert_uint_eq(job->completed_usec, 6);
        ck_assert_uint_eq(job->text_size, size);
        ck_assert_int_eq(memcmp(job->text, text, size), 0);

        /* The end may be replaced, by one that is shorter or longer. */
        job_finish(job, WIRE_OUTCOME_FAILURE, "short", 5, 7, 8);
        ck_assert_mem_eq(job->text, "short", 5);
        job_finish(job, WIRE_OUTCOME_SUCCESS, text, size, 5, 6);
        ck_assert_uint_eq(job->text_size, size);

        /* An error text has a limit, a result has none here. */
        job_finish(job, WIRE_OUTCOME_CRASH, text, size, 5, 6);
        ck_assert_uint_eq(job->text_size, MIN(size, (size_t) WIRE_TEXT_MAX));
}
END_TEST

START_TEST(test_many) {
        for (unsigned n = 0; n < 20000; n++) {
                JobKey k = { .attempt = n };
                Job *job;

                ck_assert_int_eq(job_table_add(table, &k, NULL, "x", 1, &job), 0);
        }
        for (unsigned n = 0; n < 20000; n += 2) {
                JobKey k = { .attempt = n };

                job_table_remove(table, job_table_find(table, &k));
        }
        ck_assert_uint_eq(job_table_count(table), 10000);
        for (unsigned n = 0; n < 20000; n++) {
                JobKey k = { .attempt = n };

                ck_assert_int_eq(job_table_find(table, &k) != NULL, n % 2);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("job");
        TCase *c = tcase_create("job");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, test_table);
        tcase_add_loop_test(c, test_arguments, 0, 5);
        tcase_add_loop_test(c, test_finish, 0, 5);
        tcase_add_test(c, test_many);
        suite_add_tcase(s, c);
        return check_run(s);
}
