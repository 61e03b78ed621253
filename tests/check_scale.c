/* SPDX-License-Identifier: MIT */

/* Waking by connecting to sockets: who is connected to when tasks wait, workers come and go, and submits are held. */

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "controld-fixture.h"
#include "json-util.h"
#include "log.h"
#include "scale.h"
#include "turn.h"
#include "worker-care.h"

#define N 4U /* instances */

static int sockets[N + 1]; /* listening, by number */
static char *log_text;     /* of the last tick */

static char *socket_path(unsigned number) {
        return format_string("%s/s-%u", test_directory, number);
}

static void listen_at(unsigned number) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        _cleanup_free_ char *path = socket_path(number);

        strcpy(un.sun_path, path);
        sockets[number] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_eq(bind(sockets[number], (const struct sockaddr *) &un, sizeof(un)), 0);
        ck_assert_int_eq(listen(sockets[number], 16), 0);
}

/* How many have connected since the last call; they have all left. */
static unsigned visits(unsigned number) {
        unsigned n = 0;
        char byte;
        int fd;

        while ((fd = accept4(sockets[number], NULL, NULL, SOCK_CLOEXEC)) >= 0) {
                ck_assert_int_eq(read(fd, &byte, 1), 0);
                safe_close(fd);
                n++;
        }
        ck_assert_int_eq(errno, EAGAIN);
        return n;
}

static void check_visits(unsigned a, unsigned b, unsigned c, unsigned d) {
        unsigned expected[N] = { a, b, c, d };

        for (unsigned i = 0; i < N; i++)
                ck_assert_msg(visits(i + 1) == expected[i], "instance %u was not woken %u times",
                              i + 1, expected[i]);
}

static void start_scale(uint64_t max_instances) {
        fixture->settings->max_instances = max_instances;
        fixture->settings->reconnect_usec = 0;
        ck_assert_int_eq(scale_new(fixture, &fixture->scale), 0);
        scale_start(fixture->scale);
}

static void setup(void) {
        setup_directory();
        fixture_setup();
        free(fixture->settings->wake_socket);
        fixture->settings->wake_socket = path_in("s-%i");
        for (unsigned i = 1; i <= N; i++)
                listen_at(i);
}

static void teardown(void) {
        fixture->scale = scale_free(fixture->scale);
        fixture_teardown();
        for (unsigned i = 1; i <= N; i++)
                sockets[i] = safe_close(sockets[i]);
        free(log_text);
        log_text = NULL;
        teardown_directory();
}

/* --- what happens ----------------------------------------------------------------------------- */

/* A task that has waited for so long. */
static Task *submit(const char *type, uint64_t wait_usec) {
        Task *t = fixture_submit(type, PRIORITY_NORMAL);

        t->queued_monotonic_usec = now_usec(CLOCK_MONOTONIC) - wait_usec;
        return t;
}

static void tick(void) {
        Capture capture;

        free(log_text);
        capture_begin(&capture, STDERR_FILENO);
        ck_assert_int_eq(scale_care(fixture->scale), 0);
        log_text = capture_end(&capture);
}

/* What turn_end() says. */
static void turn(void) {
        Capture capture;

        free(log_text);
        capture_begin(&capture, STDERR_FILENO);
        turn_end(fixture);
        log_text = capture_end(&capture);
}

/* The worker of that instance registers, with this type. */
static Worker *come(unsigned number, const char *type) {
        _cleanup_free_ char *name = format_string("sw%u", number), *path = socket_path(number),
                            *info = format_string(
                                    "{\"types\":[{\"name\":\"%s\"}],\"address\":\"ipc://%s\","
                                    "\"host\":\"h\",\"pid\":7}",
                                    type, path);
        WireOut *request = fixture_begin(WIRE_REGISTER);
        Capture capture;

        wire_put_string(request, name);
        wire_put_number(request, 1);
        wire_put_number(request, 1);
        wire_put_string(request, info);
        free(log_text);
        capture_begin(&capture, STDERR_FILENO);
        fixture_request(name, ENDPOINT_WORKER);
        log_text = capture_end(&capture);
        return worker_find(&fixture->workers, name);
}

