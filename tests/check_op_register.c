/* SPDX-License-Identifier: MIT */

/* REGISTER: who may come, with what, and what becomes of the leases of one that comes back. */

#include "controld-fixture.h"
#include "json-util.h"
#include "persist.h"
#include "turn.h"
#include "worker-care.h"

static WireOut *request;

static void begin(const char *id, unsigned slots, unsigned capacity, const char *info) {
        request = fixture_begin(WIRE_REGISTER);
        wire_put_string(request, id);
        wire_put_number(request, slots);
        wire_put_number(request, capacity);
        wire_put_string(request, info);
}

static void put_lease(const Task *t, uint32_t attempt) {
        wire_put_task_id(request, &t->id);
        wire_put_number(request, attempt);
}

static const WireMessage *registered(const char *peer) {
        fixture_request(peer, ENDPOINT_WORKER);
        return fixture_take(peer, WIRE_REGISTERED);
}

static Worker *find(const char *id) {
        return worker_find(&fixture->workers, id);
}

/* A registered worker that offers "a". */
static Worker *register_plain(const char *peer, const char *id) {
        begin(id, 2, 10, "{\"types\":[{\"name\":\"a\"}],\"host\":\"h\",\"pid\":7}");
        registered(peer);
        return find(id);
}

static void check_refused(WireError code, const char *text) {
        fixture_request("p1", ENDPOINT_WORKER);
        fixture_take_error("p1", code, text);
        fixture_take_nothing();
}

START_TEST(test_new) {
        _cleanup_json_ struct json_object *o = NULL;
        const WireMessage *m;
        const char *instance = NULL;
        uint64_t n = 0;
        Worker *w;

        begin("sw1", 3, 5,
              "{\"types\":[{\"name\":\"a\",\"description\":\"Does a.\"},{\"name\":\"b\"}],"
              "\"address\":\"tcp://127.0.0.1:5561\",\"host\":\"build7\",\"pid\":4711,\"later\":1}");
        m = registered("p1");
        ck_assert_uint_eq(m->n_groups, 0);
        ck_assert_int_eq(json_parse_object(m->fields[0].iov_base, m->fields[0].iov_len, &o, NULL),
                         0);
        ck_assert_int_eq(json_get_uint(o, "heartbeat_usec", 0, UINT64_MAX, &n), 1);
        ck_assert_uint_eq(n, fixture->settings->heartbeat_usec);
        ck_assert_int_eq(json_get_uint(o, "lease_usec", 0, UINT64_MAX, &n), 1);
        ck_assert_uint_eq(n, fixture->settings->inactive_usec);
        ck_assert_int_eq(json_get_string(o, "instance", &instance), 1);

        w = find("sw1");
        ck_assert_ptr_nonnull(w);
        ck_assert_int_eq(w->state, WORKER_ACTIVE);
        ck_assert_ptr_eq(w->peer, fixture_peer("p1"));
        ck_assert_uint_eq(w->slots, 3);
        ck_assert_uint_eq(w->capacity, 5);
        ck_assert_uint_eq(w->pid, 4711);
        ck_assert_str_eq(w->host, "build7");
        ck_assert_str_eq(w->address, "tcp://127.0.0.1:5561");
        ck_assert(!w->local);
        ck_assert_uint_eq(w->n_types, 2);
        ck_assert_uint_eq(w->lease_usec, fixture->settings->inactive_usec);
        ck_assert_str_eq(make_type(&fixture->types, "a")->description, "Does a.");
        ck_assert_ptr_null(make_type(&fixture->types, "b")->description);
        fixture_take_nothing();
}
END_TEST

