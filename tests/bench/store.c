/* SPDX-License-Identifier: MIT */

/* How fast the store is: tasks go through submit, lease and end as in the coordinator (each after the submit,
 * or the lease's turn, came back), the oldest ended ones are forgotten. Then loading.
 *
 *     tests/bench/store [DIRECTORY [TASKS [TASKS-TO-LOAD]]]
 *
 * The directory (by default the present one) should be on the disk that is meant. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../../src/controld/store.h"
#include "bench.h"
#include "time-util.h"

#define WINDOW    1000U  /* tasks that are under way at once */
#define KEPT      10000U /* ended tasks */
#define ARGUMENTS "{\"args\":[5,3],\"kwargs\":{\"precision\":\"double\"}}"

typedef enum Phase { SUBMITTED, LEASED, ENDED } Phase;

/* A batch under way. */
typedef struct Step {
        Phase phase;
        uint64_t first, ticket, since_usec;
} Step;

typedef struct Bench {
        sd_event *event;
        Store *store;
        const char *path;
        size_t batch;
        Step *steps; /* a ring: in order of the tickets */
        size_t n_steps, first_step, n_waiting;
        uint64_t next_sequence, n_ended, n_forgotten, n_changes;
        uint64_t *submit_usec;
        size_t n_submit_usec;
} Bench;

static void check(const char *what, int r) {
        if (r < 0)
                bench_fail(what, -r);
}

static void push(Bench *b, Phase phase, uint64_t first) {
        b->steps[(b->first_step + b->n_waiting++) % b->n_steps] =
                (Step){ phase, first, store_commit(b->store), bench_now_usec() };
}

static StoreTask new_task(uint64_t sequence) {
        StoreTask t = { .sequence = sequence,
                        .name = "add",
                        .priority = PRIORITY_NORMAL,
                        .state = TASK_QUEUED,
                        .created_usec = now_usec(CLOCK_REALTIME),
                        .arguments = { (char *) ARGUMENTS, sizeof(ARGUMENTS) - 1 } };

        check("task_id_new", task_id_new(&t.id));
        return t;
}

static void submit(Bench *b) {
        StoreTask tasks[256];

        for (size_t i = 0; i < b->batch; i++)
                tasks[i] = new_task(b->next_sequence + i);
        check("store_submit", store_submit(b->store, tasks, b->batch));
        b->n_changes += b->batch;
        push(b, SUBMITTED, b->next_sequence);
        b->next_sequence += b->batch;
}

static void update(Bench *b, uint64_t first, bool end) {
        for (uint64_t s = first; s < first + b->batch; s++) {
                StoreTask t = {
                        .sequence = s,
                        .state = end ? TASK_SUCCESS : TASK_ASSIGNED,
                        .attempt = 1,
                        .worker = "subworker-1",
                        .started_usec = end ? now_usec(CLOCK_REALTIME) : 0,
                        .completed_usec = end ? now_usec(CLOCK_REALTIME) : 0,
                        .result = { (char *) "8", end ? 1 : 0 },
                };

                check("store_update", store_update(b->store, &t));
                if (end && s >= KEPT) {
                        check("store_forget", store_forget(b->store, s - KEPT));
                        b->n_changes++;
                }
        }
        b->n_changes += b->batch;
}

static void go_on(Bench *b, const Step *step) {
        switch (step->phase) {
        case SUBMITTED:
                b->submit_usec[b->n_submit_usec++] = bench_now_usec() - step->since_usec;
                update(b, step->first, false);
                push(b, LEASED, step->first);
                break;
        case LEASED:
                break;
        case ENDED:
                b->n_ended += b->batch;
        }
}

static void on_safe(uint64_t ticket, void *userdata) {
        Bench *b = userdata;

        while (b->n_waiting > 0 && b->steps[b->first_step].ticket <= ticket) {
                Step step = b->steps[b->first_step];

                b->first_step = (b->first_step + 1) % b->n_steps;
                b->n_waiting--;
                go_on(b, &step);
        }
}

