/* SPDX-License-Identifier: MIT */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "check-util.h"
#include "zmq-util.h"

#define WAIT_MSEC  60000 /* for what must come */
#define RETRY_MSEC 20

static const SocketLimits limits = { .max_frame_bytes = 1000, .high_water_messages = 100 };

static void *context, *router, *dealer;
static char *endpoint;

static void setup(void) {
        setup_directory();
        context = zmq_ctx_new();
        ck_assert_ptr_nonnull(context);
        router = dealer = NULL;
        endpoint = NULL;
}

static void teardown(void) {
        router = zsocket_close(router);
        dealer = zsocket_close(dealer);
        free(endpoint);
        ck_assert_int_eq(zmq_ctx_term(context), 0);
        teardown_directory();
}

/* A ROUTER at the address and a DEALER connected to where that is. */
static void make_pair(const char *address) {
        ck_assert_int_eq(zsocket_new(context, ZMQ_ROUTER, &limits, &router), 0);
        ck_assert_int_eq(zsocket_new(context, ZMQ_DEALER, &limits, &dealer), 0);
        ck_assert_int_eq(zsocket_bind(router, address, -1), 0);
        ck_assert_int_eq(zsocket_last_endpoint(router, &endpoint), 0);
        ck_assert_int_eq(zsocket_connect(dealer, endpoint), 0);
}

static int wait_readable(void *socket, int msec) {
        zmq_pollitem_t item = { .socket = socket, .events = ZMQ_POLLIN };

        return zmq_poll(&item, 1, msec);
}

static int receive(Frames *f, void *socket) {
        ck_assert_int_eq(wait_readable(socket, WAIT_MSEC), 1);
        return frames_recv(f, socket);
}

static void check_frame(const struct iovec *iov, const char *text) {
        ck_assert_uint_eq(iov->iov_len, strlen(text));
        ck_assert_int_eq(memcmp(iov->iov_base, text, iov->iov_len), 0);
}

static void put_message(WireOut *out, const char *a, const char *b) {
        wire_begin(out, WIRE_PING, &(struct iovec){ (void *) a, strlen(a) });
        wire_put_string(out, b);
}

START_TEST(test_round_trip) {
        WireOut out = {};
        Frames f = {};
        struct iovec routing;

        make_pair("tcp://127.0.0.1:*");
        ck_assert_int_eq(frames_recv(&f, router), -EAGAIN);
        ck_assert_uint_eq(f.n, 0);
        put_message(&out, "corr", "field");
        ck_assert_int_eq(wire_send(dealer, NULL, &out), 0);
        put_message(&out, "second", "");
        ck_assert_int_eq(wire_send(dealer, NULL, &out), 0);

        ck_assert_int_eq(receive(&f, router), 0);
        ck_assert_uint_eq(f.n, 4);
        check_frame(&f.iov[1], "FW1 PING");
        check_frame(&f.iov[2], "corr");
        check_frame(&f.iov[3], "field");
        routing = f.iov[0];
        ck_assert_uint_gt(routing.iov_len, 0);
        put_message(&out, "back", "x");
        ck_assert_int_eq(wire_send(router, &routing, &out), 0);
        ck_assert_int_eq(receive(&f, router), 0);
        check_frame(&f.iov[2], "second");
        check_frame(&f.iov[3], "");

        ck_assert_int_eq(receive(&f, dealer), 0);
        ck_assert_uint_eq(f.n, 3);
        check_frame(&f.iov[1], "back");
        ck_assert_int_eq(frames_recv(&f, dealer), -EAGAIN);
        ck_assert_uint_eq(f.n, 0);
        frames_done(&f);
        wire_out_done(&out);
}
END_TEST

