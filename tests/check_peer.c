/* SPDX-License-Identifier: MIT */

/* Peers, and the results they wait for. */

#include "controld-test.h"
#include "fail-alloc.h"

static Peer *peers;
static PeerList dirty = TAILQ_HEAD_INITIALIZER(dirty);
static TaskTable table;
static TaskType *types;

static Peer *get(const char *routing) {
        Peer *p = NULL;

        ck_assert_int_eq(peer_get(&peers, NULL, routing, strlen(routing), &p), 0);
        return p;
}

static void teardown(void) {
        Peer *p, *next;

        HASH_ITER(hh, peers, p, next)
                peer_free(&peers, &dirty, p);
        ck_assert(TAILQ_EMPTY(&dirty));
        task_table_done(&table);
        task_types_free(&types);
}

static Task *queued(void) {
        return make_task(&table, make_type(&types, "a"), PRIORITY_NORMAL);
}

static void end(Task *t) {
        succeed(&table, t);
        waiters_ready(t, &dirty);
}

static size_t n_in(const WaiterList *list) {
        size_t n = 0;
        Waiter *w;

        TAILQ_FOREACH(w, list, link)
                n++;
        return n;
}

/* How many wait, how many are ready to be sent, and whether the peer stands in the list of those
 * to send to. */
static void check_peer(const Peer *p, size_t waiting, size_t ready) {
        Peer *other;
        bool listed = false;

        TAILQ_FOREACH(other, &dirty, dirty)
                listed = listed || other == p;
        ck_assert_uint_eq(n_in(&p->waiting), waiting);
        ck_assert_uint_eq(n_in(&p->ready), ready);
        ck_assert_uint_eq(p->n_waiters, waiting + ready);
        ck_assert_int_eq(p->is_dirty, ready > 0);
        ck_assert_int_eq(listed, ready > 0);
        ck_assert_int_eq(peer_is_forgettable(p), waiting + ready == 0);
}

START_TEST(test_find) {
        static const char binary[] = "a\0b";
        Peer *a = get("a"), *b, *again;

        ck_assert_ptr_eq(get("a"), a);
        ck_assert_ptr_eq(peer_find(peers, "a", 1), a);
        ck_assert_ptr_null(peer_find(peers, "b", 1));
        ck_assert_int_eq(peer_get(&peers, NULL, binary, 3, &b), 0);
        ck_assert_ptr_ne(b, a);
        ck_assert_int_eq(peer_get(&peers, NULL, binary, 3, &again), 0);
        ck_assert_ptr_eq(again, b);
        ck_assert_uint_eq(b->routing_size, 3);
        ck_assert_mem_eq(b->routing, binary, 3);
        check_peer(a, 0, 0);

        a->worker = (Worker *) &types;
        ck_assert(!peer_is_forgettable(a));
        a->worker = NULL;
        ck_assert_ptr_null(peer_free(&peers, &dirty, a));
        ck_assert_ptr_null(peer_find(peers, "a", 1));
}
END_TEST

START_TEST(test_wait) {
        Task *t = queued(), *other = queued();
        Peer *p = get("p"), *q = get("q");

        ck_assert_int_eq(peer_wait(p, t, &dirty), 0);
        ck_assert_int_eq(peer_wait(p, t, &dirty), 0); /* twice is once */
        ck_assert_int_eq(peer_wait(p, other, &dirty), 0);
        ck_assert_int_eq(peer_wait(q, t, &dirty), 0);
        check_peer(p, 2, 0);
        check_peer(q, 1, 0);

        end(t);
        check_peer(p, 1, 1);
        check_peer(q, 0, 1);
        ck_assert_ptr_eq(TAILQ_FIRST(&p->ready)->task, t);
        end(other);
        check_peer(p, 0, 2);
        ck_assert_ptr_eq(TAILQ_FIRST(&p->ready)->task, t); /* in the order in which they end */

        waiter_free(TAILQ_FIRST(&p->ready), &dirty);
        check_peer(p, 0, 1);
        waiter_free(TAILQ_FIRST(&p->ready), &dirty);
        check_peer(p, 0, 0);
        waiter_free(TAILQ_FIRST(&q->ready), &dirty);
        ck_assert_ptr_null(t->waiters);
        ck_assert_ptr_null(other->waiters);
}
END_TEST

/* One that has ended already is ready at once, and asking again changes nothing. */
START_TEST(test_wait_for_the_ended) {
        Task *t = queued();
        Peer *p = get("p");

        end(t);
        ck_assert_int_eq(peer_wait(p, t, &dirty), 0);
        ck_assert_int_eq(peer_wait(p, t, &dirty), 0);
        check_peer(p, 0, 1);
        waiter_free(TAILQ_FIRST(&p->ready), &dirty);
        check_peer(p, 0, 0);
        ck_assert_int_eq(peer_wait(p, t, &dirty), 0);
        check_peer(p, 0, 1);
}
END_TEST

