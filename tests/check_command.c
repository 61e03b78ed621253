/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <syslog.h>

#include "call.h"
#include "check-util.h"
#include "command.h"
#include "parse-util.h"
#include "time-util.h"

#define RESULT_MAX (1024U * 1024U)

static Call *call;
static TaskFile *task;
static char *logged; /* "PRIORITY TEXT\n" a message */
static size_t logged_size, n_logged;
static FILE *log_file;
static CallResult result;

static void on_log(uint64_t seq, int priority, const char *text, size_t size, void *userdata) {
        ck_assert_uint_eq(seq, 17);
        fprintf(log_file, "%d %.*s\n", priority, (int) size, text);
        n_logged++;
}

/* A line each, like those of log messages. */
static void on_progress(uint64_t seq, unsigned percent, const char *text, size_t size,
                        void *userdata) {
        ck_assert_uint_eq(seq, 17);
        fprintf(log_file, "progress %u %.*s\n", percent, (int) size, text);
}

static void setup(void) {
        setup_directory();
        command_prepare();
        log_file = open_memstream(&logged, &logged_size);
        ck_assert_ptr_nonnull(log_file);
        ck_assert_int_eq(call_new(RESULT_MAX, on_log, on_progress, NULL, &call), 0);
}

static void teardown(void) {
        call = call_free(call);
        task = task_file_free(task);
        ck_assert_int_eq(fclose(log_file), 0);
        free(logged);
        teardown_directory();
        /* Nothing is left behind. */
        ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
        ck_assert_int_eq(errno, ECHILD);
}

/* Runs a task file of these lines. */
static void run_with(const char *lines, const char *arguments, RunnerMessage *m) {
        _cleanup_strv_ char **problems = NULL;
        _cleanup_free_ char *text = format_string("[Task]\n%s", lines);
        static char name[] = "try";
        int r;

        task = task_file_free(task);
        r = task_file_parse("/x/try.task", text, strlen(text), &task, &problems);
        ck_assert_msg(r == 0, "%s", problems ? problems[0] : "?");
        m->seq = 17;
        m->attempt = 2;
        m->name = (struct iovec){ name, strlen(name) };
        m->payload = arguments;
        m->payload_size = strlen(arguments);
        call_run_command(call, task, m, &result);
        (void) fflush(log_file);
}

static void run(const char *lines, const char *arguments) {
        RunnerMessage m = {};

        run_with(lines, arguments, &m);
}

static void expect_result(const char *expected) {
        ck_assert_msg(result.success, "%.*s", (int) result.size, result.payload);
        ck_assert_uint_eq(result.size, strlen(expected));
        ck_assert_mem_eq(result.payload, expected, result.size);
}

static void expect_failure(const char *part) {
        _cleanup_free_ char *text = strndup(result.payload, result.size);

        ck_assert_msg(!result.success, "success: %s", text);
        ck_assert_contains(text, part);
}

/* What should become of it: "no", "as set", or the delay. */
static void expect_retry(const char *expected) {
        _cleanup_free_ char *got = result.retry.never ? strdup("no")
                                   : result.retry.after_usec == USEC_INFINITY
                                           ? strdup("as set")
                                           : format_string("%" PRIu64, result.retry.after_usec);

        ck_assert_str_eq(got, expected);
}

START_TEST(test_input) {
        static const char arguments[] =
                "{\"args\":[5,\"two words\",true,1.50,\"\"],\"kwargs\":{\"n\":3,\"a-b\":\"x y\"}}";

        run("Exec=/bin/cat\n", arguments);
        expect_result(arguments);
        run("Exec=/bin/cat\n", "");
        expect_result("{\"args\":[],\"kwargs\":{}}");
        run("Exec=/usr/bin/printf '[%s]' first\nInput=args\nOutput=text\n", arguments);
        expect_result("\"[first][5][two words][true][1.50][][--n=3][--a-b=x y]\"");
        run("Exec=/bin/cat\nInput=stdin\nOutput=text\n", "{\"args\":[\"some text\\n\\u00e9\"]}");
        expect_result("\"some text\\n\xc3\xa9\"");
        run("Exec=/bin/cat\nInput=stdin\nOutput=text\n", "");
        expect_result("\"\"");
        run("Exec=/bin/cat\nInput=args\nOutput=text\n", "");
        expect_result("\"\"");
}
END_TEST

