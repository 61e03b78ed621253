/* SPDX-License-Identifier: MIT */

#include <limits.h>

#include "check-util.h"
#include "module-path.h"
#include "parse-util.h"

static char **list(const char *words) {
        char **l = NULL;

        ck_assert_int_ge(strv_split_extend(&l, words, " "), 0);
        return l;
}

/* Makes DIRECTORY/NAME in the private directory. */
static void make(const char *directory, const char *name) {
        _cleanup_free_ char *d = path_in(directory), *file = format_string("%s/%s", d, name);

        ck_assert(mkdir(d, 0700) >= 0 || errno == EEXIST);
        write_text(file, "");
}

/* `path` and `expected` are below the private directory, with its name for %. */
static char *expand(const char *text) {
        char *result = format_string("%s", "");

        for (const char *p = text; *p; p++) {
                char *longer = *p == '%' ? format_string("%s%s", result, test_directory)
                                         : format_string("%s%c", result, *p);

                free(result);
                result = longer;
        }
        return result;
}

static int find(const char *names, const char *path, char **ret, char **ret_error) {
        _cleanup_free_ char *expanded_path = expand(path), *expanded_names = expand(names);
        _cleanup_strv_ char **n = list(expanded_names), **p = list(expanded_path), **files = NULL;
        int r;

        r = module_path_find(n, p, &files, ret_error);
        if (r >= 0)
                *ret = strv_join(files, " ");
        return r;
}

static void assert_found(const char *names, const char *path, const char *expected) {
        _cleanup_free_ char *wanted = expand(expected), *found = NULL, *error = NULL;
        int r = find(names, path, &found, &error);

        ck_assert_msg(r == 0, "%s", error);
        ck_assert_str_eq(found, wanted);
}

START_TEST(test_order) {
        make("a", "one.so");
        make("b", "one.so");
        make("b", "two.so");
        assert_found("one two", "%/a %/b", "%/a/one.so %/b/two.so");
        assert_found("one two", "%/b %/a", "%/b/one.so %/b/two.so");
        assert_found("two one", "%/a:%/b", "%/b/two.so %/a/one.so");
        assert_found("one", "%/missing:%/b", "%/b/one.so");
}
END_TEST

static void assert_not_found(const char *names, const char *path, const char *part) {
        _cleanup_free_ char *found = NULL, *error = NULL;

        ck_assert_int_eq(find(names, path, &found, &error), -ENOENT);
        ck_assert_contains(error, part);
}

START_TEST(test_task_files) {
        _cleanup_strv_ char **path = list("x y"), **directories = NULL;
        _cleanup_free_ char *file = path_in("a/one.task"), *link = path_in("a/linked.task"),
                            *mask = path_in("a/masked.task"), *target = path_in("b/other");

        make("a", "one.so");
        make("b", "one.task");
        make("b", "two.task");
        make("b", "masked.task");
        make("b", "other");
        write_text(file, "[Task]\n");
        /* An empty one masks. */
        assert_not_found("two", "%/a:%/b", "Task module two: it is masked");
        ck_assert_int_eq(symlink("/dev/null", mask), 0);
        assert_not_found("masked", "%/a:%/b", "Task module masked: it is masked");
        write_text(target, "[Task]\n");
        ck_assert_int_eq(symlink(target, link), 0);

        assert_found("one", "%/a:%/b", "%/a/one.so");
        assert_found("one.task", "%/a:%/b", "%/a/one.task");
        assert_found("%/a/one.task", "", "%/a/one.task");
        assert_found("%/b/../a/one.task", "", "%/a/one.task");
        /* It is called like the link. */
        assert_found("linked", "%/a", "%/a/linked.task");
        assert_not_found("three", "%/a",
                         "and no three.task in: " SYSCONFDIR "/fastworker/tasks.d " TASKDIR);
        assert_not_found("three.task", "%/a", "no three.task in any");

        ck_assert_int_eq(module_path_task_directories(path, &directories), 0);
        ck_assert_uint_eq(strv_length(directories), 5);
        ck_assert_str_eq(directories[0], SYSCONFDIR "/fastworker/tasks.d");
        ck_assert_str_eq(directories[1], TASKDIR);
        ck_assert_str_eq(directories[2], "x");
        ck_assert_str_eq(directories[4], MODULEDIR);
        ck_assert_int_eq(module_kind("/a.task"), MODULE_COMMAND);
        ck_assert_int_lt(module_kind(".task"), 0);
}
END_TEST

