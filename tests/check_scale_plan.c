/* SPDX-License-Identifier: MIT */

/* Whom to wake, and when: the decisions, with a clock of the test's own. */

#include "controld-test.h"
#include "fail-alloc.h"
#include "scale-plan.h"

#define TIMEOUT (10 * USEC_PER_SEC)

static ScalePlan plan;
static TaskType *types, *type_a, *type_b, *type_c;
static WorkerRegistry registry;
static uint64_t now; /* as it is for the plan */

static void setup(void) {
        now = 1000 * USEC_PER_SEC;
        worker_registry_init(&registry);
        type_a = make_type(&types, "a");
        type_b = make_type(&types, "b");
        type_c = make_type(&types, "c");
        ck_assert_int_eq(scale_plan_init(&plan, 4, TIMEOUT), 0);
}

static void teardown(void) {
        Worker *w, *next;

        scale_plan_done(&plan);
        HASH_ITER(hh, registry.workers, w, next)
                worker_free(&registry, w);
        task_types_free(&types);
}

static Instance *instance(unsigned number) {
        Instance *i = &plan.instances[number - 1];

        ck_assert_uint_eq(i->number, number);
        return i;
}

static Worker *worker(const char *id, TaskType *a, TaskType *b) {
        Worker *w = make_worker(&registry, id, NULL, NULL);
        TaskType *offered[] = { a, b };

        ck_assert_int_eq(worker_set_types(w, offered, b ? 2 : 1), 0);
        return w;
}

/* Wakes it and has it register. */
static void start(unsigned number, const Worker *w) {
        instance_woken(&plan, instance(number), now);
        ck_assert_int_eq(instance_registered(&plan, instance(number), w, now), 0);
}

/* Each state's number of instances agrees with the instances. */
static void check_counts(void) {
        size_t n[_INSTANCE_STATE_MAX] = {};

        for (size_t i = 0; i < plan.n; i++)
                n[plan.instances[i].state]++;
        for (int s = 0; s < _INSTANCE_STATE_MAX; s++)
                ck_assert_uint_eq(plan.n_in_state[s], n[s]);
}

static unsigned chosen(const TaskType *type) {
        const Instance *i = scale_plan_choose(&plan, type);

        return i ? i->number : 0;
}

/* --- how many --------------------------------------------------------------------------------- */

START_TEST(test_wave) {
        static const struct {
                size_t last;      /* how many were woken together before */
                bool waking;      /* one has not come yet */
                uint64_t n_tasks; /* that wait */
                size_t wave;
        } rows[] = {
                { 0, false, 1, 1 },   { 0, false, 500, 1 },         { 1, false, 500, 2 },
                { 2, false, 500, 4 }, { 4, false, 500, 8 },         { 4, false, 3, 3 },
                { 1, false, 1, 1 },   { 0, true, 500, 0 },          { 4, true, 500, 0 },
                { 0, false, 0, 0 },   { 8, false, UINT64_MAX, 16 },
        };

        if (rows[_i].waking)
                instance_woken(&plan, instance(1), now);
        scale_plan_end_wave(&plan, rows[_i].last);
        ck_assert_uint_eq(scale_plan_wave(&plan, rows[_i].n_tasks), rows[_i].wave);
}
END_TEST

/* --- whom ------------------------------------------------------------------------------------- */

START_TEST(test_first_of_all) {
        ck_assert_uint_eq(chosen(type_a), 1);
        instance_woken(&plan, instance(1), now);
        ck_assert_uint_eq(chosen(type_a), 2);
        check_counts();
}
END_TEST

START_TEST(test_known_types) {
        start(1, worker("w1", type_a, NULL));
        start(2, worker("w2", type_b, type_a));
        instance_gone(&plan, instance(1), 1, now);
        instance_gone(&plan, instance(2), 1, now);
        ck_assert_uint_eq(chosen(type_a), 1);
        ck_assert_uint_eq(chosen(type_b), 2);
        ck_assert_uint_eq(chosen(type_c), 3); /* never seen, may offer it */
        ck_assert_uint_eq(chosen(NULL), 3);

        start(3, worker("w3", type_a, NULL));
        start(4, worker("w4", type_a, NULL));
        ck_assert(!scale_plan_may_help(&plan, type_c));
        ck_assert(!scale_plan_may_help(&plan, NULL));
        ck_assert(scale_plan_may_help(&plan, type_b));
        instance_gone(&plan, instance(3), 1, now);
        ck_assert_uint_eq(chosen(type_c), 0);
        ck_assert(!scale_plan_may_help(&plan, type_c));

        /* It was given other modules meanwhile. */
        start(3, worker("w5", type_c, NULL));
        instance_gone(&plan, instance(3), 1, now);
        ck_assert_uint_eq(chosen(type_c), 3);
        check_counts();
}
END_TEST

