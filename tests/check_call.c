/* SPDX-License-Identifier: MIT */

#include <poll.h>
#include <pthread.h>
#include <syslog.h>

#include "call.h"
#include "check-util.h"

#define RESULT_MAX 1000U

static Call *call;
static char logged[256];
static int logged_priority;
static uint64_t logged_seq;

static void on_log(uint64_t seq, int priority, const char *text, size_t size, void *userdata) {
        ck_assert_ptr_eq(userdata, logged);
        ck_assert_uint_lt(size, sizeof(logged));
        memcpy(logged, text, size);
        logged[size] = '\0';
        logged_priority = priority;
        logged_seq = seq;
}

static unsigned reported;
static char reported_text[256];

static void on_progress(uint64_t seq, unsigned percent, const char *text, size_t size,
                        void *userdata) {
        ck_assert_ptr_eq(userdata, logged);
        ck_assert_uint_eq(seq, 12);
        ck_assert_uint_lt(size, sizeof(reported_text));
        memcpy(reported_text, text, size);
        reported_text[size] = '\0';
        reported = percent;
}

static void setup(void) {
        ck_assert_int_eq(call_new(RESULT_MAX, on_log, on_progress, logged, &call), 0);
}

static void teardown(void) {
        call = call_free(call);
}

static uint64_t soft_timeout_usec;
static const char *traceparent = "";

static CallResult run(fastworker_function function, const char *arguments) {
        RunnerMessage m = {
                .verb = RUNNER_RUN,
                .soft_timeout_usec = soft_timeout_usec,
                .traceparent = { (char *) traceparent, strlen(traceparent) },
                .seq = 12,
                .attempt = 3,
                .name = { (char *) "some.task", 9 },
                .payload = arguments,
                .payload_size = strlen(arguments),
        };
        CallResult r;

        ck_assert_int_eq(task_id_from_text("01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4", 36, &m.task_id),
                         0);
        call_run(call, function, &m, &r);
        ck_assert_uint_gt(r.started_usec, UINT64_C(1500000000000000));
        ck_assert_uint_ge(r.completed_usec, r.started_usec);
        return r;
}

#define assert_result(r, is_success, text)                     \
        do {                                                   \
                ck_assert_int_eq((r).success, is_success);     \
                ck_assert_uint_eq((r).size, strlen(text));     \
                ck_assert_mem_eq((r).payload, text, (r).size); \
        } while (false)

static int look(fastworker_call *c) {
        size_t size;

        ck_assert_str_eq(fastworker_task_id(c), "01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4");
        ck_assert_str_eq(fastworker_task_name(c), "some.task");
        ck_assert_uint_eq(fastworker_attempt(c), 3);
        ck_assert_str_eq(fastworker_arguments(c, &size), "[1]");
        ck_assert_uint_eq(size, 3);
        ck_assert_str_eq(fastworker_arguments(c, NULL), "[1]");
        fastworker_log(c, LOG_WARNING, "%s %d", "line", 7);
        return fastworker_return(c, "\"seen\"");
}

START_TEST(test_what_a_task_sees) {
        CallResult r = run(look, "[1]");

        assert_result(r, true, "\"seen\"");
        ck_assert_str_eq(logged, "line 7");
        ck_assert_int_eq(logged_priority, LOG_WARNING);
        ck_assert_uint_eq(logged_seq, 12);
}
END_TEST

static int say_nothing(fastworker_call *c) {
        return 0;
}

static int return_twice(fastworker_call *c) {
        ck_assert_int_eq(fastworker_return(c, "a long first result"), 0);
        return fastworker_return_bytes(c, "2", 1);
}

static int fail_with_text(fastworker_call *c) {
        ck_assert_int_eq(fastworker_return(c, "no matter"), 0);
        return fastworker_fail(c, "why");
}

static int fail_with_errno(fastworker_call *c) {
        return -ENOSPC;
}

static int fail_with_number(fastworker_call *c) {
        return 5;
}

