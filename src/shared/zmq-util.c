/* SPDX-License-Identifier: MIT */

#include <assert.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "parse-util.h"
#include "zmq-util.h"

#define HANDSHAKE_MSEC     3000
#define CONNECT_MSEC       4000
#define RECONNECT_MSEC     100
#define RECONNECT_MAX_MSEC 2000

static int zerror(void) {
        int e = zmq_errno();

        return e > 0 ? -e : -EIO;
}

static void frames_clear(Frames *f) {
        for (size_t i = 0; i < f->n; i++)
                (void) zmq_msg_close(&f->parts[i]);
        f->n = 0;
}

void frames_done(Frames *f) {
        frames_clear(f);
        free(f->parts);
        free(f->iov);
        *f = (Frames){};
}

static int frames_reserve(Frames *f) {
        size_t n = MAX(f->allocated * 2, (size_t) 16);
        zmq_msg_t *parts;
        struct iovec *iov;

        if (f->n < f->allocated)
                return 0;

        iov = reallocarray(f->iov, n, sizeof(struct iovec));
        if (!iov)
                return -ENOMEM;
        f->iov = iov;
        /* No realloc(): how a zmq_msg_t moves is libzmq's business. */
        parts = calloc(n, sizeof(zmq_msg_t));
        if (!parts)
                return -ENOMEM;
        for (size_t i = 0; i < f->n; i++) {
                (void) zmq_msg_init(&parts[i]);
                (void) zmq_msg_move(&parts[i], &f->parts[i]);
                (void) zmq_msg_close(&f->parts[i]);
        }
        free(f->parts);
        f->parts = parts;
        f->allocated = n;
        return 0;
}

static void drop_rest(void *socket) {
        zmq_msg_t part;
        bool more = true;

        while (more) {
                (void) zmq_msg_init(&part);
                more = zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&part);
                (void) zmq_msg_close(&part);
        }
}

/* Short messages hold their bytes inside zmq_msg_t, which moves as the array grows: addresses come last. */
static void take_addresses(Frames *f) {
        for (size_t i = 0; i < f->n; i++)
                f->iov[i] =
                        (struct iovec){ zmq_msg_data(&f->parts[i]), zmq_msg_size(&f->parts[i]) };
}

int frames_recv(Frames *f, void *socket) {
        bool more = true;
        int r;

        frames_clear(f);
        while (more) {
                zmq_msg_t *part;

                if (f->n > WIRE_FRAMES_MAX) {
                        drop_rest(socket);
                        take_addresses(f);
                        return -EMSGSIZE;
                }
                r = frames_reserve(f);
                if (r < 0) {
                        drop_rest(socket);
                        frames_clear(f);
                        return r;
                }
                part = &f->parts[f->n];
                (void) zmq_msg_init(part);
                if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0) {
                        r = zerror();
                        (void) zmq_msg_close(part);
                        frames_clear(f);
                        return r;
                }
                more = zmq_msg_more(part);
                f->n++;
        }

        take_addresses(f);
        return 0;
}

static void close_parts(zmq_msg_t *parts, size_t n) {
        for (size_t i = 0; i < n; i++)
                (void) zmq_msg_close(&parts[i]);
}

static int make_part(zmq_msg_t *part, const void *data, size_t size) {
        if (zmq_msg_init_size(part, size) < 0)
                return zerror();
        if (size > 0)
                memcpy(zmq_msg_data(part), data, size);
        return 0;
}

/* All frames of a message in `parts`, or none. */
static int make_parts(zmq_msg_t *parts, const struct iovec *routing, const WireOut *out) {
        size_t n = 0;
        int r = 0;

        if (routing) {
                r = make_part(&parts[0], routing->iov_base, routing->iov_len);
                n += r >= 0;
        }
        for (size_t i = 0; i < out->n && r >= 0; i++) {
                r = make_part(&parts[n], wire_frame_data(&out->frames[i]), out->frames[i].size);
                n += r >= 0;
        }
        if (r < 0)
                close_parts(parts, n);
        return r;
}

static int send_part(void *socket, zmq_msg_t *part, bool more) {
        int rc;

        do
                rc = zmq_msg_send(part, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
        while (rc < 0 && zmq_errno() == EINTR);
        return rc < 0 ? zerror() : 0;
}

int wire_send(void *socket, const struct iovec *routing, const WireOut *out) {
        zmq_msg_t few[16], *parts = few;
        _cleanup_free_ zmq_msg_t *many = NULL;
        size_t n = out->n + (routing ? 1 : 0);
        int r;

        if (out->error < 0)
                return out->error;
        assert(out->n > 0);

        /* Whether there is room is decided at the first frame, and the others follow it without fail. Only
         * memory could run out in between and leave half a message behind: so it is taken beforehand. */
        if (n > ELEMENTSOF(few)) {
                parts = many = reallocarray(NULL, n, sizeof(zmq_msg_t));
                if (!many)
                        return -ENOMEM;
        }
        r = make_parts(parts, routing, out);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                r = send_part(socket, &parts[i], i + 1 < n);
                if (r < 0) {
                        close_parts(parts + i, n - i);
                        return r;
                }
        }
        return 0;
}

