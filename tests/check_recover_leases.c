/* SPDX-License-Identifier: MIT */

/* What was handed out before a restart: who has it after that, with which attempt, and what was to be stopped. */

#include "recover-test.h"

/* --- handed out ------------------------------------------------------------------------------- */

START_TEST(test_awaited) {
        TaskId ids[2];
        Worker *w;

        hand_out(ids);
        w = worker_find(&fixture->workers, "w1");
        ck_assert_ptr_nonnull(w);
        ck_assert_int_eq(w->state, WORKER_AWAITED);
        ck_assert_uint_eq(w->n_leased, 2);
        ck_assert_uint_eq(w->lease_usec, fixture->settings->inactive_usec);
        ck_assert_ptr_null(w->peer);
        ck_assert_uint_eq(w->last_seen_realtime_usec, 0); /* not by this coordinator */
        ck_assert_int_eq(find(&ids[0])->state, TASK_ASSIGNED);
        ck_assert_int_eq(find(&ids[1])->state, TASK_RUNNING);
        ck_assert_uint_gt(find(&ids[1])->started_usec, 0);
        ck_assert_uint_eq(find(&ids[1])->attempt, 1);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);

        /* Others do not get them meanwhile. */
        register_worker("w2", 4, NULL, 0, 0);
        turn_end(fixture);
        worker_care(fixture, false);
        fixture_take_nothing();
        ck_assert_uint_eq(w->n_leased, 2);
}
END_TEST

START_TEST(test_returns_with_leases) {
        TaskId ids[2];

        hand_out(ids);
        ck_assert_uint_eq(register_worker("w1", 2, ids, 1, 2)->n_groups, 0);
        ck_assert_int_eq(worker_find(&fixture->workers, "w1")->state, WORKER_ACTIVE);
        ck_assert_int_eq(find(&ids[1])->state, TASK_RUNNING);
        send_done("w1", &ids[0], 1, "success");
        send_done("w1", &ids[1], 1, "failure");
        ck_assert_int_eq(find(&ids[0])->state, TASK_SUCCESS);
        ck_assert_int_eq(find(&ids[1])->state, TASK_FAILURE);
        ck_assert_uint_eq(fixture->counters.results_refused, 0);
        restart();
        ck_assert_ptr_null(fixture->workers.workers);
        ck_assert_int_eq(find(&ids[0])->state, TASK_SUCCESS);
}
END_TEST

/* Those it does not have any more are queued at once, at their old place, and only the new attempt counts. */
START_TEST(test_returns_without) {
        TaskId ids[2], young;
        Task *t;

        hand_out(ids);
        young = submit_plain();
        ck_assert_uint_eq(register_worker("w1", 0, &ids[1], 1, 1)->n_groups, 0);
        t = find(&ids[0]);
        ck_assert_int_eq(t->state, TASK_QUEUED);
        ck_assert_ptr_null(t->worker);
        fixture_settle();
        ck_assert_int_eq(find(&ids[1])->state, TASK_RUNNING);
        send_done("w1", &ids[0], 1, "success");
        ck_assert_int_eq(t->state, TASK_QUEUED);
        ck_assert_uint_eq(fixture->counters.results_refused, 1);
        ck_assert_ptr_eq(fixture_pop(PRIORITY_NORMAL), t);
        ck_assert_ptr_eq(fixture_pop(PRIORITY_NORMAL), find(&young));
        queue_reinsert(&fixture->queue, t);
        register_worker("w2", 1, NULL, 0, 0);
        dispatch("w2");
        ck_assert_uint_eq(t->attempt, 2);
}
END_TEST

/* The coordinator ended before the store knew that the task was handed out: the worker has it all the same. */
START_TEST(test_returns_with_more) {
        TaskId id;

        register_worker("w1", 0, NULL, 0, 0);
        id = submit_plain();
        grant("w1", &id, 1);
        crash();
        ck_assert_uint_eq(register_worker("w1", 0, &id, 1, 1)->n_groups, 0);
        ck_assert_uint_eq(find(&id)->attempt, 1);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
        restart();
        ck_assert_ptr_eq(find(&id)->worker, worker_find(&fixture->workers, "w1"));
        ck_assert_uint_eq(register_worker("w1", 0, &id, 1, 1)->n_groups, 0);
        send_done("w1", &id, 1, "success");
        ck_assert_int_eq(find(&id)->state, TASK_SUCCESS);
}
END_TEST

