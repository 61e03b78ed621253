/* SPDX-License-Identifier: MIT */
#pragma once

/* What the unit tests share: running a suite, private directories, and reading what went to stderr. */

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "macro.h"

#define TEST_DIRECTORY_TEMPLATE "/tmp/fastworker-check-XXXXXX"

/* What main() returns. */
_unused_ static int check_run(Suite *s) {
        SRunner *runner = srunner_create(s);
        int n_failed;

        srunner_run_all(runner, CK_ENV);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

_unused_ static int remove_entry(const char *path, const struct stat *st, int type,
                                 struct FTW *ftw) {
        return remove(path);
}

/* The private directory of a test; made and removed by the fixtures below. */
_unused_ static char test_directory[sizeof(TEST_DIRECTORY_TEMPLATE)];

_unused_ static void setup_directory(void) {
        strcpy(test_directory, TEST_DIRECTORY_TEMPLATE);
        ck_assert_ptr_nonnull(mkdtemp(test_directory));
}

_unused_ static void teardown_directory(void) {
        ck_assert_int_eq(nftw(test_directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* A fresh string. */
_unused_ _printf_(1, 2) static char *format_string(const char *format, ...) {
        char *text = NULL;
        va_list ap;

        va_start(ap, format);
        ck_assert_int_ge(vasprintf(&text, format, ap), 0);
        va_end(ap);
        return text;
}

/* A path in the private directory; a fresh string. */
_unused_ static char *path_in(const char *name) {
        return format_string("%s/%s", test_directory, name);
}

_unused_ static void write_bytes(const char *path, const void *data, size_t size) {
        FILE *f = fopen(path, "we");

        ck_assert_ptr_nonnull(f);
        ck_assert_uint_eq(fwrite(data, 1, size, f), size);
        ck_assert_int_eq(fclose(f), 0);
}

_unused_ static void write_text(const char *path, const char *text) {
        write_bytes(path, text, strlen(text));
}

/* Takes what is written to a standard descriptor. */
typedef struct Capture {
        int target, saved, file;
} Capture;

_unused_ static void capture_begin(Capture *c, int target) {
        (void) fflush(NULL);
        c->target = target;
        c->saved = fcntl(target, F_DUPFD_CLOEXEC, 10);
        c->file = memfd_create("captured", MFD_CLOEXEC);
        ck_assert_int_ge(c->saved, 0);
        ck_assert_int_ge(c->file, 0);
        ck_assert_int_ge(dup2(c->file, target), 0);
}

/* Undoes it and returns what was written: a fresh string. */
_unused_ static char *capture_end(Capture *c) {
        struct stat st;
        char *text;

        (void) fflush(NULL);
        ck_assert_int_ge(dup2(c->saved, c->target), 0);
        ck_assert_int_eq(fstat(c->file, &st), 0);
        text = calloc(1, (size_t) st.st_size + 1);
        ck_assert_ptr_nonnull(text);
        ck_assert_int_eq(pread(c->file, text, (size_t) st.st_size, 0), st.st_size);
        safe_close(c->saved);
        safe_close(c->file);
        return text;
}

#define ck_assert_contains(text, part) \
        ck_assert_msg(strstr((text), (part)), "\"%s\" is not in \"%s\"", (part), (text))
#define ck_assert_lacks(text, part) \
        ck_assert_msg(!strstr((text), (part)), "\"%s\" is in \"%s\"", (part), (text))
