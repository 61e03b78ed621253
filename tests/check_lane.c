/* SPDX-License-Identifier: MIT */

/* Lanes, strands and their keys; at last the queue with all limits, against a model that looks at every task. */

#include <sys/random.h>

#include "controld-test.h"
#include "dispatch.h"
#include "fail-alloc.h"
#include "parse-util.h"
#include "task-extra.h"

#define N_TYPES   4U
#define N_TASKS   200U
#define N_STEPS   6000U
#define N_WORKERS 3U

static TaskTable table;
static TaskType *types;
static Queue queue;
static unsigned seed;

static void setup(void) {
        queue_init(&queue);
}

static void teardown(void) {
        task_table_done(&table);
        ck_assert_ptr_null(queue.keys);
        for (TaskType *type = types; type; type = type->hh.next)
                ck_assert_ptr_null(type->lanes);
        task_types_free(&types);
}

static Task *push_in_lane(const char *type, TaskPriority p, char *const *labels, const char *key,
                          uint32_t max) {
        Task *t = make_task(&table, make_type(&types, type), p);

        ck_assert_int_eq(lane_enter(&queue.keys, t, labels, key, key ? strlen(key) : 0, max), 0);
        t->sequence = queue_next_sequence(&queue);
        queue_push(&queue, t);
        return t;
}

static Task *next_task(TaskPriority p) {
        QueueCursor c;
        Task *t;

        ck_assert_int_eq(queue_cursor_begin(&c, &queue, p), 0);
        t = queue_cursor_get(&c);
        queue_cursor_end(&c);
        return t;
}

static Task *lease(TaskPriority p) {
        QueueCursor c;
        Task *t;

        ck_assert_int_eq(queue_cursor_begin(&c, &queue, p), 0);
        t = queue_cursor_get(&c);
        if (t) {
                queue_cursor_take(&c);
                queue_lease(&queue, t);
        }
        queue_cursor_end(&c);
        return t;
}

/* A plain task has nothing of its own; lanes and keys go with their last task. */
START_TEST(test_life) {
        char *gpu[] = { (char *) "gpu", NULL };
        Task *plain = push_in_lane("a", PRIORITY_LOW, NULL, NULL, 0),
             *keyed = push_in_lane("a", PRIORITY_LOW, NULL, "k", 2),
             *second = push_in_lane("a", PRIORITY_LOW, NULL, "k", 2),
             *labelled = push_in_lane("a", PRIORITY_LOW, gpu, NULL, 0),
             *both = push_in_lane("a", PRIORITY_LOW, gpu, "k", 2);
        TaskType *type = make_type(&types, "a");

        ck_assert_ptr_eq(task_strand(plain), &type->lane.plain);
        ck_assert_ptr_eq(task_strand(keyed), task_strand(second));
        ck_assert_ptr_eq(task_lane(keyed), &type->lane);
        ck_assert_ptr_eq(task_lane(labelled), task_lane(both));
        ck_assert_ptr_ne(task_strand(both), task_strand(keyed));
        ck_assert_ptr_eq(task_strand(both)->id.key, task_strand(keyed)->id.key);
        ck_assert_str_eq(task_lane(both)->labels_text, "gpu");

        queue_remove(&queue, labelled);
        task_free(&table, labelled);
        ck_assert_ptr_nonnull(type->lanes);
        queue_remove(&queue, both);
        task_free(&table, both);
        ck_assert_ptr_null(type->lanes);
        ck_assert_ptr_nonnull(queue.keys);
        queue_remove(&queue, keyed);
        task_free(&table, keyed);
        ck_assert_ptr_eq(next_task(PRIORITY_LOW), plain);
        queue_remove(&queue, second);
        task_free(&table, second);
        ck_assert_ptr_null(queue.keys);
        ck_assert_ptr_null(type->lane.strands);
}
END_TEST

START_TEST(test_no_memory) {
        char *gpu[] = { (char *) "gpu", NULL };
        Task *t = make_task(&table, make_type(&types, "a"), PRIORITY_LOW);
        int r;

        FAIL_EACH_ALLOC(r = lane_enter(&queue.keys, t, gpu, "k", 1, 1), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_ptr_null(queue.keys);
                ck_assert_ptr_null(t->type->lanes);
                ck_assert_ptr_eq(task_strand(t), &t->type->lane.plain);
        });
        ck_assert_int_eq(r, 0);
        ck_assert_ptr_ne(task_strand(t), &t->type->lane.plain);
}
END_TEST

