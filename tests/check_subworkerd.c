/* SPDX-License-Identifier: MIT */

/* The whole daemon as controld sees it. The test plays controld: it answers at a client and a worker endpoint,
 * says what it likes, and looks at what comes. Tasks that are to run for as long as the test wants wait for
 * it to open a FIFO. */

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "check-util.h"
#include "json-util.h"
#include "wire.h"
#include "zmq-util.h"

#define WAIT_MSEC     20000
#define ARGUMENTS_MAX 20

static void *context, *client_side, *worker_side;
static char *client_address, *worker_address;
static Frames received;
static WireMessage message; /* of the last message received */
static pid_t daemon_pid;
static char *fifo, *log_file;

/* --- sockets --- */

static void *bind_router(const char *address, char **ret) {
        static const SocketLimits limits = { .max_frame_bytes = 1 << 24,
                                             .high_water_messages = 1000 };
        void *socket;

        ck_assert_int_eq(zsocket_new(context, ZMQ_ROUTER, &limits, &socket), 0);
        ck_assert_int_eq(zsocket_bind(socket, address, -1), 0);
        ck_assert_int_eq(zsocket_last_endpoint(socket, ret), 0);
        return socket;
}

/* Receives the next message, whatever it is. */
static void receive(void *socket, const char *waiting_for) {
        zmq_pollitem_t item = { .socket = socket, .events = ZMQ_POLLIN };
        WireRefusal refusal;

        ck_assert_msg(zmq_poll(&item, 1, WAIT_MSEC) == 1, "no %s came", waiting_for);
        ck_assert_int_eq(frames_recv(&received, socket), 0);
        ck_assert_msg(wire_decode(received.iov + 1, received.n - 1, WIRE_WORKER_TO_CONTROLD,
                                  &message, &refusal) == 0,
                      "%s", refusal.text);
}

/* Waits for a message with the verb; what comes before it without being asked for is passed over. */
static void expect(WireVerb verb) {
        do
                receive(worker_side, wire_verb_to_string(verb));
        while (message.verb != verb &&
               (message.verb == WIRE_CAPACITY || message.verb == WIRE_STARTED ||
                message.verb == WIRE_HEARTBEAT));
        ck_assert_str_eq(wire_verb_to_string(message.verb), wire_verb_to_string(verb));
}

static void say(void *socket, const char *verb, const struct iovec *correlation, va_list ap) {
        const char *field;
        WireOut out = {};

        wire_begin(&out, wire_verb_from_string(verb), correlation);
        while ((field = va_arg(ap, const char *)))
                wire_put_string(&out, field);
        ck_assert_int_eq(wire_send(socket, &received.iov[0], &out), 0);
        wire_out_done(&out);
}

/* Answers the last message; tells its sender something. Fields until NULL. */
static void answer(const char *verb, ...) _sentinel_;
static void tell(const char *verb, ...) _sentinel_;

static void answer(const char *verb, ...) {
        va_list ap;

        va_start(ap, verb);
        say(worker_side, verb, &message.correlation, ap);
        va_end(ap);
}

static void tell(const char *verb, ...) {
        va_list ap;

        va_start(ap, verb);
        say(worker_side, verb, NULL, ap);
        va_end(ap);
}

/* --- the daemon --- */

static void start(char *first, ...) _sentinel_;

static void start(char *first, ...) {
        _cleanup_free_ char *address = format_string("--control-plane-address=%s", client_address);
        _cleanup_free_ char *config = format_string("--config=%s/daemon.conf", test_directory);
        char *argv[ARGUMENTS_MAX] = { (char *) "subworkerd", (char *) "--worker-id=sw1", address,
                                      config };
        posix_spawn_file_actions_t actions;
        int argc = 4;
        va_list ap;

        va_start(ap, first);
        for (char *a = first; a; a = va_arg(ap, char *))
                argv[argc++] = a;
        va_end(ap);
        ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
        ck_assert_int_eq(posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log_file,
                                                          O_WRONLY | O_CREAT | O_APPEND, 0600),
                         0);
        ck_assert_int_eq(posix_spawn(&daemon_pid, TOP_BUILDDIR "/fastworker-subworkerd", &actions,
                                     NULL, argv, environ),
                         0);
        (void) posix_spawn_file_actions_destroy(&actions);
}

