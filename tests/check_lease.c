/* SPDX-License-Identifier: MIT */

/* The life of a lease: granted, started, ended, handed back, lost, cancelled; and that only the
 * one that stands counts. */

#include "controld-fixture.h"
#include "due.h"
#include "fail-alloc.h"
#include "json-util.h"
#include "persist.h"
#include "task-history.h"
#include "time-util.h"
#include "turn.h"

static const TaskEnd success = {
        .state = TASK_SUCCESS,
        .result = { (char *) "8", 1 },
        .started_usec = 5,
};

/* Hands the queued tasks out and takes the message that goes to that worker. */
static const WireMessage *dispatch_to(const char *worker) {
        turn_end(fixture);
        return fixture_take(worker, WIRE_TASKS);
}

static void put_lease(WireOut *out, const Task *t, uint32_t attempt) {
        wire_put_task_id(out, &t->id);
        wire_put_number(out, attempt);
}

static void send_done(const char *worker, const Task *t, uint32_t attempt, const char *outcome,
                      const char *result, const char *error) {
        WireOut *out = fixture_begin(WIRE_DONE);

        put_lease(out, t, attempt);
        wire_put_string(out, outcome);
        wire_put_string(out, result);
        wire_put_string(out, error);
        wire_put_number(out, t->created_usec);
        wire_put_number(out, t->created_usec);
        wire_put_string(out, "");
        fixture_request(worker, ENDPOINT_WORKER);
        fixture_take(worker, WIRE_ACK);
}

/* The text of that key in the attempt that ended last. */
static const char *last_attempt(const Task *t, const char *key) {
        static struct json_object *last;
        const char *text = NULL;

        json_object_put(last);
        last = task_history_last(t);
        ck_assert_ptr_nonnull(last);
        ck_assert_int_eq(json_get_string(last, key, &text), 1);
        return text;
}

static void send_release(const char *worker, const Task *t, uint32_t attempt) {
        WireOut *out = fixture_begin(WIRE_RELEASE);

        wire_put_string(out, "stopping");
        put_lease(out, t, attempt);
        fixture_request(worker, ENDPOINT_WORKER);
        fixture_take(worker, WIRE_ACK);
}

static void send_cancel(const Task *t, WireCancel expected) {
        wire_put_task_id(fixture_begin(WIRE_CANCEL), &t->id);
        fixture_request("client", ENDPOINT_CLIENT);
        if (expected == WIRE_CANCEL_STOPPING) {
                const WireMessage *m = fixture_take(t->worker->id, WIRE_REVOKE);

                ck_assert_id_eq(fixture_id(m, 0), t->id);
                ck_assert_uint_eq(wire_get_number(&wire_group(m, 0)[1]), t->attempt);
        }
        ck_assert_int_eq(wire_get_cancel(&fixture_take("client", WIRE_CANCELLED)->fields[1]),
                         expected);
}

static void check_queued(const Task *t, uint32_t attempt) {
        ck_assert_int_eq(t->state, TASK_QUEUED);
        ck_assert_ptr_null(t->worker);
        ck_assert_uint_eq(t->attempt, attempt);
        ck_assert_uint_eq(t->started_usec, 0);
}

START_TEST(test_grant) {
        Worker *w = fixture_worker("w1", "a", 2);
        Task *t = fixture_submit("a", PRIORITY_NORMAL);
        const WireMessage *m = dispatch_to("w1");

        ck_assert_uint_eq(m->n_groups, 1);
        ck_assert_id_eq(fixture_id(m, 0), t->id);
        ck_assert_uint_eq(wire_get_number(&wire_group(m, 0)[1]), 1);
        ck_assert_int_eq(t->state, TASK_ASSIGNED);
        ck_assert_ptr_eq(t->worker, w);
        ck_assert_uint_eq(t->attempt, 1);
        ck_assert_uint_eq(w->n_leased, 1);
        ck_assert_uint_eq(w->n_unsent, 0);
        ck_assert_ptr_eq(TAILQ_FIRST(&w->leases), t);
        ck_assert_uint_eq(w->last_assigned, 1);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
        turn_end(fixture);
        fixture_take_nothing();
}
END_TEST