START_TEST(test_no_types) {
        Worker *w = make_worker(&registry, "w", NULL, NULL);

        for (unsigned n = 1; n <= 4; n++) {
                start(n, w);
                instance_gone(&plan, instance(n), 1, now);
        }
        ck_assert_uint_eq(chosen(type_a), 0);
        ck_assert_uint_eq(chosen(NULL), 0);
}
END_TEST

/* One that is on its way may help, too, unless it is known that it does not. */
START_TEST(test_help_on_its_way) {
        Worker *w = worker("w", type_a, NULL);

        for (unsigned n = 2; n <= 4; n++)
                start(n, w);
        instance_woken(&plan, instance(1), now);
        ck_assert_uint_eq(chosen(type_b), 0);
        ck_assert(scale_plan_may_help(&plan, type_b));
        ck_assert(scale_plan_may_help(&plan, NULL));
        ck_assert_int_eq(instance_registered(&plan, instance(1), w, now), 0);
        ck_assert(!scale_plan_may_help(&plan, type_b));
        instance_gone(&plan, instance(1), 1, now);
        instance_woken(&plan, instance(1), now);
        ck_assert(!scale_plan_may_help(&plan, type_b));
        ck_assert(scale_plan_may_help(&plan, type_a));
}
END_TEST

/* Those whose starts were of no use come last. */
START_TEST(test_useless_last) {
        Worker *w = worker("w", type_a, NULL);

        instance_unreachable(&plan, instance(1), ECONNREFUSED, now);
        start(2, w);
        instance_gone(&plan, instance(2), 0, now);
        ck_assert_int_eq(instance(1)->state, INSTANCE_FAILED);
        ck_assert_int_eq(instance(1)->error, ECONNREFUSED);
        ck_assert_int_eq(instance(2)->state, INSTANCE_RESTING);
        ck_assert_uint_eq(chosen(type_a), 3);
        now += USEC_PER_MINUTE;
        ck_assert_ptr_null(scale_plan_pass(&plan, now));
        ck_assert_int_eq(instance(1)->state, INSTANCE_ASLEEP);
        ck_assert_int_eq(instance(1)->error, 0);
        ck_assert_int_eq(instance(2)->state, INSTANCE_ASLEEP);
        ck_assert_uint_eq(chosen(type_a), 3);
        start(3, w);
        start(4, w);
        ck_assert_uint_eq(chosen(type_a), 1);

        /* A task that it did makes up for it. */
        start(2, w);
        instance_gone(&plan, instance(2), 1, now);
        ck_assert_uint_eq(chosen(type_a), 2);
        check_counts();
}
END_TEST

/* --- time ------------------------------------------------------------------------------------- */

START_TEST(test_overdue) {
        instance_woken(&plan, instance(2), now);
        instance_woken(&plan, instance(3), now + 1);
        ck_assert_ptr_null(scale_plan_pass(&plan, now + TIMEOUT - 1));
        ck_assert_ptr_eq(scale_plan_pass(&plan, now + TIMEOUT), instance(2));
        ck_assert_ptr_null(scale_plan_pass(&plan, now + TIMEOUT));
        ck_assert_ptr_eq(scale_plan_pass(&plan, now + TIMEOUT + 1), instance(3));
        ck_assert_int_eq(instance(2)->state, INSTANCE_FAILED);
        ck_assert_int_eq(instance(2)->error, 0);
        ck_assert_uint_eq(plan.n_failures, 2);
        check_counts();

        /* Late, but there. */
        ck_assert_int_eq(instance_registered(&plan, instance(2), worker("w", type_a, NULL), now),
                         0);
        ck_assert_int_eq(instance(2)->state, INSTANCE_RUNNING);
        ck_assert_ptr_null(scale_plan_pass(&plan, UINT64_MAX - 1));
        ck_assert_int_eq(instance(2)->state, INSTANCE_RUNNING);
        check_counts();
}
END_TEST

static uint64_t failure_pause(void) {
        instance_unreachable(&plan, instance(1), ENOENT, now);
        return instance(1)->until_usec - now;
}

static uint64_t rest_pause(void) {
        instance_gone(&plan, instance(1), 0, now);
        return instance(1)->until_usec - now;
}

