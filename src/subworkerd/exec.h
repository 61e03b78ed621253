/* SPDX-License-Identifier: MIT */
#pragma once

/* Starting, killing and judging one runner process. It leads a process group of its own, so that what a task
 * has started ends with it. */

#include <signal.h>
#include <sys/types.h>

#include "macro.h"

typedef struct Process {
        pid_t pid; /* 0: none */
        int pidfd;
} Process;

#define PROCESS_NONE ((Process){ .pidfd = -EBADF })

/* Starts `argv` (argv[0] is the path) with `environment`, standard input from /dev/null, standard output
 * and error to our standard error, `socket_fd` as descriptor 3, and no other descriptors. Returns 0, or
 * -errno when the program cannot be started. */
int process_start(char *const *argv, char *const *environment, int socket_fd, Process *ret);

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
