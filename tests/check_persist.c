/* SPDX-License-Identifier: MIT */

/* What the store is told, and what follows from what it tells. */

#include "fake-store.h"
#include "lease.h"
#include "persist.h"
#include "store-fault.h"
#include "time-util.h"
#include "turn.h"

static Task *submit(const char *options) {
        WireOut *out = fixture_begin(WIRE_SUBMIT);
        Task *head;

        wire_put_string(out, "");
        wire_put_string(out, "a");
        wire_put_string(out, "");
        wire_put_string(out, "");
        wire_put_string(out, "[1]");
        wire_put_string(out, options);
        fixture_request("client", ENDPOINT_CLIENT);
        head = fixture->tasks.tasks;
        return head ? ELMT_FROM_HH(head->hh.tbl, head->hh.tbl->tail) : NULL;
}

static void settle(void) {
        persist_commit(fixture);
        fake_store_make_safe(fake_store.ticket);
}

static const FakeChange *last(const Task *t) {
        const FakeChange *c = fake_store_last(t->sequence);

        ck_assert_ptr_nonnull(c);
        return c;
}

START_TEST(test_life) {
        Task *t = submit("");
        Worker *w;
        uint64_t sequence = t->sequence;

        ck_assert_int_eq(last(t)->kind, FAKE_SUBMIT);
        ck_assert_int_eq(last(t)->state, TASK_QUEUED);
        settle();
        fixture_take("client", WIRE_ACCEPTED);

        w = fixture_worker("w1", "a", 1);
        turn_end(fixture);
        ck_assert_int_eq(last(t)->state, TASK_ASSIGNED);
        ck_assert_str_eq(last(t)->worker, "w1");
        ck_assert_uint_eq(last(t)->attempt, 1);
        ck_assert_uint_eq(last(t)->ticket, fake_store.ticket); /* in the batch of its turn */

        lease_return(fixture, t);
        ck_assert_int_eq(last(t)->state, TASK_QUEUED);
        ck_assert_str_eq(last(t)->worker, "");
        ck_assert_uint_eq(last(t)->attempt, 1);

        queue_remove(&fixture->queue, t);
        lease_grant(fixture, w, t);
        turn_end(fixture);
        ck_assert_int_eq(
                fixture_end(t, &(TaskEnd){ .state = TASK_SUCCESS, .result = { (char *) "8", 1 } }),
                0);
        ck_assert_int_eq(last(t)->state, TASK_SUCCESS);
        ck_assert_str_eq(last(t)->worker, "w1");
        ck_assert_str_eq(last(t)->result, "8");
        ck_assert_uint_eq(last(t)->attempt, 2);
        settle();
        results_drop(&fixture->results, &fixture->tasks, &fixture->dirty, t);
        ck_assert_int_eq(fake_store_last(sequence)->kind, FAKE_FORGET);
}
END_TEST

static void let_time_pass(void) {
        fixture->store_moved_usec -= 31 * USEC_PER_SEC;
}

/* What keeps the watchdog from being fed: batches that wait, although there is space. */
START_TEST(test_moving) {
        ck_assert(persist_is_moving(fixture));
        let_time_pass();
        ck_assert(persist_is_moving(fixture)); /* nothing waits */

        (void) submit("");
        persist_commit(fixture);
        ck_assert(persist_is_moving(fixture));
        let_time_pass();
        ck_assert(!persist_is_moving(fixture));
        ck_assert(!persist_is_moving(fixture));

        fake_store.is_full = true;
        ck_assert(persist_is_moving(fixture));
        fake_store.is_full = false;
        let_time_pass();
        ck_assert(!persist_is_moving(fixture));

        /* One of several has become safe: it is slow, but it works. */
        (void) submit("");
        persist_commit(fixture);
        fake_store_make_safe(fake_store.ticket - 1);
        ck_assert(persist_is_moving(fixture));
        let_time_pass();
        ck_assert(!persist_is_moving(fixture));
        fake_store_make_safe(fake_store.ticket);
        ck_assert(persist_is_moving(fixture));
}
END_TEST

#define assert_since(usec, before)                                    \
        do {                                                          \
                ck_assert_uint_ge((usec), (before));                  \
                ck_assert_uint_le((usec), now_usec(CLOCK_MONOTONIC)); \
        } while (false)

static void cancel(const Task *t) {
        wire_put_task_id(fixture_begin(WIRE_CANCEL), &t->id);
        fixture_request("client", ENDPOINT_CLIENT);
}

