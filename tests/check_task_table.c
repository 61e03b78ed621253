/* SPDX-License-Identifier: MIT */

/* Task records, the table of them by id, and the index of keys. */

#include <signal.h>

#include "controld-test.h"
#include "fail-alloc.h"
#include "time-util.h"

static TaskTable table;
static TaskType *types;

static void teardown(void) {
        task_table_done(&table);
        ck_assert_ptr_null(table.tasks);
        ck_assert_ptr_null(table.keys);
        ck_assert_uint_eq(table.payload_bytes, 0);
        for (TaskState s = 0; s < _TASK_STATE_MAX; s++)
                ck_assert_uint_eq(table.by_state[s], 0);
        task_types_free(&types);
}

static TaskSpec spec_with(const char *arguments, const char *options) {
        TaskSpec spec = make_spec(make_type(&types, "a"), PRIORITY_HIGH);

        spec.arguments = arguments;
        spec.arguments_size = arguments ? strlen(arguments) : 0;
        spec.options = options;
        spec.options_size = options ? strlen(options) : 0;
        return spec;
}

static Task *new_task(const TaskSpec *spec) {
        Task *t = NULL;

        ck_assert_int_eq(task_new(&table, spec, &t), 0);
        return t;
}

START_TEST(test_new) {
        TaskSpec spec = spec_with("[1,2]", "{}");
        uint64_t before = now_usec(CLOCK_REALTIME);
        Task *t = new_task(&spec), *unchanged = t;

        ck_assert_ptr_eq(task_find(&table, &spec.id), t);
        ck_assert(task_id_equal(&t->id, &spec.id));
        ck_assert_ptr_eq(t->type, spec.type);
        ck_assert_int_eq(t->priority, PRIORITY_HIGH);
        ck_assert_int_eq(t->state, TASK_PENDING);
        ck_assert_uint_ge(t->created_usec, before);
        ck_assert_uint_le(t->created_usec, now_usec(CLOCK_REALTIME));
        ck_assert_uint_eq(t->started_usec, 0);
        ck_assert_uint_eq(t->completed_usec, 0);
        ck_assert_uint_eq(t->attempt, 0);
        ck_assert_ptr_null(t->worker);
        ck_assert_ptr_null(t->waiters);
        ck_assert_ptr_null(t->key);
        ck_assert(!t->cancel_asked);
        ck_assert_uint_eq(t->arguments_size, 5);
        ck_assert_mem_eq(task_arguments(t), "[1,2]", 5);
        ck_assert_uint_eq(t->options_size, 2);
        ck_assert_mem_eq(task_options(t), "{}", 2);
        ck_assert_str_eq(task_result(t), "");
        ck_assert_str_eq(task_error(t), "");
        ck_assert_ptr_null(task_last_worker(t));
        ck_assert_uint_eq(table.payload_bytes, 7);
        ck_assert_uint_eq(table.by_state[TASK_PENDING], 1);

        ck_assert_int_eq(task_new(&table, &spec, &t), -EEXIST);
        ck_assert_ptr_eq(t, unchanged);
        ck_assert_uint_eq(HASH_COUNT(table.tasks), 1);
}
END_TEST

START_TEST(test_free) {
        TaskSpec spec = spec_with("x", NULL), other = spec_with(NULL, NULL);
        Task *t = new_task(&spec);

        new_task(&other);
        ck_assert_ptr_null(task_free(&table, t));
        ck_assert_ptr_null(task_find(&table, &spec.id));
        ck_assert_ptr_nonnull(task_find(&table, &other.id));
        ck_assert_uint_eq(table.payload_bytes, 0);
        ck_assert_uint_eq(table.by_state[TASK_PENDING], 1);
        ck_assert_ptr_null(task_free(&table, NULL));
}
END_TEST

/* A million of these may wait. */
START_TEST(test_size) {
        ck_assert_uint_le(sizeof(Task), 256);
}
END_TEST

START_TEST(test_states) {
        TaskSpec spec = spec_with(NULL, NULL);
        Task *t = new_task(&spec);
        uint64_t before;

        task_set_state(&table, t, TASK_QUEUED);
        ck_assert_uint_eq(table.by_state[TASK_PENDING], 0);
        ck_assert_uint_eq(table.by_state[TASK_QUEUED], 1);
        task_set_state(&table, t, TASK_ASSIGNED);
        task_set_state(&table, t, TASK_RUNNING);
        ck_assert_uint_eq(t->completed_usec, 0);
        before = now_usec(CLOCK_MONOTONIC);
        task_set_state(&table, t, TASK_FAILURE);
        ck_assert_int_eq(t->state, TASK_FAILURE);
        ck_assert_uint_eq(table.by_state[TASK_FAILURE], 1);
        ck_assert_uint_eq(table.by_state[TASK_RUNNING], 0);
        ck_assert_uint_ge(t->ended_monotonic_usec, before);
        ck_assert_uint_le(t->ended_monotonic_usec, now_usec(CLOCK_MONOTONIC));
        ck_assert_uint_eq(t->completed_usec, 0); /* told by task_end() */
        task_set_state(&table, t, TASK_QUEUED);
        ck_assert_uint_eq(table.by_state[TASK_FAILURE], 0);
        ck_assert_uint_eq(table.by_state[TASK_QUEUED], 1);
        task_restore_state(&table, t, TASK_DEAD); /* whatever it was */
        ck_assert_int_eq(t->state, TASK_DEAD);
        ck_assert_uint_eq(table.by_state[TASK_QUEUED], 0);
        ck_assert_uint_eq(table.by_state[TASK_DEAD], 1);
}
END_TEST

