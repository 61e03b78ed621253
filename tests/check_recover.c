/* SPDX-License-Identifier: MIT */

/* What comes back after a restart, from a real store. */

#include "recover-test.h"

#define UUID "01938f2a-7c3b-7000-8abc-0123456789ab"

START_TEST(test_empty) {
        restart();
        ck_assert_uint_eq(HASH_COUNT(fixture->tasks.tasks), 0);
        ck_assert_ptr_null(fixture->types);
}
END_TEST

START_TEST(test_queued) {
        TaskId a, b, c, d;
        uint64_t created, sequence;
        Task *t;

        register_worker("w1", 0, NULL, 0, 0);
        a = submit("a", "", "some key", "");
        b = submit("b", "low", UUID, "");
        c = submit("a", "", "", "");
        created = find(&a)->created_usec;
        sequence = find(&c)->sequence;
        restart();
        ck_assert_uint_eq(HASH_COUNT(fixture->tasks.tasks), 3);
        ck_assert_uint_eq(queue_length(&fixture->queue), 3);
        ck_assert_uint_eq(HASH_COUNT(fixture->types), 2);
        ck_assert_ptr_null(fixture->workers.workers);
        t = find(&a);
        ck_assert_int_eq(t->state, TASK_QUEUED);
        ck_assert_str_eq(t->type->name, "a");
        ck_assert_uint_eq(t->arguments_size, 3);
        ck_assert_mem_eq(task_arguments(t), "[7]", 3);
        ck_assert_uint_eq(t->created_usec, created);
        ck_assert_uint_eq(t->attempt, 0);
        ck_assert_ptr_eq(task_find_by_key(&fixture->tasks, "some key", 8), t);

        /* Resent: the same tasks, nothing new. */
        ck_assert_id_eq(submit("a", "", "some key", ""), a);
        ck_assert_id_eq(submit("b", "low", UUID, ""), b);
        ck_assert_uint_eq(HASH_COUNT(fixture->tasks.tasks), 3);

        d = submit_plain();
        ck_assert_uint_gt(find(&d)->sequence, sequence);
        ck_assert_ptr_eq(fixture_pop(PRIORITY_NORMAL), find(&a));
        ck_assert_ptr_eq(fixture_pop(PRIORITY_NORMAL), find(&c));
        ck_assert_ptr_eq(fixture_pop(PRIORITY_NORMAL), find(&d));
        ck_assert_ptr_eq(fixture_pop(PRIORITY_LOW), find(&b));
}
END_TEST

/* What was submitted for memory only is gone, and the rest is not disturbed by that. */
START_TEST(test_memory_only) {
        TaskId kept, lost;

        register_worker("w1", 0, NULL, 0, 0);
        lost = submit("a", "", "", "{\"durability\":\"none\"}");
        kept = submit_plain();
        restart();
        ck_assert_ptr_null(task_find(&fixture->tasks, &lost));
        ck_assert_int_eq(find(&kept)->state, TASK_QUEUED);
        /* The first thing after the start: the store was told nothing yet. */
        submit("a", "", "", "{\"durability\":\"none\"}");
        ck_assert_uint_eq(queue_length(&fixture->queue), 2);
}
END_TEST

/* --- ended ------------------------------------------------------------------------------------ */

START_TEST(test_ended) {
        TaskId old, ended, purged, young;
        uint64_t completed;
        Task *t;

        register_worker("w1", 1, NULL, 0, 0);
        ended = submit("a", "", "key", "");
        dispatch("w1");
        send_done("w1", &ended, 1, "success");
        purged = submit_plain();
        dispatch("w1");
        send_done("w1", &purged, 1, "failure");
        old = submit("a", "low", "", "");
        dispatch("w1");
        young = submit_plain();
        completed = find(&ended)->completed_usec;
        wire_put_task_id(fixture_begin(WIRE_PURGE), &purged);
        fixture_request("client", ENDPOINT_CLIENT);
        restart();

        ck_assert_uint_eq(HASH_COUNT(fixture->tasks.tasks), 3);
        ck_assert_ptr_null(task_find(&fixture->tasks, &purged));
        t = find(&ended);
        ck_assert_int_eq(t->state, TASK_SUCCESS);
        ck_assert_uint_eq(t->result_size, 1);
        ck_assert_mem_eq(task_result(t), "8", 1);
        ck_assert_str_eq(task_last_worker(t), "w1");
        ck_assert_uint_eq(t->completed_usec, completed);
        ck_assert_uint_eq(fixture->results.n, 1);
        ck_assert(!results_is_expired(&fixture->results, t));
        ck_assert_id_eq(submit("a", "", "key", ""), ended);
        ck_assert_uint_eq(fixture->counters.succeeded, 0); /* counts from the start on */

        /* The table is in the order in which they came, though the ended ones come last from the store. */
        t = fixture->tasks.tasks;
        ck_assert_id_eq(t->id, ended);
        t = t->hh.next;
        ck_assert_id_eq(t->id, old);
        t = t->hh.next;
        ck_assert_id_eq(t->id, young);
}
END_TEST

