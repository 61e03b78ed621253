/* SPDX-License-Identifier: MIT */

/* The client of the benchmark: through libfastworker, N no-op tasks with a window of so many unfinished ones,
 * then round trips with one outstanding. Prints the same lines as relay.c. */

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include <fastworker/client.h>

#include "bench.h"
#include "macro.h"

#define TIMEOUT_USEC (60 * 1000000ULL)

static const char *arg_address = NULL, *arg_name = "noop", *arg_arguments = "{\"args\":[5,3]}";
static size_t arg_tasks = 200000, arg_window = 1000, arg_round_trips = 10000;
static bool arg_submit_only = false;

typedef struct Progress {
        size_t done, failed;
} Progress;

static void must(fastworker_client *c, int r, const char *what) {
        if (r >= 0)
                return;
        fprintf(stderr, "%s: %s\n", what, c ? fastworker_client_get_error(c) : strerror(-r));
        exit(EXIT_FAILURE);
}

static void on_result(fastworker_client *c, const fastworker_result *result, void *userdata) {
        Progress *p = userdata;

        p->done++;
        if (!fastworker_result_is_success(result) && p->failed++ == 0)
                fprintf(stderr, "A task ended as %s: %s\n", fastworker_result_status(result),
                        fastworker_result_error(result));
}

static fastworker_submission submission(void) {
        return (fastworker_submission){ .name = arg_name, .arguments = arg_arguments };
}

static uint64_t run_window(fastworker_client *c, size_t n_tasks) {
        fastworker_submission s = submission();
        uint64_t begin = bench_now_usec();
        size_t sent = 0;
        Progress p = {};

        must(c, fastworker_on_result(c, on_result, &p), "on_result");
        while (p.done < n_tasks) {
                int r;

                for (; sent < n_tasks && sent - p.done < arg_window; sent++)
                        must(c, fastworker_submit_async(c, &s), "submit");
                r = fastworker_client_run(c, TIMEOUT_USEC);
                must(c, r, "run");
                if (r == 0)
                        bench_fail("no result for a minute", ETIMEDOUT);
        }
        must(c, fastworker_on_result(c, NULL, NULL), "on_result");
        if (p.failed > 0)
                bench_fail("tasks failed", EIO);
        return bench_now_usec() - begin;
}

static void run_round_trips(fastworker_client *c, uint64_t *ret_usec, size_t n) {
        fastworker_submission s = submission();

        for (size_t i = 0; i < n; i++) {
                uint64_t begin = bench_now_usec();
                fastworker_result *result = NULL;

                must(c, fastworker_submit_and_wait(c, &s, TIMEOUT_USEC, &result), "call");
                ret_usec[i] = bench_now_usec() - begin;
                if (!fastworker_result_is_success(result))
                        bench_fail(fastworker_result_error(result), EIO);
                fastworker_result_free(result);
        }
}

/* Fills the queue with tasks that nobody waits for. */
static void submit_only(fastworker_client *c) {
        static char ids[FASTWORKER_BATCH_MAX][FASTWORKER_TASK_ID_SIZE];
        static fastworker_submission batch[FASTWORKER_BATCH_MAX];

        for (size_t i = 0; i < FASTWORKER_BATCH_MAX; i++)
                batch[i] = submission();
        for (size_t sent = 0; sent < arg_tasks;) {
                size_t n = MIN(arg_tasks - sent, (size_t) FASTWORKER_BATCH_MAX);

                must(c, fastworker_submit_batch(c, batch, n, ids), "submit");
                sent += n;
        }
        printf("submitted=%zu\n", arg_tasks);
}

static void measure(fastworker_client *c) {
        _cleanup_free_ uint64_t *round_trips = calloc(arg_round_trips + 1, sizeof(uint64_t));
        struct rusage usage;
        uint64_t usec;

        if (!round_trips)
                bench_fail("memory", ENOMEM);
        (void) run_window(c, MIN(arg_tasks, arg_window));
        usec = run_window(c, arg_tasks);
        printf("tasks_per_second=%.0f\n",
               (double) arg_tasks * 1e6 / (double) MAX(usec, (uint64_t) 1));
        run_round_trips(c, round_trips, arg_round_trips);
        bench_print_times("round_trip", round_trips, arg_round_trips);
        (void) getrusage(RUSAGE_SELF, &usage);
        printf("cpu_client=%.2f\n",
               bench_cpu_usec(&usage) / (double) (arg_tasks + arg_round_trips));
}

static void parse_argv(int argc, char *argv[]) {
        static const struct option options[] = {
                { "address", required_argument, NULL, 'a' },
                { "task-name", required_argument, NULL, 'n' },
                { "arguments", required_argument, NULL, 'j' },
                { "tasks", required_argument, NULL, 't' },
                { "window", required_argument, NULL, 'w' },
                { "round-trips", required_argument, NULL, 'r' },
                { "submit-only", no_argument, NULL, 's' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'a':
                        arg_address = optarg;
                        break;
                case 'n':
                        arg_name = optarg;
                        break;
                case 'j':
                        arg_arguments = optarg;
                        break;
                case 't':
                        arg_tasks = bench_number(optarg, 1, 1000000000);
                        break;
                case 'w':
                        arg_window = bench_number(optarg, 1, 100000);
                        break;
                case 'r':
                        arg_round_trips = bench_number(optarg, 1, 10000000);
                        break;
                case 's':
                        arg_submit_only = true;
                        break;
                default:
                        exit(EXIT_FAILURE);
                }
}

int main(int argc, char *argv[]) {
        fastworker_client *c = NULL;

        parse_argv(argc, argv);
        must(NULL, fastworker_client_new(&c), "new");
        must(c, fastworker_client_set_address(c, arg_address), "address");
        must(c, fastworker_client_connect(c), "connect");
        if (arg_submit_only)
                submit_only(c);
        else
                measure(c);
        fastworker_client_free(c);
        return EXIT_SUCCESS;
}
