/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "conf.h"

static void setup(void) {
        static const char *const variables[] = {
                "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "HOME",
        };

        setup_directory();
        for (size_t i = 0; i < ELEMENTSOF(variables); i++)
                ck_assert_int_eq(unsetenv(variables[i]), 0);
}

static void set_path(const char *variable, const char *name) {
        _cleanup_free_ char *path = path_in(name);

        ck_assert_int_eq(setenv(variable, path, 1), 0);
}

static void check_directory(const char *path, const char *name, mode_t mode) {
        _cleanup_free_ char *expected = path_in(name);
        struct stat st;

        ck_assert_str_eq(path, expected);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert(S_ISDIR(st.st_mode));
        ck_assert_uint_eq(st.st_mode & 07777, mode);
}

/* Each source in turn, the weakest first; each beats those before. */
START_TEST(test_state) {
        _cleanup_free_ char *home = NULL, *xdg = NULL, *service = NULL, *set = NULL,
                            *setting = path_in("set/a/b");

        (void) umask(0);
        set_path("HOME", "home");
        ck_assert_int_eq(conf_state_directory(NULL, &home), 0);
        check_directory(home, "home/.local/state/fastworker", 0700);
        set_path("XDG_STATE_HOME", "xdg");
        ck_assert_int_eq(conf_state_directory("", &xdg), 0);
        check_directory(xdg, "xdg/fastworker", 0700);
        set_path("STATE_DIRECTORY", "service");
        ck_assert_int_eq(conf_state_directory(NULL, &service), 0);
        check_directory(service, "service", 0700);
        ck_assert_int_eq(conf_state_directory(setting, &set), 0);
        check_directory(set, "set/a/b", 0700);
}
END_TEST

START_TEST(test_runtime) {
        _cleanup_free_ char *xdg = NULL, *service = NULL, *set = NULL, *setting = path_in("set");

        set_path("XDG_RUNTIME_DIR", "xdg");
        ck_assert_int_eq(conf_runtime_directory(NULL, &xdg), 0);
        check_directory(xdg, "xdg/fastworker", 0700);
        set_path("RUNTIME_DIRECTORY", "service");
        ck_assert_int_eq(conf_runtime_directory(NULL, &service), 0);
        check_directory(service, "service", 0700);
        ck_assert_int_eq(conf_runtime_directory(setting, &set), 0);
        check_directory(set, "set", 0700);

        /* What is not a private directory below /tmp stays. */
        set = conf_runtime_directory_release(set);
        ck_assert_ptr_null(set);
        ck_assert_int_eq(access(setting, F_OK), 0);
}
END_TEST

START_TEST(test_private_runtime) {
        _cleanup_free_ char *file = NULL, *copy = NULL;
        char *a, *b;
        struct stat st;

        ck_assert_int_eq(conf_runtime_directory(NULL, &a), 0);
        ck_assert_int_eq(conf_runtime_directory(NULL, &b), 0);
        ck_assert_str_ne(a, b);
        ck_assert_int_eq(stat(a, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0700);
        ck_assert_uint_eq(st.st_uid, geteuid());

        copy = format_string("%s", b);
        ck_assert_ptr_null(conf_runtime_directory_release(b));
        ck_assert_int_eq(access(copy, F_OK), -1);

        /* One that still holds something is left. */
        free(copy);
        copy = format_string("%s", a);
        file = format_string("%s/socket", a);
        write_text(file, "");
        ck_assert_ptr_null(conf_runtime_directory_release(a));
        ck_assert_int_eq(access(file, F_OK), 0);
        ck_assert_int_eq(unlink(file), 0);
        ck_assert_int_eq(rmdir(copy), 0);
        ck_assert_ptr_null(conf_runtime_directory_release(NULL));
}
END_TEST

/* systemd separates several directories by colons; the first is ours. */
START_TEST(test_list) {
        _cleanup_free_ char *list = format_string("%s/one:%s/two", test_directory, test_directory),
                            *state = NULL;

        ck_assert_int_eq(setenv("STATE_DIRECTORY", list, 1), 0);
        ck_assert_int_eq(conf_state_directory(NULL, &state), 0);
        check_directory(state, "one", 0700);
}
END_TEST

/* A relative path in a variable is no path: the specification says to ignore it. */
START_TEST(test_relative_variable) {
        _cleanup_free_ char *state = NULL;

        ck_assert_int_eq(setenv("XDG_STATE_HOME", "relative", 1), 0);
        ck_assert_int_eq(setenv("STATE_DIRECTORY", "relative", 1), 0);
        set_path("HOME", "home");
        ck_assert_int_eq(conf_state_directory(NULL, &state), 0);
        check_directory(state, "home/.local/state/fastworker", 0700);
}
END_TEST

START_TEST(test_relative_setting) {
        _cleanup_free_ char *state = NULL;

        ck_assert_int_eq(chdir(test_directory), 0);
        ck_assert_int_eq(conf_state_directory("a/b", &state), 0);
        check_directory(state, "a/b", 0700);
        ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

/* What is there stays as it is, also behind a link, as with DynamicUser=. */
START_TEST(test_existing) {
        _cleanup_free_ char *real = path_in("real"), *link = path_in("link"), *state = NULL;

        ck_assert_int_eq(mkdir(real, 0750), 0);
        ck_assert_int_eq(chmod(real, 0750), 0);
        ck_assert_int_eq(symlink("real", link), 0);
        ck_assert_int_eq(conf_state_directory(link, &state), 0);
        check_directory(state, "link", 0750);
}
END_TEST

START_TEST(test_not_a_directory) {
        _cleanup_free_ char *file = path_in("file"), *below = path_in("file/below");
        char *state = NULL;

        write_text(file, "");
        ck_assert_int_eq(conf_state_directory(file, &state), -ENOTDIR);
        ck_assert_int_eq(conf_state_directory(below, &state), -ENOTDIR);
        ck_assert_ptr_null(state);
}
END_TEST

START_TEST(test_no_permission) {
        _cleanup_free_ char *closed = path_in("closed"), *below = path_in("closed/below");
        bool is_root = geteuid() == 0;
        char *state = NULL;
        int r;

        ck_assert_int_eq(mkdir(closed, 0500), 0);
        ck_assert_int_eq(chmod(test_directory, 0755), 0);
        if (is_root)
                ck_assert_int_eq(seteuid(65534), 0);
        r = conf_state_directory(below, &state);
        if (is_root)
                ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(r, -EACCES);
        ck_assert_ptr_null(state);
}
END_TEST

int main(void) {
        Suite *s = suite_create("directories");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown_directory);
        tcase_add_test(t, test_state);
        tcase_add_test(t, test_runtime);
        tcase_add_test(t, test_private_runtime);
        tcase_add_test(t, test_list);
        tcase_add_test(t, test_relative_variable);
        tcase_add_test(t, test_relative_setting);
        tcase_add_test(t, test_existing);
        tcase_add_test(t, test_not_a_directory);
        tcase_add_test(t, test_no_permission);
        suite_add_tcase(s, t);
        return check_run(s);
}
