/* SPDX-License-Identifier: MIT */

/* Tasks that wait for tasks: what is released and cancelled when, at which place in the queue, and after a restart. */

#include <stdio.h>

#include "controld-fixture.h"
#include "dependency.h"
#include "persist.h"
#include "time-util.h"

static void setup(void) {
        setup_directory();
        fixture_setup();
        (void) make_type(&fixture->types, "a");
}

static void teardown(void) {
        fixture_teardown();
        teardown_directory();
}

static void turn(void) {
        for (int i = 0; i < 2; i++) {
                dependency_run(fixture);
                persist_commit(fixture);
                fixture_settle();
        }
}

static WireOut *out;

static void begin(void) {
        out = fixture_begin(WIRE_SUBMIT);
        wire_put_string(out, "");
}

static void put_task(const char *key, const char *options) {
        wire_put_string(out, "a");
        wire_put_string(out, "");
        wire_put_string(out, key);
        wire_put_string(out, "{}");
        wire_put_string(out, options);
}

static Task *submit(const char *options) {
        TaskId id;

        begin();
        put_task("", options);
        fixture_request("client", ENDPOINT_CLIENT);
        fixture_settle();
        id = fixture_id(fixture_take("client", WIRE_ACCEPTED), 0);
        return task_find(&fixture->tasks, &id);
}

static Task *submit_after(const Task *a, const Task *b) {
        char options[200], ids[2][TASK_ID_TEXT_LENGTH + 1];

        task_id_to_text(&a->id, ids[0]);
        task_id_to_text(&b->id, ids[1]);
        (void) snprintf(options, sizeof(options), "{\"depends_on\":[\"%s\",\"%s\"]}", ids[0],
                        ids[1]);
        return submit(options);
}

/* Ends it as `state`, which is told but not safe yet; what is to have succeeded was leased before. */
static void begin_end(Task *t, TaskState state) {
        const TaskEnd e = { .state = state };
        Worker *w = worker_find(&fixture->workers, "w") ?: fixture_worker("w", "a", 1000);

        if (state == TASK_SUCCESS || state == TASK_FAILURE) {
                queue_remove(&fixture->queue, t);
                lease_adopt(fixture, w, t);
        }
        ck_assert_int_eq(lease_end_quietly(fixture, t, &e), 0);
}

static void end(Task *t, TaskState state) {
        begin_end(t, state);
        persist_commit(fixture);
        fixture_settle();
        turn();
}

static void restart(void) {
        fixture_restart(STORE_PROCESS, test_directory);
        (void) make_type(&fixture->types, "a");
}

static void assert_state(const Task *t, TaskState state) {
        ck_assert_str_eq(task_state_to_string(t->state), task_state_to_string(state));
}

static void assert_waits(const Task *t, const char *wanted) {
        char text[DEPENDENCY_TEXT_MAX] = "";

        ck_assert_int_eq(dependency_describe(t, text, sizeof(text)), wanted != NULL);
        ck_assert_str_eq(text, wanted ?: "");
}

/* It is queued before what is younger, and only once. */
START_TEST(test_release) {
        Task *a = submit(""), *b = submit(""), *old, *young;

        old = submit_after(a, b);
        young = submit("");
        assert_state(old, TASK_SCHEDULED);
        assert_waits(old, "2 tasks");
        ck_assert_uint_eq(fixture->dependencies.n_waiting, 1);
        end(b, TASK_SUCCESS);
        assert_state(old, TASK_SCHEDULED);
        end(a, TASK_SUCCESS);
        assert_state(old, TASK_QUEUED);
        assert_waits(old, NULL);
        ck_assert_uint_eq(fixture->dependencies.n_waiting, 0);
        ck_assert_ptr_eq(fixture_pop(PRIORITY_NORMAL), old);
        ck_assert_ptr_eq(fixture_pop(PRIORITY_NORMAL), young);
        ck_assert_ptr_null(a->extra->dependency);
        ck_assert_ptr_null(old->extra->dependency);
}
END_TEST

/* The end of the first one need not be safe for the others to end, but for them to begin. */
START_TEST(test_cascade) {
        Task *a, *b, *c, *d;

        restart();
        a = submit("");
        b = submit_after(a, a);
        c = submit_after(b, b);
        d = submit("");
        begin_end(a, TASK_FAILURE);
        dependency_run(fixture);
        ck_assert(b->is_ending && c->is_ending && b->end_state == TASK_CANCELLED);
        persist_commit(fixture);
        fixture_settle();
        assert_state(c, TASK_CANCELLED);
        ck_assert_uint_eq(fixture->dependencies.n_waiting, 0);

        b = submit_after(d, d);
        begin_end(d, TASK_SUCCESS);
        dependency_run(fixture);
        assert_state(b, TASK_SCHEDULED);
        persist_commit(fixture);
        fixture_settle();
        turn();
        assert_state(b, TASK_QUEUED);
}
END_TEST

