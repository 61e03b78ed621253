/* SPDX-License-Identifier: MIT */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "check-util.h"
#include "listen-fds.h"
#include "log.h"

/* Passed descriptors have fixed numbers from 3 on, which libcheck uses itself. So each case runs in a child
 * that has nothing but its sockets, and that must not call anything of libcheck. */

#define FIRST_FD 3

static const char *const wanted[] = { "client", "worker", NULL };

#define require(condition)                                                             \
        do {                                                                           \
                if (!(condition)) {                                                    \
                        dprintf(STDOUT_FILENO, "line %d: %s\n", __LINE__, #condition); \
                        _exit(1);                                                      \
                }                                                                      \
        } while (0)

static void close_all(void) {
        for (int fd = FIRST_FD; fd < 64; fd++)
                (void) close(fd);
}

static void run_in_child(void (*f)(void)) {
        int status;
        pid_t pid;

        (void) fflush(NULL);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                close_all();
                f();
                _exit(0);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
        ck_assert_int_eq(WEXITSTATUS(status), 0);
}

/* The sockets take the next free numbers, from FIRST_FD on. */
static int make_tcp(bool listening) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        require(fd >= 0);
        require(bind(fd, (const struct sockaddr *) &a, sizeof(a)) == 0);
        require(!listening || listen(fd, 1) == 0);
        return fd;
}

static int make_unix(const char *path, size_t n) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        require(fd >= 0 && n <= sizeof(a.sun_path));
        memcpy(a.sun_path, path, n);
        require(bind(fd, (const struct sockaddr *) &a,
                     (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n)) == 0);
        require(listen(fd, 1) == 0);
        return fd;
}

static void set_environment(int n, const char *names) {
        char text[32];

        (void) snprintf(text, sizeof(text), "%d", (int) getpid());
        require(setenv("LISTEN_PID", text, 1) == 0);
        (void) snprintf(text, sizeof(text), "%d", n);
        require(setenv("LISTEN_FDS", text, 1) == 0);
        require(names ? setenv("LISTEN_FDNAMES", names, 1) == 0 : unsetenv("LISTEN_FDNAMES") == 0);
}

/* Takes them; what was logged is a fresh string. */
static char *take(ListenFds **ret) {
        int log = memfd_create("log", MFD_CLOEXEC);
        char *text = calloc(1, 4096);

        require(log >= 0 && text);
        require(dup2(log, STDERR_FILENO) >= 0);
        log_open("t");
        require(listen_fds_new(wanted, ret) == 0);
        require(pread(log, text, 4095, 0) >= 0);
        safe_close(log);
        return text;
}

static bool is_open(int fd) {
        return fcntl(fd, F_GETFD) >= 0;
}

