/* SPDX-License-Identifier: MIT */

/* PAUSE, what it is good for over restarts, why tasks wait, and the limits that workers tell. */

#include <stdlib.h>

#include "controld-fixture.h"
#include "fail-alloc.h"
#include "lane.h"
#include "pause.h"
#include "persist.h"
#include "turn.h"
#include "waits-for.h"

static void setup(void) {
        fixture_setup();
        fixture->grace_until_usec = 0;
        fixture_worker("w1", "a", 10);
}

static void ask(const char *document) {
        wire_put_string(fixture_begin(WIRE_PAUSE), document);
        fixture_request("admin", ENDPOINT_CLIENT);
        turn_end(fixture);
}

static void paused(const char *document) {
        ask(document);
        fixture_take("admin", WIRE_ACK);
}

static void check_waits_for(const Task *t, const char *expected) {
        char text[WAITS_FOR_MAX];

        ck_assert(waits_for(fixture, t, text) == (expected != NULL));
        if (expected)
                ck_assert_str_eq(text, expected);
}

START_TEST(test_type) {
        Task *t;

        paused("{\"type\":\"a\",\"paused\":true}");
        t = fixture_submit("a", PRIORITY_NORMAL);
        turn_end(fixture);
        ck_assert_int_eq(t->state, TASK_QUEUED);
        check_waits_for(t, "type paused: \"a\" is to be resumed");
        paused("{\"type\":\"a\",\"paused\":true}"); /* once more is the same */
        paused("{\"type\":\"a\",\"paused\":false}");
        ck_assert_int_eq(t->state, TASK_ASSIGNED);
        check_waits_for(t, NULL);
}
END_TEST

START_TEST(test_priority) {
        Task *low, *high;

        paused("{\"priority\":\"low\",\"paused\":true}");
        low = fixture_submit("a", PRIORITY_LOW);
        high = fixture_submit("a", PRIORITY_HIGH);
        turn_end(fixture);
        ck_assert_int_eq(low->state, TASK_QUEUED);
        ck_assert_int_eq(high->state, TASK_ASSIGNED);
        check_waits_for(low, "priority paused: low is to be resumed");
        paused("{\"priority\":\"low\",\"paused\":false}");
        ck_assert_int_eq(low->state, TASK_ASSIGNED);
}
END_TEST

START_TEST(test_worker) {
        Worker *w = worker_find(&fixture->workers, "w1");
        Task *t;

        paused("{\"worker\":\"w1\",\"paused\":true}");
        ck_assert_int_eq(w->state, WORKER_DRAINING);
        t = fixture_submit("a", PRIORITY_NORMAL);
        turn_end(fixture);
        check_waits_for(t, "an active subworker that offers \"a\"");
        paused("{\"worker\":\"w1\",\"paused\":false}");
        ck_assert_int_eq(t->state, TASK_ASSIGNED);

        /* One that leaves by itself is not called back. */
        paused("{\"worker\":\"w1\",\"paused\":true}");
        w->is_leaving = true;
        paused("{\"worker\":\"w1\",\"paused\":false}");
        ck_assert_int_eq(w->state, WORKER_DRAINING);
}
END_TEST

