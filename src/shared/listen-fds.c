/* SPDX-License-Identifier: MIT */

/* Sockets from socket units. What we were given without asking for it is closed: a listening socket that
 * nobody accepts from would leave its peers hanging. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "listen-fds.h"
#include "log.h"
#include "parse-util.h"

typedef struct ListenFd {
        char *name, *address;
        int fd;
        bool is_tcp;
} ListenFd;

struct ListenFds {
        ListenFd *fds;
        size_t n;
};

typedef union SocketAddress {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
} SocketAddress;

static char *unix_to_text(const struct sockaddr_un *un, socklen_t size) {
        size_t n = size - MIN((size_t) size, offsetof(struct sockaddr_un, sun_path));
        char *text = NULL;

        if (n == 0)
                return NULL;
        /* An abstract name begins with NUL and is not terminated; it is written with "@" in front. */
        if (un->sun_path[0] == '\0')
                return asprintf(&text, "ipc://@%.*s", (int) n - 1, un->sun_path + 1) < 0 ? NULL
                                                                                         : text;
        return asprintf(&text, "ipc://%.*s", (int) n, un->sun_path) < 0 ? NULL : text;
}

static char *address_of(const SocketAddress *a, socklen_t size) {
        char host[INET6_ADDRSTRLEN], *text = NULL;
        int r;

        switch (a->any.sa_family) {
        case AF_UNIX:
                return unix_to_text(&a->un, size);
        case AF_INET:
                if (!inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host)))
                        return NULL;
                r = asprintf(&text, "tcp://%s:%u", host, (unsigned) ntohs(a->in.sin_port));
                return r < 0 ? NULL : text;
        case AF_INET6:
                if (!inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host)))
                        return NULL;
                r = asprintf(&text, "tcp://[%s]:%u", host, (unsigned) ntohs(a->in6.sin6_port));
                return r < 0 ? NULL : text;
        }
        return NULL;
}

static bool is_listening_stream(int fd, const SocketAddress *a) {
        int protocol = 0;
        socklen_t size = sizeof(protocol);

        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
                return false;
        if (a->any.sa_family == AF_UNIX)
                return true;
        if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0)
                return false;
        return (a->any.sa_family == AF_INET || a->any.sa_family == AF_INET6) &&
               protocol == IPPROTO_TCP;
}

/* Keeps the descriptor, which is then ours, or says why not. 1 kept, 0 not wanted, -ENOMEM. */
static int take(ListenFds *l, int fd, const char *name, const char *const *names) {
        SocketAddress a = {};
        socklen_t size = sizeof(a);
        ListenFd *kept = &l->fds[l->n];
        bool known = false;

        for (size_t i = 0; names[i]; i++)
                known = known || streq(names[i], name);
        if (!known) {
                log_warning(
                        "The service manager passed a socket named \"%s\", which nothing here uses; "
                        "closing it. Correct FileDescriptorName= in its socket unit.",
                        name);
                return 0;
        }
        if (getsockname(fd, &a.any, &size) < 0 || !is_listening_stream(fd, &a)) {
                log_warning(
                        "What the service manager passed as \"%s\" is not a listening TCP or Unix stream "
                        "socket; closing it. It needs ListenStream= and Accept=no in its socket unit.",
                        name);
                return 0;
        }

        *kept = (ListenFd){ .fd = fd, .is_tcp = a.any.sa_family != AF_UNIX };
        kept->name = strdup(name);
        kept->address = address_of(&a, size);
        if (!kept->name || !kept->address) {
                free(kept->name);
                free(kept->address);
                return -ENOMEM;
        }
        l->n++;
        return 1;
}

int listen_fds_new(const char *const *names, ListenFds **ret) {
        _cleanup_(listen_fds_freep) ListenFds *l = NULL;
        _cleanup_strv_ char **given = NULL;
        int n, r = 0;

        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        n = sd_listen_fds_with_names(1, &given);
        if (n < 0)
                return log_error_errno(n, "Cannot take the sockets from the service manager: %m");
        l->fds = calloc((size_t) MAX(n, 1), sizeof(*l->fds));
        if (!l->fds)
                return -ENOMEM;

        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;

                if (r >= 0)
                        r = take(l, fd, given[i], names);
                if (r <= 0)
                        safe_close(fd);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

int listen_fds_get(ListenFds *l, const char *name, size_t i, int *ret_fd, bool *ret_is_tcp,
                   const char **ret_address) {
        for (size_t k = 0; k < l->n; k++) {
                if (!streq(l->fds[k].name, name) || i-- > 0)
                        continue;
                *ret_fd = l->fds[k].fd;
                *ret_is_tcp = l->fds[k].is_tcp;
                *ret_address = l->fds[k].address;
                return 0;
        }
        return -ENOENT;
}

ListenFds *listen_fds_free(ListenFds *l) {
        if (!l)
                return NULL;
        for (size_t i = 0; i < l->n; i++) {
                safe_close(l->fds[i].fd);
                free(l->fds[i].name);
                free(l->fds[i].address);
        }
        free(l->fds);
        free(l);
        return NULL;
}
