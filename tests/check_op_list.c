/* SPDX-License-Identifier: MIT */

/* LIST: filters, and pages that neither skip nor repeat, whatever comes and goes between them. */

#include "controld-fixture.h"
#include "json-util.h"

static struct json_object *page;

static void teardown(void) {
        json_object_put(page);
        page = NULL;
        fixture_teardown();
}

static void send(const char *options) {
        wire_put_string(fixture_begin(WIRE_LIST), options);
        fixture_request("client", ENDPOINT_CLIENT);
}

/* Asks, and keeps the answer. Returns how many tasks it has. */
static size_t list(const char *options) {
        const WireMessage *m;
        const char *error = NULL;

        send(options);
        m = fixture_take("client", WIRE_INFO);
        json_object_put(page);
        page = NULL;
        ck_assert_int_eq(
                json_parse_object(m->fields[0].iov_base, m->fields[0].iov_len, &page, &error), 0);
        return json_object_array_length(json_object_object_get(page, "tasks"));
}

static void check_task(size_t i, const Task *t) {
        struct json_object *o = json_object_array_get_idx(json_object_object_get(page, "tasks"), i);
        char id[TASK_ID_TEXT_LENGTH + 1];
        const char *text = NULL;

        task_id_to_text(&t->id, id);
        ck_assert_ptr_nonnull(o);
        ck_assert_int_eq(json_get_string(o, "task_id", &text), 1);
        ck_assert_str_eq(text, id);
}

static bool is_truncated(void) {
        bool yes = false;

        ck_assert_int_eq(json_get_bool(page, "truncated", &yes), 1);
        return yes;
}

/* A fresh string: the options of the page that follows. */
static char *next_options(unsigned limit) {
        const char *next = NULL;

        ck_assert(is_truncated());
        ck_assert_int_eq(json_get_string(page, "next", &next), 1);
        return format_string("{\"limit\":%u,\"after\":\"%s\"}", limit, next);
}

static size_t list_next(unsigned limit) {
        _cleanup_free_ char *options = next_options(limit);

        return list(options);
}

static void check_last(void) {
        ck_assert(!is_truncated());
        ck_assert_ptr_null(json_object_object_get(page, "next"));
}

static void vanish(Task *t) {
        queue_remove(&fixture->queue, t);
        task_free(&fixture->tasks, t);
}

static Task *succeeded(const char *type, const char *worker) {
        Task *t = fixture_submit(type, PRIORITY_NORMAL);

        queue_remove(&fixture->queue, t);
        lease_adopt(fixture, worker_find(&fixture->workers, worker), t);
        ck_assert_int_eq(fixture_end(t, &(TaskEnd){ .state = TASK_SUCCESS }), 0);
        return t;
}

START_TEST(test_filters) {
        Task *queued, *leased, *done, *other;

        fixture_worker("w1", "a", 0);
        fixture_worker("w2", "b", 0);
        queued = fixture_submit("a", PRIORITY_NORMAL);
        done = succeeded("a", "w1");
        other = succeeded("b", "w2");
        leased = fixture_submit("b", PRIORITY_NORMAL);
        queue_remove(&fixture->queue, leased);
        lease_adopt(fixture, worker_find(&fixture->workers, "w1"), leased);
        queued->created_usec = 1000;
        done->created_usec = 2000;
        other->created_usec = 3000;
        leased->created_usec = 4000;

        ck_assert_uint_eq(list(""), 4); /* newest first */
        check_task(0, leased);
        check_task(1, other);
        check_task(2, done);
        check_task(3, queued);
        check_last();
        ck_assert_uint_eq(list("{\"status\":\"queued\"}"), 1);
        check_task(0, queued);
        ck_assert_uint_eq(list("{\"status\":\"dead\"}"), 0);
        check_last();
        ck_assert_uint_eq(list("{\"name\":\"a\"}"), 2);
        check_task(0, done);
        ck_assert_uint_eq(list("{\"name\":\"nosuch\"}"), 0);
        check_last();
        ck_assert_uint_eq(list("{\"worker\":\"w1\"}"), 2); /* has it, or had it last */
        check_task(0, leased);
        check_task(1, done);
        ck_assert_uint_eq(list("{\"worker\":\"w1\",\"name\":\"b\",\"status\":\"assigned\"}"), 1);
        check_task(0, leased);
        ck_assert_uint_eq(list("{\"since\":2000,\"until\":4000}"), 2);
        check_task(0, other);
        check_task(1, done);
        done->ended_monotonic_usec -= fixture->results.ttl_usec + USEC_PER_SEC;
        ck_assert_uint_eq(list("{\"status\":\"success\"}"), 1); /* expired ones are gone */
        check_task(0, other);
}
END_TEST

