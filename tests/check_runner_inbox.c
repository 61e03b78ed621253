/* SPDX-License-Identifier: MIT */

#include <fcntl.h>
#include <sys/mman.h>

#include "check-util.h"
#include "runner-wire.h"

static int ends[2];
static RunnerInbox *inbox;

static void setup(void) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        ck_assert_int_eq(runner_inbox_new(4, &inbox), 0);
}

static void teardown(void) {
        inbox = runner_inbox_free(inbox);
        ends[0] = safe_close(ends[0]);
        ends[1] = safe_close(ends[1]);
}

static void send_text(const char *text) {
        ck_assert_int_eq(send(ends[0], text, strlen(text), 0), (ssize_t) strlen(text));
}

static void send_packet(RunnerPacket *p) {
        ck_assert_int_ge(sendmsg(ends[0], &p->msg, 0), 0);
        runner_packet_clear(p);
}

/* Sends a line with a descriptor. */
static void send_with_fd(const char *text, int fd) {
        RunnerPacket p = { .fd = -EBADF };
        char big[RUNNER_INLINE_MAX + 1] = {};

        /* Composed with a memfd of its own, then line and descriptor are replaced. */
        ck_assert_int_eq(runner_packet_done(&p, 1, true, 0, 0, big, sizeof(big)), 0);
        ck_assert_int_ge(p.fd, 0);
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&p.msg)), &fd, sizeof(fd));
        p.iov[0] = (struct iovec){ (char *) text, strlen(text) };
        send_packet(&p);
}

static size_t count_fds(void) {
        size_t n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

START_TEST(test_several_at_once) {
        RunnerMessage m;

        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], MSG_DONTWAIT), -EAGAIN);
        for (int i = 0; i < 5; i++) {
                _cleanup_free_ char *text = format_string("LOG %d 6\nline %d", i, i);

                send_text(text);
        }
        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], MSG_DONTWAIT), 4);
        for (unsigned i = 0; i < 4; i++) {
                ck_assert_int_eq(runner_inbox_get(inbox, i, 100, &m), 0);
                ck_assert_uint_eq(m.seq, i);
                ck_assert_uint_eq(m.payload_size, 6);
                ck_assert_int_eq(m.payload[5], '0' + (int) i);
                ck_assert_int_eq(m.payload[6], '\0');
        }
        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], 0), 1);
        ck_assert_int_eq(runner_inbox_get(inbox, 0, 100, &m), 0);
        ck_assert_uint_eq(m.seq, 4);
        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], MSG_DONTWAIT), -EAGAIN);
}
END_TEST

START_TEST(test_end) {
        send_text("LOG 1 6\nlast");
        ends[0] = safe_close(ends[0]);
        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], 0), 1);
        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], 0), 0);
}
END_TEST

/* The limit between a payload in the packet and one in a memfd, from both sides. */
START_TEST(test_payload_sizes) {
        static const size_t sizes[] = { 0, 1, RUNNER_INLINE_MAX, RUNNER_INLINE_MAX + 1, 3000000 };
        size_t size = sizes[_i], before = count_fds();
        _cleanup_free_ char *data = malloc(size + 1);
        RunnerPacket p = { .fd = -EBADF };
        RunnerMessage m;

        ck_assert_ptr_nonnull(data);
        for (size_t i = 0; i < size; i++)
                data[i] = (char) (i * 7);
        ck_assert_int_eq(runner_packet_done(&p, 1, true, 2, 3, data, size), 0);
        ck_assert_int_eq(p.fd >= 0, size > RUNNER_INLINE_MAX);
        send_packet(&p);

        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], MSG_DONTWAIT), 1);
        ck_assert_int_eq(runner_inbox_get(inbox, 0, size, &m), 0);
        ck_assert_uint_eq(m.payload_size, size);
        ck_assert_int_eq(memcmp(m.payload, data, size), 0);
        ck_assert_int_eq(m.payload[size], '\0');
        if (size > 0)
                ck_assert_int_eq(runner_inbox_get(inbox, 0, size - 1, &m), -EMSGSIZE);

        /* What came is forgotten with the next receive, descriptors included. */
        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], MSG_DONTWAIT), -EAGAIN);
        ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(test_too_long) {
        static char packet[RUNNER_PACKET_MAX + 1];
        RunnerMessage m;

        memset(packet, 'x', sizeof(packet));
        memcpy(packet, "LOG 1 6\n", 8);
        ck_assert_int_eq(send(ends[0], packet, sizeof(packet), 0), sizeof(packet));
        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], 0), 1);
        ck_assert_int_eq(runner_inbox_get(inbox, 0, SIZE_MAX, &m), -EBADMSG);
}
END_TEST

START_TEST(test_bad_memfds) {
        RunnerMessage m;
        int fd, other, unsealed;

        /* announced, but not there */
        send_text("DONE 1 success 0 0 fd=5\n");
        /* not a memfd */
        other = open("/dev/null", O_RDONLY | O_CLOEXEC);
        send_with_fd("DONE 1 success 0 0 fd=0\n", other);
        /* not sealed: its sender could still change it */
        unsealed = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        ck_assert_int_eq(write(unsealed, "12345", 5), 5);
        send_with_fd("DONE 1 success 0 0 fd=5\n", unsealed);
        /* of another size */
        fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        ck_assert_int_eq(write(fd, "12345", 5), 5);
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
        send_with_fd("DONE 1 success 0 0 fd=6\n", fd);

        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], 0), 4);
        for (unsigned i = 0; i < 4; i++)
                ck_assert_int_eq(runner_inbox_get(inbox, i, 1000, &m), -EBADMSG);

        send_with_fd("DONE 1 success 0 0 fd=5\n", fd);
        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], 0), 1);
        ck_assert_int_eq(runner_inbox_get(inbox, 0, 1000, &m), 0);
        ck_assert_str_eq(m.payload, "12345");
        safe_close(fd);
        safe_close(other);
        safe_close(unsealed);
}
END_TEST

/* A descriptor too many is closed with the others. */
START_TEST(test_two_fds) {
        size_t before = count_fds();
        union {
                size_t alignment;
                char space[CMSG_SPACE(sizeof(ends))];
        } control = {};
        struct iovec iov = { (char *) "LOG 1 6\n", 8 };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        RunnerMessage m;

        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(ends));
        memcpy(CMSG_DATA(header), ends, sizeof(ends));
        ck_assert_int_eq(sendmsg(ends[0], &message, 0), 8);
        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], 0), 1);
        ck_assert_int_eq(runner_inbox_get(inbox, 0, 100, &m), -EBADMSG);
        ck_assert_int_eq(runner_inbox_receive(inbox, ends[1], MSG_DONTWAIT), -EAGAIN);
        ck_assert_uint_eq(count_fds(), before);
}
END_TEST

int main(void) {
        Suite *s = suite_create("runner-inbox");
        TCase *c = tcase_create("inbox");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, test_several_at_once);
        tcase_add_test(c, test_end);
        tcase_add_loop_test(c, test_payload_sizes, 0, 5);
        tcase_add_test(c, test_too_long);
        tcase_add_test(c, test_bad_memfds);
        tcase_add_test(c, test_two_fds);
        suite_add_tcase(s, c);
        return check_run(s);
}