static void leave(Worker *w, uint64_t n_done) {
        Capture capture;

        w->n_done = n_done;
        capture_begin(&capture, STDERR_FILENO);
        worker_deactivate(fixture, w, WORKER_LEFT);
        free(capture_end(&capture));
}

static const char *state_of(unsigned number) {
        static char state[16];
        _cleanup_json_ struct json_object *o = scale_to_json(fixture->scale);
        struct json_object *array;
        const char *text = NULL;

        ck_assert_int_eq(json_get_array(o, "instances", &array), 1);
        ck_assert_uint_eq(json_object_array_length(array), fixture->settings->max_instances);
        ck_assert_int_eq(
                json_get_string(json_object_array_get_idx(array, number - 1), "state", &text), 1);
        (void) snprintf(state, sizeof(state), "%s", text);
        return state;
}

/* --- tasks that wait -------------------------------------------------------------------------- */

/* Nobody offers the type: there is nothing to wait for. */
START_TEST(test_cold) {
        start_scale(N);
        submit("a", 0);
        turn();
        check_visits(1, 0, 0, 0);
        ck_assert_contains(log_text, "Woke fastworker-subworker@1: tasks \"a\" wait");
        ck_assert_lacks(log_text, "no active subworker offers them at present");
        ck_assert_str_eq(state_of(1), "waking");
        turn();
        check_visits(0, 0, 0, 0);
        tick(); /* the first one may have been lost */
        check_visits(1, 0, 0, 0);
        come(1, "a");
        ck_assert_str_eq(state_of(1), "running");
        tick();
        turn();
        tick();
        check_visits(0, 0, 0, 0);
}
END_TEST

/* One, two, the rest; each when those before have come and the oldest task still waits for too long. */
START_TEST(test_ramp) {
        Task *oldest;

        start_scale(N);
        come(1, "a");
        for (int i = 0; i < 100; i++)
                submit("a", 0);
        turn();
        oldest = TAILQ_FIRST(&make_type(&fixture->types, "a")->lane.plain.queues[PRIORITY_NORMAL]);
        tick();
        check_visits(0, 0, 0, 0);

        oldest->queued_monotonic_usec -= 1250 * USEC_PER_MSEC;
        tick();
        check_visits(0, 1, 0, 0);
        ck_assert_contains(log_text,
                           "Woke fastworker-subworker@2: tasks \"a\" have waited for 1.2 s.");
        tick();
        check_visits(0, 1, 0, 0);
        come(2, "a");
        tick();
        check_visits(0, 0, 1, 1);
        tick();
        check_visits(0, 0, 1, 1);
        come(3, "a");
        come(4, "a");
        tick();
        check_visits(0, 0, 0, 0);
}
END_TEST

/* When there was no need for a while it begins with one again; and never more than tasks. */
START_TEST(test_no_more_than_needed) {
        Task *t;

        start_scale(N);
        come(1, "a");
        (void) submit("a", 0);
        turn();
        t = submit("a", 5 * USEC_PER_SEC);
        turn();
        tick();
        check_visits(0, 1, 0, 0);
        come(2, "a");
        tick(); /* before the end of the turn it still waits; two might be woken, but it is only one */
        check_visits(0, 0, 1, 0);
        turn();
        ck_assert_int_eq(t->state, TASK_ASSIGNED);
        come(3, "a");
        tick();
        check_visits(0, 0, 0, 0);
}
END_TEST

/* Of two types each gets its share. */
START_TEST(test_types) {
        start_scale(N);
        leave(come(1, "b"), 1);
        leave(come(2, "b"), 1);
        leave(come(3, "a"), 1);
        leave(come(4, "c"), 1);
        submit("b", 0);
        turn();
        check_visits(1, 0, 0, 0);
        come(1, "b");
        turn();
        tick();
        submit("b", 5 * USEC_PER_SEC);
        submit("b", 5 * USEC_PER_SEC);
        submit("a", 5 * USEC_PER_SEC);
        tick();
        check_visits(0, 1, 0, 0);
        come(2, "b");
        tick();
        check_visits(0, 0, 1, 0);

        submit("d", 0);
        turn();
        ck_assert_contains(log_text, "Tasks \"d\" wait: no active subworker offers them");
        tick();
        check_visits(0, 0, 1, 0);
}
END_TEST

