/* SPDX-License-Identifier: MIT */

#include "average.h"
#include "check-util.h"
#include "type.h"

static TypeTable *table;
static TypeConflict conflict;

static void setup(void) {
        ck_assert_int_eq(type_table_new(&table), 0);
}

static void teardown(void) {
        table = type_table_free(table);
}

static int set(const char *list) {
        return type_table_set(table, RUNNER_NATIVE, &(TypeList){ list, strlen(list) }, &conflict);
}

/* The names that are offered, each with a space behind. */
static char *names(void) {
        char *text = format_string("%s", "");

        for (const TaskType *t = type_table_next(table, NULL); t; t = type_table_next(table, t)) {
                char *longer = format_string("%s%s ", text, type_name(t));

                free(text);
                text = longer;
        }
        return text;
}

#define assert_names(expected)                         \
        do {                                           \
                _cleanup_free_ char *_names = names(); \
                                                       \
                ck_assert_str_eq(_names, expected);    \
        } while (false)

START_TEST(test_set) {
        TaskType *add;

        ck_assert_int_eq(set("add\tAdds.\nnoop\t\nplain\n"), 1);
        assert_names("add noop plain ");
        ck_assert_uint_eq(type_table_count(table), 3);
        add = type_table_find(table, "add", 3);
        ck_assert_str_eq(type_description(add), "Adds.");
        ck_assert_str_eq(type_description(type_table_find(table, "plain", 5)), "");
        ck_assert_ptr_null(type_table_find(table, "ad", 2));
        ck_assert_ptr_null(type_table_find(table, "addx", 4));

        ck_assert_int_eq(set("add\tAdds.\nnoop\t\nplain\n"), 0);
        ck_assert_int_eq(set("add\tAdds two.\nnoop\t\nplain\n"), 1);
        ck_assert_str_eq(type_description(add), "Adds two.");
}
END_TEST

START_TEST(test_options) {
        TaskType *add;

        ck_assert_int_eq(set("add\tAdds.\t{\"timeout\":5}\nnoop\t\n"), 1);
        add = type_table_find(table, "add", 3);
        ck_assert_str_eq(type_description(add), "Adds.");
        ck_assert_str_eq(type_options(add), "{\"timeout\":5}");
        ck_assert_str_eq(type_options(type_table_find(table, "noop", 4)), "");
        ck_assert_int_eq(set("add\tAdds.\t{\"timeout\":5}\tof a later version\nnoop\t\t\n"), 0);
        ck_assert_int_eq(set("add\tAdds.\t{\"timeout\":6}\nnoop\t\n"), 1);
        ck_assert_str_eq(type_options(add), "{\"timeout\":6}");
        ck_assert_int_eq(set("add\tAdds.\nnoop\t\n"), 1);
        ck_assert_str_eq(type_options(add), "");
}
END_TEST

START_TEST(test_long_options) {
        _cleanup_free_ char *line = format_string("a\t\t%016384d\n", 0),
                            *longer = format_string("a\t\t%016385d\n", 0);

        ck_assert_int_eq(set(line), 1);
        ck_assert_int_eq(set(longer), -EBADMSG);
}
END_TEST

static int set_python(const char *list) {
        return type_table_set(table, RUNNER_PYTHON, &(TypeList){ list, strlen(list) }, &conflict);
}

