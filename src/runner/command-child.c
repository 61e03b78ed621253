/* SPDX-License-Identifier: MIT */

/* Starting a command. Between fork and exec, other threads of a module may have held locks: the child calls nothing but
 * system calls, everything it needs was made before. What fails there comes back through a pipe. */

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "command-internal.h"

typedef enum ChildStep {
        STEP_EXEC,
        STEP_PREPARE,
        STEP_DIRECTORY,
        STEP_PRIVATE_TMP,
        STEP_NICE,
        STEP_OOM_SCORE,
        STEP_PRIVILEGES,
        STEP_LIMIT, /* plus RLIMIT_*: the last one */
} ChildStep;

typedef struct ChildFailure {
        int step, error;
} ChildFailure;

typedef struct Child {
        const TaskFile *task;
        const CommandSpec *spec;
        pid_t parent;
        /* Its standard input, its ends of the pipes, and one for a ChildFailure; all above COMMAND_REPORT_FD. */
        int input_fd, output_fd, error_fd, report_fd, failure_fd;
        char oom_score[16], uid_map[64], gid_map[64];
} Child;

static const char *const limit_names[] = {
        [RLIMIT_CPU] = "LimitCPU",         [RLIMIT_FSIZE] = "LimitFSIZE",
        [RLIMIT_DATA] = "LimitDATA",       [RLIMIT_STACK] = "LimitSTACK",
        [RLIMIT_CORE] = "LimitCORE",       [RLIMIT_AS] = "LimitAS",
        [RLIMIT_NOFILE] = "LimitNOFILE",   [RLIMIT_NPROC] = "LimitNPROC",
        [RLIMIT_MEMLOCK] = "LimitMEMLOCK",
};

/* --- in the child --------------------------------------------------------------------------------- */

_Noreturn static void child_fail(const Child *c, int step) {
        ChildFailure f = { step, errno };

        (void) !write(c->failure_fd, &f, sizeof(f));
        _exit(EXIT_FAILURE);
}

static bool write_file(const char *path, const char *text) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);

        safe_close(fd);
        return good;
}

