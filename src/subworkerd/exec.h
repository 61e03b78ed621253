/* SPDX-License-Identifier: MIT */
#pragma once

/* Starting, killing and judging one runner process. What a task has started ends with it: it is in a control group of
 * its own, if there may be any; else it leads a process group, and takes in what would get away from that. */

#include <signal.h>
#include <sys/types.h>

#include "cgroup.h"
#include "job-user.h"
#include "limits.h"
#include "macro.h"
#include "usage.h"

typedef struct Process {
        pid_t pid; /* 0: none */
        int pidfd;
        CgroupLeaf *group; /* NULL: none */
        PidList kept;      /* what it had started before its first task */
        uint64_t memory_max;
        bool is_task_limit; /* that is what the running task's type says, not what all may have */
        bool is_rlimit;     /* of each process, not of all together */
        bool has_resources; /* a type's, that are to be taken back */
} Process;

typedef struct ProcessEnd {
        siginfo_t status;
        CgroupOom oom;
        uint64_t memory_max; /* that it had */
        bool is_task_limit, is_rlimit;
        Usage usage; /* in all its life */
} ProcessEnd;

#define PROCESS_NONE ((Process){ .pidfd = -EBADF })

typedef struct ProcessConfig {
        char *const *argv; /* argv[0] is the path */
        char *const *environment;
        int socket_fd; /* becomes descriptor 3 */
        int output_fd; /* becomes standard output and error; negative: our standard error does */
        const JobUser *user; /* NULL: ours */
        int wait_msec;       /* for that to have happened; 0: as long as we can afford */
        Cgroup *cgroup;      /* NULL: none */
        uint64_t memory_max; /* bytes, for it and what it starts as far as possible; 0: no limit */
} ProcessConfig;

/* Starts a program with standard input from /dev/null, the descriptors above and no others, and signals as at the
 * beginning. Returns 0 when it has become that program, -ETIMEDOUT when it has not in time, or another -errno; then
 * there is no process. */
int process_start(const ProcessConfig *config, Process *ret);

/* What the next task may take, as its type says, within `memory_max`, which every task may have at most (0: no limit). Where
 * there are no control groups, or not the controller, that cannot be held, and this does nothing. Returns 0 or -errno. */
int process_limit(Process *p, uint64_t memory_max, const TaskResources *resources);

/* Kills the process and all that it has started; until process_reap() the process stays as a zombie at worst, so that
 * the number cannot have become another one's. */
void process_kill(const Process *p);

/* Whatever it has started until now is part of it, not of a task. */
void process_keep_children(Process *p);
/* Kills what it has started since, and whatever that has. Costs little when there is nothing. Returns whether that is all;
 * else it has to be called again, so that no call takes long. */
bool process_end_children(const Process *p);

/* Kills what is left of the group, collects the exit status, and closes. Returns 0 with *ret, -EAGAIN when the
 * process has not ended yet, or another -errno (then it is given up). What was not in a control group and has not
 * ended has become a child of ours, if we have asked for that: see process_tree_end_orphans(). */
int process_reap(Process *p, ProcessEnd *ret);

/* Kills it and gives it up, waiting a moment for its end. */
void process_discard(Process *p);

/* "killed by signal SIGSEGV (segmentation fault)", "runner exited with status 3", "killed by the memory limit of 64M
 * (TaskMemoryMax=)"; with MemoryMax= if it is that of the task's type */
void process_describe(const ProcessEnd *end, char *ret, size_t size);

/* The environment for runners: ours without what is between the service manager and us. A fresh array. */
int exec_environment(char ***ret);
