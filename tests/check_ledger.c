/* SPDX-License-Identifier: MIT */

/* What must not be told, and must not take effect, before it is safe. */

#include "fake-store.h"
#include "persist.h"
#include "turn.h"

#define UUID "01938f2a-7c3b-7000-8abc-0123456789ab"

static void put_task(WireOut *out, const char *key, const char *options) {
        wire_put_string(out, "a");
        wire_put_string(out, "");
        wire_put_string(out, key);
        wire_put_string(out, "");
        wire_put_string(out, options);
}

static void submit(const char *peer, const char *key) {
        WireOut *out = fixture_begin(WIRE_SUBMIT);

        wire_put_string(out, "");
        put_task(out, key, "");
        fixture_request(peer, ENDPOINT_CLIENT);
}

static TaskId take_accepted(const char *peer) {
        return fixture_id(fixture_take(peer, WIRE_ACCEPTED), 0);
}

static void cancel(const TaskId *id) {
        wire_put_task_id(fixture_begin(WIRE_CANCEL), id);
        fixture_request("canceller", ENDPOINT_CLIENT);
}

static void take_cancelled(WireCancel effect, TaskState state) {
        const WireMessage *m = fixture_take("canceller", WIRE_CANCELLED);

        ck_assert_int_eq(wire_get_cancel(&m->fields[1]), effect);
        ck_assert_mem_eq(m->fields[2].iov_base, task_state_to_string(state), m->fields[2].iov_len);
}

/* The one that came last. */
static Task *newest(void) {
        Task *head = fixture->tasks.tasks;

        ck_assert_ptr_nonnull(head);
        return ELMT_FROM_HH(head->hh.tbl, head->hh.tbl->tail);
}

static size_t n_tasks(void) {
        return HASH_COUNT(fixture->tasks.tasks);
}

/* A task at a worker, all of it safe. */
static Task *leased(void) {
        Task *t;

        fixture_worker("w1", "a", 1);
        submit("client", "");
        fake_store_make_safe(fake_store_commit());
        t = newest();
        turn_end(fixture);
        fake_store_make_safe(fake_store.ticket);
        fixture_take("client", WIRE_ACCEPTED);
        fixture_take("w1", WIRE_TASKS);
        ck_assert_int_eq(t->state, TASK_ASSIGNED);
        return t;
}

static void send_done(const Task *t, const char *outcome) {
        WireOut *out = fixture_begin(WIRE_DONE);

        wire_put_task_id(out, &t->id);
        wire_put_number(out, t->attempt);
        wire_put_string(out, outcome);
        wire_put_string(out, "8");
        wire_put_string(out, "why");
        wire_put_number(out, 0);
        wire_put_number(out, 0);
        wire_put_string(out, "");
        fixture_request("w1", ENDPOINT_WORKER);
}

START_TEST(test_nothing_before) {
        Task *t;

        fixture_worker("w1", "a", 1);
        submit("client", "");
        t = newest();
        ck_assert_int_eq(t->state, TASK_PENDING);
        ck_assert(!ledger_is_empty(&fixture->ledger));
        turn_end(fixture);
        ck_assert_int_eq(t->state, TASK_PENDING);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
        ck_assert_uint_eq(fixture->counters.submitted, 0);
        fixture_take_nothing();

        fake_store_make_safe(fake_store.ticket);
        ck_assert(ledger_is_empty(&fixture->ledger));
        ck_assert_int_eq(t->state, TASK_QUEUED);
        ck_assert_uint_eq(fixture->counters.submitted, 1);
        ck_assert_id_eq(take_accepted("client"), t->id);
        turn_end(fixture);
        fixture_take("w1", WIRE_TASKS);
        fixture_take_nothing();
}
END_TEST

