/* SPDX-License-Identifier: MIT */

/* The hash behind all tables: the same within a process, another one in the next, and even. */

#include <inttypes.h>

#include "check-util.h"
#include "hash.h"
#include "task-id.h"

/* Every size up to a few words, from memory of just that size, so that reading beyond it is found. */
START_TEST(test_sizes) {
        uint32_t seen[40];

        for (size_t size = 0; size < ELEMENTSOF(seen); size++) {
                _cleanup_free_ uint8_t *data = malloc(size), *copy = malloc(size);

                for (size_t i = 0; i < size; i++)
                        data[i] = copy[i] = (uint8_t) i;
                seen[size] = hash_bytes(data, size);
                ck_assert_uint_eq(hash_bytes(copy, size), seen[size]);
        }
        for (size_t i = 0; i < ELEMENTSOF(seen); i++)
                for (size_t k = 0; k < i; k++)
                        ck_assert_uint_ne(seen[i], seen[k]);
}
END_TEST

/* Each bit of what is hashed matters, and changes about half of the result's. */
START_TEST(test_bits) {
        uint8_t data[19] = {};
        uint32_t before = hash_bytes(data, sizeof(data));
        unsigned changed = 0;

        for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
                uint32_t after;

                data[bit / 8] ^= (uint8_t) (1U << bit % 8);
                after = hash_bytes(data, sizeof(data));
                data[bit / 8] ^= (uint8_t) (1U << bit % 8);
                ck_assert_uint_ne(before, after);
                changed += (unsigned) __builtin_popcount(before ^ after);
        }
        ck_assert_uint_gt(changed, 8 * sizeof(data) * 14);
        ck_assert_uint_lt(changed, 8 * sizeof(data) * 18);
}
END_TEST

/* Ids of one coordinator are alike, but fill the buckets of a table evenly. */
START_TEST(test_even) {
        unsigned n[256] = {};

        for (unsigned i = 0; i < 100 * ELEMENTSOF(n); i++) {
                TaskId id;

                ck_assert_int_eq(task_id_new(&id), 0);
                n[hash_bytes(id.bytes, sizeof(id.bytes)) % ELEMENTSOF(n)]++;
        }
        for (size_t i = 0; i < ELEMENTSOF(n); i++) {
                ck_assert_uint_gt(n[i], 30);
                ck_assert_uint_lt(n[i], 200);
        }
}
END_TEST

/* This program as a child, which tells its hash. */
static uint32_t hash_of_child(void) {
        char text[32] = "";
        FILE *f = popen("exec /proc/$PPID/exe child", "re");

        ck_assert_ptr_nonnull(f);
        ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
        ck_assert_int_eq(pclose(f), 0);
        return (uint32_t) strtoul(text, NULL, 10);
}

/* Nobody outside can tell which keys fall together. */
START_TEST(test_secret) {
        uint32_t own = hash_bytes("key", 3), a = hash_of_child(), b = hash_of_child();

        ck_assert(a != own || b != own);
        ck_assert(a != b || b != own);
}
END_TEST

int main(int argc, char *argv[]) {
        Suite *suite;
        TCase *t;

        if (argc > 1) {
                printf("%" PRIu32 "\n", hash_bytes("key", 3));
                return EXIT_SUCCESS;
        }
        suite = suite_create("hash");
        t = tcase_create("all");
        tcase_add_test(t, test_sizes);
        tcase_add_test(t, test_bits);
        tcase_add_test(t, test_even);
        tcase_add_test(t, test_secret);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