START_TEST(test_outcomes) {
        CallResult r;

        r = run(say_nothing, "");
        assert_result(r, true, "null");
        r = run(return_twice, "");
        assert_result(r, true, "2");
        r = run(fail_with_text, "");
        assert_result(r, false, "why");
        r = run(fail_with_errno, "");
        assert_result(r, false, "No space left on device");
        r = run(fail_with_number, "");
        assert_result(r, false, "returned 5");
        r = run(NULL, "");
        assert_result(r, false, "no module of this runner defines the task");

        /* Nothing is left of the calls before. */
        r = run(say_nothing, "");
        assert_result(r, true, "null");
}
END_TEST

static char big[RESULT_MAX + 1];

static int return_most(fastworker_call *c) {
        return fastworker_return_bytes(c, big, RESULT_MAX);
}

static int return_too_much(fastworker_call *c) {
        return fastworker_return_bytes(c, big, RESULT_MAX + 1);
}

/* A task that does not look at what fastworker_return() says. */
static int return_too_much_carelessly(fastworker_call *c) {
        ck_assert_int_eq(fastworker_return_bytes(c, big, RESULT_MAX + 1), -EMSGSIZE);
        return 0;
}

static int recover(fastworker_call *c) {
        ck_assert_int_eq(fastworker_return_bytes(c, big, RESULT_MAX + 1), -EMSGSIZE);
        return fastworker_return(c, "{}");
}

START_TEST(test_result_limit) {
        static const char text[] = "result of 1001 bytes is over the limit of 1000 bytes";
        CallResult r;

        memset(big, '7', sizeof(big));
        r = run(return_most, "");
        ck_assert(r.success);
        ck_assert_uint_eq(r.size, RESULT_MAX);
        r = run(return_too_much, "");
        assert_result(r, false, text);
        r = run(return_too_much_carelessly, "");
        assert_result(r, false, text);
        r = run(recover, "");
        assert_result(r, true, "{}");
}
END_TEST

static char *long_text;

static int fail_with_long_text(fastworker_call *c) {
        return fastworker_fail(c, long_text);
}

/* An error text is cut between two characters, never within one. */
START_TEST(test_long_error) {
        CallResult r;

        long_text = malloc(RUNNER_TEXT_MAX + 10);
        ck_assert_ptr_nonnull(long_text);
        memset(long_text, 'x', RUNNER_TEXT_MAX + 10);
        strcpy(long_text + RUNNER_TEXT_MAX - 1, "\xc3\xa9"); /* the first byte would fit */
        r = run(fail_with_long_text, "");
        ck_assert_uint_eq(r.size, RUNNER_TEXT_MAX - 1);
        strcpy(long_text + RUNNER_TEXT_MAX - 2, "\xc3\xa9"); /* fits */
        r = run(fail_with_long_text, "");
        ck_assert_uint_eq(r.size, RUNNER_TEXT_MAX);
        free(long_text);
}
END_TEST

static int log_two_lines(fastworker_call *c) {
        fastworker_log(c, 1000, "%s", "one\ntwo");
        return 0;
}

START_TEST(test_log) {
        CallResult r = run(log_two_lines, "");

        ck_assert(r.success);
        ck_assert_str_eq(logged, "one\ntwo");
        ck_assert_int_le(logged_priority, LOG_DEBUG);
}
END_TEST

static int reports(fastworker_call *c) {
        static const struct {
                double percent;
                unsigned expected;
        } table[] = { { 0, 0 },         { 42.5, 4250 }, { 99.999, 10000 },       { 100, 10000 },
                      { 1e300, 10000 }, { -1, 0 },      { __builtin_nan(""), 0 } };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                fastworker_progress(c, table[i].percent, i % 2 ? NULL : "half way");
                ck_assert_uint_eq(reported, table[i].expected);
                ck_assert_str_eq(reported_text, i % 2 ? "" : "half way");
        }
        return 0;
}

START_TEST(test_progress) {
        ck_assert(run(reports, "{}").success);
}
END_TEST

static const char *retry_text;

static int retry_later(fastworker_call *c) {
        return fastworker_retry_after(c, 1.5, retry_text);
}

static int retry_some_time(fastworker_call *c) {
        return fastworker_retry_after(c, -1, "not now");
}

