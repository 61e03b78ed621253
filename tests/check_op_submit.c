/* SPDX-License-Identifier: MIT */

/* SUBMIT: all of a batch or nothing, limits, keys. */

#include "fail-alloc.h"
#include "fake-store.h"
#include "persist.h"
#include "turn.h"

#define UUID "01938F2A-7c3b-7000-8abc-0123456789ab"

static void setup(void) {
        fixture_setup();
        fixture->grace_until_usec = 0;
        make_type(&fixture->types, "add");
        make_type(&fixture->types, "sleep");
}

static WireOut *request;

static void begin(const char *mode) {
        request = fixture_begin(WIRE_SUBMIT);
        wire_put_string(request, mode);
}

static void put_task(const char *name, const char *priority, const char *key, const char *arguments,
                     const char *options) {
        wire_put_string(request, name);
        wire_put_string(request, priority);
        wire_put_string(request, key);
        wire_put_string(request, arguments);
        wire_put_string(request, options);
}

static void submit(void) {
        fixture_request("client", ENDPOINT_CLIENT);
}

static size_t n_tasks(void) {
        return HASH_COUNT(fixture->tasks.tasks);
}

/* Submits and takes the id of the only task. */
static TaskId accepted(void) {
        const WireMessage *m;

        submit();
        m = fixture_take("client", WIRE_ACCEPTED);
        ck_assert_uint_eq(m->n_groups, 1);
        return fixture_id(m, 0);
}

static TaskId submit_key(const char *key) {
        begin("");
        put_task("add", "", key, "", "");
        return accepted();
}

static void check_nothing_taken(void) {
        ck_assert_uint_eq(n_tasks(), 0);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
        ck_assert_uint_eq(fixture_peer("client")->n_waiters, 0);
        fixture_take_nothing();
}

static void check_refused(WireError code, const char *text) {
        submit();
        fixture_take_error("client", code, text);
        check_nothing_taken();
}

/* As a worker would end it. */
static void end(const TaskId *id) {
        Task *t = task_find(&fixture->tasks, id);

        ck_assert_ptr_nonnull(t);
        ck_assert_int_eq(fixture_end(t, &(TaskEnd){ .state = TASK_CANCELLED }), 0);
}

/* One that names no priority has that of its type. */
START_TEST(test_priority_of_type) {
        static const char *const given[] = { "low", "", "HIGH" };

        task_type_find(fixture->types, "add", 3)->priority = PRIORITY_LOW;
        for (size_t i = 0; i < ELEMENTSOF(given); i++) {
                begin("");
                put_task("add", given[i], "", "", "");
                (void) accepted();
        }
        ck_assert_uint_eq(fixture->queue.n[PRIORITY_LOW], 2);
        ck_assert_uint_eq(fixture->queue.n[PRIORITY_HIGH], 1);
}
END_TEST

START_TEST(test_batch) {
        const WireMessage *m;
        TaskId a, b;
        Task *t;

        begin("");
        put_task("add", "", "", "[5,3]", "");
        put_task("sleep", "HIGH", "", "", "{}");
        submit();
        m = fixture_take("client", WIRE_ACCEPTED);
        ck_assert_mem_eq(m->correlation.iov_base, "c1", 2);
        ck_assert_uint_eq(m->n_groups, 2);
        a = fixture_id(m, 0);
        b = fixture_id(m, 1);

        t = task_find(&fixture->tasks, &a);
        ck_assert_str_eq(t->type->name, "add");
        ck_assert_int_eq(t->priority, PRIORITY_NORMAL);
        ck_assert_int_eq(t->state, TASK_QUEUED);
        ck_assert_uint_eq(t->arguments_size, 5);
        ck_assert_mem_eq(task_arguments(t), "[5,3]", 5);
        ck_assert_ptr_null(t->waiters);
        t = task_find(&fixture->tasks, &b);
        ck_assert_str_eq(t->type->name, "sleep");
        ck_assert_int_eq(t->priority, PRIORITY_HIGH);
        ck_assert_uint_eq(fixture->queue.n[PRIORITY_NORMAL], 1);
        ck_assert_uint_eq(fixture->queue.n[PRIORITY_HIGH], 1);
        ck_assert_uint_eq(fixture->counters.submitted, 2);
        fixture_take_nothing();
}
END_TEST

