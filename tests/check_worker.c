/* SPDX-License-Identifier: MIT */

/* The registry of subworkers. */

#include <signal.h>

#include "controld-test.h"
#include "fail-alloc.h"
#include "time-util.h"

static WorkerRegistry registry;
static TaskType *types;
static Peer peers[2];

static void setup(void) {
        worker_registry_init(&registry);
}

static void teardown(void) {
        Worker *w, *next;

        HASH_ITER(hh, registry.workers, w, next)
                worker_free(&registry, w);
        task_types_free(&types);
}

static Worker *add(const char *id) {
        Worker *w = NULL;

        ck_assert_int_eq(worker_new(&registry, id, &w), 0);
        return w;
}

START_TEST(test_new) {
        char id[] = "sw1";
        Worker *w = add(id);

        memset(id, 'x', sizeof(id) - 1); /* it has a copy */
        ck_assert_str_eq(w->id, "sw1");
        ck_assert_int_eq(w->state, WORKER_INACTIVE);
        ck_assert_ptr_null(w->peer);
        ck_assert_uint_eq(w->n_leased, 0);
        ck_assert(TAILQ_EMPTY(&w->leases));
        ck_assert_ptr_eq(worker_find(&registry, "sw1"), w);
        ck_assert_ptr_null(worker_find(&registry, "sw"));
        ck_assert_ptr_null(worker_find(&registry, "sw12"));
        ck_assert_ptr_null(worker_free(&registry, w));
        ck_assert_ptr_null(worker_find(&registry, "sw1"));
        ck_assert_ptr_null(worker_free(&registry, NULL));
}
END_TEST

/* At the limit the one that is inactive for the longest makes room, but nobody else. */
START_TEST(test_limit) {
        Worker *w = NULL;
        char id[16];

        for (unsigned i = 0; i < WORKERS_MAX; i++) {
                (void) snprintf(id, sizeof(id), "w%u", i);
                w = add(id);
                w->state = i % 2 == 0 ? WORKER_ACTIVE : WORKER_DRAINING;
                w->last_seen_usec = WORKERS_MAX - i;
        }
        w = NULL;
        ck_assert_int_eq(worker_new(&registry, "one-more", &w), -ENOSPC);
        ck_assert_ptr_null(w);

        worker_find(&registry, "w17")->state = WORKER_INACTIVE;
        worker_find(&registry, "w18")->state = WORKER_INACTIVE;
        worker_find(&registry, "w16")->state = WORKER_INACTIVE;
        ck_assert_int_eq(worker_new(&registry, "one-more", &w), 0);
        ck_assert_ptr_nonnull(worker_find(&registry, "w17"));
        ck_assert_ptr_nonnull(worker_find(&registry, "w16"));
        ck_assert_ptr_null(worker_find(&registry, "w18"));
        ck_assert_uint_eq(HASH_COUNT(registry.workers), WORKERS_MAX);
}
END_TEST

/* A worker has one connection, a connection one worker, and both know. */
START_TEST(test_attach) {
        Worker *w = add("w");

        w->lost_usec = 1;
        worker_attach(w, &peers[0]);
        ck_assert_ptr_eq(w->peer, &peers[0]);
        ck_assert_ptr_eq(peers[0].worker, w);
        ck_assert_uint_eq(w->lost_usec, 0);
        worker_attach(w, &peers[0]);
        ck_assert_ptr_eq(peers[0].worker, w);
        worker_attach(w, &peers[1]);
        ck_assert_ptr_null(peers[0].worker);
        ck_assert_ptr_eq(peers[1].worker, w);
        worker_detach(w);
        ck_assert_ptr_null(peers[1].worker);
        ck_assert_ptr_null(w->peer);
        worker_detach(w);

        worker_attach(w, &peers[0]);
        worker_free(&registry, w);
        ck_assert_ptr_null(peers[0].worker);
}
END_TEST

START_TEST(test_types) {
        TaskType *a = make_type(&types, "a"), *b = make_type(&types, "b"),
                 *c = make_type(&types, "c"), *first[] = { a, b }, *second[] = { b, c };
        Worker *w = add("w"), *other = add("other");

        ck_assert_int_eq(worker_set_types(other, first, 2), 0);
        ck_assert_int_eq(worker_set_types(w, first, 2), 0);
        ck_assert_uint_eq(a->n_workers, 2);
        ck_assert_int_eq(worker_set_types(w, second, 2), 0);
        ck_assert_uint_eq(w->n_types, 2);
        ck_assert_ptr_eq(w->types[0], b);
        ck_assert_ptr_eq(w->types[1], c);
        ck_assert_uint_eq(a->n_workers, 1);
        ck_assert_ptr_eq(a->workers[0], other);
        ck_assert_uint_eq(b->n_workers, 2);
        ck_assert_uint_eq(c->n_workers, 1);
        ck_assert_int_eq(worker_set_types(w, NULL, 0), 0);
        ck_assert_uint_eq(w->n_types, 0);
        ck_assert_uint_eq(b->n_workers, 1);
        ck_assert_uint_eq(c->n_workers, 0);
        worker_free(&registry, other);
        ck_assert_uint_eq(a->n_workers, 0);
        ck_assert_uint_eq(b->n_workers, 0);
}
END_TEST

