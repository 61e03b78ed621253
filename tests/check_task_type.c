/* SPDX-License-Identifier: MIT */

/* The names of tasks, and who offers them. */

#include "controld-test.h"
#include "fail-alloc.h"

static TaskType *types;

static void teardown(void) {
        task_types_free(&types);
        ck_assert_ptr_null(types);
}

START_TEST(test_get) {
        TaskType *a = make_type(&types, "add"), *b = make_type(&types, "add-2");

        ck_assert_str_eq(a->name, "add");
        ck_assert_ptr_ne(a, b);
        ck_assert_ptr_eq(make_type(&types, "add"), a);
        ck_assert_ptr_eq(task_type_find(types, "add", 3), a);
        ck_assert_ptr_eq(task_type_find(types, "add-2", 5), b);
        ck_assert_ptr_eq(task_type_find(types, "add-2", 3), a);
        ck_assert_ptr_null(task_type_find(types, "ad", 2));
        ck_assert_ptr_null(task_type_find(NULL, "add", 3));
        ck_assert_uint_eq(a->n_workers, 0);
        ck_assert_uint_eq(a->n_queued, 0);
        ck_assert(!a->is_local);
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                ck_assert(TAILQ_EMPTY(&a->lane.plain.queues[p]));
}
END_TEST

START_TEST(test_limit) {
        TaskType *type = NULL;
        char name[16];

        for (unsigned i = 0; i < TASK_TYPES_MAX; i++) {
                (void) snprintf(name, sizeof(name), "%u", i);
                ck_assert_int_eq(task_type_get(&types, name, &type), 0);
        }
        ck_assert_int_eq(task_type_get(&types, "one-more", &type), -ENOSPC);
        ck_assert_ptr_null(task_type_find(types, "one-more", 8));
        ck_assert_int_eq(task_type_get(&types, "0", &type), 0); /* is there already */
}
END_TEST

START_TEST(test_workers) {
        TaskType *type = make_type(&types, "a");
        Worker a = {}, b = {}, c = {};

        type->wait_logged = true;
        ck_assert_int_eq(task_type_add_worker(type, &a), 0);
        ck_assert(!type->wait_logged); /* may be said again */
        ck_assert_int_eq(task_type_add_worker(type, &b), 0);
        ck_assert_int_eq(task_type_add_worker(type, &c), 0);
        ck_assert_uint_eq(type->n_workers, 3);
        ck_assert_ptr_eq(type->workers[0], &a);
        task_type_remove_worker(type, &a);
        ck_assert_uint_eq(type->n_workers, 2);
        task_type_remove_worker(type, &a); /* nothing to remove */
        ck_assert_uint_eq(type->n_workers, 2);
        task_type_remove_worker(type, &b);
        ck_assert_uint_eq(type->n_workers, 1);
        ck_assert_ptr_eq(type->workers[0], &c);
        task_type_remove_worker(type, &c);
        ck_assert_uint_eq(type->n_workers, 0);
}
END_TEST

START_TEST(test_no_memory) {
        TaskType *type = NULL;
        Worker w = {};
        int r;

        FAIL_EACH_ALLOC(r = task_type_get(&types, "a", &type), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_ptr_null(type);
                ck_assert_ptr_null(task_type_find(types, "a", 1));
        });
        ck_assert_int_eq(r, 0);
        FAIL_EACH_ALLOC(r = task_type_add_worker(type, &w), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_uint_eq(type->n_workers, 0);
        });
        ck_assert_int_eq(r, 0);
        ck_assert_uint_eq(type->n_workers, 1);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("task_type");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, NULL, teardown);
        tcase_add_test(t, test_get);
        tcase_add_test(t, test_limit);
        tcase_add_test(t, test_workers);
        tcase_add_test(t, test_no_memory);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
