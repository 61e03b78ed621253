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
#define SUPERVISOR      "supervisor"

struct Cgroup {
        char *path;
        bool has_memory;
        uint64_t n_leaves; /* ever made */
        char **stale;      /* names of groups that could not be removed yet */
};

struct CgroupLeaf {
        Cgroup *group;
        char name[32];
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
        g->has_memory = read_number(l->fd, "memory.current", &bytes) >= 0 &&
                        faccessat(l->fd, "memory.max", W_OK, AT_EACCESS) >= 0;
        cgroup_leaf_free(l);
        return 0;
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

        (void) write_at(fd, "cgroup.subtree_control", "+memory");
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

Cgroup *cgroup_free(Cgroup *g) {
        if (!g)
                return NULL;
        strv_free(g->stale);
        free(g->path);
        free(g);
        return NULL;
}

bool cgroup_has_memory(const Cgroup *g) {
        return g->has_memory;
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

static int open_leaf(CgroupLeaf *l, uint64_t memory_max) {
        _cleanup_free_ char *path = NULL;
        char text[32];
        int r = 0;

        if (asprintf(&path, "%s/%s", l->group->path, l->name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (mkdir(path, 0755) < 0)
                return -errno;
        l->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (l->fd < 0)
                return -errno;
        l->procs_fd = openat(l->fd, "cgroup.procs", O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (l->procs_fd < 0)
                return -errno;

        /* What has lost a part cannot be trusted to go on. */
        if (l->group->has_memory)
                (void) write_at(l->fd, "memory.oom.group", "1");
        if (l->group->has_memory && memory_max > 0) {
                (void) snprintf(text, sizeof(text), "%" PRIu64, memory_max);
                r = write_at(l->fd, "memory.max", text);
                /* Else the limit would only be met when swap is full. */
                if (r >= 0)
                        (void) write_at(l->fd, "memory.swap.max", "0");
        }
        return r;
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

CgroupLeaf *cgroup_leaf_free(CgroupLeaf *l) {
        if (!l)
                return NULL;
        if (l->fd >= 0)
                (void) cgroup_leaf_kill(l);
        safe_close(l->procs_fd);
        safe_close(l->fd);
        if (!remove_group(l->group, l->name))
                (void) strv_extend(&l->group->stale, l->name);
        free(l);
        return NULL;
}

int cgroup_leaf_enter(const CgroupLeaf *l) {
        return write(l->procs_fd, "0", 1) < 0 ? -errno : 0;
}

/* Of kernels before 5.14. */
static int kill_each(const CgroupLeaf *l) {
        for (unsigned pass = 0; pass < KILL_PASSES_MAX; pass++) {
                PidList pids = {};
                size_t n = 0;
                int r;

                r = read_pids(l->fd, &pids);
                for (size_t i = 0; i < pids.n; i++)
                        n += kill(pids.pids[i], SIGKILL) >= 0;
                pid_list_done(&pids);
                if (r < 0 || n == 0)
                        return r;
        }
        return -EAGAIN;
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