/* At the limit of a key the others pass by, also those of the same type; a key counts over types and lanes. */
START_TEST(test_key) {
        Task *a1 = push_in_lane("a", PRIORITY_NORMAL, NULL, "k", 1),
             *a2 = push_in_lane("a", PRIORITY_NORMAL, NULL, "k", 1),
             *b = push_in_lane("b", PRIORITY_NORMAL, NULL, "k", 2),
             *c = push_in_lane("b", PRIORITY_NORMAL, NULL, "k", 2),
             *plain = push_in_lane("a", PRIORITY_NORMAL, NULL, NULL, 0);

        ck_assert_ptr_eq(lease(PRIORITY_NORMAL), a1);
        ck_assert_ptr_eq(lease(PRIORITY_NORMAL), b); /* two may, for those that say so */
        ck_assert_ptr_eq(lease(PRIORITY_NORMAL), plain);
        ck_assert_ptr_null(lease(PRIORITY_NORMAL));
        ck_assert_uint_eq(queue_length(&queue), 2);
        queue_unlease(&queue, b);
        ck_assert_ptr_eq(lease(PRIORITY_NORMAL), c);
        ck_assert_ptr_null(lease(PRIORITY_NORMAL));
        queue_unlease(&queue, a1);
        ck_assert_ptr_null(lease(PRIORITY_NORMAL)); /* one is still there */
        queue_unlease(&queue, c);
        ck_assert_ptr_eq(lease(PRIORITY_NORMAL), a2);
        ck_assert_uint_eq(make_type(&types, "a")->n_leased, 2);
        ck_assert_uint_eq(make_type(&types, "b")->n_leased, 0);
}
END_TEST

/* People see what is parked as well, in order. */
START_TEST(test_sample) {
        char *gpu[] = { (char *) "gpu", NULL };
        Task *t[5], *seen[4];

        t[0] = push_in_lane("a", PRIORITY_HIGH, NULL, "k", 1);
        t[1] = push_in_lane("b", PRIORITY_HIGH, gpu, "k", 1);
        t[2] = push_in_lane("a", PRIORITY_HIGH, NULL, NULL, 0);
        t[3] = push_in_lane("a", PRIORITY_HIGH, NULL, "k", 1);
        t[4] = push_in_lane("a", PRIORITY_HIGH, NULL, NULL, 0);
        ck_assert_ptr_eq(lease(PRIORITY_HIGH), t[0]);
        ck_assert_int_eq(queue_sample(types, PRIORITY_HIGH, seen, ELEMENTSOF(seen)), 4);
        for (size_t i = 0; i < ELEMENTSOF(seen); i++)
                ck_assert_ptr_eq(seen[i], t[i + 1]);
        ck_assert_int_eq(queue_sample(types, PRIORITY_LOW, seen, ELEMENTSOF(seen)), 0);
        ck_assert_int_eq(queue_sample(types, PRIORITY_HIGH, seen, 2), 2);
}
END_TEST

/* After two spans a low task counts as high, and is older than those. */
START_TEST(test_ageing) {
        Task *low = push_in_lane("a", PRIORITY_LOW, NULL, NULL, 0),
             *high = push_in_lane("a", PRIORITY_HIGH, NULL, NULL, 0);

        queue.now_usec = low->created_usec + 10 * USEC_PER_SEC;
        ck_assert_ptr_eq(next_task(PRIORITY_HIGH), high);
        queue.ageing_usec = 6 * USEC_PER_SEC;
        ck_assert_ptr_eq(next_task(PRIORITY_HIGH), high);
        ck_assert_ptr_eq(next_task(PRIORITY_NORMAL), low);
        queue.ageing_usec = 5 * USEC_PER_SEC;
        ck_assert_ptr_eq(next_task(PRIORITY_HIGH), low);
        high->created_usec = queue.now_usec;
        ck_assert_ptr_null(next_task(PRIORITY_CRITICAL));
        queue.is_paused[PRIORITY_LOW] = true;
        ck_assert_ptr_eq(next_task(PRIORITY_HIGH), high);
}
END_TEST

/* --- against a model ------------------------------------------------------------------------------ */

typedef enum { AWAY, WAITS, LEASED } Place;

typedef struct Model {
        Task *task;
        Place place;
        unsigned label; /* 0: none */
        unsigned key;   /* 0: none */
        uint32_t max;
        Worker *worker;
} Model;

static Model model[N_TASKS];
static size_t n_model;
static WorkerRegistry registry;
static Peer peer;
static Worker *workers[N_WORKERS];
static uint64_t now;
static uint64_t tokens_taken[N_TYPES], rate_begin;

static unsigned random_below(unsigned n) {
        return (unsigned) rand_r(&seed) % n;
}

static TaskType *type_at(unsigned i) {
        char name[] = { (char) ('a' + i), '\0' };

        return make_type(&types, name);
}

