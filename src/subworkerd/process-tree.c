/* SPDX-License-Identifier: MIT */

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "parse-util.h"
#include "process-tree.h"

#define EMPTY_PASSES \
        2U /* that nothing new is found so often in a row means that there is nothing */
#define PASSES_MAX \
        256U /* something forks faster than we look; the rest becomes ours, see the orphans */
#define ORPHAN_PASSES_MAX 16U

/* A process that was stopped, to be killed when all are. The descriptor names it even if the number is reused. */
typedef struct Victim {
        pid_t pid;
        int pidfd;
} Victim;

typedef struct Hunt {
        PidList found;
        Victim *victims;
        size_t n_victims, n_allocated;
} Hunt;

/* --- lists ---------------------------------------------------------------------------------------- */

void pid_list_done(PidList *l) {
        free(l->pids);
        *l = (PidList){};
}

int pid_list_add(PidList *l, pid_t pid) {
        if (l->n == l->allocated) {
                size_t n = MAX(l->allocated * 2, (size_t) 16);
                pid_t *p = reallocarray(l->pids, n, sizeof(*p));

                if (!p)
                        return -ENOMEM;
                l->pids = p;
                l->allocated = n;
        }
        l->pids[l->n++] = pid;
        return 0;
}

bool pid_list_has(const PidList *l, pid_t pid) {
        for (size_t i = 0; l && i < l->n; i++)
                if (l->pids[i] == pid)
                        return true;
        return false;
}

/* --- /proc ---------------------------------------------------------------------------------------- */

/* Returns the parent, or 0 if the process is gone or hidden from us. */
static pid_t parent_of(pid_t pid) {
        char path[64], line[1024], *p;
        size_t n;
        FILE *f;
        int parent;

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
        f = fopen(path, "re");
        if (!f)
                return 0;
        n = fread(line, 1, sizeof(line) - 1, f);
        (void) fclose(f);
        line[n] = '\0';
        /* The name, in parentheses, may hold anything. */
        p = strrchr(line, ')');
        return p && sscanf(p + 1, " %*c %d", &parent) == 1 ? (pid_t) parent : 0;
}

static bool parse_pid(const char *name, pid_t *ret) {
        char *end;
        long n;

        if (name[0] < '1' || name[0] > '9')
                return false;
        n = strtol(name, &end, 10);
        if (*end || n > INT32_MAX)
                return false;
        *ret = (pid_t) n;
        return true;
}

/* For kernels that do not list children. */
static int scan_children(pid_t pid, PidList *l) {
        struct dirent *entry;
        pid_t other;
        int r = 0;
        DIR *d = opendir("/proc");

        if (!d)
                return 0;
        while (r >= 0 && (entry = readdir(d)))
                if (parse_pid(entry->d_name, &other) && parent_of(other) == pid)
                        r = pid_list_add(l, other);
        (void) closedir(d);
        return r;
}

static int read_children(const char *path, PidList *l) {
        FILE *f = fopen(path, "re");
        int pid, r = 0;

        if (!f)
                return 0;
        while (r >= 0 && fscanf(f, "%d", &pid) == 1)
                r = pid_list_add(l, (pid_t) pid);
        (void) fclose(f);
        return r;
}

static bool kernel_lists_children(void) {
        return access("/proc/thread-self/children", F_OK) >= 0;
}

int process_tree_children(pid_t pid, PidList *l) {
        struct dirent *entry;
        char path[128];
        pid_t thread;
        int r = 0;
        DIR *d;

        if (!kernel_lists_children())
                return scan_children(pid, l);
        (void) snprintf(path, sizeof(path), "/proc/%d/task", (int) pid);
        d = opendir(path);
        if (!d)
                return 0;
        while (r >= 0 && (entry = readdir(d))) {
                if (!parse_pid(entry->d_name, &thread))
                        continue;
                (void) snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) pid,
                                (int) thread);
                r = read_children(path, l);
        }
        (void) closedir(d);
        return r;
}

/* --- hunting -------------------------------------------------------------------------------------- */

