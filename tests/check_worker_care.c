/* SPDX-License-Identifier: MIT */

/* What becomes of subworkers that fall silent, lose their connection or leave, and of what they
 * hold. */

#include "controld-fixture.h"
#include "lease.h"
#include "time-util.h"
#include "turn.h"
#include "worker-care.h"

#define FORGET_USEC (10 * USEC_PER_MINUTE)

/* As if its last message had come so long ago. */
static void silence(Worker *w, uint64_t usec) {
        w->last_seen_usec = now_usec(CLOCK_MONOTONIC) - usec;
}

static Worker *worker_with_task(const char *id, Task **ret) {
        Worker *w = fixture_worker(id, id, 1);

        *ret = fixture_submit(id, PRIORITY_NORMAL);
        turn_end(fixture);
        fixture_take(id, WIRE_TASKS);
        ck_assert_ptr_eq((*ret)->worker, w);
        return w;
}

/* What worker_care() says. */
static char *care(void) {
        Capture capture;

        capture_begin(&capture, STDERR_FILENO);
        worker_care(fixture, false);
        return capture_end(&capture);
}

static void check_gone(const Task *t) {
        ck_assert_int_eq(t->state, TASK_QUEUED);
        ck_assert_ptr_null(t->worker);
        ck_assert_uint_eq(t->attempt, 1); /* it may have run */
}

START_TEST(test_healthy) {
        Task *t;
        Worker *w = worker_with_task("w1", &t);
        _cleanup_free_ char *text = NULL;

        silence(w, fixture->settings->inactive_usec - 5 * USEC_PER_SEC);
        text = care();
        ck_assert_str_eq(text, "");
        ck_assert_int_eq(w->state, WORKER_ACTIVE);
        ck_assert_ptr_eq(t->worker, w);
}
END_TEST

START_TEST(test_silent) {
        Task *t;
        Worker *w = worker_with_task("w1", &t);
        _cleanup_free_ char *first = NULL, *second = NULL;

        silence(w, fixture->settings->inactive_usec + USEC_PER_SEC);
        first = care();
        ck_assert_contains(first, "Subworker w1 was silent for too long");
        ck_assert_contains(first, "1 task queued again");
        ck_assert_int_eq(w->state, WORKER_INACTIVE);
        ck_assert_ptr_null(w->peer);
        ck_assert_ptr_null(fixture_peer("w1")->worker);
        check_gone(t);
        second = care(); /* once is enough */
        ck_assert_str_eq(second, "");

        /* Whatever it says now tells it to register. */
        wire_put_number(fixture_begin(WIRE_HEARTBEAT), 1);
        fixture_request("w1", ENDPOINT_WORKER);
        ck_assert_int_eq(wire_get_error(&fixture_take("w1", WIRE_ERROR)->fields[0]),
                         WIRE_ERROR_NOT_REGISTERED);
}
END_TEST

/* If we ourselves did not run, what it said may be unread yet. */
START_TEST(test_late) {
        Task *t;
        Worker *w = worker_with_task("w1", &t);

        silence(w, fixture->settings->inactive_usec + USEC_PER_SEC);
        worker_care(fixture, true);
        ck_assert_int_eq(w->state, WORKER_ACTIVE);
        ck_assert_ptr_eq(t->worker, w);
}
END_TEST

/* What counts is the silence that it was told it may keep, not what was set since. */
START_TEST(test_promised_silence) {
        Task *t;
        Worker *w = worker_with_task("w1", &t);
        _cleanup_free_ char *text = NULL;

        fixture->settings->inactive_usec = 5 * USEC_PER_SEC;
        silence(w, 10 * USEC_PER_SEC);
        text = care();
        ck_assert_str_eq(text, "");
        ck_assert_int_eq(w->state, WORKER_ACTIVE);
}
END_TEST

/* A draining one is watched all the same. */
START_TEST(test_silent_while_draining) {
        Task *t;
        Worker *w = worker_with_task("w1", &t);
        _cleanup_free_ char *text = NULL;

        fixture_begin(WIRE_DRAIN);
        fixture_request("w1", ENDPOINT_WORKER);
        fixture_take("w1", WIRE_ACK);
        ck_assert_int_eq(w->state, WORKER_DRAINING);
        silence(w, fixture->settings->inactive_usec + USEC_PER_SEC);
        text = care();
        ck_assert_contains(text, "silent");
        ck_assert_int_eq(w->state, WORKER_INACTIVE);
        check_gone(t);
}
END_TEST

START_TEST(test_disconnected) {
        Task *t;
        Worker *w = worker_with_task("w1", &t);
        _cleanup_free_ char *early = NULL, *late = NULL;
        uint64_t since;

        worker_lost_connection(w);
        since = w->lost_usec;
        ck_assert_uint_gt(since, 0);
        worker_lost_connection(w); /* known already */
        ck_assert_uint_eq(w->lost_usec, since);
        early = care();
        ck_assert_str_eq(early, "");
        ck_assert_ptr_eq(t->worker, w);

        w->lost_usec -= fixture->settings->reconnect_usec + USEC_PER_SEC;
        late = care();
        ck_assert_contains(late, "Subworker w1 is gone: its connection was lost");
        ck_assert_int_eq(w->state, WORKER_INACTIVE);
        ck_assert_uint_eq(w->lost_usec, 0);
        check_gone(t);
}
END_TEST

