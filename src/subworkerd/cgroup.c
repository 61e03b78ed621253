/* SPDX-License-Identifier: MIT */

#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "cgroup.h"
#include "parse-util.h"

#define KILL_PASSES_MAX 256U
#define EMPTY_PASSES    2U /* that find nothing new: then there is nothing */
#define SUPERVISOR      "supervisor"
#define MEMORY_ROOM \
        (UINT64_C(4) << 20) /* above what is in use, for the kernel's own account of it */
#define WEIGHT_DEFAULT UINT64_C(100)

static const char *const controller_names[_CGROUP_CONTROLLER_MAX] = {
        [CGROUP_MEMORY] = "memory",
        [CGROUP_PIDS] = "pids",
        [CGROUP_CPU] = "cpu",
};

struct Cgroup {
        char *path;
        bool has[_CGROUP_CONTROLLER_MAX];
        bool is_enabled[_CGROUP_CONTROLLER_MAX]; /* for the groups of runners */
        uint64_t n_leaves;                       /* ever made */
        char **stale;                            /* names of groups that could not be removed yet */
};

struct CgroupLeaf {
        Cgroup *group; /* NULL in tests */
        char name[32];
        bool is_limited[_CGROUP_CONTROLLER_MAX];
        int fd;       /* of the directory */
        int procs_fd; /* its cgroup.procs, for writing */
};

/* --- files ---------------------------------------------------------------------------------------- */