/* One word of the task is, in turn, since when it waits, when its return is safe, and when it ended. */
START_TEST(test_waits_returns_ends) {
        uint64_t before = now_usec(CLOCK_MONOTONIC);
        Task *t = submit("");

        settle();
        fixture_take("client", WIRE_ACCEPTED);
        fixture_worker("w1", "a", 1);
        for (int round = 0; round < 2; round++) {
                ck_assert_uint_eq(queue_length(&fixture->queue), 1);
                assert_since(t->queued_monotonic_usec, before);
                turn_end(fixture);
                fake_store_make_safe(fake_store.ticket);
                fixture_take("w1", WIRE_TASKS);

                before = now_usec(CLOCK_MONOTONIC);
                lease_return(fixture, t);
                ck_assert(t->is_returning);
                persist_commit(fixture);
                ck_assert_uint_eq(t->return_ticket, fake_store.ticket);
                fake_store_make_safe(fake_store.ticket - 1);
                ck_assert_uint_eq(queue_length(&fixture->queue), 0);
                fake_store_make_safe(fake_store.ticket);
                ck_assert(!t->is_returning);
        }

        /* Ended, then tried again: its end does not count any more. */
        turn_end(fixture);
        fake_store_make_safe(fake_store.ticket);
        before = now_usec(CLOCK_MONOTONIC);
        ck_assert_int_eq(fixture_end(t, &(TaskEnd){ .state = TASK_FAILURE }), 0);
        settle();
        assert_since(t->ended_monotonic_usec, before);
        before = now_usec(CLOCK_MONOTONIC);
        ck_assert_int_ge(task_retry(fixture, t), 0);
        ck_assert(!results_is_expired(&fixture->results, t));
        settle();
        assert_since(t->queued_monotonic_usec, before);
}
END_TEST

START_TEST(test_cancelled_on_its_way) {
        uint64_t before;
        Task *t;

        /* Before it was taken. */
        before = now_usec(CLOCK_MONOTONIC);
        t = submit("");
        cancel(t);
        settle();
        fixture_take("client", WIRE_ACCEPTED);
        fixture_take("client", WIRE_CANCELLED);
        ck_assert_int_eq(t->state, TASK_CANCELLED);
        assert_since(t->ended_monotonic_usec, before);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);

        /* On its way back to the queue. */
        t = submit("");
        settle();
        fixture_take("client", WIRE_ACCEPTED);
        fixture_worker("w1", "a", 1);
        turn_end(fixture);
        fixture_take("w1", WIRE_TASKS);
        lease_return(fixture, t);
        ck_assert(t->is_returning);
        before = now_usec(CLOCK_MONOTONIC);
        cancel(t);
        ck_assert(t->is_ending);
        ck_assert(!t->is_returning);
        settle();
        fixture_take("client", WIRE_CANCELLED);
        assert_since(t->ended_monotonic_usec, before);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
}
END_TEST

START_TEST(test_memory_only) {
        Task *t = submit("{\"durability\":\"none\"}");

        ck_assert(t->in_memory);
        settle();
        fixture_take("client", WIRE_ACCEPTED);
        fixture_worker("w1", "a", 1);
        turn_end(fixture);
        ck_assert_int_eq(t->state, TASK_ASSIGNED);
        ck_assert_int_eq(fixture_end(t, &(TaskEnd){ .state = TASK_SUCCESS }), 0);
        settle();
        results_drop(&fixture->results, &fixture->tasks, &fixture->dirty, t);
        ck_assert_uint_eq(fake_store.n_changes, 0);
}
END_TEST

/* Of a submit, what is known already is not told again. */
START_TEST(test_new_only) {
        Task *a = submit(""), *b = submit("");
        size_t n = fake_store.n_changes;

        ck_assert_int_eq(persist_submit(fixture, (Task *[]){ a, b }, (bool[]){ false, false }, 2),
                         0);
        ck_assert_uint_eq(fake_store.n_changes, n);
        ck_assert_int_eq(persist_submit(fixture, (Task *[]){ a, b }, (bool[]){ false, true }, 2),
                         0);
        ck_assert_uint_eq(fake_store.n_changes, n + 1);
        ck_assert_uint_eq(fake_store.changes[n].sequence, b->sequence);
}
END_TEST

START_TEST(test_type) {
        persist_type(fixture, make_type(&fixture->types, "b"));
        ck_assert_uint_eq(fake_store.n_changes, 1);
        ck_assert_int_eq(fake_store.changes[0].kind, FAKE_TYPE);
}
END_TEST

/* Where a promise depends on it the request is refused; else it is logged. */
START_TEST(test_no_memory) {
        Task *t;
        Capture capture;
        _cleanup_free_ char *text = NULL, *text2 = NULL;

        capture_begin(&capture, STDERR_FILENO);
        fake_store.error = -ENOMEM;
        ck_assert_ptr_null(submit(""));
        text = capture_end(&capture);
        fixture_take_error("client", WIRE_ERROR_INTERNAL, "nothing of this was taken");
        ck_assert(ledger_is_empty(&fixture->ledger));

        t = submit("");
        settle();
        fixture_take("client", WIRE_ACCEPTED);
        fake_store.error = -ENOMEM;
        t->started_usec = 5;
        ck_assert_int_eq(fixture_end(t, &(TaskEnd){ .state = TASK_SUCCESS,
                                                    .result = { (char *) "8", 1 },
                                                    .started_usec = 7 }),
                         -ENOMEM);
        ck_assert_int_eq(t->state, TASK_QUEUED);
        ck_assert(!t->is_ending);
        ck_assert_uint_eq(t->completed_usec, 0);
        ck_assert_uint_eq(t->started_usec, 5);
        ck_assert_uint_eq(t->result_size, 0);
        ck_assert_ptr_null(task_last_worker(t));
        ck_assert(ledger_is_empty(&fixture->ledger));
        ck_assert_uint_eq(queue_length(&fixture->queue), 1);

        capture_begin(&capture, STDERR_FILENO);
        fake_store.error = -ENOMEM;
        persist_change(fixture, t);
        text2 = capture_end(&capture);
        ck_assert_contains(text2, "Could not tell the store of a change");
}
END_TEST

