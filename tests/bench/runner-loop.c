/* SPDX-License-Identifier: MIT */

/* What a task costs in fastworker-subworkerd and fastworker-runner together, without ZeroMQ: a pool of runners
 * is kept supplied with tasks of one type, and the processor time of both sides is read at the end.
 *
 *     runner-loop RUNNER MODULE.so [TASK [N [SLOTS]]] */

#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "exec.h"
#include "log.h"
#include "parse-util.h"
#include "pool.h"
#include "time-util.h"

#define WINDOW 256U

typedef struct Bench {
        sd_event *event;
        TypeTable *types;
        JobTable *jobs;
        Pool *pool;
        const char *task;
        uint64_t n_wanted, n_sent, n_done, started_usec;
        double self_usec;
        int r;
} Bench;

static double processor_usec(int who) {
        struct rusage u;

        (void) getrusage(who, &u);
        return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
               (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void supply(Bench *b) {
        static const char arguments[] = "{\"args\":[1,2],\"kwargs\":{}}";
        TaskType *type = type_table_find(b->types, b->task, strlen(b->task));
        Job *job;

        while (b->n_sent < b->n_wanted && b->n_sent - b->n_done < WINDOW) {
                JobKey key = { .attempt = 1 };

                b->r = task_id_new(&key.id);
                if (b->r >= 0)
                        b->r = job_table_add(b->jobs, &key, type, arguments, strlen(arguments),
                                             &job);
                if (b->r < 0) {
                        (void) sd_event_exit(b->event, b->r);
                        return;
                }
                b->n_sent++;
                pool_add(b->pool, job);
        }
        pool_pump(b->pool);
}

static void on_ready(void *userdata) {
        Bench *b = userdata;

        if (!type_table_find(b->types, b->task, strlen(b->task))) {
                fprintf(stderr, "The module has no task %s.\n", b->task);
                (void) sd_event_exit(b->event, -ENOENT);
                return;
        }
        b->started_usec = now_usec(CLOCK_MONOTONIC);
        b->self_usec = processor_usec(RUSAGE_SELF);
        supply(b);
}

static void on_failed(const char *reason, void *userdata) {
        Bench *b = userdata;

        fprintf(stderr, "%s\n", reason);
        (void) sd_event_exit(b->event, -ENOEXEC);
}

static void on_finished(Job *job, void *userdata) {
        Bench *b = userdata;

        if (job->outcome != WIRE_OUTCOME_SUCCESS) {
                fprintf(stderr, "A task failed: %.*s\n", (int) job->text_size, job->text);
                (void) sd_event_exit(b->event, -EIO);
        }
        job_table_remove(b->jobs, job);
        b->n_done++;
}

static void on_released(Job *job, void *userdata) {
        Bench *b = userdata;

        job_table_remove(b->jobs, job);
        b->n_sent--;
}

static void on_turn(void *userdata) {
        Bench *b = userdata;

        if (b->n_wanted == 0 || b->started_usec == 0)
                return;
        if (b->n_done >= b->n_wanted)
                (void) sd_event_exit(b->event, 0);
        else
                supply(b);
}

static void on_types(void *userdata) {}

static void on_capacity(unsigned capacity, void *userdata) {}

static void on_started(Job *job, uint64_t started_usec, void *userdata) {}

static void on_log(const Job *job, int priority, const char *text, size_t size, void *userdata) {}

static const PoolHandlers handlers = {
        .ready = on_ready,
        .failed = on_failed,
        .types_changed = on_types,
        .capacity = on_capacity,
        .started = on_started,
        .finished = on_finished,
        .released = on_released,
        .dropped = on_released,
        .log = on_log,
        .turn = on_turn,
};

static int run(Bench *b, const char *runner, const char *module, unsigned n_slots) {
        PoolConfig config = { .worker_id = "bench",
                              .result_max = 1U << 20,
                              .prefetch_max = WINDOW };
        PoolCommand command = {};
        char ***argv = &command.argv[RUNNER_NATIVE];
        int r;

        r = sd_event_new(&b->event);
        if (r >= 0)
                r = type_table_new(&b->types);
        if (r >= 0)
                r = job_table_new(&b->jobs);
        if (r >= 0)
                r = pool_new(b->event, b->types, &config, &handlers, b, &b->pool);
        if (r >= 0)
                r = strv_extend(argv, runner);
        if (r >= 0)
                r = strv_extend(argv, module);
        if (r >= 0)
                r = exec_environment(&command.environment);
        if (r < 0)
                return r;
        r = pool_run(b->pool, &command, n_slots);
        if (r < 0)
                return r;
        return sd_event_loop(b->event);
}

int main(int argc, char *argv[]) {
        Bench b = { .task = argc > 3 ? argv[3] : "noop", .n_wanted = 200000 };
        uint64_t n_slots = 1, usec;
        double self;
        int r;

        if (argc < 3 || (argc > 4 && parse_uint(argv[4], 1, UINT32_MAX, &b.n_wanted) < 0) ||
            (argc > 5 && parse_uint(argv[5], 1, 512, &n_slots) < 0)) {
                fprintf(stderr, "usage: %s RUNNER MODULE.so [TASK [N [SLOTS]]]\n", argv[0]);
                return EXIT_FAILURE;
        }
        log_open("runner-loop");
        r = run(&b, argv[1], argv[2], (unsigned) n_slots);
        usec = now_usec(CLOCK_MONOTONIC) - b.started_usec;
        self = processor_usec(RUSAGE_SELF) - b.self_usec;
        pool_free(b.pool);
        job_table_free(b.jobs);
        type_table_free(b.types);
        sd_event_unref(b.event);
        if (r < 0)
                return EXIT_FAILURE;

        printf("%llu tasks in %.3f s: %.0f a second; processor time a task: %.2f us here, %.2f us in runners\n",
               (unsigned long long) b.n_done, (double) usec / 1e6,
               (double) b.n_done * 1e6 / (double) usec, self / (double) b.n_done,
               processor_usec(RUSAGE_CHILDREN) / (double) b.n_done);
        return EXIT_SUCCESS;
}