/* Each time twice as long, up to a limit. */
static void check_pauses(uint64_t (*pause)(void), uint64_t first, uint64_t last) {
        uint64_t expected = first;

        for (int i = 0; i < 100; i++) {
                ck_assert_uint_eq(pause(), expected);
                ck_assert_uint_eq(chosen(type_a), 2);
                ck_assert_ptr_null(scale_plan_pass(&plan, now + expected - 1));
                ck_assert_int_ne(instance(1)->state, INSTANCE_ASLEEP);
                ck_assert_ptr_null(scale_plan_pass(&plan, now + expected));
                ck_assert_int_eq(instance(1)->state, INSTANCE_ASLEEP);
                now += expected;
                expected = MIN(expected * 2, last);
        }
        instance_gone(&plan, instance(1), 1, now);
        ck_assert_int_eq(instance(1)->state, INSTANCE_ASLEEP);
        ck_assert_uint_eq(pause(), first);
        check_counts();
}

START_TEST(test_pause_after_failure) {
        check_pauses(failure_pause, 5 * USEC_PER_SEC, USEC_PER_MINUTE);
}
END_TEST

START_TEST(test_pause_without_task) {
        check_pauses(rest_pause, USEC_PER_SEC, 30 * USEC_PER_SEC);
}
END_TEST

/* Whoever remembers something as of a generation learns that it has changed. */
START_TEST(test_generation) {
        uint64_t g = plan.generation;
        Worker *w = worker("w", type_a, NULL);

#define ck_assert_changed()                            \
        do {                                           \
                ck_assert_uint_gt(plan.generation, g); \
                g = plan.generation;                   \
        } while (false)
        ck_assert_uint_gt(g, 0);
        instance_woken(&plan, instance(1), now);
        ck_assert_changed();
        ck_assert_int_eq(instance_registered(&plan, instance(1), w, now), 0);
        ck_assert_changed();
        ck_assert_int_eq(instance_registered(&plan, instance(1), w, now), 0); /* other types */
        ck_assert_changed();
        instance_gone(&plan, instance(1), 0, now);
        ck_assert_changed();
        ck_assert_ptr_null(scale_plan_pass(&plan, now));
        ck_assert_uint_eq(plan.generation, g);
        ck_assert_ptr_null(scale_plan_pass(&plan, now + USEC_PER_MINUTE));
        ck_assert_changed();
        instance_unreachable(&plan, instance(1), ENOENT, now);
        ck_assert_changed();
}
END_TEST

START_TEST(test_no_memory) {
        Worker *w = worker("w", type_a, NULL);
        Instance *first = instance(1); /* a check allocates, too */
        ScalePlan other;
        int r;

        fail_alloc_at(1);
        r = scale_plan_init(&other, 4, TIMEOUT);
        ck_assert_int_eq(r, -ENOMEM);
        ck_assert(fail_alloc_happened());
        fail_alloc_at(1);
        r = instance_registered(&plan, first, w, now);
        ck_assert_int_eq(r, -ENOMEM);
        ck_assert(fail_alloc_happened());
        ck_assert_int_eq(instance(1)->state, INSTANCE_RUNNING);
        instance_gone(&plan, instance(1), 1, now);
        ck_assert_uint_eq(chosen(type_b), 1); /* as if it had never been seen */
}
END_TEST

START_TEST(test_none) {
        ScalePlan none;

        ck_assert_int_eq(scale_plan_init(&none, 0, TIMEOUT), 0);
        ck_assert(!scale_plan_may_help(&none, type_a));
        ck_assert(!scale_plan_may_help(&none, NULL));
        ck_assert_ptr_null(scale_plan_choose(&none, NULL));
        ck_assert_ptr_null(scale_plan_pass(&none, now));
        scale_plan_done(&none);
}
END_TEST

START_TEST(test_state_names) {
        for (int s = 0; s < _INSTANCE_STATE_MAX; s++)
                ck_assert_int_eq(instance_state_from_string(instance_state_to_string(s)), s);
        ck_assert_int_eq(instance_state_from_string("dead"), _INSTANCE_STATE_INVALID);
}
END_TEST

int main(void) {
        Suite *s = suite_create("scale-plan");
        TCase *t = tcase_create("scale-plan");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_loop_test(t, test_wave, 0, 11);
        tcase_add_test(t, test_first_of_all);
        tcase_add_test(t, test_known_types);
        tcase_add_test(t, test_no_types);
        tcase_add_test(t, test_help_on_its_way);
        tcase_add_test(t, test_useless_last);
        tcase_add_test(t, test_overdue);
        tcase_add_test(t, test_pause_after_failure);
        tcase_add_test(t, test_pause_without_task);
        tcase_add_test(t, test_generation);
        tcase_add_test(t, test_no_memory);
        tcase_add_test(t, test_none);
        tcase_add_test(t, test_state_names);
        suite_add_tcase(s, t);
        return check_run(s);
}