/* --- a real one ------------------------------------------------------------------------------- */

static void setup_real(void) {
        setup_directory();
        store_fault_set(&(StoreFault){});
        fixture_setup();
        fixture_restart(STORE_PROCESS, test_directory);
        fixture->grace_until_usec = 0;
        make_type(&fixture->types, "a");
}

static void teardown_real(void) {
        store_fault_set(&(StoreFault){});
        fixture_teardown();
        teardown_directory();
}

static void turn(void) {
        ck_assert_int_ge(sd_event_run(fixture->event, UINT64_MAX), 0);
}

START_TEST(test_disk_full) {
        _cleanup_free_ char *text = NULL, *text2 = NULL;
        Capture capture;

        submit("");
        fixture_settle();
        fixture_take("client", WIRE_ACCEPTED);

        store_fault_set(&(StoreFault){ .point = STORE_FAULT_WRITE,
                                       .action = STORE_FAULT_ENOSPC,
                                       .n = 1,
                                       .count = 100000 });
        capture_begin(&capture, STDERR_FILENO);
        submit("");
        while (HASH_COUNT(fixture->tasks.tasks) > 1)
                turn();
        fixture_take_error("client", WIRE_ERROR_NO_SPACE, "nothing of this was taken");
        submit(""); /* known to be full by now */
        fixture_take_error("client", WIRE_ERROR_NO_SPACE, "try again later");
        ck_assert(fixture->disk_full_logged);
        text = capture_end(&capture);
        ck_assert_contains(text, "No space for new tasks");

        capture_begin(&capture, STDERR_FILENO);
        store_fault_set(&(StoreFault){});
        while (store_is_full(fixture->store)) /* it finds that out by itself */
                ck_assert_int_ge(sd_event_run(fixture->event, 10 * USEC_PER_MSEC), 0);
        submit("");
        while (fixture->disk_full_logged)
                turn();
        text2 = capture_end(&capture);
        ck_assert_contains(text2, "There is space for new tasks again");
        fixture_settle();
        fixture_take("client", WIRE_ACCEPTED);
        fixture_take_nothing();
        ck_assert_uint_eq(queue_length(&fixture->queue), 2);
}
END_TEST

/* Nothing is acknowledged any more, and the daemon ends. */
START_TEST(test_failed) {
        _cleanup_free_ char *text = NULL;
        Capture capture;
        int code = 0;

        store_fault_set(&(StoreFault){
                .point = STORE_FAULT_WRITE, .action = STORE_FAULT_EIO, .n = 1, .count = 100000 });
        capture_begin(&capture, STDERR_FILENO);
        submit("");
        while (sd_event_get_exit_code(fixture->event, &code) < 0)
                turn();
        text = capture_end(&capture);
        ck_assert_int_lt(code, 0);
        ck_assert_contains(text, "nothing more is acknowledged");
        ck_assert_contains(text, "tasks.sqlite");
        fixture_take_nothing();
}
END_TEST

/* Says which file, and does not touch it. */
START_TEST(test_no_store) {
        _cleanup_free_ char *path = path_in("tasks.sqlite"), *text = NULL;
        Capture capture;

        fixture->store = store_close(fixture->store);
        write_text(path, "This is no database, and no empty file either, however it may look.\n");
        capture_begin(&capture, STDERR_FILENO);
        ck_assert_int_lt(persist_open(fixture), 0);
        text = capture_end(&capture);
        ck_assert_contains(text, "Could not open the store");
        ck_assert_contains(text, path);
        ck_assert_ptr_null(fixture->store);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(persist_open(fixture), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("persist");
        TCase *t = tcase_create("told"), *real = tcase_create("real");

        tcase_add_checked_fixture(t, fake_store_fixture_setup, fixture_teardown);
        tcase_add_test(t, test_life);
        tcase_add_test(t, test_moving);
        tcase_add_test(t, test_waits_returns_ends);
        tcase_add_test(t, test_cancelled_on_its_way);
        tcase_add_test(t, test_memory_only);
        tcase_add_test(t, test_new_only);
        tcase_add_test(t, test_type);
        tcase_add_test(t, test_no_memory);
        suite_add_tcase(suite, t);
        tcase_add_checked_fixture(real, setup_real, teardown_real);
        tcase_set_timeout(real, 30);
        tcase_add_test(real, test_disk_full);
        tcase_add_test(real, test_failed);
        tcase_add_test(real, test_no_store);
        suite_add_tcase(suite, real);
        return check_run(suite);
}
