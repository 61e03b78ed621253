/* SPDX-License-Identifier: MIT */

/* The cache of ended tasks: the least recently used leave first, and none outlives its time. */

#include "controld-test.h"
#include "results.h"
#include "time-util.h"

#define TTL_USEC (60 * USEC_PER_SEC)

static Results results;
static TaskTable table;
static TaskType *types;
static Peer *peers;
static PeerList dirty = TAILQ_HEAD_INITIALIZER(dirty);

static void setup(void) {
        results_init(&results, 3, TTL_USEC);
}

static void teardown(void) {
        Peer *p, *next;

        HASH_ITER(hh, peers, p, next)
                peer_free(&peers, &dirty, p);
        task_table_done(&table);
        task_types_free(&types);
}

static Task *add(void) {
        Task *t = make_task(&table, make_type(&types, "a"), PRIORITY_NORMAL);

        succeed(&table, t);
        results_add(&results, t);
        return t;
}

/* As if it had ended so long ago. */
static void make_older(Task *t, uint64_t usec) {
        t->ended_monotonic_usec -= usec;
}

static void trim_to(uint64_t bytes) {
        results_trim(&results, &table, &dirty, bytes);
}

static void trim(void) {
        trim_to(UINT64_MAX);
}

static size_t expire(void) {
        return results_expire(&results, &table, &dirty);
}

static bool exists(const TaskId *id) {
        return task_find(&table, id);
}

START_TEST(test_trim) {
        TaskId id[5];

        for (size_t i = 0; i < ELEMENTSOF(id); i++)
                id[i] = add()->id;
        ck_assert_uint_eq(results.n, 5); /* until trimmed */
        trim();
        ck_assert_uint_eq(results.n, 3);
        for (size_t i = 0; i < ELEMENTSOF(id); i++)
                ck_assert_int_eq(exists(&id[i]), i >= 2);
        trim();
        ck_assert_uint_eq(results.n, 3);
        ck_assert_uint_eq(HASH_COUNT(table.tasks), 3);
}
END_TEST

/* Twenty results in a cache of ten: those asked for last stay. */
START_TEST(test_least_recently_used) {
        Task *t[20];
        TaskId id[20];

        results.size_max = 10;
        for (size_t i = 0; i < ELEMENTSOF(t); i++) {
                t[i] = add();
                id[i] = t[i]->id;
        }
        for (size_t i = 0; i < ELEMENTSOF(t); i += 2)
                ck_assert(results_access(&results, t[i]));
        trim();
        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                ck_assert_int_eq(exists(&id[i]), i % 2 == 0);
}
END_TEST

static Task *add_large(const char *result) {
        Task *t = make_task(&table, make_type(&types, "a"), PRIORITY_NORMAL);

        ck_assert_int_eq(task_set_end(&table, t, result, strlen(result), NULL, 0, NULL), 0);
        succeed(&table, t);
        results_add(&results, t);
        return t;
}

/* Nor may they hold too many bytes; those of tasks that have not ended do not count. */
START_TEST(test_bytes) {
        TaskSpec spec = make_spec(make_type(&types, "a"), PRIORITY_NORMAL);
        TaskId small = add_large("1")->id, large = add_large("123456789")->id;
        Task *waiting = NULL;

        spec.arguments = "arguments";
        spec.arguments_size = 9;
        ck_assert_int_eq(task_new(&table, &spec, &waiting), 0);
        ck_assert_uint_eq(results.bytes, 10);
        trim_to(10);
        ck_assert_uint_eq(results.n, 2);
        trim_to(9);
        ck_assert(!exists(&small));
        ck_assert(exists(&large));
        ck_assert_uint_eq(results.bytes, 9);
        trim_to(0);
        ck_assert(!exists(&large));
        ck_assert_uint_eq(results.bytes, 0);
        ck_assert_ptr_eq(task_find(&table, &spec.id), waiting);
}
END_TEST

