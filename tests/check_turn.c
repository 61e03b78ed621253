/* SPDX-License-Identifier: MIT */

/* The end of a turn: who gets what in which order, in how many messages, and what happens if it
 * cannot be sent. */

#include "controld-fixture.h"
#include "fail-alloc.h"
#include "lease.h"
#include "turn.h"
#include "worker-care.h"

#define BYTES_MAX (4U * 1024U * 1024U) /* of arguments or results in one message */

static void check_group(const WireMessage *m, size_t group, const Task *t) {
        ck_assert_id_eq(fixture_id(m, group), t->id);
}

static Task *submit_large(const char *type, size_t size) {
        _cleanup_free_ char *arguments = calloc(1, size);
        TaskSpec spec = make_spec(make_type(&fixture->types, type), PRIORITY_NORMAL);
        Task *t = NULL;

        ck_assert_ptr_nonnull(arguments);
        spec.arguments = arguments;
        spec.arguments_size = size;
        ck_assert_int_eq(task_new(&fixture->tasks, &spec, &t), 0);
        task_set_state(&fixture->tasks, t, TASK_QUEUED);
        queue_push(&fixture->queue, t);
        return t;
}

static void end_task(Task *t, const void *result, size_t size) {
        TaskEnd end = { .state = TASK_SUCCESS, .result = { (void *) result, size } };

        ck_assert_int_eq(fixture_end(t, &end), 0);
}

START_TEST(test_idle) {
        turn_end(fixture);
        fixture_take_nothing();
}
END_TEST

/* One busy slot: strictly by priority, and by age in each. */
START_TEST(test_priorities) {
        static const TaskPriority order[] = { PRIORITY_LOW, PRIORITY_CRITICAL, PRIORITY_NORMAL,
                                              PRIORITY_HIGH };
        Task *t[_PRIORITY_MAX][25];

        fixture_worker("w1", "a", 1);
        for (size_t i = 0; i < 25; i++)
                for (size_t p = 0; p < ELEMENTSOF(order); p++)
                        t[order[p]][i] = fixture_submit("a", order[p]);
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                for (size_t i = 0; i < 25; i++) {
                        const WireMessage *m;

                        turn_end(fixture);
                        m = fixture_take("w1", WIRE_TASKS);
                        ck_assert_uint_eq(m->n_groups, 1);
                        check_group(m, 0, t[p][i]);
                        fixture_take_nothing();
                        end_task(t[p][i], NULL, 0);
                }
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
}
END_TEST

/* No more than a worker is willing to hold, all in one message, oldest first. */
START_TEST(test_capacity) {
        Worker *w = fixture_worker("w1", "a", 3);
        Task *t[5];
        const WireMessage *m;

        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                t[i] = fixture_submit("a", PRIORITY_NORMAL);
        turn_end(fixture);
        m = fixture_take("w1", WIRE_TASKS);
        ck_assert_uint_eq(m->n_groups, 3);
        for (size_t i = 0; i < 3; i++)
                check_group(m, i, t[i]);
        ck_assert_uint_eq(queue_length(&fixture->queue), 2);
        turn_end(fixture);
        fixture_take_nothing();

        wire_put_number(fixture_begin(WIRE_CAPACITY), 4);
        fixture_request("w1", ENDPOINT_WORKER);
        turn_end(fixture);
        m = fixture_take("w1", WIRE_TASKS);
        ck_assert_uint_eq(m->n_groups, 1);
        check_group(m, 0, t[3]);
        ck_assert_uint_eq(w->n_leased, 4);
}
END_TEST

/* A type for which nobody has room holds up nobody else, whatever its age and priority. */
START_TEST(test_blocked_types) {
        Task *other;
        const WireMessage *m;

        fixture_worker("w1", "free", 1);
        fixture_worker("w2", "busy", 0);
        fixture_submit("busy", PRIORITY_CRITICAL);
        fixture_submit("nobody", PRIORITY_CRITICAL);
        fixture_submit("busy", PRIORITY_LOW);
        other = fixture_submit("free", PRIORITY_LOW);
        turn_end(fixture);
        m = fixture_take("w1", WIRE_TASKS);
        check_group(m, 0, other);
        fixture_take_nothing();
        ck_assert_uint_eq(queue_length(&fixture->queue), 3);
}
END_TEST