/* Frames stay what they are while the array grows: short ones live inside it, long ones do not. */
static void check_count(size_t n) {
        WireOut out = {};
        Frames f = {};
        char text[64];

        wire_begin(&out, WIRE_PING, &(struct iovec){});
        for (size_t i = 2; i < n; i++) {
                (void) snprintf(text, sizeof(text),
                                i % 2 ? "%zu" : "%zu and more bytes than a short frame holds", i);
                if (i % 2)
                        wire_put_number(&out, i);
                else
                        wire_put_string(
                                &out,
                                "more bytes than a frame holds inside, so that they are elsewhere");
        }
        ck_assert_int_eq(wire_send(dealer, NULL, &out), 0);
        ck_assert_int_eq(receive(&f, router), 0);
        ck_assert_uint_eq(f.n, n + 1);
        for (size_t i = 2; i < n; i++) {
                (void) snprintf(text, sizeof(text), "%zu", i);
                check_frame(
                        &f.iov[i + 1],
                        i % 2 ? text
                              : "more bytes than a frame holds inside, so that they are elsewhere");
        }
        frames_done(&f);
        wire_out_done(&out);
}

START_TEST(test_many_frames) {
        static const size_t counts[] = { 2, 15, 16, 17, 33, 1000, WIRE_FRAMES_MAX };

        make_pair("inproc://a");
        for (size_t i = 0; i < ELEMENTSOF(counts); i++)
                check_count(counts[i]);
}
END_TEST

/* Of a message that is too long the beginning is kept, so that its sender can be told. */
START_TEST(test_too_many_frames) {
        WireOut out = {};
        Frames f = {};

        make_pair("inproc://a");
        for (size_t i = 0; i < WIRE_FRAMES_MAX + 5000; i++)
                ck_assert_int_eq(zmq_send(dealer, "x", 1, ZMQ_SNDMORE), 1);
        ck_assert_int_eq(zmq_send(dealer, "y", 1, 0), 1);
        put_message(&out, "next", "one");
        ck_assert_int_eq(wire_send(dealer, NULL, &out), 0);

        ck_assert_int_eq(receive(&f, router), -EMSGSIZE);
        ck_assert_uint_eq(f.n, 1 + WIRE_FRAMES_MAX);
        ck_assert_uint_gt(f.iov[0].iov_len, 0);
        check_frame(&f.iov[1], "x");
        check_frame(&f.iov[WIRE_FRAMES_MAX], "x");
        put_message(&out, "too", "long");
        ck_assert_int_eq(wire_send(router, &f.iov[0], &out), 0);

        ck_assert_int_eq(receive(&f, router), 0);
        ck_assert_uint_eq(f.n, 4);
        check_frame(&f.iov[2], "next");
        ck_assert_int_eq(receive(&f, dealer), 0);
        check_frame(&f.iov[1], "too");
        frames_done(&f);
        wire_out_done(&out);
}
END_TEST

START_TEST(test_send_failures) {
        WireOut out = {}, broken = { .error = -ENOMEM };
        struct iovec nobody = { (void *) "nobody", 6 };

        ck_assert_int_eq(zsocket_new(context, ZMQ_ROUTER, &limits, &router), 0);
        ck_assert_int_eq(zsocket_new(context, ZMQ_DEALER, &limits, &dealer), 0);
        ck_assert_int_eq(zsocket_bind(router, "inproc://a", -1), 0);
        put_message(&out, "a", "b");
        ck_assert_int_eq(wire_send(router, NULL, &broken), -ENOMEM);
        ck_assert_int_eq(wire_send(router, &nobody, &out), -EHOSTUNREACH);
        ck_assert_int_eq(wire_send(dealer, NULL, &out), -EAGAIN);
        wire_out_done(&out);
}
END_TEST

/* When a queue is full a message is refused as a whole: what arrives is complete. */
START_TEST(test_full) {
        unsigned n_sent = 0, n_received = 0, n_refused = 0;
        WireOut out = {};
        Frames f = {};
        int r;

        make_pair("tcp://127.0.0.1:*");
        for (;;) {
                put_message(&out, "corr", "field");
                wire_put_number(&out, n_sent);
                r = wire_send(dealer, NULL, &out);
                if (r == 0) {
                        n_sent++;
                        continue;
                }
                ck_assert_int_eq(r, -EAGAIN);
                if (++n_refused == 3)
                        break;
                for (unsigned i = 0; i < 50; i++, n_received++) {
                        ck_assert_int_eq(receive(&f, router), 0);
                        ck_assert_uint_eq(f.n, 5);
                        ck_assert_uint_eq(wire_get_number(&f.iov[4]), n_received);
                }
        }
        for (; n_received < n_sent; n_received++) {
                ck_assert_int_eq(receive(&f, router), 0);
                ck_assert_uint_eq(f.n, 5);
                ck_assert_uint_eq(wire_get_number(&f.iov[4]), n_received);
        }
        ck_assert_uint_ge(n_sent, (unsigned) limits.high_water_messages);
        ck_assert_int_eq(frames_recv(&f, router), -EAGAIN);
        frames_done(&f);
        wire_out_done(&out);
}
END_TEST