/* Signals of a module or of ours are none of the command's; ignored ones would stay so. */
static void reset_signals(void) {
        struct sigaction action = { .sa_handler = SIG_DFL };
        sigset_t none;

        for (int i = 1; i < _NSIG; i++)
                (void) sigaction(i, &action, NULL);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

static void child_prepare(const Child *c) {
        /* If we crash or are killed, so is it. */
        if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                child_fail(c, STEP_PREPARE);
        if (getppid() != c->parent)
                _exit(EXIT_FAILURE);
        reset_signals();
        if (dup2(c->input_fd, STDIN_FILENO) < 0 || dup2(c->output_fd, STDOUT_FILENO) < 0 ||
            dup2(c->error_fd, STDERR_FILENO) < 0 ||
            close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0 ||
            dup2(c->report_fd, COMMAND_REPORT_FD) < 0)
                child_fail(c, STEP_PREPARE);
}

/* Empty, in memory, gone with the command. Who may not mount may do so in a user namespace of one user. */
static void child_private_tmp(const Child *c) {
        static const char *const places[] = { "/tmp", "/var/tmp" };

        if (unshare(CLONE_NEWNS) < 0) {
                if (errno != EPERM || unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
                    !write_file("/proc/self/setgroups", "deny") ||
                    !write_file("/proc/self/uid_map", c->uid_map) ||
                    !write_file("/proc/self/gid_map", c->gid_map))
                        child_fail(c, STEP_PRIVATE_TMP);
        }
        if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
                child_fail(c, STEP_PRIVATE_TMP);
        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                if (mount("tmpfs", places[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0 &&
                    errno != ENOENT)
                        child_fail(c, STEP_PRIVATE_TMP);
}

static void child_limit(const Child *c, size_t resource, uint64_t limit) {
        rlim_t n = limit == UINT64_MAX ? RLIM_INFINITY : (rlim_t) limit;

        if (setrlimit((__rlimit_resource_t) resource, &(struct rlimit){ n, n }) < 0)
                child_fail(c, STEP_LIMIT + (int) resource);
}

static void child_limits(const Child *c) {
        const TaskFile *t = c->task;

        for (size_t i = 0; i < ELEMENTSOF(t->limits); i++)
                if (t->limits[i] != TASK_LIMIT_UNSET)
                        child_limit(c, i, t->limits[i]);
        /* Each process at least; the sum of them is a matter of the control group. */
        if (t->memory_max != UINT64_MAX && t->limits[RLIMIT_DATA] == TASK_LIMIT_UNSET)
                child_limit(c, RLIMIT_DATA, t->memory_max);
}

_Noreturn static void child_run(const Child *c) {
        const TaskFile *t = c->task;

        child_prepare(c);
        if (t->private_tmp)
                child_private_tmp(c);
        if (t->working_directory && chdir(t->working_directory) < 0)
                child_fail(c, STEP_DIRECTORY);
        if (t->umask != TASK_INT_UNSET)
                (void) umask((mode_t) t->umask);
        if (t->nice != 0 && setpriority(PRIO_PROCESS, 0, t->nice) < 0)
                child_fail(c, STEP_NICE);
        if (c->oom_score[0] && !write_file("/proc/self/oom_score_adj", c->oom_score))
                child_fail(c, STEP_OOM_SCORE);
        if (t->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                child_fail(c, STEP_PRIVILEGES);
        child_limits(c);
        (void) execve(c->spec->argv[0], c->spec->argv, c->spec->environment);
        child_fail(c, STEP_EXEC);
}

/* --- in the parent -------------------------------------------------------------------------------- */

static int explain(const TaskFile *t, const ChildFailure *f, char **ret_error) {
        static const char *const keys[] = {
                [STEP_PRIVATE_TMP] = "PrivateTmp=",
                [STEP_NICE] = "Nice=",
                [STEP_OOM_SCORE] = "OOMScoreAdjust=",
                [STEP_PRIVILEGES] = "NoNewPrivileges=",
        };
        const char *text = strerror(f->error);

        switch (f->step) {
        case STEP_EXEC:
                return command_fail(ret_error, -f->error, "cannot execute %s (Exec=): %s",
                                    t->exec[0], text);
        case STEP_PREPARE:
                return command_fail(ret_error, -f->error, "cannot start a command: %s", text);
        case STEP_DIRECTORY:
                return command_fail(ret_error, -f->error, "WorkingDirectory=%s: %s",
                                    t->working_directory, text);
        default:
                if (f->step >= STEP_LIMIT)
                        return command_fail(ret_error, -f->error, "%s=: %s",
                                            limit_names[f->step - STEP_LIMIT], text);
                return command_fail(ret_error, -f->error, "%s: %s", keys[f->step], text);
        }
}

/* Waits for the exec, which closes the pipe, or for the report of a failure. */
static int await_exec(const TaskFile *t, int fd, pid_t pid, char **ret_error) {
        ChildFailure f;
        ssize_t n;

        do
                n = read(fd, &f, sizeof(f));
        while (n < 0 && errno == EINTR);
        if (n == 0)
                return 0;
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
        if (n != sizeof(f))
                return -EIO;
        return explain(t, &f, ret_error);
}

static void prepare_texts(Child *c) {
        if (c->task->oom_score_adjust != TASK_INT_UNSET)
                (void) snprintf(c->oom_score, sizeof(c->oom_score), "%d",
                                c->task->oom_score_adjust);
        (void) snprintf(c->uid_map, sizeof(c->uid_map), "%u %u 1", geteuid(), geteuid());
        (void) snprintf(c->gid_map, sizeof(c->gid_map), "%u %u 1", getegid(), getegid());
}

static int fork_child(Child *c, int failure_fd, CommandProcess *p, char **ret_error) {
        int r;

        c->parent = getpid();
        prepare_texts(c);
        p->pid = _Fork();
        if (p->pid < 0)
                return -errno;
        if (p->pid == 0)
                child_run(c);
        (void) setpgid(p->pid, p->pid); /* whoever comes first */
        c->failure_fd = safe_close(c->failure_fd);
        r = await_exec(c->task, failure_fd, p->pid, ret_error);
        if (r < 0)
                return r;
        p->pidfd = pidfd_open(p->pid, 0);
        if (p->pidfd < 0) {
                r = -errno;
                (void) kill(-p->pid, SIGKILL);
                (void) waitpid(p->pid, NULL, 0);
                return r;
        }
        return 0;
}

static int make_pipe(int *ret_read, int *ret_write, bool blocking) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        /* Ours only: the command's end is as it expects it. */
        if (!blocking && fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
                safe_close(fds[0]);
                safe_close(fds[1]);
                return -errno;
        }
        *ret_read = fds[0];
        *ret_write = fds[1];
        return 0;
}

/* The child puts something else in the places up to that one. They are free where a module has closed what was there. */
static int move_up(int *fd) {
        int above;

        if (*fd > COMMAND_REPORT_FD)
                return 0;
        above = fcntl(*fd, F_DUPFD_CLOEXEC, COMMAND_REPORT_FD + 1);
        if (above < 0)
                return -errno;
        safe_close(*fd);
        *fd = above;
        return 0;
}

int command_start(const TaskFile *t, const CommandSpec *spec, CommandProcess *ret,
                  char **ret_error) {
        CommandProcess p = COMMAND_PROCESS_NONE;
        Child c = { .task = t,
                    .spec = spec,
                    .input_fd = fcntl(spec->input_fd, F_DUPFD_CLOEXEC, COMMAND_REPORT_FD + 1),
                    .output_fd = -EBADF,
                    .error_fd = -EBADF,
                    .report_fd = -EBADF,
                    .failure_fd = -EBADF };
        int failure_fd = -EBADF, r;

        *ret_error = NULL;
        r = c.input_fd < 0 ? -errno : make_pipe(&p.output_fd, &c.output_fd, false);
        if (r >= 0)
                r = make_pipe(&p.error_fd, &c.error_fd, false);
        if (r >= 0)
                r = make_pipe(&p.report_fd, &c.report_fd, false);
        if (r >= 0)
                r = make_pipe(&failure_fd, &c.failure_fd, true);
        if (r >= 0)
                r = move_up(&c.output_fd);
        if (r >= 0)
                r = move_up(&c.error_fd);
        if (r >= 0)
                r = move_up(&c.report_fd);
        if (r >= 0)
                r = move_up(&c.failure_fd);
        if (r >= 0)
                r = fork_child(&c, failure_fd, &p, ret_error);
        safe_close(c.input_fd);
        safe_close(c.output_fd);
        safe_close(c.error_fd);
        safe_close(c.report_fd);
        safe_close(c.failure_fd);
        safe_close(failure_fd);
        if (r < 0) {
                safe_close(p.output_fd);
                safe_close(p.error_fd);
                safe_close(p.report_fd);
                return r;
        }
        *ret = p;
        return 0;
}