START_TEST(test_forget) {
        Task *waiting = queued(), *ready = queued(), *other = queued();
        Peer *p = get("p"), *q = get("q"), *r = get("r");

        ck_assert_int_eq(peer_wait(p, waiting, &dirty), 0);
        ck_assert_int_eq(peer_wait(q, waiting, &dirty), 0);
        ck_assert_int_eq(peer_wait(r, waiting, &dirty), 0);
        ck_assert_int_eq(peer_wait(p, ready, &dirty), 0);
        end(ready);
        peer_forget(p, other, &dirty); /* nothing to forget */
        check_peer(p, 1, 1);
        peer_forget(q, waiting, &dirty); /* in the middle of the task's list */
        check_peer(q, 0, 0);
        peer_forget(p, ready, &dirty);
        check_peer(p, 1, 0);
        peer_forget(p, waiting, &dirty);
        check_peer(p, 0, 0);
        check_peer(r, 1, 0);
        end(waiting);
        check_peer(p, 0, 0);
        check_peer(r, 0, 1);
}
END_TEST

/* A task that goes takes all who wait for it along, whether they were told or not. */
START_TEST(test_drop) {
        Task *waiting = queued(), *ready = queued();
        Peer *p = get("p"), *q = get("q");

        ck_assert_int_eq(peer_wait(p, waiting, &dirty), 0);
        ck_assert_int_eq(peer_wait(q, waiting, &dirty), 0);
        ck_assert_int_eq(peer_wait(p, ready, &dirty), 0);
        end(ready);
        waiters_drop(ready, &dirty);
        ck_assert_ptr_null(ready->waiters);
        check_peer(p, 1, 0);
        waiters_drop(waiting, &dirty);
        check_peer(p, 0, 0);
        check_peer(q, 0, 0);
        waiters_drop(waiting, &dirty);
}
END_TEST

/* A peer that goes takes along all that it waits for. */
START_TEST(test_free_with_waiters) {
        Task *waiting = queued(), *ready = queued();
        Peer *p = get("p"), *q = get("q");

        ck_assert_int_eq(peer_wait(p, waiting, &dirty), 0);
        ck_assert_int_eq(peer_wait(p, ready, &dirty), 0);
        ck_assert_int_eq(peer_wait(q, ready, &dirty), 0);
        end(ready);
        ck_assert_ptr_null(peer_free(&peers, &dirty, p));
        ck_assert_ptr_null(waiting->waiters);
        check_peer(q, 0, 1);
}
END_TEST

START_TEST(test_no_memory) {
        Task *t = queued();
        Peer *p = NULL;
        int r;

        FAIL_EACH_ALLOC(r = peer_get(&peers, NULL, "p", 1, &p), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_ptr_null(p);
                ck_assert_uint_eq(HASH_COUNT(peers), 0);
        });
        ck_assert_int_eq(r, 0);
        FAIL_EACH_ALLOC(r = peer_wait(p, t, &dirty), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_ptr_null(t->waiters);
                check_peer(p, 0, 0);
        });
        ck_assert_int_eq(r, 0);
        check_peer(p, 1, 0);
}
END_TEST

/* The task will be tried again: who was not told of its end waits for the next one. */
START_TEST(test_wait_again) {
        Task *t = queued(), *other = queued();
        Peer *p = get("p"), *q = get("q");

        ck_assert_int_eq(peer_wait(p, t, &dirty), 0);
        ck_assert_int_eq(peer_wait(p, other, &dirty), 0);
        ck_assert_int_eq(peer_wait(q, t, &dirty), 0);
        task_set_state(&table, t, TASK_ASSIGNED);
        task_set_state(&table, t, TASK_FAILURE);
        waiters_ready(t, &dirty);
        end(other);
        check_peer(p, 0, 2);
        waiters_wait_again(t, &dirty);
        task_set_state(&table, t, TASK_QUEUED);
        check_peer(p, 1, 1);
        check_peer(q, 1, 0);
        end(t);
        check_peer(p, 0, 2);
        check_peer(q, 0, 1);
        waiters_drop(t, &dirty);
        waiters_drop(other, &dirty);
        check_peer(p, 0, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("peer");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, NULL, teardown);
        tcase_add_test(t, test_find);
        tcase_add_test(t, test_wait);
        tcase_add_test(t, test_wait_for_the_ended);
        tcase_add_test(t, test_forget);
        tcase_add_test(t, test_drop);
        tcase_add_test(t, test_free_with_waiters);
        tcase_add_test(t, test_no_memory);
        tcase_add_test(t, test_wait_again);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