/* The lease is the pair of worker and attempt. */
START_TEST(test_find) {
        Worker *w = fixture_worker("w1", "a", 1), *other = fixture_worker("w2", "b", 1);
        Task *t = fixture_submit("a", PRIORITY_NORMAL);
        TaskId unknown = {};

        ck_assert_ptr_null(lease_find(fixture, w, &t->id, 0));
        dispatch_to("w1");
        ck_assert_ptr_eq(lease_find(fixture, w, &t->id, 1), t);
        ck_assert_ptr_null(lease_find(fixture, w, &t->id, 0));
        ck_assert_ptr_null(lease_find(fixture, w, &t->id, 2));
        ck_assert_ptr_null(lease_find(fixture, w, &t->id, UINT64_C(1) << 32 | 1));
        ck_assert_ptr_null(lease_find(fixture, other, &t->id, 1));
        ck_assert_ptr_null(lease_find(fixture, w, &unknown, 1));
        ck_assert_int_eq(fixture_end(t, &success), 0);
        ck_assert_ptr_null(lease_find(fixture, w, &t->id, 1));
}
END_TEST

START_TEST(test_end) {
        Worker *w = fixture_worker("w1", "a", 1);
        Task *t = fixture_submit("a", PRIORITY_NORMAL);
        const WireMessage *m;

        ck_assert_int_eq(peer_wait(fixture_peer("client"), t, &fixture->dirty), 0);
        dispatch_to("w1");
        send_done("w1", t, 1, "success", "8", "");
        ck_assert_int_eq(t->state, TASK_SUCCESS);
        ck_assert_ptr_null(t->worker);
        ck_assert_str_eq(task_last_worker(t), "w1");
        ck_assert_uint_eq(t->started_usec, t->created_usec);
        ck_assert_uint_ge(t->completed_usec, t->created_usec);
        ck_assert_uint_eq(w->n_leased, 0);
        ck_assert_uint_eq(w->n_done, 1);
        ck_assert_uint_eq(fixture->counters.succeeded, 1);
        ck_assert_uint_eq(fixture->results.n, 1);

        turn_end(fixture);
        m = fixture_take("client", WIRE_RESULT);
        ck_assert_id_eq(fixture_id(m, 0), t->id);
        ck_assert_mem_eq(m->groups[1].iov_base, "success", 7);
        ck_assert_mem_eq(m->groups[2].iov_base, "8", 1);
        ck_assert_uint_eq(m->groups[3].iov_len, 0);
        fixture_take_nothing();
}
END_TEST

START_TEST(test_outcomes) {
        static const struct {
                const char *outcome;
                TaskState state;
        } cases[] = {
                { "success", TASK_SUCCESS },
                { "failure", TASK_FAILURE },
                { "timeout", TASK_FAILURE },
                { "cancelled", TASK_CANCELLED },
        };

        fixture_worker("w1", "a", 1);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Task *t = fixture_submit("a", PRIORITY_NORMAL);

                dispatch_to("w1");
                send_done("w1", t, 1, cases[i].outcome, "result", "why");
                ck_assert_int_eq(t->state, cases[i].state);
                if (t->state == TASK_SUCCESS) { /* one or the other */
                        ck_assert_uint_eq(t->result_size, 6);
                        ck_assert_uint_eq(t->error_size, 0);
                } else {
                        ck_assert_uint_eq(t->result_size, 0);
                        ck_assert_uint_eq(t->error_size, 3);
                        ck_assert_mem_eq(task_error(t), "why", 3);
                }
        }
        ck_assert_uint_eq(fixture->counters.succeeded, 1);
        ck_assert_uint_eq(fixture->counters.failed, 2);
        ck_assert_uint_eq(fixture->counters.cancelled, 1);
}
END_TEST