/* A worker that did nothing is left alone for a moment; another one comes instead. */
START_TEST(test_useless) {
        start_scale(2);
        leave(come(1, "a"), 0);
        ck_assert_str_eq(state_of(1), "resting");
        submit("a", 0);
        turn();
        check_visits(0, 1, 0, 0);
        leave(come(2, "b"), 0);
        turn();
        ck_assert_contains(log_text, "Tasks \"a\" wait: no active subworker offers them");
        check_visits(0, 0, 0, 0);
}
END_TEST

START_TEST(test_overdue) {
        fixture->settings->wake_timeout_usec = 0;
        start_scale(2);
        submit("a", 0);
        turn();
        check_visits(1, 0, 0, 0);
        tick();
        ck_assert_contains(log_text, "fastworker-subworker@1 was woken, but has not registered");
        ck_assert_contains(log_text, "Woke fastworker-subworker@2");
        check_visits(0, 1, 0, 0);
        ck_assert_str_eq(state_of(1), "failed");
        tick();
        ck_assert_contains(log_text, "fastworker-subworker@2 was woken, but has not registered");
        check_visits(0, 0, 0, 0);
        come(1, "a"); /* late */
        ck_assert_str_eq(state_of(1), "running");
}
END_TEST

START_TEST(test_unreachable) {
        _cleanup_free_ char *one = socket_path(1), *two = socket_path(2);

        ck_assert_int_eq(unlink(one), 0);
        ck_assert_int_eq(unlink(two), 0);
        sockets[3] = safe_close(sockets[3]);
        start_scale(N);
        submit("a", 0);
        turn();
        ck_assert_contains(log_text, "Cannot wake fastworker-subworker@1, passing over it");
        ck_assert_contains(log_text, "systemctl enable --now fastworker-subworker@1.socket");
        ck_assert_lacks(log_text,
                        "fastworker-subworker@2"); /* for the same reason: once is enough */
        ck_assert_contains(log_text, "Cannot wake fastworker-subworker@3, trying again later");
        ck_assert_contains(log_text, "Woke fastworker-subworker@4");
        ck_assert_uint_eq(visits(4), 1);
        ck_assert_str_eq(state_of(2), "failed");

        /* A reload has them all tried again at once. */
        listen_at(1);
        sockets[2] = safe_close(sockets[2]);
        scale_reload(fixture->scale);
        turn();
        ck_assert_uint_eq(visits(1), 1);
        ck_assert_uint_eq(visits(4), 0);
}
END_TEST

/* Workers that run have time to come back before others are woken. */
START_TEST(test_not_at_once) {
        fixture->settings->max_instances = N;
        ck_assert_int_eq(scale_new(fixture, &fixture->scale), 0);
        submit("a", 0);
        turn();
        tick();
        check_visits(0, 0, 0, 0);
        fixture->settings->reconnect_usec = USEC_PER_MINUTE;
        scale_start(fixture->scale);
        turn();
        tick();
        check_visits(0, 0, 0, 0);
        fixture->settings->reconnect_usec = 0;
        scale_start(fixture->scale);
        turn(); /* nothing has changed for it */
        tick();
        check_visits(1, 0, 0, 0);
}
END_TEST

START_TEST(test_off) {
        start_scale(0);
        submit("a", 0);
        turn();
        ck_assert_contains(log_text, "no active subworker offers them");
        tick();
        check_visits(0, 0, 0, 0);
        ck_assert(!scale_wakes(fixture->scale, come(1, "a")));
        ck_assert(!scale_seek(fixture->scale));
}
END_TEST

START_TEST(test_stopping) {
        start_scale(N);
        fixture->stopping = true;
        submit("a", 5 * USEC_PER_SEC);
        turn();
        tick();
        check_visits(0, 0, 0, 0);
}
END_TEST

/* --- who is an instance ----------------------------------------------------------------------- */