START_TEST(test_bad_arguments) {
        static const struct {
                const char *input, *arguments, *error;
        } table[] = {
                { "args", "{\"args\":[1,[2]]}", "argument 2 is a list; with Input=args only" },
                { "args", "{\"args\":[{}]}", "argument 1 is an object" },
                { "args", "{\"args\":[null]}", "argument 1 is null" },
                { "args", "{\"args\":[\"a\\u0000b\"]}", "argument 1 is a text with a NUL" },
                { "args", "{\"kwargs\":{\"x\":[]}}", "keyword argument x is a list" },
                { "args", "{\"kwargs\":{\"-x\":1}}", "the keyword \"-x\" is no name of an option" },
                { "args", "{\"kwargs\":{\"x y\":1}}", "the keyword \"x y\" is no name" },
                { "args", "{\"kwargs\":[]}", "\"kwargs\" of the arguments is no object" },
                { "args", "{\"args\":3}", "\"args\" of the arguments is no list" },
                { "args", "[1,2]", "the arguments are no JSON object" },
                { "args", "{", "the arguments are no JSON object" },
                { "stdin", "{\"args\":[1]}", "takes one text (Input=stdin)" },
                { "stdin", "{\"args\":[\"a\",\"b\"]}", "takes one text" },
                { "stdin", "{\"args\":[\"a\"],\"kwargs\":{\"x\":1}}", "takes one text" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *lines =
                        format_string("Exec=/bin/echo\nOutput=text\nInput=%s\n", table[i].input);

                run(lines, table[i].arguments);
                expect_failure(table[i].error);
                expect_retry("no");
        }
}
END_TEST

START_TEST(test_arguments_too_long) {
        _cleanup_free_ char *arguments = malloc(300000);

        ck_assert_ptr_nonnull(arguments);
        (void) snprintf(arguments, 300000, "{\"args\":[\"%0200000d\"]}", 0);
        run("Exec=/bin/echo\nInput=args\nOutput=text\n", arguments);
        expect_failure("too long for a command line");
        expect_retry("no");
        run("Exec=/usr/bin/wc -c\nInput=stdin\nOutput=text\n", arguments);
        expect_result("\"200000\"");
}
END_TEST

START_TEST(test_output) {
        run("Exec=/bin/echo ' {\"a\": [1, 2]} '\n", "");
        expect_result("{\"a\": [1, 2]}");
        run("Exec=/bin/true\n", "");
        expect_result("null");
        run("Exec=/bin/echo hello world\n", "");
        expect_failure("standard output is no JSON (");
        expect_failure("\"hello world\"");
        expect_failure("Output=text");
        run("Exec=/usr/bin/printf '\\\\303\\\\244\\\\377\\\\000\"\\\\n\\\\n'\nOutput=text\n", "");
        expect_result("\"\xc3\xa4\xef\xbf\xbd\\u0000\\\"\\n\"");
}
END_TEST

START_TEST(test_too_much_output) {
        uint64_t begin = now_usec(CLOCK_MONOTONIC);

        run("Exec=/usr/bin/yes\nOutput=text\n", "");
        expect_failure("wrote more than 1048576 bytes, the limit on results, to standard output");
        expect_retry("no");
        ck_assert_uint_lt(now_usec(CLOCK_MONOTONIC) - begin, 30 * USEC_PER_SEC);
        /* As a string of JSON it is longer than the limit, though not as it was written. */
        run("Exec=/usr/bin/head -c 1048000 /dev/zero\nOutput=text\n", "");
        expect_failure("over the limit of 1048576 bytes");
        run("Exec=/bin/sh -c 'head -c 1048574 /dev/zero | tr \\\\\\\\0 x'\nOutput=text\n", "");
        ck_assert(result.success);
        ck_assert_uint_eq(result.size, RESULT_MAX);
}
END_TEST

START_TEST(test_failures) {
        run("Exec=/bin/sh -c 'echo one >&2; echo \"<3>two\" >&2; exit 3'\n", "");
        expect_failure("exited with status 3: one\ntwo");
        expect_retry("as set");
        run("Exec=/bin/false\n", "");
        ck_assert_uint_eq(result.size, strlen("exited with status 1"));
        run("Exec=/bin/sh -c 'kill -TERM $$'\n", "");
        expect_failure("killed by signal SIGTERM (terminated)");
        run("Exec=/bin/sh -c 'kill -SEGV $$'\n", "");
        expect_failure("killed by signal SIGSEGV (segmentation fault)");
        run("Exec=/nonexistent/command\n", "");
        expect_failure("cannot execute /nonexistent/command (Exec=): No such file or directory");
        expect_retry("as set");
}
END_TEST

START_TEST(test_retry) {
        run("Exec=/bin/sh -c 'exit 75'\nRetryOn=signal\nRetryDelay=90s\n", "");
        expect_failure("exited with status 75");
        expect_retry("90000000");
        run("Exec=/bin/sh -c 'exit 3'\nRetryOn=signal\n", "");
        expect_retry("no");
        run("Exec=/bin/sh -c 'exit 3'\nRetryOn=signal 3\n", "");
        expect_retry("as set");
        run("Exec=/bin/sh -c 'exit 4'\nRetryOn=3 200\n", "");
        expect_retry("no");
        run("Exec=/bin/sh -c 'exit 200'\nRetryOn=3 200\n", "");
        expect_retry("as set");
        run("Exec=/bin/sh -c 'kill -HUP $$'\nRetryOn=exit timeout oom\n", "");
        expect_retry("no");
        run("Exec=/bin/sh -c 'kill -KILL $$'\nRetryOn=oom\n", "");
        expect_retry("as set");
        run("Exec=/bin/sleep 1000\nTimeout=10ms\nRetryOn=timeout\n", "");
        expect_retry("as set");
        run("Exec=/bin/sleep 1000\nTimeout=10ms\nRetryOn=exit signal\n", "");
        expect_retry("no");
        run("Exec=/bin/echo no JSON\nRetryOn=timeout\n", "");
        expect_retry("no");
}
END_TEST

/* Time limits that a command must have begun to work for: on a busy machine that takes longer than one would think, so longer
 * ones are tried as well. `is_done` looks at the result. */
static void run_in_time(const char *lines, unsigned soft_share, bool (*is_done)(void)) {
        for (uint64_t usec = 300 * USEC_PER_MSEC; usec <= 30 * USEC_PER_SEC; usec *= 5) {
                RunnerMessage m = { .timeout_usec = soft_share > 1 ? usec : 0,
                                    .soft_timeout_usec = soft_share > 0 ? usec / soft_share : 0 };

                run_with(lines, "", &m);
                if (is_done())
                        return;
        }
}

static bool result_has(const char *part) {
        _cleanup_free_ char *text = strndup(result.payload, result.size);

        return strstr(text, part);
}

static bool has_begun(void) {
        return result_has("begun");
}

static bool has_succeeded(void) {
        return result.success;
}

START_TEST(test_timeouts) {
        RunnerMessage m = { .timeout_usec = 20000 };

        run_in_time(
                "Exec=/bin/sh -c 'trap \"\" TERM; echo begun >&2; while :; do sleep 1000; done'\n",
                2, has_begun);
        expect_failure("ran longer than Timeout=");
        expect_failure("s: begun");
        run("Exec=/bin/sleep 1000\nTimeout=30ms\n", "");
        expect_failure("ran longer than Timeout=0.03s");
        run("Exec=/bin/sleep 1000\nSoftTimeout=50ms\n", "");
        expect_failure("killed by signal SIGTERM (terminated) after SoftTimeout=0.05s");
        run_in_time("Exec=/bin/sh -c 'trap \"echo 1; exit 0\" TERM; sleep 1000 & wait'\n", 1,
                    has_succeeded);
        expect_result("1");
        /* That of the request wins. */
        run_with("Exec=/bin/sleep 1000\nTimeout=1000s\n", "", &m);
        expect_failure("ran longer than Timeout=0.02s");
        m = (RunnerMessage){ .soft_timeout_usec = 20000 };
        run_with("Exec=/bin/sleep 1000\n", "", &m);
        expect_failure("after SoftTimeout=0.02s");
}
END_TEST

START_TEST(test_environment) {
        static char parent[] = "00-ab-cd-01";
        RunnerMessage m = { .traceparent = { parent, strlen(parent) } };
        _cleanup_free_ char *file = path_in("env"), *lines = NULL;

        ck_assert_int_eq(setenv("INHERITED", "yes", true), 0);
        ck_assert_int_eq(setenv("TRACEPARENT", "of somebody else", true), 0);
        write_text(file, "B=from file\nC=3\n");
        lines = format_string(
                "Exec=/bin/sh -c 'echo \"$FASTWORKER_TASK_NAME $FASTWORKER_ATTEMPT $A $B $C "
                "$INHERITED $TRACEPARENT $FASTWORKER_TASK_ID\"'\nOutput=text\n"
                "Environment=A=1 B=2 FASTWORKER_ATTEMPT=9\nEnvironmentFile=%s\n",
                file);
        run_with(lines, "", &m);
        expect_result(
                "\"try 2 1 from file 3 yes 00-ab-cd-01 00000000-0000-0000-0000-000000000000\"");
        run("Exec=/bin/sh -c 'echo \"${TRACEPARENT-none}\"'\nOutput=text\n", "");
        expect_result("\"none\"");
        ck_assert_int_eq(unlink(file), 0);
        run(lines, "");
        expect_failure("EnvironmentFile=: ");
}
END_TEST

START_TEST(test_properties) {
        run("Exec=/bin/sh -c 'ulimit -n; ulimit -c; pwd; umask; nice; cat /proc/self/oom_score_adj'\n"
            "Output=text\nLimitNOFILE=77\nLimitCORE=0\nWorkingDirectory=/usr\nUMask=0027\nNice=7\n"
            "OOMScoreAdjust=900\n",
            "");
        expect_result("\"77\\n0\\n/usr\\n0027\\n7\\n900\"");
        run("Exec=/bin/sh -c 'grep NoNewPrivs /proc/self/status'\nOutput=text\nNoNewPrivileges=yes\n",
            "");
        expect_result("\"NoNewPrivs:\\t1\"");
        run("Exec=/bin/sh -c 'ulimit -d'\nOutput=text\nMemoryMax=64M\n", "");
        expect_result("\"65536\"");
        run("Exec=/bin/true\nWorkingDirectory=/nonexistent\n", "");
        expect_failure("WorkingDirectory=/nonexistent: No such file or directory");
        run("Exec=/usr/bin/head -c 100000000 /dev/zero | tail\nMemoryMax=1M\nOutput=text\n", "");
        ck_assert(!result.success);
}
END_TEST

/* Nothing of ours goes to the command. */
START_TEST(test_report_progress) {
        run("Exec=/bin/sh -c 'echo \"progress 42.5 page 17 of  40 \" >&$FASTWORKER_REPORT_FD; echo 1'\n",
            "");
        expect_result("1");
        ck_assert_str_eq(logged, "progress 4250 page 17 of  40\n");

        /* Of what is there at once the newest is passed on. The last line needs no newline. */
        run("Exec=/bin/sh -c 'printf \"progress 1\\nprogress 2%% two\\nprogress 100\" >&3; echo 1'\n",
            "");
        ck_assert_str_eq(logged,
                         "progress 4250 page 17 of  40\nprogress 200 two\nprogress 10000 \n");
}
END_TEST

START_TEST(test_report_rubbish) {
        static const char *const table[] = { "progress",        "progress x",   "progress 101",
                                             "progress -1",     "progress nan", "progress 5x",
                                             "progressive 5",   "retry-after",  "retry-after soon",
                                             "no-retry please", "hello" };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *lines = format_string(
                        "Exec=/bin/sh -c 'printf \"\\n%s\\n\" >&3; exit 3'\n", table[i]);
                _cleanup_free_ char *expected =
                        format_string("\"%s\" is not known, expected", table[i]);
                size_t before = logged_size;

                run(lines, "");
                expect_failure("exited with status 3");
                expect_retry("as set");
                ck_assert_contains(logged + before, expected);
        }
        n_logged = 0;
        run("Exec=/bin/sh -c 'yes | head -c 1000000 >&3; head -c 1000000 /dev/zero >&3; echo 1'\n",
            "");
        expect_result("1");
        ck_assert_uint_eq(n_logged, 3);
}
END_TEST