/* That a type is offered by nobody is said once, until somebody comes to offer it. */
START_TEST(test_waiting_is_logged) {
        TaskType *type = make_type(&fixture->types, "nobody");
        _cleanup_free_ char *first = NULL, *second = NULL;
        Capture capture;

        fixture_worker("w2", "busy", 0);
        fixture_submit("busy", PRIORITY_NORMAL);
        fixture_submit("nobody", PRIORITY_NORMAL);
        capture_begin(&capture, STDERR_FILENO);
        turn_end(fixture);
        first = capture_end(&capture);
        ck_assert_contains(first, "Tasks \"nobody\" wait");
        ck_assert_lacks(first, "busy");
        ck_assert(type->wait_logged);

        capture_begin(&capture, STDERR_FILENO);
        turn_end(fixture);
        second = capture_end(&capture);
        ck_assert_str_eq(second, "");
        make_worker(&fixture->workers, "w1", type, NULL);
        ck_assert(!type->wait_logged);
}
END_TEST

/* A type that the local worker has is not said to wait: that one is started. */
START_TEST(test_local_is_wanted) {
        _cleanup_free_ char *text = NULL;
        Capture capture;

        make_type(&fixture->types, "a")->is_local = true;
        fixture_submit("a", PRIORITY_NORMAL);
        capture_begin(&capture, STDERR_FILENO);
        turn_end(fixture);
        text = capture_end(&capture);
        ck_assert_str_eq(text, "");
        ck_assert(!make_type(&fixture->types, "a")->wait_logged);
}
END_TEST

/* Without memory a turn hands out less, or nothing, and the next one makes up for it. */
START_TEST(test_no_memory) {
        Task *high = fixture_submit("a", PRIORITY_HIGH), *low = fixture_submit("a", PRIORITY_LOW);
        const WireMessage *m;
        _cleanup_free_ char *text = NULL;
        Capture capture;

        fixture_worker("w1", "a", 2);
        capture_begin(&capture, STDERR_FILENO);
        fail_alloc_at(1);
        turn_end(fixture);
        ck_assert(fail_alloc_happened());
        text = capture_end(&capture);
        ck_assert_contains(text, "Out of memory");
        fixture_take_nothing();
        turn_end(fixture);
        m = fixture_take("w1", WIRE_TASKS);
        ck_assert_uint_eq(m->n_groups, 2);
        check_group(m, 0, high);
        check_group(m, 1, low);
}
END_TEST

/* While we stop nothing is handed out, but results still go to those that wait. */
START_TEST(test_stopping) {
        Task *t;

        fixture_worker("w1", "a", 1);
        t = fixture_submit("a", PRIORITY_NORMAL);
        turn_end(fixture);
        fixture_take("w1", WIRE_TASKS);
        fixture_submit("a", PRIORITY_NORMAL);
        ck_assert_int_eq(peer_wait(fixture_peer("client"), t, &fixture->dirty), 0);
        fixture->stopping = true;
        end_task(t, "1", 1);
        turn_end(fixture);
        check_group(fixture_take("client", WIRE_RESULT), 0, t);
        fixture_take_nothing();
        ck_assert_uint_eq(queue_length(&fixture->queue), 1);
}
END_TEST

/* A thousand to a message. */
START_TEST(test_many) {
        Worker *w = fixture_worker("w1", "a", WIRE_BATCH_MAX * 3);
        size_t n = WIRE_BATCH_MAX * 2 + 1;

        for (size_t i = 0; i < n; i++)
                fixture_submit("a", PRIORITY_NORMAL);
        turn_end(fixture);
        ck_assert_uint_eq(w->n_leased, n);
        ck_assert_uint_eq(fixture_take("w1", WIRE_TASKS)->n_groups, WIRE_BATCH_MAX);
        ck_assert_uint_eq(fixture_take("w1", WIRE_TASKS)->n_groups, WIRE_BATCH_MAX);
        ck_assert_uint_eq(fixture_take("w1", WIRE_TASKS)->n_groups, 1);
        fixture_take_nothing();
}
END_TEST

