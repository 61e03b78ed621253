/* SPDX-License-Identifier: MIT */
#pragma once

/* Starting, killing and judging one runner process. It leads a process group of its own, so that what a task
 * has started ends with it. */

#include <signal.h>
#include <sys/types.h>

#include "job-user.h"
#include "macro.h"

typedef struct Process {
        pid_t pid; /* 0: none */
        int pidfd;
} Process;

#define PROCESS_NONE ((Process){ .pidfd = -EBADF })

typedef struct ProcessConfig {
        char *const *argv; /* argv[0] is the path */
        char *const *environment;
        int socket_fd; /* becomes descriptor 3 */
        int output_fd; /* becomes standard output and error; negative: our standard error does */
        const JobUser *user; /* NULL: ours */
        int wait_msec;       /* for that to have happened; 0: as long as we can afford */
} ProcessConfig;

/* Starts a program with standard input from /dev/null, the descriptors above and no others, and signals as at the
 * beginning. Returns 0 when it has become that program, -ETIMEDOUT when it has not in time, or another -errno; then
 * there is no process. */
int process_start(const ProcessConfig *config, Process *ret);

/* Kills the process and its group; until process_reap() the process stays as a zombie at worst, so that the
 * number cannot have become another one's. */
void process_kill(const Process *p);

/* Kills what is left of the group, collects the exit status, and closes. Returns 0 with *ret_status, -EAGAIN
 * when the process has not ended yet, or another -errno (then it is given up). */
int process_reap(Process *p, siginfo_t *ret_status);

/* Kills it and gives it up, waiting a moment for its end. */
void process_discard(Process *p);

/* "killed by signal SIGSEGV (segmentation fault)", "runner exited with status 3" */
void process_describe(const siginfo_t *status, char *ret, size_t size);

/* The environment for runners: ours without what is between the service manager and us. A fresh array. */
int exec_environment(char ***ret);

/* Adds "NAME=value", in place of an assignment to the name that is there. */
int exec_environment_set(char ***environment, const char *assignment);