/* A crash need not be the task's fault; three are. */
START_TEST(test_crashes) {
        static const char died[] = "the task's process was killed by SIGSEGV";
        Task *t = fixture_submit("a", PRIORITY_NORMAL);
        const WireMessage *m;

        fixture_worker("w1", "a", 1);
        ck_assert_int_eq(peer_wait(fixture_peer("client"), t, &fixture->dirty), 0);
        for (uint32_t attempt = 1; attempt <= 2; attempt++) {
                dispatch_to("w1");
                send_done("w1", t, attempt, "crash", "", died);
                check_queued(t, attempt);
                ck_assert_uint_eq(t->crashes, attempt);
        }
        dispatch_to("w1");
        send_release("w1", t, 3); /* is no crash */
        dispatch_to("w1");
        send_done("w1", t, 4, "crash", "", died);
        ck_assert_int_eq(t->state, TASK_DEAD);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
        ck_assert_uint_eq(fixture->counters.requeued, 3);
        ck_assert_uint_eq(fixture->counters.failed, 1);
        turn_end(fixture);
        m = fixture_take("client", WIRE_RESULT);
        ck_assert_mem_eq(m->groups[1].iov_base, "dead", 4);
        ck_assert_contains(task_error(t), "crashed its runner 3 times, the last time: the task's");
        fixture_take_nothing();
}
END_TEST

/* One that is to be cancelled is not tried again. */
START_TEST(test_crash_cancelled) {
        Task *t = fixture_submit("a", PRIORITY_NORMAL);

        fixture_worker("w1", "a", 1);
        dispatch_to("w1");
        send_cancel(t, WIRE_CANCEL_STOPPING);
        send_done("w1", t, 1, "crash", "", "it died");
        ck_assert_int_eq(t->state, TASK_CANCELLED);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
}
END_TEST

/* The time of the start comes from the worker's clock; one that cannot be is corrected. */
START_TEST(test_started) {
        static const uint64_t far = UINT64_C(4000000000) * USEC_PER_SEC;
        Task *t = fixture_submit("a", PRIORITY_NORMAL);
        WireOut *out;

        fixture_worker("w1", "a", 1);
        dispatch_to("w1");
        for (unsigned attempt = 2; attempt > 0; attempt--) {
                out = fixture_begin(WIRE_STARTED);
                put_lease(out, t, attempt);
                wire_put_number(out, far);
                fixture_request("w1", ENDPOINT_WORKER);
                ck_assert_int_eq(t->state, attempt == 1 ? TASK_RUNNING : TASK_ASSIGNED);
        }
        ck_assert_uint_ge(t->started_usec, t->created_usec);
        ck_assert_uint_lt(t->started_usec, far);
        send_release("w1", t, 1);
        check_queued(t, 1);
}
END_TEST

/* Handed back: at its old place, before what is younger. */
START_TEST(test_release) {
        Worker *w = fixture_worker("w1", "a", 2);
        Task *first = fixture_submit("a", PRIORITY_NORMAL),
             *second = fixture_submit("a", PRIORITY_NORMAL), *third;

        dispatch_to("w1");
        third = fixture_submit("a", PRIORITY_NORMAL);
        w->capacity = 0;
        send_release("w1", second, 1);
        send_release("w1", first, 2); /* no such lease */
        ck_assert_int_eq(first->state, TASK_ASSIGNED);
        send_release("w1", first, 1);
        check_queued(first, 1);
        check_queued(second, 1);
        ck_assert_uint_eq(w->n_leased, 0);
        ck_assert_uint_eq(fixture->counters.requeued, 2);
        fixture->queue.turn++;
        ck_assert_ptr_eq(fixture_pop(PRIORITY_NORMAL), first);
        ck_assert_ptr_eq(fixture_pop(PRIORITY_NORMAL), second);
        ck_assert_ptr_eq(fixture_pop(PRIORITY_NORMAL), third);
}
END_TEST

/* What is said of an old lease never meets the next one, also not at the same worker. */
START_TEST(test_token_is_new_each_time) {
        Task *t = fixture_submit("a", PRIORITY_NORMAL);

        fixture_worker("w1", "a", 1);
        for (uint32_t attempt = 1; attempt <= 3; attempt++) {
                dispatch_to("w1");
                ck_assert_uint_eq(t->attempt, attempt);
                if (attempt > 1)
                        send_release("w1", t, attempt - 1); /* sent twice */
                ck_assert_int_eq(t->state, TASK_ASSIGNED);
                send_release("w1", t, attempt);
                check_queued(t, attempt);
        }
}
END_TEST

