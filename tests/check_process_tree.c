/* SPDX-License-Identifier: MIT */

/* Trees of processes that do what they can to get away. Each test runs in a child of its own (CK_FORK), which is the
 * adopter of all that loses its parent. */

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "check-util.h"
#include "process-tree.h"

#define N_PROCESSES 20
#define LONG_USEC   (UINT64_C(60) * 1000 * 1000)

static int told[2]; /* a byte from each process that is up; the end of file when all are gone */

static void setup(void) {
        ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
        ck_assert_int_eq(process_tree_adopt(), 0);
}

static _Noreturn void stay(void) {
        (void) signal(SIGTERM, SIG_IGN);
        (void) signal(SIGHUP, SIG_IGN);
        (void) !write(told[1], "x", 1);
        for (;;)
                (void) pause();
}

/* One of: a child; a child in a session of its own; one whose parent is gone; the same in a session of its own. */
static void start_stubborn(int how) {
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid > 0)
                return;
        if (how & 1)
                (void) setsid();
        if (how & 2 && fork() != 0)
                _exit(0);
        stay();
}

/* A process that has started all of these. */
static pid_t start_tree(int n) {
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid > 0)
                return pid;
        (void) process_tree_adopt();
        for (int i = 0; i < n; i++)
                start_stubborn(i);
        stay();
}

static void wait_up(int n) {
        char byte;

        for (int i = 0; i < n; i++)
                ck_assert_int_eq(read(told[0], &byte, 1), 1);
}

/* Nobody holds the pipe any more. */
static void assert_all_gone(void) {
        struct pollfd p = { .fd = told[0], .events = POLLIN };
        char byte;

        told[1] = safe_close(told[1]);
        ck_assert_int_eq(poll(&p, 1, 10000), 1);
        ck_assert_int_eq(read(told[0], &byte, 1), 0);
}

static void collect(pid_t pid) {
        int status;

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
        ck_assert_int_eq(WTERMSIG(status), SIGKILL);
}

START_TEST(test_lists) {
        PidList l = {};

        ck_assert(!pid_list_has(NULL, 1));
        ck_assert(!pid_list_has(&l, 1));
        for (pid_t i = 1; i <= 100; i++)
                ck_assert_int_eq(pid_list_add(&l, i), 0);
        ck_assert_uint_eq(l.n, 100);
        ck_assert(pid_list_has(&l, 1));
        ck_assert(pid_list_has(&l, 100));
        ck_assert(!pid_list_has(&l, 101));
        /* In order, and what came after that. */
        l.pids[0] = 100;
        l.pids[99] = 1;
        pid_list_sort(&l);
        ck_assert_int_eq(pid_list_add(&l, 7000), 0);
        ck_assert_int_eq(pid_list_add(&l, 6000), 0);
        ck_assert(pid_list_has(&l, 1));
        ck_assert(pid_list_has(&l, 57));
        ck_assert(pid_list_has(&l, 100));
        ck_assert(pid_list_has(&l, 6000));
        ck_assert(!pid_list_has(&l, 101));
        pid_list_done(&l);
        ck_assert_uint_eq(l.n, 0);
}
END_TEST

START_TEST(test_children) {
        PidList l = {};
        pid_t tree = start_tree(0);

        wait_up(1);
        ck_assert_int_eq(process_tree_children(getpid(), &l), 0);
        ck_assert_uint_eq(l.n, 1);
        ck_assert_int_eq(l.pids[0], tree);
        l.n = 0;
        ck_assert_int_eq(process_tree_children(tree, &l), 0);
        ck_assert_uint_eq(l.n, 0);
        (void) process_tree_kill(tree, LONG_USEC);
        collect(tree);
        /* One that is gone has none. */
        ck_assert_int_eq(process_tree_children(tree, &l), 0);
        ck_assert_uint_eq(l.n, 0);
        pid_list_done(&l);
}
END_TEST

START_TEST(test_kill) {
        pid_t tree = start_tree(N_PROCESSES);

        wait_up(N_PROCESSES + 1);
        (void) process_tree_kill(tree, LONG_USEC);
        collect(tree);
        assert_all_gone();
        while (process_tree_end_orphans(NULL, LONG_USEC) > 0)
                ;
}
END_TEST

