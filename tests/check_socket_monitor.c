/* SPDX-License-Identifier: MIT */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "check-util.h"
#include "socket-monitor.h"
#include "time-util.h"
#include "zmq-util.h"

#define DEADLINE_USEC  (60 * USEC_PER_SEC)
#define HANDSHAKE_MSEC 200
#define N_PEERS        50U
#define EVENTS_MAX     1000U

static const SocketLimits limits = { .max_frame_bytes = 1000, .high_water_messages = 100 };

typedef struct Seen {
        SocketEvent event;
        int error;
        char peer[64];
} Seen;

static void *context, *router;
static char *endpoint;
static uint16_t port;
static sd_event *event;
static SocketMonitor *monitor;
static Seen seen[EVENTS_MAX];
static size_t n_seen;

static void on_socket_event(SocketEvent e, int error, const char *peer, void *userdata) {
        Seen *s = &seen[n_seen++];

        ck_assert_uint_lt(n_seen, EVENTS_MAX);
        ck_assert_ptr_eq(userdata, &n_seen);
        *s = (Seen){ .event = e, .error = error };
        (void) snprintf(s->peer, sizeof(s->peer), "%s", peer);
}

static void start(const char *address, SocketMonitorHandler handler) {
        ck_assert_int_eq(zsocket_new(context, ZMQ_ROUTER, &limits, &router), 0);
        ck_assert_int_eq(zsocket_set_int(router, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MSEC), 0);
        ck_assert_int_eq(zsocket_bind(router, address, -1), 0);
        ck_assert_int_eq(zsocket_last_endpoint(router, &endpoint), 0);
        if (strncmp(endpoint, "tcp://", 6) == 0)
                port = (uint16_t) atoi(strrchr(endpoint, ':') + 1);
        ck_assert_int_eq(socket_monitor_new(event, context, router, handler, &n_seen, &monitor), 0);
}

static void setup(void) {
        setup_directory();
        n_seen = 0;
        context = zmq_ctx_new();
        ck_assert_ptr_nonnull(context);
        ck_assert_int_ge(sd_event_new(&event), 0);
}

static void teardown(void) {
        monitor = socket_monitor_free(monitor);
        event = sd_event_unref(event);
        router = zsocket_close(router);
        free(endpoint);
        ck_assert_int_eq(zmq_ctx_term(context), 0);
        teardown_directory();
}

/* Runs the loop until n events have come. */
static void wait_for(size_t n) {
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + DEADLINE_USEC;

        while (n_seen < n) {
                ck_assert_uint_lt(now_usec(CLOCK_MONOTONIC), deadline);
                ck_assert_int_ge(sd_event_run(event, USEC_PER_SEC), 0);
        }
        ck_assert_uint_eq(n_seen, n);
}

static void check_event(size_t i, SocketEvent e, int error) {
        ck_assert_int_eq(seen[i].event, e);
        ck_assert_int_eq(seen[i].error, error);
}

static void *connect_peer(int type) {
        void *peer;

        ck_assert_int_eq(zsocket_new(context, type, &limits, &peer), 0);
        ck_assert_int_eq(zsocket_connect(peer, endpoint), 0);
        return peer;
}

/* A TCP connection; its own address goes to ret_name. */
static int connect_raw(char ret_name[64]) {
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(a);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(connect(fd, (const struct sockaddr *) &a, sizeof(a)), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *) &a, &size), 0);
        (void) snprintf(ret_name, 64, "127.0.0.1:%u", (unsigned) ntohs(a.sin_port));
        return fd;
}

START_TEST(test_good_peer) {
        void *peer;

        start("tcp://127.0.0.1:*", on_socket_event);
        peer = connect_peer(ZMQ_DEALER);
        wait_for(1);
        check_event(0, SOCKET_CONNECTED, 0);
        ck_assert_int_eq(strncmp(seen[0].peer, "127.0.0.1:", 10), 0);
        ck_assert_uint_ne((uint16_t) atoi(seen[0].peer + 10), port);
        zsocket_close(peer);
        wait_for(2);
        check_event(1, SOCKET_DISCONNECTED, 0);
        ck_assert_str_eq(seen[1].peer, seen[0].peer);
}
END_TEST

