/* SPDX-License-Identifier: MIT */

/* locate.c and discover.c: where the coordinator is. */

#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "client-fixture.h"
#include "client-internal.h"
#include "time-util.h"

#define check_place(n, expected, discovery)                         \
        do {                                                        \
                Place _place = {};                                  \
                ck_assert_ok(locate(client, (n), &_place));         \
                ck_assert_str_eq(_place.address, (expected));       \
                ck_assert_int_eq(_place.is_discovery, (discovery)); \
                place_done(&_place);                                \
        } while (false)

START_TEST(the_order_of_places) {
        _cleanup_free_ char *path = path_in("local.sock"), *address = NULL,
                            *beside = path_in("none.sock");

        check_place(0, "tcp://127.0.0.1:5550", true);
        setenv("FASTWORKER_DISCOVERY_ADDRESS", "tcp://127.0.0.1:5650", 1);
        check_place(0, "tcp://127.0.0.1:5650", true);

        setenv("FASTWORKER_LOCAL_SOCKET", beside, 1);
        check_place(0, "tcp://127.0.0.1:5650", true);
        address = format_string("ipc://%s", path);
        fake = fake_new(address);
        setenv("FASTWORKER_LOCAL_SOCKET", path, 1);
        check_place(0, address, false);
        check_place(1, "tcp://127.0.0.1:5650", true);
        setenv("FASTWORKER_LOCAL_SOCKET", address, 1);
        check_place(0, address, false);

        setenv("FASTWORKER_BASE_ADDRESS", "tcp://127.0.0.1:5655", 1);
        check_place(0, "tcp://127.0.0.1:5655", false);
        ck_assert_ok(fastworker_client_set_discovery_address(client, "tcp://127.0.0.1:5750"));
        check_place(0, "tcp://127.0.0.1:5750", true);
        ck_assert_ok(fastworker_client_set_address(client, "tcp://127.0.0.1:5755"));
        check_place(0, "tcp://127.0.0.1:5755", false);
}
END_TEST