static void on_refused(uint64_t ticket, int error, void *userdata) {
        bench_fail("refused", -error);
}

static void on_failed(int error, const char *reason, void *userdata) {
        bench_fail(reason, -error);
}

static void open_store(Bench *b, StoreDurability durability) {
        StoreConfig config = { .durability = durability, .path = b->path, .bytes_max = UINT64_MAX };
        StoreCallbacks callbacks = {
                .safe = on_safe, .refused = on_refused, .failed = on_failed, .userdata = b
        };
        _cleanup_free_ char *error = NULL;
        int r;

        r = store_open(b->event, &config, &callbacks, &b->store, &error);
        if (r < 0)
                bench_fail(error ? error : "store_open", -r);
}

static void remove_store(const Bench *b) {
        static const char *const suffixes[] = { "", "-wal" };

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                char name[4096];

                (void) snprintf(name, sizeof(name), "%s%s", b->path, suffixes[i]);
                (void) unlink(name);
        }
}

/* The leases of the turn before have been sent, and their tasks were quick. */
static void end_leased(Bench *b, uint64_t *ended) {
        uint64_t until = *ended;

        for (size_t i = 0; i < b->n_waiting; i++) {
                const Step *step = &b->steps[(b->first_step + i) % b->n_steps];

                if (step->phase == LEASED && step->first >= until)
                        until = step->first + b->batch;
        }
        for (; *ended < until; *ended += b->batch) {
                update(b, *ended, true);
                push(b, ENDED, *ended);
        }
}

static void run_tasks(const char *path, StoreDurability durability, size_t batch, size_t window,
                      size_t n_tasks) {
        Bench b = { .path = path, .batch = batch, .n_steps = 4 * (window + 1) };
        uint64_t begin, usec, ended = 0;
        struct rusage usage;
        StoreStats stats;
        double cpu;

        remove_store(&b);
        check("sd_event_new", sd_event_new(&b.event));
        open_store(&b, durability);
        b.steps = calloc(b.n_steps, sizeof(*b.steps));
        b.submit_usec = calloc(n_tasks / batch + window + 1, sizeof(*b.submit_usec));
        if (!b.steps || !b.submit_usec)
                bench_fail("calloc", ENOMEM);
        (void) getrusage(RUSAGE_SELF, &usage);
        cpu = bench_cpu_usec(&usage);
        begin = bench_now_usec();
        while (b.n_ended < n_tasks) {
                while (b.next_sequence - b.n_ended + batch <= MAX(window, batch) &&
                       b.next_sequence < n_tasks)
                        submit(&b);
                check("sd_event_run", sd_event_run(b.event, UINT64_MAX));
                end_leased(&b, &ended);
        }
        usec = bench_now_usec() - begin;
        (void) getrusage(RUSAGE_SELF, &usage);
        cpu = bench_cpu_usec(&usage) - cpu;
        store_get_stats(b.store, &stats);
        printf("%-8s batch %4zu window %5zu: %8.0f tasks/s %8.0f changes/s %6.2f us CPU a task, "
               "%.1f batches a group\n",
               store_durability_to_string(durability), batch, window,
               (double) b.n_ended / (double) usec * 1e6, (double) b.n_changes / (double) usec * 1e6,
               cpu / (double) b.n_ended, (double) stats.n_batches / (double) stats.n_groups);
        bench_print_times("    submit", b.submit_usec, b.n_submit_usec);
        store_close(b.store);
        sd_event_unref(b.event);
        free(b.steps);
        free(b.submit_usec);
        remove_store(&b);
}

static int count_task(const StoreTask *t, void *userdata) {
        (*(uint64_t *) userdata)++;
        return 0;
}

static void on_backup(int error, const char *reason, void *userdata) {
        if (error < 0)
                bench_fail(reason, -error);
        *(bool *) userdata = true;
}

