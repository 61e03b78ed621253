/* SPDX-License-Identifier: MIT */

#include <sys/socket.h>
#include <sys/un.h>

#include "check-util.h"
#include "locate.h"

static void assert_located(const char *info, const char *asked, const char *expected) {
        _cleanup_free_ char *address = NULL;

        ck_assert_int_eq(locate_worker_address(info, strlen(info), asked, &address), 0);
        ck_assert_str_eq(address, expected);
}

static int locate(const char *info, const char *asked) {
        char *address = NULL;
        int r = locate_worker_address(info, strlen(info), asked, &address);

        ck_assert_ptr_null(address);
        return r;
}

START_TEST(test_tcp) {
        static const char one[] =
                "{\"worker\":[\"tcp://10.0.0.1:5560\"],\"client\":[\"tcp://10.0.0.1:5555\"]}";

        assert_located(one, "tcp://127.0.0.1:5555", "tcp://10.0.0.1:5560");
        assert_located(one, "ipc:///run/fastworker/control.sock", "tcp://10.0.0.1:5560");
        assert_located("{\"worker\":[\"tcp://h1:1\",\"tcp://h2:2\"]}", "tcp://h:5555",
                       "tcp://h1:1");
}
END_TEST

START_TEST(test_wildcard) {
        assert_located("{\"worker\":[\"tcp://0.0.0.0:5560\"]}", "tcp://box.example:5555",
                       "tcp://box.example:5560");
        assert_located("{\"worker\":[\"tcp://*:5560\"]}", "tcp://[fd00::1]:5555",
                       "tcp://[fd00::1]:5560");
        assert_located("{\"worker\":[\"tcp://[::]:5560\"]}", "tcp://10.1.2.3:5555",
                       "tcp://10.1.2.3:5560");
        assert_located("{\"worker\":[\"tcp://0.0.0.0:5560\"]}", "ipc:///run/x.sock",
                       "tcp://127.0.0.1:5560");
}
END_TEST

/* The transport over which we asked works, whatever else may. */
START_TEST(test_same_transport) {
        static const char both[] =
                "{\"worker\":[\"ipc:///run/fastworker/none.sock\",\"tcp://h:1\"]}";

        assert_located(both, "tcp://h:5555", "tcp://h:1");
        assert_located(both, "ipc:///run/fastworker/control.sock",
                       "ipc:///run/fastworker/none.sock");
        ck_assert_int_eq(locate("{\"worker\":[\"ipc:///nonexistent/none.sock\"]}", "tcp://h:5555"),
                         -ENOENT);
}
END_TEST

START_TEST(test_existing_socket) {
        _cleanup_free_ char *path = path_in("worker.sock");
        _cleanup_free_ char *info = format_string("{\"worker\":[\"ipc://%s\"]}", path);
        _cleanup_free_ char *expected = format_string("ipc://%s", path);
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        write_text(path, "a file, no socket");
        ck_assert_int_eq(locate(info, "tcp://h:5555"), -ENOENT);
        ck_assert_int_eq(unlink(path), 0);
        strcpy(a.sun_path, path);
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &a, sizeof(a)), 0);
        assert_located(info, "tcp://h:5555", expected);
        safe_close(fd);
}
END_TEST

START_TEST(test_nonsense) {
        static const char asked[] = "tcp://h:5555";

        ck_assert_int_eq(locate("", asked), -ENOENT);
        ck_assert_int_eq(locate("{}", asked), -ENOENT);
        ck_assert_int_eq(locate("{\"worker\":[]}", asked), -ENOENT);
        ck_assert_int_eq(locate("{\"worker\":\"tcp://h:1\"}", asked), -EBADMSG);
        ck_assert_int_eq(locate("{\"worker\":", asked), -EBADMSG);
        ck_assert_int_eq(locate("[]", asked), -EBADMSG);
        ck_assert_int_eq(
                locate("{\"worker\":[7,null,\"http://h\",\"tcp://h:*\",\"tcp://h\"]}", asked),
                -ENOENT);
        assert_located("{\"worker\":[7,\"what\",\"tcp://h:1\"]}", asked, "tcp://h:1");
}
END_TEST

int main(void) {
        Suite *s = suite_create("locate");
        TCase *c = tcase_create("locate");

        tcase_add_checked_fixture(c, setup_directory, teardown_directory);
        tcase_add_test(c, test_tcp);
        tcase_add_test(c, test_wildcard);
        tcase_add_test(c, test_same_transport);
        tcase_add_test(c, test_existing_socket);
        tcase_add_test(c, test_nonsense);
        suite_add_tcase(s, c);
        return check_run(s);
}
