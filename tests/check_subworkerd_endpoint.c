/* SPDX-License-Identifier: MIT */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "check-util.h"
#include "endpoint.h"
#include "time-util.h"
#include "zmq-util.h"

static sd_event *event;
static void *context, *peer;
static Endpoint *endpoint;
static unsigned n_drains;
static int report_result;
static Frames answer;

static int on_report(char **ret, void *userdata) {
        ck_assert_ptr_eq(userdata, &n_drains);
        if (report_result < 0)
                return report_result;
        *ret = format_string("{\"worker_id\":\"sw1\"}");
        return 0;
}

static void on_drain(void *userdata) {
        n_drains++;
}

static const EndpointHandlers handlers = { .report = on_report, .drain = on_drain };

static void connect_peer(void) {
        static const SocketLimits limits = { .max_frame_bytes = 1 << 20,
                                             .high_water_messages = 1000 };

        peer = zsocket_close(peer);
        ck_assert_int_eq(zsocket_new(context, ZMQ_DEALER, &limits, &peer), 0);
        ck_assert_int_eq(zsocket_connect(peer, endpoint_address(endpoint)), 0);
}

static void setup(void) {
        setup_directory();
        n_drains = 0;
        report_result = 0;
        ck_assert_int_ge(sd_event_new(&event), 0);
        context = zmq_ctx_new();
        ck_assert_int_eq(endpoint_new(event, context, "tcp://127.0.0.1:*", -1, "sw1", &handlers,
                                      &n_drains, &endpoint),
                         0);
        connect_peer();
}

static void teardown(void) {
        frames_done(&answer);
        peer = zsocket_close(peer);
        endpoint = endpoint_free(endpoint);
        (void) zmq_ctx_term(context);
        sd_event_unref(event);
        teardown_directory();
}

/* Sends frames until NULL. */
static void say(const char *first, ...) _sentinel_;

static void say(const char *first, ...) {
        const char *frame = first, *next;
        va_list ap;

        va_start(ap, first);
        while (frame) {
                next = va_arg(ap, const char *);
                ck_assert_int_ge(zmq_send(peer, frame, strlen(frame), next ? ZMQ_SNDMORE : 0), 0);
                frame = next;
        }
        va_end(ap);
}

/* Waits for an answer that begins with these frames. */
static void expect(const char *verb, const char *correlation, const char *third) {
        const char *expected[] = { verb, correlation, third };
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + 20 * USEC_PER_SEC;

        while (frames_recv(&answer, peer) == -EAGAIN) {
                ck_assert_int_ge(sd_event_run(event, 5000), 0);
                ck_assert_msg(now_usec(CLOCK_MONOTONIC) < deadline, "no answer %s", verb);
        }
        for (size_t i = 0; i < ELEMENTSOF(expected) && expected[i]; i++) {
                ck_assert_uint_gt(answer.n, i);
                ck_assert_uint_eq(answer.iov[i].iov_len, strlen(expected[i]));
                ck_assert_mem_eq(answer.iov[i].iov_base, expected[i], strlen(expected[i]));
        }
}

START_TEST(test_requests) {
        say("FW1 PING", "1", NULL);
        expect("FW1 PONG", "1", NULL);
        say("FW1 REPORT", "2", NULL);
        expect("FW1 INFO", "2", "{\"worker_id\":\"sw1\"}");
        report_result = -ENOMEM;
        say("FW1 REPORT", "3", NULL);
        expect("FW1 ERROR", "3", "internal");
        ck_assert_uint_eq(n_drains, 0);
        say("FW1 DRAIN", "4", NULL);
        expect("FW1 ACK", "4", NULL);
        ck_assert_uint_eq(n_drains, 1);
}
END_TEST

/* Each bad message has its answer; the log has one line for the peer. */
START_TEST(test_refused) {
        _cleanup_free_ char *text = NULL;
        Capture c;

        capture_begin(&c, STDERR_FILENO);
        say("rubbish", NULL);
        expect("FW1 ERROR", "", "bad-message");
        say("FW1 SUBMIT", "7", NULL);
        expect("FW1 ERROR", "7", "unknown-verb");
        say("FW2 PING", "8", NULL);
        expect("FW1 ERROR", "8", "unsupported-version");
        say("FW1 PING", "9", "too much", NULL);
        expect("FW1 ERROR", "9", "bad-message");
        /* An ERROR is not answered. */
        say("FW1 ERROR", "10", "internal", "x", NULL);
        say("FW1 PING", "11", NULL);
        expect("FW1 PONG", "11", NULL);
        text = capture_end(&c);
        ck_assert_contains(text, "Refusing a message from connection");
        ck_assert_contains(text, "must be \"FW1 VERB\"");
        ck_assert_ptr_null(strstr(strchr(text, '\n') + 1, "Refusing"));
}
END_TEST

