/* SPDX-License-Identifier: MIT */

/* Which worker gets a task. */

#include "controld-test.h"
#include "dispatch.h"

static TaskType *types;
static WorkerRegistry registry;
static Peer peer; /* one stands for all: only that there is one matters here */
static TaskType *type;

static void setup(void) {
        worker_registry_init(&registry);
        type = make_type(&types, "a");
}

static void teardown(void) {
        Worker *w, *next;

        HASH_ITER(hh, registry.workers, w, next) {
                w->n_leased = 0;
                worker_free(&registry, w);
        }
        task_types_free(&types);
}

static Worker *add(const char *id, uint32_t slots, uint32_t capacity, uint32_t n_leased) {
        Worker *w = make_worker(&registry, id, type, &peer);

        w->slots = slots;
        w->capacity = capacity;
        w->n_leased = n_leased;
        return w;
}

START_TEST(test_nobody) {
        ck_assert_ptr_null(dispatch_choose(&type->lane));
        ck_assert(!dispatch_is_offered(type));
        add("w", 1, 1, 0);
        ck_assert(!dispatch_is_offered(make_type(&types, "b")));
        ck_assert_ptr_null(dispatch_choose(&make_type(&types, "b")->lane));
}
END_TEST

/* Load is a fraction of the slots: two of four is less than one of one. */
START_TEST(test_least_loaded) {
        Worker *one = add("one", 1, 2, 1), *four = add("four", 4, 8, 2), *two = add("two", 2, 4, 1);

        four->last_assigned = 5;
        two->last_assigned = 6;
        ck_assert_ptr_eq(dispatch_choose(&type->lane), four);
        four->n_leased = 3;
        ck_assert_ptr_eq(dispatch_choose(&type->lane), two);
        two->n_leased = 4;
        ck_assert_ptr_eq(dispatch_choose(&type->lane), four);
        four->n_leased = 8;
        ck_assert_ptr_eq(dispatch_choose(&type->lane), one);
        one->n_leased = 2;
        ck_assert_ptr_null(dispatch_choose(&type->lane));
        ck_assert(dispatch_is_offered(type));
}
END_TEST

/* Of equally loaded ones, in whatever order they came, the one that was given a task the longest
 * ago. */
START_TEST(test_ties) {
        Worker *a = add("a", 2, 4, 1), *b = add("b", 4, 8, 2), *c = add("c", 2, 4, 1);

        a->last_assigned = 3;
        b->last_assigned = 1;
        c->last_assigned = 2;
        ck_assert_ptr_eq(dispatch_choose(&type->lane), b);
        b->last_assigned = 4;
        ck_assert_ptr_eq(dispatch_choose(&type->lane), c);
        c->last_assigned = 5;
        ck_assert_ptr_eq(dispatch_choose(&type->lane), a);
}
END_TEST

/* The largest numbers that a worker may announce do not overflow. */
START_TEST(test_large_numbers) {
        Worker *a = add("a", WORKER_SLOTS_MAX, WORKER_CAPACITY_MAX, WORKER_CAPACITY_MAX - 1),
               *b = add("b", WORKER_SLOTS_MAX, WORKER_CAPACITY_MAX, WORKER_CAPACITY_MAX - 2);

        ck_assert_ptr_eq(dispatch_choose(&type->lane), b);
        b->n_leased = WORKER_CAPACITY_MAX;
        ck_assert_ptr_eq(dispatch_choose(&type->lane), a);
}
END_TEST

START_TEST(test_not_available) {
        Worker *w = add("w", 1, 1, 0);

        ck_assert_ptr_eq(dispatch_choose(&type->lane), w);
        ck_assert(dispatch_is_offered(type));

        w->state = WORKER_DRAINING;
        ck_assert_ptr_null(dispatch_choose(&type->lane));
        ck_assert(!dispatch_is_offered(type));
        w->state = WORKER_INACTIVE;
        ck_assert_ptr_null(dispatch_choose(&type->lane));
        ck_assert(!dispatch_is_offered(type));
        w->state = WORKER_ACTIVE;

        /* Soon back, or given up: until then the type counts as offered. */
        w->lost_usec = 1;
        ck_assert_ptr_null(dispatch_choose(&type->lane));
        ck_assert(dispatch_is_offered(type));
        w->lost_usec = 0;

        w->is_stalled = true;
        ck_assert_ptr_null(dispatch_choose(&type->lane));
        w->is_stalled = false;

        worker_detach(w);
        ck_assert_ptr_null(dispatch_choose(&type->lane));
}
END_TEST

/* The local worker stands in while no other active one offers the type, not when they are just
 * busy. */
START_TEST(test_local) {
        Worker *local = add("local", 1, 1, 0), *w;

        local->local = true;
        ck_assert_ptr_eq(dispatch_choose(&type->lane), local);
        ck_assert(!dispatch_is_offered(type));
        local->n_leased = 1;
        ck_assert_ptr_null(dispatch_choose(&type->lane));
        local->n_leased = 0;

        w = add("w", 1, 1, 0);
        ck_assert_ptr_eq(dispatch_choose(&type->lane), w);
        ck_assert(dispatch_is_offered(type));
        w->n_leased = 1;
        ck_assert_ptr_null(dispatch_choose(&type->lane));
        w->state = WORKER_DRAINING;
        ck_assert_ptr_eq(dispatch_choose(&type->lane), local);
}
END_TEST

/* Tasks handed out one by one spread as evenly as slots allow. */
START_TEST(test_spread) {
        Worker *w[] = { add("a", 1, 1000, 0), add("b", 1, 1000, 0), add("c", 2, 1000, 0) };

        for (unsigned i = 0; i < 400; i++) {
                Worker *chosen = dispatch_choose(&type->lane);

                chosen->n_leased++;
                chosen->last_assigned = ++registry.n_assigned;
        }
        ck_assert_uint_eq(w[0]->n_leased, 100);
        ck_assert_uint_eq(w[1]->n_leased, 100);
        ck_assert_uint_eq(w[2]->n_leased, 200);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("dispatch");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, test_nobody);
        tcase_add_test(t, test_least_loaded);
        tcase_add_test(t, test_ties);
        tcase_add_test(t, test_large_numbers);
        tcase_add_test(t, test_not_available);
        tcase_add_test(t, test_local);
        tcase_add_test(t, test_spread);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
