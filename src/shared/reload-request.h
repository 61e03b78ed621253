/* SPDX-License-Identifier: MIT */
#pragma once

/* A reload that says how it ended. SIGHUP cannot: whoever sends it does not learn whether the new configuration is
 * in force. So the one who asks sends another signal, of those that are queued and never merged with one that is
 * pending, and is sent one of two signals when the reload is over. */

#include <signal.h>
#include <sys/signalfd.h>

#include "macro.h"

#define RELOAD_SIGNAL (SIGRTMIN + 1)

/* --- who asks --- */

/* Has the daemon with process id `pid` (as a text) reload, and waits for the end. Called by root, it becomes the
 * daemon's user for good. Returns 0, -EINVAL for what is no process id, -ESRCH and -EPERM from sending, -EBADMSG when
 * the reload failed, -ECHILD when the daemon ended, or another -errno. */
int reload_request(const char *pid);

/* --- the daemon --- */

typedef struct ReloadAsker {
        int pidfd; /* negative: nobody waits for an answer */
} ReloadAsker;

#define RELOAD_ASKER_NONE ((ReloadAsker){ .pidfd = -EBADF })

/* For each SIGHUP and RELOAD_SIGNAL: notes who asked, if it was reload_request() called by our own user. One that
 * waits already is told that its reload failed: another one takes its place. */
void reload_asker_set(ReloadAsker *a, const struct signalfd_siginfo *si);
/* Tells the one who waits, if there is one; `result` is negative for a failure. */
void reload_asker_tell(ReloadAsker *a, int result);
