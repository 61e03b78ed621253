/* SPDX-License-Identifier: MIT */

#define SD_JOURNAL_SUPPRESS_LOCATION

#include <signal.h>
#include <systemd/sd-journal.h>

#include "check-util.h"
#include "log.h"

/* Stands in for libsystemd's: keeps the fields of the last message, joined by "|". */
static char journal[8192];
static unsigned n_journal;
static int journal_result;

int sd_journal_sendv(const struct iovec *iov, int n) {
        char *p = journal;

        n_journal++;
        for (int i = 0; i < n; i++) {
                if (i > 0)
                        *p++ = '|';
                p = mempcpy(p, iov[i].iov_base, iov[i].iov_len);
        }
        *p = '\0';
        return journal_result;
}

/* Makes the present stderr look like the journal's stream. */
static void pretend_journal(void) {
        _cleanup_free_ char *text = NULL;
        struct stat st;

        ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
        text = format_string("%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        ck_assert_int_eq(setenv("JOURNAL_STREAM", text, 1), 0);
}

static void setup(void) {
        ck_assert_int_eq(unsetenv("JOURNAL_STREAM"), 0);
        log_set_max_level(LOG_INFO);
        n_journal = 0;
        journal_result = 0;
        journal[0] = '\0';
}

START_TEST(test_stderr) {
        _cleanup_free_ char *text = NULL;
        Capture c;
        int r;

        capture_begin(&c, STDERR_FILENO);
        log_open("fastworker-test");
        errno = EXDEV;
        log_info("Started with %d.", 7);
        log_debug("not shown");
        r = log_error_errno(-ENOENT, "Cannot open %s: %m", "x");
        ck_assert_int_eq(errno, EXDEV);
        ck_assert_int_eq(log_warning_errno(EIO, "%m"), -EIO);
        ck_assert_int_eq(log_debug_errno(EIO, "not shown"), -EIO);
        ck_assert_int_eq(log_oom(), -ENOMEM);
        ck_assert_int_eq(log_warning("plain"), 0);
        text = capture_end(&c);

        ck_assert_int_eq(r, -ENOENT);
        ck_assert_str_eq(text, "fastworker-test: Started with 7.\n"
                               "fastworker-test: Cannot open x: No such file or directory\n"
                               "fastworker-test: Input/output error\n"
                               "fastworker-test: Out of memory.\n"
                               "fastworker-test: plain\n");
        ck_assert_uint_eq(n_journal, 0);
}
END_TEST

START_TEST(test_levels) {
        static const char *const names[] = { "debug", "info", "notice", "warning", "err" };
        _cleanup_free_ char *text = NULL;
        Capture c;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                ck_assert_str_eq(log_level_to_string(log_level_from_string(names[i])), names[i]);
        ck_assert_int_eq(log_level_from_string("debug"), LOG_DEBUG);
        ck_assert_int_eq(log_level_from_string("err"), LOG_ERR);
        ck_assert_int_eq(log_level_from_string("Debug"), -EINVAL);
        ck_assert_int_eq(log_level_from_string(""), -EINVAL);
        ck_assert_int_eq(log_level_from_string(NULL), -EINVAL);
        ck_assert_ptr_null(log_level_to_string(-1));

        capture_begin(&c, STDERR_FILENO);
        log_open("t");
        log_set_max_level(LOG_ERR);
        ck_assert_int_eq(log_get_max_level(), LOG_ERR);
        log_warning("no");
        log_error("one");
        log_set_max_level(LOG_DEBUG);
        log_debug("two");
        text = capture_end(&c);
        ck_assert_str_eq(text, "t: one\nt: two\n");
}
END_TEST

START_TEST(test_escapes) {
        _cleanup_free_ char *text = NULL;
        Capture c;

        capture_begin(&c, STDERR_FILENO);
        log_open("t");
        log_info("a\nb\tc\rd\x1b[31m\x7f");
        log_info("\xc3\xa4\xe2\x82\xac \xff \xc3( \xc2\x9b cut \xe2\x82");
        text = capture_end(&c);
        ck_assert_str_eq(text, "t: a\\nb\\tc\\x0dd\\x1b[31m\\x7f\n"
                               "t: \xc3\xa4\xe2\x82\xac \\xff \\xc3( \\xc2\\x9b cut \\xe2\\x82\n");
}
END_TEST

/* However long a message is and however much its escapes add, one line of bounded length comes out. */
START_TEST(test_long) {
        char big[10000];
        _cleanup_free_ char *text = NULL;
        Capture c;

        memset(big, '\x01', sizeof(big));
        big[sizeof(big) - 1] = '\0';
        capture_begin(&c, STDERR_FILENO);
        log_open("t");
        log_info("%s", big);
        memset(big, 'x', sizeof(big) - 1);
        log_info("%s", big);
        text = capture_end(&c);

        ck_assert_uint_lt(strlen(text), 2 * 4096);
        ck_assert_uint_gt(strlen(text), 2 * 1000);
        ck_assert_int_eq(text[strlen(text) - 1], '\n');
        ck_assert_ptr_eq(strchr(strchr(text, '\n') + 1, '\n') + 1, text + strlen(text));
}
END_TEST

START_TEST(test_journal) {
        _cleanup_free_ char *text = NULL;
        Capture c;

        capture_begin(&c, STDERR_FILENO);
        pretend_journal();
        log_open("fastworker-test");
        log_notice("Hello.");
        ck_assert_str_eq(journal, "MESSAGE=Hello.|PRIORITY=5|SYSLOG_IDENTIFIER=fastworker-test");
        log_error_errno(-ENOENT, "a\nb: %m");
        ck_assert_str_eq(journal, "MESSAGE=a\\nb: No such file or directory|PRIORITY=3|"
                                  "SYSLOG_IDENTIFIER=fastworker-test|ERRNO=2");
        log_event(LOG_WARNING, EIO,
                  LOG_FIELDS(.message_id = "0123", .task_id = "id", .task_name = "add",
                             .worker_id = "w1", .peer = "127.0.0.1:4711"),
                  "All fields.");
        ck_assert_str_eq(
                journal,
                "MESSAGE=All fields.|PRIORITY=4|SYSLOG_IDENTIFIER=fastworker-test|ERRNO=5|"
                "MESSAGE_ID=0123|TASK_ID=id|TASK_NAME=add|WORKER_ID=w1|PEER=127.0.0.1:4711");
        log_event(LOG_INFO, 0, LOG_FIELDS(.worker_id = "w1"), "One field.");
        ck_assert_str_eq(
                journal,
                "MESSAGE=One field.|PRIORITY=6|SYSLOG_IDENTIFIER=fastworker-test|WORKER_ID=w1");
        log_event(LOG_DEBUG, 0, LOG_FIELDS(.worker_id = "w1"), "Too low.");
        ck_assert_uint_eq(n_journal, 4);
        text = capture_end(&c);
        ck_assert_str_eq(text, "");
}
END_TEST

/* A message is not lost because the journal refuses it. */
START_TEST(test_journal_fails) {
        _cleanup_free_ char *text = NULL;
        Capture c;

        capture_begin(&c, STDERR_FILENO);
        pretend_journal();
        log_open("t");
        journal_result = -ENOBUFS;
        errno = EXDEV;
        log_info("Hello.");
        ck_assert_int_eq(errno, EXDEV);
        text = capture_end(&c);
        ck_assert_str_eq(text, "t: Hello.\n");
}
END_TEST

/* JOURNAL_STREAM is inherited by programs whose stderr is something else. */
START_TEST(test_journal_of_someone_else) {
        static const char *const values[] = { "1:2", "", "x", "1:2:3" };
        _cleanup_free_ char *text = NULL;
        Capture c;

        capture_begin(&c, STDERR_FILENO);
        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                ck_assert_int_eq(setenv("JOURNAL_STREAM", values[i], 1), 0);
                log_open("t");
                log_info("%zu", i);
        }
        text = capture_end(&c);
        ck_assert_uint_eq(n_journal, 0);
        ck_assert_str_eq(text, "t: 0\nt: 1\nt: 2\nt: 3\n");
}
END_TEST

