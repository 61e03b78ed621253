/* SPDX-License-Identifier: MIT */

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "exec-test.h"
#include "parse-util.h"
#include "runner-wire.h"

static Process start(const char *script, char *const *environment) {
        char *argv[] = { (char *) "/bin/sh", (char *) "-c", (char *) script, NULL };
        const ProcessConfig config = {
                .argv = argv,
                .environment = environment,
                .socket_fd = ends[1],
                .output_fd = -EBADF,
        };
        Process p = PROCESS_NONE;

        ck_assert_int_eq(process_start(&config, &p), 0);
        ck_assert_int_gt(p.pid, 0);
        ck_assert_int_ne(fcntl(p.pidfd, F_GETFD) & FD_CLOEXEC, 0);
        return p;
}

static char *read_text(const char *file) {
        FILE *f = fopen(file, "re");
        char *text = calloc(1, 65536);

        ck_assert_ptr_nonnull(f);
        (void) !fread(text, 1, 65535, f);
        (void) fclose(f);
        return text;
}

/* Waits for the end and describes it. */
static char *reap(Process *p) {
        struct pollfd ended = { .fd = p->pidfd, .events = POLLIN };
        ProcessEnd status;
        char text[128];

        ck_assert_int_eq(poll(&ended, 1, 20000), 1);
        ck_assert_int_eq(process_reap(p, &status), 0);
        ck_assert_int_eq(p->pid, 0);
        ck_assert_int_lt(p->pidfd, 0);
        process_describe(&status, text, sizeof(text));
        return format_string("%s", text);
}

static void assert_ends(const char *script, const char *expected) {
        char *none[] = { NULL };
        Process p = start(script, none);
        _cleanup_free_ char *text = reap(&p);

        ck_assert_str_eq(text, expected);
}

START_TEST(test_ends) {
        assert_ends("exit 0", "runner exited with status 0");
        assert_ends("exit 3", "runner exited with status 3");
        assert_ends("kill -SEGV $$", "killed by signal SIGSEGV (segmentation fault)");
        assert_ends("kill -ABRT $$", "killed by signal SIGABRT (aborted)");
        assert_ends("kill -KILL $$", "killed by signal SIGKILL (killed)");
        assert_ends("kill -TERM $$", "killed by signal SIGTERM (terminated)");
}
END_TEST

static void assert_described(const ProcessEnd *end, const char *expected) {
        char text[160];

        process_describe(end, text, sizeof(text));
        ck_assert_str_eq(text, expected);
}

/* Whether it was the limit, and whose, or want of memory elsewhere. */
START_TEST(test_memory_ends) {
        ProcessEnd end = { .oom = CGROUP_OOM_LIMIT, .memory_max = 64 << 20 };

        end.status.si_code = CLD_KILLED;
        end.status.si_status = SIGKILL;
        assert_described(&end, "killed by the memory limit of 64M (TaskMemoryMax=)");
        end.is_task_limit = true;
        assert_described(&end, "killed by the memory limit of 64M (MemoryMax=)");
        end.oom = CGROUP_OOM_OUTSIDE;
        assert_described(&end, "killed because the machine or the service ran out of memory");
        end.oom = CGROUP_OOM_NONE;
        assert_described(&end, "killed by signal SIGKILL (killed)");

        /* Where the kernel does not kill, but refuses. */
        end.is_rlimit = true;
        assert_described(&end, "killed by signal SIGKILL (killed)");
        end.status.si_status = SIGABRT;
        assert_described(&end, "killed by signal SIGABRT (aborted); its memory was limited to 64M "
                               "(TaskMemoryMax=)");
        end.memory_max = 0;
        assert_described(&end, "killed by signal SIGABRT (aborted)");
}
END_TEST

START_TEST(test_not_started) {
        char *argv[] = { (char *) "/nonexistent/program", NULL }, *none[] = { NULL };
        ProcessConfig config = {
                .argv = argv,
                .environment = none,
                .socket_fd = ends[1],
                .output_fd = -EBADF,
        };
        Process p = PROCESS_NONE;
        ProcessEnd status;

        ck_assert_int_eq(process_start(&config, &p), -ENOENT);
        argv[0] = (char *) "/etc/passwd";
        ck_assert_int_eq(process_start(&config, &p), -EACCES);
        argv[0] = (char *) "/bin/sh";
        config.socket_fd = -EBADF;
        ck_assert_int_eq(process_start(&config, &p), -EBADF);
        ck_assert_int_eq(p.pid, 0);
        ck_assert_int_eq(process_reap(&p, &status), -ESRCH);
        process_kill(&p);
        process_discard(&p);
}
END_TEST

/* Something keeps the child from becoming the program, as a task can that stops all processes of its user: here a lease
 * on the file. It is given up and gone after a while. */
START_TEST(test_held_up) {
        _cleanup_free_ char *path = path_in("program");
        int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
        char *argv[] = { path, NULL }, *none[] = { NULL };
        const ProcessConfig config = {
                .argv = argv,
                .environment = none,
                .socket_fd = ends[1],
                .output_fd = -EBADF,
                .wait_msec = 50,
        };
        Process p = PROCESS_NONE;

        ck_assert_int_ge(fd, 0);
        (void) signal(SIGIO, SIG_IGN); /* how the holder of a lease is told */
        ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
        ck_assert_int_eq(process_start(&config, &p), -ETIMEDOUT);
        ck_assert_int_eq(p.pid, 0);
        ck_assert_int_eq(waitpid(-1, NULL, 0), -1);
        ck_assert_int_eq(errno, ECHILD);
        safe_close(fd);
}
END_TEST