/* The process itself stays, and what it had before. */
START_TEST(test_kill_below) {
        PidList keep = {};
        pid_t tree = fork(), kept;

        ck_assert_int_ge(tree, 0);
        if (tree == 0) {
                (void) process_tree_adopt();
                start_stubborn(1);
                /* The rest comes when the list was made. */
                (void) raise(SIGSTOP);
                for (int i = 0; i < N_PROCESSES; i++)
                        start_stubborn(i);
                stay();
        }
        wait_up(1);
        ck_assert_int_eq(waitpid(tree, NULL, WUNTRACED), tree);
        ck_assert_int_eq(process_tree_children(tree, &keep), 0);
        ck_assert_uint_eq(keep.n, 1);
        kept = keep.pids[0];
        ck_assert_int_eq(kill(tree, SIGCONT), 0);
        wait_up(N_PROCESSES + 1);

        ck_assert(process_tree_kill_below(tree, &keep, LONG_USEC));
        ck_assert_int_eq(kill(tree, 0), 0);
        ck_assert_int_eq(kill(kept, 0), 0);
        ck_assert_int_eq(waitpid(tree, NULL, WNOHANG), 0);
        (void) process_tree_kill(tree, LONG_USEC);
        collect(tree);
        assert_all_gone();
        pid_list_done(&keep);
}
END_TEST

/* With no time at all, each call brings the end nearer. */
START_TEST(test_in_steps) {
        pid_t tree = start_tree(N_PROCESSES), other = start_tree(N_PROCESSES);
        unsigned n = 0;

        wait_up(2 * N_PROCESSES + 2);
        while (!process_tree_kill_below(tree, NULL, 0))
                n++;
        ck_assert_uint_ge(n, 2);
        ck_assert_int_eq(waitpid(tree, NULL, WNOHANG), 0);
        (void) process_tree_kill(tree, 0);
        collect(tree);

        ck_assert(!process_tree_kill(other, 0));
        collect(other);
        while (process_tree_end_orphans(NULL, LONG_USEC) > 0)
                ;
        assert_all_gone();
}
END_TEST

/* One that starts another whenever it can cannot outrun us. */
static _Noreturn void hare(void) {
        for (;;) {
                pid_t pid = fork();

                if (pid > 0)
                        _exit(0);
                if (pid == 0)
                        (void) setsid();
        }
}

START_TEST(test_hare) {
        pid_t tree = fork();

        ck_assert_int_ge(tree, 0);
        if (tree == 0) {
                (void) process_tree_adopt();
                (void) signal(SIGCHLD, SIG_IGN);
                for (int i = 0; i < 3; i++)
                        if (fork() == 0)
                                hare();
                stay();
        }
        wait_up(1);
        (void) process_tree_kill(tree, LONG_USEC);
        collect(tree);
        /* Those that were just being born came to us. */
        while (process_tree_end_orphans(NULL, LONG_USEC) > 0)
                ;
        assert_all_gone();
}
END_TEST

/* What a process that is gone has left to us is ended, with all below; what we know is not. */
START_TEST(test_orphans) {
        PidList known = {}, children = {};
        pid_t tree = start_tree(N_PROCESSES), other = start_tree(0);

        wait_up(N_PROCESSES + 2);
        ck_assert_int_eq(kill(tree, SIGKILL), 0);
        collect(tree);
        ck_assert_int_eq(pid_list_add(&known, other), 0);
        while (process_tree_end_orphans(&known, LONG_USEC) > 0)
                ;
        ck_assert_int_eq(kill(other, 0), 0);
        /* And nothing is left to be collected. */
        ck_assert_int_eq(process_tree_children(getpid(), &children), 0);
        ck_assert_uint_eq(children.n, 1);
        (void) process_tree_kill(other, LONG_USEC);
        collect(other);
        assert_all_gone();
        pid_list_done(&known);
        pid_list_done(&children);
}
END_TEST

int main(void) {
        Suite *s = suite_create("process-tree");
        TCase *c = tcase_create("all");

        tcase_add_checked_fixture(c, setup, NULL);
        tcase_set_timeout(c, 60);
        tcase_add_test(c, test_lists);
        tcase_add_test(c, test_children);
        tcase_add_test(c, test_kill);
        tcase_add_test(c, test_kill_below);
        tcase_add_test(c, test_in_steps);
        tcase_add_test(c, test_hare);
        tcase_add_test(c, test_orphans);
        suite_add_tcase(s, c);
        return check_run(s);
}
