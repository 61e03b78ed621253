/* SPDX-License-Identifier: MIT */

#include <fcntl.h>

#include "check-util.h"
#include "read-file.h"

static int read_path(const char *path, size_t max, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        return read_text(fd, max, ret, ret_size);
}

START_TEST(test_read) {
        _cleanup_free_ char *path = path_in("file"), *text = NULL, *empty = NULL;
        size_t size;

        write_text(path, "12345");
        ck_assert_int_eq(read_path(path, 5, &text, &size), 0);
        ck_assert_uint_eq(size, 5);
        ck_assert_str_eq(text, "12345");
        ck_assert_int_eq(read_path(path, 4, &empty, NULL), -EFBIG);
        ck_assert_ptr_null(empty);
        ck_assert_int_eq(read_path("/dev/null", 0, &empty, NULL), 0);
        ck_assert_str_eq(empty, "");
        ck_assert_int_eq(read_text(-EBADF, 5, &text, &size), -EBADF);
        ck_assert_int_eq(read_path(test_directory, 5, &text, &size), -EISDIR);
}
END_TEST

START_TEST(test_null_device) {
        _cleanup_free_ char *path = path_in("file");
        struct stat st;

        ck_assert_int_eq(stat("/dev/null", &st), 0);
        ck_assert(is_null_device(&st));
        ck_assert_int_eq(stat("/dev/zero", &st), 0);
        ck_assert(!is_null_device(&st));
        write_text(path, "");
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert(!is_null_device(&st));
}
END_TEST

int main(void) {
        Suite *s = suite_create("read-file");
        TCase *c = tcase_create("all");

        tcase_add_checked_fixture(c, setup_directory, teardown_directory);
        tcase_add_test(c, test_read);
        tcase_add_test(c, test_null_device);
        suite_add_tcase(s, c);
        return check_run(s);
}