/* Nor are messages without limit in bytes. */
START_TEST(test_large) {
        Task *t[7];
        size_t n = 0;

        fixture_worker("w1", "a", 10);
        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                t[i] = submit_large("a", BYTES_MAX / 4);
        turn_end(fixture);
        while (n < ELEMENTSOF(t)) {
                const WireMessage *m = fixture_take("w1", WIRE_TASKS);

                ck_assert_uint_le(m->n_groups, 4);
                for (size_t i = 0; i < m->n_groups; i++, n++) {
                        check_group(m, i, t[n]);
                        ck_assert_uint_eq(wire_group(m, i)[3].iov_len, BYTES_MAX / 4);
                }
        }
        fixture_take_nothing();
}
END_TEST

/* --- what cannot be sent ---------------------------------------------------------------------- */

/* The whole of it goes back, to its old place. */
START_TEST(test_worker_is_gone) {
        Worker *w = fixture_worker("w1", "a", 3);
        const WireMessage *m;
        Task *t[3];

        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                t[i] = fixture_submit("a", PRIORITY_NORMAL);
        fixture_break("w1", 0, -EHOSTUNREACH);
        turn_end(fixture);
        fixture_take_nothing();
        ck_assert_uint_eq(w->n_leased, 0);
        ck_assert_uint_eq(w->n_unsent, 0);
        ck_assert_uint_gt(w->lost_usec, 0);
        ck_assert_uint_eq(queue_length(&fixture->queue), 3);
        for (size_t i = 0; i < ELEMENTSOF(t); i++) {
                ck_assert_int_eq(t[i]->state, TASK_QUEUED);
                ck_assert_ptr_null(t[i]->worker);
        }

        /* It gets nothing more, and others take over. */
        fixture_break("w1", 0, 0);
        fixture_worker("w2", "a", 3);
        turn_end(fixture);
        m = fixture_take("w2", WIRE_TASKS);
        ck_assert_uint_eq(m->n_groups, 3);
        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                check_group(m, i, t[i]);
        fixture_take_nothing();
}
END_TEST

/* What went out before the failure stays with the worker. */
START_TEST(test_worker_goes_between_messages) {
        Worker *w = fixture_worker("w1", "a", WIRE_BATCH_MAX * 3);
        Task *first = fixture_submit("a", PRIORITY_NORMAL), *last = NULL;

        for (size_t i = 1; i < WIRE_BATCH_MAX + 10; i++)
                last = fixture_submit("a", PRIORITY_NORMAL);
        fixture_break("w1", 1, -EHOSTUNREACH);
        turn_end(fixture);
        fixture_take("w1", WIRE_TASKS);
        fixture_take_nothing();
        ck_assert_uint_eq(w->n_leased, WIRE_BATCH_MAX);
        ck_assert_ptr_eq(first->worker, w);
        ck_assert_int_eq(last->state, TASK_QUEUED);
        ck_assert_uint_eq(queue_length(&fixture->queue), 10);
        ck_assert_uint_gt(w->lost_usec, 0);
}
END_TEST