START_TEST(test_kinds) {
        TypeList lists[_RUNNER_KIND_MAX] = {};
        TaskType *add;

        ck_assert_int_eq(set("add\tAdds.\t\t/m/c.so\nnoop\t\n"), 1);
        ck_assert_int_eq(set_python("greet\t\t\t/m/p.py\n"), 1);
        assert_names("add noop greet ");
        add = type_table_find(table, "add", 3);
        ck_assert_str_eq(type_file(add), "/m/c.so");
        ck_assert_int_eq(type_kind(add), RUNNER_NATIVE);
        ck_assert_int_eq(type_kind(type_table_find(table, "greet", 5)), RUNNER_PYTHON);

        /* Two kinds with one name: nothing changes. */
        ck_assert_int_eq(set_python("other\t\nadd\tX\t\t/m/p.py\n"), -EEXIST);
        ck_assert_str_eq(conflict.name, "add");
        ck_assert_str_eq(conflict.file, "/m/c.so");
        ck_assert_str_eq(conflict.other_file, "/m/p.py");
        assert_names("add noop greet ");
        ck_assert_str_eq(type_description(add), "Adds.");

        /* All at once, a name may move. */
        lists[RUNNER_NATIVE] = (TypeList){ "noop\t\n", 6 };
        lists[RUNNER_PYTHON] = (TypeList){ "add\t\n", 5 };
        ck_assert_int_eq(type_table_set_all(table, lists, &conflict), 1);
        assert_names("add noop ");
        ck_assert_int_eq(type_kind(add), RUNNER_PYTHON);
        ck_assert_int_eq(type_table_set_all(table, lists, &conflict), 0);
        lists[RUNNER_PYTHON] = (TypeList){};
        ck_assert_int_eq(type_table_set_all(table, lists, &conflict), 1);
        assert_names("noop ");
        lists[RUNNER_PYTHON] = (TypeList){ "noop\t\n", 6 };
        ck_assert_int_eq(type_table_set_all(table, lists, &conflict), -EEXIST);
        assert_names("noop ");
}
END_TEST

static void assert_left_out(const char *name, const char *file, const char *other_file) {
        TypeConflict c;

        ck_assert(type_table_next_left_out(table, &c));
        ck_assert_str_eq(c.name, name);
        ck_assert_str_eq(c.file, file);
        ck_assert_str_eq(c.other_file, other_file);
        ck_assert(!type_table_next_left_out(table, &c));
}

/* What was not named gives way, whichever list comes first. */
START_TEST(test_optional) {
        static const char native[] = "a\t\t\t/t/a.task\nb\t\t\t/t/b.task\n",
                          python[] = "a\t\t\t/m/p.py\n";
        char *optional[] = { (char *) "/t/a.task", (char *) "/t/b.task", NULL };
        TypeList lists[_RUNNER_KIND_MAX] = {
                [RUNNER_NATIVE] = { native, sizeof(native) - 1, optional },
                [RUNNER_PYTHON] = { python, sizeof(python) - 1, optional },
        };
        TypeConflict c;
        TaskType *a;

        ck_assert_int_eq(type_table_set(table, RUNNER_NATIVE, &lists[RUNNER_NATIVE], &conflict), 1);
        a = type_table_find(table, "a", 1);
        ck_assert_int_eq(type_kind(a), RUNNER_NATIVE);
        ck_assert(!type_table_next_left_out(table, &c));
        ck_assert_int_eq(type_table_set(table, RUNNER_PYTHON, &lists[RUNNER_PYTHON], &conflict), 1);
        ck_assert_int_eq(type_kind(a), RUNNER_PYTHON);
        ck_assert_str_eq(type_file(a), "/m/p.py");
        assert_left_out("a", "/t/a.task", "/m/p.py");

        /* From another runner of the first kind: nothing new, and said once. */
        ck_assert_int_eq(type_table_set(table, RUNNER_NATIVE, &lists[RUNNER_NATIVE], &conflict), 0);
        ck_assert_int_eq(type_kind(a), RUNNER_PYTHON);
        ck_assert(!type_table_next_left_out(table, &c));
        assert_names("a b ");

        ck_assert_int_eq(type_table_set_all(table, lists, &conflict), 0);
        ck_assert_int_eq(type_kind(a), RUNNER_PYTHON);
        assert_left_out("a", "/t/a.task", "/m/p.py");

        /* One that was named is a mistake. */
        optional[0] = (char *) "/t/another.task";
        ck_assert_int_eq(type_table_set_all(table, lists, &conflict), -EEXIST);
        ck_assert_str_eq(conflict.file, "/t/a.task");

        optional[0] = (char *) "/t/a.task";
        lists[RUNNER_PYTHON].text = NULL;
        ck_assert_int_eq(type_table_set_all(table, lists, &conflict), 1);
        ck_assert_int_eq(type_kind(a), RUNNER_NATIVE);
        ck_assert(!type_table_next_left_out(table, &c));
        assert_names("a b ");
}
END_TEST

