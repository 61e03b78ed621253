/* SPDX-License-Identifier: MIT */

#include <pthread.h>
#include <stdatomic.h>
#include <zmq.h>

#include "check-util.h"
#include "time-util.h"
#include "zmq-source.h"

#define N_MESSAGES    3000
#define N_MORE        500
#define BUDGET        16
#define TIMER_USEC    100
#define DEADLINE_USEC (60 * USEC_PER_SEC)

typedef struct Fixture {
        void *context, *router, *peer;
        sd_event *event;
        ZmqSource *source;
        char routing[64], endpoint[sizeof(test_directory) + 16];
        size_t routing_size;
        unsigned n_received, n_wanted, n_sent;
        int handler_result;
} Fixture;

static Fixture f;
static atomic_uint n_taken; /* for the peer's thread */
static atomic_bool stop;

static void set_int(void *socket, int option, int value) {
        ck_assert_int_eq(zmq_setsockopt(socket, option, &value, sizeof(value)), 0);
}

static void *new_socket(int type) {
        void *socket = zmq_socket(f.context, type);

        ck_assert_ptr_nonnull(socket);
        set_int(socket, ZMQ_LINGER, 0);
        set_int(socket, ZMQ_SNDHWM, 0);
        set_int(socket, ZMQ_RCVHWM, 0);
        return socket;
}

static void setup(void) {
        setup_directory();
        f = (Fixture){};
        (void) snprintf(f.endpoint, sizeof(f.endpoint), "ipc://%s/s", test_directory);
        f.context = zmq_ctx_new();
        ck_assert_ptr_nonnull(f.context);
        f.router = new_socket(ZMQ_ROUTER);
        ck_assert_int_eq(zmq_bind(f.router, f.endpoint), 0);
        ck_assert_int_ge(sd_event_new(&f.event), 0);
}

static void teardown(void) {
        f.source = zmq_source_free(f.source);
        f.event = sd_event_unref(f.event);
        if (f.peer)
                ck_assert_int_eq(zmq_close(f.peer), 0);
        if (f.router)
                ck_assert_int_eq(zmq_close(f.router), 0);
        ck_assert_int_eq(zmq_ctx_term(f.context), 0);
        teardown_directory();
}

/* Takes one message, which must be the number of those before it. */
static int on_message(void *socket, void *userdata) {
        uint32_t number;
        char routing[sizeof(f.routing)];
        int n;

        n = zmq_recv(socket, routing, sizeof(routing), ZMQ_DONTWAIT);
        if (n < 0)
                return zmq_errno() == EAGAIN ? 0 : -zmq_errno();
        memcpy(f.routing, routing, (size_t) n);
        f.routing_size = (size_t) n;
        ck_assert_int_eq(zmq_recv(socket, &number, sizeof(number), ZMQ_DONTWAIT), sizeof(number));
        ck_assert_uint_eq(number, f.n_received);
        if (++f.n_received == f.n_wanted)
                ck_assert_int_ge(sd_event_exit(f.event, 0), 0);
        return f.handler_result < 0 ? f.handler_result : 1;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        return sd_event_exit(f.event, -ETIMEDOUT);
}

static int run_loop(void) {
        ck_assert_int_ge(sd_event_add_time_relative(f.event, NULL, CLOCK_MONOTONIC, DEADLINE_USEC,
                                                    0, on_deadline, NULL),
                         0);
        return sd_event_loop(f.event);
}

/* Sends numbers in bursts, and waits after each until the other side has taken them all: what is not taken
 * then will never be, as nothing comes that could wake it up once more. */
static void *run_peer(void *userdata) {
        void *socket = userdata;

        for (uint32_t i = 0, burst = 1; i < N_MESSAGES; burst = burst % 9 + 1) {
                for (uint32_t k = 0; k < burst && i < N_MESSAGES; k++, i++)
                        if (zmq_send(socket, &i, sizeof(i), 0) < 0)
                                return NULL;
                while (atomic_load(&n_taken) < i) {
                        zmq_pollitem_t item = { .socket = socket, .events = ZMQ_POLLIN };
                        char greeting[16];

                        if (atomic_load(&stop))
                                return NULL;
                        (void) zmq_poll(&item, 1, 1);
                        while (zmq_recv(socket, greeting, sizeof(greeting), ZMQ_DONTWAIT) >= 0)
                                ;
                }
        }
        return socket;
}