START_TEST(test_names) {
        _cleanup_free_ char *before = getcwd(NULL, 0);

        make("a", "one.so");
        assert_found("one.so", "%/a", "%/a/one.so");
        assert_found("%/a/one.so", "", "%/a/one.so");
        assert_found("%/a/../a/./one.so", "", "%/a/one.so");
        ck_assert_int_eq(chdir(test_directory), 0);
        assert_found("./a/one.so", "", "%/a/one.so");
        assert_found("one", "a", "%/a/one.so");
        ck_assert_int_eq(chdir(before), 0);
}
END_TEST

START_TEST(test_kinds) {
        _cleanup_free_ char *found = NULL, *error = NULL, *link = path_in("b/linked.so");

        ck_assert_int_eq(module_kind("a/b.so"), MODULE_NATIVE);
        ck_assert_int_eq(module_kind("b.py"), MODULE_PYTHON);
        ck_assert_int_eq(module_kind(".py"), _MODULE_KIND_INVALID);
        ck_assert_int_eq(module_kind("b.pyc"), _MODULE_KIND_INVALID);

        make("a", "one.so");
        make("a", "two.py");
        make("b", "one.py");
        assert_found("one two", "%/a %/b", "%/a/one.so %/a/two.py");
        assert_found("one", "%/b %/a", "%/b/one.py");
        assert_found("one.py", "%/a %/b", "%/b/one.py");
        assert_found("%/b/one.py", "", "%/b/one.py");

        /* Which of the two is meant, nobody can know. */
        make("a", "one.py");
        ck_assert_int_eq(find("one", "%/a", &found, &error), -ENOTUNIQ);
        ck_assert_contains(error, "a/one.so and ");
        ck_assert_contains(error, "a/one.py;");
        free(error);
        assert_found("one.so", "%/a", "%/a/one.so");

        make("a", "one.txt");
        ck_assert_int_eq(find("%/a/one.txt", "", &found, &error), -EINVAL);
        ck_assert_contains(error, ".so, .py or .task");

        /* The name counts, not what a link leads to. */
        ck_assert_int_eq(symlink("../a/one.txt", link), 0);
        assert_found("linked", "%/b", "%/b/linked.so");
}
END_TEST

START_TEST(test_not_found) {
        _cleanup_free_ char *found = NULL, *error = NULL, *place = path_in("a");
        _cleanup_free_ char *directory_file = path_in("a/dir.so");

        make("a", "one.so");
        ck_assert_int_eq(find("one three", "%/a", &found, &error), -ENOENT);
        ck_assert_contains(error, "three.so");
        ck_assert_contains(error, place);
        ck_assert_contains(error, MODULEDIR);
        free(error);

        /* A directory is no module. */
        ck_assert_int_eq(mkdir(directory_file, 0700), 0);
        ck_assert_int_eq(find("dir", "%/a", &found, &error), -ENOENT);
        free(error);

        ck_assert_int_eq(find("./nowhere.so", "%/a", &found, &error), -ENOENT);
        ck_assert_contains(error, "./nowhere.so");
        ck_assert_ptr_null(found);
}
END_TEST

/* A subworker may be without modules. */
START_TEST(test_none) {
        assert_found("", "%/a", "");
}
END_TEST

int main(void) {
        Suite *s = suite_create("module-path");
        TCase *c = tcase_create("module-path");

        tcase_add_checked_fixture(c, setup_directory, teardown_directory);
        tcase_add_test(c, test_order);
        tcase_add_test(c, test_task_files);
        tcase_add_test(c, test_names);
        tcase_add_test(c, test_kinds);
        tcase_add_test(c, test_not_found);
        tcase_add_test(c, test_none);
        suite_add_tcase(s, c);
        return check_run(s);
}
