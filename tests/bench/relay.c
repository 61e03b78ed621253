/* SPDX-License-Identifier: MIT */

/* What ZeroMQ alone costs on the way that a FastWorker task takes: client (DEALER) -> relay (two ROUTERs) ->
 * one of W workers (DEALER, a process each) -> relay -> client, over TCP on the loopback interface. One
 * message a task and hop; its frames are as many and as long as those of SUBMIT, TASKS, DONE and RESULT with
 * one task each (see shapes[]), or, with --frames=1, a routing frame and one payload frame only.
 *
 * The relay does what a relay must: it takes turns among the workers and keeps the client's routing id in the
 * message. It has no queue, no registry, no checks, no acknowledgements, and nothing is executed. FastWorker
 * sends ACCEPTED and ACK besides and may in turn put many tasks into one message.
 *
 * Prints lines of name=value; CPU times are user and system time of a process for each task. */

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <zmq.h>

#include "bench.h"
#include "macro.h"

#define WORKERS_MAX 64U
#define FRAMES_MAX  16U
#define BUDGET      256U /* messages taken from one socket before the other gets its turn */
#define HIGH_WATER  100000

static unsigned arg_workers = 2;
static size_t arg_tasks = 200000, arg_window = 1000, arg_round_trips = 10000;
static bool arg_one_frame = false;

/* Lengths of the frames that the client and the workers send; the relay passes on what it gets, so that
 * TASKS and RESULT have the lengths of SUBMIT and DONE. */
static const size_t submit_shape[] = {
        10, 4, 6, 0, 36, 15, 0
}; /* verb corr name prio key args options */
static const size_t done_shape[] = {
        8, 4, 36, 1, 7, 1, 0, 16, 16
}; /* verb corr id attempt outcome ... */
static const size_t one_shape[] = { 15 };

typedef struct Shape {
        const size_t *sizes;
        size_t n;
} Shape;

static Shape request_shape(void) {
        return arg_one_frame ? (Shape){ one_shape, ELEMENTSOF(one_shape) }
                             : (Shape){ submit_shape, ELEMENTSOF(submit_shape) };
}

static Shape answer_shape(void) {
        return arg_one_frame ? (Shape){ one_shape, ELEMENTSOF(one_shape) }
                             : (Shape){ done_shape, ELEMENTSOF(done_shape) };
}

static void *new_socket(void *context, int type) {
        void *s = zmq_socket(context, type);
        int zero = 0, hwm = HIGH_WATER;

        if (!s || zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof(zero)) < 0 ||
            zmq_setsockopt(s, ZMQ_SNDHWM, &hwm, sizeof(hwm)) < 0 ||
            zmq_setsockopt(s, ZMQ_RCVHWM, &hwm, sizeof(hwm)) < 0)
                bench_fail("zmq_socket", zmq_errno());
        return s;
}

/* Sends the frames of a shape; false if there is no room. */
static bool send_shape(void *s, Shape shape) {
        static const char bytes[64] = "FW1 ";

        for (size_t i = 0; i < shape.n; i++) {
                int more = i + 1 < shape.n ? ZMQ_SNDMORE : 0;

                if (zmq_send(s, bytes, shape.sizes[i], ZMQ_DONTWAIT | more) < 0) {
                        if (zmq_errno() == EAGAIN && i == 0)
                                return false;
                        bench_fail("zmq_send", zmq_errno());
                }
        }
        return true;
}

/* Takes a whole message; the number of frames, or 0 if there is none. */
static size_t receive(void *s, zmq_msg_t parts[static FRAMES_MAX]) {
        size_t n = 0;

        do {
                if (n == FRAMES_MAX)
                        bench_fail("receive", EMSGSIZE);
                (void) zmq_msg_init(&parts[n]);
                if (zmq_msg_recv(&parts[n], s, ZMQ_DONTWAIT) < 0) {
                        if (zmq_errno() == EAGAIN && n == 0)
                                return 0;
                        bench_fail("zmq_msg_recv", zmq_errno());
                }
        } while (zmq_msg_more(&parts[n++]));
        return n;
}

static void close_all(zmq_msg_t *parts, size_t n) {
        for (size_t i = 0; i < n; i++)
                (void) zmq_msg_close(&parts[i]);
}

static void send_all(void *s, zmq_msg_t *parts, size_t n, bool more_follows) {
        for (size_t i = 0; i < n; i++) {
                int more = more_follows || i + 1 < n ? ZMQ_SNDMORE : 0;

                if (zmq_msg_send(&parts[i], s, ZMQ_DONTWAIT | more) < 0)
                        bench_fail("zmq_msg_send", zmq_errno());
        }
}

/* --- the worker: answers each message, keeping the client's routing id in front --- */