static void connect_raw(const char *bytes, size_t size) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char c;

        a.sin_port = htons((uint16_t) atoi(strrchr(endpoint_address(endpoint), ':') + 1));
        ck_assert_int_eq(connect(fd, (struct sockaddr *) &a, sizeof(a)), 0);
        ck_assert_int_eq(send(fd, bytes, size, 0), (ssize_t) size);
        (void) shutdown(fd, SHUT_WR);
        while (recv(fd, &c, 1, 0) > 0)
                ; /* until libzmq has closed it */
        safe_close(fd);
}

START_TEST(test_no_zeromq) {
        _cleanup_free_ char *text = NULL;
        Capture c;
        size_t n = 0;

        capture_begin(&c, STDERR_FILENO);
        for (int i = 0; i < 20; i++)
                connect_raw("GET / HTTP/1.0\r\n\r\n", 18);
        say("FW1 PING", "1", NULL);
        expect("FW1 PONG", "1", NULL);
        text = capture_end(&c);
        for (char *p = text; (p = strstr(p, "no handshake")); p++)
                n++;
        /* One with the peer's address and one for those that were gone when we looked, at most. */
        ck_assert_uint_le(n, 2);
        ck_assert_uint_ge(n, 1);
}
END_TEST

static int visit(void) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(a.sun_path, endpoint_address(endpoint) + strlen("ipc://"));
        ck_assert_int_eq(connect(fd, (struct sockaddr *) &a, sizeof(a)), 0);
        return fd;
}

/* A greeting with a mechanism that does not exist. */
static void visit_with_rubbish(void) {
        static const char greeting[64] = "\xff\0\0\0\0\0\0\0\1\x7f\3\0RUBBISH";
        int fd = visit();
        char c;

        ck_assert_int_eq(send(fd, greeting, sizeof(greeting), 0), sizeof(greeting));
        while (recv(fd, &c, 1, 0) > 0)
                ; /* until libzmq has closed it */
        safe_close(fd);
}

/* Who connects to a unix socket and leaves without a word wakes a worker; that is no offence. */
START_TEST(test_visit) {
        _cleanup_free_ char *address = format_string("ipc://%s/socket", test_directory),
                            *silence = NULL, *rubbish = NULL;
        Capture c;

        endpoint = endpoint_free(endpoint);
        ck_assert_int_eq(
                endpoint_new(event, context, address, -1, "sw1", &handlers, &n_drains, &endpoint),
                0);
        connect_peer();
        capture_begin(&c, STDERR_FILENO);
        for (int i = 0; i < 20; i++) {
                safe_close(visit());
                say("FW1 PING", "1", NULL);
                expect("FW1 PONG", "1", NULL);
        }
        silence = capture_end(&c);
        ck_assert_str_eq(silence, "");

        capture_begin(&c, STDERR_FILENO);
        visit_with_rubbish();
        say("FW1 PING", "1", NULL);
        expect("FW1 PONG", "1", NULL);
        rubbish = capture_end(&c);
        ck_assert_contains(rubbish, "no handshake");
}
END_TEST

START_TEST(test_given_socket) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(a);
        _cleanup_free_ char *address = NULL;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_eq(bind(fd, (struct sockaddr *) &a, sizeof(a)), 0);
        ck_assert_int_eq(listen(fd, 5), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *) &a, &size), 0);
        address = format_string("tcp://127.0.0.1:%u", (unsigned) ntohs(a.sin_port));

        endpoint = endpoint_free(endpoint);
        ck_assert_int_eq(
                endpoint_new(event, context, address, fd, "sw1", &handlers, &n_drains, &endpoint),
                0);
        ck_assert_str_eq(endpoint_address(endpoint), address);
        connect_peer();
        say("FW1 PING", "1", NULL);
        expect("FW1 PONG", "1", NULL);
        safe_close(fd);
}
END_TEST

START_TEST(test_address_in_use) {
        _cleanup_free_ char *text = NULL;
        Endpoint *second = NULL;
        Capture c;

        capture_begin(&c, STDERR_FILENO);
        ck_assert_int_eq(endpoint_new(event, context, endpoint_address(endpoint), -1, "sw1",
                                      &handlers, &n_drains, &second),
                         -EADDRINUSE);
        text = capture_end(&c);
        ck_assert_ptr_null(second);
        ck_assert_contains(text, endpoint_address(endpoint));
        ck_assert_contains(text, "BaseAddress=");
}
END_TEST

int main(void) {
        Suite *s = suite_create("subworkerd-endpoint");
        TCase *c = tcase_create("endpoint");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_set_timeout(c, 60);
        tcase_add_test(c, test_requests);
        tcase_add_test(c, test_refused);
        tcase_add_test(c, test_no_zeromq);
        tcase_add_test(c, test_visit);
        tcase_add_test(c, test_given_socket);
        tcase_add_test(c, test_address_in_use);
        suite_add_tcase(s, c);
        return check_run(s);
}