/* Lost: what the lost worker still says does not count. */
START_TEST(test_fencing) {
        Worker *w = fixture_worker("w1", "a", 1), *other;
        Task *t = fixture_submit("a", PRIORITY_NORMAL);

        dispatch_to("w1");
        lease_return(fixture, t);
        check_queued(t, 1);
        ck_assert_uint_eq(w->n_leased, 0);
        send_done("w1", t, 1, "success", "late", "");
        check_queued(t, 1);
        ck_assert_uint_eq(fixture->counters.results_refused, 1);

        w->capacity = 0;
        other = fixture_worker("w2", "a", 1);
        dispatch_to("w2");
        ck_assert_ptr_eq(t->worker, other);
        ck_assert_uint_eq(t->attempt, 2);
        send_done("w1", t, 1, "success", "late", "");
        send_done("w1", t, 2, "success", "guessed", "");
        send_done("w2", t, 1, "success", "old", "");
        ck_assert_int_eq(t->state, TASK_ASSIGNED);
        ck_assert_uint_eq(fixture->counters.results_refused, 4);
        send_done("w2", t, 2, "success", "new", "");
        ck_assert_int_eq(t->state, TASK_SUCCESS);
        ck_assert_mem_eq(task_result(t), "new", 3);
        send_done("w2", t, 2, "failure", "", "again"); /* as if the ACK was lost */
        ck_assert_int_eq(t->state, TASK_SUCCESS);
        ck_assert_uint_eq(fixture->counters.results_refused, 4);
        ck_assert_uint_eq(fixture->counters.succeeded, 1);
}
END_TEST

START_TEST(test_return_all) {
        Worker *w = fixture_worker("w1", "a", 100);
        Task *t[100];

        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                t[i] = fixture_submit("a", PRIORITY_LOW);
        ck_assert_uint_eq(dispatch_to("w1")->n_groups, 100);
        lease_return_all(fixture, w);
        ck_assert_uint_eq(w->n_leased, 0);
        ck_assert(TAILQ_EMPTY(&w->leases));
        ck_assert_uint_eq(queue_length(&fixture->queue), 0); /* not before it is safe */
        persist_commit(fixture);
        ck_assert_uint_eq(queue_length(&fixture->queue), 100);
        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                ck_assert_ptr_eq(fixture_pop(PRIORITY_LOW), t[i]);
}
END_TEST

START_TEST(test_cancel_queued) {
        Task *t = fixture_submit("a", PRIORITY_NORMAL);

        send_cancel(t, WIRE_CANCEL_CANCELLED);
        ck_assert_int_eq(t->state, TASK_CANCELLED);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
        ck_assert_uint_eq(fixture->counters.cancelled, 1);
        send_cancel(t, WIRE_CANCEL_FINISHED);
}
END_TEST

/* While it is leased the worker is asked; the end comes from it, whatever it is. */
START_TEST(test_cancel_leased) {
        static const char *const outcomes[] = { "cancelled", "success" };
        Task *t;

        fixture_worker("w1", "a", 1);
        for (size_t i = 0; i < ELEMENTSOF(outcomes); i++) {
                t = fixture_submit("a", PRIORITY_NORMAL);
                dispatch_to("w1");
                send_cancel(t, WIRE_CANCEL_STOPPING);
                ck_assert_int_eq(t->state, TASK_ASSIGNED);
                ck_assert(t->cancel_asked);
                send_cancel(t, WIRE_CANCEL_STOPPING); /* asked again, told again */
                send_done("w1", t, 1, outcomes[i], "", "");
                ck_assert_str_eq(task_state_to_string(t->state), outcomes[i]);
        }
}
END_TEST

/* If the lease ends in another way the task is cancelled with it, and does not run again. */
START_TEST(test_cancel_returned) {
        Worker *w = fixture_worker("w1", "a", 2);
        Task *released = fixture_submit("a", PRIORITY_NORMAL),
             *lost = fixture_submit("a", PRIORITY_NORMAL);

        dispatch_to("w1");
        send_cancel(released, WIRE_CANCEL_STOPPING);
        send_cancel(lost, WIRE_CANCEL_STOPPING);
        send_release("w1", released, 1);
        ck_assert_int_eq(released->state, TASK_CANCELLED);
        lease_return(fixture, lost);
        persist_commit(fixture);
        ck_assert_int_eq(lost->state, TASK_CANCELLED);
        ck_assert_str_eq(task_last_worker(lost), "w1");
        ck_assert_uint_eq(w->n_leased, 0);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
        ck_assert_uint_eq(fixture->counters.requeued, 0);
        ck_assert_uint_eq(fixture->counters.cancelled, 2);
        turn_end(fixture);
        fixture_take_nothing();
}
END_TEST