static void worker(const char *address, int alive_fd) {
        void *context = zmq_ctx_new(), *s = new_socket(context, ZMQ_DEALER);
        zmq_msg_t parts[FRAMES_MAX];

        if (zmq_connect(s, address) < 0 || zmq_send(s, "ready", 5, 0) < 0)
                bench_fail(address, zmq_errno());
        for (;;) {
                zmq_pollitem_t items[] = {
                        { .socket = s, .events = ZMQ_POLLIN },
                        { .fd = alive_fd, .events = ZMQ_POLLIN },
                };
                size_t n;

                if (zmq_poll(items, 2, -1) < 0)
                        bench_fail("zmq_poll", zmq_errno());
                if (items[1].revents)
                        break;
                while ((n = receive(s, parts)) > 0) {
                        send_all(s, parts, 1, true);
                        if (!send_shape(s, answer_shape()))
                                bench_fail("worker", EAGAIN);
                        close_all(parts + 1, n - 1);
                }
        }
        (void) zmq_close(s);
        (void) zmq_ctx_term(context);
}

/* --- the relay --- */

static zmq_msg_t worker_ids[WORKERS_MAX];

/* From the client: [client][frames] becomes [worker][client][frames]. */
static bool pass_to_worker(void *front, void *back) {
        static unsigned next;
        zmq_msg_t parts[FRAMES_MAX], id;
        size_t n = receive(front, parts);

        if (n == 0)
                return false;
        (void) zmq_msg_init(&id);
        (void) zmq_msg_copy(&id, &worker_ids[next++ % arg_workers]);
        send_all(back, &id, 1, true);
        send_all(back, parts, n, false);
        return true;
}

/* From a worker: [worker][client][frames] becomes [client][frames]. */
static bool pass_to_client(void *front, void *back) {
        zmq_msg_t parts[FRAMES_MAX];
        size_t n = receive(back, parts);

        if (n == 0)
                return false;
        send_all(front, parts + 1, n - 1, false);
        (void) zmq_msg_close(&parts[0]);
        return true;
}

static void await_workers(void *back) {
        for (unsigned i = 0; i < arg_workers; i++) {
                zmq_msg_t greeting;

                (void) zmq_msg_init(&worker_ids[i]);
                (void) zmq_msg_init(&greeting);
                if (zmq_msg_recv(&worker_ids[i], back, 0) < 0 ||
                    zmq_msg_recv(&greeting, back, 0) < 0)
                        bench_fail("zmq_msg_recv", zmq_errno());
                (void) zmq_msg_close(&greeting);
        }
}

static void bind_and_tell(void *s, int fd) {
        char endpoint[64] = {};
        size_t size = sizeof(endpoint);

        if (zmq_bind(s, "tcp://127.0.0.1:*") < 0 ||
            zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, endpoint, &size) < 0)
                bench_fail("zmq_bind", zmq_errno());
        if (write(fd, endpoint, sizeof(endpoint)) != sizeof(endpoint))
                bench_fail("write", errno);
}

static void relay(int address_fd, int alive_fd) {
        void *context = zmq_ctx_new();
        void *front = new_socket(context, ZMQ_ROUTER), *back = new_socket(context, ZMQ_ROUTER);

        bind_and_tell(front, address_fd);
        bind_and_tell(back, address_fd);
        await_workers(back);
        /* Only now may the client begin. */
        if (write(address_fd, "", 1) != 1)
                bench_fail("write", errno);

        for (;;) {
                zmq_pollitem_t items[] = {
                        { .socket = back, .events = ZMQ_POLLIN },
                        { .socket = front, .events = ZMQ_POLLIN },
                        { .fd = alive_fd, .events = ZMQ_POLLIN },
                };

                if (zmq_poll(items, 3, -1) < 0)
                        bench_fail("zmq_poll", zmq_errno());
                if (items[2].revents)
                        break;
                for (unsigned i = 0; i < BUDGET && pass_to_client(front, back); i++)
                        ;
                for (unsigned i = 0; i < BUDGET && pass_to_worker(front, back); i++)
                        ;
        }
        (void) zmq_close(front);
        (void) zmq_close(back);
        (void) zmq_ctx_term(context);
}

/* --- the client --- */

static size_t take_answers(void *s) {
        zmq_msg_t parts[FRAMES_MAX];
        size_t n, n_answers = 0;

        while ((n = receive(s, parts)) > 0) {
                close_all(parts, n);
                n_answers++;
        }
        return n_answers;
}

static void wait_for_answers(void *s) {
        zmq_pollitem_t item = { .socket = s, .events = ZMQ_POLLIN };

        if (zmq_poll(&item, 1, -1) < 0)
                bench_fail("zmq_poll", zmq_errno());
}