/* In the order in which it was asked for, a batch after the other. */
START_TEST(test_order) {
        uint64_t first, second;
        TaskId a, b, c;

        submit("client", "");
        a = newest()->id;
        submit("client", "");
        b = newest()->id;
        first = fake_store_commit();
        submit("client", "");
        c = newest()->id;
        second = fake_store_commit();
        submit("client", "");
        ck_assert_uint_lt(first, second);

        fake_store_make_safe(first);
        ck_assert_id_eq(take_accepted("client"), a);
        ck_assert_id_eq(take_accepted("client"), b);
        fixture_take_nothing();
        fake_store_make_safe(first); /* told again */
        fixture_take_nothing();
        fake_store_make_safe(second);
        ck_assert_id_eq(take_accepted("client"), c);
        fixture_take_nothing(); /* the last one is of the open batch */
        ck_assert_uint_eq(queue_length(&fixture->queue), 3);
        fake_store_make_safe(fake_store_commit());
        take_accepted("client");
}
END_TEST

/* What the store is not told need not wait for it, not even when it was never told anything. */
START_TEST(test_memory_only) {
        WireOut *out = fixture_begin(WIRE_SUBMIT);

        wire_put_string(out, "");
        put_task(out, "", "{\"durability\":\"none\"}");
        fixture_request("client", ENDPOINT_CLIENT);
        fixture_take_nothing();
        ck_assert_uint_eq(fake_store_commit(), 0);
        take_accepted("client");
        ck_assert_int_eq(newest()->state, TASK_QUEUED);
        cancel(&newest()->id);
        fake_store_commit();
        take_cancelled(WIRE_CANCEL_CANCELLED, TASK_CANCELLED);
        ck_assert_uint_eq(fake_store.n_changes, 0);
        ck_assert(ledger_is_empty(&fixture->ledger));
}
END_TEST

/* --- no space --------------------------------------------------------------------------------- */

START_TEST(test_refused) {
        Task *t = leased();
        WireOut *out = fixture_begin(WIRE_SUBMIT);
        uint64_t ticket;

        wire_put_string(out, "wait");
        put_task(out, "key", "");
        put_task(out, UUID, "");
        fixture_request("client", ENDPOINT_CLIENT);
        send_done(t, "success");
        ticket = fake_store_commit();
        submit("client", "");
        fake_store_commit();
        ck_assert_uint_eq(fixture_peer("client")->n_waiters, 2);

        ledger_refuse_submits(fixture, ticket);
        fixture_take_error("client", WIRE_ERROR_NO_SPACE, "nothing of this was taken");
        ck_assert_ptr_null(task_find_by_key(&fixture->tasks, "key", 3));
        ck_assert_uint_eq(n_tasks(), 2);
        ck_assert_uint_eq(fixture_peer("client")->n_waiters, 0);
        ck_assert_int_eq(t->state, TASK_ASSIGNED);
        fixture_take_nothing();

        /* All else goes on, as soon as it is safe. */
        fake_store_make_safe(ticket);
        fixture_take("w1", WIRE_ACK);
        ck_assert_int_eq(t->state, TASK_SUCCESS);
        fake_store_make_safe(ticket + 1);
        take_accepted("client");
        fixture_take_nothing();
}
END_TEST

START_TEST(test_cancel_of_refused) {
        uint64_t ticket;
        TaskId id;

        submit("client", "");
        id = newest()->id;
        ticket = fake_store_commit();
        cancel(&id);
        fake_store_commit();
        ledger_refuse_submits(fixture, ticket);
        fixture_take_error("client", WIRE_ERROR_NO_SPACE, "try again later");
        ck_assert_uint_eq(n_tasks(), 0);
        fake_store_make_safe(ticket + 1);
        fixture_take_error("canceller", WIRE_ERROR_UNKNOWN_TASK, "was not taken");
        ck_assert_uint_eq(fixture->results.n, 0);
        fixture_take_nothing();
}
END_TEST

/* --- resent ----------------------------------------------------------------------------------- */

