/* SPDX-License-Identifier: MIT */

/* Finding what a command leaves behind. This process is the reaper of its descendants: who has lost its parent, because
 * it became a daemon or because the parent was killed, becomes our child. Children that were there before the command
 * belong to modules. */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "command-internal.h"

#define END_USEC  (2 * USEC_PER_SEC) /* what sleeps uninterruptibly for longer is left alone */
#define WAIT_MSEC 100

void command_prepare(void) {
        (void) prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void child_list_done(ChildList *l) {
        free(l->pids);
        *l = (ChildList){};
}

static int add(ChildList *l, pid_t pid) {
        if (l->n == l->allocated) {
                size_t n = MAX(l->allocated * 2, (size_t) 16);
                pid_t *pids = reallocarray(l->pids, n, sizeof(pid_t));

                if (!pids)
                        return -ENOMEM;
                l->pids = pids;
                l->allocated = n;
        }
        l->pids[l->n++] = pid;
        return 0;
}

/* The children of one thread: numbers with spaces between. */
static int read_thread(int directory_fd, const char *thread, ChildList *l) {
        char path[64];
        FILE *f;
        int fd, pid, r = 0;

        (void) snprintf(path, sizeof(path), "%.32s/children", thread);
        fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno; /* the thread has ended */
        f = fdopen(fd, "re");
        if (!f) {
                safe_close(fd);
                return -ENOMEM;
        }
        while (r >= 0 && fscanf(f, "%d", &pid) == 1)
                r = add(l, pid);
        (void) fclose(f);
        return r;
}

int child_list_read(ChildList *ret) {
        DIR *d = opendir("/proc/self/task");
        ChildList l = {};
        struct dirent *e;
        int r = 0;

        if (!d)
                return -errno;
        while (r >= 0 && (e = readdir(d)))
                if (e->d_name[0] != '.')
                        r = read_thread(dirfd(d), e->d_name, &l);
        (void) closedir(d);
        if (r < 0) {
                child_list_done(&l);
                return r;
        }
        *ret = l;
        return 0;
}

static bool contains(const ChildList *l, pid_t pid) {
        for (size_t i = 0; i < l->n; i++)
                if (l->pids[i] == pid)
                        return true;
        return false;
}

static void end_child(pid_t pid) {
        _cleanup_close_ int fd = pidfd_open(pid, 0);
        struct pollfd ended = { .fd = fd, .events = POLLIN };

        (void) kill(pid, SIGKILL);
        (void) poll(&ended, 1, WAIT_MSEC);
        (void) waitpid(pid, NULL, WNOHANG);
}

/* Returns how many there were. */
static size_t end_round(const ChildList *before) {
        ChildList now = {};
        size_t n = 0;

        if (child_list_read(&now) < 0)
                return 0;
        /* All at once first: what forks on and on must not get a chance. */
        for (size_t i = 0; i < now.n; i++)
                if (!contains(before, now.pids[i])) {
                        (void) kill(now.pids[i], SIGKILL);
                        n++;
                }
        for (size_t i = 0; i < now.n; i++)
                if (!contains(before, now.pids[i]))
                        end_child(now.pids[i]);
        child_list_done(&now);
        return n;
}

void child_list_end_others(const ChildList *before) {
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + END_USEC;

        while (end_round(before) > 0 && now_usec(CLOCK_MONOTONIC) < deadline)
                ;
}