static uint64_t run_window(void *s, size_t n_tasks) {
        uint64_t begin = bench_now_usec();
        size_t sent = 0, done = 0;

        while (done < n_tasks) {
                size_t n;

                while (sent < n_tasks && sent - done < arg_window && send_shape(s, request_shape()))
                        sent++;
                n = take_answers(s);
                done += n;
                if (n == 0)
                        wait_for_answers(s);
        }
        return bench_now_usec() - begin;
}

static void run_round_trips(void *s, uint64_t *ret_usec, size_t n) {
        for (size_t i = 0; i < n; i++) {
                uint64_t begin = bench_now_usec();

                if (!send_shape(s, request_shape()))
                        bench_fail("client", EAGAIN);
                while (take_answers(s) == 0)
                        wait_for_answers(s);
                ret_usec[i] = bench_now_usec() - begin;
        }
}

static void client(const char *address) {
        void *context = zmq_ctx_new(), *s = new_socket(context, ZMQ_DEALER);
        _cleanup_free_ uint64_t *round_trips = calloc(arg_round_trips + 1, sizeof(uint64_t));
        uint64_t usec;

        if (!round_trips || zmq_connect(s, address) < 0)
                bench_fail(address, zmq_errno());
        (void) run_window(s, MIN(arg_tasks, arg_window));
        usec = run_window(s, arg_tasks);
        printf("tasks_per_second=%.0f\n",
               (double) arg_tasks * 1e6 / (double) MAX(usec, (uint64_t) 1));
        run_round_trips(s, round_trips, arg_round_trips);
        bench_print_times("round_trip", round_trips, arg_round_trips);
        (void) zmq_close(s);
        (void) zmq_ctx_term(context);
}

/* --- processes --- */

static pid_t start(const char *name) {
        pid_t pid = fork();

        if (pid < 0)
                bench_fail(name, errno);
        if (pid == 0)
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        return pid;
}

static void read_all(int fd, void *to, size_t size) {
        if (read(fd, to, size) != (ssize_t) size)
                bench_fail("the relay did not start", EIO);
}

static double cpu_of(pid_t pid) {
        struct rusage usage;
        int status;

        if (wait4(pid, &status, 0, &usage) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
                bench_fail("a process of the relay failed", EIO);
        return bench_cpu_usec(&usage);
}

static void parse_argv(int argc, char *argv[]) {
        static const struct option options[] = {
                { "tasks", required_argument, NULL, 't' },
                { "window", required_argument, NULL, 'w' },
                { "workers", required_argument, NULL, 'n' },
                { "frames", required_argument, NULL, 'f' },
                { "round-trips", required_argument, NULL, 'r' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 't':
                        arg_tasks = bench_number(optarg, 1, 1000000000);
                        break;
                case 'w':
                        arg_window = bench_number(optarg, 1, HIGH_WATER / 2);
                        break;
                case 'n':
                        arg_workers = (unsigned) bench_number(optarg, 1, WORKERS_MAX);
                        break;
                case 'f':
                        arg_one_frame = bench_number(optarg, 1, 7) == 1;
                        break;
                case 'r':
                        arg_round_trips = bench_number(optarg, 1, 10000000);
                        break;
                default:
                        exit(EXIT_FAILURE);
                }
}

int main(int argc, char *argv[]) {
        char front[64], back[64], ready;
        pid_t relay_pid, worker_pids[WORKERS_MAX];
        int address_pipe[2], alive_pipe[2];
        double total, cpu_workers = 0;
        struct rusage usage;

        parse_argv(argc, argv);
        total = (double) (arg_tasks + arg_round_trips);
        if (pipe(address_pipe) < 0 || pipe(alive_pipe) < 0)
                bench_fail("pipe", errno);

        relay_pid = start("relay");
        if (relay_pid == 0) {
                safe_close(alive_pipe[1]);
                relay(address_pipe[1], alive_pipe[0]);
                return EXIT_SUCCESS;
        }
        read_all(address_pipe[0], front, sizeof(front));
        read_all(address_pipe[0], back, sizeof(back));
        for (unsigned i = 0; i < arg_workers; i++) {
                worker_pids[i] = start("worker");
                if (worker_pids[i] == 0) {
                        safe_close(alive_pipe[1]);
                        worker(back, alive_pipe[0]);
                        return EXIT_SUCCESS;
                }
        }
        read_all(address_pipe[0], &ready, 1);

        client(front);
        safe_close(alive_pipe[1]);
        (void) getrusage(RUSAGE_SELF, &usage);
        printf("cpu_client=%.2f\n", bench_cpu_usec(&usage) / total);
        printf("cpu_relay=%.2f\n", cpu_of(relay_pid) / total);
        for (unsigned i = 0; i < arg_workers; i++)
                cpu_workers += cpu_of(worker_pids[i]);
        printf("cpu_workers=%.2f\n", cpu_workers / total);
        return EXIT_SUCCESS;
}
