/* SPDX-License-Identifier: MIT */
#pragma once

/* The control group (version 2) that the service manager has given us for our own use (Delegate=yes): the daemon
 * moves into a group "supervisor" in it, and each runner gets a group of its own, "runner-N", with all that it starts,
 * by whatever means. Nothing here logs. */

#include <sys/types.h>

#include "macro.h"
#include "process-tree.h"

typedef struct Cgroup Cgroup;
typedef struct CgroupLeaf CgroupLeaf;

typedef enum CgroupOom {
        CGROUP_OOM_NONE,
        CGROUP_OOM_LIMIT,  /* something was killed, as the group's own limit was reached */
        CGROUP_OOM_OUTSIDE /* something was killed, as memory was short further up */
} CgroupOom;

/* Finds our group and moves into the supervisor's. Returns 0, or -errno if the group is not ours to divide, which is
 * no error: *ret_reason is a static text then. */
int cgroup_new(Cgroup **ret, const char **ret_reason);
/* The same for a directory of which it is known that it is ours. Does not move. Public for tests. */
int cgroup_new_at(const char *path, Cgroup **ret);
Cgroup *cgroup_free(Cgroup *g);
DEFINE_CLEANUP_FUNC(Cgroup *, cgroup_free);

typedef enum CgroupController {
        CGROUP_MEMORY,
        CGROUP_PIDS,
        CGROUP_CPU,
        _CGROUP_CONTROLLER_MAX,
} CgroupController;

/* Whether groups of runners can have a limit on memory, on processes, or a weight. */
bool cgroup_has(const Cgroup *g, CgroupController controller);

/* A fresh group; `memory_max` in bytes, 0: no limit. The Cgroup outlives it. */
int cgroup_leaf_new(Cgroup *g, uint64_t memory_max, CgroupLeaf **ret);
/* The same for a group that is there already. Public for tests. */
int cgroup_leaf_new_at(const char *path, CgroupLeaf **ret);
/* Kills what is in it, and removes it as soon as that has ended. */
CgroupLeaf *cgroup_leaf_free(CgroupLeaf *l);

/* Other limits from now on; 0: none. Processes that are in the group already do not count for tasks_max, and memory_max is
 * never less than what is in use by now and a little more: else this would kill them. What there is no controller for is
 * passed over. Returns 0 or -errno. */
typedef struct CgroupLimits {
        uint64_t memory_max, tasks_max, cpu_weight;
} CgroupLimits;
int cgroup_leaf_limit(CgroupLeaf *l, const CgroupLimits *limits);

/* For the child, between fork() and exec(), while it is the daemon's user still: makes system calls only. */
int cgroup_leaf_enter(const CgroupLeaf *l);

/* Kills all that is in it. Returns 0 or -errno. */
int cgroup_leaf_kill(const CgroupLeaf *l);
/* The same but for those in `keep` (which may be NULL). -EAGAIN: they multiply faster than we kill. */
int cgroup_leaf_kill_but(const CgroupLeaf *l, const PidList *keep);
/* Adds the processes in it to a list. */
int cgroup_leaf_pids(const CgroupLeaf *l, PidList *pids);

/* Processor time of all that was in it so far. */
int cgroup_leaf_cpu(const CgroupLeaf *l, uint64_t *ret_usec);
/* Memory in use, and the most that ever was; -ENOENT without the memory controller, or an old kernel. */
int cgroup_leaf_memory(const CgroupLeaf *l, uint64_t *ret_bytes);
int cgroup_leaf_memory_peak(const CgroupLeaf *l, uint64_t *ret_bytes);
CgroupOom cgroup_leaf_oom(const CgroupLeaf *l);