static void set_up_model(void) {
        worker_registry_init(&registry);
        for (unsigned w = 0; w < N_WORKERS; w++) {
                char id[] = { (char) ('x' + w), '\0' };
                TaskType *all[N_TYPES];

                for (unsigned i = 0; i < N_TYPES; i++)
                        all[i] = type_at(i);
                workers[w] = make_worker(&registry, id, NULL, &peer);
                ck_assert_int_eq(worker_set_types(workers[w], all, N_TYPES), 0);
                workers[w]->capacity = workers[w]->slots = 2 + random_below(6);
        }
        ck_assert_int_eq(strv_extend(&workers[0]->labels, "one"), 0);
        ck_assert_int_eq(strv_extend(&workers[1]->labels, "one"), 0);
        ck_assert_int_eq(strv_extend(&workers[1]->labels, "two"), 0);
        now = rate_begin = 1000 * USEC_PER_SEC;
        type_at(0)->limits.concurrency = 3;
        bucket_set_rate(&type_at(1)->bucket, &(Rate){ 4, USEC_PER_SEC }, now);
}

static char *const *labels_of(unsigned label) {
        static char *one[] = { (char *) "one", NULL }, *two[] = { (char *) "two", NULL },
                    *both[] = { (char *) "one", (char *) "two", NULL },
                    *nobody[] = { (char *) "three", NULL };
        static char *const *const all[] = { NULL, one, two, both, nobody };

        return all[label];
}

static size_t n_leased(const TaskType *type, unsigned key) {
        size_t n = 0;

        for (size_t i = 0; i < n_model; i++)
                n += model[i].place == LEASED && (!type || model[i].task->type == type) &&
                     (key == 0 || model[i].key == key);
        return n;
}

static bool has_worker(const Model *m) {
        for (unsigned w = 0; w < N_WORKERS; w++)
                if (workers[w]->state == WORKER_ACTIVE &&
                    workers[w]->n_leased < workers[w]->capacity &&
                    worker_has_labels(workers[w], labels_of(m->label)))
                        return true;
        return false;
}

static unsigned effective_priority(const Task *t) {
        uint64_t waited = queue.now_usec - MIN(queue.now_usec, t->created_usec),
                 steps = queue.ageing_usec > 0 ? waited / queue.ageing_usec : 0;

        return t->priority - (unsigned) MIN(steps, (uint64_t) t->priority);
}

static bool may_begin(const Model *m) {
        TaskType *type = m->task->type;

        return m->place == WAITS && !queue.is_paused[m->task->priority] && !type->is_paused &&
               (type->limits.concurrency == 0 || n_leased(type, 0) < type->limits.concurrency) &&
               bucket_has_token(&type->bucket, now) &&
               (m->key == 0 || n_leased(NULL, m->key) < m->max) && has_worker(m);
}

/* What would be begun next by looking at them all. */
static Model *model_next(void) {
        Model *best = NULL;

        for (size_t i = 0; i < n_model; i++) {
                Model *m = &model[i];
                unsigned p = effective_priority(m->task), q;

                if (!may_begin(m))
                        continue;
                q = best ? effective_priority(best->task) : UINT32_MAX;
                if (p < q || (p == q && m->task->sequence < best->task->sequence))
                        best = m;
        }
        return best;
}

static Model *model_of(const Task *t) {
        for (size_t i = 0; i < n_model; i++)
                if (model[i].task == t)
                        return &model[i];
        return NULL;
}

static void grant(QueueCursor *c, Task *t, Worker *w) {
        Model *m = model_of(t);

        queue_cursor_take(c);
        queue_lease(&queue, t);
        bucket_take(&t->type->bucket, now);
        w->n_leased++;
        m->worker = w;
        m->place = LEASED;
        tokens_taken[t->type->name[0] - 'a']++;
}

/* A turn as the coordinator has it, in which each task that is begun is the one that the model would. */
static void step_dispatch(void) {
        queue.turn++;
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++) {
                QueueCursor c;
                Task *t;

                ck_assert_int_eq(queue_cursor_begin(&c, &queue, p), 0);
                while ((t = queue_cursor_get(&c))) {
                        uint64_t next = 0;
                        Worker *w;

                        if (dispatch_limit(t->type, now, &next) != DISPATCH_FREE) {
                                queue_cursor_skip_type(&c);
                                continue;
                        }
                        w = dispatch_choose(task_lane(t));
                        if (w) {
                                ck_assert_ptr_eq(model_next() ? model_next()->task : NULL, t);
                                grant(&c, t, w);
                        } else if (task_lane(t)->labels)
                                queue_cursor_skip_lane(&c);
                        else
                                queue_cursor_skip_type(&c);
                }
                queue_cursor_end(&c);
        }
        ck_assert_ptr_null(model_next()); /* nothing was passed over */
}

static Model *pick(Place place) {
        size_t start = n_model > 0 ? random_below((unsigned) n_model) : 0;

        for (size_t i = 0; i < n_model; i++) {
                Model *m = &model[(start + i) % n_model];

                if (m->place == place)
                        return m;
        }
        return NULL;
}