/* The same towards a peer that does not read. */
START_TEST(test_full_router) {
        unsigned n_sent = 0;
        WireOut out = {};
        Frames f = {}, g = {};

        make_pair("inproc://a");
        put_message(&out, "a", "b");
        ck_assert_int_eq(wire_send(dealer, NULL, &out), 0);
        ck_assert_int_eq(receive(&f, router), 0);
        while (wire_send(router, &f.iov[0], &out) == 0)
                n_sent++;
        ck_assert_int_eq(wire_send(router, &f.iov[0], &out), -EAGAIN);
        ck_assert_uint_ge(n_sent, (unsigned) limits.high_water_messages);
        for (unsigned i = 0; i < n_sent; i++) {
                ck_assert_int_eq(receive(&g, dealer), 0);
                ck_assert_uint_eq(g.n, 3);
        }
        ck_assert_int_eq(frames_recv(&g, dealer), -EAGAIN);
        dealer = zsocket_close(dealer);
        /* That it is gone is the last thing to be read from it. */
        do
                ck_assert_int_eq(frames_recv(&g, router), -EAGAIN);
        while (wire_send(router, &f.iov[0], &out) != -EHOSTUNREACH);
        frames_done(&f);
        frames_done(&g);
        wire_out_done(&out);
}
END_TEST

/* A frame above the limit ends the connection of its sender and is not delivered. */
START_TEST(test_frame_limit) {
        char big[1001] = "";
        Frames f = {};

        make_pair("tcp://127.0.0.1:*");
        ck_assert_int_eq(zmq_send(dealer, big, 1000, ZMQ_DONTWAIT), 1000);
        ck_assert_int_eq(receive(&f, router), 0);
        ck_assert_uint_eq(f.iov[1].iov_len, 1000);
        ck_assert_int_eq(zmq_send(dealer, big, 1001, ZMQ_DONTWAIT), 1001);
        /* The next one comes once the dealer has connected again. */
        do {
                (void) zmq_send(dealer, "small", 5, ZMQ_DONTWAIT);
        } while (wait_readable(router, RETRY_MSEC) == 0);
        ck_assert_int_eq(frames_recv(&f, router), 0);
        ck_assert_uint_eq(f.iov[1].iov_len, 5);
        frames_done(&f);
}
END_TEST

/* A message to the address arrives at the router. */
static void check_delivery(const char *address, const char *text) {
        Frames f = {};

        ck_assert_int_eq(zsocket_new(context, ZMQ_DEALER, &limits, &dealer), 0);
        ck_assert_int_eq(zsocket_connect(dealer, address), 0);
        ck_assert_int_eq(zmq_send(dealer, text, strlen(text), ZMQ_DONTWAIT), (int) strlen(text));
        ck_assert_int_eq(receive(&f, router), 0);
        check_frame(&f.iov[1], text);
        frames_done(&f);
        dealer = zsocket_close(dealer);
}

static bool have_ipv6(void) {
        struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        _cleanup_close_ int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return fd >= 0 && bind(fd, (const struct sockaddr *) &a, sizeof(a)) >= 0;
}

/* Binds a router to an address, which must show as one that begins so, and reaches it by that host. */
static void check_address(const char *address, const char *begins, const char *host) {
        _cleanup_free_ char *bound = NULL, *peer = NULL;

        ck_assert_int_eq(zsocket_new(context, ZMQ_ROUTER, &limits, &router), 0);
        ck_assert_int_eq(zsocket_bind(router, address, -1), 0);
        ck_assert_int_eq(zsocket_last_endpoint(router, &bound), 0);
        ck_assert_int_eq(strncmp(bound, begins, strlen(begins)), 0);
        peer = format_string("tcp://%s%s", host, strrchr(bound, ':'));
        check_delivery(peer, address);
        router = zsocket_close(router);
}

