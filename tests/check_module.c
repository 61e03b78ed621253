/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "module.h"

static Modules *modules;

static void setup(void) {
        setup_directory();
        ck_assert_int_eq(modules_new(&modules), 0);
}

static void teardown(void) {
        modules = modules_free(modules);
        teardown_directory();
}

static void load(const char *file) {
        _cleanup_free_ char *error = NULL;
        int r = modules_load(modules, file, &error);

        ck_assert_msg(r == 0, "%s", error);
        ck_assert_ptr_null(error);
}

static void load_fails(const char *file, int expected, const char *part) {
        _cleanup_free_ char *error = NULL;

        ck_assert_int_eq(modules_load(modules, file, &error), expected);
        ck_assert_ptr_nonnull(error);
        ck_assert_contains(error, part);
        ck_assert_contains(error, file);
}

START_TEST(test_load) {
        _cleanup_free_ char *list = NULL;
        size_t size;

        ck_assert_uint_eq(modules_count(modules), 0);
        load(ODD_MODULE);
        ck_assert_uint_eq(modules_count(modules), 5);
        ck_assert_int_eq(modules_list(modules, &list, &size), 0);
        ck_assert_str_eq(list,
                         "hello\tSays hello.\necho\t\nprint\tPrints.\nfifo\tWaits.\ngetenv\t\n");
        ck_assert_uint_eq(size, strlen(list));

        ck_assert(modules_find(modules, "hello", 5));
        ck_assert(modules_find(modules, "hello", 5) == modules_find(modules, "hello", 5));
        ck_assert(modules_find(modules, "hello", 5) != modules_find(modules, "echo", 4));
        ck_assert(!modules_find(modules, "hell", 4));
        ck_assert(!modules_find(modules, "hellos", 6));
}
END_TEST

START_TEST(test_task_files) {
        _cleanup_free_ char *good = path_in("hash.task"), *bad = path_in("bad.task"),
                            *twice = path_in("hello.task"), *other = path_in("etc"),
                            *drop_ins = path_in("etc/hash.task.d"),
                            *drop_in = path_in("etc/hash.task.d/x.conf"), *text = NULL;
        char *directories[] = { other, NULL };
        const TaskFile *t;
        size_t size;

        ck_assert_int_eq(modules_set_directories(modules, directories), 0);
        ck_assert_int_eq(mkdir(other, 0700), 0);
        ck_assert_int_eq(mkdir(drop_ins, 0700), 0);
        write_text(drop_in, "[Task]\nTimeout=5s\n");
        write_text(good, "[Task]\nDescription=Hashes\ta file.\nExec=/bin/cat\n");
        write_text(bad, "[Task]\nExec=cat\nNice=x\nUMask=9\n");
        write_text(twice, "[Task]\nExec=/bin/cat\n");
        load(ODD_MODULE);
        load(good);
        load_fails(bad, -EINVAL,
                   "bad.task:3: bad value \"x\" for Nice=, expected a number from -20 to 19; ");
        load_fails(bad, -EINVAL, "bad.task:4: ");
        load_fails(twice, -EEXIST, "task hello is defined in");
        load_fails("/nonexistent/x.task", -ENOENT, "no such task file");
        ck_assert_uint_eq(modules_count(modules), 6);
        t = modules_find_command(modules, "hash", 4);
        ck_assert_ptr_nonnull(t);
        ck_assert_uint_eq(t->timeout_usec, 5000000);
        ck_assert(!modules_find(modules, "hash", 4));
        ck_assert(!modules_find_command(modules, "hello", 5));
        ck_assert(!modules_find_command(modules, "nosuch", 6));
        ck_assert_int_eq(modules_list(modules, &text, &size), 0);
        ck_assert_contains(text, "\nhash\tHashes a file.\t{\"max_retries\":0,\"timeout\":5}\n");
}
END_TEST

START_TEST(test_not_loadable) {
        _cleanup_free_ char *file = path_in("text.so");

        load_fails("/nonexistent/module.so", -ENOEXEC, "No such file");
        write_text(file, "this is text and no shared object, however long one looks at it, is it?");
        load_fails(file, -ENOEXEC, "invalid ELF header");
        load_fails("libc.so.6", -ENOEXEC, "does not define fastworker_module");
        ck_assert_uint_eq(modules_count(modules), 0);
}
END_TEST

START_TEST(test_wrong) {
        static const struct {
                const char *kind;
                int error;
                const char *text;
        } table[] = {
                { "abi", -EPROTO, "version 2" },
                { "empty", -ENODATA, "defines no tasks" },
                { "size", -EPROTO, "table of tasks is damaged" },
                { "name", -EINVAL, "\"not a name\"" },
                { "no-name", -EINVAL, "a task called \"\"" },
                { "function", -EINVAL, "task hello has no function" },
        };

        ck_assert_int_eq(setenv("ODD_MODULE", table[_i].kind, true), 0);
        load_fails(ODD_MODULE, table[_i].error, table[_i].text);
}
END_TEST
#define N_WRONG 6

/* A module that was built with a later header, whose definitions are longer. */
START_TEST(test_later_version) {
        _cleanup_free_ char *list = NULL;
        size_t size;

        ck_assert_int_eq(setenv("ODD_MODULE", "later", true), 0);
        load(ODD_MODULE);
        ck_assert_int_eq(modules_list(modules, &list, &size), 0);
        ck_assert_str_eq(list, "later1\tOne.\nlater2\tTwo.\n");
}
END_TEST

START_TEST(test_defined_twice) {
        load(ODD_MODULE);
        load_fails(ODD_MODULE, -EEXIST, "is defined in");
}
END_TEST

int main(void) {
        Suite *s = suite_create("module");
        TCase *c = tcase_create("module");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, test_load);
        tcase_add_test(c, test_task_files);
        tcase_add_test(c, test_not_loadable);
        tcase_add_loop_test(c, test_wrong, 0, N_WRONG);
        tcase_add_test(c, test_later_version);
        tcase_add_test(c, test_defined_twice);
        suite_add_tcase(s, c);
        return check_run(s);
}