int zsocket_set_int(void *socket, int option, int value) {
        return zmq_setsockopt(socket, option, &value, sizeof(value)) < 0 ? zerror() : 0;
}

static int set_limits(void *socket, int type, const SocketLimits *limits) {
        int64_t max_frame = (int64_t) limits->max_frame_bytes;
        const struct {
                int option, value;
        } options[] = {
                { ZMQ_LINGER, 0 },
                { ZMQ_SNDHWM, limits->high_water_messages },
                { ZMQ_RCVHWM, limits->receive_messages ?: limits->high_water_messages },
                /* A connect that nobody answers is tried again by the kernel ever more rarely, at last after
                 * more than a minute: so long nothing would happen after a cut, although the network is whole
                 * again. A new connect begins with tries a second apart. */
                { ZMQ_CONNECT_TIMEOUT, CONNECT_MSEC },
                { ZMQ_HANDSHAKE_IVL, HANDSHAKE_MSEC },
                { ZMQ_RECONNECT_IVL, RECONNECT_MSEC },
                { ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MSEC },
                /* A host that is gone without a word is noticed after two minutes, not two hours. */
                { ZMQ_TCP_KEEPALIVE, 1 },
                { ZMQ_TCP_KEEPALIVE_IDLE, 60 },
                { ZMQ_TCP_KEEPALIVE_INTVL, 15 },
                { ZMQ_TCP_KEEPALIVE_CNT, 4 },
                { ZMQ_BACKLOG, 1024 },
        };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                r = zsocket_set_int(socket, options[i].option, options[i].value);
                if (r < 0)
                        return r;
        }
        if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_frame, sizeof(max_frame)) < 0)
                return zerror();
        if (type == ZMQ_ROUTER)
                return zsocket_set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
        return 0;
}

int zsocket_new(void *context, int type, const SocketLimits *limits, void **ret) {
        void *socket = zmq_socket(context, type);
        int r;

        if (!socket)
                return zerror();
        r = set_limits(socket, type, limits);
        if (r < 0) {
                zsocket_close(socket);
                return r;
        }
        *ret = socket;
        return 0;
}

/* With ZMQ_IPV6, libzmq turns 127.0.0.1 into ::ffff:127.0.0.1 and connects to ::1 for "localhost" where
 * nobody listens; without it, it knows no IPv6 at all. So it is set for addresses that need it, and for the
 * wildcard, which then means both. Names stand for IPv4 addresses. */
static int set_family(void *socket, const Address *a, bool for_bind) {
        bool ipv6 = strchr(a->host, ':') || (for_bind && streq(a->host, "*"));

        return zsocket_set_int(socket, ZMQ_IPV6, ipv6);
}

/* libzmq removes whatever is at the path before it binds: also the socket of somebody who listens there, and
 * a file that is no socket at all. What nobody listens on any more may go. */
static int check_unix_path(const char *address) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        Address a;

        if (address_parse(address, &a) < 0 || a.is_tcp || lstat(a.path, &st) < 0)
                return 0; /* what else may be wrong shows when binding */
        if (!S_ISSOCK(st.st_mode))
                return -EEXIST;
        strcpy(sa.sun_path, a.path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *) &sa, sizeof(sa)) >= 0 || errno == EAGAIN)
                return -EADDRINUSE;
        return 0;
}

static int bind_address(void *socket, const char *address) {
        _cleanup_free_ char *text = NULL;
        Address a;
        int r;

        if (address_parse(address, &a) >= 0 && a.is_tcp) {
                r = set_family(socket, &a, true);
                if (r < 0)
                        return r;
                /* To bind, libzmq takes a name for that of a network interface. */
                if (strcasecmp(a.host, "localhost") == 0) {
                        strcpy(a.host, "127.0.0.1");
                        text = address_to_string(&a);
                        if (!text)
                                return -ENOMEM;
                }
        }
        return zmq_bind(socket, text ?: address) < 0 ? zerror() : 0;
}

int zsocket_bind(void *socket, const char *address, int fd) {
        int copy, r, k;

        if (fd < 0) {
                r = check_unix_path(address);
                return r < 0 ? r : bind_address(socket, address);
        }

        /* libzmq owns what it is given and closes it. */
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return -errno;
        r = zsocket_set_int(socket, ZMQ_USE_FD, copy);
        if (r >= 0)
                r = bind_address(socket, address);
        if (r < 0)
                safe_close(copy);
        k = zsocket_set_int(socket, ZMQ_USE_FD, -1);
        return r < 0 ? r : k;
}

int zsocket_connect(void *socket, const char *address) {
        Address a;
        int r;

        if (address_parse(address, &a) >= 0 && a.is_tcp) {
                r = set_family(socket, &a, false);
                if (r < 0)
                        return r;
        }
        return zmq_connect(socket, address) < 0 ? zerror() : 0;
}

void *zsocket_close(void *socket) {
        if (socket)
                (void) zmq_close(socket);
        return NULL;
}

int zsocket_last_endpoint(void *socket, char **ret) {
        char text[256];
        size_t size = sizeof(text);
        char *copy;

        if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, text, &size) < 0)
                return zerror();
        copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}