/* The number after the text, in hexadecimal. */
static uint64_t number_after(const char *text, const char *label) {
        const char *p = strstr(text, label);

        ck_assert_msg(p, "no %s in \"%s\"", label, text);
        return strtoull(p + strlen(label), NULL, 16);
}

/* Descriptors 0 to 3 and no others, whatever we have open, and signals as at the beginning of the world. */
START_TEST(test_what_it_gets) {
        /* glibc keeps two realtime signals for itself and lets nobody set them. make(1) leaves them ignored. */
        static const uint64_t internal_signals = UINT64_C(3) << 31;
        _cleanup_free_ char *file = path_in("answer"), *text = NULL;
        _cleanup_free_ char *script = format_string(
                "{ echo $(readlink /proc/self/fd/0) $GREETING; cat /proc/self/status;"
                " for n in 3 20 21; do [ ! -e /proc/$$/fd/$n ] || echo has $n; done; } >%s",
                file);
        char *environment[] = { (char *) "GREETING=hello", (char *) "PATH=/usr/bin:/bin", NULL };
        int leaks[] = { fcntl(ends[0], F_DUPFD, 20), fcntl(ends[0], F_DUPFD, 21) };
        _cleanup_free_ char *status = NULL;
        sigset_t mask;
        Process p;

        ck_assert_int_ge(leaks[0], 20);
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        ck_assert_int_eq(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
        (void) signal(SIGHUP, SIG_IGN);
        p = start(script, environment);
        ck_assert_int_eq(getpgid(p.pid), p.pid);
        (void) signal(SIGHUP, SIG_DFL);
        ck_assert_int_eq(sigprocmask(SIG_UNBLOCK, &mask, NULL), 0);
        status = reap(&p);
        ck_assert_str_eq(status, "runner exited with status 0");

        text = read_text(file);
        ck_assert_contains(text, "/dev/null hello\n");
        ck_assert_contains(text, "has 3\n");
        ck_assert_lacks(text, "has 20\n");
        ck_assert_lacks(text, "has 21\n");
        ck_assert_uint_eq(number_after(text, "SigBlk:"), 0);
        ck_assert_uint_eq(number_after(text, "SigIgn:") & ~internal_signals, 0);
        safe_close(leaks[0]);
        safe_close(leaks[1]);
}
END_TEST

/* What a task leaves behind ends with its runner. */
START_TEST(test_group) {
        char *none[] = { NULL };
        Process p = start("sleep 1000 3>&3 & exit 0", none);
        _cleanup_free_ char *text = reap(&p);
        char c;

        ck_assert_str_eq(text, "runner exited with status 0");
        /* The child had the last duplicate of that end, besides ours. */
        ends[1] = safe_close(ends[1]);
        ck_assert_int_eq(recv(ends[0], &c, 1, 0), 0);
}
END_TEST

START_TEST(test_kill) {
        char *none[] = { NULL };
        Process p = start("sleep 1000", none);
        _cleanup_free_ char *text = NULL;
        ProcessEnd status;

        ck_assert_int_eq(process_reap(&p, &status), -EAGAIN);
        ck_assert_int_gt(p.pid, 0);
        process_kill(&p);
        text = reap(&p);
        ck_assert_str_eq(text, "killed by signal SIGKILL (killed)");
}
END_TEST

START_TEST(test_environment) {
        _cleanup_strv_ char **l = NULL;
        static const char *const private[] = { "NOTIFY_SOCKET",        "LISTEN_FDS",
                                               "LISTEN_PID",           "LISTEN_FDNAMES",
                                               "WATCHDOG_USEC",        "WATCHDOG_PID",
                                               "CREDENTIALS_DIRECTORY" };
        ck_assert_int_eq(clearenv(), 0);
        for (size_t i = 0; i < ELEMENTSOF(private); i++)
                setenv(private[i], "1", true);
        setenv("PATH", "/bin", true);
        setenv("LISTEN_FDS_FAKE", "stays", true);
        setenv("JOURNAL_STREAM", "8:123", true);
        ck_assert_int_eq(exec_environment(&l), 0);
        ck_assert_uint_eq(strv_length(l), 2);
        ck_assert(strv_contains(l, "PATH=/bin"));
        ck_assert(strv_contains(l, "LISTEN_FDS_FAKE=stays"));

        ck_assert_int_eq(strv_assign(&l, "PATH=/usr/bin"), 0);
        ck_assert_int_eq(strv_assign(&l, "NEW=x"), 0);
        ck_assert_uint_eq(strv_length(l), 3);
        ck_assert(strv_contains(l, "PATH=/usr/bin"));
        ck_assert(strv_contains(l, "NEW=x"));
}
END_TEST

START_TEST(test_empty_environment) {
        _cleanup_strv_ char **l = NULL;

        ck_assert_int_eq(clearenv(), 0);
        ck_assert_int_eq(exec_environment(&l), 0);
        ck_assert_ptr_nonnull(l);
        ck_assert_ptr_null(l[0]);
}
END_TEST

int main(void) {
        Suite *s = suite_create("exec");
        TCase *c = tcase_create("exec");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_set_timeout(c, 60);
        tcase_add_test(c, test_ends);
        tcase_add_test(c, test_memory_ends);
        tcase_add_test(c, test_not_started);
        tcase_add_test(c, test_held_up);
        tcase_add_test(c, test_what_it_gets);
        tcase_add_test(c, test_group);
        tcase_add_test(c, test_kill);
        tcase_add_test(c, test_environment);
        tcase_add_test(c, test_empty_environment);
        suite_add_tcase(s, c);
        return check_run(s);
}
