/* SPDX-License-Identifier: MIT */

/* One client, and waiting for it together with signals and stdin. */

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "cli.h"
#include "json-util.h"
#include "parse-util.h"
#include "time-util.h"

#define NOTICE_USEC USEC_PER_SEC

static int signal_fd = -EBADF;

int session_failed(fastworker_client *c, int error) {
        const char *text = fastworker_client_get_error(c),
                   *code = fastworker_client_get_error_code(c);

        if (!isempty(code))
                return complain(CLI_REFUSED, "%s", text);
        switch (error) {
        case -ETIMEDOUT:
                return complain(CLI_UNREACHABLE, "%s", text);
        case -EINVAL:
                return complain(CLI_USAGE, "%s", text);
        case -EACCES:
        case -EMSGSIZE:
                return complain(CLI_REFUSED, "%s", text);
        default:
                return complain(CLI_TROUBLE, "%s", isempty(text) ? strerror(-error) : text);
        }
}

int session_timeout(uint64_t fallback_usec, uint64_t *ret_usec) {
        const char *variable = getenv("FASTWORKER_TIMEOUT");

        *ret_usec = arg_timeout_usec > 0 ? arg_timeout_usec : fallback_usec;
        if (arg_timeout_usec == 0 && !isempty(variable) &&
            parse_usec(variable, USEC_PER_MSEC, USEC_INFINITY, ret_usec) < 0)
                return complain(
                        CLI_USAGE,
                        "FASTWORKER_TIMEOUT=%s is not a time of 1 ms or more, such as 30 or 500ms",
                        variable);
        return 0;
}

uint64_t session_deadline(uint64_t timeout_usec) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        return timeout_usec > USEC_INFINITY - now ? USEC_INFINITY : now + timeout_usec;
}

static void say_where(fastworker_client *c) {
        const char *address = fastworker_client_get_address(c);

        if (address)
                fprintf(stderr, "Waiting for the coordinator at %s ...\n", address);
        else
                fprintf(stderr, "Asking where the coordinator is ...\n");
}

/* People are told why nothing happens. */
static int wait_for_greeting(fastworker_client *c, uint64_t deadline) {
        uint64_t notice =
                isatty(STDERR_FILENO) ? now_usec(CLOCK_MONOTONIC) + NOTICE_USEC : USEC_INFINITY;
        int r;

        r = fastworker_client_start(c);
        if (r < 0)
                return session_failed(c, r);
        while (!fastworker_client_is_connected(c)) {
                uint64_t now = now_usec(CLOCK_MONOTONIC), until = MIN(notice, deadline);

                if (now >= deadline) {
                        const char *address = fastworker_client_get_address(c);

                        if (address)
                                return complain(CLI_UNREACHABLE, "no coordinator answers at %s",
                                                address);
                        return complain(
                                CLI_UNREACHABLE,
                                "no coordinator answers; say where it is with --address "
                                "or FASTWORKER_BASE_ADDRESS, or ask elsewhere with --discovery-address");
                }
                if (now >= notice) {
                        say_where(c);
                        notice = USEC_INFINITY;
                        continue;
                }
                r = fastworker_client_run(c, until == USEC_INFINITY ? until : until - now);
                if (r < 0 && r != -EINTR)
                        return session_failed(c, r);
        }
        return 0;
}

int session_connect(uint64_t timeout_usec, fastworker_client **ret) {
        _cleanup_client_ fastworker_client *c = NULL;
        int r;

        r = fastworker_client_new(&c);
        if (r < 0)
                return complain(CLI_TROUBLE, "cannot make a client: %s", strerror(-r));
        r = fastworker_client_set_address(c, arg_address);
        if (r >= 0)
                r = fastworker_client_set_discovery_address(c, arg_discovery_address);
        if (r >= 0)
                r = fastworker_client_set_timeout(c, timeout_usec);
        if (r < 0)
                return session_failed(c, r);
        r = wait_for_greeting(c, session_deadline(timeout_usec));
        if (r != 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

int session_open(uint64_t fallback_usec, fastworker_client **ret) {
        uint64_t timeout;
        int r;

        r = session_timeout(fallback_usec, &timeout);
        return r != 0 ? r : session_connect(timeout, ret);
}

int session_show(int (*ask)(fastworker_client *c, char **ret_json),
                 int (*show)(struct json_object *o)) {
        _cleanup_client_ fastworker_client *c = NULL;
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_free_ char *text = NULL;
        int r, status;

        r = session_open(TIMEOUT_QUESTION_USEC, &c);
        if (r != 0)
                return r;
        r = ask(c, &text);
        if (r < 0)
                return session_failed(c, r);
        return print_or_parse(text, &o, &status) == 0 ? status : show(o);
}

int session_hold_signals(void) {
        sigset_t set;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGINT);
        (void) sigaddset(&set, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return complain(CLI_TROUBLE, "cannot block signals: %s", strerror(errno));
        signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (signal_fd < 0)
                return complain(CLI_TROUBLE, "cannot watch for signals: %s", strerror(errno));
        return 0;
}

static int read_signal(int *ret_signal) {
        struct signalfd_siginfo info;

        if (read(signal_fd, &info, sizeof(info)) != (ssize_t) sizeof(info))
                return 0;
        *ret_signal = (int) info.ssi_signo;
        return -EINTR;
}

int session_turn(fastworker_client *c, int fd, uint64_t deadline_usec, int *ret_signal) {
        struct pollfd fds[] = {
                { .fd = fastworker_client_get_fd(c), .events = POLLIN },
                { .fd = signal_fd, .events = POLLIN },
                { .fd = fd, .events = POLLIN },
        };
        uint64_t now, until;
        int r;

        r = fastworker_client_process(c);
        if (r != 0)
                return MIN(r, 0);

        (void) fflush(stdout); /* before it gets quiet */
        (void) fastworker_client_get_timeout(c, &until);
        now = now_usec(CLOCK_MONOTONIC);
        if (now >= deadline_usec)
                return -ETIMEDOUT;
        until = MIN(until, deadline_usec);
        r = poll(fds, ELEMENTSOF(fds),
                 usec_to_poll_msec(until == USEC_INFINITY ? until
                                   : until > now          ? until - now
                                                          : 0));
        if (r < 0)
                return errno == EINTR ? 0 : -errno;
        if (fds[1].revents)
                return read_signal(ret_signal);
        return fds[2].revents != 0;
}