/* What is forgotten or tried again before all were told is no way around it. */
START_TEST(test_flush) {
        Task *a = submit(""), *b = submit_after(a, a), *c = submit_after(b, b);

        begin_end(a, TASK_FAILURE);
        persist_commit(fixture);
        assert_state(a, TASK_FAILURE);
        ck_assert(!b->is_ending);
        results_drop(&fixture->results, &fixture->tasks, &fixture->dirty, a);
        ck_assert(b->is_ending);
        ck_assert(!c->is_ending);
        turn();
        assert_state(b, TASK_CANCELLED);
        assert_state(c, TASK_CANCELLED);

        a = submit("");
        b = submit_after(a, a);
        begin_end(a, TASK_FAILURE);
        persist_commit(fixture);
        ck_assert_int_eq(task_retry(fixture, a), 0);
        turn();
        assert_state(b, TASK_CANCELLED);
        c = submit_after(a, a);
        turn();
        assert_state(c, TASK_SCHEDULED); /* the old failure is no reason */
        end(a, TASK_SUCCESS);
        assert_state(c, TASK_QUEUED);
}
END_TEST

START_TEST(test_groups) {
        Task *a = submit("{\"group\":\"g\"}"), *b = submit("{\"group\":\"g\"}"),
             *then = submit("{\"after_group\":\"g\"}"), *later = submit("{\"group\":\"g\"}"),
             *last = submit("{\"after_group\":\"g\",\"group\":\"g\"}");

        assert_waits(then, "2 tasks of group \"g\"");
        assert_waits(last, "3 tasks of group \"g\"");
        end(later, TASK_SUCCESS);
        end(a, TASK_FAILURE);
        assert_waits(then, "1 task of group \"g\"");
        ck_assert_int_eq(task_retry(fixture, a), 0);
        assert_waits(then, "2 tasks of group \"g\"");
        turn();
        end(a, TASK_SUCCESS);
        end(b, TASK_CANCELLED);
        assert_state(then, TASK_QUEUED);
        assert_state(last, TASK_QUEUED);
        ck_assert_ptr_nonnull(fixture->dependencies.groups);
        end(last, TASK_SUCCESS);
        ck_assert_ptr_null(fixture->dependencies.groups);
        assert_state(submit("{\"after_group\":\"g\"}"), TASK_QUEUED);
}
END_TEST

/* One that waits and is cancelled leaves nothing behind. */
START_TEST(test_waiter_ends) {
        Task *a = submit("{\"group\":\"g\"}"), *b = submit_after(a, a),
             *then = submit("{\"after_group\":\"g\"}"), *other = submit("{\"after_group\":\"g\"}");

        end(b, TASK_CANCELLED);
        end(then, TASK_CANCELLED);
        ck_assert_uint_eq(fixture->dependencies.n_waiting, 1);
        end(a, TASK_SUCCESS);
        assert_state(other, TASK_QUEUED);
        ck_assert_ptr_null(fixture->dependencies.groups);
}
END_TEST

/* All of a submit or nothing, whichever of its tasks is bad. */
START_TEST(test_refused) {
        static const char a[] = "00000000-0000-4000-8000-000000000001",
                          b[] = "00000000-0000-4000-8000-000000000002";

        begin();
        put_task(a, "{\"group\":\"g\"}");
        put_task(b, "{\"depends_on\":[\"00000000-0000-4000-8000-000000000001\"],"
                    "\"after_group\":\"g\"}");
        put_task("", "{\"depends_on\":[\"00000000-0000-4000-8000-000000000002\","
                     "\"00000000-0000-4000-8000-000000000003\"]}");
        fixture_request("client", ENDPOINT_CLIENT);
        fixture_take_error("client", WIRE_ERROR_UNKNOWN_TASK,
                           "task 3 of this submit: it depends on task "
                           "00000000-0000-4000-8000-000000000003");
        ck_assert_uint_eq(HASH_COUNT(fixture->tasks.tasks), 0);
        ck_assert_ptr_null(fixture->dependencies.groups);
        ck_assert_uint_eq(fixture->dependencies.n_waiting, 0);
        begin();
        put_task(a, "{\"depends_on\":[\"00000000-0000-4000-8000-000000000001\"]}");
        fixture_request("client", ENDPOINT_CLIENT);
        fixture_take_error("client", WIRE_ERROR_UNKNOWN_TASK, "task 1 of this submit");
        turn();
        ck_assert(TAILQ_EMPTY(&fixture->dependencies.ended));
}
END_TEST