/* It is the same task, and each request is answered when what it says is safe. */
START_TEST(test_resend) {
        uint64_t first, second;
        TaskId id;

        submit("client", "key");
        submit("client", "key");
        id = newest()->id;
        first = fake_store_commit();
        submit("other", "key");
        submit("other", "");
        second = fake_store_commit();
        ck_assert_uint_eq(n_tasks(), 2);
        fixture_take_nothing();
        fake_store_make_safe(first);
        ck_assert_id_eq(take_accepted("client"), id);
        ck_assert_id_eq(take_accepted("client"), id);
        fixture_take_nothing();
        fake_store_make_safe(second);
        ck_assert_id_eq(take_accepted("other"), id);
        take_accepted("other");
        ck_assert_uint_eq(queue_length(&fixture->queue), 2);
        ck_assert_uint_eq(fixture->counters.submitted, 2);
        ck_assert_uint_eq(fake_store.n_changes, 2);
}
END_TEST

/* Its first submit turned out to be refused: all of this one is, and the store forgets what it has of it. */
START_TEST(test_resend_of_refused) {
        WireOut *out;
        uint64_t first, second, sequence;

        submit("client", "key");
        first = fake_store_commit();
        out = fixture_begin(WIRE_SUBMIT);
        wire_put_string(out, "");
        put_task(out, "new", "");
        put_task(out, "key", "");
        fixture_request("other", ENDPOINT_CLIENT);
        sequence = newest()->sequence;
        second = fake_store_commit();
        ledger_refuse_submits(fixture, first);
        fixture_take_error("client", WIRE_ERROR_NO_SPACE, "try again later");
        fake_store_make_safe(second);
        ck_assert_uint_eq(n_tasks(), 0);
        fake_store_commit();
        fixture_take_nothing(); /* after a crash now the store would bring it back */
        fake_store_make_safe(fake_store.ticket);
        fixture_take_error("other", WIRE_ERROR_NO_SPACE, "nothing of this was taken");
        fixture_take_nothing();
        ck_assert(ledger_is_empty(&fixture->ledger));
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
        ck_assert_int_eq(fake_store_last(sequence)->kind, FAKE_FORGET);
}
END_TEST

/* Nor is it said that nothing was taken if something was, before. */
START_TEST(test_refused_with_known) {
        WireOut *out;

        submit("client", "known");
        fake_store_make_safe(fake_store_commit());
        take_accepted("client");
        out = fixture_begin(WIRE_SUBMIT);
        wire_put_string(out, "");
        put_task(out, "known", "");
        put_task(out, "new", "");
        put_task(out, "new", "");
        fixture_request("client", ENDPOINT_CLIENT);
        ledger_refuse_submits(fixture, fake_store_commit());
        fixture_take_error("client", WIRE_ERROR_NO_SPACE,
                           "1 of these tasks are known already, none of the others was taken");
        ck_assert_uint_eq(n_tasks(), 1);
        ck_assert_uint_eq(queue_length(&fixture->queue), 1);
}
END_TEST

/* A key that is an id gives the same id again, but that task is another one. */
START_TEST(test_resend_makes_anew) {
        uint64_t first, second, third;

        submit("client", UUID);
        first = fake_store_commit();
        submit("other", UUID);
        cancel(&newest()->id);
        second = fake_store_commit();
        ledger_refuse_submits(fixture, first);
        fixture_take_error("client", WIRE_ERROR_NO_SPACE, "try again later");
        submit("third", UUID);
        third = fake_store_commit();

        fake_store_make_safe(second);
        fixture_take_error("other", WIRE_ERROR_NO_SPACE, "try again later");
        fixture_take_error("canceller", WIRE_ERROR_UNKNOWN_TASK, "was not taken");
        fixture_take_nothing();
        ck_assert_int_eq(newest()->state, TASK_PENDING);
        fake_store_make_safe(third);
        take_accepted("third");
        ck_assert_int_eq(newest()->state, TASK_QUEUED);
}
END_TEST

/* --- cancelled -------------------------------------------------------------------------------- */

