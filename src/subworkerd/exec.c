/* SPDX-License-Identifier: MIT */

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "exec.h"
#include "limits.h"
#include "parse-util.h"
#include "runner-wire.h"
#include "time-util.h"

#define DISCARD_WAIT_MSEC \
        1000 /* a process in an uninterruptible sleep may take longer; it is left to init */
#define START_WAIT_MSEC 10000 /* well below WatchdogSec= */
#define CHILD_REPORT_FD (RUNNER_FD + 1)

/* --- the environment ------------------------------------------------------------------------------ */

/* With these a task could speak to the service manager in our name, take our sockets, or read our keys;
 * or would take standard error for the journal, which it is not: we read it. */
static const char *const private_variables[] = {
        "NOTIFY_SOCKET",         "LISTEN_FDS",       "LISTEN_PID",
        "LISTEN_FDNAMES",        "WATCHDOG_USEC",    "WATCHDOG_PID",
        "CREDENTIALS_DIRECTORY", "SYSTEMD_EXEC_PID", "JOURNAL_STREAM",
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

/* --- the child, which may make system calls only -------------------------------------------------- */

/* sd-event needs signals blocked, and libzmq ignores some; a task gets none of that. */
static void reset_signals(void) {
        const struct sigaction action = { .sa_handler = SIG_DFL };
        sigset_t none;

        for (int n = 1; n < NSIG; n++)
                (void) sigaction(n, &action, NULL); /* some cannot be set, nor need to be */
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Out of the way of the numbers that the descriptors are to get. */
static int move_up(int fd) {
        return fcntl(fd, F_DUPFD_CLOEXEC, CHILD_REPORT_FD + 1);
}

static int set_descriptors(const ProcessConfig *c, int *report_fd) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC | O_NOCTTY);
        int fds[] = {
                move_up(null),
                move_up(c->output_fd >= 0 ? c->output_fd : STDERR_FILENO),
                -EBADF, /* the same as standard output */
                move_up(c->socket_fd),
                move_up(*report_fd),
        };

        /* Whatever goes wrong from here on is told over a number that nothing else gets. */
        if (fds[CHILD_REPORT_FD] >= 0)
                *report_fd = fds[CHILD_REPORT_FD];
        fds[STDERR_FILENO] = fds[STDOUT_FILENO];
        for (int i = 0; i < (int) ELEMENTSOF(fds); i++)
                if (fds[i] < 0 || dup3(fds[i], i, i == CHILD_REPORT_FD ? O_CLOEXEC : 0) < 0)
                        return -errno;
        *report_fd = CHILD_REPORT_FD;
        return close_range(CHILD_REPORT_FD + 1, ~0U, 0) < 0 ? -errno : 0;
}

/* Returns only on failure; the parent is told over the report descriptor. */
static int become_runner(const ProcessConfig *c, const CgroupLeaf *group, int *report_fd) {
        int r;

        if (setpgid(0, 0) < 0)
                return -errno;
        r = group ? cgroup_leaf_enter(group) : 0;
        if (r >= 0)
                r = process_tree_adopt();
        if (r >= 0)
                r = set_descriptors(c, report_fd);
        if (r < 0)
                return r;
        if (!group || !cgroup_has(c->cgroup, CGROUP_MEMORY)) {
                r = limits_memory_fallback(c->memory_max);
                if (r < 0)
                        return r;
        }
        r = c->user ? job_user_become(c->user) : job_user_drop_ambient();
        if (r < 0)
                return r;
        reset_signals();
        (void) execve(c->argv[0], c->argv, c->environment);
        return -errno;
}

/* Not inlined: that variables survive fork() and what runs after it is then plain to the compiler. */
static _Noreturn __attribute__((noinline)) void child(const ProcessConfig *c,
                                                      const CgroupLeaf *group, int report_fd) {
        int r = become_runner(c, group, &report_fd);

        (void) !write(report_fd, &r, sizeof(r));
        _exit(EXIT_FAILURE);
}

/* --- the process ---------------------------------------------------------------------------------- */

/* 0 when the child has become the program, else its error. It is not waited for without end: from the moment in which
 * the child is another user, tasks of that user can stop it. All signals are blocked. */
static int read_report(int fd, int wait_msec) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t n;
        int r;

        r = poll(&p, 1, wait_msec > 0 ? wait_msec : START_WAIT_MSEC);
        if (r <= 0)
                return r < 0 ? -errno : -ETIMEDOUT;
        n = read(fd, &r, sizeof(r));
        if (n == 0)
                return 0;
        return n == sizeof(r) && r < 0 ? r : -EIO;
}