/* A number is given once, whoever had it and however often the coordinator dies. */
START_TEST(test_attempts_only_grow) {
        TaskId id, other;

        register_worker("w1", 0, NULL, 0, 0);
        id = submit_plain();
        other = submit("b", "", "", "");
        restart();
        ck_assert_uint_eq(find(&id)->attempt, 0);
        for (uint32_t attempt = 1; attempt <= 3; attempt++) {
                register_worker("w1", 0, NULL, 0, 0);
                grant("w1", &id, attempt);
                crash();
        }
        /* Of those only the last holder may go on; the others were followed by one. */
        ck_assert_uint_eq(find(&id)->attempt, 3);
        ck_assert_uint_eq(find(&other)->attempt, 3);
        ck_assert_uint_eq(register_worker("w2", 0, &id, 2, 1)->n_groups, 1);
        ck_assert_uint_eq(register_worker("w1", 0, &id, 3, 1)->n_groups, 0);
        ck_assert_uint_eq(queue_length(&fixture->queue), 1);
        fixture_settle();
        crash();
        ck_assert_uint_eq(find(&id)->attempt, 3);
        ck_assert_int_eq(find(&id)->state, TASK_ASSIGNED);
        ck_assert_uint_eq(find(&other)->attempt, 4);

        /* Back in the queue, and then an end in order: none is lost. */
        register_worker("w1", 0, NULL, 0, 0);
        fixture_settle();
        ck_assert_int_eq(find(&id)->state, TASK_QUEUED);
        restart();
        ck_assert_uint_eq(find(&id)->attempt, 3);
        ck_assert_uint_eq(find(&other)->attempt, 4);
        register_worker("w2", 1, NULL, 0, 0);
        dispatch("w2");
        ck_assert_uint_eq(find(&id)->attempt, 4);
}
END_TEST

/* A worker hands it back: nobody gets it before the store knows that it was handed out at all. */
START_TEST(test_return_is_safe_first) {
        TaskId id;
        Task *t;

        register_worker("w1", 0, NULL, 0, 0);
        id = submit_plain();
        register_worker("w2", 1, NULL, 0, 0);
        grant("w1", &id, 1);
        turn_end(fixture);
        fixture_take("w1", WIRE_TASKS);
        t = find(&id);
        lease_return(fixture, t);
        turn_end(fixture);
        fixture_take_nothing();
        ck_assert_int_eq(t->state, TASK_QUEUED);
        fixture_settle();
        dispatch("w2");
        ck_assert_uint_eq(t->attempt, 2);
}
END_TEST

START_TEST(test_does_not_return) {
        TaskId ids[2];
        Worker *w;

        hand_out(ids);
        w = worker_find(&fixture->workers, "w1");
        w->last_seen_usec -= fixture->settings->inactive_usec + USEC_PER_SEC;
        worker_care(fixture, false);
        fixture_settle();
        ck_assert_int_eq(w->state, WORKER_INACTIVE);
        ck_assert_uint_eq(queue_length(&fixture->queue), 2);
        ck_assert_uint_eq(find(&ids[1])->started_usec, 0);
        /* Too late now. */
        ck_assert_uint_eq(register_worker("w1", 0, ids, 1, 2)->n_groups, 2);
        restart();
        ck_assert_uint_eq(queue_length(&fixture->queue), 2);
        ck_assert_uint_eq(find(&ids[0])->attempt, 1);
}
END_TEST

START_TEST(test_crashes) {
        TaskId id;

        register_worker("w1", 1, NULL, 0, 0);
        id = submit_plain();
        for (uint32_t attempt = 1; attempt <= 2; attempt++) {
                dispatch("w1");
                send_done("w1", &id, attempt, "crash");
                restart();
                ck_assert_uint_eq(find(&id)->crashes, attempt);
                ck_assert_uint_eq(find(&id)->attempt, attempt);
                ck_assert_int_eq(find(&id)->state, TASK_QUEUED);
                register_worker("w1", 1, NULL, 0, 0);
        }
        dispatch("w1");
        send_done("w1", &id, 3, "crash");
        restart();
        ck_assert_int_eq(find(&id)->state, TASK_DEAD);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);

        wire_put_task_id(fixture_begin(WIRE_RETRY), &id);
        fixture_request("client", ENDPOINT_CLIENT);
        fixture_settle();
        fixture_take("client", WIRE_ACK);
        restart();
        ck_assert_int_eq(find(&id)->state, TASK_QUEUED);
        ck_assert_uint_eq(find(&id)->crashes, 0);
        ck_assert_uint_eq(find(&id)->attempt, 3);
        ck_assert_uint_eq(find(&id)->error_size, 0);
}
END_TEST

