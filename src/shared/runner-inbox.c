/* SPDX-License-Identifier: MIT */

/* Packets of the runner protocol in, several with one system call, and the memfds in which long payloads
 * travel. A memfd is taken only when sealed: its sender can then neither change what was checked nor cut it
 * short under the reader. */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "runner-wire.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* One byte more than a packet may have, so that a longer one shows, and one for the NUL. */
#define BUFFER_SIZE (RUNNER_PACKET_MAX + 2U)

typedef union Control {
        size_t alignment;
        char space[CMSG_SPACE(sizeof(int))];
} Control;

struct RunnerInbox {
        unsigned n_packets, n_received;
        unsigned n_used; /* entries of mmsg that the kernel has written to */
        struct mmsghdr *mmsg;
        struct iovec *iov;
        Control *control;
        int *fds;
        void **blobs; /* payloads read from memfds */
        char *buffer;
};

/* --- memfds --------------------------------------------------------------------------------------- */

int runner_memfd_new(const void *data, size_t size) {
        _cleanup_close_ int fd = -EBADF;
        const char *p = data;

        fd = memfd_create("fastworker-payload", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return -errno;
        while (size > 0) {
                ssize_t n = write(fd, p, size);

                if (n < 0)
                        return -errno;
                p += n;
                size -= (size_t) n;
        }
        if (fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* Reads a memfd of exactly `size` bytes into a fresh buffer with a NUL behind. */
static int memfd_read(int fd, size_t size, void **ret) {
        _cleanup_free_ char *data = NULL;
        struct stat st;
        int seals;

        seals = fcntl(fd, F_GET_SEALS);
        if (seals < 0 || (seals & SEALS) != SEALS)
                return -EBADMSG;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size < 0 || (uint64_t) st.st_size != size)
                return -EBADMSG;

        data = malloc(size + 1);
        if (!data)
                return -ENOMEM;
        for (size_t done = 0; done < size;) {
                ssize_t n = pread(fd, data + done, size - done, (off_t) done);

                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EBADMSG;
                done += (size_t) n;
        }
        data[size] = '\0';
        *ret = TAKE_PTR(data);
        return 0;
}

/* --- the inbox ------------------------------------------------------------------------------------ */

static void prepare(RunnerInbox *b, unsigned i) {
        b->iov[i] = (struct iovec){ b->buffer + (size_t) i * BUFFER_SIZE, BUFFER_SIZE - 1 };
        b->mmsg[i].msg_hdr = (struct msghdr){
                .msg_iov = &b->iov[i],
                .msg_iovlen = 1,
                .msg_control = &b->control[i],
                .msg_controllen =
                        CMSG_LEN(sizeof(int)), /* with CMSG_SPACE() there would be room for two */
        };
}

static void forget(RunnerInbox *b) {
        for (unsigned i = 0; i < b->n_used; i++) {
                prepare(b, i);
                b->fds[i] = safe_close(b->fds[i]);
                free(b->blobs[i]);
                b->blobs[i] = NULL;
        }
        b->n_used = b->n_received = 0;
}

static void take_fd(RunnerInbox *b, unsigned i) {
        struct msghdr *m = &b->mmsg[i].msg_hdr;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
                    c->cmsg_len == CMSG_LEN(sizeof(int)))
                        memcpy(&b->fds[i], CMSG_DATA(c), sizeof(int));
}

int runner_inbox_receive(RunnerInbox *b, int fd, int flags) {
        int n;

        forget(b);
        n = recvmmsg(fd, b->mmsg, b->n_packets, flags | MSG_WAITFORONE | MSG_CMSG_CLOEXEC, NULL);
        if (n < 0)
                return -errno;
        b->n_used = (unsigned) n;

        /* The end of the stream fills the rest of the vector with empty packets. */
        while (b->n_received < (unsigned) n && b->mmsg[b->n_received].msg_len > 0) {
                take_fd(b, b->n_received);
                b->n_received++;
        }
        return (int) b->n_received;
}

int runner_inbox_get(RunnerInbox *b, unsigned i, size_t payload_max, RunnerMessage *ret) {
        char *packet = b->buffer + (size_t) i * BUFFER_SIZE;
        size_t size = b->mmsg[i].msg_len;
        RunnerMessage m;
        int r;

        if (size > RUNNER_PACKET_MAX || (b->mmsg[i].msg_hdr.msg_flags & MSG_CTRUNC))
                return -EBADMSG;
        packet[size] = '\0';
        r = runner_decode(packet, size, &m);
        if (r < 0)
                return r;
        if (m.payload_size > payload_max)
                return -EMSGSIZE;

        if (m.in_fd) {
                if (b->fds[i] < 0)
                        return -EBADMSG;
                if (!b->blobs[i]) {
                        r = memfd_read(b->fds[i], m.payload_size, &b->blobs[i]);
                        if (r < 0)
                                return r;
                }
                m.payload = b->blobs[i];
        }
        *ret = m;
        return 0;
}

int runner_inbox_new(unsigned n_packets, RunnerInbox **ret) {
        _cleanup_(runner_inbox_freep) RunnerInbox *b = NULL;

        b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        b->mmsg = calloc(n_packets, sizeof(*b->mmsg));
        b->iov = calloc(n_packets, sizeof(*b->iov));
        b->control = calloc(n_packets, sizeof(*b->control));
        b->fds = calloc(n_packets, sizeof(*b->fds));
        b->blobs = calloc(n_packets, sizeof(*b->blobs));
        b->buffer = malloc((size_t) n_packets * BUFFER_SIZE);
        if (!b->mmsg || !b->iov || !b->control || !b->fds || !b->blobs || !b->buffer)
                return -ENOMEM;
        for (unsigned i = 0; i < n_packets; i++) {
                b->fds[i] = -EBADF;
                prepare(b, i);
        }
        b->n_packets = n_packets;

        *ret = TAKE_PTR(b);
        return 0;
}

RunnerInbox *runner_inbox_free(RunnerInbox *b) {
        if (!b)
                return NULL;
        for (unsigned i = 0; i < b->n_used; i++) {
                safe_close(b->fds[i]);
                free(b->blobs[i]);
        }
        free(b->mmsg);
        free(b->iov);
        free(b->control);
        free(b->fds);
        free(b->blobs);
        free(b->buffer);
        free(b);
        return NULL;
}