static Task *find_again(const TaskId *id) {
        Task *t = task_find(&fixture->tasks, id);

        ck_assert_ptr_nonnull(t);
        return t;
}

START_TEST(test_restart) {
        Task *a, *b, *after, *fallen, *then, *root;
        TaskId ids[6];
        char id[TASK_ID_TEXT_LENGTH + 1], text[60];

        restart();
        a = submit("{\"group\":\"g\"}");
        b = submit("{\"group\":\"g\"}");
        root = submit("");
        after = submit_after(a, b);
        fallen = submit_after(root, root);
        then = submit("{\"after_group\":\"g\"}");
        end(a, TASK_SUCCESS);
        results_drop(&fixture->results, &fixture->tasks, &fixture->dirty, a);
        ids[1] = b->id;
        ids[2] = root->id;
        ids[3] = after->id;
        ids[4] = fallen->id;
        ids[5] = then->id;
        restart();
        task_id_to_text(&ids[1], id);
        (void) snprintf(text, sizeof(text), "task %s", id);
        assert_waits(find_again(&ids[3]), text);
        assert_waits(find_again(&ids[5]), "1 task of group \"g\"");
        assert_state(find_again(&ids[4]), TASK_SCHEDULED);
        end(find_again(&ids[2]), TASK_FAILURE);
        assert_state(find_again(&ids[4]), TASK_CANCELLED);
        end(find_again(&ids[1]), TASK_SUCCESS);
        assert_state(find_again(&ids[3]), TASK_QUEUED);
        assert_state(find_again(&ids[5]), TASK_QUEUED);
        restart();
        assert_state(find_again(&ids[3]), TASK_QUEUED);
        assert_state(find_again(&ids[5]), TASK_QUEUED);
        ck_assert_ptr_null(fixture->dependencies.groups);
}
END_TEST

/* The end is in the store, what follows from it is not: as if the coordinator was killed in between. */
START_TEST(test_restart_between) {
        Task *a, *b;
        TaskId released, fallen;

        restart();
        a = submit("");
        b = submit("");
        fallen = submit_after(a, a)->id;
        released = submit_after(b, b)->id;
        begin_end(a, TASK_FAILURE);
        begin_end(b, TASK_SUCCESS);
        persist_commit(fixture);
        fixture_settle();
        restart();
        fixture_settle();
        assert_state(find_again(&fallen), TASK_CANCELLED);
        assert_state(find_again(&released), TASK_QUEUED);
}
END_TEST

/* More than one turn does. */
START_TEST(test_many) {
        Task *root = submit(""), *first, *last;
        static char keys[1000][TASK_ID_TEXT_LENGTH + 1],
                options[1000][100]; /* borrowed by the message */
        char before[TASK_ID_TEXT_LENGTH + 1];
        unsigned n = 0;

        first = last = submit_after(root, root);
        task_id_to_text(&first->id, before);
        for (unsigned i = 0; i < 5; i++) {
                TaskId id;

                begin();
                for (unsigned j = 0; j < 1000; j++) {
                        (void) snprintf(options[j], sizeof(options[j]), "{\"depends_on\":[\"%s\"]}",
                                        before);
                        (void) snprintf(before, sizeof(before),
                                        "00000000-0000-4000-8000-00000000%u%03u", i % 10, j % 1000);
                        memcpy(keys[j], before, sizeof(before));
                        put_task(keys[j], options[j]);
                }
                ck_assert_int_eq(task_id_from_text(before, strlen(before), &id), 0);
                fixture_request("client", ENDPOINT_CLIENT);
                (void) fixture_take("client", WIRE_ACCEPTED);
                last = task_find(&fixture->tasks, &id);
                ck_assert_ptr_nonnull(last);
        }
        begin_end(root, TASK_FAILURE);
        persist_commit(fixture);
        for (; last->state == TASK_SCHEDULED && n < 10; n++) {
                dependency_run(fixture);
                persist_commit(fixture);
                ck_assert_int_eq(first->state, TASK_CANCELLED);
        }
        assert_state(last, TASK_CANCELLED);
        ck_assert_uint_eq(n, 3);
        ck_assert_uint_eq(fixture->dependencies.n_waiting, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("dependency");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, test_release);
        tcase_add_test(t, test_cascade);
        tcase_add_test(t, test_flush);
        tcase_add_test(t, test_groups);
        tcase_add_test(t, test_waiter_ends);
        tcase_add_test(t, test_refused);
        tcase_add_test(t, test_restart);
        tcase_add_test(t, test_restart_between);
        tcase_add_test(t, test_many);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