static int write_at(int directory_fd, const char *name, const char *text) {
        _cleanup_close_ int fd = openat(directory_fd, name, O_WRONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                return -errno;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int read_at(int directory_fd, const char *name, char *ret, size_t size) {
        _cleanup_close_ int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, ret, size - 1);
        if (n < 0)
                return -errno;
        ret[n] = '\0';
        return 0;
}

/* The number behind a key at the beginning of a line of the file. */
static int read_key(int directory_fd, const char *name, const char *key, uint64_t *ret) {
        size_t n = strlen(key);
        char text[4096];
        int r;

        r = read_at(directory_fd, name, text, sizeof(text));
        if (r < 0)
                return r;
        for (const char *line = text; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (strncmp(line, key, n) == 0 && line[n] == ' ')
                        return sscanf(line + n, " %" SCNu64, ret) == 1 ? 0 : -EBADMSG;
        }
        return -ENOENT;
}

static int read_number(int directory_fd, const char *name, uint64_t *ret) {
        char text[64];
        int r;

        r = read_at(directory_fd, name, text, sizeof(text));
        if (r < 0)
                return r;
        return sscanf(text, "%" SCNu64, ret) == 1 ? 0 : -EBADMSG;
}

static int read_pids(int directory_fd, PidList *pids) {
        int fd = openat(directory_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOCTTY), pid, r = 0;
        FILE *f;

        if (fd < 0)
                return -errno;
        f = fdopen(fd, "re");
        if (!f) {
                safe_close(fd);
                return -ENOMEM;
        }
        while (r >= 0 && fscanf(f, "%d", &pid) == 1)
                r = pid_list_add(pids, (pid_t) pid);
        (void) fclose(f);
        return r;
}

/* --- ours ----------------------------------------------------------------------------------------- */

/* Where our group is, as we see the file system; or -ENOENT. */
static int find_path(char **ret) {
        char line[4096] = "", *group = NULL;
        struct mntent *m = NULL;
        FILE *f;

        f = fopen("/proc/self/cgroup", "re");
        if (!f)
                return -errno;
        while (!group && fgets(line, sizeof(line), f))
                if (strncmp(line, "0::/", 4) == 0)
                        group = line + 3;
        (void) fclose(f);
        if (!group)
                return -ENOENT;
        group[strcspn(group, "\n")] = '\0';
        /* Outside of what our namespace shows. */
        if (strncmp(group, "/..", 3) == 0)
                return -ENOENT;

        f = setmntent("/proc/self/mounts", "re");
        if (!f)
                return -errno;
        while ((m = getmntent(f)) && strcmp(m->mnt_type, "cgroup2") != 0)
                ;
        if (m && asprintf(ret, "%s%s", m->mnt_dir, strcmp(group, "/") == 0 ? "" : group) < 0) {
                (void) endmntent(f);
                return -ENOMEM;
        }
        (void) endmntent(f);
        return m ? 0 : -ENOENT;
}

/* The service manager marks what it delegates. A group that root did not get that way can be written to as well. */
static bool is_delegated(const char *path) {
        char value[8];

        if (geteuid() != 0 || !getenv("INVOCATION_ID"))
                return true;
        return getxattr(path, "trusted.delegate", value, sizeof(value)) > 0 ||
               getxattr(path, "user.delegate", value, sizeof(value)) > 0;
}

static bool is_alone(int fd) {
        PidList pids = {};
        bool alone;

        alone = read_pids(fd, &pids) >= 0 && pids.n == 1 && pids.pids[0] == getpid();
        pid_list_done(&pids);
        return alone;
}

/* Only the root of all groups has no such file. */
static bool is_root(int fd) {
        return faccessat(fd, "cgroup.events", F_OK, 0) < 0;
}

static int move_self(int fd) {
        _cleanup_close_ int supervisor = -EBADF;

        if (mkdirat(fd, SUPERVISOR, 0755) < 0 && errno != EEXIST)
                return -errno;
        supervisor = openat(fd, SUPERVISOR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (supervisor < 0)
                return -errno;
        return write_at(supervisor, "cgroup.procs", "0");
}

/* The controller may not be there, or be with version 1. Only that its files appear in a group shows that it works. */
static int try_group(Cgroup *g) {
        uint64_t bytes;
        CgroupLeaf *l;
        int r;

        r = cgroup_leaf_new(g, 0, &l);
        if (r < 0)
                return r;
        g->has[CGROUP_MEMORY] = read_number(l->fd, "memory.current", &bytes) >= 0 &&
                                faccessat(l->fd, "memory.max", W_OK, AT_EACCESS) >= 0;
        cgroup_leaf_free(l);
        return 0;
}

static int enable(Cgroup *g, CgroupController c, int fd) {
        char text[16];
        int r;

        if (g->is_enabled[c])
                return 0;
        (void) snprintf(text, sizeof(text), "+%s", controller_names[c]);
        r = write_at(fd, "cgroup.subtree_control", text);
        g->is_enabled[c] = r >= 0;
        return r;
}

/* Words on one line. */
static bool has_word(const char *text, const char *word) {
        size_t n = strlen(word);

        for (const char *p = text; (p = strstr(p, word)); p += n)
                if ((p == text || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\n' || p[n] == '\0'))
                        return true;
        return false;
}

/* Memory is counted for every task. The others cost something, if little: only when a task wants them. */
static void find_controllers(Cgroup *g, int fd) {
        char text[1024];

        (void) enable(g, CGROUP_MEMORY, fd);
        if (read_at(fd, "cgroup.controllers", text, sizeof(text)) < 0)
                return;
        g->has[CGROUP_PIDS] = has_word(text, controller_names[CGROUP_PIDS]);
        g->has[CGROUP_CPU] = has_word(text, controller_names[CGROUP_CPU]);
}

int cgroup_new_at(const char *path, Cgroup **ret) {
        _cleanup_(cgroup_freep) Cgroup *g = calloc(1, sizeof(*g));
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (!g)
                return -ENOMEM;
        if (fd < 0)
                return -errno;
        g->path = strdup(path);
        if (!g->path)
                return -ENOMEM;

        find_controllers(g, fd);
        r = try_group(g);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(g);
        return 0;
}

int cgroup_new(Cgroup **ret, const char **ret_reason) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        *ret_reason = "there is no control group of version 2";
        r = find_path(&path);
        if (r < 0)
                return r;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret_reason = "the control group is not delegated to the daemon (Delegate=yes)";
        if (is_root(fd) || !is_delegated(path))
                return -EPERM;
        *ret_reason = "the control group has other processes in it";
        if (!is_alone(fd))
                return -EBUSY;
        *ret_reason = "the control group cannot be written to";
        r = move_self(fd);
        if (r < 0)
                return r;
        return cgroup_new_at(path, ret);
}

bool cgroup_has(const Cgroup *g, CgroupController controller) {
        return g && g->has[controller];
}

/* --- a runner's ----------------------------------------------------------------------------------- */

static bool remove_group(const Cgroup *g, const char *name) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/%s", g->path, name) < 0) {
                path = NULL;
                return false;
        }
        return rmdir(path) >= 0 || errno == ENOENT;
}

/* Processes that were killed take a moment to leave their group. */
static void remove_stale(Cgroup *g) {
        char **to = g->stale;

        STRV_FOREACH(name, g->stale) {
                if (remove_group(g, *name))
                        free(*name);
                else
                        *to++ = *name;
        }
        if (to)
                *to = NULL;
}

Cgroup *cgroup_free(Cgroup *g) {
        if (!g)
                return NULL;
        remove_stale(g);
        strv_free(g->stale);
        free(g->path);
        free(g);
        return NULL;
}

static int open_directory(CgroupLeaf *l, const char *path) {
        l->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (l->fd < 0)
                return -errno;
        l->procs_fd = openat(l->fd, "cgroup.procs", O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return l->procs_fd < 0 ? -errno : 0;
}

static int write_number(const CgroupLeaf *l, const char *name, uint64_t n) {
        char text[32];

        (void) snprintf(text, sizeof(text), "%" PRIu64, n);
        return write_at(l->fd, name, n > 0 ? text : "max");
}

static int limit_memory(CgroupLeaf *l, uint64_t max) {
        uint64_t used = 0;
        int r;

        if (max > 0 && read_key(l->fd, "memory.stat", "anon", &used) >= 0)
                max = MAX(max, used + MEMORY_ROOM);
        r = write_number(l, "memory.max", max);
        /* Else the limit would only be met when swap is full. */
        if (r >= 0)
                (void) write_at(l->fd, "memory.swap.max", max > 0 ? "0" : "max");
        return r;
}

static int limit_tasks(CgroupLeaf *l, uint64_t max) {
        uint64_t n = 0;

        if (max > 0)
                (void) read_number(l->fd, "pids.current", &n);
        return write_number(l, "pids.max", max > 0 ? max + n : 0);
}

static int open_leaf(CgroupLeaf *l, uint64_t memory_max) {
        _cleanup_free_ char *path = NULL;
        int r;

        if (asprintf(&path, "%s/%s", l->group->path, l->name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (mkdir(path, 0755) < 0)
                return -errno;
        r = open_directory(l, path);
        if (r < 0 || !cgroup_has(l->group, CGROUP_MEMORY))
                return r;
        /* What has lost a part cannot be trusted to go on. */
        (void) write_at(l->fd, "memory.oom.group", "1");
        l->is_limited[CGROUP_MEMORY] = memory_max > 0;
        return memory_max > 0 ? limit_memory(l, memory_max) : 0;
}

int cgroup_leaf_new(Cgroup *g, uint64_t memory_max, CgroupLeaf **ret) {
        CgroupLeaf *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        remove_stale(g);
        l->group = g;
        l->fd = l->procs_fd = -EBADF;
        do {
                (void) snprintf(l->name, sizeof(l->name), "runner-%" PRIu64, ++g->n_leaves);
                r = open_leaf(l, memory_max);
        } while (r == -EEXIST); /* left by a daemon that was here before */
        if (r < 0) {
                cgroup_leaf_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

int cgroup_leaf_new_at(const char *path, CgroupLeaf **ret) {
        CgroupLeaf *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->fd = l->procs_fd = -EBADF;
        r = open_directory(l, path);
        if (r < 0) {
                cgroup_leaf_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

/* Files of a controller are there when that is enabled for all of the groups; so they are in tests. */
static int prepare(CgroupLeaf *l, CgroupController c) {
        _cleanup_close_ int fd = -EBADF;

        if (!l->group)
                return 0;
        if (!cgroup_has(l->group, c))
                return -EOPNOTSUPP;
        fd = open(l->group->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : enable(l->group, c, fd);
}

/* What no task has asked for stays as it is. */
static int limit(CgroupLeaf *l, CgroupController c, uint64_t value) {
        int r;

        if (value == 0 && !l->is_limited[c])
                return 0;
        r = prepare(l, c);
        if (r < 0)
                return r == -EOPNOTSUPP ? 0 : r;
        switch (c) {
        case CGROUP_MEMORY:
                r = limit_memory(l, value);
                break;
        case CGROUP_PIDS:
                r = limit_tasks(l, value);
                break;
        default:
                r = write_number(l, "cpu.weight", value > 0 ? value : WEIGHT_DEFAULT);
                break;
        }
        l->is_limited[c] = r < 0 || value > 0;
        return r;
}

int cgroup_leaf_limit(CgroupLeaf *l, const CgroupLimits *limits) {
        int r;

        r = limit(l, CGROUP_MEMORY, limits->memory_max);
        if (r >= 0)
                r = limit(l, CGROUP_PIDS, limits->tasks_max);
        if (r >= 0)
                r = limit(l, CGROUP_CPU, limits->cpu_weight);
        return r;
}

CgroupLeaf *cgroup_leaf_free(CgroupLeaf *l) {
        if (!l)
                return NULL;
        if (l->fd >= 0)
                (void) cgroup_leaf_kill(l);
        safe_close(l->procs_fd);
        safe_close(l->fd);
        if (l->group && !remove_group(l->group, l->name))
                (void) strv_extend(&l->group->stale, l->name);
        free(l);
        return NULL;
}

int cgroup_leaf_enter(const CgroupLeaf *l) {
        return write(l->procs_fd, "0", 1) < 0 ? -errno : 0;
}

/* One that was signalled may be listed until it has ended; it starts nothing any more. Returns how many are new. */
static int kill_new(const CgroupLeaf *l, const PidList *keep, PidList *killed) {
        PidList pids = {};
        int n = 0, r;

        r = read_pids(l->fd, &pids);
        pid_list_sort(killed);
        for (size_t i = 0; i < pids.n && r >= 0; i++) {
                if (pid_list_has(keep, pids.pids[i]) || pid_list_has(killed, pids.pids[i]))
                        continue;
                (void) kill(pids.pids[i], SIGKILL);
                r = pid_list_add(killed, pids.pids[i]);
                n++;
        }
        pid_list_done(&pids);
        return r < 0 ? r : n;
}

int cgroup_leaf_kill_but(const CgroupLeaf *l, const PidList *keep) {
        PidList killed = {};
        unsigned empty = 0;
        int r = 0;

        for (unsigned pass = 0; pass < KILL_PASSES_MAX && empty < EMPTY_PASSES && r >= 0; pass++) {
                r = kill_new(l, keep, &killed);
                empty = r > 0 ? 0 : empty + 1;
        }
        pid_list_done(&killed);
        if (r < 0)
                return r;
        return empty < EMPTY_PASSES ? -EAGAIN : 0;
}

/* Of kernels before 5.14. What is frozen cannot start others; it dies all the same. */
static int kill_each(const CgroupLeaf *l) {
        int r;

        (void) write_at(l->fd, "cgroup.freeze", "1");
        r = cgroup_leaf_kill_but(l, NULL);
        (void) write_at(l->fd, "cgroup.freeze", "0");
        return r;
}

int cgroup_leaf_kill(const CgroupLeaf *l) {
        int r = write_at(l->fd, "cgroup.kill", "1");

        return r == -ENOENT ? kill_each(l) : r;
}

int cgroup_leaf_pids(const CgroupLeaf *l, PidList *pids) {
        return read_pids(l->fd, pids);
}

int cgroup_leaf_cpu(const CgroupLeaf *l, uint64_t *ret_usec) {
        return read_key(l->fd, "cpu.stat", "usage_usec", ret_usec);
}

int cgroup_leaf_memory(const CgroupLeaf *l, uint64_t *ret_bytes) {
        return read_number(l->fd, "memory.current", ret_bytes);
}

int cgroup_leaf_memory_peak(const CgroupLeaf *l, uint64_t *ret_bytes) {
        return read_number(l->fd, "memory.peak", ret_bytes);
}

CgroupOom cgroup_leaf_oom(const CgroupLeaf *l) {
        uint64_t n;

        if (read_key(l->fd, "memory.events", "oom_kill", &n) < 0 || n == 0)
                return CGROUP_OOM_NONE;
        return read_key(l->fd, "memory.events", "oom", &n) >= 0 && n > 0 ? CGROUP_OOM_LIMIT
                                                                         : CGROUP_OOM_OUTSIDE;
}
