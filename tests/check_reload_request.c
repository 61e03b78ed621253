/* SPDX-License-Identifier: MIT */

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "check-util.h"
#include "reload-request.h"

/* A daemon that takes one SIGHUP and answers it, or does something else. */
typedef enum Behaviour { ANSWER_OK, ANSWER_FAILED, END } Behaviour;

static void be_daemon(int fd, Behaviour behaviour) {
        ReloadAsker asker = RELOAD_ASKER_NONE;
        struct signalfd_siginfo si;

        do {
                if (read(fd, &si, sizeof(si)) != sizeof(si))
                        _exit(20);
                if (behaviour == END)
                        _exit(0);
                reload_asker_set(&asker, &si);
        } while (asker.pidfd < 0); /* a SIGHUP that asks for no answer */
        reload_asker_tell(&asker, behaviour == ANSWER_OK ? 0 : -EBADMSG);
        _exit(asker.pidfd < 0 ? 0 : 21);
}

/* With a user other than 0 it becomes that one, and then writes to `ready`. */
static pid_t start_as(uid_t uid, int ready, Behaviour behaviour) {
        sigset_t set;
        pid_t pid;
        int fd;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGHUP);
        (void) sigaddset(&set, RELOAD_SIGNAL);
        ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
        fd = signalfd(-1, &set, SFD_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                if (uid > 0 && (setresuid(uid, uid, uid) < 0 || write(ready, "", 1) != 1))
                        _exit(22);
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                be_daemon(fd, behaviour);
        }
        (void) close(fd);
        return pid;
}

static pid_t start(Behaviour behaviour) {
        return start_as(0, -EBADF, behaviour);
}

static void assert_answer(Behaviour behaviour, int expected) {
        pid_t pid = start(behaviour);
        _cleanup_free_ char *text = format_string("%d", (int) pid);
        int status;

        if (behaviour != END)
                ck_assert_int_eq(kill(pid, SIGHUP), 0); /* must not be answered */
        ck_assert_int_eq(reload_request(text), expected);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
}

START_TEST(test_answers) {
        assert_answer(ANSWER_OK, 0);
        assert_answer(ANSWER_FAILED, -EBADMSG);
        assert_answer(END, -ECHILD);
}
END_TEST

START_TEST(test_no_daemon) {
        ck_assert_int_eq(reload_request(""), -EINVAL);
        ck_assert_int_eq(reload_request("x"), -EINVAL);
        ck_assert_int_eq(reload_request("0"), -EINVAL);
        ck_assert_int_eq(reload_request("-1"), -EINVAL);
        ck_assert_int_eq(reload_request("2147483647"), -ESRCH);
}
END_TEST

/* Root asks a daemon of another user, who could not signal root. */
START_TEST(test_root_asks) {
        _cleanup_free_ char *text = NULL;
        pid_t daemon, asker;
        int fds[2], status;
        char c;

        if (geteuid() != 0)
                return;
        ck_assert_int_eq(pipe(fds), 0);
        daemon = start_as(65534, fds[1], ANSWER_OK);
        ck_assert_int_eq(read(fds[0], &c, 1), 1); /* it has become that user */
        text = format_string("%d", (int) daemon);
        asker = fork();
        if (asker == 0)
                _exit(reload_request(text) == 0 ? 0 : 1);
        ck_assert_int_eq(waitpid(asker, &status, 0), asker);
        ck_assert_int_eq(status, 0);
        ck_assert_int_eq(waitpid(daemon, &status, 0), daemon);
        ck_assert_int_eq(status, 0);
        safe_close(fds[0]);
        safe_close(fds[1]);
}
END_TEST

/* An answer would end a process that does not expect one. */
START_TEST(test_others_get_none) {
        struct signalfd_siginfo si = {
                .ssi_signo = (uint32_t) RELOAD_SIGNAL,
                .ssi_code = SI_USER,
                .ssi_uid = geteuid() + 1,
                .ssi_pid = (uint32_t) getpid(),
        };
        ReloadAsker asker = RELOAD_ASKER_NONE;

        reload_asker_set(&asker, &si);
        ck_assert_int_lt(asker.pidfd, 0);
        si.ssi_uid = geteuid();
        si.ssi_code = SI_QUEUE; /* the process in it is whichever the sender likes */
        reload_asker_set(&asker, &si);
        ck_assert_int_lt(asker.pidfd, 0);
}
END_TEST

/* Whom nobody asked for an answer gets none, and who died meanwhile is no trouble. */
START_TEST(test_asker_gone) {
        ReloadAsker asker = RELOAD_ASKER_NONE;
        struct signalfd_siginfo si = { .ssi_signo = SIGHUP, .ssi_pid = 1 };
        pid_t pid;

        reload_asker_tell(&asker, 0);
        reload_asker_set(&asker, &si);
        ck_assert_int_lt(asker.pidfd, 0);

        pid = fork();
        if (pid == 0)
                _exit(0);
        si.ssi_signo = (uint32_t) RELOAD_SIGNAL;
        si.ssi_code = SI_USER;
        si.ssi_uid = geteuid();
        si.ssi_pid = (uint32_t) pid;
        reload_asker_set(&asker, &si);
        ck_assert_int_ge(asker.pidfd, 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        reload_asker_tell(&asker, 0);
        ck_assert_int_lt(asker.pidfd, 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("reload-request");
        TCase *c = tcase_create("reload-request");

        tcase_set_timeout(c, 60);
        tcase_add_test(c, test_answers);
        tcase_add_test(c, test_no_daemon);
        tcase_add_test(c, test_root_asks);
        tcase_add_test(c, test_others_get_none);
        tcase_add_test(c, test_asker_gone);
        suite_add_tcase(s, c);
        return check_run(s);
}