/* One that does not read gets nothing more for a while, and keeps nobody else from it. */
START_TEST(test_worker_does_not_read) {
        Worker *w = fixture_worker("w1", "a", 3), *other = fixture_worker("w2", "a", 0);
        Task *t = fixture_submit("a", PRIORITY_NORMAL);

        fixture_break("w1", 0, -EAGAIN);
        turn_end(fixture);
        fixture_take_nothing();
        ck_assert_int_eq(t->state, TASK_QUEUED);
        ck_assert_uint_eq(w->n_leased, 0);
        ck_assert_uint_eq(w->lost_usec, 0); /* it is there */
        ck_assert_int_eq(w->state, WORKER_ACTIVE);
        ck_assert(w->is_stalled);

        fixture_break("w1", 0, 0);
        turn_end(fixture);
        fixture_take_nothing();
        other->capacity = 1;
        turn_end(fixture);
        check_group(fixture_take("w2", WIRE_TASKS), 0, t);

        t = fixture_submit("a", PRIORITY_NORMAL);
        worker_care(fixture, false);
        turn_end(fixture);
        check_group(fixture_take("w1", WIRE_TASKS), 0, t);
}
END_TEST

/* A connection that ended in the same turn, after the task was given. */
START_TEST(test_worker_without_connection) {
        Worker *w = fixture_worker("w1", "a", 1);
        Task *t = fixture_submit("a", PRIORITY_NORMAL);

        queue_remove(&fixture->queue, t);
        lease_grant(fixture, w, t);
        ck_assert_uint_eq(w->n_unsent, 1);
        worker_detach(w);
        turn_end(fixture);
        fixture_take_nothing();
        ck_assert_int_eq(t->state, TASK_QUEUED);
        ck_assert_uint_eq(w->n_leased, 0);
}
END_TEST

/* --- results ---------------------------------------------------------------------------------- */

/* A task at w1 that the client waits for. */
static Task *leased(void) {
        Task *t = fixture_submit("a", PRIORITY_NORMAL);

        ck_assert_int_eq(peer_wait(fixture_peer("client"), t, &fixture->dirty), 0);
        queue_remove(&fixture->queue, t);
        lease_grant(fixture, worker_find(&fixture->workers, "w1"), t);
        turn_end(fixture);
        fixture_take("w1", WIRE_TASKS);
        return t;
}

static Task *ended(void) {
        Task *t = leased();

        end_task(t, "1", 1);
        return t;
}

static void setup_results(void) {
        fixture_setup();
        fixture_worker("w1", "a", 0);
}

/* Each result goes to each that waits, once, and all of a turn in one message. */
START_TEST(test_push) {
        Task *a = leased(), *b = leased();
        const WireMessage *m;

        ck_assert_int_eq(peer_wait(fixture_peer("other"), b, &fixture->dirty), 0);
        end_task(b, "2", 1);
        end_task(a, "1", 1);
        turn_end(fixture);
        m = fixture_take("client", WIRE_RESULT);
        ck_assert_uint_eq(m->correlation.iov_len, 0);
        ck_assert_uint_eq(m->n_groups, 2);
        check_group(m, 0, b); /* in the order in which they ended */
        check_group(m, 1, a);
        m = fixture_take("other", WIRE_RESULT);
        ck_assert_uint_eq(m->n_groups, 1);
        check_group(m, 0, b);
        fixture_take_nothing();
        ck_assert_uint_eq(fixture_peer("client")->n_waiters, 0);
        ck_assert(TAILQ_EMPTY(&fixture->dirty));
        turn_end(fixture);
        fixture_take_nothing();
}
END_TEST

/* Many results take more messages, and large ones, too. */
START_TEST(test_push_much) {
        _cleanup_free_ char *large = calloc(1, BYTES_MAX / 2);
        size_t n = 0, n_messages = 0;
        Task *t[5], *many[WIRE_BATCH_MAX + 1];

        ck_assert_ptr_nonnull(large);
        for (size_t i = 0; i < ELEMENTSOF(many); i++)
                many[i] = leased();
        for (size_t i = 0; i < ELEMENTSOF(many); i++)
                end_task(many[i], NULL, 0);
        turn_end(fixture);
        ck_assert_uint_eq(fixture_take("client", WIRE_RESULT)->n_groups, WIRE_BATCH_MAX);
        ck_assert_uint_eq(fixture_take("client", WIRE_RESULT)->n_groups, 1);
        fixture_take_nothing();

        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                t[i] = leased();
        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                end_task(t[i], large, BYTES_MAX / 2);
        turn_end(fixture);
        for (n = 0; n < ELEMENTSOF(t); n_messages++) {
                const WireMessage *m = fixture_take("client", WIRE_RESULT);

                for (size_t i = 0; i < m->n_groups; i++, n++)
                        check_group(m, i, t[n]);
        }
        ck_assert_uint_eq(n_messages, 3);
        fixture_take_nothing();
}
END_TEST

