/* SPDX-License-Identifier: MIT */

#include <sys/socket.h>
#include <sys/un.h>

#include "check-util.h"
#include "notify.h"
#include "time-util.h"

#define DEADLINE_USEC (30 * USEC_PER_SEC)

/* The service manager's end. */
static int manager = -EBADF;

static void setup(void) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        setup_directory();
        (void) snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", test_directory);
        manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_ge(manager, 0);
        ck_assert_int_eq(bind(manager, (const struct sockaddr *) &a, sizeof(a)), 0);
        ck_assert_int_eq(setenv("NOTIFY_SOCKET", a.sun_path, 1), 0);
        ck_assert_int_eq(unsetenv("WATCHDOG_USEC"), 0);
        ck_assert_int_eq(unsetenv("WATCHDOG_PID"), 0);
}

static void teardown(void) {
        manager = safe_close(manager);
        teardown_directory();
}

static void set_watchdog(uint64_t usec) {
        _cleanup_free_ char *text = format_string("%ju", (uintmax_t) usec);
        _cleanup_free_ char *pid = format_string("%d", (int) getpid());

        ck_assert_int_eq(setenv("WATCHDOG_USEC", text, 1), 0);
        ck_assert_int_eq(setenv("WATCHDOG_PID", pid, 1), 0);
}

/* The next message, or NULL if none is there. */
static const char *next_message(void) {
        static char text[4096];
        ssize_t n = recv(manager, text, sizeof(text) - 1, 0);

        if (n < 0) {
                ck_assert_int_eq(errno, EAGAIN);
                return NULL;
        }
        text[n] = '\0';
        return text;
}

static const char *wait_message(sd_event *event) {
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + DEADLINE_USEC;
        const char *text;

        while (!(text = next_message())) {
                ck_assert_uint_lt(now_usec(CLOCK_MONOTONIC), deadline);
                ck_assert_int_ge(sd_event_run(event, USEC_PER_SEC), 0);
        }
        return text;
}

START_TEST(test_states) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(notify_freep) Notify *n = NULL;
        unsigned long long stamp;

        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(notify_new(event, NULL, NULL, &n), 0);
        ck_assert_ptr_null(next_message());

        notify_ready(n, "Up.");
        ck_assert_str_eq(next_message(), "READY=1\nSTATUS=Up.");
        notify_reloading(n);
        ck_assert_int_eq(sscanf(next_message(), "RELOADING=1\nMONOTONIC_USEC=%llu", &stamp), 1);
        ck_assert_uint_le(stamp, now_usec(CLOCK_MONOTONIC));
        notify_ready(n, NULL);
        ck_assert_str_eq(next_message(), "READY=1\nSTATUS=Up.");
        notify_extend_timeout(n, 5000000);
        ck_assert_str_eq(next_message(), "EXTEND_TIMEOUT_USEC=5000000");
        notify_stopping(n, "Draining.");
        ck_assert_str_eq(next_message(), "STOPPING=1\nSTATUS=Draining.");
        ck_assert_ptr_null(next_message());
}
END_TEST

START_TEST(test_no_status) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(notify_freep) Notify *n = NULL;

        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(notify_new(event, NULL, NULL, &n), 0);
        notify_ready(n, NULL);
        ck_assert_str_eq(next_message(), "READY=1");
        notify_stopping(n, NULL);
        ck_assert_str_eq(next_message(), "STOPPING=1");
}
END_TEST

START_TEST(test_status_rate) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(notify_freep) Notify *n = NULL;
        uint64_t begin, n_messages = 0;
        const char *text;

        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(notify_new(event, NULL, NULL, &n), 0);
        begin = now_usec(CLOCK_MONOTONIC);
        notify_status(n, "%d tasks", 0);
        ck_assert_str_eq(next_message(), "STATUS=0 tasks");
        for (int i = 1; i <= 1000; i++)
                notify_status(n, "%d tasks", i);
        do {
                text = wait_message(event);
                n_messages++;
        } while (!streq(text, "STATUS=1000 tasks"));
        ck_assert_uint_le(n_messages, (now_usec(CLOCK_MONOTONIC) - begin) / USEC_PER_SEC);
        ck_assert_ptr_null(next_message());
}
END_TEST

/* Sets "a", "b", "a" within the second in which only the first may be sent; false if it took longer. */
static bool set_there_and_back(Notify *n) {
        uint64_t begin = now_usec(CLOCK_MONOTONIC);

        notify_status(n, "a");
        notify_status(n, "b");
        notify_status(n, "a");
        return now_usec(CLOCK_MONOTONIC) - begin < USEC_PER_SEC;
}