START_TEST(test_wait) {
        TaskId id;

        begin("wait");
        put_task("add", "", "", "", "");
        id = accepted();
        ck_assert_uint_eq(fixture_peer("client")->n_waiters, 1);
        end(&id);
        turn_end(fixture);
        ck_assert_id_eq(fixture_id(fixture_take("client", WIRE_RESULT), 0), id);
}
END_TEST

/* One bad task spoils the batch, wherever it stands. */
START_TEST(test_all_or_nothing) {
        begin("wait");
        put_task("add", "", "k1", "", "");
        put_task("ad", "", "k2", "", "");
        check_refused(WIRE_ERROR_UNKNOWN_TASK_TYPE,
                      "ever offered a task \"ad\"; there are: add, sleep");
        ck_assert_ptr_null(task_find_by_key(&fixture->tasks, "k1", 2));

        begin("");
        put_task("add", "", "", "", "");
        put_task("add", "", "", "", "{\"time_out\":5}");
        check_refused(WIRE_ERROR_BAD_ARGUMENT, "but no option time_out");
        begin("");
        put_task("add", "", "", "", "[]");
        check_refused(WIRE_ERROR_BAD_ARGUMENT, "must be one JSON object");
        begin("");
        put_task("add", "", "", "", "{");
        check_refused(WIRE_ERROR_BAD_ARGUMENT, "must be one JSON object");
}
END_TEST

START_TEST(test_limits) {
        Settings *s = fixture->settings;
        TaskId id;

        s->max_payload_bytes = 8;
        begin("");
        put_task("add", "", "", "123456789", "");
        check_refused(WIRE_ERROR_TOO_LARGE, "MaxPayloadBytes=");

        /* A batch counts as a whole. */
        s->max_queued_tasks = 1;
        begin("");
        put_task("add", "", "", "", "");
        put_task("add", "", "", "", "");
        check_refused(WIRE_ERROR_QUEUE_FULL, "MaxQueuedTasks=");
        s->max_queued_tasks = 10;

        s->max_total_bytes = 9;
        begin("");
        put_task("add", "", "", "12345", "");
        put_task("add", "", "", "12345", "");
        check_refused(WIRE_ERROR_QUEUE_FULL, "MaxTotalBytes=");

        s->max_waits_per_client = 1;
        begin("wait");
        put_task("add", "", "", "", "");
        put_task("add", "", "", "", "");
        check_refused(WIRE_ERROR_QUEUE_FULL, "MaxWaitsPerClient=");

        /* What has ended makes room. */
        s->max_queued_tasks = 1;
        id = submit_key("");
        begin("");
        put_task("add", "", "", "", "");
        submit();
        fixture_take_error("client", WIRE_ERROR_QUEUE_FULL, "1 tasks wait or run");
        end(&id);
        submit_key("");
}
END_TEST

START_TEST(test_stopping) {
        fixture->stopping = true;
        begin("");
        put_task("add", "", "", "", "");
        check_refused(WIRE_ERROR_STOPPING, "shutting down");
}
END_TEST

/* The same key is the same task: in a batch, later, and after its end. */
START_TEST(test_keys) {
        const WireMessage *m;
        TaskId a, b;

        begin("wait");
        put_task("add", "", "key a", "1", "");
        put_task("add", "", "key b", "2", "");
        put_task("sleep", "", "key a", "3", "");
        submit();
        m = fixture_take("client", WIRE_ACCEPTED);
        a = fixture_id(m, 0);
        b = fixture_id(m, 1);
        ck_assert_id_eq(fixture_id(m, 2), a);
        ck_assert_id_ne(a, b);
        ck_assert_uint_eq(n_tasks(), 2);
        ck_assert_uint_eq(fixture_peer("client")->n_waiters, 2);
        ck_assert_mem_eq(task_arguments(task_find(&fixture->tasks, &a)), "1", 1);
        ck_assert_id_eq(submit_key("key a"), a);

        end(&a);
        turn_end(fixture);
        fixture_take("client", WIRE_RESULT);
        ck_assert_id_eq(submit_key("key a"), a);
        begin("wait"); /* who waits for it now is told at once */
        put_task("add", "", "key a", "", "");
        accepted();
        turn_end(fixture);
        ck_assert_id_eq(fixture_id(fixture_take("client", WIRE_RESULT), 0), a);
        ck_assert_uint_eq(n_tasks(), 2);
        ck_assert_uint_eq(fixture->counters.submitted, 2);
}
END_TEST

