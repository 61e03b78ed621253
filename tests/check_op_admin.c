/* SPDX-License-Identifier: MIT */

/* RETRY, PURGE and BACKUP. */

#include "fail-alloc.h"
#include "fake-store.h"
#include "persist.h"
#include "turn.h"

static void setup(void) {
        fixture_setup();
        fixture->grace_until_usec = 0;
        fixture_worker("w1", "a", 0);
        fake_store_setup();
}

static void settle(void) {
        persist_commit(fixture);
        fake_store_make_safe(fake_store.ticket);
}

/* A task with these options that has ended so. */
static Task *ended(TaskState state, const char *options) {
        const TaskEnd end = { .state = state, .error = { (char *) "why", 3 } };
        WireOut *out = fixture_begin(WIRE_SUBMIT);
        TaskId id;
        Task *t;

        wire_put_string(out, "");
        wire_put_string(out, "a");
        wire_put_string(out, "high");
        wire_put_string(out, "");
        wire_put_string(out, "[7]");
        wire_put_string(out, options);
        fixture_request("client", ENDPOINT_CLIENT);
        settle();
        id = fixture_id(fixture_take("client", WIRE_ACCEPTED), 0);
        t = task_find(&fixture->tasks, &id);
        if (state == TASK_QUEUED)
                return t;
        queue_remove(&fixture->queue, t);
        t->attempt = 4;
        t->crashes = 3;
        lease_adopt(fixture, worker_find(&fixture->workers, "w1"), t);
        ck_assert_int_eq(fixture_end(t, &end), 0);
        settle();
        ck_assert_int_eq(t->state, state);
        return t;
}

static void request(WireVerb verb, Task *const tasks[], size_t n) {
        WireOut *out = fixture_begin(verb);

        for (size_t i = 0; i < n; i++)
                wire_put_task_id(out, &tasks[i]->id);
        fixture_request("admin", ENDPOINT_CLIENT);
}

static void check_retried(const Task *t) {
        const FakeChange *c = fake_store_last(t->sequence);

        ck_assert_int_eq(t->state, TASK_QUEUED);
        ck_assert_uint_eq(t->crashes, 0);
        ck_assert_uint_eq(t->attempt, 4); /* never given again */
        ck_assert_uint_eq(t->started_usec, 0);
        ck_assert_uint_eq(t->completed_usec, 0);
        ck_assert_uint_eq(t->error_size, 0);
        ck_assert_ptr_null(task_last_worker(t));
        ck_assert_int_eq(c->kind, FAKE_UPDATE);
        ck_assert_int_eq(c->state, TASK_QUEUED);
        ck_assert_uint_eq(c->crashes, 0);
        ck_assert_str_eq(c->worker, "");
        ck_assert_str_eq(c->error, "");
}

START_TEST(test_retry) {
        Task *const tasks[] = { ended(TASK_DEAD, ""), ended(TASK_FAILURE, ""),
                                ended(TASK_DEAD, "") };
        Task *const named[] = { tasks[0], tasks[1], tasks[0] };

        request(WIRE_RETRY, named, ELEMENTSOF(named));
        persist_commit(fixture);
        fixture_take_nothing();
        fake_store_make_safe(fake_store.ticket);
        fixture_take("admin", WIRE_ACK);
        check_retried(tasks[0]);
        check_retried(tasks[1]);
        ck_assert_int_eq(tasks[2]->state, TASK_DEAD);
        ck_assert_uint_eq(queue_length(&fixture->queue), 2);
        ck_assert_uint_eq(fixture->results.n, 1);
        fixture_take_nothing();

        /* It runs as any other. */
        worker_find(&fixture->workers, "w1")->capacity = 1;
        turn_end(fixture);
        ck_assert_id_eq(fixture_id(fixture_take("w1", WIRE_TASKS), 0), tasks[0]->id);
        ck_assert_uint_eq(tasks[0]->attempt, 5);
        lease_return_all(fixture, worker_find(&fixture->workers, "w1"));
}
END_TEST

/* One that does not fit, wherever it stands, and nothing is done. */
START_TEST(test_all_or_none) {
        static const TaskState misfits[] = { TASK_SUCCESS, TASK_CANCELLED };
        Task *dead = ended(TASK_DEAD, ""), unknown = { .id = { .bytes = { 1 } } };
        size_t n;

        for (size_t i = 0; i < ELEMENTSOF(misfits); i++) {
                Task *const tasks[] = { dead, ended(misfits[i], "") };

                n = fake_store.n_changes;
                request(WIRE_RETRY, tasks, 2);
                fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT,
                                   task_state_to_string(misfits[i]));
                ck_assert_uint_eq(fake_store.n_changes, n);
        }
        n = fake_store.n_changes;
        request(WIRE_RETRY, (Task *[]){ dead, &unknown }, 2);
        fixture_take_error("admin", WIRE_ERROR_UNKNOWN_TASK, "nothing was done");
        request(WIRE_PURGE, (Task *[]){ dead, &unknown }, 2);
        fixture_take_error("admin", WIRE_ERROR_UNKNOWN_TASK, "nothing was done");
        ck_assert_int_eq(dead->state, TASK_DEAD);
        dead->ended_monotonic_usec -= fixture->results.ttl_usec + USEC_PER_SEC;
        request(WIRE_RETRY, &dead, 1);
        fixture_take_error("admin", WIRE_ERROR_UNKNOWN_TASK, "expired or unknown");
        ck_assert_int_eq(dead->state, TASK_DEAD);
        ck_assert_uint_eq(fake_store.n_changes, n);
        settle();
        fixture_take_nothing();
}
END_TEST