START_TEST(test_unix_peer) {
        _cleanup_free_ char *address = format_string("ipc://%s/s", test_directory);
        void *peer;

        start(address, on_socket_event);
        peer = connect_peer(ZMQ_DEALER);
        wait_for(1);
        check_event(0, SOCKET_CONNECTED, 0);
        ck_assert_str_eq(seen[0].peer, "");
        zsocket_close(peer);
        wait_for(2);
        check_event(1, SOCKET_DISCONNECTED, 0);
}
END_TEST

/* Whatever it is that does not speak our protocol is told, once, with its address. */
static void check_rubbish(const void *data, size_t size, int error) {
        char name[64];
        int fd = connect_raw(name);
        size_t before = n_seen;

        ck_assert_int_eq(send(fd, data, size, MSG_NOSIGNAL), (ssize_t) size);
        wait_for(before + 1);
        check_event(before, SOCKET_NOT_ZMTP, error);
        /* It may be gone by the time we ask where it is from. */
        if (seen[before].peer[0])
                ck_assert_str_eq(seen[before].peer, name);
        safe_close(fd);
}

START_TEST(test_rubbish) {
        static const unsigned char zeros[300];
        unsigned char data[300];

        start("tcp://127.0.0.1:*", on_socket_event);
        check_rubbish(zeros, sizeof(zeros), EPROTO);
        memset(data, 0xff, sizeof(data));
        check_rubbish(data, sizeof(data), EPROTO);
        /* A greeting, as it should be, and then none of what should follow. */
        memset(data, 0, sizeof(data));
        memcpy(data, "\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL", 16);
        memset(data + 64, 'A', sizeof(data) - 64);
        check_rubbish(data, sizeof(data), EPROTO);
        /* One that wants another security mechanism. */
        memset(data, 0, sizeof(data));
        memcpy(data, "\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE", 17);
        check_rubbish(data, 64, EPROTO);
        /* Half a request of another protocol, which then waits for an answer. */
        check_rubbish("\1GET / HTTP/1.1\r\n", 17, ETIMEDOUT);
        check_rubbish("", 0, ETIMEDOUT);
}
END_TEST

START_TEST(test_gone_at_once) {
        char name[64];
        int fd;

        start("tcp://127.0.0.1:*", on_socket_event);
        fd = connect_raw(name);
        safe_close(fd);
        wait_for(1);
        ck_assert_int_eq(seen[0].event, SOCKET_NOT_ZMTP);
        ck_assert(seen[0].error == EPIPE || seen[0].error == ECONNRESET);
}
END_TEST

/* A ZeroMQ peer, but none that may talk to a ROUTER. */
START_TEST(test_wrong_type) {
        void *peer;

        start("tcp://127.0.0.1:*", on_socket_event);
        peer = connect_peer(ZMQ_PUB);
        wait_for(1);
        check_event(0, SOCKET_NOT_ZMTP, EPROTO);
        zsocket_close(peer);
}
END_TEST

static size_t count(SocketEvent e) {
        size_t n = 0;

        for (size_t i = 0; i < n_seen; i++)
                n += seen[i].event == e;
        return n;
}

/* Many at once: each is told coming and going, none taken for what it is not. */
START_TEST(test_many) {
        void *peers[N_PEERS];

        start("tcp://127.0.0.1:*", on_socket_event);
        for (size_t i = 0; i < N_PEERS; i++)
                peers[i] = connect_peer(ZMQ_DEALER);
        wait_for(N_PEERS);
        ck_assert_uint_eq(count(SOCKET_CONNECTED), N_PEERS);
        for (size_t i = 0; i < N_PEERS; i++)
                zsocket_close(peers[i]);
        wait_for(2 * (size_t) N_PEERS);
        ck_assert_uint_eq(count(SOCKET_DISCONNECTED), N_PEERS);
}
END_TEST

/* A connection that says nothing does not hide that another one is fine. */
START_TEST(test_good_beside_silent) {
        char name[64];
        int silent;
        void *peer;

        start("tcp://127.0.0.1:*", on_socket_event);
        silent = connect_raw(name);
        peer = connect_peer(ZMQ_DEALER);
        wait_for(2);
        ck_assert_uint_eq(count(SOCKET_CONNECTED), 1);
        ck_assert_uint_eq(count(SOCKET_NOT_ZMTP), 1);
        for (size_t i = 0; i < 2; i++)
                if (seen[i].event == SOCKET_NOT_ZMTP) {
                        ck_assert_str_eq(seen[i].peer, name);
                        ck_assert_int_eq(seen[i].error, ETIMEDOUT);
                }
        zsocket_close(peer);
        wait_for(3);
        ck_assert_uint_eq(count(SOCKET_DISCONNECTED), 1);
        safe_close(silent);
}
END_TEST