/* A key that is a UUID is the task's id. */
START_TEST(test_uuid_key) {
        TaskId expected, id = submit_key(UUID);

        ck_assert_int_eq(task_id_from_text(UUID, strlen(UUID), &expected), 0);
        ck_assert_id_eq(id, expected);
        ck_assert_ptr_null(task_find(&fixture->tasks, &id)->key);
        ck_assert_id_eq(submit_key(UUID), id);
        ck_assert_uint_eq(n_tasks(), 1);
}
END_TEST

/* A key is forgotten with its task, also when that is only past its time. */
START_TEST(test_expired_key) {
        TaskId old = submit_key("key"), by_id = submit_key(UUID), fresh;

        end(&old);
        end(&by_id);
        turn_end(fixture);
        task_find(&fixture->tasks, &old)->ended_monotonic_usec -=
                fixture->results.ttl_usec + USEC_PER_SEC;
        task_find(&fixture->tasks, &by_id)->ended_monotonic_usec -=
                fixture->results.ttl_usec + USEC_PER_SEC;
        fresh = submit_key("key");
        ck_assert_id_ne(fresh, old);
        ck_assert_ptr_null(task_find(&fixture->tasks, &old));
        submit_key(UUID);
        ck_assert_int_eq(task_find(&fixture->tasks, &by_id)->state, TASK_QUEUED);
        ck_assert_uint_eq(n_tasks(), 2);
}
END_TEST

/* Shortly after the start an unknown type may still come. */
START_TEST(test_held) {
        fixture->grace_until_usec = USEC_INFINITY;
        begin("");
        put_task("add", "", "", "", "");
        put_task("soon", "", "", "", "");
        submit();
        check_nothing_taken();
        ck_assert_uint_eq(fixture->held.n, 1);
        for (size_t i = 0; i < 1500; i++)
                submit();
        fixture_take_error("client", WIRE_ERROR_QUEUE_FULL, "try again later");
        held_done(&fixture->held);
}
END_TEST

START_TEST(test_no_memory) {
        Capture capture;

        begin(""); /* makes the buffers that stay */
        put_task("none", "", "", "", "");
        check_refused(WIRE_ERROR_UNKNOWN_TASK_TYPE, "none");
        begin("wait");
        put_task("add", "", "key a", "1", "");
        put_task("add", "", "key b", "2", "");
        capture_begin(&capture, STDERR_FILENO);
        FAIL_EACH_ALLOC(submit(), {
                fixture_take_error("client", WIRE_ERROR_INTERNAL, "out of memory");
                check_nothing_taken();
                ck_assert_ptr_null(fixture->tasks.keys);
        });
        free(capture_end(&capture));
        ck_assert_uint_eq(fixture_take("client", WIRE_ACCEPTED)->n_groups, 2);
        ck_assert_uint_eq(n_tasks(), 2);
}
END_TEST