/* A cache of size 0 still delivers; afterwards the task is unknown. */
START_TEST(test_push_before_trim) {
        TaskId id;

        fixture->results.size_max = 0;
        id = ended()->id;
        turn_end(fixture);
        ck_assert_id_eq(fixture_id(fixture_take("client", WIRE_RESULT), 0), id);
        ck_assert_ptr_null(task_find(&fixture->tasks, &id));
}
END_TEST

/* A client that does not read keeps its results until it does. */
START_TEST(test_push_later) {
        Task *t;

        fixture_break("client", 0, -EAGAIN);
        t = ended();
        turn_end(fixture);
        fixture_take_nothing();
        ck_assert_uint_eq(fixture_peer("client")->n_waiters, 1);
        fixture_break("client", 0, 0);
        turn_end(fixture);
        fixture_take_nothing();                     /* not tried in every turn */
        fixture_peer("client")->is_stalled = false; /* what the tick does */
        turn_end(fixture);
        check_group(fixture_take("client", WIRE_RESULT), 0, t);
        ck_assert_uint_eq(fixture_peer("client")->n_waiters, 0);
}
END_TEST

/* A client that left waits for nothing, also not for what has not ended yet. */
START_TEST(test_push_to_nobody) {
        Task *waiting = fixture_submit("b", PRIORITY_NORMAL);

        ck_assert_int_eq(peer_wait(fixture_peer("client"), waiting, &fixture->dirty), 0);
        ended();
        fixture_break("client", 0, -EHOSTUNREACH);
        turn_end(fixture);
        fixture_take_nothing();
        ck_assert_uint_eq(fixture_peer("client")->n_waiters, 0);
        ck_assert_ptr_null(waiting->waiters);
        ck_assert(TAILQ_EMPTY(&fixture->dirty));
}
END_TEST

/* Just after the start the subworkers are on their way: no news. */
START_TEST(test_wait_is_not_logged_at_the_start) {
        Task *t = fixture_submit("early", PRIORITY_NORMAL);

        fixture->grace_until_usec = now_usec(CLOCK_MONOTONIC) + USEC_PER_MINUTE;
        turn_end(fixture);
        ck_assert(!t->type->wait_logged);
        fixture->grace_until_usec = 0;
        turn_end(fixture);
        ck_assert(t->type->wait_logged);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("turn");
        TCase *t = tcase_create("dispatch"), *results = tcase_create("results");

        tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
        tcase_add_test(t, test_idle);
        tcase_add_test(t, test_wait_is_not_logged_at_the_start);
        tcase_add_test(t, test_priorities);
        tcase_add_test(t, test_capacity);
        tcase_add_test(t, test_blocked_types);
        tcase_add_test(t, test_waiting_is_logged);
        tcase_add_test(t, test_local_is_wanted);
        tcase_add_test(t, test_no_memory);
        tcase_add_test(t, test_stopping);
        tcase_add_test(t, test_many);
        tcase_add_test(t, test_large);
        tcase_add_test(t, test_worker_is_gone);
        tcase_add_test(t, test_worker_goes_between_messages);
        tcase_add_test(t, test_worker_does_not_read);
        tcase_add_test(t, test_worker_without_connection);
        tcase_add_checked_fixture(results, setup_results, fixture_teardown);
        tcase_add_test(results, test_push);
        tcase_add_test(results, test_push_much);
        tcase_add_test(results, test_push_before_trim);
        tcase_add_test(results, test_push_later);
        tcase_add_test(results, test_push_to_nobody);
        suite_add_tcase(suite, t);
        suite_add_tcase(suite, results);
        return check_run(suite);
}