START_TEST(test_report_retry) {
        run("Exec=/bin/sh -c 'echo retry-after 90s >&3; exit 3'\nRetryOn=4\n", "");
        expect_retry("90000000");
        run("Exec=/bin/sh -c 'echo retry-after 1h >&3; echo no-retry >&3; exit 3'\n", "");
        expect_retry("no");
        run("Exec=/bin/sh -c 'echo no-retry >&3; echo retry-after 0 >&3; kill -9 $$'\n", "");
        expect_retry("0");
        run("Exec=/bin/sh -c 'echo retry-after 5 >&3; exit 75'\nRetryDelay=7s\n", "");
        expect_retry("5000000");
        run("Exec=/bin/sh -c 'exec 3>&-; exit 75'\nRetryDelay=7s\n", "");
        expect_retry("7000000");
        run("Exec=/bin/sh -c 'echo no-retry >&3; echo 1'\n", "");
        expect_result("1");
}
END_TEST

START_TEST(test_clean_child) {
        int fd = open("/dev/null", O_RDONLY); /* not close-on-exec */
        sigset_t mask;

        ck_assert_int_gt(fd, 2);
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGUSR1);
        ck_assert_int_eq(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
        ck_assert(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
        /* Signals 1 to 28: make(1) leaves two of those ignored that glibc keeps for itself and lets nobody set. */
        run("Exec=/bin/sh -c 'ls /proc/$$/fd; grep -E \"Sig(Blk|Ign)\" /proc/self/status | grep -oE \".{7}$\"'\n"
            "Output=text\n",
            "");
        expect_result("\"0\\n1\\n2\\n3\\n0000000\\n0000000\"");
        safe_close(fd);
}
END_TEST

START_TEST(test_private_tmp) {
        _cleanup_free_ char *lines = format_string(
                "Exec=/bin/sh -c 'ls /tmp /var/tmp; echo x >/tmp/y && cat /tmp/y'\nOutput=text\nPrivateTmp=yes\n");

        run(lines, "");
        if (!result.success && strstr(result.payload, "PrivateTmp=: Operation not permitted"))
                return; /* neither root nor user namespaces */
        expect_result("\"/tmp:\\n\\n/var/tmp:\\nx\"");
        ck_assert_int_eq(access("/tmp/y", F_OK), -1);
}
END_TEST

START_TEST(test_log) {
        run("Exec=/bin/sh -c 'printf \"one\\\\n<3>two\\\\n\\\\n<9>three\\\\n<4>\\\\nlast \\\\377\" >&2'\n",
            "");
        expect_result("null");
        ck_assert_str_eq(logged, "6 one\n3 two\n6 <9>three\n6 last \xef\xbf\xbd\n");
}
END_TEST

START_TEST(test_log_limit) {
        run("Exec=/bin/sh -c 'seq 1500 >&2; exit 1'\n", "");
        ck_assert_uint_eq(n_logged, 901);
        ck_assert(strstr(logged, "\n6 900\n4 600 more lines (2901 bytes) of standard error"));
        expect_failure("\n1500");
        ck_assert(!strstr(result.payload, "900\n"));
        ck_assert_uint_lt(result.size, 2100);
}
END_TEST

START_TEST(test_log_flood) {
        run("Exec=/bin/sh -c 'head -c 300000000 /dev/zero >&2; echo 5'\n", "");
        expect_result("5");
        ck_assert_uint_le(n_logged, 70);
        ck_assert(strstr(logged, "of standard error were dropped"));
}
END_TEST

static bool is_gone(const char *file) {
        _cleanup_free_ char *path = path_in(file);
        FILE *f = fopen(path, "re");
        int pid;

        ck_assert_ptr_nonnull(f);
        ck_assert_int_eq(fscanf(f, "%d", &pid), 1);
        (void) fclose(f);
        return kill(pid, 0) < 0 && errno == ESRCH;
}

/* A child that holds the output open does not stop us for long. */
START_TEST(test_background_child) {
        _cleanup_free_ char *lines = format_string(
                "Exec=/bin/sh -c 'sleep 1000 & echo $! >%s/pid; echo 1'\n", test_directory);
        uint64_t begin = now_usec(CLOCK_MONOTONIC);

        run(lines, "");
        expect_result("1");
        ck_assert_uint_ge(now_usec(CLOCK_MONOTONIC) - begin, USEC_PER_SEC / 2);
        ck_assert_uint_lt(now_usec(CLOCK_MONOTONIC) - begin, 30 * USEC_PER_SEC);
        ck_assert(is_gone("pid"));
}
END_TEST

/* One that takes a session of its own, and ignores SIGTERM, is found as well; also behind a time limit. */
START_TEST(test_daemon) {
        static const char format[] = "Exec=/bin/sh %s/daemonize %s/pid '%s'\nTimeout=%s\n";
        _cleanup_free_ char *script = path_in("daemonize"), *pid = path_in("pid"),
                            *ends = format_string(format, test_directory, test_directory, "echo 1",
                                                  "60s"),
                            *late = format_string(format, test_directory, test_directory,
                                                  "sleep 1000", "5s");

        write_text(
                script,
                "setsid sh -c 'trap \"\" TERM; echo $$ >$0; exec sleep 1000' $1 >/dev/null 2>&1 &\n"
                "while ! [ -s $1 ]; do :; done\neval $2\n");
        run(ends, "");
        expect_result("1");
        ck_assert(is_gone("pid"));
        ck_assert_int_eq(unlink(pid), 0);
        run(late, "");
        expect_failure("ran longer than Timeout=5s");
        ck_assert(is_gone("pid"));
}
END_TEST

/* Children that were there before are none of the command's. */
START_TEST(test_other_children) {
        pid_t other = fork();
        int status;

        if (other == 0) {
                for (;;)
                        (void) pause();
        }
        ck_assert_int_gt(other, 0);
        run("Exec=/bin/echo 1\n", "");
        expect_result("1");
        ck_assert_int_eq(waitpid(other, &status, WNOHANG), 0);
        ck_assert_int_eq(kill(other, SIGKILL), 0);
        ck_assert_int_eq(waitpid(other, &status, 0), other);
}
END_TEST

/* A module may have no interest in how children end. */
START_TEST(test_ignored_children) {
        ck_assert(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
        run("Exec=/bin/sh -c 'exit 7'\n", "");
        expect_failure("exited with status 7");
        ck_assert(signal(SIGCHLD, SIG_DFL) == SIG_IGN);
}
END_TEST

int main(void) {
        Suite *s = suite_create("command");
        TCase *c = tcase_create("command");

        tcase_set_timeout(c, 120);
        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, test_input);
        tcase_add_test(c, test_bad_arguments);
        tcase_add_test(c, test_arguments_too_long);
        tcase_add_test(c, test_output);
        tcase_add_test(c, test_too_much_output);
        tcase_add_test(c, test_failures);
        tcase_add_test(c, test_retry);
        tcase_add_test(c, test_timeouts);
        tcase_add_test(c, test_environment);
        tcase_add_test(c, test_properties);
        tcase_add_test(c, test_report_progress);
        tcase_add_test(c, test_report_rubbish);
        tcase_add_test(c, test_report_retry);
        tcase_add_test(c, test_clean_child);
        tcase_add_test(c, test_private_tmp);
        tcase_add_test(c, test_log);
        tcase_add_test(c, test_log_limit);
        tcase_add_test(c, test_log_flood);
        tcase_add_test(c, test_background_child);
        tcase_add_test(c, test_daemon);
        tcase_add_test(c, test_other_children);
        tcase_add_test(c, test_ignored_children);
        suite_add_tcase(s, c);
        return check_run(s);
}
