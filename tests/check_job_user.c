/* SPDX-License-Identifier: MIT */

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "exec-test.h"
#include "job-user.h"
#include "output.h"
#include "parse-util.h"

#define USER "daemon" /* there is one on every Debian, and tests do not run as it */

/* Runs a shell script as the user and returns what it prints. */
static char *run_as(const JobUser *user, const char *script) {
        char *argv[] = { (char *) "/bin/sh", (char *) "-c", (char *) script, NULL };
        char *environment[] = { (char *) "PATH=/usr/bin:/bin", NULL };
        int out[2];
        ProcessConfig config = {
                .argv = argv, .environment = environment, .socket_fd = ends[1], .user = user
        };
        Process p = PROCESS_NONE;
        char *text = calloc(1, 65536);
        size_t size = 0;
        ProcessEnd status;
        ssize_t n;

        ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
        config.output_fd = out[1];
        ck_assert_int_eq(process_start(&config, &p), 0);
        safe_close(out[1]);
        while ((n = read(out[0], text + size, 65535 - size)) > 0)
                size += (size_t) n;
        safe_close(out[0]);
        ck_assert_int_eq(waitid(P_PID, (id_t) p.pid, &status.status, WEXITED | WNOWAIT), 0);
        ck_assert_int_eq(process_reap(&p, &status), 0);
        ck_assert_int_eq(status.status.si_status, 0);
        return text;
}

static JobUser *some_user(void) {
        _cleanup_free_ char *error = NULL;
        JobUser *user;
        int r = job_user_new(USER, &user, &error);

        ck_assert_msg(r == 0, "%d: %s", r, error ?: "?");
        return user;
}

/* Each name stands for a line of /proc/PID/status. */
static void assert_line(const char *text, const char *name, const char *value) {
        _cleanup_free_ char *line = format_string("%s:\t%s\n", name, value);

        ck_assert_contains(text, line);
}

START_TEST(test_becomes) {
        _cleanup_(job_user_freep) JobUser *user = some_user();
        _cleanup_free_ char *text = run_as(user, "cat /proc/self/status; id"), *ids = NULL,
                            *group = NULL;
        const struct passwd *pw = getpwnam(USER);

        ids = format_string("%d\t%d\t%d\t%d", (int) pw->pw_uid, (int) pw->pw_uid, (int) pw->pw_uid,
                            (int) pw->pw_uid);
        assert_line(text, "Uid", ids);
        group = format_string("%d\t%d\t%d\t%d", (int) pw->pw_gid, (int) pw->pw_gid,
                              (int) pw->pw_gid, (int) pw->pw_gid);
        assert_line(text, "Gid", group);
        assert_line(text, "CapInh", "0000000000000000");
        assert_line(text, "CapPrm", "0000000000000000");
        assert_line(text, "CapEff", "0000000000000000");
        assert_line(text, "CapAmb", "0000000000000000");
        assert_line(text, "NoNewPrivs", "1");
        /* None of ours. */
        free(ids);
        ids = format_string("Groups:\t%d \n", (int) pw->pw_gid);
        ck_assert_contains(text, ids);
}
END_TEST

/* What it starts may open its output by name, as scripts do, although the pipe is the daemon's; but only in order to
 * write. */
START_TEST(test_output) {
        _cleanup_(job_user_freep) JobUser *user = some_user();
        _cleanup_(output_freep) Output *output = NULL;
        static const char script[] =
                "echo one >/dev/stderr; echo two >>/dev/stdout; ! head -c1 /dev/stdout 2>/dev/null";
        char *argv[] = { (char *) "/bin/sh", (char *) "-c", (char *) script, NULL };
        char *environment[] = { (char *) "PATH=/usr/bin:/bin", NULL };
        ProcessConfig config = {
                .argv = argv, .environment = environment, .socket_fd = ends[1], .user = user
        };
        const char *lines[] = { "one", "two" }, *line;
        Process p = PROCESS_NONE;
        ProcessEnd status;
        size_t size;

        ck_assert_int_eq(output_new(&output, &config.output_fd), 0);
        ck_assert_int_eq(process_start(&config, &p), 0);
        ck_assert_int_eq(waitid(P_PID, (id_t) p.pid, &status.status, WEXITED | WNOWAIT), 0);
        ck_assert_int_eq(process_reap(&p, &status), 0);
        safe_close(config.output_fd);
        ck_assert_int_gt(output_read(output), 0);
        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                ck_assert_int_eq(output_next(output, 1, &line, &size), OUTPUT_LINE);
                ck_assert_uint_eq(size, strlen(lines[i]));
                ck_assert_mem_eq(line, lines[i], size);
        }
        ck_assert_int_eq(output_next(output, 1, &line, &size), OUTPUT_NOTHING);
        ck_assert_int_eq(status.status.si_status, 0);
}
END_TEST