START_TEST(test_no_cache) {
        TaskId id = add()->id;

        results.size_max = 0;
        trim();
        ck_assert(!exists(&id));
        ck_assert_uint_eq(results.n, 0);
}
END_TEST

/* Access makes a result younger for the limit in number, not for the limit in time. */
START_TEST(test_expiry) {
        Task *old = add(), *young = add();
        TaskId old_id = old->id, young_id = young->id;

        ck_assert_uint_eq(expire(), 0);
        make_older(old, TTL_USEC - USEC_PER_SEC);
        ck_assert(results_access(&results, old));
        ck_assert_uint_eq(expire(), 0);
        make_older(old, 2 * USEC_PER_SEC);
        ck_assert(!results_access(&results, old)); /* not shown any more, but still there */
        ck_assert(exists(&old_id));
        ck_assert(results_access(&results, young));
        ck_assert_uint_eq(expire(), 1);
        ck_assert(!exists(&old_id));
        ck_assert(exists(&young_id));
        ck_assert_uint_eq(results.n, 1);
}
END_TEST

START_TEST(test_is_expired) {
        Task *t = add(), *waiting = make_task(&table, t->type, PRIORITY_NORMAL);
        TaskId id = t->id;

        ck_assert(!results_is_expired(&results, waiting)); /* whatever its sequence number is */
        ck_assert(!results_is_expired(&results, t));
        make_older(t, TTL_USEC + USEC_PER_SEC);
        ck_assert(results_is_expired(&results, t));
        results_drop(&results, &table, &dirty, t);
        ck_assert(!exists(&id));
        ck_assert_uint_eq(results.n, 0);
}
END_TEST

START_TEST(test_expire_all) {
        for (size_t i = 0; i < 3; i++)
                make_older(add(), TTL_USEC + USEC_PER_SEC);
        ck_assert_uint_eq(expire(), 3);
        ck_assert_uint_eq(results.n, 0);
        ck_assert_uint_eq(expire(), 0);
}
END_TEST

START_TEST(test_for_ever) {
        Task *t = add();

        results.ttl_usec = USEC_INFINITY;
        make_older(t, t->ended_monotonic_usec);
        ck_assert(results_access(&results, t));
        ck_assert_uint_eq(expire(), 0);
        ck_assert_uint_eq(results.n, 1);
}
END_TEST

/* A result that goes takes along those that wait for it to be sent. */
START_TEST(test_waiters) {
        Task *t = add(), *old = add();
        Peer *p = NULL;

        ck_assert_int_eq(peer_get(&peers, NULL, "p", 1, &p), 0);
        ck_assert_int_eq(peer_wait(p, t, &dirty), 0);
        ck_assert_int_eq(peer_wait(p, old, &dirty), 0);
        ck_assert(p->is_dirty);
        make_older(t, TTL_USEC + USEC_PER_SEC);
        ck_assert_uint_eq(expire(), 1);
        ck_assert_uint_eq(p->n_waiters, 1);
        results.size_max = 0;
        trim();
        ck_assert_uint_eq(p->n_waiters, 0);
        ck_assert(!p->is_dirty);
        ck_assert(TAILQ_EMPTY(&dirty));
}
END_TEST

/* It is no result any more, but still there. */
START_TEST(test_remove) {
        Task *t = add(), *other = add();
        TaskId id = t->id;

        results_remove(&results, t);
        ck_assert_uint_eq(results.n, 1);
        make_older(t, TTL_USEC + USEC_PER_SEC);
        results.size_max = 0;
        ck_assert_uint_eq(expire(), 0);
        ck_assert_ptr_eq(TAILQ_FIRST(&results.by_age), other);
        trim();
        ck_assert_uint_eq(results.n, 0);
        ck_assert(exists(&id));
}
END_TEST

static unsigned n_forgotten;
static TaskId forgotten;

static void note_forgotten(const Task *t, void *userdata) {
        ck_assert_ptr_eq(userdata, &results);
        ck_assert_ptr_eq(task_find(&table, &t->id), t);
        forgotten = t->id;
        n_forgotten++;
}