/* Without a connection there is nobody to ask. */
START_TEST(test_cancel_disconnected) {
        Worker *w = fixture_worker("w1", "a", 1);
        Task *t = fixture_submit("a", PRIORITY_NORMAL);

        dispatch_to("w1");
        worker_detach(w);
        wire_put_task_id(fixture_begin(WIRE_CANCEL), &t->id);
        fixture_request("client", ENDPOINT_CLIENT);
        ck_assert_int_eq(wire_get_cancel(&fixture_take("client", WIRE_CANCELLED)->fields[1]),
                         WIRE_CANCEL_STOPPING);
        lease_return(fixture, t);
        persist_commit(fixture);
        ck_assert_int_eq(t->state, TASK_CANCELLED);
}
END_TEST

/* Its time was over when it came, or passed while it waited for the disk: the timer has not fired yet. */
START_TEST(test_expired_before) {
        Task *t = fixture_submit("a", PRIORITY_NORMAL),
             *next = fixture_submit("a", PRIORITY_NORMAL);
        const WireMessage *m;

        fixture_worker("w1", "a", 2);
        ck_assert_int_eq(due_prepare(fixture, t), 0);
        t->extra->expires_usec = now_usec(CLOCK_REALTIME) - 1;
        timers_add(&fixture->timers, t);
        m = dispatch_to("w1");
        ck_assert_uint_eq(m->n_groups, 1);
        ck_assert_id_eq(fixture_id(m, 0), next->id);
        fixture_settle();
        ck_assert_int_eq(t->state, TASK_EXPIRED);
        ck_assert_uint_eq(t->attempt, 0);
        ck_assert_mem_eq(task_error(t), "expired: it was not begun in time", t->error_size);
}
END_TEST

static void submit_retried(Task **ret, uint32_t retries) {
        Task *t = fixture_submit("a", PRIORITY_NORMAL);
        RetryPolicy p = RETRY_POLICY_DEFAULT;

        p.has_max = true;
        p.max = retries;
        p.delay_usec = 3600 * USEC_PER_SEC;
        ck_assert_int_eq(task_type_set_retry(t->type, &p), 0);
        *ret = t;
}

/* It was begun: that is not denied, and what it said is not lost. A DONE that comes again is no news; one for an attempt
 * that was given up is. */
START_TEST(test_expired_while_retrying) {
        static const char told[] =
                "expired before its next attempt; attempt 1 ended as failure: no luck";
        Task *t;

        fixture_worker("w1", "a", 1);
        submit_retried(&t, 3);
        dispatch_to("w1");
        send_done("w1", t, 1, "failure", "", "no luck");
        ck_assert_int_eq(t->state, TASK_RETRYING);
        send_done("w1", t, 1, "failure", "", "no luck");
        ck_assert_uint_eq(fixture->counters.results_refused, 0);
        ck_assert_uint_eq(task_retries(t), 1);
        ck_assert_int_eq(due_expire(fixture, t), 0);
        fixture_settle();
        ck_assert_int_eq(t->state, TASK_EXPIRED);
        ck_assert_uint_eq(t->error_size, strlen(told));
        ck_assert_mem_eq(task_error(t), told, strlen(told));
}
END_TEST

