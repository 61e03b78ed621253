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

START_TEST(test_compose_options) {
        static const char parent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        RunnerPacket p = { .fd = -EBADF };
        TaskId id = test_id();

        ck_assert_int_eq(runner_packet_run_with(&p, 1, &id, 2, "add",
                                                &(RunnerRunOptions){ 5000000, 7000000, parent },
                                                "{}", 2),
                         0);
        assert_packet(&p,
                      "RUN 1 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 2 add soft-timeout=5000000 "
                      "timeout=7000000 "
                      "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n{}");
        ck_assert_int_eq(
                runner_packet_run_with(&p, 1, &id, 2, "add", &(RunnerRunOptions){}, NULL, 0), 0);
        assert_packet(&p, "RUN 1 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 2 add\n");
        ck_assert_int_eq(
                runner_packet_done_with(&p, 3, false, 1, 2, &(RunnerRetry){ true, 0 }, "no", 2), 0);
        assert_packet(&p, "DONE 3 failure 1 2 retry=no\nno");
        ck_assert_int_eq(runner_packet_done_with(&p, 3, false, 1, 2,
                                                 &(RunnerRetry){ false, 1500000 }, "", 0),
                         0);
        assert_packet(&p, "DONE 3 failure 1 2 retry-after=1500000\n");
        ck_assert_int_eq(runner_packet_done_with(&p, 3, false, 1, 2,
                                                 &(RunnerRetry){ false, UINT64_MAX }, "", 0),
                         0);
        assert_packet(&p, "DONE 3 failure 1 2\n");
        ck_assert_int_eq(runner_packet_done_with(&p, 3, false, 1, 2,
                                                 &(RunnerRetry){ true, 0, RUNNER_REASON_TIMEOUT },
                                                 "late", 4),
                         0);
        assert_packet(&p, "DONE 3 failure 1 2 reason=timeout retry=no\nlate");
        p.usage = (RunnerUsage){ true, 1500, 4096 };
        ck_assert_int_eq(runner_packet_done_with(&p, 3, true, 1, 2, NULL, "1", 1), 0);
        assert_packet(&p, "DONE 3 success 1 2 cpu=1500 memory-peak=4096\n1");
        ck_assert_int_eq(runner_packet_progress(&p, 3, 4207, "half", 4), 0);
        assert_packet(&p, "PROGRESS 3 42.07\nhalf");
        ck_assert_int_eq(runner_packet_progress(&p, 3, 20000, "", 0), 0);
        assert_packet(&p, "PROGRESS 3 100\n");
}
END_TEST

START_TEST(test_decode_options) {
        static const struct {
                const char *text;
                unsigned percent;
        } progress[] = {
                { "0", 0 },       { "42", 4200 },         { "42.5", 4250 }, { "99.99999", 9999 },
                { "100", 10000 }, { "1e-05", 0 },         { "1.5e-05", 0 }, { "1000", 10000 },
                { "0.01", 1 },    { "123456789", 10000 },
        };
        RunnerMessage m;

        assert_decodes(
                "RUN 1 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 2 add traceparent=00-ab timeout=7 "
                "soft-timeout=5 colour=blue retry=no\n",
                &m);
        ck_assert_uint_eq(m.timeout_usec, 7);
        ck_assert_uint_eq(m.soft_timeout_usec, 5);
        ck_assert_uint_eq(m.traceparent.iov_len, 5);
        ck_assert_mem_eq(m.traceparent.iov_base, "00-ab", 5);
        ck_assert(!m.no_retry);
        assert_decodes("DONE 3 failure 10 20 retry=no timeout=x\nwhy", &m);
        ck_assert(m.no_retry && !m.has_retry_after);
        assert_decodes("DONE 3 failure 10 20 retry=perhaps retry-after=0 fd=7\n", &m);
        ck_assert(!m.no_retry && m.has_retry_after && m.in_fd);
        ck_assert_uint_eq(m.retry_after_usec, 0);
        ck_assert_int_eq(m.reason, RUNNER_REASON_NONE);
        assert_decodes("DONE 3 failure 10 20 reason=exit retry=no\n", &m);
        ck_assert_int_eq(m.reason, RUNNER_REASON_EXIT);
        ck_assert(!m.usage.is_known);
        assert_decodes("DONE 3 success 10 20 cpu=1500 memory-peak=4096\n1", &m);
        ck_assert(m.usage.is_known);
        ck_assert_uint_eq(m.usage.cpu_usec, 1500);
        ck_assert_uint_eq(m.usage.memory_peak_bytes, 4096);
        assert_decodes("DONE 3 failure 10 20 reason=exit retry=no\n", &m);
        ck_assert(m.no_retry);
        assert_decodes("DONE 3 failure 10 20 reason=flood\n", &m);
        ck_assert_int_eq(m.reason, RUNNER_REASON_NONE);
        for (size_t i = 0; i < ELEMENTSOF(progress); i++) {
                _cleanup_free_ char *text =
                        format_string("PROGRESS 5 %s later=1\nhalf", progress[i].text);

                assert_decodes(text, &m);
                ck_assert_int_eq(m.verb, RUNNER_PROGRESS);
                ck_assert_uint_eq(m.seq, 5);
                ck_assert_uint_eq(m.percent, progress[i].percent);
        }
}
END_TEST