static void step_push(void) {
        static const char *const keys[] = { NULL, "k1", "k2", "k3" };
        Model m = { .place = WAITS,
                    .label = random_below(3) == 0 ? random_below(5) : 0,
                    .key = random_below(2) == 0 ? random_below(4) : 0,
                    .max = 1 + random_below(3) };
        TaskType *type = type_at(random_below(N_TYPES));
        const char *key = keys[m.key];

        if (n_model == N_TASKS)
                return;
        m.task = make_task(&table, type, random_below(_PRIORITY_MAX));
        m.task->created_usec = queue.now_usec;
        ck_assert_int_eq(lane_enter(&queue.keys, m.task, labels_of(m.label), key,
                                    key ? strlen(key) : 0, m.max),
                         0);
        m.task->sequence = queue_next_sequence(&queue);
        queue_push(&queue, m.task);
        model[n_model++] = m;
}

static void end_lease(Model *m) {
        queue_unlease(&queue, m->task);
        m->worker->n_leased--;
        m->worker = NULL;
        m->place = AWAY;
}

static void step_return(Model *m) {
        if (!m)
                return;
        if (m->place == LEASED)
                end_lease(m);
        queue_reinsert(&queue, m->task);
        m->place = WAITS;
}

static void step_forget(Model *m) {
        if (!m)
                return;
        if (m->place == WAITS)
                queue_remove(&queue, m->task);
        if (m->place == LEASED)
                end_lease(m);
        task_free(&table, m->task);
        *m = model[--n_model];
}

static void step_change(void) {
        TaskType *type = type_at(random_below(N_TYPES));
        Worker *w = workers[random_below(N_WORKERS)];

        switch (random_below(5)) {
        case 0:
                type->is_paused = random_below(3) == 0;
                break;
        case 1:
                queue.is_paused[random_below(_PRIORITY_MAX)] = random_below(4) == 0;
                break;
        case 2:
                w->state = random_below(4) == 0 ? WORKER_DRAINING : WORKER_ACTIVE;
                break;
        case 3:
                queue.ageing_usec = random_below(2) == 0 ? 0 : USEC_PER_SEC;
                break;
        default:
                type_at(2)->limits.concurrency = random_below(4);
        }
}

static void step(void) {
        now += random_below(50000);
        queue.now_usec += random_below(50000);
        switch (random_below(12)) {
        case 0:
        case 1:
                step_dispatch();
                break;
        case 2:
        case 3:
                step_return(pick(LEASED));
                break;
        case 4:
        case 5:
                step_forget(pick(LEASED));
                break;
        case 6:
                step_forget(pick(WAITS));
                break;
        case 7:
                step_change();
                break;
        default:
                step_push();
        }
}

static void check_limits(void) {
        static const unsigned n_keys = 3;

        ck_assert_uint_le(n_leased(type_at(0), 0), 3);
        ck_assert_uint_le(tokens_taken[1], 4 + 4 * (now - rate_begin) / USEC_PER_SEC);
        for (unsigned k = 1; k <= n_keys; k++)
                ck_assert_uint_le(n_leased(NULL, k), 3);
        for (unsigned i = 0; i < N_TYPES; i++)
                ck_assert_uint_eq(type_at(i)->n_leased, n_leased(type_at(i), 0));
}

/* FASTWORKER_CHECK_SEED=N repeats a run. */
static void choose_seed(void) {
        const char *given = getenv("FASTWORKER_CHECK_SEED");

        if (given)
                seed = (unsigned) strtoul(given, NULL, 10);
        else
                ck_assert_int_eq(getrandom(&seed, sizeof(seed), 0), sizeof(seed));
        printf("check_lane: FASTWORKER_CHECK_SEED=%u\n", seed);
        (void) fflush(stdout);
}

START_TEST(test_model) {
        Worker *w, *next;

        choose_seed();
        queue.now_usec = 1000000 * USEC_PER_SEC;
        set_up_model();
        for (unsigned i = 0; i < N_STEPS; i++) {
                step();
                check_limits();
        }
        while (n_model > 0)
                step_forget(&model[0]);
        ck_assert_uint_eq(queue_length(&queue), 0);
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                ck_assert(TAILQ_EMPTY(&queue.lanes[p]));
        HASH_ITER(hh, registry.workers, w, next)
                worker_free(&registry, w);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lane");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_set_timeout(t, 120);
        tcase_add_test(t, test_life);
        tcase_add_test(t, test_no_memory);
        tcase_add_test(t, test_key);
        tcase_add_test(t, test_sample);
        tcase_add_test(t, test_ageing);
        tcase_add_test(t, test_model);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