START_TEST(test_seen) {
        Worker *w = add("w");
        uint64_t monotonic = now_usec(CLOCK_MONOTONIC), realtime = now_usec(CLOCK_REALTIME);

        worker_seen(w);
        ck_assert_uint_ge(w->last_seen_usec, monotonic);
        ck_assert_uint_le(w->last_seen_usec, now_usec(CLOCK_MONOTONIC));
        ck_assert_uint_ge(w->last_seen_realtime_usec, realtime);
        ck_assert_uint_le(w->last_seen_realtime_usec, now_usec(CLOCK_REALTIME));
}
END_TEST

START_TEST(test_count) {
        for (WorkerState s = 0; s < _WORKER_STATE_MAX; s++)
                ck_assert_uint_eq(worker_count(&registry, s), 0);
        add("a")->state = WORKER_ACTIVE;
        add("b")->state = WORKER_ACTIVE;
        add("c")->state = WORKER_DRAINING;
        add("d");
        make_worker(&registry, "local", NULL, NULL)->local = true;
        ck_assert_uint_eq(worker_count(&registry, WORKER_ACTIVE), 2);
        ck_assert_uint_eq(worker_count(&registry, WORKER_DRAINING), 1);
        ck_assert_uint_eq(worker_count(&registry, WORKER_INACTIVE), 1);
}
END_TEST

START_TEST(test_state_names) {
        ck_assert_str_eq(worker_state_to_string(WORKER_ACTIVE), "active");
        ck_assert_str_eq(worker_state_to_string(WORKER_DRAINING), "draining");
        ck_assert_str_eq(worker_state_to_string(WORKER_INACTIVE), "inactive");
        for (WorkerState s = 0; s < _WORKER_STATE_MAX; s++)
                ck_assert_int_eq(worker_state_from_string(worker_state_to_string(s)), s);
        ck_assert_ptr_null(worker_state_to_string(_WORKER_STATE_MAX));
        ck_assert_ptr_null(worker_state_to_string(_WORKER_STATE_INVALID));
        ck_assert_int_eq(worker_state_from_string("busy"), _WORKER_STATE_INVALID);
        ck_assert_int_eq(worker_state_from_string(NULL), _WORKER_STATE_INVALID);
}
END_TEST

START_TEST(test_no_memory) {
        TaskType *both[] = { make_type(&types, "a"), make_type(&types, "b") };
        Worker *w = NULL;
        int r;

        FAIL_EACH_ALLOC(r = worker_new(&registry, "w", &w), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_ptr_null(w);
                ck_assert_ptr_null(worker_find(&registry, "w"));
        });
        ck_assert_int_eq(r, 0);
        /* Whatever part of them it offers then, both sides agree on it. */
        FAIL_EACH_ALLOC(r = worker_set_types(w, both, 2), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_uint_lt(w->n_types, 2);
                ck_assert_uint_eq(both[0]->n_workers + both[1]->n_workers, w->n_types);
        });
        ck_assert_int_eq(r, 0);
        ck_assert_uint_eq(w->n_types, 2);
}
END_TEST

#ifndef NDEBUG
START_TEST(test_free_with_leases) {
        Worker *w = add("w");

        w->n_leased = 1;
        worker_free(&registry, w);
}
END_TEST
#endif

int main(void) {
        Suite *suite = suite_create("worker");
        TCase *t = tcase_create("all"), *mistakes = tcase_create("mistakes");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, test_new);
        tcase_add_test(t, test_limit);
        tcase_add_test(t, test_attach);
        tcase_add_test(t, test_types);
        tcase_add_test(t, test_seen);
        tcase_add_test(t, test_count);
        tcase_add_test(t, test_state_names);
        tcase_add_test(t, test_no_memory);
#ifndef NDEBUG
        tcase_add_checked_fixture(mistakes, setup, teardown);
        tcase_add_test_raise_signal(mistakes, test_free_with_leases, SIGABRT);
#endif
        suite_add_tcase(suite, t);
        suite_add_tcase(suite, mistakes);
        return check_run(suite);
}