START_TEST(test_compose_limits) {
        static const char big[RUNNER_INLINE_MAX + 1];
        char name[RUNNER_NAME_MAX + 2], parent[RUNNER_TRACEPARENT_MAX + 2];
        RunnerRunOptions o = { INT64_MAX, INT64_MAX, NULL };
        RunnerPacket p = { .fd = -EBADF };
        TaskId id = test_id();
        RunnerMessage m;

        memset(name, 'n', sizeof(name));
        name[RUNNER_NAME_MAX + 1] = '\0';
        memset(parent, 'p', sizeof(parent));
        parent[RUNNER_TRACEPARENT_MAX + 1] = '\0';
        ck_assert_int_eq(runner_packet_run(&p, 1, &id, 1, name, NULL, 0), -EMSGSIZE);
        ck_assert_int_eq(runner_packet_run(&p, 1, &id, 1, "", NULL, 0), -EMSGSIZE);

        /* The longest line there can be, with all numbers at their greatest. */
        name[RUNNER_NAME_MAX] = '\0';
        o.traceparent = parent;
        ck_assert_int_eq(runner_packet_run_with(&p, 1, &id, 1, "x", &o, NULL, 0), -EMSGSIZE);
        parent[RUNNER_TRACEPARENT_MAX] = '\0';
        ck_assert_int_eq(
                runner_packet_run_with(&p, INT64_MAX, &id, INT64_MAX, name, &o, big, sizeof(big)),
                0);
        runner_packet_clear(&p);
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

        assert_decodes("FORECAST 5 of 7 \nhalf", &m);
        ck_assert_int_eq(m.verb, _RUNNER_VERB_INVALID);
        assert_decodes("DONE 3 success 10 20 memory=77 colour=\n8", &m);
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
                "PROGRESS 5\n",
                "PROGRESS 5 half\n",
                "PROGRESS 5 -1\n",
                "PROGRESS 5 4.\n",
                "PROGRESS 5 1e5\n",
                "PROGRESS 5 1e-\n",
                "DONE 3 failure 1 2 retry-after=soon\n",
                "RUN 1 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 1 a timeout=\n",
                "RUN 1 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 1 a traceparent=\n",
        };
        RunnerMessage m;

        ck_assert_int_eq(runner_decode(bad[_i], strlen(bad[_i]), &m), -EBADMSG);
}
END_TEST
#define N_MALFORMED 34

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
        tcase_add_test(c, test_compose_options);
        tcase_add_test(c, test_decode);
        tcase_add_test(c, test_decode_options);
        tcase_add_test(c, test_decode_later_version);
        tcase_add_loop_test(c, test_decode_malformed, 0, N_MALFORMED);
        tcase_add_test(c, test_decode_long_line);
        suite_add_tcase(s, c);
        return check_run(s);
}