START_TEST(test_instance_of) {
        static const struct {
                const char *address;
                bool wakes;
        } rows[] = {
                { "ipc:///run/fastworker/subworker-1.sock", true },
                { "ipc:///run/fastworker/subworker-12.sock", true },
                { "ipc:///run/fastworker/subworker-13.sock", false }, /* beyond MaxInstances= */
                { "ipc:///run/fastworker/subworker-0.sock", false },
                { "ipc:///run/fastworker/subworker-.sock", false },
                { "ipc:///run/fastworker/subworker-+1.sock", false },
                { "ipc:///run/fastworker/subworker-1.sockets", false },
                { "ipc:///run/fastworker/subworker-1.soc", false },
                { "ipc:///run/fastworker/sock", false },
                { "ipc:///run/other/subworker-1.sock", false },
                { "tcp://127.0.0.1:5561", false },
                { NULL, false },
        };
        Worker *w = fixture_worker("w", "a", 1);

        free(fixture->settings->wake_socket);
        fixture->settings->wake_socket = strdup("/run/fastworker/subworker-%i.sock");
        start_scale(12);
        w->address = rows[_i].address ? strdup(rows[_i].address) : NULL;
        ck_assert_int_eq(scale_wakes(fixture->scale, w), rows[_i].wakes);
        w->local = true;
        ck_assert(!scale_wakes(fixture->scale, w));
        w->local = false;

        /* Without a connection it is the host's name that counts. */
        worker_detach(w);
        ck_assert(!scale_wakes(fixture->scale, w));
        w->host = calloc(1, 256);
        ck_assert_int_eq(gethostname(w->host, 255), 0);
        ck_assert_int_eq(scale_wakes(fixture->scale, w), rows[_i].wakes);
        strcat(w->host, "x");
        ck_assert(!scale_wakes(fixture->scale, w));
}
END_TEST

/* It is told whether it may leave, and told anew when that has changed. */
START_TEST(test_told) {
        _cleanup_json_ struct json_object *before = NULL, *after = NULL;
        const WireMessage *m;
        bool on_demand = true;

        start_scale(0);
        come(1, "a");
        m = fixture_take("sw1", WIRE_REGISTERED);
        ck_assert_int_eq(
                json_parse_object(m->fields[0].iov_base, m->fields[0].iov_len, &before, NULL), 0);
        ck_assert_int_eq(json_get_bool(before, "on_demand", &on_demand), 1);
        ck_assert(!on_demand);
        wire_put_number(fixture_begin(WIRE_HEARTBEAT), 0);
        fixture_request("sw1", ENDPOINT_WORKER);
        fixture_take("sw1", WIRE_ACK);

        fixture->settings->max_instances = 1;
        scale_reload(fixture->scale);
        ck_assert_str_eq(state_of(1), "running");
        wire_put_number(fixture_begin(WIRE_HEARTBEAT), 0);
        fixture_request("sw1", ENDPOINT_WORKER);
        fixture_take_error("sw1", WIRE_ERROR_NOT_REGISTERED, "register again");
        come(1, "a");
        m = fixture_take("sw1", WIRE_REGISTERED);
        ck_assert_int_eq(
                json_parse_object(m->fields[0].iov_base, m->fields[0].iov_len, &after, NULL), 0);
        ck_assert_int_eq(json_get_bool(after, "on_demand", &on_demand), 1);
        ck_assert(on_demand);
        wire_put_number(fixture_begin(WIRE_HEARTBEAT), 0);
        fixture_request("sw1", ENDPOINT_WORKER);
        fixture_take("sw1", WIRE_ACK);
}
END_TEST

/* A worker that registers under another address is another instance. */
START_TEST(test_moves) {
        Worker *w;

        start_scale(2);
        w = come(1, "a");
        free(w->address);
        w->address = format_string("ipc://%s/s-2", test_directory);
        scale_registered(fixture->scale, w);
        ck_assert_str_eq(state_of(1), "resting");
        ck_assert_str_eq(state_of(2), "running");
}
END_TEST

/* --- unknown types ---------------------------------------------------------------------------- */

static void submit_unknown(void) {
        WireOut *request = fixture_begin(WIRE_SUBMIT);

        wire_put_string(request, "");
        wire_put_string(request, "unknown");
        for (int i = 0; i < 4; i++)
                wire_put_string(request, "");
        fixture_request("client", ENDPOINT_CLIENT);
}

static size_t n_replayed;

static int replay(const struct iovec *routing, const struct iovec *frames, size_t n) {
        n_replayed++;
        submit_unknown();
        return 0;
}