START_TEST(test_refused) {
        static const struct {
                const char *document, *text;
        } cases[] = {
                { "[]", "must be one JSON object" },
                { "", "one of \"type\", \"priority\" and \"worker\"" },
                { "{}", "one of \"type\", \"priority\" and \"worker\"" },
                { "{\"paused\":true}", "one of \"type\", \"priority\" and \"worker\"" },
                { "{\"type\":\"a\",\"worker\":\"w1\",\"paused\":true}", "one of \"type\"" },
                { "{\"type\":\"a\"}", "\"paused\" must be true or false" },
                { "{\"type\":\"a\",\"paused\":1}", "\"paused\" must be true or false" },
                { "{\"type\":7,\"paused\":true}", "\"type\" must be text" },
                { "{\"typ\":\"a\",\"paused\":true}", "unknown key \"typ\"" },
                { "{\"priority\":\"urgent\",\"paused\":true}", "\"urgent\" is no priority" },
                { "{\"priority\":\"\",\"paused\":true}", "is no priority" },
                { "{\"worker\":\"w2\",\"paused\":true}", "there is no subworker w2" },
                { "{\"worker\":\"no way\",\"paused\":true}", "no id of a subworker" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ask(cases[i].document);
                fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, cases[i].text);
        }
        /* At once, also where a submit would be held for those that are to come. */
        fixture->grace_until_usec = USEC_INFINITY;
        ask("{\"type\":\"b\",\"paused\":true}");
        fixture_take_error("admin", WIRE_ERROR_UNKNOWN_TASK_TYPE, "there are: a");
        ck_assert_uint_eq(fixture->held.n, 0);
        ask("{\"type\":\"a\\u0000b\",\"paused\":true}");
        fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, "\"type\" must be text");
        worker_find(&fixture->workers, "w1")->local = true;
        ask("{\"worker\":\"w1\",\"paused\":true}");
        fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, "the coordinator's own worker");
}
END_TEST

START_TEST(test_no_memory) {
        int r;

        FAIL_EACH_ALLOC(r = pause_set(fixture, PAUSE_WORKER, "w1", true), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert(!pause_is_set(fixture, PAUSE_WORKER, "w1"));
        });
        ck_assert_int_eq(r, 0);
        ck_assert(pause_is_set(fixture, PAUSE_WORKER, "w1"));
}
END_TEST

/* All of it is there again; a worker also while it is away. */
START_TEST(test_restart) {
        char directory[] = "/tmp/check-pause-XXXXXX", command[64];
        Worker *w;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        fixture_restart(STORE_PROCESS, directory);
        fixture_worker("w1", "a", 10);
        persist_type(fixture, make_type(&fixture->types, "a"));
        ck_assert_int_eq(pause_set(fixture, PAUSE_TYPE, "a", true), 0);
        ck_assert_int_eq(pause_set(fixture, PAUSE_PRIORITY, "high", true), 0);
        ck_assert_int_eq(pause_set(fixture, PAUSE_PRIORITY, "low", true), 0);
        ck_assert_int_eq(pause_set(fixture, PAUSE_PRIORITY, "low", false), 0);
        ck_assert_int_eq(pause_set(fixture, PAUSE_WORKER, "w1", true), 0);
        fixture_settle();
        fixture_restart(STORE_PROCESS, directory);
        ck_assert(pause_is_set(fixture, PAUSE_TYPE, "a"));
        ck_assert(pause_is_set(fixture, PAUSE_PRIORITY, "high"));
        ck_assert(!pause_is_set(fixture, PAUSE_PRIORITY, "low"));
        ck_assert(pause_is_set(fixture, PAUSE_WORKER, "w1"));
        w = fixture_worker("w1", "a", 10);
        pause_registered(fixture, w);
        ck_assert_int_eq(w->state, WORKER_DRAINING);
        ck_assert(!pause_lets_leave(fixture, w));

        /* What a later version may say. */
        ck_assert_int_eq(pause_recover(fixture, "colour:red"), 0);
        ck_assert_int_eq(pause_recover(fixture, "priority:urgent"), 0);
        ck_assert_int_eq(pause_recover(fixture, ""), 0);
        (void) snprintf(command, sizeof(command), "rm -r %s", directory);
        fixture_restart(STORE_NONE, NULL);
        ck_assert_int_eq(system(command), 0);
}
END_TEST

static void register_worker(const char *peer, const char *id, const char *options) {
        WireOut *out = fixture_begin(WIRE_REGISTER);
        char info[300];

        (void) snprintf(info, sizeof(info),
                        "{\"types\":[{\"name\":\"b\",\"options\":%s}],\"labels\":[\"x\",\"gpu\"]}",
                        options);
        wire_put_string(out, id);
        wire_put_number(out, 4);
        wire_put_number(out, 10);
        wire_put_string(out, info);
        fixture_request(peer, ENDPOINT_WORKER);
        fixture_take(peer, WIRE_REGISTERED);
}

