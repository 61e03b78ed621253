/* SPDX-License-Identifier: MIT */

/* The link against a coordinator that this test plays: two ROUTER sockets served in the same thread. */

#include "check-util.h"
#include "link.h"
#include "log.h"
#include "time-util.h"
#include "zmq-util.h"

typedef struct Seen {
        unsigned n_up, n_down, n_tasks, n_revoked, n_described, n_void, n_expired;
        char acknowledged[32], refused[64];
} Seen;

static sd_event *event;
static void *context, *client_side, *worker_side; /* the coordinator's sockets */
static char *client_address, *worker_address;
static Link *link_;
static Seen seen;
static Frames received; /* the last message at one of the sockets; the first frame is the peer */

/* --- the link's owner --- */

static void on_describe(WireOut *out, void *userdata) {
        seen.n_described++;
        wire_put_string(out, "sw1");
        wire_put_number(out, 2);
        wire_put_number(out, 5);
        wire_put_string(out, "{}");
}

static void on_up(const WireMessage *m, void *userdata) {
        seen.n_up++;
        seen.n_void += (unsigned) m->n_groups;
}

static void on_down(void *userdata) {
        seen.n_down++;
}

static void on_expired(void *userdata) {
        seen.n_expired++;
}

static void on_tasks(const WireMessage *m, void *userdata) {
        seen.n_tasks += (unsigned) m->n_groups;
}

static void on_revoke(const WireMessage *m, void *userdata) {
        seen.n_revoked += (unsigned) m->n_groups;
}

static void on_acknowledged(const struct iovec *c, void *userdata) {
        memcpy(seen.acknowledged, c->iov_base, c->iov_len);
        seen.acknowledged[c->iov_len] = '\0';
}

static void on_refused(const struct iovec *c, WireError code, const char *text, void *userdata) {
        (void) snprintf(seen.refused, sizeof(seen.refused), "%.*s %s %s", (int) c->iov_len,
                        (char *) c->iov_base, wire_error_to_string(code), text);
}

static unsigned on_n_running(void *userdata) {
        return 7;
}

static const LinkHandlers handlers = {
        .describe = on_describe,
        .up = on_up,
        .down = on_down,
        .expired = on_expired,
        .tasks = on_tasks,
        .revoke = on_revoke,
        .acknowledged = on_acknowledged,
        .refused = on_refused,
        .n_running = on_n_running,
};

/* --- the coordinator --- */

static void *bind_router(const char *address, char **ret) {
        static const SocketLimits limits = { .max_frame_bytes = 1 << 20,
                                             .high_water_messages = 1000 };
        void *socket;

        ck_assert_int_eq(zsocket_new(context, ZMQ_ROUTER, &limits, &socket), 0);
        ck_assert_int_eq(zsocket_bind(socket, address, -1), 0);
        ck_assert_int_eq(zsocket_last_endpoint(socket, ret), 0);
        return socket;
}

/* Waits for a message with the verb at a socket, letting the link run. */
static void expect(void *socket, const char *verb) {
        _cleanup_free_ char *head = format_string("FW1 %s", verb);
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + 20 * USEC_PER_SEC;

        for (;;) {
                if (frames_recv(&received, socket) == 0) {
                        ck_assert_uint_ge(received.n, 3);
                        if (received.iov[1].iov_len == strlen(head) &&
                            memcmp(received.iov[1].iov_base, head, strlen(head)) == 0)
                                return;
                        continue; /* another DISCOVER, say */
                }
                ck_assert_int_ge(sd_event_run(event, 5000), 0);
                ck_assert_msg(now_usec(CLOCK_MONOTONIC) < deadline, "no %s came", verb);
        }
}