static int spawn(const ProcessConfig *c, const CgroupLeaf *group, pid_t *ret) {
        _cleanup_close_ int report = -EBADF, report_child = -EBADF;
        sigset_t all, before;
        int fds[2], r;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        report = fds[0];
        report_child = fds[1];

        /* A handler of ours must not run in the child. */
        (void) sigfillset(&all);
        (void) sigprocmask(SIG_SETMASK, &all, &before);
        pid = fork();
        r = pid < 0 ? -errno : 0;
        if (pid == 0)
                child(c, group, report_child);
        if (pid > 0) {
                report_child = safe_close(report_child);
                r = read_report(report, c->wait_msec);
        }
        (void) sigprocmask(SIG_SETMASK, &before, NULL);
        if (pid < 0)
                return r;
        if (r < 0) {
                (void) kill(pid, SIGKILL);
                (void) waitpid(pid, NULL, 0);
                return r;
        }
        *ret = pid;
        return 0;
}

static void forget(Process *p) {
        safe_close(p->pidfd);
        cgroup_leaf_free(p->group);
        pid_list_done(&p->kept);
        *p = PROCESS_NONE;
}

int process_start(const ProcessConfig *config, Process *ret) {
        Process p = PROCESS_NONE;
        int r = 0;

        if (config->cgroup)
                r = cgroup_leaf_new(config->cgroup, config->memory_max, &p.group);
        if (r >= 0)
                r = spawn(config, p.group, &p.pid);
        if (r < 0) {
                cgroup_leaf_free(p.group);
                return r;
        }

        p.memory_max = config->memory_max;
        p.is_rlimit = !p.group || !cgroup_has(config->cgroup, CGROUP_MEMORY);
        p.pidfd = pidfd_open(p.pid, 0); /* close-on-exec by itself */
        if (p.pidfd < 0) {
                r = -errno;
                process_kill(&p);
                (void) waitpid(p.pid, NULL, 0);
                forget(&p);
                return r;
        }
        *ret = p;
        return 0;
}

int process_limit(Process *p, uint64_t memory_max, const TaskResources *resources) {
        CgroupLimits limits = {
                .memory_max = memory_max,
                .tasks_max = resources->tasks_max,
                .cpu_weight = resources->cpu_weight,
        };
        bool is_set = task_resources_are_set(resources);

        if (!p->group || (!is_set && !p->has_resources))
                return 0;
        p->has_resources = is_set;
        p->is_task_limit = resources->memory_max > 0 &&
                           (memory_max == 0 || resources->memory_max < memory_max);
        if (p->is_task_limit)
                limits.memory_max = resources->memory_max;
        if (!p->is_rlimit)
                p->memory_max = limits.memory_max;
        return cgroup_leaf_limit(p->group, &limits);
}

/* The group knows all that is in it; but that it kills the kernel may not be able to, before 5.14. */
void process_kill(const Process *p) {
        if (p->pid <= 0)
                return;
        if (!p->group || cgroup_leaf_kill(p->group) < 0)
                (void) process_tree_kill(p->pid, PROCESS_TREE_USEC);
        (void) kill(-p->pid, SIGKILL);
        (void) kill(p->pid, SIGKILL); /* it may have left its group */
}

/* And itself. Without memory for the list, nothing is ended before the process is. */
void process_keep_children(Process *p) {
        int r;

        if (p->pid <= 0)
                return;
        p->kept.n = p->kept.n_sorted = 0;
        r = p->group ? cgroup_leaf_pids(p->group, &p->kept)
                     : process_tree_children(p->pid, &p->kept);
        if (r >= 0)
                r = pid_list_add(&p->kept, p->pid);
        pid_list_sort(&p->kept);
        if (r < 0)
                pid_list_done(&p->kept);
}

/* In a group, nothing else can have got a number: a runner that collected it would have to do so between two system
 * calls of ours. */
static bool has_others(const Process *p) {
        PidList l = {};
        bool found = false;

        if (p->group)
                (void) cgroup_leaf_pids(p->group, &l);
        else
                (void) process_tree_children(p->pid, &l);
        for (size_t i = 0; i < l.n && !found; i++)
                found = !pid_list_has(&p->kept, l.pids[i]);
        pid_list_done(&l);
        return found;
}