/* How long a submit takes while the store is copied. */
static void run_backup(Bench *b) {
        uint64_t begin = bench_now_usec(), longest = 0;
        unsigned n = 0;
        char path[4200];
        bool done = false;

        (void) snprintf(path, sizeof(path), "%s-copy", b->path);
        check("store_backup", store_backup(b->store, path, on_backup, &done));
        while (!done) {
                StoreTask t = new_task(b->next_sequence++);
                uint64_t since = bench_now_usec(), ticket;

                check("store_submit", store_submit(b->store, &t, 1));
                ticket = store_commit(b->store);
                while (store_safe_ticket(b->store) < ticket)
                        check("sd_event_run", sd_event_run(b->event, UINT64_MAX));
                longest = MAX(longest, bench_now_usec() - since);
                n++;
        }
        printf("copied in %.2f s, meanwhile %u submits, the longest took %" PRIu64 " us\n",
               (double) (bench_now_usec() - begin) / 1e6, n, longest);
        (void) unlink(path);
}

static void run_load(const char *path, uint64_t n) {
        Bench b = { .path = path, .batch = 250, .n_steps = 10000 };
        uint64_t begin, loaded = 0, opened;
        StoreLoad load = { .task = count_task, .userdata = &loaded };
        struct rusage usage;
        StoreStats stats;

        remove_store(&b);
        check("sd_event_new", sd_event_new(&b.event));
        open_store(&b, STORE_PROCESS);
        begin = bench_now_usec();
        while (b.next_sequence < n) {
                StoreTask tasks[250];

                for (size_t i = 0; i < b.batch; i++)
                        tasks[i] = new_task(b.next_sequence + i);
                check("store_submit", store_submit(b.store, tasks, b.batch));
                b.next_sequence += b.batch;
                (void) store_commit(b.store);
                if (store_backlog_bytes(b.store) > 64U * 1024 * 1024)
                        check("store_sync", store_sync(b.store));
        }
        check("store_sync", store_sync(b.store));
        printf("%" PRIu64 " queued: written in %.2f s", b.next_sequence,
               (double) (bench_now_usec() - begin) / 1e6);
        store_close(b.store);

        begin = bench_now_usec();
        open_store(&b, STORE_FULL);
        opened = bench_now_usec();
        check("store_load", store_load(b.store, &load, NULL));
        store_get_stats(b.store, &stats);
        (void) getrusage(RUSAGE_SELF, &usage);
        printf(", opened in %.3f s, %" PRIu64 " loaded in %.2f s, %.1f MB (%.0f bytes a task), "
               "at most %ld MB of memory\n",
               (double) (opened - begin) / 1e6, loaded, (double) (bench_now_usec() - opened) / 1e6,
               (double) stats.bytes / 1e6, (double) stats.bytes / (double) loaded,
               usage.ru_maxrss / 1024);
        run_backup(&b);
        store_close(b.store);
        sd_event_unref(b.event);
        remove_store(&b);
}

int main(int argc, char **argv) {
        static const size_t batches[] = { 1, 16, 256 };
        const char *directory = argc > 1 ? argv[1] : ".";
        size_t n = argc > 2 ? bench_number(argv[2], 1, 100000000) : 100000;
        size_t n_load = argc > 3 ? bench_number(argv[3], 1, 100000000) : 1000000;
        char path[4096];

        if ((size_t) snprintf(path, sizeof(path), "%s/bench-store.db", directory) >= sizeof(path))
                bench_fail(directory, ENAMETOOLONG);
        for (StoreDurability d = 0; d < _STORE_DURABILITY_MAX; d++) {
                for (size_t i = 0; i < ELEMENTSOF(batches); i++)
                        run_tasks(path, d, batches[i], WINDOW, n - n % batches[i]);
                run_tasks(path, d, 1, 1, MIN(n, (size_t) 5000));
        }
        run_load(path, n_load);
        return EXIT_SUCCESS;
}