/* What it may not ask for is cut or refused, and a refusal leaves nothing behind. */
START_TEST(test_refusals) {
        static const struct {
                const char *info, *text;
        } cases[] = {
                { "[]", "must be one JSON object" },
                { "{\"types\":{}}", "must be an array" },
                { "{\"types\":[{\"name\":\"a\"},7]}", "must be an object" },
                { "{\"types\":[{\"name\":\"a\"},{}]}", "must be an object" },
                { "{\"types\":[{\"name\":\"a\"},null]}", "must be an object" },
                { "{\"types\":[{\"name\":\"a\"},{\"name\":\"b c\"}]}", "no task name" },
                { "{\"types\":[{\"name\":\"a\",\"description\":1}]}", "must be an object" },
                { "{\"pid\":\"1\"}", "pid is a number" },
                { "{\"pid\":-1}", "pid is a number" },
                { "{\"host\":1}", "host" },
                { "{\"local\":\"yes\"}", "local" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                begin("sw1", 1, 1, cases[i].info);
                check_refused(WIRE_ERROR_BAD_ARGUMENT, cases[i].text);
        }
        begin("sw1", 0, 1, "");
        check_refused(WIRE_ERROR_BAD_ARGUMENT, "slots");
        begin("sw1", WORKER_SLOTS_MAX + 1, 1, "");
        check_refused(WIRE_ERROR_BAD_ARGUMENT, "slots");
        ck_assert_ptr_null(fixture->types);
        ck_assert_ptr_null(fixture->workers.workers);

        begin("sw1", 1, 1000000000, "");
        registered("p1");
        ck_assert_uint_eq(find("sw1")->capacity, WORKER_CAPACITY_MAX);
        ck_assert_uint_eq(find("sw1")->n_types, 0);
}
END_TEST

START_TEST(test_types) {
        TaskType *a;
        Worker *w;

        begin("sw1", 1, 1, "{\"types\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"a\"}]}");
        registered("p1");
        w = find("sw1");
        a = make_type(&fixture->types, "a");
        ck_assert_uint_eq(w->n_types, 2); /* once is enough */
        ck_assert_uint_eq(a->n_workers, 1);
        begin("sw1", 1, 1, "{\"types\":[{\"name\":\"c\"}]}");
        registered("p1");
        ck_assert_uint_eq(w->n_types, 1);
        ck_assert_uint_eq(a->n_workers, 0);
        ck_assert_uint_eq(HASH_COUNT(fixture->types),
                          3); /* what was offered once may be submitted */
}
END_TEST

/* A description that is too long is cut, but not within a character. */
START_TEST(test_long_description) {
        _cleanup_free_ char *info = NULL;
        const char *description;
        char text[2049] = "x";

        while (strlen(text) < 1500)
                strcat(text, "\xc3\xa4");
        info = format_string("{\"types\":[{\"name\":\"a\",\"description\":\"%s\"}]}", text);
        begin("sw1", 1, 1, info);
        registered("p1");
        description = make_type(&fixture->types, "a")->description;
        ck_assert_uint_eq(strlen(description), 1023);
        ck_assert_uint_eq((unsigned char) description[1022], 0xa4);
}
END_TEST

/* Nobody but our own child is the local worker. */
START_TEST(test_local) {
        begin("sw1", 1, 1, "{\"types\":[{\"name\":\"a\"}],\"local\":true,\"pid\":1}");
        registered("p1");
        ck_assert(!find("sw1")->local);
        ck_assert(!make_type(&fixture->types, "a")->is_local);
}
END_TEST

/* --- the id ----------------------------------------------------------------------------------- */

START_TEST(test_name_in_use) {
        register_plain("p1", "sw1");
        begin("sw1", 1, 1, "{\"types\":[{\"name\":\"b\"}],\"host\":\"other\",\"pid\":7}");
        fixture_request("p2", ENDPOINT_WORKER);
        fixture_take("p1", WIRE_PING); /* is it there? */
        fixture_take_error("p2", WIRE_ERROR_NAME_IN_USE, "pid 7 on h");
        ck_assert_ptr_eq(find("sw1")->peer, fixture_peer("p1"));
        ck_assert_ptr_null(task_type_find(fixture->types, "b", 1));
}
END_TEST

/* The id passes on if its holder is gone, known to be gone, or the same process. */
START_TEST(test_take_over) {
        Worker *w = register_plain("p1", "sw1");

        fixture_break("p1", 0, -EHOSTUNREACH);
        begin("sw1", 1, 1, "");
        registered("p2");
        ck_assert_ptr_eq(w->peer, fixture_peer("p2"));
        ck_assert_ptr_null(fixture_peer("p1")->worker);
        fixture_break("p1", 0, 0);

        w->lost_usec = 1;
        begin("sw1", 1, 1, "{\"host\":\"h\",\"pid\":7}");
        registered("p3");
        ck_assert_ptr_eq(w->peer, fixture_peer("p3"));
        ck_assert_uint_eq(w->lost_usec, 0);

        begin("sw1", 1, 1, "{\"host\":\"h\",\"pid\":7}");
        registered("p4");
        ck_assert_ptr_eq(w->peer, fixture_peer("p4"));
        fixture_take_nothing();
}
END_TEST

/* One that takes another id on its connection leaves under the old one. */
START_TEST(test_rename) {
        Task *t = fixture_submit("a", PRIORITY_NORMAL);

        register_plain("p1", "sw1");
        turn_end(fixture);
        fixture_take("p1", WIRE_TASKS);
        register_plain("p1", "sw2");
        ck_assert_ptr_null(find("sw1"));
        ck_assert_ptr_eq(fixture_peer("p1")->worker, find("sw2"));
        ck_assert_int_eq(t->state, TASK_QUEUED);
}
END_TEST

/* --- leases ----------------------------------------------------------------------------------- */

/* Over a new connection: named leases go on, others were lost on the way; what only the worker
 * knows is void. */
START_TEST(test_leases) {
        Worker *w = register_plain("p1", "sw1");
        Task *kept = fixture_submit("a", PRIORITY_NORMAL),
             *lost = fixture_submit("a", PRIORITY_NORMAL), *other;
        const WireMessage *m;

        turn_end(fixture);
        ck_assert_uint_eq(fixture_take("p1", WIRE_TASKS)->n_groups, 2);
        other = fixture_submit("b", PRIORITY_NORMAL);
        begin("sw1", 2, 0, "{\"types\":[{\"name\":\"a\"}],\"host\":\"h\",\"pid\":7}");
        put_lease(kept, 1);
        put_lease(lost, 9);
        put_lease(other, 101);
        m = registered("p2");
        ck_assert_uint_eq(m->n_groups, 2);
        ck_assert_id_eq(fixture_id(m, 0), lost->id);
        ck_assert_uint_eq(wire_get_number(&wire_group(m, 0)[1]), 9);
        ck_assert_id_eq(fixture_id(m, 1), other->id);
        ck_assert_ptr_eq(kept->worker, w);
        ck_assert(!kept->is_held);
        ck_assert_int_eq(lost->state, TASK_QUEUED);
        ck_assert_int_eq(other->state, TASK_QUEUED);
        ck_assert_uint_eq(w->n_leased, 1);
        ck_assert_int_eq(w->state, WORKER_ACTIVE);
        fixture_take_nothing();
}
END_TEST

/* What was handed out in the last moment of a coordinator before us: the store was not told in time, and the worker
 * keeps it, unless it was given to somebody else since. */
START_TEST(test_leases_of_before) {
        Task *t = fixture_submit("a", PRIORITY_NORMAL),
             *given = fixture_submit("a", PRIORITY_NORMAL),
             *same = fixture_submit("a", PRIORITY_NORMAL),
             *ahead = fixture_submit("a", PRIORITY_NORMAL),
             *gone = fixture_submit("a", PRIORITY_NORMAL);
        const WireMessage *m;
        Worker *w;

        /* As after an end that was not in order. */
        t->attempt = 4;
        same->attempt = given->attempt = gone->attempt = ahead->attempt = 2;
        t->may_be_held = same->may_be_held = given->may_be_held = gone->may_be_held =
                ahead->may_be_held = true;
        w = register_plain("p2", "sw2");
        queue_remove(&fixture->queue, given);
        lease_adopt(fixture, w, given);
        ck_assert_int_eq(fixture_end(gone, &(TaskEnd){ .state = TASK_CANCELLED }), 0);
        begin("sw1", 2, 0, "{\"types\":[{\"name\":\"a\"}],\"host\":\"h\",\"pid\":7}");
        put_lease(t, 4);
        put_lease(same, 1); /* somebody else may have a later one */
        put_lease(given, 2);
        put_lease(gone, 2);
        put_lease(ahead, 3);
        m = registered("p1");
        ck_assert_uint_eq(m->n_groups, 4);
        ck_assert_id_eq(fixture_id(m, 0), same->id);
        ck_assert_id_eq(fixture_id(m, 1), given->id);
        ck_assert_id_eq(fixture_id(m, 2), gone->id);
        ck_assert_id_eq(fixture_id(m, 3), ahead->id);
        w = find("sw1");
        ck_assert_uint_eq(w->n_leased, 1);
        ck_assert_ptr_eq(t->worker, w);
        ck_assert_int_eq(t->state, TASK_ASSIGNED);
        ck_assert_uint_eq(t->attempt, 4);
        ck_assert_uint_eq(queue_length(&fixture->queue), 2);

        /* The next attempt is a new one, and two cannot have it. */
        begin("sw3", 2, 0, "{\"types\":[{\"name\":\"a\"}]}");
        put_lease(t, 4);
        ck_assert_uint_eq(registered("p3")->n_groups, 1);
        ck_assert_ptr_eq(t->worker, w);
        lease_return(fixture, t);
        persist_commit(fixture);
        ck_assert_uint_eq(t->attempt, 4);
        ck_assert(!t->may_be_held);
        /* Nor when it is free again. */
        begin("sw3", 2, 0, "{\"types\":[{\"name\":\"a\"}]}");
        put_lease(t, 4);
        ck_assert_uint_eq(registered("p3")->n_groups, 1);
        fixture_take_nothing();
}
END_TEST

/* Over the same connection nothing is lost: leases that are not named are just under way. */
START_TEST(test_leases_on_the_same_connection) {
        Worker *w = register_plain("p1", "sw1");
        Task *t = fixture_submit("a", PRIORITY_NORMAL);

        turn_end(fixture);
        fixture_take("p1", WIRE_TASKS);
        register_plain("p1", "sw1");
        ck_assert_ptr_eq(t->worker, w);
        ck_assert_int_eq(t->state, TASK_ASSIGNED);
}
END_TEST

/* After it was given up, all that it still holds is void. */
START_TEST(test_leases_given_up) {
        Worker *w = register_plain("p1", "sw1");
        Task *t = fixture_submit("a", PRIORITY_NORMAL);
        const WireMessage *m;

        turn_end(fixture);
        fixture_take("p1", WIRE_TASKS);
        worker_deactivate(fixture, w, WORKER_SILENT);
        begin("sw1", 2, 0, "{\"host\":\"h\",\"pid\":7}");
        put_lease(t, 1);
        m = registered("p1");
        ck_assert_uint_eq(m->n_groups, 1);
        ck_assert_id_eq(fixture_id(m, 0), t->id);
        ck_assert_int_eq(w->state, WORKER_ACTIVE);
}
END_TEST

/* A cancel that went with the old connection is asked for again. */
START_TEST(test_cancel_asked) {
        Task *t = fixture_submit("a", PRIORITY_NORMAL),
             *other = fixture_submit("a", PRIORITY_NORMAL);
        const WireMessage *m;

        register_plain("p1", "sw1");
        turn_end(fixture);
        fixture_take("p1", WIRE_TASKS);
        t->cancel_asked = true;
        begin("sw1", 2, 2, "{\"host\":\"h\",\"pid\":7}");
        put_lease(t, 1);
        put_lease(other, 1);
        registered("p2");
        m = fixture_take("p2", WIRE_REVOKE);
        ck_assert_uint_eq(m->n_groups, 1);
        ck_assert_id_eq(fixture_id(m, 0), t->id);
        fixture_take_nothing();
}
END_TEST

/* --- requests that waited for it -------------------------------------------------------------- */

static unsigned n_handled;

static int count(const struct iovec *routing, const struct iovec *frames, size_t n) {
        n_handled++;
        return 0;
}

/* They are handled when somebody came, not when somebody was refused. */
START_TEST(test_held) {
        struct iovec frame = { (char *) "x", 1 };
        Request r = { .routing = { (char *) "p", 1 }, .frames = &frame, .n_frames = 1 };

        fixture_handle = count;
        ck_assert_int_eq(held_add(&fixture->held, &r), 0);
        begin("sw1", 0, 1, "");
        check_refused(WIRE_ERROR_BAD_ARGUMENT, "slots");
        ck_assert_uint_eq(n_handled, 0);
        register_plain("p1", "sw1");
        ck_assert_uint_eq(n_handled, 1);
        ck_assert_uint_eq(fixture->held.n, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("op_register");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
        tcase_add_test(t, test_new);
        tcase_add_test(t, test_refusals);
        tcase_add_test(t, test_types);
        tcase_add_test(t, test_long_description);
        tcase_add_test(t, test_local);
        tcase_add_test(t, test_name_in_use);
        tcase_add_test(t, test_take_over);
        tcase_add_test(t, test_rename);
        tcase_add_test(t, test_leases);
        tcase_add_test(t, test_leases_of_before);
        tcase_add_test(t, test_leases_on_the_same_connection);
        tcase_add_test(t, test_leases_given_up);
        tcase_add_test(t, test_cancel_asked);
        tcase_add_test(t, test_held);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