/* The lowest counts, whoever came first; a worker that is gone has no say, but the last one's word stays. */
START_TEST(test_terms) {
        TaskType *b;
        Task *t[3];

        register_worker("p2", "w2", "{\"concurrency\":5,\"rate_limit\":\"10/s\"}");
        b = make_type(&fixture->types, "b");
        ck_assert_uint_eq(b->limits.concurrency, 5);
        ck_assert_str_eq(worker_find(&fixture->workers, "w2")->labels[0], "gpu");
        register_worker("p3", "w3", "{\"concurrency\":2,\"labels\":[\"gpu\"]}");
        ck_assert_uint_eq(b->limits.concurrency, 2);
        ck_assert_uint_eq(b->limits.rate.count, 10);
        ck_assert(b->terms_differ);
        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                t[i] = fixture_submit("b", PRIORITY_NORMAL);
        turn_end(fixture);
        ck_assert_uint_eq(b->n_leased, 2);
        fixture_take("p3", WIRE_TASKS);
        fixture_take("p2", WIRE_TASKS);
        check_waits_for(t[2], "concurrency limit: 2 of \"b\" at once");
        register_worker("p3", "w3", "{\"concurrency\":5,\"rate_limit\":\"10/s\"}");
        ck_assert_uint_eq(b->limits.concurrency, 5);
        ck_assert_ptr_null(b->limits.labels);
        ck_assert(!b->terms_differ);
}
END_TEST

/* A timer is armed only while a task waits for a token and for nothing else. */
START_TEST(test_rate) {
        TaskType *b;
        Task *t;

        register_worker("p2", "w2", "{\"rate_limit\":\"1/h\"}");
        b = make_type(&fixture->types, "b");
        fixture_submit("b", PRIORITY_NORMAL);
        turn_end(fixture);
        ck_assert_uint_eq(fixture->next_token_usec, USEC_INFINITY);
        t = fixture_submit("b", PRIORITY_NORMAL);
        turn_end(fixture);
        check_waits_for(t, "rate limit: 1/h of \"b\"");
        ck_assert_uint_eq(fixture->next_token_usec,
                          b->bucket.filled_usec + (60 * USEC_PER_MINUTE - b->bucket.credit));
        paused("{\"type\":\"b\",\"paused\":true}");
        ck_assert_uint_eq(fixture->next_token_usec, USEC_INFINITY);
}
END_TEST

static void started(const Task *t) {
        WireOut *out = fixture_begin(WIRE_STARTED);

        wire_put_task_id(out, &t->id);
        wire_put_number(out, t->attempt);
        wire_put_number(out, 1);
        fixture_request("p2", ENDPOINT_WORKER);
}

static void release(const Task *t) {
        WireOut *out = fixture_begin(WIRE_RELEASE);

        wire_put_string(out, "stopping");
        wire_put_task_id(out, &t->id);
        wire_put_number(out, t->attempt);
        fixture_request("p2", ENDPOINT_WORKER);
        fixture_take("p2", WIRE_ACK);
}

static void crashed(const Task *t) {
        WireOut *out = fixture_begin(WIRE_DONE);

        wire_put_task_id(out, &t->id);
        wire_put_number(out, t->attempt);
        wire_put_string(out, "crash");
        wire_put_string(out, "");
        wire_put_string(out, "gone");
        wire_put_number(out, 1);
        wire_put_number(out, 1);
        wire_put_string(out, "");
        fixture_request("p2", ENDPOINT_WORKER);
        fixture_take("p2", WIRE_ACK);
}

