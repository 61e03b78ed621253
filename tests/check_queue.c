/* SPDX-License-Identifier: MIT */

/* The order in which tasks wait, last of all against a simple model of it. */

#include <sys/random.h>

#include "controld-test.h"
#include "fail-alloc.h"

#define N_TYPES 7U
#define N_TASKS 150U
#define N_STEPS 20000U

static TaskTable table;
static TaskType *types;
static Queue queue;

static void setup(void) {
        queue_init(&queue);
}

static void teardown(void) {
        task_table_done(&table);
        task_types_free(&types);
}

static Task *push(const char *type, TaskPriority p) {
        return push_task(&table, &queue, make_type(&types, type), p);
}

static QueueCursor begin(TaskPriority p) {
        QueueCursor c;

        ck_assert_int_eq(queue_cursor_begin(&c, &queue, p), 0);
        return c;
}

static Task *first(TaskPriority p) {
        QueueCursor c = begin(p);
        Task *t = queue_cursor_get(&c);

        queue_cursor_end(&c);
        return t;
}

static Task *pop(TaskPriority p) {
        QueueCursor c = begin(p);
        Task *t = queue_cursor_get(&c);

        if (t)
                queue_cursor_take(&c);
        queue_cursor_end(&c);
        return t;
}

START_TEST(test_empty) {
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                ck_assert_ptr_null(first(p));
        ck_assert_uint_eq(queue_length(&queue), 0);
}
END_TEST

/* Oldest first, whatever the types; each priority for itself. */
START_TEST(test_order) {
        Task *a = push("a", PRIORITY_NORMAL), *b = push("b", PRIORITY_NORMAL),
             *c = push("a", PRIORITY_NORMAL), *high = push("b", PRIORITY_HIGH);

        ck_assert_uint_eq(queue_length(&queue), 4);
        ck_assert_uint_eq(queue.n[PRIORITY_NORMAL], 3);
        ck_assert_uint_eq(queue.n[PRIORITY_HIGH], 1);
        ck_assert_uint_eq(make_type(&types, "a")->n_queued, 2);
        ck_assert_uint_eq(make_type(&types, "b")->n_queued, 2);

        ck_assert_ptr_null(pop(PRIORITY_CRITICAL));
        ck_assert_ptr_null(pop(PRIORITY_LOW));
        ck_assert_ptr_eq(pop(PRIORITY_HIGH), high);
        ck_assert_ptr_eq(pop(PRIORITY_NORMAL), a);
        ck_assert_ptr_eq(pop(PRIORITY_NORMAL), b);
        ck_assert_ptr_eq(pop(PRIORITY_NORMAL), c);
        ck_assert_ptr_null(pop(PRIORITY_NORMAL));
        ck_assert_uint_eq(queue_length(&queue), 0);
        ck_assert_uint_eq(make_type(&types, "a")->n_queued, 0);
}
END_TEST

/* One cursor gives them all in order, whatever their types. */
START_TEST(test_cursor) {
        static const char *const names[] = { "c", "a", "b", "a", "d", "c", "b", "b", "e", "a" };
        Task *t[ELEMENTSOF(names)];
        QueueCursor c;

        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                t[i] = push(names[i], PRIORITY_HIGH);
        c = begin(PRIORITY_HIGH);
        for (size_t i = 0; i < ELEMENTSOF(t); i++) {
                ck_assert_ptr_eq(queue_cursor_get(&c), t[i]);
                ck_assert_ptr_eq(queue_cursor_get(&c), t[i]); /* until it is taken */
                queue_cursor_take(&c);
                ck_assert_uint_eq(queue_length(&queue), ELEMENTSOF(t) - i - 1);
        }
        ck_assert_ptr_null(queue_cursor_get(&c));
        queue_cursor_end(&c);
}
END_TEST