/* A type that is gone stays known: tasks refer to it, and it may come back. */
START_TEST(test_gone_and_back) {
        TaskType *add;

        ck_assert_int_eq(set("add\t\nnoop\t\n"), 1);
        add = type_table_find(table, "add", 3);
        type_observe(add, 500);
        ck_assert_int_eq(set("noop\t\nnew\t\n"), 1);
        assert_names("noop new ");
        ck_assert(!type_is_offered(add));
        ck_assert_ptr_eq(type_table_find(table, "add", 3), add);
        ck_assert_int_eq(set("add\t\n"), 1);
        ck_assert(type_is_offered(add));
        ck_assert_uint_eq(type_expected_usec(add), 500);
        ck_assert_int_eq(set(""), 1);
        ck_assert_uint_eq(type_table_count(table), 0);
}
END_TEST

START_TEST(test_malformed) {
        static const char *const bad[] = { "a\tb", "\tb\n", "a b\t\n", "ok\t\n\n",
                                           "ok\t\nno newline" };
        _cleanup_free_ char *long_description = NULL;

        ck_assert_int_eq(set("add\t\n"), 1);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                ck_assert_int_eq(set(bad[i]), -EBADMSG);
                assert_names("add ");
        }
        ck_assert_int_eq(
                type_table_set(table, RUNNER_NATIVE, &(TypeList){ "a\tx\0y\n", 6 }, &conflict),
                -EBADMSG);
        long_description = malloc(2000);
        memset(long_description, 'x', 1999);
        memcpy(long_description, "a\t", 2);
        long_description[1998] = '\n';
        long_description[1999] = '\0';
        ck_assert_int_eq(set(long_description), -EBADMSG);
        assert_names("add ");
}
END_TEST

START_TEST(test_expected) {
        TaskType *t;

        ck_assert_int_eq(set("add\t\n"), 1);
        t = type_table_find(table, "add", 3);
        ck_assert_uint_eq(type_expected_usec(t), EXPECTED_UNKNOWN);
        type_observe(t, 0);
        ck_assert_uint_eq(type_expected_usec(t), 1);
        type_observe(t, 8000);
        ck_assert_uint_eq(type_expected_usec(t), 1000);
        type_observe_at_least(t, 500);
        ck_assert_uint_eq(type_expected_usec(t), 1000);
        type_observe_at_least(t, 20000);
        ck_assert_uint_eq(type_expected_usec(t), 20000);
        type_observe(t, UINT64_MAX);
        ck_assert_uint_lt(type_expected_usec(t), EXPECTED_UNKNOWN);

        /* After a long one it takes a while, but not for ever. */
        for (int i = 0; i < 250; i++)
                type_observe(t, 10);
        ck_assert_uint_le(type_expected_usec(t), 20);
        ck_assert_uint_ge(type_expected_usec(t), 9);

        /* A task with resources of its own shares a runner with no other, however short it is. */
        ck_assert_int_eq(set("add\t\t{\"resources\":{\"tasks_max\":5}}\n"), 1);
        ck_assert_uint_eq(type_resources(t)->tasks_max, 5);
        ck_assert_uint_eq(type_expected_usec(t), EXPECTED_UNKNOWN);
        ck_assert_int_eq(set("add\t\n"), 1);
        ck_assert(!task_resources_are_set(type_resources(t)));
        ck_assert_uint_le(type_expected_usec(t), 20);
}
END_TEST

START_TEST(test_average) {
        Average a = {};

        average_raise(&a, 100);
        ck_assert(a.known);
        ck_assert_uint_eq(average_usec(&a), 100);
        average_add(&a, 900);
        ck_assert_uint_eq(average_usec(&a), 200);
        average_add(&a, 0);
        ck_assert_uint_eq(average_usec(&a), 175);
}
END_TEST

int main(void) {
        Suite *s = suite_create("type");
        TCase *c = tcase_create("type");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, test_set);
        tcase_add_test(c, test_options);
        tcase_add_test(c, test_long_options);
        tcase_add_test(c, test_kinds);
        tcase_add_test(c, test_optional);
        tcase_add_test(c, test_gone_and_back);
        tcase_add_test(c, test_malformed);
        tcase_add_test(c, test_expected);
        tcase_add_test(c, test_average);
        suite_add_tcase(s, c);
        return check_run(s);
}
