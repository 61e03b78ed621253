/* SPDX-License-Identifier: MIT */

/* Schedules in the store: what is set, how far each is, and that its tasks come with that or not at all. */

#include <stdio.h>

#include "../src/controld/store-fault.h"
#include "store-fixture.h"

typedef struct Seen {
        char text[1024];
        size_t n_tasks;
} Seen;

static Fixture f;

static int see_schedule(const StoreSchedule *s, void *userdata) {
        Seen *seen = userdata;
        size_t n = strlen(seen->text);

        (void) snprintf(seen->text + n, sizeof(seen->text) - n, "%s %.*s%s%s %ju %ju %ju %.*s\n",
                        s->name, (int) s->document.iov_len, (const char *) s->document.iov_base,
                        s->is_from_type ? " type" : "", s->is_paused ? " paused" : "",
                        (uintmax_t) s->added_usec, (uintmax_t) s->last_due_usec,
                        (uintmax_t) s->n_runs, (int) s->last_task.iov_len,
                        (const char *) s->last_task.iov_base);
        return 0;
}

static int see_task(const StoreTask *t, void *userdata) {
        ((Seen *) userdata)->n_tasks++;
        return 0;
}

/* After the store was closed and opened again. */
static void assert_holds(const char *expected, size_t n_tasks) {
        Seen seen = {};
        const StoreLoad load = { .schedule = see_schedule, .task = see_task, .userdata = &seen };

        fixture_close(&f);
        store_fault_set(&(StoreFault){});
        fixture_open(&f);
        ck_assert_int_eq(store_load(f.store, &load, NULL), 0);
        ck_assert_str_eq(seen.text, f.config.durability == STORE_NONE ? "" : expected);
        ck_assert_uint_eq(seen.n_tasks, f.config.durability == STORE_NONE ? 0 : n_tasks);
}

static StoreSchedule schedule(const char *name, const char *document) {
        return (StoreSchedule){ .name = name,
                                .document = { (char *) document, strlen(document) },
                                .added_usec = 5 };
}

static void set(const StoreSchedule *s, bool with_progress) {
        ck_assert_int_eq(store_set_schedule(f.store, s, with_progress), 0);
}

static void move(const StoreSchedule *s, uint64_t first, size_t n) {
        StoreTask tasks[10];

        for (size_t i = 0; i < n; i++)
                tasks[i] = example_task(first + i, 0);
        ck_assert_int_eq(store_move_schedule(f.store, s, tasks, n), 0);
}

static void commit(void) {
        fixture_wait(&f, store_commit(f.store));
}

START_TEST(test_life) {
        StoreSchedule a = schedule("a", "{\"x\":1}"), b = schedule("b", "{}");

        fixture_init(&f, (StoreDurability) _i);
        fixture_open(&f);
        b.is_from_type = b.is_paused = true;
        set(&b, false);
        set(&a, true);
        commit();
        assert_holds("a {\"x\":1} 5 0 0 \nb {} type paused 0 0 0 \n", 0);

        /* How far it is and what it is change apart from each other. */
        a.last_due_usec = 7;
        a.n_runs = 2;
        a.last_task = (struct iovec){ (char *) "0123456789abcdef", sizeof(TaskId) };
        move(&a, 1, 2);
        commit();
        assert_holds("a {\"x\":1} 5 7 2 0123456789abcdef\nb {} type paused 0 0 0 \n", 2);
        a.is_paused = true;
        a.n_runs = 0;
        set(&a, false);
        b.n_runs = 1;
        move(&b, 0, 0);
        commit();
        assert_holds("a {\"x\":1} paused 5 7 2 0123456789abcdef\nb {} type paused 5 0 1 \n", 2);

        /* Within one batch the order counts; what is gone does not move. */
        ck_assert_int_eq(store_forget_schedule(f.store, "a"), 0);
        move(&a, 3, 1);
        ck_assert_int_eq(store_forget_schedule(f.store, "b"), 0);
        set(&b, true);
        commit();
        assert_holds("b {} type paused 5 0 1 \n", 3);
        fixture_done(&f);
}
END_TEST

/* A batch without room: what is left out is the tasks, and how far the schedule would be with them. The rest waits. */
START_TEST(test_refused) {
        StoreSchedule a = schedule("a", "{}"), b = schedule("b", "{}");
        uint64_t ticket;

        fixture_init(&f, STORE_FULL);
        f.expects_refusals = true;
        store_fault_set(&(StoreFault){});
        fixture_open(&f);
        set(&a, true);
        commit();
        store_fault_set(&(StoreFault){ .point = STORE_FAULT_WRITE,
                                       .action = STORE_FAULT_ENOSPC,
                                       .n = 1,
                                       .count = UINT64_MAX });
        a.n_runs = 1;
        move(&a, 1, 2);
        set(&b, true);
        ticket = store_commit(f.store);
        while (f.n_refused == 0)
                fixture_turn(&f);
        ck_assert_uint_eq(f.refused[0], ticket);
        store_fault_set(&(StoreFault){});
        fixture_wait(&f, ticket);
        assert_holds("a {} 5 0 0 \nb {} 5 0 0 \n", 0);
        /* And then again. */
        move(&a, 3, 2);
        commit();
        assert_holds("a {} 5 0 1 \nb {} 5 0 0 \n", 2);
        fixture_done(&f);
}
END_TEST

int main(void) {
        TCase *t = tcase_create("all");

        tcase_set_timeout(t, 60);
        tcase_add_loop_test(t, test_life, 0, _STORE_DURABILITY_MAX);
        tcase_add_test(t, test_refused);
        return fixture_run("store_schedules", t);
}