START_TEST(test_end) {
        TaskSpec spec = spec_with("args", NULL);
        Task *t = new_task(&spec);

        ck_assert_int_eq(task_set_end(&table, t, "result", 6, "error", 5, "worker-1"), 0);
        ck_assert_uint_eq(t->result_size, 6);
        ck_assert_mem_eq(task_result(t), "result", 6);
        ck_assert_uint_eq(t->error_size, 5);
        ck_assert_mem_eq(task_error(t), "error", 5);
        ck_assert_str_eq(task_last_worker(t), "worker-1");
        ck_assert_uint_eq(table.payload_bytes, 4 + 6 + 5);

        /* Once more: what was kept before is gone. */
        ck_assert_int_eq(task_set_end(&table, t, NULL, 0, NULL, 0, NULL), 0);
        ck_assert_uint_eq(t->result_size, 0);
        ck_assert_uint_eq(t->error_size, 0);
        ck_assert_ptr_null(task_last_worker(t));
        ck_assert_uint_eq(table.payload_bytes, 4);
}
END_TEST

/* Keys are bytes, found as a whole, and go with their task. */
START_TEST(test_keys) {
        TaskSpec first = spec_with(NULL, NULL), second = spec_with(NULL, NULL);
        Task *a = new_task(&first), *b = new_task(&second);

        ck_assert_ptr_null(task_find_by_key(&table, "key", 3));
        ck_assert_int_eq(task_add_key(&table, a, "key", 3), 0);
        ck_assert_int_eq(task_add_key(&table, b, "key-2", 5), 0);
        ck_assert_ptr_nonnull(a->key);
        ck_assert_ptr_eq(task_find_by_key(&table, "key", 3), a);
        ck_assert_ptr_eq(task_find_by_key(&table, "key-2", 5), b);
        ck_assert_ptr_eq(task_find_by_key(&table, "key-2 and more", 5), b);
        ck_assert_ptr_null(task_find_by_key(&table, "key-", 4));
        ck_assert_ptr_null(task_find_by_key(&table, "KEY", 3));

        task_free(&table, a);
        ck_assert_ptr_null(task_find_by_key(&table, "key", 3));
        ck_assert_ptr_eq(task_find_by_key(&table, "key-2", 5), b);
}
END_TEST

START_TEST(test_many) {
        TaskId ids[1000];

        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                TaskSpec spec = spec_with(NULL, NULL);
                Task *t = new_task(&spec);
                char key[16];

                ids[i] = spec.id;
                ck_assert_int_eq(task_add_key(&table, t, key,
                                              (size_t) snprintf(key, sizeof(key), "key %zu", i)),
                                 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(ids); i += 2)
                task_free(&table, task_find(&table, &ids[i]));
        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                Task *t = task_find(&table, &ids[i]);
                char key[16];
                size_t n = (size_t) snprintf(key, sizeof(key), "key %zu", i);

                ck_assert_int_eq(t != NULL, i % 2 == 1);
                ck_assert_ptr_eq(task_find_by_key(&table, key, n), t);
        }
}
END_TEST

/* HASH_JEN falls through its cases without saying so. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"

/* The next id after *i for which uthash's own hash ends in twelve zeros. */
static TaskId evil_id(uint64_t *i) {
        TaskId id = {};
        unsigned hash;

        do {
                (*i)++;
                memcpy(id.bytes + 8, i, sizeof(*i));
                HASH_JEN(id.bytes, sizeof(id.bytes), hash);
        } while (hash % 4096 != 0);
        return id;
}

#pragma GCC diagnostic pop

/* Ids that clients chose so that they would all fall into one bucket do no harm. */
START_TEST(test_flood) {
        uint64_t i = 0;

        for (size_t n = 0; n < 300; n++) {
                TaskSpec spec = spec_with(NULL, NULL);

                spec.id = evil_id(&i);
                new_task(&spec);
        }
        ck_assert_uint_eq(table.tasks->hh.tbl->noexpand, 0);
        for (size_t n = 0; n < 5000; n++) {
                TaskSpec spec = spec_with(NULL, NULL);

                new_task(&spec);
        }
        ck_assert_uint_eq(table.tasks->hh.tbl->noexpand, 0);
        ck_assert_uint_ge(table.tasks->hh.tbl->num_buckets, 512);
}
END_TEST