/* The side that connects sees the same. */
START_TEST(test_connecting_side) {
        void *peer, *server = NULL;
        SocketMonitor *m = NULL;

        ck_assert_int_eq(zsocket_new(context, ZMQ_ROUTER, &limits, &server), 0);
        ck_assert_int_eq(zsocket_bind(server, "tcp://127.0.0.1:*", -1), 0);
        ck_assert_int_eq(zsocket_last_endpoint(server, &endpoint), 0);
        ck_assert_int_eq(zsocket_new(context, ZMQ_DEALER, &limits, &peer), 0);
        ck_assert_int_eq(socket_monitor_new(event, context, peer, on_socket_event, &n_seen, &m), 0);
        ck_assert_int_eq(zsocket_connect(peer, endpoint), 0);
        wait_for(1);
        check_event(0, SOCKET_CONNECTED, 0);
        ck_assert_str_eq(seen[0].peer, endpoint + strlen("tcp://"));
        zsocket_close(server);
        wait_for(2);
        check_event(1, SOCKET_DISCONNECTED, 0);
        ck_assert_ptr_null(socket_monitor_free(m));
        zsocket_close(peer);
}
END_TEST

/* Out of descriptors: told, but not as often as libzmq tries again. */
START_TEST(test_accept_failed) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), next;
        struct rlimit old, few;
        uint64_t begin;

        start("tcp://127.0.0.1:*", on_socket_event);
        a.sin_port = htons(port);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
        /* The lowest free number is the first that cannot be had. */
        next = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        ck_assert_int_ge(next, 0);
        safe_close(next);
        few = (struct rlimit){ (rlim_t) next, old.rlim_max };
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
        begin = now_usec(CLOCK_MONOTONIC);
        ck_assert_int_eq(connect(fd, (const struct sockaddr *) &a, sizeof(a)), 0);
        wait_for(1);
        check_event(0, SOCKET_ACCEPT_FAILED, EMFILE);
        for (int i = 0; i < 1000; i++)
                ck_assert_int_ge(sd_event_run(event, 0), 0);
        ck_assert_uint_le(count(SOCKET_ACCEPT_FAILED),
                          1 + (now_usec(CLOCK_MONOTONIC) - begin) / USEC_PER_SEC);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
        safe_close(fd);
}
END_TEST

static void on_socket_event_free(SocketEvent e, int error, const char *peer, void *userdata) {
        on_socket_event(e, error, peer, userdata);
        monitor = socket_monitor_free(monitor);
}

START_TEST(test_free_in_handler) {
        void *peers[5];

        start("tcp://127.0.0.1:*", on_socket_event_free);
        for (size_t i = 0; i < ELEMENTSOF(peers); i++)
                peers[i] = connect_peer(ZMQ_DEALER);
        wait_for(1);
        ck_assert_ptr_null(monitor);
        while (sd_event_run(event, 10 * USEC_PER_MSEC) > 0)
                ;
        ck_assert_uint_eq(n_seen, 1);
        for (size_t i = 0; i < ELEMENTSOF(peers); i++)
                zsocket_close(peers[i]);
        ck_assert_ptr_null(socket_monitor_free(NULL));
}
END_TEST

int main(void) {
        Suite *s = suite_create("socket-monitor");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_set_timeout(t, 120);
        tcase_add_test(t, test_good_peer);
        tcase_add_test(t, test_unix_peer);
        tcase_add_test(t, test_rubbish);
        tcase_add_test(t, test_gone_at_once);
        tcase_add_test(t, test_wrong_type);
        tcase_add_test(t, test_many);
        tcase_add_test(t, test_good_beside_silent);
        tcase_add_test(t, test_connecting_side);
        tcase_add_test(t, test_accept_failed);
        tcase_add_test(t, test_free_in_handler);
        suite_add_tcase(s, t);
        return check_run(s);
}