/* A reader that does not read costs messages and no standstill: this test would never end. */
START_TEST(test_full_pipe) {
        char chunk[65536] = "";
        int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10), fds[2], lines = 0;
        FILE *f;

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        ck_assert_int_ge(dup2(fds[1], STDERR_FILENO), 0);
        log_open("t");
        for (int i = 0; i < 100000; i++)
                log_info("%d 0123456789012345678901234567890123456789", i);
        ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
        while (read(fds[0], chunk, sizeof(chunk)) > 0)
                lines++;
        ck_assert_int_gt(lines, 0);

        ck_assert_int_eq(fcntl(fds[0], F_SETFL, 0), 0);
        log_info("Here again.");
        log_info("And again.");
        ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
        safe_close(fds[1]);
        f = fdopen(fds[0], "r");
        ck_assert_ptr_nonnull(f);
        ck_assert_ptr_nonnull(fgets(chunk, sizeof(chunk), f));
        ck_assert_contains(chunk, "messages lost before this one) Here again.\n");
        ck_assert_ptr_nonnull(fgets(chunk, sizeof(chunk), f));
        ck_assert_str_eq(chunk, "t: And again.\n");
        ck_assert_ptr_null(fgets(chunk, sizeof(chunk), f));
        (void) fclose(f);
        safe_close(saved);
}
END_TEST