START_TEST(test_cancel_pending) {
        WireOut *out = fixture_begin(WIRE_SUBMIT);
        Task *t;

        wire_put_string(out, "wait");
        put_task(out, "", _i == 0 ? "" : "{\"unique\":\"u\"}");
        fixture_request("client", ENDPOINT_CLIENT);
        t = newest();
        if (_i == 0)
                fake_store_commit();
        cancel(&t->id);
        cancel(&t->id);
        ck_assert_int_eq(t->state, TASK_PENDING);
        fake_store_commit();
        fixture_take_nothing();
        fake_store_make_safe(fake_store.ticket);
        ck_assert_id_eq(take_accepted("client"), t->id);
        take_cancelled(WIRE_CANCEL_CANCELLED, TASK_CANCELLED);
        take_cancelled(WIRE_CANCEL_CANCELLED, TASK_CANCELLED);
        ck_assert_int_eq(t->state, TASK_CANCELLED);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);
        ck_assert_uint_eq(fixture->counters.cancelled, 1);
        ck_assert_uint_eq(fixture->results.n, 1);
        ck_assert_ptr_null(fixture->tasks.uniques);
        turn_end(fixture);
        ck_assert_id_eq(fixture_id(fixture_take("client", WIRE_RESULT), 0), t->id);
        fixture_take_nothing();
}
END_TEST

/* Its end was told, but is not safe yet. */
START_TEST(test_cancel_ending) {
        Task *t = leased();

        send_done(t, "success");
        cancel(&t->id);
        fake_store_commit();
        fixture_take_nothing();
        fake_store_make_safe(fake_store.ticket);
        fixture_take("w1", WIRE_ACK);
        take_cancelled(WIRE_CANCEL_FINISHED, TASK_SUCCESS);
        ck_assert_uint_eq(fixture->results.n, 1);
        ck_assert_uint_eq(fixture->counters.cancelled, 0);
}
END_TEST

/* --- ended ------------------------------------------------------------------------------------ */

START_TEST(test_end) {
        Task *t = leased();
        const WireMessage *m;

        ck_assert_int_eq(peer_wait(fixture_peer("client"), t, &fixture->dirty), 0);
        send_done(t, "success");
        turn_end(fixture);
        ck_assert_int_eq(t->state, TASK_ASSIGNED);
        ck_assert_uint_eq(fixture->results.n, 0);
        wire_put_task_id(fixture_begin(WIRE_STATUS), &t->id);
        fixture_request("client", ENDPOINT_CLIENT);
        m = fixture_take("client", WIRE_TASK);
        ck_assert_uint_eq(m->fields[2].iov_len, 0); /* nor is the result shown */
        fixture_take_nothing();

        fake_store_make_safe(fake_store.ticket);
        fixture_take("w1", WIRE_ACK);
        ck_assert_int_eq(t->state, TASK_SUCCESS);
        turn_end(fixture);
        ck_assert_id_eq(fixture_id(fixture_take("client", WIRE_RESULT), 0), t->id);
        fixture_take_nothing();
}
END_TEST

/* Its worker is free meanwhile. */
START_TEST(test_next_task) {
        Task *t = leased();

        submit("client", "");
        fake_store_make_safe(fake_store_commit());
        take_accepted("client");
        send_done(t, "success");
        turn_end(fixture);
        fixture_take("w1", WIRE_TASKS);
        ck_assert_ptr_null(t->worker);
        fixture_take_nothing();
}
END_TEST

START_TEST(test_end_twice) {
        Task *t = leased();
        size_t n;

        send_done(t, "success");
        n = fake_store.n_changes;
        send_done(t, "failure");
        if (_i == 1)
                fake_store_commit();
        send_done(t, "failure");
        fake_store_commit();
        ck_assert_uint_eq(fake_store.n_changes, n);
        fixture_take_nothing();
        fake_store_make_safe(fake_store.ticket);
        for (int i = 0; i < 3; i++)
                fixture_take("w1", WIRE_ACK);
        ck_assert_int_eq(t->state, TASK_SUCCESS);
        ck_assert_uint_eq(fixture->counters.succeeded, 1);
        ck_assert_uint_eq(fixture->counters.results_refused, 0);
        ck_assert_uint_eq(fixture->results.n, 1);
        fixture_take_nothing();
}
END_TEST

/* --- entries ---------------------------------------------------------------------------------- */

