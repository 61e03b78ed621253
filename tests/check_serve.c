/* SPDX-License-Identifier: MIT */

#include <pthread.h>
#include <syslog.h>

#include "check-util.h"
#include "runner-wire.h"
#include "serve.h"

#define RESULT_MAX (4U * 1024U * 1024U)

static int ends[2]; /* ours, the runner's */
static RunnerInbox *inbox;
static pthread_t thread;
static Modules *modules;
static int served;

static void *run_server(void *unused) {
        served = serve(ends[1], modules, RESULT_MAX);
        return NULL;
}

static void setup(void) {
        char *error;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        ck_assert_int_eq(runner_inbox_new(1, &inbox), 0);
        ck_assert_int_eq(modules_new(&modules), 0);
        ck_assert_int_eq(modules_load(modules, ODD_MODULE, &error), 0);
        ck_assert_int_eq(pthread_create(&thread, NULL, run_server, NULL), 0);
}

static void teardown(void) {
        safe_close(ends[1]);
        inbox = runner_inbox_free(inbox);
        modules = modules_free(modules);
}

/* Ends the stream and returns what serve() returned. */
static int finish(void) {
        ends[0] = safe_close(ends[0]);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        return served;
}

static RunnerMessage receive(void) {
        RunnerMessage m;

        ck_assert_int_eq(runner_inbox_receive(inbox, ends[0], 0), 1);
        ck_assert_int_eq(runner_inbox_get(inbox, 0, SIZE_MAX, &m), 0);
        return m;
}

static void send_run(uint64_t seq, const char *name, const char *arguments, size_t size) {
        RunnerPacket p = { .fd = -EBADF };
        TaskId id = {};

        ck_assert_int_eq(runner_packet_run(&p, seq, &id, 1, name, arguments, size), 0);
        ck_assert_int_ge(sendmsg(ends[0], &p.msg, 0), 0);
        runner_packet_clear(&p);
}

static void expect_hello(void) {
        RunnerMessage m = receive();

        ck_assert_int_eq(m.verb, RUNNER_HELLO);
        ck_assert_uint_eq(m.version, RUNNER_VERSION);
        ck_assert_uint_eq(m.pid, (uint64_t) getpid());
        ck_assert_str_eq(m.payload,
                         "hello\tSays hello.\t\t" ODD_MODULE "\necho\t\t\t" ODD_MODULE
                         "\nprint\tPrints.\t\t" ODD_MODULE "\nfifo\tWaits.\t\t" ODD_MODULE
                         "\ngetenv\t\t\t" ODD_MODULE "\n");
}

static void expect_done(uint64_t seq, bool success, const char *payload, size_t size) {
        RunnerMessage m = receive();

        ck_assert_int_eq(m.verb, RUNNER_DONE);
        ck_assert_uint_eq(m.seq, seq);
        ck_assert_int_eq(m.success, success);
        ck_assert_uint_eq(m.payload_size, size);
        ck_assert_int_eq(memcmp(m.payload, payload, size), 0);
        ck_assert_uint_ge(m.completed_usec, m.started_usec);
}

START_TEST(test_requests) {
        static const char none[] = "no module of this runner defines the task";
        static const char later[] = "LATER 5 what=ever\npayload";

        expect_hello();
        send_run(0, "hello", "", 0);
        expect_done(0, true, "\"hello\"", 7);
        send_run(1, "echo", "[1]", 3);
        send_run(2, "nothing", "", 0);
        send_run(7, "hello", "", 0);
        expect_done(1, true, "[1]", 3);
        expect_done(2, false, none, strlen(none));
        expect_done(7, true, "\"hello\"", 7);

        /* of a later version */
        ck_assert_int_gt(send(ends[0], later, strlen(later), 0), 0);
        send_run(8, "hello", "", 0);
        expect_done(8, true, "\"hello\"", 7);
        ck_assert_int_eq(finish(), 0);
}
END_TEST

START_TEST(test_large) {
        size_t size = 1000000;
        _cleanup_free_ char *data = calloc(size, 1);

        memset(data, 'd', size);
        expect_hello();
        send_run(1, "echo", data, size);
        expect_done(1, true, data, size);
        send_run(2, "echo", data, RUNNER_INLINE_MAX);
        expect_done(2, true, data, RUNNER_INLINE_MAX);
        ck_assert_int_eq(finish(), 0);
}
END_TEST

/* What a task logs and prints comes before its end. */
START_TEST(test_log_and_print) {
        _cleanup_free_ char *printed = NULL;
        RunnerMessage m;
        Capture c;

        expect_hello();
        capture_begin(&c, STDOUT_FILENO);
        send_run(5, "print", "", 0);
        m = receive();
        ck_assert_int_eq(m.verb, RUNNER_LOG);
        ck_assert_uint_eq(m.seq, 5);
        ck_assert_int_eq(m.priority, LOG_NOTICE);
        ck_assert_str_eq(m.payload, "logged by print");
        expect_done(5, false, "and failed", 10);
        printed = capture_end(&c);
        ck_assert_str_eq(printed, "printed by print");
        ck_assert_int_eq(finish(), 0);
}
END_TEST

START_TEST(test_garbage) {
        expect_hello();
        ck_assert_int_eq(send(ends[0], "rubbish", 7, 0), 7);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(served, -EBADMSG);
        safe_close(ends[0]);
}
END_TEST

START_TEST(test_gone) {
        expect_hello();
        ck_assert_int_eq(finish(), 0);
}
END_TEST

START_TEST(test_refusal) {
        int pair[2];
        char text[64];

        expect_hello();
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        ck_assert_int_eq(serve_refusal(pair[0], "no such module"), 0);
        ck_assert_int_eq(recv(pair[1], text, sizeof(text), 0), 21);
        ck_assert_mem_eq(text, "FAILED\nno such module", 21);
        safe_close(pair[1]);
        ck_assert_int_eq(serve_refusal(pair[0], "no such module"), -EPIPE);
        safe_close(pair[0]);
        ck_assert_int_eq(finish(), 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("serve");
        TCase *c = tcase_create("serve");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, test_requests);
        tcase_add_test(c, test_large);
        tcase_add_test(c, test_log_and_print);
        tcase_add_test(c, test_garbage);
        tcase_add_test(c, test_gone);
        tcase_add_test(c, test_refusal);
        suite_add_tcase(s, c);
        return check_run(s);
}
