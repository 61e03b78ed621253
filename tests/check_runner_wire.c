/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "runner-wire.h"

static const char id_text[] = "01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4";

static TaskId test_id(void) {
        TaskId id;

        ck_assert_int_eq(task_id_from_text(id_text, strlen(id_text), &id), 0);
        return id;
}

/* The packet as it goes over the socket. */
static char *flatten(const RunnerPacket *p, size_t *ret_size) {
        char *text = malloc(RUNNER_PACKET_MAX), *end = text;

        ck_assert_ptr_nonnull(text);
        for (size_t i = 0; i < p->msg.msg_iovlen; i++)
                end = mempcpy(end, p->msg.msg_iov[i].iov_base, p->msg.msg_iov[i].iov_len);
        *ret_size = (size_t) (end - text);
        return text;
}

#define assert_packet(p, expected)                          \
        do {                                                \
                _cleanup_free_ char *_text = NULL;          \
                size_t _size;                               \
                                                            \
                _text = flatten(p, &_size);                 \
                ck_assert_uint_eq(_size, strlen(expected)); \
                ck_assert_mem_eq(_text, expected, _size);   \
        } while (false)

#define assert_decodes(text, m) ck_assert_int_eq(runner_decode(text, strlen(text), m), 0)

START_TEST(test_compose) {
        RunnerPacket p = { .fd = -EBADF };
        TaskId id = test_id();

        ck_assert_int_eq(runner_packet_run(&p, 17, &id, 2, "add", "{}", 2), 0);
        assert_packet(&p, "RUN 17 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 2 add\n{}");
        ck_assert_int_eq(runner_packet_run(&p, 0, &id, 1, "x", NULL, 0), 0);
        assert_packet(&p, "RUN 0 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 1 x\n");
        ck_assert_int_eq(runner_packet_failed(&p, "no such file"), 0);
        assert_packet(&p, "FAILED\nno such file");
        ck_assert_int_eq(runner_packet_done(&p, 3, true, 10, 20, "8", 1), 0);
        assert_packet(&p, "DONE 3 success 10 20\n8");
        ck_assert_int_eq(
                runner_packet_done(&p, UINT64_C(9999999999999999999) / 10, false, 0, 0, "", 0), 0);
        assert_packet(&p, "DONE 999999999999999999 failure 0 0\n");
        ck_assert_int_eq(runner_packet_log(&p, 4, 6, "hello", 5), 0);
        assert_packet(&p, "LOG 4 6\nhello");
        ck_assert_int_eq(runner_packet_log(&p, 4, 99, "", 0), 0);
        assert_packet(&p, "LOG 4 7\n");
        ck_assert_int_eq(p.fd, -EBADF);
}
END_TEST

START_TEST(test_compose_limits) {
        char name[RUNNER_NAME_MAX + 2];
        RunnerPacket p = { .fd = -EBADF };
        TaskId id = test_id();
        RunnerMessage m;

        memset(name, 'n', sizeof(name));
        name[RUNNER_NAME_MAX + 1] = '\0';
        ck_assert_int_eq(runner_packet_run(&p, 1, &id, 1, name, NULL, 0), -EMSGSIZE);
        ck_assert_int_eq(runner_packet_run(&p, 1, &id, 1, "", NULL, 0), -EMSGSIZE);

        /* The longest line there can be, with all numbers at their greatest. */
        name[RUNNER_NAME_MAX] = '\0';
        ck_assert_int_eq(runner_packet_run(&p, INT64_MAX, &id, INT64_MAX, name, NULL, 0), 0);
        ck_assert_uint_le(p.header_size, RUNNER_HEADER_MAX);
        ck_assert_int_eq(runner_decode(p.header, p.header_size, &m), 0);
        ck_assert_uint_eq(m.seq, INT64_MAX);
        ck_assert_uint_eq(m.attempt, INT64_MAX);
        ck_assert_uint_eq(m.name.iov_len, RUNNER_NAME_MAX);
}
END_TEST