/* A client that did not get the answer asks again. By then the task may be queued again, or run. */
START_TEST(test_retry_repeated) {
        static const char options[] = "{\"unique\":\"u\"}";
        Task *t = ended(TASK_DEAD, options), *other = ended(TASK_DEAD, "");
        size_t n;

        request(WIRE_RETRY, &t, 1);
        n = fake_store.n_changes;
        request(WIRE_RETRY, &t, 1);
        settle();
        fixture_take("admin", WIRE_ACK);
        fixture_take("admin", WIRE_ACK);
        ck_assert_uint_eq(fake_store.n_changes, n);
        ck_assert_uint_eq(queue_length(&fixture->queue), 1);
        worker_find(&fixture->workers, "w1")->capacity = 1;
        turn_end(fixture);
        ck_assert_id_eq(fixture_id(fixture_take("w1", WIRE_TASKS), 0), t->id);

        /* With another that was not tried again yet; what it has is its own. */
        request(WIRE_RETRY, (Task *[]){ t, other }, 2);
        settle();
        fixture_take("admin", WIRE_ACK);
        ck_assert_int_eq(t->state, TASK_ASSIGNED);
        ck_assert_uint_eq(t->attempt, 5);
        ck_assert_ptr_eq(task_find_by_unique(&fixture->tasks, "u", 1), t);
        check_retried(other);
        fixture_take_nothing();
        lease_return_all(fixture, worker_find(&fixture->workers, "w1"));
}
END_TEST

/* Who waits for the task and was not told yet is told of the next end. */
START_TEST(test_retry_waited_for) {
        Task *t = ended(TASK_FAILURE, "");
        const TaskEnd end = { .state = TASK_CANCELLED };

        ck_assert_int_eq(peer_wait(fixture_peer("client"), t, &fixture->dirty), 0);
        request(WIRE_RETRY, &t, 1);
        settle();
        fixture_take("admin", WIRE_ACK);
        ck_assert(TAILQ_EMPTY(&fixture->dirty));
        turn_end(fixture);
        fixture_take_nothing();
        ck_assert_int_eq(fixture_end(t, &end), 0);
        settle();
        turn_end(fixture);
        ck_assert_mem_eq(fixture_take("client", WIRE_RESULT)->groups[1].iov_base, "cancelled", 9);
}
END_TEST

START_TEST(test_retry_unique) {
        static const char options[] = "{\"unique\":\"u\"}";
        Task *first = ended(TASK_DEAD, options), *second = ended(TASK_DEAD, options),
             *other = ended(TASK_DEAD, "");
        size_t n = fake_store.n_changes;

        /* Of two only one may live. */
        request(WIRE_RETRY, (Task *[]){ other, first, second }, 3);
        fixture_take_error("admin", WIRE_ERROR_EXISTS, "nothing was done");
        ck_assert_ptr_null(fixture->tasks.uniques);
        ck_assert_int_eq(first->state, TASK_DEAD);
        ck_assert_int_eq(other->state, TASK_DEAD);
        ck_assert_uint_eq(fake_store.n_changes, n);
        ck_assert(ledger_is_empty(&fixture->ledger));

        request(WIRE_RETRY, (Task *[]){ first, first }, 2);
        settle();
        fixture_take("admin", WIRE_ACK);
        ck_assert_ptr_eq(task_find_by_unique(&fixture->tasks, "u", 1), first);
        request(WIRE_RETRY, (Task *[]){ second }, 1);
        fixture_take_error("admin", WIRE_ERROR_EXISTS, "nothing was done");
        ck_assert_ptr_eq(task_find_by_unique(&fixture->tasks, "u", 1), first);
        fixture_take_nothing();
}
END_TEST