/* Held as long as there is somebody left to ask; asked are one, two, the rest. */
START_TEST(test_seek) {
        n_replayed = 0;
        fixture_handle = replay;
        log_set_max_level(LOG_WARNING);
        start_scale(N);
        submit_unknown();
        ck_assert_uint_eq(fixture->held.n, 1);
        check_visits(1, 0, 0, 0);
        come(1, "a");
        ck_assert_uint_eq(fixture->held.n, 1);
        check_visits(0, 1, 1, 0);
        come(3, "b");
        check_visits(0, 0, 0, 0);
        tick();
        check_visits(0, 1, 0, 0);
        come(2, "a");
        ck_assert_uint_eq(fixture->held.n, 1);
        check_visits(0, 0, 0, 1);
        come(4, "a");
        ck_assert_uint_eq(fixture->held.n, 0);
        ck_assert_uint_eq(n_replayed, 4);
        fixture_take_error("client", WIRE_ERROR_UNKNOWN_TASK_TYPE, "no subworker ever offered");

        submit_unknown();
        fixture_take_error("client", WIRE_ERROR_UNKNOWN_TASK_TYPE, "there are: a, b");
        check_visits(0, 0, 0, 0);
}
END_TEST

/* The last hope does not come. */
START_TEST(test_seek_in_vain) {
        fixture_handle = replay;
        log_set_max_level(LOG_WARNING);
        fixture->settings->wake_timeout_usec = 0;
        start_scale(1);
        submit_unknown();
        ck_assert_uint_eq(fixture->held.n, 1);
        tick();
        ck_assert_uint_eq(fixture->held.n, 0);
        fixture_take_error("client", WIRE_ERROR_UNKNOWN_TASK_TYPE, "no subworker has offered");
        submit_unknown();
        fixture_take_error("client", WIRE_ERROR_UNKNOWN_TASK_TYPE, "no subworker has offered");
}
END_TEST

/* --- the socket ------------------------------------------------------------------------------- */

START_TEST(test_knock) {
        _cleanup_free_ char *path = socket_path(1), *none = path_in("none"),
                            *below = path_in("s-1/x"), *file = path_in("file"),
                            *longest = format_string("/%0107d", 0);

        ck_assert_int_eq(scale_knock(path), 0);
        ck_assert_uint_eq(visits(1), 1);
        for (int i = 0; i < 100; i++) /* more than its queue holds: does not block */
                ck_assert_int_eq(scale_knock(path), 0);
        ck_assert_uint_ge(visits(1), 16);
        sockets[1] = safe_close(sockets[1]);
        write_text(file, "");
        ck_assert_int_eq(scale_knock(path), -ECONNREFUSED);
        ck_assert_int_eq(scale_knock(none), -ENOENT);
        ck_assert_int_eq(scale_knock(below), -ENOTDIR);
        ck_assert_int_eq(scale_knock(file), -ECONNREFUSED);
        ck_assert_int_eq(scale_knock(longest), -ENAMETOOLONG);
}
END_TEST

START_TEST(test_describe) {
        char text[SCALE_TEXT_MAX];

        ck_assert_str_eq(scale_describe(NULL, text), "");
        start_scale(3);
        ck_assert_str_eq(scale_describe(fixture->scale, text), " (3 can be woken)");
        come(1, "a");
        ck_assert_str_eq(scale_describe(fixture->scale, text), " (2 can be woken)");
}
END_TEST

int main(void) {
        Suite *s = suite_create("scale");
        TCase *t = tcase_create("scale");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, test_cold);
        tcase_add_test(t, test_ramp);
        tcase_add_test(t, test_no_more_than_needed);
        tcase_add_test(t, test_types);
        tcase_add_test(t, test_useless);
        tcase_add_test(t, test_overdue);
        tcase_add_test(t, test_unreachable);
        tcase_add_test(t, test_not_at_once);
        tcase_add_test(t, test_off);
        tcase_add_test(t, test_stopping);
        tcase_add_loop_test(t, test_instance_of, 0, 12);
        tcase_add_test(t, test_told);
        tcase_add_test(t, test_moves);
        tcase_add_test(t, test_seek);
        tcase_add_test(t, test_seek_in_vain);
        tcase_add_test(t, test_knock);
        tcase_add_test(t, test_describe);
        suite_add_tcase(s, t);
        return check_run(s);
}
