/* SPDX-License-Identifier: MIT */

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "exec.h"
#include "parse-util.h"
#include "runner-wire.h"

#define DISCARD_WAIT_MSEC \
        1000 /* a process in an uninterruptible sleep may take longer; it is left to init */

/* --- the environment ------------------------------------------------------------------------------ */

/* With these a task could speak to the service manager in our name, take our sockets, or read our keys.
 * JOURNAL_STREAM stays: it says what standard error is, and that is the same for a runner as for us. */
static const char *const private_variables[] = {
        "NOTIFY_SOCKET",         "LISTEN_FDS",       "LISTEN_PID",
        "LISTEN_FDNAMES",        "WATCHDOG_USEC",    "WATCHDOG_PID",
        "CREDENTIALS_DIRECTORY", "SYSTEMD_EXEC_PID",
};

static bool is_private(const char *assignment) {
        for (size_t i = 0; i < ELEMENTSOF(private_variables); i++) {
                size_t n = strlen(private_variables[i]);

                if (strncmp(assignment, private_variables[i], n) == 0 && assignment[n] == '=')
                        return true;
        }
        return false;
}

int exec_environment(char ***ret) {
        _cleanup_strv_ char **l = NULL;
        int r;

        /* An empty environment is a list as well. */
        l = calloc(1, sizeof(char *));
        if (!l)
                return -ENOMEM;
        STRV_FOREACH(assignment, environ) {
                if (is_private(*assignment))
                        continue;
                r = strv_extend(&l, *assignment);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(l);
        return 0;
}

int exec_environment_set(char ***environment, const char *assignment) {
        size_t n = strcspn(assignment, "=") + 1;
        char *copy;

        STRV_FOREACH(other, *environment) {
                if (strncmp(*other, assignment, n) != 0)
                        continue;
                copy = strdup(assignment);
                if (!copy)
                        return -ENOMEM;
                free(*other);
                *other = copy;
                return 0;
        }
        return strv_extend(environment, assignment);
}

/* --- the process ---------------------------------------------------------------------------------- */

/* What the child's descriptors become, in this order. */
static int set_descriptors(posix_spawn_file_actions_t *actions, int socket_fd) {
        int e;

        e = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (e == 0)
                e = posix_spawn_file_actions_adddup2(actions, STDERR_FILENO, STDOUT_FILENO);
        if (e == 0)
                e = posix_spawn_file_actions_adddup2(actions, socket_fd, RUNNER_FD);
        if (e == 0)
                e = posix_spawn_file_actions_addclosefrom_np(actions, RUNNER_FD + 1);
        return -e;
}

/* sd-event needs signals blocked, and libzmq ignores some; a task gets none of that. */
static int set_attributes(posix_spawnattr_t *attributes) {
        sigset_t none, all;
        int e;

        (void) sigemptyset(&none);
        (void) sigfillset(&all);
        (void) sigdelset(&all, SIGKILL);
        (void) sigdelset(&all, SIGSTOP);
        e = posix_spawnattr_setpgroup(attributes, 0);
        if (e == 0)
                e = posix_spawnattr_setsigmask(attributes, &none);
        if (e == 0)
                e = posix_spawnattr_setsigdefault(attributes, &all);
        if (e == 0)
                e = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
                                                                 POSIX_SPAWN_SETSIGMASK |
                                                                 POSIX_SPAWN_SETSIGDEF);
        return -e;
}

static int spawn(char *const *argv, char *const *environment, int socket_fd, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        int r;

        r = -posix_spawn_file_actions_init(&actions);
        if (r < 0)
                return r;
        r = -posix_spawnattr_init(&attributes);
        if (r >= 0) {
                r = set_descriptors(&actions, socket_fd);
                if (r >= 0)
                        r = set_attributes(&attributes);
                if (r >= 0)
                        r = -posix_spawn(ret, argv[0], &actions, &attributes, argv, environment);
                (void) posix_spawnattr_destroy(&attributes);
        }
        (void) posix_spawn_file_actions_destroy(&actions);
        return r;
}

int process_start(char *const *argv, char *const *environment, int socket_fd, Process *ret) {
        Process p = PROCESS_NONE;
        int r;

        r = spawn(argv, environment, socket_fd, &p.pid);
        if (r < 0)
                return r;

        p.pidfd = pidfd_open(p.pid, 0); /* close-on-exec by itself */
        if (p.pidfd < 0) {
                r = -errno;
                process_kill(&p);
                (void) waitpid(p.pid, NULL, 0);
                return r;
        }
        *ret = p;
        return 0;
}

void process_kill(const Process *p) {
        if (p->pid <= 0)
                return;
        (void) kill(-p->pid, SIGKILL);
        (void) kill(p->pid, SIGKILL); /* it may have left its group */
}

int process_reap(Process *p, siginfo_t *ret_status) {
        siginfo_t status = {};
        int r = 0;

        if (p->pid <= 0)
                return -ESRCH;
        if (waitid(P_PID, (id_t) p->pid, &status, WEXITED | WNOHANG | WNOWAIT) < 0)
                r = -errno;
        else if (status.si_pid == 0)
                return -EAGAIN;
        else {
                (void) kill(-p->pid, SIGKILL);
                (void) waitid(P_PID, (id_t) p->pid, &status, WEXITED);
                *ret_status = status;
        }

        safe_close(p->pidfd);
        *p = PROCESS_NONE;
        return r;
}

void process_discard(Process *p) {
        struct pollfd ended = { .fd = p->pidfd, .events = POLLIN };

        if (p->pid <= 0)
                return;
        process_kill(p);
        (void) poll(&ended, 1, DISCARD_WAIT_MSEC);
        (void) waitpid(p->pid, NULL, WNOHANG);
        safe_close(p->pidfd);
        *p = PROCESS_NONE;
}

void process_describe(const siginfo_t *status, char *ret, size_t size) {
        const char *name, *description;

        if (status->si_code == CLD_EXITED) {
                (void) snprintf(ret, size, "runner exited with status %d", status->si_status);
                return;
        }
        name = sigabbrev_np(status->si_status);
        description = sigdescr_np(status->si_status);
        if (!name || !description) {
                (void) snprintf(ret, size, "killed by signal %d", status->si_status);
                return;
        }
        (void) snprintf(ret, size, "killed by signal SIG%s (%c%s)", name,
                        tolower((unsigned char) description[0]), description + 1);
}