#define run_until(condition)                                                                    \
        do {                                                                                    \
                uint64_t _deadline = now_usec(CLOCK_MONOTONIC) + 20 * USEC_PER_SEC;             \
                                                                                                \
                while (!(condition)) {                                                          \
                        ck_assert_int_ge(sd_event_run(event, 100000), 0);                       \
                        ck_assert_msg(now_usec(CLOCK_MONOTONIC) < _deadline, "%s", #condition); \
                }                                                                               \
        } while (false)

/* Sends to the peer of the last message received, repeating its correlation id; fields until NULL. */
static void answer(void *socket, const char *verb, ...) _sentinel_;

static void answer(void *socket, const char *verb, ...) {
        const char *field;
        WireOut out = {};
        va_list ap;

        wire_begin(&out, wire_verb_from_string(verb), &received.iov[2]);
        va_start(ap, verb);
        while ((field = va_arg(ap, const char *)))
                wire_put_string(&out, field);
        va_end(ap);
        ck_assert_int_eq(wire_send(socket, &received.iov[0], &out), 0);
        wire_out_done(&out);
}

static void answer_where(void) {
        _cleanup_free_ char *info = format_string("{\"worker\":[\"%s\"]}", worker_address);

        expect(client_side, "DISCOVER");
        answer(client_side, "INFO", info, NULL);
}

static void setup(void) {
        log_set_max_level(LOG_ERR);
        seen = (Seen){};
        setup_directory();
        ck_assert_int_ge(sd_event_new(&event), 0);
        context = zmq_ctx_new();
        client_side = bind_router("tcp://127.0.0.1:*", &client_address);
        worker_side = bind_router("tcp://127.0.0.1:*", &worker_address);
}

static void teardown(void) {
        link_ = link_free(link_);
        frames_done(&received);
        client_side = zsocket_close(client_side);
        worker_side = zsocket_close(worker_side);
        (void) zmq_ctx_term(context);
        free(client_address);
        free(worker_address);
        sd_event_unref(event);
        teardown_directory();
}

static void start(const char *control_plane, const char *discovery, bool direct) {
        LinkConfig config = {
                .worker_id = "sw1",
                .control_plane_address = control_plane,
                .discovery_address = discovery,
                .direct = direct,
        };

        ck_assert_int_eq(link_new(event, context, &config, &handlers, NULL, &link_), 0);
        ck_assert_int_eq(link_start(link_), 0);
}

static void come_up(const char *terms) {
        start(client_address, NULL, false);
        ck_assert_int_eq(link_state(link_), LINK_SEARCHING);
        answer_where();
        expect(worker_side, "REGISTER");
        ck_assert_int_eq(link_state(link_), LINK_REGISTERING);
        ck_assert_uint_eq(received.n, 3 + 4);
        answer(worker_side, "REGISTERED", terms, NULL);
        run_until(seen.n_up == 1);
        ck_assert_int_eq(link_state(link_), LINK_UP);
        ck_assert_str_eq(link_address(link_), worker_address);
}

START_TEST(test_register) {
        come_up("{\"max_result_bytes\":5000,\"worker_id\":\"control-plane\"}");
        ck_assert_uint_eq(seen.n_described, 1);
        ck_assert_uint_eq(link_max_result_bytes(link_), 5000);
        ck_assert(link_is_healthy(link_));
        ck_assert_uint_eq(seen.n_down, 0);
}
END_TEST

/* Whether it is started again is what the last registration says, while that holds. */
START_TEST(test_on_demand) {
        come_up("{\"on_demand\":true}");
        ck_assert(link_is_on_demand(link_));
        link_register_again(link_);
        expect(worker_side, "REGISTER");
        answer(worker_side, "REGISTERED", "{}", NULL);
        run_until(seen.n_up == 2);
        ck_assert(!link_is_on_demand(link_));
}
END_TEST

/* Given only a discovery address, or a worker endpoint itself. */
START_TEST(test_other_addresses) {
        start(NULL, client_address, false);
        answer_where();
        expect(worker_side, "REGISTER");
        link_ = link_free(link_);

        start(worker_address, NULL, true);
        ck_assert_int_eq(link_state(link_), LINK_CONNECTING);
        expect(worker_side, "REGISTER");
        answer(worker_side, "REGISTERED", "", NULL);
        run_until(seen.n_up == 1);
        ck_assert_uint_eq(link_max_result_bytes(link_), 0);
}
END_TEST

START_TEST(test_messages) {
        static const char id[] = "01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4";
        struct iovec correlation = { (char *) "d12", 3 };
        WireOut out = {};

        come_up("{}");
        answer(worker_side, "TASKS", id, "1", "add", "{}", "", id, "2", "add", "{}", "", NULL);
        answer(worker_side, "REVOKE", id, "1", NULL);
        run_until(seen.n_revoked == 1);
        ck_assert_uint_eq(seen.n_tasks, 2);

        wire_begin(&out, WIRE_DRAIN, &correlation);
        ck_assert_int_eq(link_send(link_, &out), 0);
        expect(worker_side, "DRAIN");
        answer(worker_side, "ACK", NULL);
        run_until(seen.acknowledged[0]);
        ck_assert_str_eq(seen.acknowledged, "d12");
        answer(worker_side, "ERROR", "internal", "no memory", NULL);
        run_until(seen.refused[0]);
        ck_assert_str_eq(seen.refused, "d12 internal no memory");

        /* What a later controld may say, and what nobody should, is passed over. */
        ck_assert_int_ge(zmq_send(worker_side, received.iov[0].iov_base, received.iov[0].iov_len,
                                  ZMQ_SNDMORE),
                         0);
        ck_assert_int_ge(zmq_send(worker_side, "FW1 PROMOTE", 11, ZMQ_SNDMORE), 0);
        ck_assert_int_ge(zmq_send(worker_side, "", 0, 0), 0);
        answer(worker_side, "RESULT", id, "success", "8", "", "1", "2", NULL);
        answer(worker_side, "TASKS", id, "3", "add", "{}", "", NULL);
        run_until(seen.n_tasks == 3);
        ck_assert_uint_eq(seen.n_down, 0);
        wire_out_done(&out);
}
END_TEST

START_TEST(test_void_leases) {
        start(client_address, NULL, false);
        answer_where();
        expect(worker_side, "REGISTER");
        answer(worker_side, "REGISTERED", "{}", "01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4", "1", NULL);
        run_until(seen.n_up == 1);
        ck_assert_uint_eq(seen.n_void, 1);
}
END_TEST

START_TEST(test_heartbeat) {
        come_up("{\"heartbeat_usec\":20000}");
        for (unsigned i = 0; i < 3; i++) {
                expect(worker_side, "HEARTBEAT");
                ck_assert_uint_eq(received.n, 4);
                ck_assert_mem_eq(received.iov[3].iov_base, "7", 1);
                answer(worker_side, "ACK", NULL);
        }
        ck_assert_uint_eq(seen.n_down, 0);
}
END_TEST

/* Connected, but nothing is heard: all over again. */
START_TEST(test_silence) {
        come_up("{\"heartbeat_usec\":20000,\"lease_usec\":200000}");
        run_until(seen.n_down == 1);
        ck_assert_int_ne(link_state(link_), LINK_UP);
        run_until(seen.n_expired == 1);
        answer_where();
        expect(worker_side, "REGISTER");
        answer(worker_side, "REGISTERED", "{}", NULL);
        run_until(seen.n_up == 2);
        ck_assert_uint_eq(seen.n_down, 1);
        ck_assert_uint_eq(seen.n_expired, 1); /* told once, however long it lasts */
}
END_TEST

/* The coordinator is restarted, at another worker port. */
START_TEST(test_restart) {
        WireOut out = {};

        come_up("{}");
        worker_side = zsocket_close(worker_side);
        run_until(seen.n_down == 1);
        wire_begin(&out, WIRE_DRAIN, NULL);
        ck_assert_int_eq(link_send(link_, &out), -ENOTCONN);
        wire_out_done(&out);
        free(worker_address);
        worker_side = bind_router("tcp://127.0.0.1:*", &worker_address);
        answer_where();
        expect(worker_side, "REGISTER");
        answer(worker_side, "REGISTERED", "{}", NULL);
        run_until(seen.n_up == 2);
        ck_assert_str_eq(link_address(link_), worker_address);
        ck_assert_uint_eq(seen.n_expired, 0); /* back in time */
}
END_TEST

/* The coordinator comes later than we. */
START_TEST(test_started_first) {
        client_side = zsocket_close(client_side);
        start(client_address, NULL, false);
        for (int i = 0; i < 10; i++)
                ck_assert_int_ge(sd_event_run(event, 10000), 0);
        ck_assert_int_eq(link_state(link_), LINK_SEARCHING);
        {
                _cleanup_free_ char *same = NULL;

                client_side = bind_router(client_address, &same);
        }
        answer_where();
        expect(worker_side, "REGISTER");
}
END_TEST

/* A coordinator that forgot us, without having been away. */
START_TEST(test_not_registered) {
        come_up("{}");
        answer(worker_side, "ERROR", "not-registered", "register first", NULL);
        expect(worker_side, "REGISTER");
        ck_assert_uint_eq(seen.n_down, 1);
        answer(worker_side, "REGISTERED", "{}", NULL);
        run_until(seen.n_up == 2);
}
END_TEST

/* A refused registration is tried again. */
START_TEST(test_name_in_use) {
        start(client_address, NULL, false);
        answer_where();
        expect(worker_side, "REGISTER");
        answer(worker_side, "ERROR", "name-in-use", "there is another sw1", NULL);
        expect(worker_side, "REGISTER");
        ck_assert_uint_eq(seen.n_described, 2);
        answer(worker_side, "REGISTERED", "{}", NULL);
        run_until(seen.n_up == 1);
}
END_TEST

/* What is offered has changed: over the same connection, with nothing down in between. */
START_TEST(test_register_again) {
        come_up("{}");
        link_register_again(link_);
        expect(worker_side, "REGISTER");
        ck_assert_int_eq(link_state(link_), LINK_UP);
        answer(worker_side, "REGISTERED", "{\"max_result_bytes\":7}", NULL);
        run_until(seen.n_up == 2);
        ck_assert_uint_eq(seen.n_down, 0);
        ck_assert_uint_eq(link_max_result_bytes(link_), 7);
}
END_TEST

/* It has changed before the first answer came: then that is followed by what is true now. */
START_TEST(test_register_changed) {
        start(client_address, NULL, false);
        answer_where();
        expect(worker_side, "REGISTER");
        link_register_again(link_);
        ck_assert_uint_eq(seen.n_described, 1);
        answer(worker_side, "REGISTERED", "{}", NULL);
        expect(worker_side, "REGISTER");
        ck_assert_uint_eq(seen.n_described, 2);
        answer(worker_side, "REGISTERED", "{}", NULL);
        run_until(seen.n_up == 2);
        ck_assert_uint_eq(seen.n_down, 0);
}
END_TEST

START_TEST(test_state_names) {
        ck_assert_str_eq(link_state_to_string(LINK_UP), "up");
        ck_assert_int_eq(link_state_from_string("searching"), LINK_SEARCHING);
        ck_assert_ptr_null(link_state_to_string(_LINK_STATE_MAX));
}
END_TEST

int main(void) {
        Suite *s = suite_create("link");
        TCase *c = tcase_create("link");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_set_timeout(c, 60);
        tcase_add_test(c, test_register);
        tcase_add_test(c, test_on_demand);
        tcase_add_test(c, test_other_addresses);
        tcase_add_test(c, test_messages);
        tcase_add_test(c, test_void_leases);
        tcase_add_test(c, test_heartbeat);
        tcase_add_test(c, test_silence);
        tcase_add_test(c, test_restart);
        tcase_add_test(c, test_started_first);
        tcase_add_test(c, test_not_registered);
        tcase_add_test(c, test_name_in_use);
        tcase_add_test(c, test_register_again);
        tcase_add_test(c, test_register_changed);
        tcase_add_test(c, test_state_names);
        suite_add_tcase(s, c);
        return check_run(s);
}