/* Lost with its subworker, handed back, crashed: these were attempts, if they had begun. */
START_TEST(test_history) {
        Task *t = fixture_submit("a", PRIORITY_NORMAL);
        Worker *w = fixture_worker("w1", "a", 1);
        WireOut *out;

        dispatch_to("w1");
        lease_return_all(fixture, w);
        ck_assert_uint_eq(task_history(t).iov_len, 0);
        for (uint32_t attempt = 2; attempt <= 3; attempt++) {
                fixture_settle();
                dispatch_to("w1");
                out = fixture_begin(WIRE_STARTED);
                put_lease(out, t, attempt);
                wire_put_number(out, t->created_usec);
                fixture_request("w1", ENDPOINT_WORKER);
                ck_assert_int_eq(t->state, TASK_RUNNING);
                if (attempt == 2)
                        lease_return_all(fixture, w);
                else
                        send_release("w1", t, attempt);
                ck_assert_str_eq(last_attempt(t, "outcome"), attempt == 2 ? "lost" : "released");
        }
        send_done("w1", t, 3, "success", "1", "");
        ck_assert_uint_eq(fixture->counters.results_refused, 1);
        fixture_settle();
        dispatch_to("w1");
        send_done("w1", t, 4, "crash", "", "SIGSEGV");
        ck_assert_str_eq(last_attempt(t, "outcome"), "crash");
        ck_assert_str_eq(last_attempt(t, "error"), "SIGSEGV");
        fixture_settle();
        dispatch_to("w1");
        send_done("w1", t, 5, "success", "1", "");
        ck_assert_int_eq(t->state, TASK_SUCCESS);
        ck_assert_str_eq(last_attempt(t, "outcome"), "success");
}
END_TEST

/* A worker that comes back with the lease of an attempt that has ended, or of a task that was cancelled since. */
START_TEST(test_cancel_retrying) {
        Task *t;

        fixture_worker("w1", "a", 1);
        submit_retried(&t, 3);
        dispatch_to("w1");
        send_done("w1", t, 1, "failure", "", "no luck");
        send_cancel(t, WIRE_CANCEL_CANCELLED);
        fixture_settle();
        ck_assert_int_eq(t->state, TASK_CANCELLED);
        ck_assert_str_eq(last_attempt(t, "error"), "no luck");
        send_done("w1", t, 1, "success", "8", "");
        ck_assert_int_eq(t->state, TASK_CANCELLED);
        due_run(fixture);
        ck_assert_int_eq(t->state, TASK_CANCELLED);
}
END_TEST

START_TEST(test_no_memory) {
        Worker *w = fixture_worker("w1", "a", 1);
        Task *t = fixture_submit("a", PRIORITY_NORMAL);
        Capture capture;
        _cleanup_free_ char *text = NULL;
        int r;

        dispatch_to("w1");
        t->cancel_asked = true;
        capture_begin(&capture, STDERR_FILENO);
        fail_alloc_at(1);
        lease_return(fixture, t);
        ck_assert(fail_alloc_happened());
        text = capture_end(&capture);
        ck_assert_contains(text, "Out of memory");
        persist_commit(fixture);
        check_queued(t, 1); /* it must not hang */

        FAIL_EACH_ALLOC(r = fixture_end(t, &(TaskEnd){ .state = TASK_CANCELLED }), {
                ck_assert_int_eq(r, -ENOMEM);
                check_queued(t, 1);
                ck_assert_uint_eq(queue_length(&fixture->queue), 1);
                ck_assert_uint_eq(fixture->results.n, 0);
        });
        ck_assert_int_eq(r, 0);
        ck_assert_int_eq(t->state, TASK_CANCELLED);
        ck_assert_uint_eq(w->n_leased, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lease");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
        tcase_add_test(t, test_grant);
        tcase_add_test(t, test_find);
        tcase_add_test(t, test_end);
        tcase_add_test(t, test_outcomes);
        tcase_add_test(t, test_crashes);
        tcase_add_test(t, test_crash_cancelled);
        tcase_add_test(t, test_started);
        tcase_add_test(t, test_release);
        tcase_add_test(t, test_token_is_new_each_time);
        tcase_add_test(t, test_fencing);
        tcase_add_test(t, test_return_all);
        tcase_add_test(t, test_cancel_queued);
        tcase_add_test(t, test_cancel_leased);
        tcase_add_test(t, test_cancel_returned);
        tcase_add_test(t, test_cancel_disconnected);
        tcase_add_test(t, test_expired_before);
        tcase_add_test(t, test_expired_while_retrying);
        tcase_add_test(t, test_history);
        tcase_add_test(t, test_cancel_retrying);
        tcase_add_test(t, test_no_memory);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
