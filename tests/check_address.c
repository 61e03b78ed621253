/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "parse-util.h"

#define HUNDRED \
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

START_TEST(test_good) {
        static const struct {
                const char *text, *host;
                uint16_t port;
                bool wildcard, local;
        } cases[] = {
                { "tcp://127.0.0.1:5555", "127.0.0.1", 5555, false, true },
                { "tcp://127.255.0.9:1", "127.255.0.9", 1, false, true },
                { "tcp://10.0.0.1:65535", "10.0.0.1", 65535, false, false },
                { "tcp://0.0.0.0:5555", "0.0.0.0", 5555, true, false },
                { "tcp://*:5555", "*", 5555, true, false },
                { "tcp://*:*", "*", 0, true, false },
                { "tcp://127.0.0.1:*", "127.0.0.1", 0, false, true },
                { "tcp://[::1]:5555", "::1", 5555, false, true },
                { "tcp://[::]:5555", "::", 5555, true, false },
                { "tcp://[2001:db8::7]:*", "2001:db8::7", 0, false, false },
                { "tcp://[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80, false, true },
                { "tcp://[::ffff:0.0.0.0]:80", "::ffff:0.0.0.0", 80, true, false },
                { "tcp://[::ffff:10.0.0.1]:80", "::ffff:10.0.0.1", 80, false, false },
                { "tcp://localhost:5555", "localhost", 5555, false, true },
                { "tcp://LocalHost:5555", "LocalHost", 5555, false, true },
                { "tcp://a-b.example.org:5555", "a-b.example.org", 5555, false, false },
                { "tcp://under_score:5555", "under_score", 5555, false, false },
                { "tcp://localhost.example.org:1", "localhost.example.org", 1, false, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;
                Address a;

                ck_assert_msg(address_parse(cases[i].text, &a) == 0, "%s is refused",
                              cases[i].text);
                ck_assert(a.is_tcp);
                ck_assert_str_eq(a.host, cases[i].host);
                ck_assert_uint_eq(a.port, cases[i].port);
                ck_assert_str_eq(a.path, "");
                ck_assert_msg(address_is_wildcard(&a) == cases[i].wildcard, "%s", cases[i].text);
                ck_assert_msg(address_is_local(&a) == cases[i].local, "%s", cases[i].text);
                text = address_to_string(&a);
                ck_assert_str_eq(text, cases[i].text);
        }
}
END_TEST

START_TEST(test_ipc) {
        static const char *const cases[] = {
                "ipc:///run/fastworker/control.sock",
                "ipc:///a",
                "ipc:///a b",
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;
                Address a;

                ck_assert_int_eq(address_parse(cases[i], &a), 0);
                ck_assert(!a.is_tcp);
                ck_assert_str_eq(a.host, "");
                ck_assert_str_eq(a.path, cases[i] + strlen("ipc://"));
                ck_assert(!address_is_wildcard(&a));
                ck_assert(address_is_local(&a));
                text = address_to_string(&a);
                ck_assert_str_eq(text, cases[i]);
        }
}
END_TEST

/* 100 bytes of path pass, 101 do not; nothing is cut. */
START_TEST(test_ipc_length) {
        _cleanup_free_ char *longest = format_string("ipc:///%.99s", HUNDRED);
        _cleanup_free_ char *longer = format_string("ipc:///%s", HUNDRED);
        _cleanup_free_ char *far_longer = format_string("ipc:///%s%s", HUNDRED, HUNDRED);
        Address a = {};

        ck_assert_int_eq(address_parse(longest, &a), 0);
        ck_assert_uint_eq(strlen(a.path), 100);
        ck_assert_int_eq(address_parse(longer, &a), -EINVAL);
        ck_assert_int_eq(address_parse(far_longer, &a), -EINVAL);
        ck_assert_uint_eq(strlen(a.path), 100);
}
END_TEST

START_TEST(test_host_length) {
        _cleanup_free_ char *longest =
                format_string("tcp://%s%s%.55s:1", HUNDRED, HUNDRED, "x" HUNDRED);
        _cleanup_free_ char *longer =
                format_string("tcp://%s%s%.56s:1", HUNDRED, HUNDRED, "x" HUNDRED);
        Address a;

        ck_assert_int_eq(address_parse(longest, &a), 0);
        ck_assert_uint_eq(strlen(a.host), 255);
        ck_assert_int_eq(address_parse(longer, &a), -EINVAL);
}
END_TEST

static const struct {
        const char *text;
        int r;
} bad_cases[] = {
        { NULL, -EINVAL },
        { "", -EINVAL },
        { "tcp", -EINVAL },
        { "tcp://", -EINVAL },
        { "TCP://127.0.0.1:1", -EINVAL },
        { "127.0.0.1:5555", -EINVAL },
        { "udp://127.0.0.1:5555", -EINVAL },
        { "inproc://x", -EINVAL },
        { "tcp://127.0.0.1", -EINVAL },
        { "tcp://127.0.0.1:", -EINVAL },
        { "tcp://:5555", -EINVAL },
        { "tcp://127.0.0.1:0", -ERANGE },
        { "tcp://127.0.0.1:65536", -ERANGE },
        { "tcp://127.0.0.1:5555x", -EINVAL },
        { "tcp://127.0.0.1:-1", -EINVAL },
        { "tcp://127.0.0.1:5555/", -EINVAL },
        { "tcp://127.0.0.1: 5555", -EINVAL },
        { " tcp://127.0.0.1:5555", -EINVAL },
        { "tcp://127.0.0.1:5555 ", -EINVAL },
        { "tcp://127.0.0:5555", -EINVAL }, /* neither an address nor a name */
        { "tcp://256.0.0.1:5555", -EINVAL },
        { "tcp://1.2.3.4.5:5555", -EINVAL },
        { "tcp://::1:5555", -EINVAL }, /* brackets are missing */
        { "tcp://[::1:5555", -EINVAL },
        { "tcp://[::1]5555", -EINVAL },
        { "tcp://[::1]", -EINVAL },
        { "tcp://[]:5555", -EINVAL },
        { "tcp://[127.0.0.1]:5555", -EINVAL },
        { "tcp://[localhost]:5555", -EINVAL },
        { "tcp://[::1%lo]:5555", -EINVAL },
        { "tcp://[*]:5555", -EINVAL },
        { "tcp://a..b:5555", -EINVAL },
        { "tcp://.a:5555", -EINVAL },
        { "tcp://a.:5555", -EINVAL },
        { "tcp://-a:5555", -EINVAL },
        { "tcp://a b:5555", -EINVAL },
        { "tcp://a;b:5555", -EINVAL },
        { "tcp://eth0;127.0.0.1:5555", -EINVAL },
        { "tcp://a\nb:5555", -EINVAL },
        { "tcp://\xc3\xa4:5555", -EINVAL },
        { "ipc://", -EINVAL },
        { "ipc:///", -EINVAL },
        { "ipc://relative", -EINVAL },
        { "ipc://@abstract", -EINVAL },
        { "ipc:///run/", -EINVAL },
        { "ipc:///a\nb", -EINVAL },
        { "ipc://*", -EINVAL },
};

START_TEST(test_bad) {
        for (size_t i = 0; i < ELEMENTSOF(bad_cases); i++) {
                Address a = { .port = 4711 };
                int r = address_parse(bad_cases[i].text, &a);

                ck_assert_msg(r == bad_cases[i].r, "\"%s\" gave %d", bad_cases[i].text, r);
                ck_assert_uint_eq(a.port, 4711);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("address");
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_good);
        tcase_add_test(t, test_ipc);
        tcase_add_test(t, test_ipc_length);
        tcase_add_test(t, test_host_length);
        tcase_add_test(t, test_bad);
        suite_add_tcase(s, t);
        return check_run(s);
}
