/* SPDX-License-Identifier: MIT */

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "parse-util.h"
#include "process-tree.h"
#include "time-util.h"

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
        PidList found, seen; /* of this pass; stopped in one before */
        uint64_t until;
        bool is_full; /* no descriptors for more */
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

static int compare(const void *a, const void *b) {
        const pid_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

void pid_list_sort(PidList *l) {
        if (l->n > 1)
                qsort(l->pids, l->n, sizeof(*l->pids), compare);
        l->n_sorted = l->n;
}

bool pid_list_has(const PidList *l, pid_t pid) {
        if (!l)
                return false;
        if (l->n_sorted > 0 && bsearch(&pid, l->pids, l->n_sorted, sizeof(*l->pids), compare))
                return true;
        for (size_t i = l->n_sorted; i < l->n; i++)
                if (l->pids[i] == pid)
                        return true;
        return false;
}

/* --- /proc ---------------------------------------------------------------------------------------- */

const char *process_stat(pid_t pid, char line[static PROCESS_STAT_MAX]) {
        char path[64], *p;
        size_t n;
        FILE *f;

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
        f = fopen(path, "re");
        if (!f)
                return NULL;
        n = fread(line, 1, PROCESS_STAT_MAX - 1, f);
        (void) fclose(f);
        line[n] = '\0';
        p = strrchr(line, ')');
        return p ? p + 1 : NULL;
}

/* Returns the parent, or 0 if the process is gone, has ended, or is hidden from us. */
static pid_t parent_of(pid_t pid) {
        char line[PROCESS_STAT_MAX], state;
        const char *fields = process_stat(pid, line);
        int parent, n_threads;

        if (!fields ||
            sscanf(fields, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d",
                   &state, &parent, &n_threads) != 3)
                return 0;
        /* The first thread may end before others. */
        return state == 'Z' && n_threads <= 1 ? 0 : (pid_t) parent;
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
        pid_list_done(&h->seen);
}

/* Returns 1 if it was stopped now, 0 if there is nothing to do, or -ENOMEM. */
static int stop(Hunt *h, pid_t root, pid_t listed_by, pid_t pid) {
        _cleanup_close_ int fd = -EBADF;
        pid_t parent;

        if (pid_list_has(&h->seen, pid))
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
        if (fd < 0) {
                h->is_full = errno == EMFILE || errno == ENFILE;
                return 0;
        }
        /* Before it was stopped, its parent may have collected it, and the number may be another one's by now. */
        parent = parent_of(pid);
        if (parent == 0 || (parent != listed_by && parent != root && parent != getpid()))
                return 0;
        (void) pidfd_send_signal(fd, SIGSTOP, NULL, 0);
        h->victims[h->n_victims++] = (Victim){ pid, TAKE_FD(fd) };
        return 1;
}

/* With nothing found yet it goes on, so that each call brings the end nearer. */
static bool is_enough(const Hunt *h) {
        return h->n_victims > 0 && (h->is_full || now_usec(CLOCK_MONOTONIC) >= h->until);
}

/* Stops the children of one that are not stopped yet. Returns how many that were, or -ENOMEM. */
static int stop_children(Hunt *h, pid_t root, pid_t parent, const PidList *keep) {
        size_t begin = h->found.n;
        int n = 0, r;

        r = process_tree_children(parent, &h->found);
        for (size_t i = begin; i < h->found.n && r >= 0 && !is_enough(h); i++)
                if (!pid_list_has(keep, h->found.pids[i])) {
                        r = stop(h, root, parent, h->found.pids[i]);
                        n += r > 0;
                }
        return r < 0 ? r : n;
}

/* The same with all descendants. */
static int stop_below(Hunt *h, pid_t root, const PidList *keep) {
        int n, r;

        h->found.n = 0;
        n = r = stop_children(h, root, root, keep);
        for (size_t i = 0; i < h->found.n && r >= 0 && !is_enough(h); i++) {
                r = stop_children(h, root, h->found.pids[i], keep);
                n += MAX(r, 0);
        }
        return r < 0 ? r : n;
}

static int note_seen(Hunt *h) {
        int r = 0;

        for (size_t i = h->seen.n; i < h->n_victims && r >= 0; i++)
                r = pid_list_add(&h->seen, h->victims[i].pid);
        pid_list_sort(&h->seen);
        return r;
}

bool process_tree_kill_below(pid_t root, const PidList *keep, uint64_t usec) {
        _cleanup_(hunt_done) Hunt h = { .until = now_usec(CLOCK_MONOTONIC) + usec };
        unsigned empty = 0;
        int n = 0;

        for (unsigned pass = 0; pass < PASSES_MAX && empty < EMPTY_PASSES; pass++) {
                n = stop_below(&h, root, keep);
                if (n < 0 || is_enough(&h) || note_seen(&h) < 0)
                        break;
                empty = n > 0 ? 0 : empty + 1;
        }
        for (size_t i = 0; i < h.n_victims; i++)
                (void) pidfd_send_signal(h.victims[i].pidfd, SIGKILL, NULL, 0);
        return empty == EMPTY_PASSES;
}

bool process_tree_kill(pid_t root, uint64_t usec) {
        bool all;

        (void) kill(root, SIGSTOP);
        all = process_tree_kill_below(root, NULL, usec);
        (void) kill(root, SIGKILL);
        return all;
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

/* Most have been told to end already, or start nothing: these end at once. What comes to us after that has a parent that
 * starts others, and is stopped with all below. */
static void end_orphan(pid_t pid, bool is_late, uint64_t until) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (is_late)
                (void) process_tree_kill(pid, until - MIN(now, until));
        else
                (void) kill(pid, SIGKILL);
}

/* Returns how many are new, or -ENOMEM. */
static int orphan_pass(const PidList *known, bool is_late, uint64_t until, PidList *killed,
                       size_t *ret_left) {
        PidList children = {};
        size_t n_seen = 0;
        int n = 0, r;

        *ret_left = 0;
        r = process_tree_children(getpid(), &children);
        for (size_t i = 0; i < children.n && r >= 0; i++) {
                pid_t pid = children.pids[i];

                if (pid_list_has(known, pid))
                        continue;
                /* Also what has ended takes time, if it is thousands. At least one is looked at each time. */
                if (n_seen++ > 0 && now_usec(CLOCK_MONOTONIC) >= until) {
                        *ret_left += children.n - i;
                        break;
                }
                if (collect(pid))
                        continue;
                (*ret_left)++;
                if (pid_list_has(killed, pid))
                        continue;
                end_orphan(pid, is_late, until);
                r = pid_list_add(killed, pid);
                n++;
        }
        pid_list_sort(killed);
        pid_list_done(&children);
        return r < 0 ? r : n;
}

size_t process_tree_end_orphans(const PidList *known, uint64_t usec) {
        uint64_t until = now_usec(CLOCK_MONOTONIC) + usec;
        PidList killed = {};
        size_t left = 0;
        int n = 1;

        for (unsigned pass = 0; pass < ORPHAN_PASSES_MAX && n > 0; pass++) {
                n = orphan_pass(known, pass > 0, until, &killed, &left);
                if (now_usec(CLOCK_MONOTONIC) >= until)
                        break;
        }
        pid_list_done(&killed);
        return n < 0 ? MAX(left, (size_t) 1) : left;
}