/* Against a process of ours, which is what the daemon is to it. */
START_TEST(test_cannot) {
        _cleanup_(job_user_freep) JobUser *user = some_user();
        _cleanup_free_ char *secret = path_in("secret"), *script = NULL, *text = NULL;
        int fd = open(secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, "key", 3), 3);
        safe_close(fd);
        ck_assert_int_eq(chmod(test_directory, 0755), 0);

        script = format_string(
                "try() { what=$1; shift; if \"$@\" >/dev/null 2>&1; then echo $what: yes; else echo "
                "$what: no; fi; };"
                "try environment cat /proc/%d/environ; try memory head -c1 /proc/%d/mem;"
                "try descriptors ls /proc/%d/fd; try signal kill -0 %d; try file cat %s;"
                "try own cat /proc/self/environ",
                getpid(), getpid(), getpid(), getpid(), secret);
        text = run_as(user, script);
        ck_assert_str_eq(text,
                         "environment: no\nmemory: no\ndescriptors: no\nsignal: no\nfile: no\n"
                         "own: yes\n");
}
END_TEST

/* The daemon can end it, though it is another one's process. */
START_TEST(test_kill) {
        _cleanup_(job_user_freep) JobUser *user = some_user();
        char *argv[] = { (char *) "/bin/sleep", (char *) "1000", NULL }, *none[] = { NULL };
        ProcessConfig config = {
                .argv = argv,
                .environment = none,
                .socket_fd = ends[1],
                .output_fd = -EBADF,
                .user = user,
        };
        Process p = PROCESS_NONE;
        ProcessEnd status;

        ck_assert_int_eq(process_start(&config, &p), 0);
        process_kill(&p);
        ck_assert_int_eq(waitid(P_PID, (id_t) p.pid, &status.status, WEXITED | WNOWAIT), 0);
        ck_assert_int_eq(process_reap(&p, &status), 0);
        ck_assert_int_eq(status.status.si_status, SIGKILL);
}
END_TEST

/* What the user may not execute is an error of the start, as it is without a user. */
START_TEST(test_not_started) {
        _cleanup_(job_user_freep) JobUser *user = some_user();
        _cleanup_free_ char *program = path_in("program");
        char *argv[] = { program, NULL }, *none[] = { NULL };
        ProcessConfig config = {
                .argv = argv,
                .environment = none,
                .socket_fd = ends[1],
                .output_fd = -EBADF,
                .user = user,
        };
        Process p = PROCESS_NONE;

        safe_close(open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0700));
        ck_assert_int_eq(process_start(&config, &p), -EACCES);
        ck_assert_int_eq(p.pid, 0);
}
END_TEST

START_TEST(test_environment) {
        _cleanup_(job_user_freep) JobUser *user = some_user();
        _cleanup_strv_ char **l = NULL;
        _cleanup_free_ char *home = format_string("HOME=%s", getpwnam(USER)->pw_dir);

        ck_assert_int_eq(strv_extend(&l, "HOME=/root"), 0);
        ck_assert_int_eq(job_user_set_environment(user, &l), 0);
        ck_assert_uint_eq(strv_length(l), 3);
        ck_assert(strv_contains(l, home));
        ck_assert(strv_contains(l, "USER=" USER));
        ck_assert(strv_contains(l, "LOGNAME=" USER));
}
END_TEST

static void assert_refused(const char *name, int expected, const char *part) {
        _cleanup_free_ char *error = NULL;
        JobUser *user = NULL;

        ck_assert_int_eq(job_user_new(name, &user, &error), expected);
        ck_assert_ptr_null(user);
        ck_assert_ptr_nonnull(error);
        ck_assert_contains(error, name);
        ck_assert_contains(error, part);
}

START_TEST(test_refused) {
        assert_refused("no-such-user-here", -ESRCH, "there is no such user");
        assert_refused("root", -EINVAL, "not to run as root");
}
END_TEST

/* Who is not root says so before a task comes, not when it has come. */
START_TEST(test_without_rights) {
        pid_t pid;
        int status;

        if (geteuid() != 0) {
                assert_refused(USER, -EPERM, "CAP_SETUID");
                return;
        }
        pid = fork();
        if (pid == 0) {
                _cleanup_free_ char *error = NULL;
                JobUser *user;

                if (setresgid(65533, 65533, 65533) < 0 || setresuid(65533, 65533, 65533) < 0)
                        _exit(10);
                if (job_user_new(USER, &user, &error) != -EPERM)
                        _exit(11);
                _exit(strstr(error, "CAP_SETUID") ? 0 : 12);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("job-user");
        TCase *c = tcase_create("job-user");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_set_timeout(c, 60);
        tcase_add_test(c, test_refused);
        tcase_add_test(c, test_without_rights);
        if (geteuid() == 0) {
                tcase_add_test(c, test_becomes);
                tcase_add_test(c, test_output);
                tcase_add_test(c, test_cannot);
                tcase_add_test(c, test_kill);
                tcase_add_test(c, test_not_started);
                tcase_add_test(c, test_environment);
        }
        suite_add_tcase(s, c);
        return check_run(s);
}