static int retry_never_but(fastworker_call *c) {
        (void) fastworker_do_not_retry(c, "hopeless");
        return fastworker_retry_after(c, 1e300, "there is hope");
}

static int retry_never(fastworker_call *c) {
        (void) fastworker_retry_after(c, 3, "not now");
        return fastworker_do_not_retry(c, "hopeless");
}

#define assert_retry(r, is_never, usec)                        \
        do {                                                   \
                ck_assert_int_eq((r).retry.never, is_never);   \
                ck_assert_uint_eq((r).retry.after_usec, usec); \
        } while (false)

START_TEST(test_retry) {
        CallResult r;

        r = run(retry_later, "");
        assert_result(r, false, "the task asked to be tried again");
        assert_retry(r, false, 1500000);
        retry_text = "the server is busy";
        r = run(retry_later, "");
        assert_result(r, false, "the server is busy");
        r = run(retry_some_time, "");
        assert_result(r, false, "not now");
        assert_retry(r, false, UINT64_MAX);
        r = run(retry_never_but, "");
        assert_result(r, false, "there is hope");
        assert_retry(r, false, UINT64_C(315360000000000));
        r = run(retry_never, "");
        assert_result(r, false, "hopeless");
        assert_retry(r, true, UINT64_MAX);

        /* The next one has said nothing. */
        r = run(fail_with_number, "");
        assert_retry(r, false, UINT64_MAX);
}
END_TEST

static int look_for_trace(fastworker_call *c) {
        const char *text = fastworker_traceparent(c);

        if (isempty(traceparent))
                ck_assert_ptr_null(text);
        else
                ck_assert_str_eq(text, traceparent);
        return 0;
}

START_TEST(test_traceparent) {
        ck_assert(run(look_for_trace, "").success);
        traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        ck_assert(run(look_for_trace, "").success);
        traceparent = "";
        ck_assert(run(look_for_trace, "").success);
}
END_TEST

/* Waits in system calls that never end by themselves. The first one may have begun after the signal: the next ends
 * it. */
static int wait_until_told(fastworker_call *c) {
        unsigned n = 0;

        while (!fastworker_should_stop(c) || n == 0) {
                ck_assert_int_eq(poll(NULL, 0, -1), -1);
                ck_assert_int_eq(errno, EINTR);
                n++;
        }
        return -EINTR;
}

static int is_never_told(fastworker_call *c) {
        return fastworker_should_stop(c) ? fastworker_fail(c, "told") : 0;
}

static void *ask(void *userdata) {
        while (!fastworker_should_stop(userdata))
                (void) poll(NULL, 0, 1);
        return NULL;
}

static int ask_on_a_thread(fastworker_call *c) {
        pthread_t thread;

        ck_assert_int_eq(pthread_create(&thread, NULL, ask, c), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        return fastworker_return(c, "\"asked\"");
}

START_TEST(test_soft_timeout) {
        CallResult r;

        r = run(is_never_told, "");
        assert_result(r, true, "null");
        soft_timeout_usec = 20000;
        r = run(wait_until_told, "");
        assert_result(r, false, "stopped at its soft timeout of 0.02 s");
        r = run(ask_on_a_thread, "");
        assert_result(r, true, "\"asked\"");

        /* Its time begins anew with each call. */
        soft_timeout_usec = UINT64_C(3600000000);
        r = run(is_never_told, "");
        assert_result(r, true, "null");
        soft_timeout_usec = 0;
        r = run(is_never_told, "");
        assert_result(r, true, "null");
}
END_TEST

int main(void) {
        Suite *s = suite_create("call");
        TCase *c = tcase_create("call");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, test_what_a_task_sees);
        tcase_add_test(c, test_outcomes);
        tcase_add_test(c, test_result_limit);
        tcase_add_test(c, test_long_error);
        tcase_add_test(c, test_log);
        tcase_add_test(c, test_progress);
        tcase_add_test(c, test_retry);
        tcase_add_test(c, test_traceparent);
        tcase_add_test(c, test_soft_timeout);
        suite_add_tcase(s, c);
        return check_run(s);
}