START_TEST(test_no_memory) {
        TaskSpec spec = spec_with("args", "opts");
        Task *t = NULL;
        int r;

        FAIL_EACH_ALLOC(r = task_new(&table, &spec, &t), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_ptr_null(t);
                ck_assert_ptr_null(task_find(&table, &spec.id));
                ck_assert_uint_eq(table.payload_bytes, 0);
                ck_assert_uint_eq(table.by_state[TASK_PENDING], 0);
        });
        ck_assert_int_eq(r, 0);
        FAIL_EACH_ALLOC(r = task_add_key(&table, t, "key", 3), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_ptr_null(t->key);
                ck_assert_ptr_null(task_find_by_key(&table, "key", 3));
        });
        ck_assert_int_eq(r, 0);
        FAIL_EACH_ALLOC(r = task_set_end(&table, t, "r", 1, "e", 1, "w"), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_str_eq(task_result(t), "");
                ck_assert_uint_eq(table.payload_bytes, 8);
        });
        ck_assert_int_eq(r, 0);
        ck_assert_uint_eq(table.payload_bytes, 10);
}
END_TEST

#ifndef NDEBUG
START_TEST(test_illegal_change) {
        TaskSpec spec = spec_with(NULL, NULL);

        task_set_state(&table, new_task(&spec), TASK_SUCCESS);
}
END_TEST

START_TEST(test_free_with_waiters) {
        TaskSpec spec = spec_with(NULL, NULL);
        Task *t = new_task(&spec);
        Waiter w = { .task = t };

        t->waiters = &w;
        task_free(&table, t);
}
END_TEST
#endif

START_TEST(test_unique) {
        TaskSpec spec = spec_with(NULL, NULL), other_spec = spec_with(NULL, NULL);
        Task *t = new_task(&spec), *other = new_task(&other_spec);

        ck_assert_ptr_null(task_find_by_unique(&table, "u", 1));
        ck_assert_int_eq(task_add_unique(&table, t, "u", 1), 0);
        ck_assert_int_eq(task_add_unique(&table, other, "uv", 2), 0);
        ck_assert_ptr_eq(task_find_by_unique(&table, "u", 1), t);
        ck_assert_ptr_eq(task_find_by_unique(&table, "uv", 2), other);
        ck_assert_ptr_null(task_find_by_key(&table, "u", 1)); /* that is another index */
        task_drop_unique(&table, t);
        task_drop_unique(&table, t);
        ck_assert_ptr_null(task_find_by_unique(&table, "u", 1));
        ck_assert_ptr_null(t->unique);
        task_free(&table, other);
        ck_assert_ptr_null(table.uniques);
        FAIL_EACH_ALLOC(int r = task_add_unique(&table, t, "u", 1), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_ptr_null(t->unique);
                ck_assert_ptr_null(table.uniques);
        });
        ck_assert_ptr_eq(task_find_by_unique(&table, "u", 1), t);
}
END_TEST

START_TEST(test_clear_end) {
        TaskSpec spec = spec_with("args", NULL);
        Task *t = new_task(&spec);

        ck_assert_int_eq(task_set_end(&table, t, "result", 6, "error", 5, "worker-1"), 0);
        task_clear_end(&table, t);
        ck_assert_uint_eq(table.payload_bytes, 4);
        ck_assert_uint_eq(t->result_size, 0);
        ck_assert_uint_eq(t->error_size, 0);
        ck_assert_str_eq(task_result(t), "");
        ck_assert_ptr_null(task_last_worker(t));
}
END_TEST

START_TEST(test_key_text) {
        TaskSpec spec = spec_with(NULL, NULL);
        Task *t = new_task(&spec);

        ck_assert_uint_eq(task_key(t).iov_len, 0);
        ck_assert_int_eq(task_add_key(&table, t, "a key", 5), 0);
        ck_assert_uint_eq(task_key(t).iov_len, 5);
        ck_assert_mem_eq(task_key(t).iov_base, "a key", 5);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("task_table");
        TCase *t = tcase_create("all"), *mistakes = tcase_create("mistakes");

        tcase_add_checked_fixture(t, NULL, teardown);
        tcase_add_test(t, test_new);
        tcase_add_test(t, test_free);
        tcase_add_test(t, test_size);
        tcase_add_test(t, test_states);
        tcase_add_test(t, test_end);
        tcase_add_test(t, test_unique);
        tcase_add_test(t, test_clear_end);
        tcase_add_test(t, test_key_text);
        tcase_add_test(t, test_keys);
        tcase_add_test(t, test_many);
        tcase_add_test(t, test_flood);
        tcase_add_test(t, test_no_memory);
#ifndef NDEBUG
        tcase_add_checked_fixture(mistakes, NULL, teardown);
        tcase_add_test_raise_signal(mistakes, test_illegal_change, SIGABRT);
        tcase_add_test_raise_signal(mistakes, test_free_with_waiters, SIGABRT);
#endif
        suite_add_tcase(suite, t);
        suite_add_tcase(suite, mistakes);
        return check_run(suite);
}