/* A reader that is gone neither. */
START_TEST(test_closed_pipe) {
        int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10), fds[2];

        ck_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        ck_assert_int_ge(dup2(fds[1], STDERR_FILENO), 0);
        safe_close(fds[0]);
        safe_close(fds[1]);
        log_open("t");
        log_info("Nobody reads this.");
        ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
        safe_close(saved);
}
END_TEST

static void on_signal(int n) {}

/* A handler that is there stays. */
START_TEST(test_sigpipe_handler) {
        struct sigaction sa;

        ck_assert(signal(SIGPIPE, on_signal) != SIG_ERR);
        log_open("t");
        ck_assert_int_eq(sigaction(SIGPIPE, NULL, &sa), 0);
        ck_assert_ptr_eq(sa.sa_handler, on_signal);
        ck_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
}
END_TEST

/* Started with stderr closed, nothing else may get its number. */
START_TEST(test_closed_stderr) {
        int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10), other, flags;

        ck_assert_int_eq(close(STDERR_FILENO), 0);
        log_open("t");
        log_info("Nobody reads this.");
        flags = fcntl(STDERR_FILENO, F_GETFL);
        other = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
        safe_close(saved);
        ck_assert_int_ge(flags, 0);
        ck_assert_int_eq(flags & O_ACCMODE, O_RDWR);
        ck_assert_int_gt(other, STDERR_FILENO);
        safe_close(other);
}
END_TEST

int main(void) {
        Suite *s = suite_create("log");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, NULL);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, test_stderr);
        tcase_add_test(t, test_levels);
        tcase_add_test(t, test_escapes);
        tcase_add_test(t, test_long);
        tcase_add_test(t, test_journal);
        tcase_add_test(t, test_journal_fails);
        tcase_add_test(t, test_journal_of_someone_else);
        tcase_add_test(t, test_full_pipe);
        tcase_add_test(t, test_closed_pipe);
        tcase_add_test(t, test_sigpipe_handler);
        tcase_add_test(t, test_closed_stderr);
        suite_add_tcase(s, t);
        return check_run(s);
}