/* A type that is skipped is left out at every priority, in that turn only; its tasks stay. */
START_TEST(test_skip) {
        Task *a = push("a", PRIORITY_NORMAL), *b = push("b", PRIORITY_NORMAL), *low;
        QueueCursor c;

        push("a", PRIORITY_NORMAL);
        low = push("a", PRIORITY_LOW);
        c = begin(PRIORITY_NORMAL);
        ck_assert_ptr_eq(queue_cursor_get(&c), a);
        queue_cursor_skip_type(&c);
        ck_assert_ptr_eq(queue_cursor_get(&c), b);
        queue_cursor_skip_type(&c);
        ck_assert_ptr_null(queue_cursor_get(&c));
        queue_cursor_end(&c);
        ck_assert_ptr_null(first(PRIORITY_NORMAL));
        ck_assert_ptr_null(first(PRIORITY_LOW));
        ck_assert_uint_eq(queue_length(&queue), 4);

        queue.turn++;
        ck_assert_ptr_eq(first(PRIORITY_NORMAL), a);
        ck_assert_ptr_eq(first(PRIORITY_LOW), low);
}
END_TEST

START_TEST(test_no_memory) {
        QueueCursor c;
        int r;

        fail_alloc_at(1);
        ck_assert_int_eq(queue_cursor_begin(&c, &queue, PRIORITY_LOW), 0); /* nothing to keep */
        queue_cursor_end(&c);
        push("a", PRIORITY_LOW);
        FAIL_EACH_ALLOC(r = queue_cursor_begin(&c, &queue, PRIORITY_LOW), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_uint_eq(queue_length(&queue), 1);
        });
        ck_assert_int_eq(r, 0);
        queue_cursor_end(&c);
}
END_TEST

/* What comes back takes its old place: in front, between, or at the end. */
START_TEST(test_reinsert) {
        Task *t[5];

        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                t[i] = push("a", PRIORITY_NORMAL);
        queue_remove(&queue, t[0]);
        queue_remove(&queue, t[2]);
        queue_remove(&queue, t[4]);
        queue_reinsert(&queue, t[2]);
        queue_reinsert(&queue, t[4]);
        queue_reinsert(&queue, t[0]);
        ck_assert_uint_eq(queue_length(&queue), 5);
        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                ck_assert_ptr_eq(pop(PRIORITY_NORMAL), t[i]);
}
END_TEST

/* Also into a queue that is empty, and before those of other types. */
START_TEST(test_reinsert_alone) {
        Task *a = push("a", PRIORITY_LOW);

        ck_assert_ptr_eq(pop(PRIORITY_LOW), a);
        push("b", PRIORITY_LOW);
        queue_reinsert(&queue, a);
        ck_assert_ptr_eq(pop(PRIORITY_LOW), a);
        ck_assert_uint_eq(queue_length(&queue), 1);
}
END_TEST

START_TEST(test_remove) {
        Task *first = push("a", PRIORITY_NORMAL), *middle = push("a", PRIORITY_NORMAL),
             *last = push("a", PRIORITY_NORMAL);

        queue_remove(&queue, middle);
        queue_remove(&queue, last);
        ck_assert_uint_eq(queue_length(&queue), 1);
        ck_assert_ptr_eq(pop(PRIORITY_NORMAL), first);
}
END_TEST

/* --- against a model -------------------------------------------------------------------------- */

/* All tasks there are; their age is their index in `order`. */
typedef struct Model {
        Task *task;
        uint64_t age;
        bool waits;
} Model;

static Model model[N_TASKS];
static size_t n_model;
static uint64_t next_age;
static unsigned seed;

static unsigned random_below(unsigned n) {
        return (unsigned) rand_r(&seed) % n;
}

/* What a queue that is searched from end to end would give. */
static Model *model_first(TaskPriority p) {
        Model *best = NULL;

        for (size_t i = 0; i < n_model; i++) {
                Model *m = &model[i];

                if (m->waits && m->task->priority == p &&
                    m->task->type->blocked_turn != queue.turn && (!best || m->age < best->age))
                        best = m;
        }
        return best;
}

static void model_compare(unsigned step) {
        uint64_t n[_PRIORITY_MAX] = {};

        for (size_t i = 0; i < n_model; i++)
                n[model[i].task->priority] += model[i].waits;
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++) {
                Model *expected = model_first(p);

                ck_assert_msg(first(p) == (expected ? expected->task : NULL),
                              "step %u, priority %s", step, task_priority_to_string(p));
                ck_assert_msg(queue.n[p] == n[p],
                              "step %u: %" PRIu64 " waiting at priority %s, not %" PRIu64, step,
                              queue.n[p], task_priority_to_string(p), n[p]);
        }
}

