/* SPDX-License-Identifier: MIT */

/* Where the programs of the suite find each other. */

#include <libgen.h>
#include <limits.h>

#include "check-util.h"
#include "program.h"

static void make_program(const char *name, mode_t mode) {
        _cleanup_free_ char *path = path_in(name);

        write_text(path, "#!/bin/sh\n");
        ck_assert_int_eq(chmod(path, mode), 0);
}

/* Beside the running program first, even if it is in the other place, too. */
START_TEST(test_beside) {
        char self[PATH_MAX] = "", copy[PATH_MAX];
        _cleanup_free_ char *path = NULL;
        const char *name;

        ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
        strcpy(copy, self);
        name = basename(copy);
        make_program(name, 0755);
        ck_assert_int_eq(program_find(name, test_directory, &path), 0);
        ck_assert_str_eq(path, self);
}
END_TEST

START_TEST(test_directory_given) {
        _cleanup_free_ char *path = NULL, *expected = path_in("fastworker-other");

        make_program("fastworker-other", 0755);
        ck_assert_int_eq(program_find("fastworker-other", test_directory, &path), 0);
        ck_assert_str_eq(path, expected);
}
END_TEST

START_TEST(test_missing) {
        char *path = NULL;

        ck_assert_int_eq(program_find("fastworker-other", test_directory, &path), -ENOENT);
        ck_assert_int_eq(program_find("fastworker-other", "/nowhere/at/all", &path), -ENOENT);
        ck_assert_ptr_null(path);
}
END_TEST

/* A file that nobody may execute is no program, not even for root. */
START_TEST(test_not_executable) {
        char *path = NULL;

        make_program("fastworker-other", 0644);
        ck_assert_int_eq(program_find("fastworker-other", test_directory, &path), -EACCES);
        ck_assert_ptr_null(path);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("program");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup_directory, teardown_directory);
        tcase_add_test(t, test_beside);
        tcase_add_test(t, test_directory_given);
        tcase_add_test(t, test_missing);
        tcase_add_test(t, test_not_executable);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
