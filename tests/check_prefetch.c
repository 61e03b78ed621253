/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "prefetch.h"

static Prefetch *p;

static void setup(void) {
        ck_assert_int_eq(prefetch_new(128, &p), 0);
}

static void teardown(void) {
        p = prefetch_free(p);
}

static void observe(uint64_t usec, unsigned n) {
        while (n-- > 0)
                prefetch_observe(p, usec);
}

/* As long as nothing is known, and when tasks are long, only what can run at once. */
START_TEST(test_nothing_ahead) {
        ck_assert_uint_eq(prefetch_capacity(p, 4), 4);
        observe(5000, 1);
        ck_assert_uint_eq(prefetch_capacity(p, 4), 4);
        observe(1000000, 50);
        ck_assert_uint_eq(prefetch_capacity(p, 4), 4);
        ck_assert_uint_eq(prefetch_capacity(p, 0), 0);
}
END_TEST

/* Some milliseconds of work for each slot. */
START_TEST(test_ahead) {
        observe(1000, 1);
        ck_assert_uint_eq(prefetch_capacity(p, 1), 1 + 3);
        ck_assert_uint_eq(prefetch_capacity(p, 8), 8 + 24);
        observe(100, 200);
        ck_assert_uint_ge(prefetch_capacity(p, 1), 1 + 25);
        ck_assert_uint_le(prefetch_capacity(p, 1), 1 + 30);
        observe(0, 200);
        ck_assert_uint_eq(prefetch_capacity(p, 1), 1 + 128);
        ck_assert_uint_eq(prefetch_capacity(p, 8), 8 + 128);
}
END_TEST

START_TEST(test_max) {
        observe(0, 1);
        prefetch_set_max(p, 10);
        ck_assert_uint_eq(prefetch_capacity(p, 2), 12);
        prefetch_set_max(p, 0);
        ck_assert_uint_eq(prefetch_capacity(p, 2), 2);
        prefetch_set_max(p, 128);
        ck_assert_uint_eq(prefetch_capacity(p, 2), 130);
}
END_TEST

/* One task that hangs is enough to stop fetching. */
START_TEST(test_hanging) {
        observe(10, 100);
        ck_assert_uint_eq(prefetch_capacity(p, 1), 129);
        prefetch_observe_at_least(p, 20000);
        ck_assert_uint_eq(prefetch_capacity(p, 1), 1);
        observe(10, 10);
        ck_assert_uint_eq(prefetch_capacity(p, 1), 1);
        observe(10, 100);
        ck_assert_uint_eq(prefetch_capacity(p, 1), 129);
}
END_TEST

/* Small changes are not worth a message. */
START_TEST(test_steady) {
        unsigned capacity, changes = 0, previous;

        observe(50, 100);
        previous = prefetch_capacity(p, 1);
        for (unsigned i = 0; i < 1000; i++) {
                prefetch_observe(p, i % 2 ? 45 : 55);
                capacity = prefetch_capacity(p, 1);
                changes += capacity != previous;
                previous = capacity;
        }
        ck_assert_uint_eq(changes, 0);

        /* another number of slots is always worth one */
        ck_assert_uint_ne(prefetch_capacity(p, 2), previous);
}
END_TEST

int main(void) {
        Suite *s = suite_create("prefetch");
        TCase *c = tcase_create("prefetch");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, test_nothing_ahead);
        tcase_add_test(c, test_ahead);
        tcase_add_test(c, test_max);
        tcase_add_test(c, test_hanging);
        tcase_add_test(c, test_steady);
        suite_add_tcase(s, c);
        return check_run(s);
}