/* At most one of them lives. */
START_TEST(test_unique) {
        static const char refuse[] = "{\"unique\":\"u\"}",
                          give[] = "{\"unique\":\"u\",\"unique_policy\":\"return\"}";
        TaskId id, second;
        Task *t;

        begin("wait");
        put_task("add", "", "", "", refuse);
        put_task("add", "", "", "", refuse);
        check_refused(WIRE_ERROR_EXISTS, "task 2 of this submit");
        ck_assert_ptr_null(fixture->tasks.uniques);

        begin("");
        put_task("add", "", "key", "", refuse);
        id = accepted();
        t = task_find(&fixture->tasks, &id);
        ck_assert_uint_eq(t->options_size, strlen(refuse)); /* to be known after a restart */
        begin("");
        put_task("add", "", "other", "", refuse);
        submit();
        fixture_take_error("client", WIRE_ERROR_EXISTS, "task 1 of this submit");
        begin("");
        put_task("add", "", "key", "", refuse); /* sent again: it is that task */
        ck_assert_id_eq(accepted(), id);
        begin("");
        put_task("sleep", "", "", "", give);
        ck_assert_id_eq(accepted(), id);
        ck_assert_uint_eq(n_tasks(), 1);

        end(&id);
        begin("");
        put_task("add", "", "", "", give);
        second = accepted();
        ck_assert_id_ne(second, id);
        ck_assert_ptr_eq(task_find_by_unique(&fixture->tasks, "u", 1),
                         task_find(&fixture->tasks, &second));
}
END_TEST

START_TEST(test_memory_only) {
        TaskId id;

        begin("");
        put_task("add", "", "", "", "{\"durability\":\"none\"}");
        id = accepted();
        ck_assert(task_find(&fixture->tasks, &id)->in_memory);
        ck_assert_uint_eq(task_find(&fixture->tasks, &id)->options_size, 0);
        id = submit_key("");
        ck_assert(!task_find(&fixture->tasks, &id)->in_memory);
}
END_TEST

static void put_key(const char *key) {
        put_task("add", "", key, "12345", "");
}

/* There is no room: what was taken before is confirmed all the same, and nothing else is taken. `error` and `text` are
 * what others are refused with. */
static void check_only_known(TaskId known, WireError error, const char *text) {
        static const char give[] = "{\"unique\":\"u\",\"unique_policy\":\"return\"}";
        const WireMessage *m;
        size_t n = n_tasks();

        begin("wait");
        put_key("known");
        put_key("known");
        submit();
        m = fixture_take("client", WIRE_ACCEPTED);
        ck_assert_uint_eq(m->n_groups, 2);
        ck_assert_id_eq(fixture_id(m, 0), known);
        ck_assert_id_eq(fixture_id(m, 1), known);
        begin("");
        put_task("add", "", "", "12345", give);
        ck_assert_id_eq(accepted(), known);

        begin("");
        put_key("new");
        submit();
        fixture_take_error("client", error, text);
        submit();
        fixture_take_error("client", error, "nothing of this was taken, try again later");
        begin("");
        put_key("known");
        put_key("new");
        put_key("newer");
        submit();
        fixture_take_error("client", error,
                           "1 of these tasks are known already, none of the others");
        ck_assert_uint_eq(n_tasks(), n);
        fixture_take_nothing();
}

static TaskId submit_known(void) {
        begin("");
        put_task("add", "", "known", "12345", "{\"unique\":\"u\"}");
        return accepted();
}

START_TEST(test_resend_when_queue_is_full) {
        Settings *s = fixture->settings;
        TaskId known = submit_known(), result;

        s->max_queued_tasks = 1;
        check_only_known(known, WIRE_ERROR_QUEUE_FULL, "MaxQueuedTasks=");
        s->max_queued_tasks = 1000;
        s->max_total_bytes = fixture->tasks.payload_bytes + 4;
        check_only_known(known, WIRE_ERROR_QUEUE_FULL, "MaxTotalBytes=");
        s->max_payload_bytes = 4;
        begin("");
        put_key("known");
        ck_assert_id_eq(accepted(), known);
        s->max_payload_bytes = 1024;

        /* One of two fits: the one that is new. */
        s->max_total_bytes += 1;
        begin("");
        put_key("known");
        put_key("new");
        submit();
        ck_assert_uint_eq(fixture_take("client", WIRE_ACCEPTED)->n_groups, 2);

        /* The result follows the answer. */
        s->max_total_bytes = 1 << 20;
        turn_end(fixture);
        end(&known);
        turn_end(fixture);
        result = fixture_id(fixture_take("client", WIRE_RESULT), 0);
        ck_assert_id_eq(result, known);
        begin("wait");
        put_key("known");
        ck_assert_id_eq(accepted(), known);
        turn_end(fixture);
        ck_assert_id_eq(fixture_id(fixture_take("client", WIRE_RESULT), 0), known);
}
END_TEST