START_TEST(test_peer_is_kept) {
        Peer *p;

        submit("client", "");
        p = fixture_peer("client");
        ck_assert_uint_eq(p->n_pending, 1);
        ck_assert(!peer_is_forgettable(p));
        fake_store_make_safe(fake_store_commit());
        ck_assert(peer_is_forgettable(p));
}
END_TEST

static Request request_of(const char *peer) {
        return (Request){
                .endpoint = fixture_peer(peer)->endpoint,
                .routing = { (char *) peer, strlen(peer) },
                .message = { .correlation = { (char *) "c9", 2 } },
        };
}

START_TEST(test_silence_and_undo) {
        Request r = request_of("client");
        LedgerEntry *silent, *undone;

        ck_assert_int_eq(ledger_add(&fixture->ledger, LEDGER_END, &r, 1, &silent), 0);
        ck_assert_int_eq(ledger_add(&fixture->ledger, LEDGER_DONE, &r, 0, &undone), 0);
        ck_assert_uint_eq(fixture_peer("client")->n_pending, 2);
        ledger_silence(silent);
        ledger_silence(silent);
        ledger_silence(NULL);
        ledger_undo(&fixture->ledger, undone);
        ck_assert_uint_eq(fixture_peer("client")->n_pending, 0);
        fake_store_commit();
        ck_assert(ledger_is_empty(&fixture->ledger));
        fixture_take_nothing();
}
END_TEST

START_TEST(test_detached) {
        Request r = request_of("client");
        LedgerEntry *e;

        ck_assert_int_eq(ledger_detached(&fixture->ledger, &r, &e), 0);
        ck_assert(ledger_is_empty(&fixture->ledger));
        ck_assert_uint_eq(fixture_peer("client")->n_pending, 1);
        ledger_answer(fixture, e, 0, NULL);
        ck_assert_mem_eq(fixture_take("client", WIRE_ACK)->correlation.iov_base, "c9", 2);
        ck_assert_int_eq(ledger_detached(&fixture->ledger, &r, &e), 0);
        ledger_answer(fixture, e, -EIO, "the disk is broken");
        fixture_take_error("client", WIRE_ERROR_BAD_ARGUMENT, "the disk is broken");
        ck_assert_int_eq(ledger_detached(&fixture->ledger, &r, &e), 0);
        ledger_answer(fixture, e, -EIO, NULL);
        fixture_take_error("client", WIRE_ERROR_BAD_ARGUMENT, "Input/output error");
        ck_assert_int_eq(ledger_detached(&fixture->ledger, &r, &e), 0);
        ck_assert_ptr_null(ledger_drop(e));
        ck_assert_uint_eq(fixture_peer("client")->n_pending, 0);
        fixture_take_nothing();
}
END_TEST

/* At the end of the daemon, what is not safe is not answered. */
START_TEST(test_done) {
        submit("client", "");
        fake_store_commit();
        submit("client", "");
        ledger_done(&fixture->ledger);
        ck_assert(ledger_is_empty(&fixture->ledger));
        ck_assert_uint_eq(fixture_peer("client")->n_pending, 0);
        fake_store_make_safe(fake_store.ticket);
        fixture_take_nothing();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ledger");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, fake_store_fixture_setup, fixture_teardown);
        tcase_add_test(t, test_nothing_before);
        tcase_add_test(t, test_order);
        tcase_add_test(t, test_memory_only);
        tcase_add_test(t, test_refused);
        tcase_add_test(t, test_cancel_of_refused);
        tcase_add_test(t, test_resend);
        tcase_add_test(t, test_resend_of_refused);
        tcase_add_test(t, test_refused_with_known);
        tcase_add_test(t, test_resend_makes_anew);
        tcase_add_loop_test(t, test_cancel_pending, 0, 2);
        tcase_add_test(t, test_cancel_ending);
        tcase_add_test(t, test_end);
        tcase_add_test(t, test_next_task);
        tcase_add_loop_test(t, test_end_twice, 0, 2);
        tcase_add_test(t, test_peer_is_kept);
        tcase_add_test(t, test_silence_and_undo);
        tcase_add_test(t, test_detached);
        tcase_add_test(t, test_done);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