/* Waits for the end of the daemon and returns its exit status. */
static int end(void) {
        int status;

        ck_assert_int_eq(waitpid(daemon_pid, &status, 0), daemon_pid);
        daemon_pid = 0;
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static char *read_log(void) {
        FILE *f = fopen(log_file, "re");
        char *text = calloc(1, 65536);

        ck_assert_ptr_nonnull(f);
        (void) !fread(text, 1, 65535, f);
        (void) fclose(f);
        return text;
}

/* Answers DISCOVER, then takes the registration (and does not answer it). */
static void expect_registration(void) {
        _cleanup_free_ char *info = format_string("{\"worker\":[\"%s\"]}", worker_address);
        WireOut out = {};

        receive(client_side, "DISCOVER");
        ck_assert_int_eq(message.verb, WIRE_DISCOVER);
        wire_begin(&out, WIRE_INFO, &message.correlation);
        wire_put_string(&out, info);
        ck_assert_int_eq(wire_send(client_side, &received.iov[0], &out), 0);
        wire_out_done(&out);
        expect(WIRE_REGISTER);
}

static void start_registered(void) {
        start((char *) "--task-modules=" ODD_MODULE, NULL);
        expect_registration();
        answer("REGISTERED", "{}", NULL);
}

/* The worker endpoint goes away and comes back, at another port. */
static void restart(void) {
        worker_side = zsocket_close(worker_side);
        free(worker_address);
        worker_side = bind_router("tcp://127.0.0.1:*", &worker_address);
        expect_registration();
}

static void setup(void) {
        setup_directory();
        context = zmq_ctx_new();
        client_side = bind_router("tcp://127.0.0.1:*", &client_address);
        worker_side = bind_router("tcp://127.0.0.1:*", &worker_address);
        fifo = path_in("fifo");
        log_file = path_in("log");
        {
                _cleanup_free_ char *config = path_in("daemon.conf");

                write_text(config, "");
        }
        ck_assert_int_eq(mkfifo(fifo, 0600), 0);
        daemon_pid = 0;
}

static void teardown(void) {
        if (daemon_pid > 0) {
                (void) kill(daemon_pid, SIGKILL);
                (void) waitpid(daemon_pid, NULL, 0);
        }
        frames_done(&received);
        client_side = zsocket_close(client_side);
        worker_side = zsocket_close(worker_side);
        (void) zmq_ctx_term(context);
        free(client_address);
        free(worker_address);
        free(fifo);
        free(log_file);
        teardown_directory();
}

#define ID_1 "01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4"
#define ID_2 "01938f2a-7c3b-7000-8abc-0123456789ab"

static void assert_field(const struct iovec *f, const char *expected) {
        ck_assert_msg(f->iov_len == strlen(expected) &&
                              memcmp(f->iov_base, expected, f->iov_len) == 0,
                      "\"%.*s\" is not \"%s\"", (int) f->iov_len, (char *) f->iov_base, expected);
}

/* A DONE, RELEASE or REGISTER that names exactly this lease. */
static const struct iovec *only_group(const char *id, const char *attempt) {
        const struct iovec *g = wire_group(&message, 0);

        ck_assert_uint_eq(message.n_groups, 1);
        assert_field(&g[0], id);
        assert_field(&g[1], attempt);
        return g;
}

static void expect_done(const char *id, const char *attempt, const char *outcome,
                        const char *result, const char *error) {
        const struct iovec *g;

        expect(WIRE_DONE);
        g = only_group(id, attempt);
        assert_field(&g[2], outcome);
        assert_field(&g[3], result);
        assert_field(&g[4], error);
}

static void tell_task(const char *id, const char *attempt, const char *name,
                      const char *arguments) {
        tell("TASKS", id, attempt, name, arguments, "", NULL);
}

/* Begins a task that runs until open_fifo(). */
static void begin_long_task(void) {
        tell_task(ID_1, "1", "fifo", fifo);
        do
                receive(worker_side, "STARTED");
        while (message.verb != WIRE_STARTED);
        only_group(ID_1, "1");
}

static void open_fifo(void) {
        int fd = open(fifo, O_WRONLY | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        safe_close(fd);
}

/* --- tests --- */

START_TEST(test_register) {
        _cleanup_json_ struct json_object *info = NULL;
        struct json_object *types;
        const char *text;
        uint64_t pid;

        start((char *) "--task-modules=" ODD_MODULE, (char *) "--concurrency=3", NULL);
        expect_registration();
        assert_field(&message.fields[0], "sw1");
        assert_field(&message.fields[1], "3");
        assert_field(&message.fields[2], "3");
        ck_assert_uint_eq(message.n_groups, 0);
        ck_assert_int_eq(json_parse_object(message.fields[3].iov_base, message.fields[3].iov_len,
                                           &info, NULL),
                         0);
        ck_assert_int_eq(json_get_uint(info, "pid", 1, INT32_MAX, &pid), 1);
        ck_assert_uint_eq(pid, (uint64_t) daemon_pid);
        ck_assert_int_eq(json_get_string(info, "version", &text), 1);
        ck_assert_int_eq(json_get_array(info, "types", &types), 1);
        ck_assert_uint_eq(json_object_array_length(types), 5);
        ck_assert_int_eq(json_get_string(json_object_array_get_idx(types, 0), "description", &text),
                         1);
        ck_assert_str_eq(text, "Says hello.");

        answer("REGISTERED", "{}", NULL);
        tell_task(ID_1, "4", "hello", "");
        expect_done(ID_1, "4", "success", "\"hello\"", "");
        answer("ACK", NULL);
        tell_task(ID_2, "1", "print", "");
        expect_done(ID_2, "1", "failure", "", "and failed");
}
END_TEST

/* What is between the service manager and the daemon does not reach a task. */
START_TEST(test_environment) {
        setenv("NOTIFY_SOCKET", "/nonexistent/notify", true);
        setenv("WATCHDOG_USEC", "3600000000", true);
        setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", true);
        setenv("GREETING", "hello", true);
        start_registered();
        tell_task(ID_1, "1", "getenv", "NOTIFY_SOCKET");
        expect_done(ID_1, "1", "success", "unset", "");
        tell_task(ID_1, "2", "getenv", "WATCHDOG_USEC");
        expect_done(ID_1, "2", "success", "unset", "");
        tell_task(ID_1, "3", "getenv", "CREDENTIALS_DIRECTORY");
        expect_done(ID_1, "3", "success", "unset", "");
        tell_task(ID_1, "4", "getenv", "GREETING");
        expect_done(ID_1, "4", "success", "hello", "");
}
END_TEST

START_TEST(test_state_directory) {
        _cleanup_free_ char *state = path_in("state"),
                            *flag = format_string("--state-directory=%s", state);

        start((char *) "--task-modules=" ODD_MODULE, flag, NULL);
        expect_registration();
        answer("REGISTERED", "{}", NULL);
        tell_task(ID_1, "1", "getenv", "STATE_DIRECTORY");
        expect_done(ID_1, "1", "success", state, "");
        ck_assert_int_eq(access(state, F_OK), 0);
}
END_TEST

START_TEST(test_unknown_type) {
        start_registered();
        tell_task(ID_1, "1", "nothing", "");
        expect(WIRE_RELEASE);
        only_group(ID_1, "1");
        ck_assert_int_eq(kill(daemon_pid, 0), 0);
}
END_TEST

/* A result that controld did not acknowledge comes again after its restart. */
START_TEST(test_not_acknowledged) {
        start_registered();
        tell_task(ID_1, "1", "hello", "");
        expect_done(ID_1, "1", "success", "\"hello\"", "");
        restart();
        only_group(ID_1, "1"); /* REGISTER names the lease */
        answer("REGISTERED", "{}", NULL);
        expect_done(ID_1, "1", "success", "\"hello\"", "");
        answer("ACK", NULL);

        /* Acknowledged, it is forgotten. That the ACK has arrived, the answer to what followed it tells. */
        tell_task(ID_2, "1", "hello", "");
        expect_done(ID_2, "1", "success", "\"hello\"", "");
        restart();
        only_group(ID_2, "1");
}
END_TEST

/* A task goes on while controld is away, unless controld then says that it is not ours any more. */
START_TEST(test_restart_while_running) {
        start_registered();
        begin_long_task();
        restart();
        only_group(ID_1, "1");
        answer("REGISTERED", "{}", NULL);
        open_fifo();
        expect_done(ID_1, "1", "success", "\"opened\"", "");
}
END_TEST

START_TEST(test_void_lease) {
        start_registered();
        begin_long_task();
        restart();
        only_group(ID_1, "1");
        answer("REGISTERED", "{}", ID_1, "1", NULL);
        /* It is killed, and its end is not told. */
        tell_task(ID_2, "1", "hello", "");
        expect_done(ID_2, "1", "success", "\"hello\"", "");
}
END_TEST

START_TEST(test_revoke) {
        const struct iovec *details;

        start_registered();
        begin_long_task();
        tell("REVOKE", ID_2, "1", NULL); /* not here */
        tell("REVOKE", ID_1, "2", NULL); /* another attempt */
        tell("REVOKE", ID_1, "1", NULL);
        expect_done(ID_1, "1", "cancelled", "", "cancelled while it ran");
        details = &wire_group(&message, 0)[7];
        ck_assert_int_eq(strncmp(details->iov_base, "{\"reason\":\"cancelled\",\"usage\":{", 30),
                         0);
        answer("ACK", NULL);
        tell_task(ID_2, "1", "hello", "");
        expect_done(ID_2, "1", "success", "\"hello\"", "");
}
END_TEST

START_TEST(test_result_limit) {
        start((char *) "--task-modules=" ODD_MODULE, NULL);
        expect_registration();
        answer("REGISTERED", "{\"max_result_bytes\":5}", NULL);
        tell_task(ID_1, "1", "hello", "");
        expect_done(ID_1, "1", "failure", "",
                    "result of 7 bytes is over the control plane's limit of 5 bytes");
        answer("ERROR", "internal", "no memory", NULL);
        expect_done(ID_1, "1", "failure", "",
                    "result of 7 bytes is over the control plane's limit of 5 bytes");
}
END_TEST

static void expect_goodbye(void) {
        expect(WIRE_GOODBYE);
        answer("ACK", NULL);
        ck_assert_int_eq(end(), 0);
}

static bool names_attempt(uint64_t attempt) {
        for (size_t i = 0; i < message.n_groups; i++)
                if (wire_get_number(&wire_group(&message, i)[1]) == attempt)
                        return true;
        return false;
}

START_TEST(test_drain) {
        start_registered();
        begin_long_task();
        tell_task(ID_2, "1", "hello", "");
        /* No telling whether that one is handed back because a long task runs, or because of the drain. */
        ck_assert_int_eq(kill(daemon_pid, SIGTERM), 0);
        receive(worker_side, "DRAIN or RELEASE");
        while (message.verb != WIRE_DRAIN) {
                ck_assert(message.verb == WIRE_RELEASE || message.verb == WIRE_CAPACITY);
                if (message.verb == WIRE_RELEASE)
                        answer("ACK", NULL);
                receive(worker_side, "DRAIN");
        }
        answer("ACK", NULL);
        /* What was under way comes back. */
        tell_task(ID_2, "9", "hello", "");
        do {
                expect(WIRE_RELEASE);
                answer("ACK", NULL);
        } while (!names_attempt(9));
        open_fifo();
        expect_done(ID_1, "1", "success", "\"opened\"", "");
        answer("ACK", NULL);
        expect_goodbye();
}
END_TEST

static void expect_interrupted(void) {
        expect(WIRE_RELEASE);
        assert_field(&message.fields[0], "interrupted by shutdown");
        only_group(ID_1, "1");
}

START_TEST(test_drain_deadline) {
        start((char *) "--task-modules=" ODD_MODULE, (char *) "--drain-timeout=0", NULL);
        expect_registration();
        answer("REGISTERED", "{}", NULL);
        begin_long_task();
        ck_assert_int_eq(kill(daemon_pid, SIGTERM), 0);
        expect(WIRE_DRAIN);
        answer("ACK", NULL);
        expect_interrupted();
        answer("ACK", NULL);
        expect_goodbye();
}
END_TEST

START_TEST(test_second_signal) {
        start_registered();
        begin_long_task();
        ck_assert_int_eq(kill(daemon_pid, SIGTERM), 0);
        expect(WIRE_DRAIN);
        ck_assert_int_eq(kill(daemon_pid, SIGTERM), 0);
        expect_interrupted();
        /* It does not wait for answers. */
        expect(WIRE_GOODBYE);
        ck_assert_int_eq(end(), 0);
}
END_TEST

START_TEST(test_idle_stop) {
        start_registered();
        tell_task(ID_1, "1", "hello", "");
        expect_done(ID_1, "1", "success", "\"hello\"", "");
        answer("ACK", NULL);
        ck_assert_int_eq(kill(daemon_pid, SIGINT), 0);
        expect(WIRE_DRAIN);
        expect_goodbye();
}
END_TEST

/* Before there is a coordinator, there is nothing to wait for. */
START_TEST(test_stop_unconnected) {
        start((char *) "--task-modules=" ODD_MODULE, NULL);
        receive(client_side, "DISCOVER");
        ck_assert_int_eq(kill(daemon_pid, SIGTERM), 0);
        ck_assert_int_eq(end(), 0);
}
END_TEST

/* SIGHUP: what changed is announced; what is wrong is said, and changes nothing. */
START_TEST(test_reload) {
        _cleanup_free_ char *config = path_in("daemon.conf"), *text = NULL;

        start_registered();
        tell_task(ID_1, "1", "hello", "");
        expect_done(ID_1, "1", "success", "\"hello\"", "");
        answer("ACK", NULL);

        write_text(config, "[Subworker]\nConcurrency=4\n");
        ck_assert_int_eq(kill(daemon_pid, SIGHUP), 0);
        do {
                expect(WIRE_REGISTER);
                answer("REGISTERED", "{}", NULL);
        } while (wire_get_number(&message.fields[1]) != 4);
        tell_task(ID_2, "1", "hello", "");
        expect_done(ID_2, "1", "success", "\"hello\"", "");
        answer("ACK", NULL);
        text = read_log();
        ck_assert_contains(text, "reloaded");
}
END_TEST

/* How many tasks the registration just received offers. */
static size_t count_offers(void) {
        _cleanup_json_ struct json_object *info = NULL;
        struct json_object *types;

        ck_assert_int_eq(json_parse_object(message.fields[3].iov_base, message.fields[3].iov_len,
                                           &info, NULL),
                         0);
        ck_assert_int_eq(json_get_array(info, "types", &types), 1);
        return json_object_array_length(types);
}

/* A service may start before anyone has said what it is to offer; a reload is all it takes then. */
START_TEST(test_no_modules) {
        _cleanup_free_ char *config = path_in("daemon.conf"), *text = NULL;
        size_t n;

        start((char *) "--drain-timeout=1", NULL);
        expect_registration();
        ck_assert_uint_eq(count_offers(), 0);
        answer("REGISTERED", "{}", NULL);
        text = read_log();
        ck_assert_contains(text, "offers no tasks: no task modules are set (TaskModules=");

        write_text(config, "[Subworker]\nTaskModules=" ODD_MODULE "\n");
        ck_assert_int_eq(kill(daemon_pid, SIGHUP), 0);
        do {
                expect(WIRE_REGISTER);
                n = count_offers();
                answer("REGISTERED", "{}", NULL);
        } while (n == 0);
        tell_task(ID_1, "1", "hello", "");
        expect_done(ID_1, "1", "success", "\"hello\"", "");
        answer("ACK", NULL);
}
END_TEST

static void assert_fails(const char *flag, const char *part) {
        _cleanup_free_ char *text = NULL;

        start((char *) flag, NULL);
        ck_assert_int_eq(end(), 1);
        text = read_log();
        ck_assert_contains(text, part);
}

START_TEST(test_bad_start) {
        _cleanup_free_ char *module = path_in("broken.so");
        _cleanup_free_ char *flag = format_string("--task-modules=%s", module);

        assert_fails("--task-modules=nowhere", "nowhere.so");
        write_text(module,
                   "this is text and no shared object, however long one looks at it, is it?");
        assert_fails(flag, "invalid ELF header");
        assert_fails("--concurrency=0", "oncurrency");
}
END_TEST

int main(void) {
        Suite *s = suite_create("subworkerd");
        TCase *c = tcase_create("subworkerd");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_set_timeout(c, 100);
        tcase_add_test(c, test_register);
        tcase_add_test(c, test_environment);
        tcase_add_test(c, test_state_directory);
        tcase_add_test(c, test_unknown_type);
        tcase_add_test(c, test_not_acknowledged);
        tcase_add_test(c, test_restart_while_running);
        tcase_add_test(c, test_void_lease);
        tcase_add_test(c, test_revoke);
        tcase_add_test(c, test_result_limit);
        tcase_add_test(c, test_drain);
        tcase_add_test(c, test_drain_deadline);
        tcase_add_test(c, test_second_signal);
        tcase_add_test(c, test_idle_stop);
        tcase_add_test(c, test_stop_unconnected);
        tcase_add_test(c, test_reload);
        tcase_add_test(c, test_no_modules);
        tcase_add_test(c, test_bad_start);
        suite_add_tcase(s, c);
        return check_run(s);
}