START_TEST(test_decode) {
        TaskId id = test_id();
        RunnerMessage m;

        assert_decodes("RUN 17 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 2 add\n{\"args\":[]}", &m);
        ck_assert_int_eq(m.verb, RUNNER_RUN);
        ck_assert_uint_eq(m.seq, 17);
        ck_assert(task_id_equal(&m.task_id, &id));
        ck_assert_uint_eq(m.attempt, 2);
        ck_assert_uint_eq(m.name.iov_len, 3);
        ck_assert_mem_eq(m.name.iov_base, "add", 3);
        ck_assert_uint_eq(m.payload_size, 11);
        ck_assert_str_eq(m.payload, "{\"args\":[]}");

        assert_decodes("HELLO 1 4711\na\tb\n", &m);
        ck_assert_int_eq(m.verb, RUNNER_HELLO);
        ck_assert_uint_eq(m.version, 1);
        ck_assert_uint_eq(m.pid, 4711);
        ck_assert_str_eq(m.payload, "a\tb\n");

        assert_decodes("DONE 3 success 10 20\n8", &m);
        ck_assert_int_eq(m.verb, RUNNER_DONE);
        ck_assert(m.success);
        ck_assert_uint_eq(m.started_usec, 10);
        ck_assert_uint_eq(m.completed_usec, 20);
        assert_decodes("DONE 3 failure 10 20\nwhy", &m);
        ck_assert(!m.success);

        assert_decodes("LOG 5 0\nfire", &m);
        ck_assert_int_eq(m.verb, RUNNER_LOG);
        ck_assert_int_eq(m.priority, 0);
        assert_decodes("FAILED\nno", &m);
        ck_assert_int_eq(m.verb, RUNNER_FAILED);
        ck_assert_str_eq(m.payload, "no");
}
END_TEST

/* What a later version may add is passed over. */
START_TEST(test_decode_later_version) {
        RunnerMessage m;

        assert_decodes("PROGRESS 5 of 7 \nhalf", &m);
        ck_assert_int_eq(m.verb, _RUNNER_VERB_INVALID);
        assert_decodes("DONE 3 success 10 20 memory=77 cpu=\n8", &m);
        ck_assert_str_eq(m.payload, "8");
        assert_decodes("DONE 3 success 10 20 memory=77 fd=100\n", &m);
        ck_assert(m.in_fd);
        ck_assert_uint_eq(m.payload_size, 100);
}
END_TEST

START_TEST(test_decode_malformed) {
        static const char *const bad[] = {
                "",
                "\n",
                " RUN\n",
                "DONE 3 success 10 20",
                "DONE\n",
                "DONE 3\n",
                "DONE 3 success 10\n",
                "DONE 3 success 10 20 \n",
                "DONE 3 success 10 20 30\n",
                "DONE  3 success 10 20\n",
                "DONE 3 maybe 10 20\n",
                "DONE -3 success 10 20\n",
                "DONE 3x success 10 20\n",
                "DONE 3 success 10 99999999999999999999\n",
                "DONE 3 success 10 20 fd=\n",
                "DONE 3 success 10 20 fd=x\n",
                "DONE 3 success 10 20 fd=1 fd=2\n",
                "DONE 3 success 10 20 fd=1\nx",
                "RUN 1 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c 1 add\n",
                "RUN 1 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 1\n",
                "RUN 1 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 1 \n",
                "LOG 1\n",
                "LOG 1 8\n",
                "HELLO 1\n",
                "HELLO one 1\n",
        };
        RunnerMessage m;

        ck_assert_int_eq(runner_decode(bad[_i], strlen(bad[_i]), &m), -EBADMSG);
}
END_TEST
#define N_MALFORMED 25

START_TEST(test_decode_long_line) {
        char text[RUNNER_HEADER_MAX + 2];
        RunnerMessage m;

        memset(text, 'x', sizeof(text));
        memcpy(text, "X ", 2);
        text[RUNNER_HEADER_MAX - 1] = '\n';
        ck_assert_int_eq(runner_decode(text, RUNNER_HEADER_MAX, &m), 0);
        text[RUNNER_HEADER_MAX - 1] = 'x';
        text[RUNNER_HEADER_MAX] = '\n';
        ck_assert_int_eq(runner_decode(text, RUNNER_HEADER_MAX + 1, &m), -EBADMSG);
}
END_TEST

int main(void) {
        Suite *s = suite_create("runner-wire");
        TCase *c = tcase_create("packets");

        tcase_add_test(c, test_compose);
        tcase_add_test(c, test_compose_limits);
        tcase_add_test(c, test_decode);
        tcase_add_test(c, test_decode_later_version);
        tcase_add_loop_test(c, test_decode_malformed, 0, N_MALFORMED);
        tcase_add_test(c, test_decode_long_line);
        suite_add_tcase(s, c);
        return check_run(s);
}