/* --- to be stopped ---------------------------------------------------------------------------- */

static void cancel(const TaskId *id) {
        wire_put_task_id(fixture_begin(WIRE_CANCEL), id);
        fixture_request("client", ENDPOINT_CLIENT);
        fixture_take("w1", WIRE_REVOKE);
        fixture_take_nothing(); /* not before it is safe */
        fixture_settle();
        ck_assert_int_eq(wire_get_cancel(&fixture_take("client", WIRE_CANCELLED)->fields[1]),
                         WIRE_CANCEL_STOPPING);
}

/* What a client was told holds after a crash, too. */
static void hand_out_and_cancel(TaskId ids[static 2]) {
        hand_out(ids);
        ck_assert_uint_eq(register_worker("w1", 2, ids, 1, 2)->n_groups, 0);
        cancel(&ids[0]);
        cancel(&ids[1]);
        crash();
        ck_assert(find(&ids[0])->cancel_asked && find(&ids[1])->cancel_asked);
        ck_assert_int_eq(find(&ids[1])->state, TASK_RUNNING);
}

START_TEST(test_stopped_without_worker) {
        TaskId ids[2];

        hand_out_and_cancel(ids);
        worker_find(&fixture->workers, "w1")->last_seen_usec -=
                fixture->settings->inactive_usec + USEC_PER_SEC;
        worker_care(fixture, false);
        fixture_settle();
        ck_assert_int_eq(find(&ids[0])->state, TASK_CANCELLED);
        ck_assert_int_eq(find(&ids[1])->state, TASK_CANCELLED);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
}
END_TEST

START_TEST(test_stopped_with_worker) {
        TaskId ids[2];

        hand_out_and_cancel(ids);
        /* One of them it has no more. */
        ck_assert_uint_eq(register_worker("w1", 2, &ids[1], 1, 1)->n_groups, 0);
        ck_assert_id_eq(fixture_id(fixture_take("w1", WIRE_REVOKE), 0), ids[1]);
        fixture_settle();
        ck_assert_int_eq(find(&ids[0])->state, TASK_CANCELLED);
        send_done("w1", &ids[1], 1, "cancelled");
        ck_assert_int_eq(find(&ids[1])->state, TASK_CANCELLED);
}
END_TEST

/* A worker that comes back is told again; if it has ended the task meanwhile, that counts. */
START_TEST(test_stopped_too_late) {
        TaskId ids[2];

        hand_out_and_cancel(ids);
        ck_assert_uint_eq(register_worker("w1", 2, ids, 1, 2)->n_groups, 0);
        ck_assert_uint_eq(fixture_take("w1", WIRE_REVOKE)->n_groups, 2);
        send_done("w1", &ids[0], 1, "success");
        send_done("w1", &ids[1], 1, "failure");
        ck_assert_int_eq(find(&ids[0])->state, TASK_SUCCESS);

        /* Tried again, nobody wants it stopped. */
        wire_put_task_id(fixture_begin(WIRE_RETRY), &ids[1]);
        fixture_request("client", ENDPOINT_CLIENT);
        fixture_settle();
        fixture_take("client", WIRE_ACK);
        dispatch("w1");
        restart();
        ck_assert(!find(&ids[1])->cancel_asked);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("recover_leases");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_set_timeout(t, 30);
        tcase_add_test(t, test_awaited);
        tcase_add_test(t, test_returns_with_leases);
        tcase_add_test(t, test_returns_without);
        tcase_add_test(t, test_returns_with_more);
        tcase_add_test(t, test_attempts_only_grow);
        tcase_add_test(t, test_return_is_safe_first);
        tcase_add_test(t, test_does_not_return);
        tcase_add_test(t, test_crashes);
        tcase_add_test(t, test_stopped_without_worker);
        tcase_add_test(t, test_stopped_with_worker);
        tcase_add_test(t, test_stopped_too_late);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