START_TEST(test_addresses) {
        check_address("tcp://127.0.0.1:*", "tcp://127.0.0.1:", "127.0.0.1");
        check_address("tcp://127.0.0.1:*", "tcp://127.0.0.1:", "localhost");
        check_address("tcp://localhost:*", "tcp://127.0.0.1:", "localhost");
        check_address("tcp://0.0.0.0:*", "tcp://0.0.0.0:", "127.0.0.1");
        check_address("tcp://*:*", "tcp://", "127.0.0.1");
        if (!have_ipv6())
                return;
        check_address("tcp://*:*", "tcp://[::]:", "127.0.0.1");
        check_address("tcp://*:*", "tcp://[::]:", "[::1]");
        check_address("tcp://[::1]:*", "tcp://[::1]:", "[::1]");
}
END_TEST

START_TEST(test_bad_addresses) {
        make_pair("tcp://127.0.0.1:*");
        ck_assert_int_eq(zsocket_bind(dealer, "nonsense", -1), -EINVAL);
        ck_assert_int_eq(zsocket_bind(dealer, "tcp://127.0.0.1", -1), -EINVAL);
        ck_assert_int_eq(zsocket_bind(dealer, "ftp://127.0.0.1:1", -1), -EPROTONOSUPPORT);
        ck_assert_int_eq(zsocket_bind(dealer, endpoint, -1), -EADDRINUSE);
        ck_assert_int_eq(zsocket_bind(dealer, "ipc:///nonexistent/directory/socket", -1), -ENOENT);
        ck_assert_int_eq(zsocket_connect(dealer, "nonsense"), -EINVAL);
        ck_assert_int_eq(zsocket_set_int(dealer, -1, 0), -EINVAL);
        ck_assert_int_eq(zsocket_new(context, 4711, &limits, &router), -EINVAL);
        ck_assert_ptr_null(zsocket_close(NULL));
}
END_TEST

static int listen_unix(const char *path) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void) snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *) &a, sizeof(a)), 0);
        ck_assert_int_eq(listen(fd, 16), 0);
        return fd;
}

static int listen_tcp(uint16_t *ret_port) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof(a);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *) &a, sizeof(a)), 0);
        ck_assert_int_eq(listen(fd, 16), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *) &a, &size), 0);
        *ret_port = ntohs(a.sin_port);
        return fd;
}

/* Whoever listens at a path is left in peace, as is a file; a socket that nobody serves any more is not. */
START_TEST(test_unix_path) {
        _cleanup_free_ char *path = path_in("s"), *address = format_string("ipc://%s", path),
                            *file = path_in("file"),
                            *file_address = format_string("ipc://%s", file);
        void *second = NULL;
        struct stat st;

        ck_assert_int_eq(zsocket_new(context, ZMQ_ROUTER, &limits, &router), 0);
        ck_assert_int_eq(zsocket_new(context, ZMQ_ROUTER, &limits, &second), 0);
        safe_close(listen_unix(path));
        ck_assert_int_eq(zsocket_bind(router, address, -1), 0);
        ck_assert_int_eq(zsocket_bind(second, address, -1), -EADDRINUSE);
        check_delivery(address, "to the first");

        write_text(file, "precious");
        ck_assert_int_eq(zsocket_bind(second, file_address, -1), -EEXIST);
        ck_assert_int_eq(stat(file, &st), 0);
        ck_assert_int_eq(st.st_size, 8);
        zsocket_close(second);
}
END_TEST

/* Sockets that were passed, beside one of our own; they stay with their owner, and a new router serves them
 * again, as after a restart. */
