/* SPDX-License-Identifier: MIT */
#pragma once

/* Listening sockets passed by the service manager, found by FileDescriptorName=. */

#include "macro.h"

typedef struct ListenFds ListenFds;

/* Takes LISTEN_FDS (and removes LISTEN_* from the environment). Each descriptor must bear one of the
 * NULL-terminated names and be a listening stream socket (TCP or unix); others are closed with a warning
 * that names them. Without LISTEN_FDS the result is empty. */
int listen_fds_new(const char *const *names, ListenFds **ret);

/* The i-th socket of that name: its descriptor (kept by the object) and whether it is TCP. Returns 0, or
 * -ENOENT when there are no more. The address is "tcp://HOST:PORT" or "ipc://PATH", borrowed. */
int listen_fds_get(ListenFds *l, const char *name, size_t i, int *ret_fd, bool *ret_is_tcp,
                   const char **ret_address);

ListenFds *listen_fds_free(ListenFds *l);
DEFINE_CLEANUP_FUNC(ListenFds *, listen_fds_free);