/* What has changed and changed back by the time it may be sent is no news. */
START_TEST(test_status_same) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(notify_freep) Notify *n = NULL;

        ck_assert_int_ge(sd_event_new(&event), 0);
        do {
                while (next_message())
                        ;
                n = notify_free(n);
                ck_assert_int_eq(notify_new(event, NULL, NULL, &n), 0);
        } while (!set_there_and_back(n));
        ck_assert_str_eq(next_message(), "STATUS=a");
        /* The timer that "b" has started comes and sends nothing. */
        ck_assert_int_gt(sd_event_run(event, DEADLINE_USEC), 0);
        ck_assert_ptr_null(next_message());
        notify_status(n, "b");
        ck_assert_str_eq(next_message(), "STATUS=b");
}
END_TEST

/* No text becomes an assignment of its own. */
START_TEST(test_status_newline) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(notify_freep) Notify *n = NULL;

        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(notify_new(event, NULL, NULL, &n), 0);
        notify_status(n, "a\nSTOPPING=1\tb");
        ck_assert_str_eq(next_message(), "STATUS=a STOPPING=1 b");
}
END_TEST

START_TEST(test_no_manager) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(notify_freep) Notify *n = NULL;

        ck_assert_int_eq(unsetenv("NOTIFY_SOCKET"), 0);
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(notify_new(event, NULL, NULL, &n), 0);
        notify_ready(n, "Up.");
        notify_status(n, "x");
        notify_extend_timeout(n, 1);
        notify_reloading(n);
        notify_stopping(n, "Down.");
        ck_assert_ptr_null(next_message());
        ck_assert_ptr_null(notify_free(NULL));
}
END_TEST

typedef struct Health {
        bool healthy;
        unsigned n_asked;
        uint64_t asked_at;
} Health;

static bool is_healthy(void *userdata) {
        Health *h = userdata;

        h->n_asked++;
        h->asked_at = now_usec(CLOCK_MONOTONIC);
        return h->healthy;
}

START_TEST(test_watchdog) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(notify_freep) Notify *n = NULL;
        Health h = { .healthy = true };

        set_watchdog(150 * USEC_PER_MSEC);
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(notify_new(event, is_healthy, &h, &n), 0);
        for (unsigned i = 1; i <= 3; i++)
                ck_assert_str_eq(wait_message(event), "WATCHDOG=1");
        ck_assert_uint_eq(h.n_asked, 3);
}
END_TEST

START_TEST(test_watchdog_unhealthy) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(notify_freep) Notify *n = NULL;
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + DEADLINE_USEC;
        Health h = {};

        set_watchdog(60 * USEC_PER_MSEC);
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(notify_new(event, is_healthy, &h, &n), 0);
        while (h.n_asked < 5) {
                ck_assert_int_ge(sd_event_run(event, USEC_PER_SEC), 0);
                ck_assert_uint_lt(now_usec(CLOCK_MONOTONIC), deadline);
        }
        ck_assert_ptr_null(next_message());
        h.healthy = true;
        ck_assert_str_eq(wait_message(event), "WATCHDOG=1");
}
END_TEST

/* After the loop has hung, the first turn proves nothing; a later one, in time, does. */
START_TEST(test_watchdog_late) {
        const uint64_t interval = 300 * USEC_PER_MSEC;
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(notify_freep) Notify *n = NULL;
        Health h = { .healthy = true };
        uint64_t hung_until;

        set_watchdog(3 * interval);
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(notify_new(event, is_healthy, &h, &n), 0);
        hung_until = now_usec(CLOCK_MONOTONIC) + interval + interval / 2 + interval / 4;
        while (now_usec(CLOCK_MONOTONIC) < hung_until)
                ;
        ck_assert_str_eq(wait_message(event), "WATCHDOG=1");
        ck_assert_uint_eq(h.n_asked, 1);
        ck_assert_uint_ge(h.asked_at, hung_until + interval / 4);
}
END_TEST

/* The watchdog of another process is none of ours. */
START_TEST(test_watchdog_of_someone_else) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(notify_freep) Notify *n = NULL;
        Health h = { .healthy = true };

        set_watchdog(30 * USEC_PER_MSEC);
        ck_assert_int_eq(setenv("WATCHDOG_PID", "1", 1), 0);
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(notify_new(event, is_healthy, &h, &n), 0);
        ck_assert_int_eq(sd_event_run(event, 100 * USEC_PER_MSEC), 0);
        ck_assert_uint_eq(h.n_asked, 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("notify");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, test_states);
        tcase_add_test(t, test_no_status);
        tcase_add_test(t, test_status_rate);
        tcase_add_test(t, test_status_same);
        tcase_add_test(t, test_status_newline);
        tcase_add_test(t, test_no_manager);
        tcase_add_test(t, test_watchdog);
        tcase_add_test(t, test_watchdog_unhealthy);
        tcase_add_test(t, test_watchdog_late);
        tcase_add_test(t, test_watchdog_of_someone_else);
        suite_add_tcase(s, t);
        return check_run(s);
}
