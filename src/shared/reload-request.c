/* SPDX-License-Identifier: MIT */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "parse-util.h"
#include "reload-request.h"

#define SIGNAL_DONE   SIGUSR1
#define SIGNAL_FAILED SIGUSR2

/* Blocks both answers, so that they wait for us however early they come. */
static int hold_answers(void) {
        sigset_t set;
        int fd;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGNAL_DONE);
        (void) sigaddset(&set, SIGNAL_FAILED);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

static int user_of(pid_t pid, uid_t *ret) {
        char path[64], line[256];
        unsigned effective;
        int r = -ESRCH;
        FILE *f;

        (void) snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
        f = fopen(path, "re");
        if (!f)
                return errno == ENOENT ? -ESRCH : -errno;
        while (r < 0 && fgets(line, sizeof(line), f))
                if (sscanf(line, "Uid: %*u %u", &effective) == 1) {
                        *ret = (uid_t) effective;
                        r = 0;
                }
        (void) fclose(f);
        return r;
}

/* The daemon answers its own user only, and may not signal root: so root asks as that user. */
static int become_user_of(pid_t pid) {
        uid_t uid;
        int r;

        if (geteuid() != 0)
                return 0;
        r = user_of(pid, &uid);
        if (r < 0)
                return r;
        return uid > 0 && setresuid(uid, uid, uid) < 0 ? -errno : 0;
}

/* The answer if it is there: 0, -EBADMSG, or -EAGAIN. What others send is passed over. */
static int read_answer(int fd, pid_t from) {
        struct signalfd_siginfo si;

        while (read(fd, &si, sizeof(si)) == sizeof(si))
                if (si.ssi_pid == (uint32_t) from)
                        return si.ssi_signo == SIGNAL_DONE ? 0 : -EBADMSG;
        return -EAGAIN;
}

int reload_request(const char *text) {
        _cleanup_close_ int signals = -EBADF, daemon = -EBADF;
        uint64_t pid;
        int r;

        if (parse_uint(text, 1, INT32_MAX, &pid) < 0)
                return -EINVAL;
        signals = hold_answers();
        if (signals < 0)
                return signals;
        daemon = pidfd_open((pid_t) pid, 0);
        if (daemon < 0)
                return -errno;
        r = become_user_of((pid_t) pid);
        if (r < 0)
                return r;
        if (pidfd_send_signal(daemon, RELOAD_SIGNAL, NULL, 0) < 0)
                return -errno;

        for (;;) {
                struct pollfd p[] = { { .fd = signals, .events = POLLIN },
                                      { .fd = daemon, .events = POLLIN } };

                if (poll(p, ELEMENTSOF(p), -1) < 0 && errno != EINTR)
                        return -errno;
                r = read_answer(signals, (pid_t) pid);
                if (r != -EAGAIN)
                        return r;
                if (p[1].revents)
                        return -ECHILD;
        }
}

/* Others than reload_request() may send the signal, like a shell of root's, which the answer would end if we may signal
 * it; and who composes the signal himself can name any process. */
static bool wants_answer(const struct signalfd_siginfo *si) {
        return si->ssi_signo == (uint32_t) RELOAD_SIGNAL && si->ssi_code == SI_USER &&
               si->ssi_uid == geteuid();
}

void reload_asker_set(ReloadAsker *a, const struct signalfd_siginfo *si) {
        reload_asker_tell(a, -ECANCELED);
        if (wants_answer(si))
                /* Not the number: by the time of the answer it may be another one's. */
                a->pidfd = pidfd_open((pid_t) si->ssi_pid, 0);
}

void reload_asker_tell(ReloadAsker *a, int result) {
        if (a->pidfd < 0)
                return;
        (void) pidfd_send_signal(a->pidfd, result < 0 ? SIGNAL_FAILED : SIGNAL_DONE, NULL, 0);
        a->pidfd = safe_close(a->pidfd);
}