static void hunt_done(Hunt *h) {
        for (size_t i = 0; i < h->n_victims; i++)
                safe_close(h->victims[i].pidfd);
        free(h->victims);
        pid_list_done(&h->found);
}

static bool is_victim(const Hunt *h, pid_t pid) {
        for (size_t i = 0; i < h->n_victims; i++)
                if (h->victims[i].pid == pid)
                        return true;
        return false;
}

/* Returns 1 if it was stopped now, 0 if there is nothing to do, or -ENOMEM. */
static int stop(Hunt *h, pid_t root, pid_t pid) {
        _cleanup_close_ int fd = -EBADF;
        pid_t parent;

        if (is_victim(h, pid))
                return 0;
        if (h->n_victims == h->n_allocated) {
                size_t n = MAX(h->n_allocated * 2, (size_t) 16);
                Victim *p = reallocarray(h->victims, n, sizeof(*p));

                if (!p)
                        return -ENOMEM;
                h->victims = p;
                h->n_allocated = n;
        }
        fd = pidfd_open(pid, 0);
        if (fd < 0)
                return 0;
        /* Before it was stopped, its parent may have collected it, and the number may be another one's by now. */
        parent = parent_of(pid);
        if (parent != root && parent != getpid() && !pid_list_has(&h->found, parent))
                return 0;
        (void) pidfd_send_signal(fd, SIGSTOP, NULL, 0);
        h->victims[h->n_victims++] = (Victim){ pid, TAKE_FD(fd) };
        return 1;
}

/* Stops all descendants that are not stopped yet. Returns how many that were, or -ENOMEM. */
static int stop_below(Hunt *h, pid_t root, const PidList *keep) {
        int n = 0, r;

        h->found.n = 0;
        r = process_tree_children(root, &h->found);
        for (size_t i = 0; i < h->found.n && r >= 0; i++) {
                pid_t pid = h->found.pids[i];

                if (!pid_list_has(keep, pid)) {
                        r = stop(h, root, pid);
                        n += r > 0;
                }
                if (r >= 0)
                        r = process_tree_children(pid, &h->found);
        }
        return r < 0 ? r : n;
}

size_t process_tree_kill_below(pid_t root, const PidList *keep) {
        _cleanup_(hunt_done) Hunt h = {};
        unsigned empty = 0;
        int n;

        for (unsigned pass = 0; pass < PASSES_MAX && empty < EMPTY_PASSES; pass++) {
                n = stop_below(&h, root, keep);
                if (n < 0)
                        break;
                empty = n > 0 ? 0 : empty + 1;
        }
        for (size_t i = 0; i < h.n_victims; i++)
                (void) pidfd_send_signal(h.victims[i].pidfd, SIGKILL, NULL, 0);
        return h.n_victims;
}

void process_tree_kill(pid_t root) {
        (void) kill(root, SIGSTOP);
        (void) process_tree_kill_below(root, NULL);
        (void) kill(root, SIGKILL);
}

/* --- orphans -------------------------------------------------------------------------------------- */

int process_tree_adopt(void) {
        return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* Returns whether it is gone. */
static bool collect(pid_t pid) {
        siginfo_t status = {};

        return waitid(P_PID, (id_t) pid, &status, WEXITED | WNOHANG) < 0 || status.si_pid == pid;
}

size_t process_tree_end_orphans(const PidList *known) {
        size_t left = 0;

        for (unsigned pass = 0; pass < ORPHAN_PASSES_MAX; pass++) {
                PidList children = {};
                size_t n = 0;

                (void) process_tree_children(getpid(), &children);
                left = 0;
                for (size_t i = 0; i < children.n; i++) {
                        pid_t pid = children.pids[i];

                        if (pid_list_has(known, pid))
                                continue;
                        n++;
                        if (collect(pid))
                                continue;
                        process_tree_kill(pid);
                        left += !collect(pid);
                }
                pid_list_done(&children);
                if (n == 0)
                        break;
        }
        return left;
}