START_TEST(test_full) {
        _cleanup_free_ char *text = NULL;
        Capture capture;
        TaskId known;

        fake_store_setup();
        begin("");
        put_task("add", "", "known", "12345", "{\"unique\":\"u\"}");
        submit();
        persist_commit(fixture);
        fake_store_make_safe(fake_store.ticket);
        known = fixture_id(fixture_take("client", WIRE_ACCEPTED), 0);

        fake_store.is_full = true;
        capture_begin(&capture, STDERR_FILENO);
        check_only_known(known, WIRE_ERROR_NO_SPACE, "MaxStoreBytes=");
        text = capture_end(&capture);
        ck_assert_contains(text, "No space for new tasks");
        ck_assert_ptr_null(strstr(strstr(text, "No space") + 1, "No space")); /* said once */
}
END_TEST

/* A resend whose first submit is not safe yet waits for that, also while the store is full. */
START_TEST(test_full_and_pending) {
        fake_store_setup();
        begin("");
        put_key("known");
        submit();
        persist_commit(fixture);
        fake_store.is_full = true;
        submit();
        persist_commit(fixture);
        fixture_take_nothing();
        fake_store_make_safe(fake_store.ticket);
        ck_assert_id_eq(fixture_id(fixture_take("client", WIRE_ACCEPTED), 0),
                        fixture_id(fixture_take("client", WIRE_ACCEPTED), 0));
        fixture_take_nothing();
}
END_TEST

static TaskId end_one(const char *key) {
        TaskId id;
        Task *t;

        begin("");
        put_key(key);
        submit();
        persist_commit(fixture);
        fake_store_make_safe(fake_store.ticket);
        id = fixture_id(fixture_take("client", WIRE_ACCEPTED), 0);
        t = task_find(&fixture->tasks, &id);
        ck_assert_int_eq(fixture_end(t, &(TaskEnd){ .state = TASK_CANCELLED }), 0);
        fake_store_make_safe(fake_store.ticket);
        turn_end(fixture);
        return id;
}

/* When the store lacks room, results leave it: one step, then the next when that is safe. */
START_TEST(test_results_make_room) {
        TaskId id[3];

        fake_store_setup();
        for (size_t i = 0; i < ELEMENTSOF(id); i++)
                id[i] = end_one("");
        fake_store_make_safe(fake_store.ticket);
        fake_store.lacking = 1 << 20; /* more than they all have */
        turn_end(fixture);
        ck_assert_uint_eq(fixture->results.n, 3);
        fake_store.lacking = 1;
        turn_end(fixture);
        turn_end(fixture);
        ck_assert_uint_eq(fixture->results.n, 2);
        ck_assert_ptr_null(task_find(&fixture->tasks, &id[0]));
        ck_assert_int_eq(fake_store.changes[fake_store.n_changes - 1].kind, FAKE_FORGET);
        fake_store_make_safe(fake_store.ticket);
        turn_end(fixture);
        ck_assert_uint_eq(fixture->results.n, 1);
        ck_assert_ptr_nonnull(task_find(&fixture->tasks, &id[2]));
        fake_store_make_safe(fake_store.ticket);
        fake_store.lacking = 0;
        turn_end(fixture);
        ck_assert_uint_eq(fixture->results.n, 1);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("op_submit");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, fixture_teardown);
        tcase_add_test(t, test_priority_of_type);
        tcase_add_test(t, test_batch);
        tcase_add_test(t, test_wait);
        tcase_add_test(t, test_all_or_nothing);
        tcase_add_test(t, test_limits);
        tcase_add_test(t, test_stopping);
        tcase_add_test(t, test_keys);
        tcase_add_test(t, test_uuid_key);
        tcase_add_test(t, test_expired_key);
        tcase_add_test(t, test_held);
        tcase_add_test(t, test_no_memory);
        tcase_add_test(t, test_unique);
        tcase_add_test(t, test_memory_only);
        tcase_add_test(t, test_full);
        tcase_add_test(t, test_full_and_pending);
        tcase_add_test(t, test_resend_when_queue_is_full);
        tcase_add_test(t, test_results_make_room);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