/* Whatever frees one says so before. */
START_TEST(test_forget) {
        Task *old = add(), *t = add();
        TaskId old_id = old->id, id = t->id, last = add()->id;

        results.forget = note_forgotten;
        results.userdata = &results;
        make_older(old, TTL_USEC + USEC_PER_SEC);
        ck_assert_uint_eq(expire(), 1);
        ck_assert_uint_eq(n_forgotten, 1);
        ck_assert_id_eq(forgotten, old_id);
        results_drop(&results, &table, &dirty, t);
        ck_assert_uint_eq(n_forgotten, 2);
        ck_assert_id_eq(forgotten, id);
        results.size_max = 0;
        trim();
        ck_assert_uint_eq(n_forgotten, 3);
        ck_assert_id_eq(forgotten, last);
}
END_TEST

static size_t make_room(uint64_t bytes) {
        return results_make_room(&results, &table, &dirty, bytes);
}

/* Results leave for others, the least recently used first, no more than are needed, and none in vain. */
START_TEST(test_make_room) {
        char text[1001] = "";
        TaskId id[6];

        memset(text, 'x', 1000);
        for (size_t i = 0; i < ELEMENTSOF(id); i++)
                id[i] = add_large(text)->id;
        ck_assert(results_access(&results, task_find(&table, &id[0])));
        ck_assert_uint_ge(results.stored_bytes, 6000);
        ck_assert_uint_eq(make_room(0), 0);
        ck_assert_uint_eq(make_room(results.stored_bytes + 1), 0);
        ck_assert_uint_eq(results.n, 6);
        ck_assert_uint_eq(make_room(1), 1);
        ck_assert(!exists(&id[1]));
        ck_assert_uint_eq(make_room(2400), 3);
        ck_assert(exists(&id[0]));
        ck_assert(exists(&id[5]));
        ck_assert_uint_eq(results.n, 2);
        ck_assert_uint_eq(make_room(results.stored_bytes), 2);
        ck_assert_uint_eq(results.stored_bytes, 0);
        ck_assert_uint_eq(results.bytes, 0);
        ck_assert_uint_eq(make_room(1), 0);
}
END_TEST

/* Those that the store does not have give it no room. */
START_TEST(test_make_room_in_memory) {
        Task *in_memory = make_task(&table, make_type(&types, "a"), PRIORITY_NORMAL);
        TaskId memory_id = in_memory->id, id;

        in_memory->in_memory = true;
        succeed(&table, in_memory);
        results_add(&results, in_memory);
        ck_assert_uint_eq(results.stored_bytes, 0);
        ck_assert_uint_eq(make_room(1), 0);
        id = add()->id;
        ck_assert_uint_eq(make_room(1), 1);
        ck_assert(!exists(&id));
        ck_assert(exists(&memory_id));
}
END_TEST

/* In small steps. */
START_TEST(test_make_room_step) {
        results.size_max = 5000;
        for (size_t i = 0; i < 2500; i++)
                (void) add();
        ck_assert_uint_eq(make_room(results.stored_bytes), 1000);
        ck_assert_uint_eq(make_room(results.stored_bytes), 1000);
        ck_assert_uint_eq(make_room(results.stored_bytes), 500);
        ck_assert_uint_eq(results.n, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("results");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, test_trim);
        tcase_add_test(t, test_least_recently_used);
        tcase_add_test(t, test_bytes);
        tcase_add_test(t, test_no_cache);
        tcase_add_test(t, test_expiry);
        tcase_add_test(t, test_is_expired);
        tcase_add_test(t, test_expire_all);
        tcase_add_test(t, test_for_ever);
        tcase_add_test(t, test_waiters);
        tcase_add_test(t, test_remove);
        tcase_add_test(t, test_forget);
        tcase_add_test(t, test_make_room);
        tcase_add_test(t, test_make_room_in_memory);
        tcase_add_test(t, test_make_room_step);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