START_TEST(test_retry_no_memory) {
        static const char options[] = "{\"unique\":\"u\"}";
        Task *const tasks[] = { ended(TASK_DEAD, ""), ended(TASK_DEAD, options) };
        size_t n = fake_store.n_changes;

        request(WIRE_RETRY, (Task *[]){ ended(TASK_SUCCESS, "") }, 1); /* makes the buffers */
        fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, "success");
        n = fake_store.n_changes;
        FAIL_EACH_ALLOC(request(WIRE_RETRY, tasks, 2), {
                fixture_take_error("admin", WIRE_ERROR_INTERNAL, "nothing was done");
                ck_assert_int_eq(tasks[0]->state, TASK_DEAD);
                ck_assert_ptr_null(fixture->tasks.uniques);
                ck_assert(ledger_is_empty(&fixture->ledger));
                ck_assert_uint_eq(fake_store.n_changes, n);
        });
        settle();
        fixture_take("admin", WIRE_ACK);
        check_retried(tasks[0]);
        check_retried(tasks[1]);
}
END_TEST

START_TEST(test_purge) {
        Task *const tasks[] = { ended(TASK_SUCCESS, ""), ended(TASK_DEAD, "") };
        Task *const named[] = { tasks[0], tasks[1], tasks[0] };
        Task *queued = ended(TASK_QUEUED, "");
        const uint64_t sequences[] = { tasks[0]->sequence, tasks[1]->sequence };
        size_t n = fake_store.n_changes, n_hurries;

        request(WIRE_PURGE, (Task *[]){ tasks[0], queued }, 2);
        fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, "is queued");
        ck_assert_uint_eq(fixture->results.n, 2);
        ck_assert_uint_eq(fake_store.n_changes, n);

        ck_assert_int_eq(peer_wait(fixture_peer("client"), tasks[1], &fixture->dirty), 0);
        n_hurries = fake_store.n_hurries;
        request(WIRE_PURGE, named, ELEMENTSOF(named));
        persist_commit(fixture);
        fixture_take_nothing();
        fake_store_make_safe(fake_store.ticket);
        fixture_take("admin", WIRE_ACK);
        ck_assert_uint_gt(fake_store.n_hurries, n_hurries); /* else it would lie for a while */
        ck_assert_uint_eq(fixture->results.n, 0);
        ck_assert_uint_eq(HASH_COUNT(fixture->tasks.tasks), 1);
        ck_assert_int_eq(fake_store_last(sequences[0])->kind, FAKE_FORGET);
        ck_assert_int_eq(fake_store_last(sequences[1])->kind, FAKE_FORGET);
        ck_assert_uint_eq(fake_store.n_changes, n + 2);
        ck_assert_uint_eq(fixture_peer("client")->n_waiters, 0);
        turn_end(fixture);
        fixture_take_nothing();
}
END_TEST

/* --- backup ----------------------------------------------------------------------------------- */

static void backup(const char *path) {
        wire_put_string(fixture_begin(WIRE_BACKUP), path);
        fixture_request("admin", ENDPOINT_CLIENT);
}

START_TEST(test_backup) {
        backup("/tmp/copy");
        ck_assert_str_eq(fake_store.backup, "/tmp/copy");
        settle();
        fixture_take_nothing();
        backup("/tmp/other");
        fixture_take_error("admin", WIRE_ERROR_QUEUE_FULL, "a backup is being written");
        fake_store.backup_done(0, NULL, fake_store.backup_userdata);
        fixture_take("admin", WIRE_ACK);
        ck_assert_ptr_null(fixture->backup);

        backup("/tmp/again");
        ck_assert_str_eq(fake_store.backup, "/tmp/again");
        fake_store.backup_done(-EIO, "/tmp/again: broken", fake_store.backup_userdata);
        fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, "/tmp/again: broken");
        ck_assert_uint_eq(fixture_peer("admin")->n_pending, 0);

        backup("/tmp/unfinished"); /* is not answered any more */
        ck_assert_ptr_nonnull(fixture->backup);
        fixture_take_nothing();
}
END_TEST

START_TEST(test_backup_refused) {
        static const char nul[] = "/tmp/a\0b";

        backup("");
        fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, "absolute path");
        backup("tmp/a");
        fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, "absolute path");
        wire_put(fixture_begin(WIRE_BACKUP), nul, sizeof(nul) - 1);
        fixture_request("admin", ENDPOINT_CLIENT);
        fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, "absolute path");
        fake_store.backup_error = -EEXIST;
        backup("/tmp/a");
        fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, "is not overwritten");
        fake_store.backup_error = -EACCES;
        backup("/tmp/a");
        fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, "Permission denied");
        fake_store.backup_error = -EOPNOTSUPP;
        backup("/tmp/a");
        fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, "Durability=none");
        ck_assert_ptr_null(fixture->backup);
        ck_assert_uint_eq(fixture_peer("admin")->n_pending, 0);
        fixture_take_nothing();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("op_admin");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, fixture_teardown);
        tcase_add_test(t, test_retry);
        tcase_add_test(t, test_all_or_none);
        tcase_add_test(t, test_retry_repeated);
        tcase_add_test(t, test_retry_waited_for);
        tcase_add_test(t, test_retry_unique);
        tcase_add_test(t, test_retry_no_memory);
        tcase_add_test(t, test_purge);
        tcase_add_test(t, test_backup);
        tcase_add_test(t, test_backup_refused);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
