/* SPDX-License-Identifier: MIT */

/* The heap of tasks that wait for a time, and its timer. */

#include "controld-test.h"
#include "timers.h"

static TaskTable table;
static TaskType *types;
static sd_event *event;
static Timers timers;
static unsigned n_fired;

static int on_time(sd_event_source *s, uint64_t usec, void *userdata) {
        n_fired++;
        return 0;
}

static void setup(void) {
        ck_assert_int_eq(sd_event_new(&event), 0);
        ck_assert_int_ge(timers_init(&timers, event, on_time, NULL), 0);
        n_fired = 0;
}

static void teardown(void) {
        timers_done(&timers);
        task_table_done(&table);
        task_types_free(&types);
        sd_event_unref(event);
}

/* 0: no such time. */
static Task *add(uint64_t due, uint64_t expires) {
        TaskSpec spec = make_spec(make_type(&types, "a"), PRIORITY_NORMAL);
        Task *t = NULL;

        ck_assert_int_eq(task_new(&table, &spec, &t), 0);
        task_set_state(&table, t, due > 0 ? TASK_SCHEDULED : TASK_QUEUED);
        t->sequence = HASH_COUNT(table.tasks);
        ck_assert_ptr_nonnull(task_extra_get(t));
        t->extra->due_usec = due;
        t->extra->expires_usec = expires;
        ck_assert_int_eq(timers_reserve(&timers, timers.n + 1), 0);
        timers_add(&timers, t);
        return t;
}

static bool is_heap(void) {
        for (size_t i = 0; i < timers.n; i++)
                if (timers.heap[i]->extra->timer != i + 1)
                        return false;
        return true;
}

/* Through the whole range, with tasks taken out at any place meanwhile. */
START_TEST(test_order) {
        enum { N = 2000 };
        static Task *tasks[N];
        uint64_t x = 1, last = 0, last_sequence = 0;
        size_t n = 0, n_removed = 0;
        Task *t;

        for (size_t i = 0; i < N; i++) {
                x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
                tasks[i] = add(1 + (x >> 33) % 500, 0);
        }
        for (size_t i = 0; i < N; i += 7, n_removed++) {
                timers_remove(&timers, tasks[i]);
                timers_remove(&timers, tasks[i]); /* no harm */
                ck_assert(is_heap());
        }
        ck_assert_ptr_null(timers_due(&timers, 0));
        while ((t = timers_due(&timers, 500))) {
                ck_assert_uint_ge(t->extra->due_usec, last);
                if (t->extra->due_usec == last)
                        ck_assert_uint_gt(t->sequence, last_sequence);
                last = t->extra->due_usec;
                last_sequence = t->sequence;
                ck_assert_uint_eq(t->extra->timer, 0);
                n++;
        }
        ck_assert_uint_eq(n, N - n_removed);
        ck_assert_uint_eq(timers.n, 0);
}
END_TEST

START_TEST(test_which_time) {
        Task *queued = add(0, 30), *waits = add(20, 0), *both = add(25, 10), *late = add(5, 40);

        add(0, 0);
        ck_assert_uint_eq(timers.n, 4);
        ck_assert_ptr_null(timers_due(&timers, 4));
        ck_assert_ptr_eq(timers_due(&timers, 100), late);
        ck_assert_ptr_eq(timers_due(&timers, 100), both);
        ck_assert_ptr_eq(timers_due(&timers, 100), waits);
        ck_assert_ptr_eq(timers_due(&timers, 100), queued);
        /* Once it is queued only its expiry counts. */
        task_set_state(&table, late, TASK_QUEUED);
        timers_add(&timers, late);
        ck_assert_ptr_null(timers_due(&timers, 39));
        ck_assert_ptr_eq(timers_due(&timers, 40), late);
}
END_TEST

START_TEST(test_timer) {
        uint64_t now = now_usec(CLOCK_REALTIME), armed = 0;
        int enabled;
        Task *later;

        ck_assert_int_eq(timers_arm(&timers), 0);
        ck_assert_int_ge(sd_event_source_get_enabled(timers.source, &enabled), 0);
        ck_assert_int_eq(enabled, SD_EVENT_OFF);

        later = add(now + 3600 * USEC_PER_SEC, 0);
        ck_assert_int_eq(timers_arm(&timers), 0);
        ck_assert_int_ge(sd_event_source_get_time(timers.source, &armed), 0);
        ck_assert_uint_eq(armed, later->extra->due_usec);
        ck_assert_int_eq(sd_event_run(event, 0), 0);
        ck_assert_uint_eq(n_fired, 0);

        add(now, 0);
        ck_assert_int_eq(timers_arm(&timers), 0);
        ck_assert_int_gt(sd_event_run(event, 10 * USEC_PER_SEC), 0);
        ck_assert_uint_eq(n_fired, 1);
        /* One that is not taken out is told of again. */
        ck_assert_int_eq(timers_arm(&timers), 0);
        ck_assert_int_gt(sd_event_run(event, 10 * USEC_PER_SEC), 0);
        ck_assert_uint_eq(n_fired, 2);

        ck_assert_ptr_nonnull(timers_due(&timers, now));
        timers_remove(&timers, later);
        ck_assert_int_eq(timers_arm(&timers), 0);
        ck_assert_int_ge(sd_event_source_get_enabled(timers.source, &enabled), 0);
        ck_assert_int_eq(enabled, SD_EVENT_OFF);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("timers");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, test_order);
        tcase_add_test(t, test_which_time);
        tcase_add_test(t, test_timer);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
