/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "scale.h"

/* A connection that was closed stays in the queue of the listening socket until somebody accepts it: the service
 * manager, which only looks whether there is one, starts the service, and that takes and forgets it. */
int scale_knock(const char *path) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;
        size_t n = strlen(path);

        if (n >= sizeof(un.sun_path))
                return -ENAMETOOLONG;
        memcpy(un.sun_path, path, n + 1);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *) &un, sizeof(un)) >= 0)
                return 0;
        /* Its queue is full of others that knock. */
        return errno == EAGAIN ? 0 : -errno;
}
