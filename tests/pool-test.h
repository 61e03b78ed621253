/* SPDX-License-Identifier: MIT */
#pragma once

/* A pool whose runners are this program itself, see odd-runner.h, and what its handlers have seen. */

#include "check-util.h"
#include "log.h"
#include "odd-runner.h"
#include "parse-util.h"
#include "pool.h"
#include "prefetch.h"

#define JOBS_MAX 1000U

typedef struct Seen {
        unsigned n_ready, n_failed, n_types_changed, n_turns;
        char failed[128];
        unsigned capacity;
        unsigned n_started, n_finished, n_released, n_dropped;
        unsigned outcomes[_WIRE_OUTCOME_MAX];
        uint64_t order[JOBS_MAX]; /* attempt numbers as jobs finished */
        char text[128];           /* of the job that finished last */
        char reason[128];         /* of the job that was released last */
        unsigned n_waiting_logs, percent;
} Seen;

static sd_event *event;
static TypeTable *types;
static JobTable *jobs;
static Pool *pool;
static Seen seen;

static inline void on_ready(void *userdata) {
        seen.n_ready++;
}

static inline void on_failed(const char *reason, void *userdata) {
        seen.n_failed++;
        strncpy(seen.failed, reason, sizeof(seen.failed) - 1);
}

static inline void on_types_changed(void *userdata) {
        seen.n_types_changed++;
}

static inline void on_capacity(unsigned capacity, void *userdata) {
        seen.capacity = capacity;
}

static inline void on_started(Job *job, uint64_t started_usec, void *userdata) {
        ck_assert_uint_gt(started_usec, UINT64_C(1500000000000000));
        seen.n_started++;
}

static inline void on_finished(Job *job, void *userdata) {
        ck_assert_int_eq(job->state, JOB_FINISHED);
        seen.order[seen.n_finished++ % JOBS_MAX] = job->key.attempt;
        seen.outcomes[job->outcome]++;
        ck_assert_uint_lt(job->text_size, sizeof(seen.text));
        memcpy(seen.text, job->text, job->text_size);
        seen.text[job->text_size] = '\0';
        job_table_remove(jobs, job);
}

static inline void on_released(Job *job, void *userdata) {
        seen.n_released++;
        strncpy(seen.reason, job->release_reason, sizeof(seen.reason) - 1);
        job_table_remove(jobs, job);
}

static inline void on_dropped(Job *job, void *userdata) {
        seen.n_dropped++;
        job_table_remove(jobs, job);
}

static inline void on_progress(const Job *job, unsigned percent, const char *text, size_t size,
                               void *userdata) {
        seen.percent = percent;
}

static inline void on_log(const Job *job, int priority, const char *text, size_t size,
                          void *userdata) {
        seen.n_waiting_logs += job && size == 7 && memcmp(text, "waiting", 7) == 0;
}

static inline void on_turn(void *userdata) {
        seen.n_turns++;
}

static const PoolHandlers handlers = {
        .ready = on_ready,
        .failed = on_failed,
        .types_changed = on_types_changed,
        .capacity = on_capacity,
        .started = on_started,
        .finished = on_finished,
        .released = on_released,
        .dropped = on_dropped,
        .progress = on_progress,
        .log = on_log,
        .turn = on_turn,
};

static inline void setup(void) {
        PoolConfig config = { .worker_id = "w", .result_max = 1 << 20, .prefetch_max = 128 };

        log_set_max_level(LOG_INFO); /* what is not shown is not passed on */
        seen = (Seen){};
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(type_table_new(&types), 0);
        ck_assert_int_eq(job_table_new(&jobs), 0);
        ck_assert_int_eq(pool_new(event, types, &config, &handlers, NULL, &pool), 0);
}

static inline void teardown(void) {
        pool = pool_free(pool);
        job_table_free(jobs);
        type_table_free(types);
        sd_event_unref(event);
}

#define run_until(condition)                                                    \
        do {                                                                    \
                while (!(condition))                                            \
                        ck_assert_int_gt(sd_event_run(event, 20 * 1000000), 0); \
        } while (false)

static inline char **command_line(const char *mode) {
        char **argv = NULL;

        ck_assert_int_eq(strv_extend(&argv, "/proc/self/exe"), 0);
        ck_assert_int_eq(strv_extend(&argv, "--as-runner"), 0);
        ck_assert_int_eq(strv_extend(&argv, mode), 0);
        return argv;
}

/* NULL: no runners of that kind. */
static inline void run_modes(const char *native, const char *python, unsigned n) {
        PoolCommand c = { .environment = calloc(1, sizeof(char *)) };

        c.argv[RUNNER_NATIVE] = native ? command_line(native) : NULL;
        c.argv[RUNNER_PYTHON] = python ? command_line(python) : NULL;
        ck_assert_int_eq(pool_run(pool, &c, n), 0);
}

static inline void run_mode(const char *mode, unsigned n) {
        run_modes(mode, NULL, n);
}

static inline void start(unsigned n) {
        run_mode("good", n);
        run_until(seen.n_ready == 1);
        ck_assert_uint_eq(pool_slots(pool), n);
        ck_assert_uint_eq(type_table_count(types), ODD_RUNNER_N_TYPES);
}

static inline Job *add(const char *name, uint64_t attempt) {
        TaskType *type = type_table_find(types, name, strlen(name));
        JobKey key = { .attempt = attempt };
        Job *job;

        ck_assert_ptr_nonnull(type);
        ck_assert_int_eq(job_table_add(jobs, &key, type, "{}", 2, &job), 0);
        pool_add(pool, job);
        return job;
}

#define BUSY_REASON "the runners of this worker are busy with longer tasks"

/* Never more than was announced, and what is handed back comes again, as controld does it: on a machine that is busy
 * any task can take long. What the test counts then is without these. */
static inline void run_ok(unsigned n) {
        unsigned n_before = seen.n_finished, n_released = seen.n_released, n_added = 0, n_back;

        while (seen.n_finished < n_before + n) {
                n_back = seen.n_released - n_released;
                if (n_back > 0)
                        ck_assert_str_eq(seen.reason, BUSY_REASON);
                while (n_added < n + n_back &&
                       n_added - n_back < seen.n_finished - n_before + seen.capacity)
                        add("ok", n_added++);
                pool_pump(pool);
                ck_assert_int_gt(sd_event_run(event, 20 * 1000000), 0);
        }
        seen.n_released = n_released;
        seen.n_started = 0;
}

static inline unsigned n_children(void) {
        _cleanup_free_ char *path = format_string("/proc/self/task/%d/children", (int) getpid());
        FILE *f = fopen(path, "re");
        unsigned n = 0;
        int pid;

        ck_assert_ptr_nonnull(f);
        while (fscanf(f, "%d", &pid) == 1)
                n++;
        (void) fclose(f);
        return n;
}