/* Writes ended tasks of another time to the store, while nobody has it open. */
static void write_ended(const TaskId ids[], const uint64_t completed[], size_t n) {
        static const StoreCallbacks callbacks;
        _cleanup_free_ char *path = path_in("tasks.sqlite");
        const StoreConfig config = { .durability = STORE_PROCESS,
                                     .path = path,
                                     .bytes_max = UINT64_MAX };
        sd_event *event = NULL;
        Store *store = NULL;

        fixture->store = store_close(fixture->store);
        ck_assert_int_eq(sd_event_new(&event), 0);
        ck_assert_int_eq(store_open(event, &config, &callbacks, &store, NULL), 0);
        ck_assert_int_eq(store_add_type(store, "a"), 0);
        for (size_t i = 0; i < n; i++) {
                const StoreTask t = { .sequence = 10 + i,
                                      .id = ids[i],
                                      .name = "a",
                                      .priority = PRIORITY_NORMAL,
                                      .created_usec = 1,
                                      .state = TASK_SUCCESS,
                                      .completed_usec = completed[i] };

                ck_assert_int_eq(store_submit(store, &t, 1), 0);
        }
        store_commit(store);
        store_close(store);
        sd_event_unref(event);
        fixture_restart(STORE_PROCESS, test_directory);
        fixture->grace_until_usec = 0;
}

/* The time to live goes on while the daemon is down, and the clock may have been set meanwhile. */
START_TEST(test_ttl) {
        uint64_t now = now_usec(CLOCK_REALTIME), ttl = fixture->results.ttl_usec;
        const uint64_t completed[] = { 1, now - ttl - USEC_PER_SEC, now - ttl / 2, now + 2 * ttl };
        TaskId ids[4];
        Task *t;

        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                ck_assert_int_eq(task_id_new(&ids[i]), 0);
        write_ended(ids, completed, ELEMENTSOF(ids));
        ck_assert(results_is_expired(&fixture->results, find(&ids[0])));
        ck_assert(results_is_expired(&fixture->results, find(&ids[1])));
        ck_assert(!results_is_expired(&fixture->results, find(&ids[2])));
        ck_assert(!results_is_expired(&fixture->results, find(&ids[3])));
        find(&ids[2])->ended_monotonic_usec -= ttl / 2 + USEC_PER_SEC; /* as if that time went by */
        ck_assert_uint_eq(results_expire(&fixture->results, &fixture->tasks, &fixture->dirty), 3);
        t = find(&ids[3]);
        ck_assert_uint_eq(fixture->results.n, 1);
        restart(); /* the store knows, too */
        ck_assert_uint_eq(HASH_COUNT(fixture->tasks.tasks), 1);
        t = find(&ids[3]);
        ck_assert_int_eq(t->state, TASK_SUCCESS);
}
END_TEST

/* --- unique keys ------------------------------------------------------------------------------ */

START_TEST(test_unique) {
        TaskId id, other;

        register_worker("w1", 1, NULL, 0, 0);
        id = submit("a", "", "", "{\"unique\":\"u\"}");
        restart();
        ck_assert_ptr_eq(task_find_by_unique(&fixture->tasks, "u", 1), find(&id));
        send_submit("a", "", "", "{\"unique\":\"u\"}");
        fixture_take_error("client", WIRE_ERROR_EXISTS, "has not ended yet");
        ck_assert_id_eq(submit("a", "", "", "{\"unique\":\"u\",\"unique_policy\":\"return\"}"), id);

        register_worker("w1", 1, NULL, 0, 0);
        dispatch("w1");
        send_done("w1", &id, 1, "failure");
        restart();
        ck_assert_ptr_null(fixture->tasks.uniques);
        other = submit("a", "", "", "{\"unique\":\"u\"}");
        ck_assert_id_ne(other, id);

        /* Now the first one cannot live again. */
        wire_put_task_id(fixture_begin(WIRE_RETRY), &id);
        fixture_request("client", ENDPOINT_CLIENT);
        fixture_take_error("client", WIRE_ERROR_EXISTS, "nothing was done");
        restart();
        ck_assert_ptr_eq(task_find_by_unique(&fixture->tasks, "u", 1), find(&other));
        ck_assert_int_eq(find(&id)->state, TASK_FAILURE);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("recover");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_set_timeout(t, 30);
        tcase_add_test(t, test_empty);
        tcase_add_test(t, test_queued);
        tcase_add_test(t, test_memory_only);
        tcase_add_test(t, test_ended);
        tcase_add_test(t, test_ttl);
        tcase_add_test(t, test_unique);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