static void with_good_sockets(void) {
        _cleanup_free_ char *log = NULL;
        char path[64], expected[72];
        ListenFds *l = NULL;
        const char *address;
        unsigned port;
        bool is_tcp;
        int fd;

        (void) snprintf(path, sizeof(path), "%s/client.sock", test_directory);
        (void) snprintf(expected, sizeof(expected), "ipc://%s", path);
        require(make_unix(path, strlen(path) + 1) == 3);
        require(make_tcp(true) == 4);
        require(make_tcp(true) == 5);
        set_environment(3, "client:worker:client");
        log = take(&l);
        require(streq(log, ""));
        require(!getenv("LISTEN_FDS") && !getenv("LISTEN_PID") && !getenv("LISTEN_FDNAMES"));

        require(listen_fds_get(l, "client", 0, &fd, &is_tcp, &address) == 0);
        require(fd == 3 && !is_tcp && streq(address, expected));
        require(listen_fds_get(l, "client", 1, &fd, &is_tcp, &address) == 0);
        require(fd == 5 && is_tcp && sscanf(address, "tcp://127.0.0.1:%u", &port) == 1 && port > 0);
        require(listen_fds_get(l, "client", 2, &fd, &is_tcp, &address) == -ENOENT);
        require(listen_fds_get(l, "worker", 0, &fd, &is_tcp, &address) == 0);
        require(fd == 4 && is_tcp);
        require(listen_fds_get(l, "discovery", 0, &fd, &is_tcp, &address) == -ENOENT);
        for (fd = 3; fd <= 5; fd++)
                require((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);

        require(!listen_fds_free(l));
        for (fd = 3; fd <= 5; fd++)
                require(!is_open(fd));
}

START_TEST(test_good) {
        run_in_child(with_good_sockets);
}
END_TEST

static void with_unwanted_sockets(void) {
        _cleanup_free_ char *log = NULL;
        ListenFds *l = NULL;
        const char *address;
        bool is_tcp;
        int fd;

        require(make_tcp(true) == 3);
        require(make_tcp(true) == 4);
        require(make_tcp(false) == 5);
        require(socket(AF_INET, SOCK_DGRAM, 0) == 6);
        require(open("/dev/null", O_RDONLY) == 7);
        set_environment(5, "telnet:worker:client:client:client");
        log = take(&l);
        require(strstr(log, "\"telnet\""));
        require(strstr(log, "\"client\" is not a listening"));
        require(listen_fds_get(l, "worker", 0, &fd, &is_tcp, &address) == 0 && fd == 4);
        require(listen_fds_get(l, "client", 0, &fd, &is_tcp, &address) == -ENOENT);
        require(listen_fds_get(l, "telnet", 0, &fd, &is_tcp, &address) == -ENOENT);
        require(!is_open(3) && is_open(4) && !is_open(5) && !is_open(6) && !is_open(7));
        listen_fds_free(l);
}

START_TEST(test_unwanted) {
        run_in_child(with_unwanted_sockets);
}
END_TEST

/* Without FileDescriptorName= systemd gives the name of the unit, without LISTEN_FDNAMES "unknown". */
static void without_names(void) {
        _cleanup_free_ char *log = NULL;
        ListenFds *l = NULL;

        require(make_tcp(true) == 3);
        set_environment(1, NULL);
        log = take(&l);
        require(strstr(log, "\"unknown\""));
        require(!is_open(3));
        listen_fds_free(l);
}

START_TEST(test_no_names) {
        run_in_child(without_names);
}
END_TEST

static void with_abstract_socket(void) {
        _cleanup_free_ char *log = NULL;
        char raw[64] = "", expected[72];
        ListenFds *l = NULL;
        const char *address;
        bool is_tcp;
        int fd;

        (void) snprintf(raw + 1, sizeof(raw) - 1, "fastworker-check-%d", (int) getpid());
        (void) snprintf(expected, sizeof(expected), "ipc://@%s", raw + 1);
        require(make_unix(raw, strlen(raw + 1) + 1) == 3);
        set_environment(1, "client");
        log = take(&l);
        require(listen_fds_get(l, "client", 0, &fd, &is_tcp, &address) == 0);
        require(!is_tcp && streq(address, expected));
        listen_fds_free(l);
}

START_TEST(test_abstract) {
        run_in_child(with_abstract_socket);
}
END_TEST

static void with_ipv6_socket(void) {
        _cleanup_free_ char *log = NULL;
        ListenFds *l = NULL;
        const char *address;
        unsigned port;
        bool is_tcp;
        int fd = socket(AF_INET6, SOCK_STREAM, 0);
        struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };

        if (fd < 0 || bind(fd, (const struct sockaddr *) &a, sizeof(a)) < 0)
                return; /* a machine without IPv6 */
        require(fd == 3 && listen(fd, 1) == 0);
        set_environment(1, "client");
        log = take(&l);
        require(listen_fds_get(l, "client", 0, &fd, &is_tcp, &address) == 0);
        require(is_tcp && sscanf(address, "tcp://[::1]:%u", &port) == 1 && port > 0);
        listen_fds_free(l);
}

START_TEST(test_ipv6) {
        run_in_child(with_ipv6_socket);
}
END_TEST

static void with_nothing(void) {
        _cleanup_free_ char *log = NULL;
        ListenFds *l = NULL;
        const char *address;
        bool is_tcp;
        int fd;

        require(unsetenv("LISTEN_FDS") == 0 && unsetenv("LISTEN_PID") == 0);
        log = take(&l);
        require(streq(log, ""));
        require(listen_fds_get(l, "client", 0, &fd, &is_tcp, &address) == -ENOENT);
        require(!listen_fds_free(l));
        require(!listen_fds_free(NULL));
}

START_TEST(test_nothing) {
        run_in_child(with_nothing);
}
END_TEST

/* The variables of a parent are not for us. */
static void with_other_pid(void) {
        _cleanup_free_ char *log = NULL;
        ListenFds *l = NULL;
        const char *address;
        bool is_tcp;
        int fd;

        require(make_tcp(true) == 3);
        set_environment(1, "client");
        require(setenv("LISTEN_PID", "1", 1) == 0);
        log = take(&l);
        require(listen_fds_get(l, "client", 0, &fd, &is_tcp, &address) == -ENOENT);
        require(!getenv("LISTEN_FDS"));
        require(is_open(3));
        listen_fds_free(l);
}

START_TEST(test_other_pid) {
        run_in_child(with_other_pid);
}
END_TEST

int main(void) {
        Suite *s = suite_create("listen-fds");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup_directory, teardown_directory);
        tcase_add_test(t, test_good);
        tcase_add_test(t, test_unwanted);
        tcase_add_test(t, test_no_names);
        tcase_add_test(t, test_abstract);
        tcase_add_test(t, test_ipv6);
        tcase_add_test(t, test_nothing);
        tcase_add_test(t, test_other_pid);
        suite_add_tcase(s, t);
        return check_run(s);
}