START_TEST(test_refused) {
        static const struct {
                const char *options, *said;
        } cases[] = {
                { "[]", "must be one JSON object" },
                { "{\"state\":\"queued\"}", "unknown key \"state\"" },
                { "{\"status\":\"Queued\"}", "\"status\" must be" },
                { "{\"status\":1}", "\"status\" must be" },
                { "{\"name\":1}", "\"name\" must be" },
                { "{\"worker\":1}", "\"worker\" must be" },
                { "{\"limit\":0}", "from 1 to 1000" },
                { "{\"limit\":1001}", "from 1 to 1000" },
                { "{\"limit\":\"1\"}", "from 1 to 1000" },
                { "{\"since\":-1}", "\"since\" must be" },
                { "{\"until\":\"now\"}", "\"until\" must be" },
                { "{\"after\":7}", "\"after\" must be" },
                { "{\"after\":\"\"}", "\"after\" must be" },
                { "{\"after\":\"7\"}", "\"after\" must be" },
                { "{\"after\":\"7-\"}", "\"after\" must be" },
                { "{\"after\":\"7-nonsense\"}", "\"after\" must be" },
                { "{\"after\":\"0-01938f2a-7c3b-7000-8abc-0123456789ab\"}", "\"after\" must be" },
                { "{\"after\":\"x-01938f2a-7c3b-7000-8abc-0123456789ab\"}", "\"after\" must be" },
                { "{\"after\":\"18446744073709551615-01938f2a-7c3b-7000-8abc-0123456789ab\"}",
                  "\"after\" must be" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                send(cases[i].options);
                fixture_take_error("client", WIRE_ERROR_BAD_ARGUMENT, cases[i].said);
        }
        fixture_take_nothing();
}
END_TEST

START_TEST(test_pages) {
        Task *t[7];

        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                t[i] = fixture_submit("a", PRIORITY_NORMAL);
        ck_assert_uint_eq(list("{\"limit\":3}"), 3);
        check_task(2, t[4]);
        fixture_submit("a", PRIORITY_NORMAL); /* is not for those who come from further up */
        ck_assert_uint_eq(list_next(3), 3);
        check_task(0, t[3]);
        check_task(2, t[1]);
        ck_assert_uint_eq(list_next(3), 1);
        check_task(0, t[0]);
        check_last();
        ck_assert_uint_eq(list("{\"limit\":8}"), 8); /* just all */
        check_last();
}
END_TEST

START_TEST(test_vanishing) {
        Task *t[8];

        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                t[i] = fixture_submit("a", PRIORITY_NORMAL);
        ck_assert_uint_eq(list("{\"limit\":2}"), 2);
        check_task(1, t[6]);
        vanish(t[6]); /* where the page ended */
        vanish(t[4]);
        ck_assert_uint_eq(list_next(2), 2);
        check_task(0, t[5]);
        check_task(1, t[3]);
        vanish(t[3]);
        vanish(t[7]);
        vanish(t[5]); /* all that was shown */
        ck_assert_uint_eq(list_next(2), 2);
        check_task(0, t[2]);
        check_task(1, t[1]);
        vanish(t[0]); /* all that was to come */
        ck_assert_uint_eq(list_next(2), 0);
        check_last();
}
END_TEST

/* A page looks at so many tasks only, also while it looks for its place. */
START_TEST(test_many) {
        Task *first = fixture_submit("rare", PRIORITY_NORMAL),
             *second = fixture_submit("rare", PRIORITY_NORMAL), *gone;
        unsigned n_pages = 0, n_found = 0;
        size_t n;

        gone = fixture_submit("rare", PRIORITY_NORMAL);
        for (size_t i = 0; i < 50000; i++)
                fixture_submit("common", PRIORITY_NORMAL);
        n = list("{\"name\":\"rare\",\"limit\":1}");
        for (;; n_pages++) {
                _cleanup_free_ char *options = NULL;
                const char *next = NULL;

                ck_assert_uint_lt(n_pages, 20);
                ck_assert_uint_le(n, 1);
                if (n == 1) {
                        check_task(0, n_found == 0 ? gone : n_found == 1 ? second : first);
                        if (n_found++ == 0)
                                vanish(gone);
                }
                if (!is_truncated())
                        break;
                ck_assert_int_eq(json_get_string(page, "next", &next), 1);
                options = format_string("{\"name\":\"rare\",\"limit\":1,\"after\":\"%s\"}", next);
                n = list(options);
        }
        ck_assert_uint_eq(n_found, 3);
        ck_assert_uint_ge(n_pages, 5); /* 50 000 tasks, twice, 20 000 at a time */
}
END_TEST

START_TEST(test_empty) {
        ck_assert_uint_eq(list("{}"), 0);
        check_last();
        ck_assert_uint_eq(list("{\"after\":\"9-01938f2a-7c3b-7000-8abc-0123456789ab\"}"), 0);
        check_last();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("op_list");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, fixture_setup, teardown);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, test_filters);
        tcase_add_test(t, test_refused);
        tcase_add_test(t, test_pages);
        tcase_add_test(t, test_vanishing);
        tcase_add_test(t, test_many);
        tcase_add_test(t, test_empty);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