/* An inactive one is shown for a while, then forgotten. */
START_TEST(test_forgotten) {
        Task *t;
        Worker *w = worker_with_task("w1", &t);
        _cleanup_free_ char *first = NULL, *second = NULL, *third = NULL;

        silence(w, fixture->settings->inactive_usec + USEC_PER_SEC);
        first = care();
        silence(w, FORGET_USEC - USEC_PER_MINUTE);
        second = care();
        ck_assert_ptr_nonnull(worker_find(&fixture->workers, "w1"));
        silence(w, FORGET_USEC + USEC_PER_SEC);
        third = care();
        ck_assert_ptr_null(worker_find(&fixture->workers, "w1"));
        ck_assert_str_eq(second, "");
        ck_assert_str_eq(third, "");
        ck_assert_uint_eq(t->type->n_workers, 0);
}
END_TEST

START_TEST(test_goodbye) {
        Task *t;

        worker_with_task("w1", &t);
        fixture_begin(WIRE_GOODBYE);
        fixture_request("w1", ENDPOINT_WORKER);
        fixture_take("w1", WIRE_ACK);
        ck_assert_ptr_null(worker_find(&fixture->workers, "w1"));
        ck_assert_ptr_null(fixture_peer("w1")->worker);
        check_gone(t);
        fixture_begin(WIRE_GOODBYE);
        fixture_request("w1", ENDPOINT_WORKER);
        fixture_take("w1", WIRE_ERROR);
}
END_TEST

/* One that has no tasks just leaves; one that was given up before is not mourned twice. */
START_TEST(test_goodbye_of_the_idle) {
        _cleanup_free_ char *first = NULL, *second = NULL;
        Capture capture;
        Worker *w;

        fixture_worker("w1", "a", 1);
        capture_begin(&capture, STDERR_FILENO);
        fixture_begin(WIRE_GOODBYE);
        fixture_request("w1", ENDPOINT_WORKER);
        first = capture_end(&capture);
        ck_assert_contains(first, "Subworker w1 left, 0 tasks queued again");
        fixture_take("w1", WIRE_ACK);

        w = fixture_worker("w2", "a", 1);
        worker_deactivate(fixture, w, WORKER_SILENT);
        capture_begin(&capture, STDERR_FILENO);
        worker_deactivate(fixture, w, WORKER_LEFT);
        second = capture_end(&capture);
        ck_assert_str_eq(second, "");
        ck_assert_ptr_null(worker_find(&fixture->workers, "w2"));
}
END_TEST

/* A local worker that is lost is not kept: it is a new one each time. */
START_TEST(test_local) {
        Task *t;
        Worker *w = worker_with_task("w1", &t);
        _cleanup_free_ char *text = NULL;

        w->local = true;
        silence(w, fixture->settings->inactive_usec + USEC_PER_SEC);
        text = care();
        ck_assert_contains(text, "Local worker w1");
        ck_assert_ptr_null(worker_find(&fixture->workers, "w1"));
        check_gone(t);
}
END_TEST

/* One worker's end leaves the others alone. */
START_TEST(test_others) {
        Task *mine, *yours;
        Worker *gone = worker_with_task("w1", &mine), *other = worker_with_task("w2", &yours);
        _cleanup_free_ char *text = NULL;

        silence(gone, fixture->settings->inactive_usec + USEC_PER_SEC);
        text = care();
        check_gone(mine);
        ck_assert_int_eq(other->state, WORKER_ACTIVE);
        ck_assert_ptr_eq(yours->worker, other);
        ck_assert_ptr_nonnull(other->peer);
}
END_TEST

/* One that held tasks before a restart has InactiveSec= to come back. */
START_TEST(test_awaited) {
        Task *t;
        Worker *w = worker_with_task("w1", &t);
        _cleanup_free_ char *first = NULL, *second = NULL;

        worker_detach(w);
        w->state = WORKER_AWAITED;
        silence(w, fixture->settings->inactive_usec - 5 * USEC_PER_SEC);
        first = care();
        ck_assert_str_eq(first, "");
        ck_assert_ptr_eq(t->worker, w);
        silence(w, fixture->settings->inactive_usec + USEC_PER_SEC);
        second = care();
        ck_assert_contains(second, "1 task queued again");
        ck_assert_int_eq(w->state, WORKER_INACTIVE);
        check_gone(t);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("worker_care");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
        tcase_add_test(t, test_healthy);
        tcase_add_test(t, test_silent);
        tcase_add_test(t, test_late);
        tcase_add_test(t, test_promised_silence);
        tcase_add_test(t, test_silent_while_draining);
        tcase_add_test(t, test_disconnected);
        tcase_add_test(t, test_forgotten);
        tcase_add_test(t, test_goodbye);
        tcase_add_test(t, test_goodbye_of_the_idle);
        tcase_add_test(t, test_local);
        tcase_add_test(t, test_others);
        tcase_add_test(t, test_awaited);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