START_TEST(test_passed_sockets) {
        _cleanup_free_ char *path = path_in("s"), *ipc = format_string("ipc://%s", path),
                            *tcp = NULL;
        uint16_t port;
        int unix_fd = listen_unix(path), tcp_fd = listen_tcp(&port);

        tcp = format_string("tcp://127.0.0.1:%u", (unsigned) port);
        for (int i = 0; i < 2; i++) {
                _cleanup_free_ char *own = NULL;

                ck_assert_int_eq(zsocket_new(context, ZMQ_ROUTER, &limits, &router), 0);
                ck_assert_int_eq(zsocket_bind(router, ipc, unix_fd), 0);
                ck_assert_int_eq(zsocket_bind(router, tcp, tcp_fd), 0);
                ck_assert_int_eq(zsocket_bind(router, "tcp://127.0.0.1:*", -1), 0);
                ck_assert_int_eq(zsocket_last_endpoint(router, &own), 0);
                ck_assert_str_ne(own, tcp);
                check_delivery(ipc, "over ipc");
                check_delivery(tcp, "over tcp");
                check_delivery(own, "over its own");
                /* Waits until libzmq has closed all that it had. */
                router = zsocket_close(router);
                ck_assert_int_eq(zmq_ctx_term(context), 0);
                context = zmq_ctx_new();
                ck_assert_ptr_nonnull(context);
                ck_assert_int_ge(fcntl(unix_fd, F_GETFD), 0);
                ck_assert_int_ge(fcntl(tcp_fd, F_GETFD), 0);
                ck_assert_int_eq(access(path, F_OK), 0);
        }
        safe_close(unix_fd);
        safe_close(tcp_fd);
}
END_TEST

/* A failure leaves nothing behind that the next bind would use. */
START_TEST(test_passed_socket_failure) {
        uint16_t port;
        int fd = listen_tcp(&port);

        ck_assert_int_eq(zsocket_new(context, ZMQ_ROUTER, &limits, &router), 0);
        ck_assert_int_eq(zsocket_bind(router, "nonsense", fd), -EINVAL);
        ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
        ck_assert_int_eq(zsocket_bind(router, "tcp://127.0.0.1:*", 1000000), -EBADF);
        ck_assert_int_eq(zsocket_bind(router, "tcp://127.0.0.1:*", -1), 0);
        ck_assert_int_eq(zsocket_last_endpoint(router, &endpoint), 0);
        check_delivery(endpoint, "after all");
        safe_close(fd);
}
END_TEST

static int get_int(void *socket, int option) {
        int value = -1;
        size_t size = sizeof(value);

        ck_assert_int_eq(zmq_getsockopt(socket, option, &value, &size), 0);
        return value;
}

START_TEST(test_options) {
        static const SocketLimits both = { .max_frame_bytes = 1,
                                           .high_water_messages = 2,
                                           .receive_messages = 3 };
        static const struct {
                int option, value;
        } expected[] = {
                { ZMQ_LINGER, 0 },
                { ZMQ_SNDHWM, 100 },
                { ZMQ_RCVHWM, 100 },
                { ZMQ_TCP_KEEPALIVE, 1 },
                { ZMQ_HANDSHAKE_IVL, 3000 },
                { ZMQ_RECONNECT_IVL, 100 },
                { ZMQ_CONNECT_TIMEOUT, 4000 },
        };
        int64_t max_frame;
        size_t size = sizeof(max_frame);

        ck_assert_int_eq(zsocket_new(context, ZMQ_DEALER, &limits, &dealer), 0);
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                ck_assert_int_eq(get_int(dealer, expected[i].option), expected[i].value);
        ck_assert_int_eq(zmq_getsockopt(dealer, ZMQ_MAXMSGSIZE, &max_frame, &size), 0);
        ck_assert_int_eq(max_frame, 1000);
        ck_assert_int_eq(zsocket_new(context, ZMQ_ROUTER, &both, &router), 0);
        ck_assert_int_eq(get_int(router, ZMQ_SNDHWM), 2);
        ck_assert_int_eq(get_int(router, ZMQ_RCVHWM), 3);
}
END_TEST

int main(void) {
        Suite *s = suite_create("zmq-util");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_set_timeout(t, 120);
        tcase_add_test(t, test_round_trip);
        tcase_add_test(t, test_many_frames);
        tcase_add_test(t, test_too_many_frames);
        tcase_add_test(t, test_send_failures);
        tcase_add_test(t, test_full);
        tcase_add_test(t, test_full_router);
        tcase_add_test(t, test_frame_limit);
        tcase_add_test(t, test_addresses);
        tcase_add_test(t, test_bad_addresses);
        tcase_add_test(t, test_unix_path);
        tcase_add_test(t, test_passed_sockets);
        tcase_add_test(t, test_passed_socket_failure);
        tcase_add_test(t, test_options);
        suite_add_tcase(s, t);
        return check_run(s);
}