bool process_end_children(const Process *p) {
        if (p->pid <= 0 || p->kept.n == 0 || !has_others(p))
                return true;
        if (!p->group)
                return process_tree_kill_below(p->pid, &p->kept, PROCESS_TREE_USEC);
        if (cgroup_leaf_kill_but(p->group, &p->kept) < 0)
                process_kill(p);
        return true;
}

/* waitid() as the kernel has it, with what was used. */
static int collect(pid_t pid, siginfo_t *ret, struct rusage *ret_usage) {
        return syscall(SYS_waitid, P_PID, pid, ret, WEXITED, ret_usage) < 0 ? -errno : 0;
}

static uint64_t timeval_usec(const struct timeval *t) {
        return (uint64_t) t->tv_sec * USEC_PER_SEC + (uint64_t) t->tv_usec;
}

int process_reap(Process *p, ProcessEnd *ret) {
        ProcessEnd end = {
                .memory_max = p->memory_max,
                .is_task_limit = p->is_task_limit,
                .is_rlimit = p->is_rlimit,
        };
        struct rusage usage = {};
        int r = 0;

        if (p->pid <= 0)
                return -ESRCH;
        if (waitid(P_PID, (id_t) p->pid, &end.status, WEXITED | WNOHANG | WNOWAIT) < 0)
                r = -errno;
        else if (end.status.si_pid == 0)
                return -EAGAIN;
        else {
                (void) kill(-p->pid, SIGKILL);
                if (p->group) {
                        (void) cgroup_leaf_kill(p->group);
                        end.oom = cgroup_leaf_oom(p->group);
                        usage_read(p->pid, p->group, &end.usage);
                }
                r = collect(p->pid, &end.status, &usage);
                if (end.usage.cpu_usec == 0)
                        end.usage.cpu_usec =
                                timeval_usec(&usage.ru_utime) + timeval_usec(&usage.ru_stime);
                if (end.usage.memory_bytes == 0)
                        end.usage.memory_bytes = (uint64_t) usage.ru_maxrss * 1024;
                *ret = end;
        }
        forget(p);
        return r;
}

void process_discard(Process *p) {
        struct pollfd ended = { .fd = p->pidfd, .events = POLLIN };

        if (p->pid <= 0)
                return;
        process_kill(p);
        (void) poll(&ended, 1, DISCARD_WAIT_MSEC);
        (void) waitpid(p->pid, NULL, WNOHANG);
        forget(p);
}

static void describe_oom(const ProcessEnd *end, char *ret, size_t size) {
        char limit[32];

        if (end->oom != CGROUP_OOM_LIMIT || end->memory_max == 0) {
                (void) snprintf(ret, size,
                                "killed because the machine or the service ran out of memory");
                return;
        }
        limits_format_bytes(end->memory_max, limit, sizeof(limit));
        (void) snprintf(ret, size, "killed by the memory limit of %s (%s=)", limit,
                        end->is_task_limit ? "MemoryMax" : "TaskMemoryMax");
}

/* Where an allocation fails rather than that the kernel kills, programs end by these, and nobody can tell why. */
static void describe_rlimit(const ProcessEnd *end, char *ret, size_t size) {
        int sig = end->status.si_status;
        char limit[32];

        ret[0] = '\0';
        if (!end->is_rlimit || end->memory_max == 0 ||
            (sig != SIGSEGV && sig != SIGABRT && sig != SIGBUS))
                return;
        limits_format_bytes(end->memory_max, limit, sizeof(limit));
        (void) snprintf(ret, size, "; its memory was limited to %s (TaskMemoryMax=)", limit);
}

void process_describe(const ProcessEnd *end, char *ret, size_t size) {
        const siginfo_t *status = &end->status;
        const char *name, *description;
        char more[96];

        if (end->oom != CGROUP_OOM_NONE) {
                describe_oom(end, ret, size);
                return;
        }
        if (status->si_code == CLD_EXITED) {
                (void) snprintf(ret, size, "runner exited with status %d", status->si_status);
                return;
        }
        describe_rlimit(end, more, sizeof(more));
        name = sigabbrev_np(status->si_status);
        description = sigdescr_np(status->si_status);
        if (!name || !description) {
                (void) snprintf(ret, size, "killed by signal %d%s", status->si_status, more);
                return;
        }
        (void) snprintf(ret, size, "killed by signal SIG%s (%c%s)%s", name,
                        tolower((unsigned char) description[0]), description + 1, more);
}