/* What somebody is told who may not use the socket. Root may use any. */
static void check_denied(const char *address, const char *expected) {
        uint64_t began = now_usec(CLOCK_MONOTONIC);
        int status;
        pid_t pid;

        pid = fork();
        if (pid == 0) {
                char *json;

                if (geteuid() == 0 &&
                    (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
                     setresuid(65534, 65534, 65534) < 0))
                        _exit(10);
                if (fastworker_client_connect(client) != -EACCES)
                        _exit(11);
                if (!strstr(fastworker_client_get_error(client), expected))
                        _exit(12);
                if (fastworker_discover(client, address, &json) != -EACCES)
                        _exit(13);
                _exit(strstr(fastworker_client_get_error(client), expected) ? 0 : 14);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        ck_assert_uint_lt(now_usec(CLOCK_MONOTONIC) - began, 10 * USEC_PER_SEC);
}

/* Somebody who may not use the socket is told so at once; of the local one, unless another coordinator answers. */
START_TEST(a_socket_that_is_denied) {
        _cleanup_free_ char *path = path_in("local.sock"),
                            *address = format_string("ipc://%s", path);
        bool is_root = geteuid() == 0;
        const char *text = is_root ? "is for members of group root" : "Permission denied";

        fake = fake_new(address);
        setenv("FASTWORKER_LOCAL_SOCKET", path, 1);
        setenv("FASTWORKER_DISCOVERY_ADDRESS", "tcp://127.0.0.1:1", 1);
        ck_assert_int_eq(chown(path, (uid_t) -1, getegid()), 0);
        ck_assert_int_eq(chmod(path, is_root ? 0660 : 0), 0);
        ck_assert_int_eq(chmod(test_directory, 0755), 0);
        check_denied(address, text);

        /* The same with an address that was given, in each of the ways. */
        unsetenv("FASTWORKER_LOCAL_SOCKET");
        setenv("FASTWORKER_BASE_ADDRESS", address, 1);
        check_denied(address, text);
        unsetenv("FASTWORKER_BASE_ADDRESS");
        ck_assert_ok(fastworker_client_set_discovery_address(client, address));
        check_denied(address, text);
        ck_assert_ok(fastworker_client_set_address(client, address));
        check_denied(address, text);

        /* No group would help. */
        ck_assert_int_eq(chmod(path, is_root ? 0600 : 0), 0);
        check_denied(address, "you may not connect to");
        ck_assert_int_eq(chmod(test_directory, is_root ? 0700 : 0), 0);
        check_denied(address, "you may not connect to");
        ck_assert_int_eq(chmod(test_directory, 0700), 0);
}
END_TEST

START_TEST(wildcards_become_loopback) {
        setenv("FASTWORKER_BASE_ADDRESS", "tcp://0.0.0.0:5555", 1);
        check_place(0, "tcp://127.0.0.1:5555", false);
        setenv("FASTWORKER_BASE_ADDRESS", "tcp://*:5555", 1);
        check_place(0, "tcp://127.0.0.1:5555", false);
        setenv("FASTWORKER_BASE_ADDRESS", "tcp://[::]:5555", 1);
        check_place(0, "tcp://[::1]:5555", false);
}
END_TEST

START_TEST(bad_variables_are_named) {
        Place place;

        setenv("FASTWORKER_DISCOVERY_ADDRESS", "udp://x", 1);
        ck_assert_fails(locate(client, 0, &place), EINVAL, "FASTWORKER_DISCOVERY_ADDRESS=udp://x");
        setenv("FASTWORKER_BASE_ADDRESS", "tcp://127.0.0.1:*", 1);
        ck_assert_fails(locate(client, 0, &place), EINVAL,
                        "FASTWORKER_BASE_ADDRESS=tcp://127.0.0.1:*");
}
END_TEST

static int choose(const char *asked, const char *json, char **ret) {
        struct iovec info = { (char *) json, strlen(json) };

        return locate_choose(client, asked, &info, ret);
}

#define check_choice(asked, json, expected)                       \
        do {                                                      \
                _cleanup_free_ char *_address = NULL;             \
                ck_assert_ok(choose((asked), (json), &_address)); \
                ck_assert_str_eq(_address, (expected));           \
        } while (false)

START_TEST(the_best_endpoint) {
        _cleanup_free_ char *json = NULL;

        check_choice("tcp://127.0.0.1:5550",
                     "{\"protocol\":[1,1],\"client\":[\"tcp://127.0.0.1:5555\"]}",
                     "tcp://127.0.0.1:5555");
        /* Whoever asked at this host can reach this host. */
        check_choice("tcp://queue.example:5550",
                     "{\"protocol\":[1,2],\"client\":[\"tcp://0.0.0.0:5555\"]}",
                     "tcp://queue.example:5555");
        check_choice("tcp://[fd00::1]:5550", "{\"protocol\":[0,1],\"client\":[\"tcp://*:5555\"]}",
                     "tcp://[fd00::1]:5555");
        check_choice(
                "tcp://127.0.0.1:5550",
                "{\"protocol\":[1,1],\"client\":[\"ipc:///nowhere/x.sock\",\"tcp://127.0.0.1:5555\"]}",
                "tcp://127.0.0.1:5555");

        fake = fake_new(private_address("control.sock"));
        json = format_string("{\"protocol\":[1,1],\"client\":[\"tcp://127.0.0.1:5555\",\"%s\"]}",
                             fake_address(fake));
        check_choice("tcp://127.0.0.1:5550", json, "tcp://127.0.0.1:5555");
        check_choice("ipc:///some/discovery.sock", json, fake_address(fake));
}
END_TEST

START_TEST(answers_of_no_use) {
        char *address;

        ck_assert_fails(choose("tcp://127.0.0.1:5550", "[]", &address), EBADMSG, "not JSON");
        ck_assert_fails(
                choose("tcp://127.0.0.1:5550", "{\"client\":[\"tcp://127.0.0.1:5555\"]}", &address),
                EPROTONOSUPPORT, "version");
        ck_assert_fails(choose("tcp://127.0.0.1:5550",
                               "{\"protocol\":[2,3],\"client\":[\"tcp://127.0.0.1:5555\"]}",
                               &address),
                        EPROTONOSUPPORT, "version 1");
        ck_assert_fails(
                choose("tcp://127.0.0.1:5550", "{\"protocol\":[1,1],\"client\":[]}", &address),
                EADDRNOTAVAIL, "endpoint");
        ck_assert_fails(choose("tcp://127.0.0.1:5550",
                               "{\"protocol\":[1,1],\"client\":[7,\"x\",\"tcp://127.0.0.1:*\"]}",
                               &address),
                        EADDRNOTAVAIL, "endpoint");
}
END_TEST

START_TEST(a_client_discovers) {
        fastworker_submission s = { .name = "echo" };
        fastworker_result *result;

        fake = fake_new("tcp://127.0.0.1:*");
        setenv("FASTWORKER_DISCOVERY_ADDRESS", fake_address(fake), 1);
        ck_assert_ok(fastworker_client_connect(client));
        ck_assert_str_eq(fastworker_client_get_address(client), fake_address(fake));
        ck_assert_ok(fastworker_submit_and_wait(client, &s, LONG_USEC, &result));
        fastworker_result_free(result);
        /* Also after a restart, which it learns at the address that it has found. */
        fake_stop(fake);
        fake_start(fake);
        ck_assert_ok(fastworker_submit_and_wait(client, &s, LONG_USEC, &result));
        fastworker_result_free(result);
}
END_TEST

/* The coordinator comes back somewhere else: discovery is asked again, and nothing is lost. */
START_TEST(a_client_follows) {
        _cleanup_free_ char *first = NULL, *second = NULL;
        Fake *discovery;
        Seen *seen = watch_results();

        fake = fake_new(private_address("first.sock"));
        first = strdup(fake_address(fake));
        discovery = fake_new(private_address("discovery.sock"));
        fake_stop(discovery);
        fake_announce(discovery, first);
        fake_start(discovery);

        ck_assert_ok(fastworker_client_set_discovery_address(client, fake_address(discovery)));
        ck_assert_ok(fastworker_client_connect(client));
        ck_assert_str_eq(fastworker_client_get_address(client), first);

        fake = fake_free(fake);
        submit_many("echo", 0, 3);
        fake_stop(discovery);
        fake = fake_new(private_address("second.sock"));
        second = strdup(fake_address(fake));
        fake_announce(discovery, second);
        fake_start(discovery);
        run_until_done();
        ck_assert_uint_eq(seen->n_success, 3);
        ck_assert_str_eq(fastworker_client_get_address(client), second);
        fake_free(discovery);
}
END_TEST

/* The socket is there, but its coordinator is not: another place is tried. */
START_TEST(a_stale_socket_is_passed_over) {
        _cleanup_free_ char *path = path_in("stale.sock");
        Fake *stale = fake_new(private_address("stale.sock"));

        setenv("FASTWORKER_LOCAL_SOCKET", path, 1);
        fake = fake_new(private_address("discovery.sock"));
        setenv("FASTWORKER_DISCOVERY_ADDRESS", fake_address(fake), 1);
        {
                _cleanup_free_ char *moved = path_in("moved.sock");

                /* libzmq removes the socket's file when it closes; not under another name. */
                ck_assert_int_eq(rename(path, moved), 0);
                fake_free(stale);
                ck_assert_int_eq(rename(moved, path), 0);
        }
        ck_assert_ok(fastworker_client_connect(client));
        ck_assert_str_eq(fastworker_client_get_address(client), fake_address(fake));
}
END_TEST

START_TEST(discover_alone) {
        _cleanup_free_ char *json = NULL, *expected = NULL;

        fake = fake_new(private_address("discovery.sock"));
        ck_assert_ok(fastworker_discover(client, fake_address(fake), &json));
        expected = format_string("\"client\":[\"%s\"]", fake_address(fake));
        ck_assert_contains(json, expected);
}
END_TEST

START_TEST(discover_in_vain) {
        char *json = NULL;

        ck_assert_fails(fastworker_discover(client, "nowhere", &json), EINVAL, "\"nowhere\"");
        ck_assert_ok(fastworker_client_set_timeout(client, 50 * USEC_PER_MSEC));
        ck_assert_fails(fastworker_discover(client, private_address("nobody.sock"), &json),
                        ETIMEDOUT, "nobody.sock");
        fake = fake_new(private_address("discovery.sock"));
        fake_refuse_all(fake, "denied", "not for you");
        ck_assert_ok(fastworker_client_set_timeout(client, LONG_USEC));
        ck_assert_fails(fastworker_discover(client, fake_address(fake), &json), EACCES,
                        "not for you");
        ck_assert_ptr_null(json);
}
END_TEST

int main(void) {
        Suite *s = suite_create("client: locate");
        TCase *t = tcase_create("locate");

        tcase_add_checked_fixture(t, setup_nothing, teardown_all);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, the_order_of_places);
        tcase_add_test(t, a_socket_that_is_denied);
        tcase_add_test(t, wildcards_become_loopback);
        tcase_add_test(t, bad_variables_are_named);
        tcase_add_test(t, the_best_endpoint);
        tcase_add_test(t, answers_of_no_use);
        tcase_add_test(t, a_client_discovers);
        tcase_add_test(t, a_client_follows);
        tcase_add_test(t, a_stale_socket_is_passed_over);
        tcase_add_test(t, discover_alone);
        tcase_add_test(t, discover_in_vain);
        suite_add_tcase(s, t);
        return check_run(s);
}