/* One that waits, or one that does not, at random; NULL if there is none. */
static Model *pick(bool waits) {
        size_t start = n_model > 0 ? random_below((unsigned) n_model) : 0;

        for (size_t i = 0; i < n_model; i++) {
                Model *m = &model[(start + i) % n_model];

                if (m->waits == waits)
                        return m;
        }
        return NULL;
}

static void step_push(void) {
        char name[] = { (char) ('a' + random_below(N_TYPES)), '\0' };

        if (n_model == N_TASKS)
                return;
        model[n_model++] = (Model){
                .task = push(name, random_below(_PRIORITY_MAX)),
                .age = next_age++,
                .waits = true,
        };
}

static void step_take(Model *m) {
        if (!m)
                return;
        queue_remove(&queue, m->task);
        m->waits = false;
}

static void step_give_back(void) {
        Model *m = pick(false);

        if (!m)
                return;
        queue_reinsert(&queue, m->task);
        m->waits = true;
}

static void step_forget(void) {
        Model *m = pick(false);

        if (!m)
                return;
        task_free(&table, m->task);
        *m = model[--n_model];
}

/* A turn of dispatch: takes and skips at random, until there is nothing more or enough. */
static void step_turn(void) {
        TaskPriority p = random_below(_PRIORITY_MAX);
        QueueCursor c;

        if (random_below(2) == 0)
                queue.turn++;
        c = begin(p);
        for (unsigned n = random_below(20); n > 0; n--) {
                Model *expected = model_first(p);

                ck_assert_ptr_eq(queue_cursor_get(&c), expected ? expected->task : NULL);
                if (!expected)
                        break;
                if (random_below(4) == 0)
                        queue_cursor_skip_type(&c);
                else {
                        queue_cursor_take(&c);
                        expected->waits = false;
                }
        }
        queue_cursor_end(&c);
}

static void model_step(void) {
        switch (random_below(16)) {
        case 0:
                step_turn();
                break;
        case 1:
        case 2:
                step_take(pick(true));
                break;
        case 3:
        case 4:
                step_forget();
                break;
        case 5:
        case 6:
        case 7:
        case 8:
                step_give_back();
                break;
        default:
                step_push();
        }
}

/* FASTWORKER_CHECK_SEED=N repeats a run. */
static void choose_seed(void) {
        const char *given = getenv("FASTWORKER_CHECK_SEED");

        if (given)
                seed = (unsigned) strtoul(given, NULL, 10);
        else
                ck_assert_int_eq(getrandom(&seed, sizeof(seed), 0), sizeof(seed));
        printf("check_queue: FASTWORKER_CHECK_SEED=%u\n", seed);
        (void) fflush(stdout);
}

START_TEST(test_model) {
        choose_seed();
        for (unsigned step = 0; step < N_STEPS; step++) {
                model_step();
                model_compare(step);
        }
        for (size_t i = 0; i < n_model; i++)
                if (model[i].waits)
                        step_take(&model[i]);
        model_compare(N_STEPS);
        ck_assert_uint_eq(queue_length(&queue), 0);
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                ck_assert_ptr_null(first(p));
}
END_TEST

/* Numbers grow, also over a restart. */
START_TEST(test_sequence) {
        ck_assert_uint_eq(queue_next_sequence(&queue), 1);
        ck_assert_uint_eq(queue_next_sequence(&queue), 2);
        queue_note_sequence(&queue, 40);
        queue_note_sequence(&queue, 7);
        ck_assert_uint_eq(queue_next_sequence(&queue), 41);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("queue");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, test_empty);
        tcase_add_test(t, test_order);
        tcase_add_test(t, test_cursor);
        tcase_add_test(t, test_skip);
        tcase_add_test(t, test_no_memory);
        tcase_add_test(t, test_reinsert);
        tcase_add_test(t, test_reinsert_alone);
        tcase_add_test(t, test_remove);
        tcase_add_test(t, test_model);
        tcase_add_test(t, test_sequence);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