/* What comes back before it has begun does not count. */
START_TEST(test_rate_of_begun) {
        Worker *w;
        Task *t[2];

        register_worker("p2", "w2", "{\"rate_limit\":\"2/h\"}");
        w = worker_find(&fixture->workers, "w2");
        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                t[i] = fixture_submit("b", PRIORITY_NORMAL);
        fixture_break("p2", 0, -EAGAIN);
        turn_end(fixture);
        ck_assert_int_eq(t[0]->state, TASK_QUEUED);
        fixture_break("p2", 0, 0);
        w->is_stalled = false;
        turn_end(fixture);
        ck_assert_uint_eq(fixture_take("p2", WIRE_TASKS)->n_groups, 2);
        release(t[0]);
        release(t[1]);
        turn_end(fixture);
        ck_assert_uint_eq(fixture_take("p2", WIRE_TASKS)->n_groups, 2);
        lease_return_all(fixture, w); /* lost */
        turn_end(fixture);
        ck_assert_uint_eq(fixture_take("p2", WIRE_TASKS)->n_groups, 2);

        /* These had begun. */
        started(t[0]);
        release(t[0]);
        crashed(t[1]);
        turn_end(fixture);
        fixture_take_nothing();
        check_waits_for(t[0], "rate limit: 2/h of \"b\"");
        check_waits_for(t[1], "rate limit: 2/h of \"b\"");
}
END_TEST

START_TEST(test_labels) {
        char *both[] = { (char *) "big", (char *) "gpu", NULL };
        Task *t = make_task(&fixture->tasks, make_type(&fixture->types, "a"), PRIORITY_NORMAL);

        ck_assert_int_eq(lane_enter(&fixture->queue.keys, t, both, NULL, 0, 0), 0);
        t->sequence = queue_next_sequence(&fixture->queue);
        queue_push(&fixture->queue, t);
        turn_end(fixture);
        check_waits_for(t, "labels: no active subworker that offers \"a\" has big, gpu");
}
END_TEST

static void submit_label(size_t i) {
        WireOut *out = fixture_begin(WIRE_SUBMIT);
        char options[60];

        (void) snprintf(options, sizeof(options), "{\"labels\":[\"l%zu\"]}", i);
        wire_put_string(out, "");
        wire_put_string(out, "a");
        wire_put_string(out, "");
        wire_put_string(out, "");
        wire_put_string(out, "");
        wire_put_string(out, options);
        fixture_request("client", ENDPOINT_CLIENT);
}

static void accepted_label(size_t i) {
        submit_label(i);
        fixture_take("client", WIRE_ACCEPTED);
}

/* Each set of labels is work in each turn; that nobody has them is said once for all of them. */
START_TEST(test_many_labels) {
        _cleanup_free_ char *text = NULL;
        TaskType *type = make_type(&fixture->types, "a");
        Capture capture;
        Task *t;

        for (size_t i = 0; i < LANES_MAX; i++)
                accepted_label(i);
        capture_begin(&capture, STDERR_FILENO);
        turn_end(fixture);
        text = capture_end(&capture);
        ck_assert_contains(text, "has the labels l0");
        ck_assert_ptr_null(strstr(strstr(text, "has the labels") + 1, "has the labels"));
        submit_label(LANES_MAX);
        fixture_take_error("client", WIRE_ERROR_QUEUE_FULL, "1000 different sets of labels");
        ck_assert_uint_eq(queue_length(&fixture->queue), LANES_MAX);
        accepted_label(7);
        ck_assert_uint_eq(HASH_COUNT(type->lanes), LANES_MAX);
        t = lane_first(type->lanes, PRIORITY_NORMAL);
        queue_remove(&fixture->queue, t);
        task_free(&fixture->tasks, t);
        accepted_label(LANES_MAX);
        ck_assert_uint_eq(HASH_COUNT(type->lanes), LANES_MAX);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("pause");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, fixture_teardown);
        tcase_add_test(t, test_type);
        tcase_add_test(t, test_priority);
        tcase_add_test(t, test_worker);
        tcase_add_test(t, test_refused);
        tcase_add_test(t, test_no_memory);
        tcase_add_test(t, test_restart);
        tcase_add_test(t, test_terms);
        tcase_add_test(t, test_rate);
        tcase_add_test(t, test_rate_of_begun);
        tcase_add_test(t, test_labels);
        tcase_add_test(t, test_many_labels);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