static void greet(void) {
        if (zmq_send(f.router, f.routing, f.routing_size, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
            zmq_send(f.router, "hello", 5, ZMQ_DONTWAIT) >= 0)
                f.n_sent++;
}

/* Sends from elsewhere in the loop, any of which may eat the edge that told of a message. libzmq looks for news
 * in a send about once a millisecond, so this takes longer. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        uint64_t end = now_usec(CLOCK_MONOTONIC) + 1500;

        while (f.routing_size > 0 && now_usec(CLOCK_MONOTONIC) < end)
                greet();
        ck_assert_int_ge(sd_event_source_set_time_relative(source, TIMER_USEC), 0);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_counted_message(void *socket, void *userdata) {
        int r = on_message(socket, userdata);

        atomic_store(&n_taken, f.n_received);
        return r;
}

START_TEST(test_no_stall) {
        pthread_t thread;
        void *result = NULL;
        int r;

        f.peer = new_socket(ZMQ_DEALER);
        ck_assert_int_eq(zmq_connect(f.peer, f.endpoint), 0);
        f.n_wanted = N_MESSAGES;
        ck_assert_int_eq(
                zmq_source_new(f.event, f.router, BUDGET, on_counted_message, NULL, &f.source), 0);
        ck_assert_int_ge(sd_event_add_time_relative(f.event, NULL, CLOCK_MONOTONIC, TIMER_USEC, 1,
                                                    on_timer, NULL),
                         0);
        ck_assert_int_eq(pthread_create(&thread, NULL, run_peer, f.peer), 0);
        r = run_loop();
        atomic_store(&stop, true);
        ck_assert_int_eq(pthread_join(thread, &result), 0);
        ck_assert_msg(r == 0, "stalled after %u messages", f.n_received);
        ck_assert_ptr_nonnull(result);
        ck_assert_uint_eq(f.n_received, N_MESSAGES);
        ck_assert_uint_gt(f.n_sent, 0);
}
END_TEST

/* Sends the next n numbers. */
static void send_numbers(uint32_t first, uint32_t n) {
        if (!f.peer) {
                f.peer = new_socket(ZMQ_DEALER);
                ck_assert_int_eq(zmq_connect(f.peer, f.endpoint), 0);
        }
        for (uint32_t i = first; i < first + n; i++)
                ck_assert_int_eq(zmq_send(f.peer, &i, sizeof(i), 0), sizeof(i));
}

static unsigned n_turns, turn_max, before_turn;

static int on_turn(sd_event_source *source, void *userdata) {
        n_turns++;
        ck_assert_uint_le(f.n_received - before_turn, turn_max);
        before_turn = f.n_received;
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* However many messages wait, other sources get their turn after each BUDGET. */
START_TEST(test_budget) {
        sd_event_source *turn = NULL;

        f.n_wanted = N_MORE;
        n_turns = before_turn = 0;
        turn_max = BUDGET;
        send_numbers(0, N_MORE);
        ck_assert_int_eq(zmq_source_new(f.event, f.router, BUDGET, on_message, NULL, &f.source), 0);
        ck_assert_int_ge(sd_event_add_defer(f.event, &turn, on_turn, NULL), 0);
        ck_assert_int_eq(run_loop(), 0);
        ck_assert_uint_ge(n_turns, N_MORE / BUDGET);
        sd_event_source_unref(turn);
}
END_TEST

/* One that takes its time. */
static int on_slow_message(void *socket, void *userdata) {
        uint64_t end = now_usec(CLOCK_MONOTONIC) + 2 * USEC_PER_MSEC;

        while (now_usec(CLOCK_MONOTONIC) < end)
                ;
        return on_message(socket, userdata);
}

/* Nor does a turn last long when the messages take long: three of 2 ms are the most that can begin in 5 ms. */
START_TEST(test_turn_time) {
        sd_event_source *turn = NULL;

        f.n_wanted = 50;
        n_turns = before_turn = 0;
        turn_max = 3;
        send_numbers(0, 50);
        ck_assert_int_eq(
                zmq_source_new(f.event, f.router, BUDGET, on_slow_message, NULL, &f.source), 0);
        ck_assert_int_ge(sd_event_add_defer(f.event, &turn, on_turn, NULL), 0);
        ck_assert_int_eq(run_loop(), 0);
        ck_assert_uint_ge(n_turns, 50 / 3);
        sd_event_source_unref(turn);
}
END_TEST

/* Runs the loop until it is quiet for 50 ms; it must not spin. */
static void run_until_quiet(void) {
        unsigned n = 0;
        int r;

        while ((r = sd_event_run(f.event, 50 * USEC_PER_MSEC)) > 0)
                ck_assert_uint_lt(n++, 100000);
        ck_assert_int_eq(r, 0);
}

START_TEST(test_pause) {
        ck_assert_int_eq(zmq_source_new(f.event, f.router, BUDGET, on_message, NULL, &f.source), 0);
        f.n_wanted = 2 * N_MORE;
        ck_assert_int_eq(zmq_source_pause(f.source), 0);
        send_numbers(0, N_MORE);
        run_until_quiet();
        ck_assert_uint_eq(f.n_received, 0);
        ck_assert_int_eq(zmq_source_resume(f.source), 0);
        send_numbers(N_MORE, N_MORE);
        ck_assert_int_eq(run_loop(), 0);
        ck_assert_uint_eq(f.n_received, 2 * N_MORE);
}
END_TEST

static int on_message_pause(void *socket, void *userdata) {
        int r = on_message(socket, userdata);

        if (f.n_received == 3)
                ck_assert_int_eq(zmq_source_pause(f.source), 0);
        return r;
}

/* Paused from its own handler, the source takes no more, though its budget is not used up. */
START_TEST(test_pause_in_handler) {
        ck_assert_int_eq(
                zmq_source_new(f.event, f.router, BUDGET, on_message_pause, NULL, &f.source), 0);
        f.n_wanted = N_MORE;
        send_numbers(0, N_MORE);
        while (f.n_received < 3)
                ck_assert_int_ge(sd_event_run(f.event, DEADLINE_USEC), 0);
        run_until_quiet();
        ck_assert_uint_eq(f.n_received, 3);
        ck_assert_int_eq(zmq_source_resume(f.source), 0);
        ck_assert_int_eq(run_loop(), 0);
}
END_TEST

static int on_message_free(void *socket, void *userdata) {
        int r = on_message(socket, userdata);

        if (f.n_received == 3)
                f.source = zmq_source_free(f.source);
        return r;
}

START_TEST(test_free_in_handler) {
        ck_assert_int_eq(
                zmq_source_new(f.event, f.router, BUDGET, on_message_free, NULL, &f.source), 0);
        send_numbers(0, N_MORE);
        while (f.n_received < 3)
                ck_assert_int_ge(sd_event_run(f.event, DEADLINE_USEC), 0);
        ck_assert_ptr_null(f.source);
        run_until_quiet();
        ck_assert_uint_eq(f.n_received, 3);
        ck_assert_ptr_null(zmq_source_free(NULL));
}
END_TEST

/* A new one takes over where the old one stopped. */
START_TEST(test_replace) {
        ck_assert_int_eq(
                zmq_source_new(f.event, f.router, BUDGET, on_message_free, NULL, &f.source), 0);
        send_numbers(0, N_MORE);
        while (f.n_received < 3)
                ck_assert_int_ge(sd_event_run(f.event, DEADLINE_USEC), 0);
        f.n_wanted = N_MORE;
        ck_assert_int_eq(zmq_source_new(f.event, f.router, BUDGET, on_message, NULL, &f.source), 0);
        ck_assert_int_eq(run_loop(), 0);
        ck_assert_uint_eq(f.n_received, N_MORE);
}
END_TEST

START_TEST(test_handler_fails) {
        ck_assert_int_eq(zmq_source_new(f.event, f.router, BUDGET, on_message, NULL, &f.source), 0);
        f.handler_result = -EXDEV;
        send_numbers(0, 10);
        ck_assert_int_eq(run_loop(), -EXDEV);
        ck_assert_uint_eq(f.n_received, 1);
}
END_TEST

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        ck_assert_int_eq(zmq_ctx_shutdown(f.context), 0);
        return 0;
}

/* A socket that is of no more use does not leave the daemon waiting for it. */
START_TEST(test_socket_fails) {
        ck_assert_int_eq(zmq_source_new(f.event, f.router, BUDGET, on_message, NULL, &f.source), 0);
        ck_assert_int_ge(
                sd_event_add_time_relative(f.event, NULL, CLOCK_MONOTONIC, 1, 0, on_idle, NULL), 0);
        ck_assert_int_eq(run_loop(), -ETERM);
}
END_TEST

START_TEST(test_not_a_socket) {
        ck_assert_int_eq(zmq_source_new(f.event, NULL, BUDGET, on_message, NULL, &f.source),
                         -ENOTSOCK);
        ck_assert_ptr_null(f.source);
}
END_TEST

int main(void) {
        Suite *s = suite_create("zmq-source");
        TCase *stall = tcase_create("stall"), *t = tcase_create("all");

        tcase_add_checked_fixture(stall, setup, teardown);
        tcase_set_timeout(stall, 120);
        tcase_add_test(stall, test_no_stall);
        suite_add_tcase(s, stall);

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_set_timeout(t, 120);
        tcase_add_test(t, test_budget);
        tcase_add_test(t, test_turn_time);
        tcase_add_test(t, test_pause);
        tcase_add_test(t, test_pause_in_handler);
        tcase_add_test(t, test_free_in_handler);
        tcase_add_test(t, test_replace);
        tcase_add_test(t, test_handler_fails);
        tcase_add_test(t, test_socket_fails);
        tcase_add_test(t, test_not_a_socket);
        suite_add_tcase(s, t);
        return check_run(s);
}
