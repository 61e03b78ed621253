/* SPDX-License-Identifier: MIT */

/* Schedules without a coordinator: their documents, and how they go on, by a clock that is a number. */

#include <time.h>

#include "check-util.h"
#include "cron-days.h"
#include "json-util.h"
#include "schedule.h"
#include "time-util.h"

static uint64_t utc(const char *text) {
        struct tm tm = {};
        const char *end = strptime(text, "%Y-%m-%d %H:%M", &tm);

        ck_assert_msg(end && *end == '\0', "%s", text);
        return (uint64_t) timegm(&tm) * USEC_PER_SEC;
}

static int try_make(const char *document, Schedule **ret, char **ret_error) {
        _cleanup_json_ struct json_object *o = NULL;

        ck_assert_int_eq(json_parse_object(document, strlen(document), &o, NULL), 0);
        return schedule_new(o, ret, ret_error);
}

static Schedule *make(const char *document) {
        _cleanup_free_ char *error = NULL;
        Schedule *s = NULL;
        int r = try_make(document, &s, &error);

        ck_assert_msg(r == 0, "%s: %s", document, error ?: strerror(-r));
        ck_assert_ptr_null(error);
        return s;
}

/* --- documents --------------------------------------------------------------------------------- */

START_TEST(test_documents) {
        static const char in[] =
                "{\"catch_up\":\"one\",\"cron\":\"0 3 * * *\",\"timezone\":\"UTC\",\"task\":\"t\","
                "\"options\":{\"max_retries\":2},\"name\":\"n\",\"priority\":\"HIGH\",\"count\":3,"
                "\"arguments\":{\"args\":[1.10]},\"until\":null}";
        Schedule *s = make(in), *again;

        ck_assert_str_eq(s->name, "n");
        ck_assert_str_eq(s->task_name, "t");
        ck_assert_int_eq(s->priority, PRIORITY_HIGH);
        ck_assert_str_eq(s->arguments, "{\"args\":[1.10]}");
        ck_assert_str_eq(s->options, "{\"schedule\":\"n\",\"max_retries\":2}");
        ck_assert_int_eq(s->spec.catch_up, CATCH_UP_ONE);
        ck_assert_uint_eq(s->spec.count, 3);
        /* Written anew it says the same, in one order. */
        ck_assert_str_eq(s->document,
                         "{\"name\":\"n\",\"task\":\"t\",\"arguments\":{\"args\":[1.10]},"
                         "\"options\":{\"max_retries\":2},\"priority\":\"HIGH\","
                         "\"cron\":\"0 3 * * *\",\"timezone\":\"UTC\",\"count\":3,"
                         "\"catch_up\":\"one\"}");
        again = make(s->document);
        ck_assert_str_eq(again->document, s->document);
        schedule_free(again);
        schedule_free(s);

        s = make("{\"name\":\"n\",\"task\":\"t\",\"interval\":0.25}");
        ck_assert_uint_eq(s->spec.interval_usec, 250000);
        ck_assert_str_eq(s->arguments, "{\"args\":[],\"kwargs\":{}}");
        ck_assert(s->spec.skip_if_running);
        schedule_free(s);
        s = make(
                "{\"name\":\"n\",\"task\":\"t\",\"interval\":\"1h 30min\",\"skip_if_running\":false}");
        ck_assert_uint_eq(s->spec.interval_usec, 5400 * USEC_PER_SEC);
        ck_assert(!s->spec.skip_if_running);
        schedule_free(s);
}
END_TEST

#define DOCUMENT(rest) "{\"name\":\"n\",\"task\":\"t\"," rest "}"

START_TEST(test_mistakes) {
        static const struct {
                const char *document, *error;
        } cases[] = {
                { "{}", "\"name\" must be 1 to 100" },
                { "{\"name\":\"n\"}", "\"task\" must be 1 to 255" },
                { DOCUMENT("\"x\":1"), "but no \"x\"" },
                { DOCUMENT("\"count\":1"), "neither a cron expression nor an interval" },
                { DOCUMENT("\"interval\":true"), "\"interval\" must be a number, or text" },
                { DOCUMENT("\"cron\":5"), "\"cron\" must be text" },
                { DOCUMENT("\"cron\":\"* * * * *\\u0000x\""), "\"cron\" must not contain a NUL" },
                { DOCUMENT("\"interval\":1,\"timezone\":\"\\u0000\""),
                  "\"timezone\" must not contain a NUL" },
                { DOCUMENT("\"interval\":1,\"count\":9223372036854775808"),
                  "count: bad count \"9223372036854775808\"" },
                { DOCUMENT("\"interval\":1,\"priority\":\"\""), "\"priority\" must be critical" },
                { DOCUMENT("\"interval\":1,\"options\":{\"expires\":\"2030-01-01T00:00:00Z\"}"),
                  "\"expires\" of a schedule's tasks must be a number of seconds" },
                { DOCUMENT("\"interval\":1,\"count\":-1"), "count: bad count \"-1\"" },
                { DOCUMENT("\"interval\":1,\"timezone\":\"Nowhere\""), "timezone: " },
                { DOCUMENT("\"interval\":1,\"until\":\"soon\""), "until: bad time" },
                { DOCUMENT("\"interval\":1,\"catch_up\":\"x\""), "catch_up: \"x\"" },
                { DOCUMENT("\"interval\":1,\"skip_if_running\":\"x\""), "skip_if_running: " },
                { DOCUMENT("\"interval\":1,\"priority\":\"x\""), "critical, high, normal or low" },
                { DOCUMENT("\"interval\":1,\"arguments\":3"), "\"arguments\" must be an object" },
                { DOCUMENT("\"interval\":1,\"options\":3"), "\"options\" must be an object" },
                { DOCUMENT("\"interval\":1,\"options\":{\"unique\":\"x\"}"),
                  "no option \"unique\"" },
                { DOCUMENT("\"interval\":1,\"options\":{\"timeout\":0}"), "\"timeout\" must be" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *error = NULL;
                Schedule *s = NULL;

                ck_assert_int_eq(try_make(cases[i].document, &s, &error), -EINVAL);
                ck_assert_ptr_null(s);
                ck_assert_contains(error, cases[i].error);
        }
}
END_TEST

START_TEST(test_of_type) {
        static const char text[] = "{\"priority\":\"low\",\"timeout\":5,"
                                   "\"schedule\":{\"interval\":2,\"count\":4,\"later\":1}}";
        _cleanup_json_ struct json_object *options = NULL, *document = NULL;
        struct json_object *schedule = NULL;

        ck_assert_int_eq(json_parse_object(text, strlen(text), &options, NULL), 0);
        ck_assert_int_eq(json_get_object(options, "schedule", &schedule), 1);
        document = schedule_document_of_type("tick", options, schedule);
        ck_assert_str_eq(json_object_to_json_string_ext(document, JSON_COMPACT),
                         "{\"name\":\"tick\",\"task\":\"tick\",\"priority\":\"low\",\"interval\":2,"
                         "\"count\":4}");
}
END_TEST

/* --- going on ---------------------------------------------------------------------------------- */

/* Each row of the table, by a clock that is looked at every few seconds or minutes, and a process that is killed before
 * one step in three is kept: what fires is what the table says. */
static void live_through(const Days *d, unsigned seed) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        _cleanup_free_ char *error = NULL;
        uint64_t now = utc(d->after);
        Schedule *s = NULL;
        size_t n = 0;

        ck_assert_int_eq(json_add_string(o, "name", "n"), 0);
        ck_assert_int_eq(json_add_string(o, "task", "t"), 0);
        ck_assert_int_eq(json_add_string(o, "cron", d->cron), 0);
        ck_assert_int_eq(json_add_string(o, "timezone", d->zone), 0);
        ck_assert_int_eq(schedule_new(o, &s, &error), 0);
        s->now.state.added_usec = now;
        while (n < 5 && d->times[n]) {
                ScheduleTurn t;

                schedule_turn(s, now, false, UINT64_MAX, &t);
                if (t.has_moved && rand_r(&seed) % 3 == 0)
                        continue;
                for (size_t i = 0; i < t.n_due; i++, n++) {
                        ck_assert_msg(n < 5 && d->times[n] && t.due_usec[i] == utc(d->times[n]),
                                      "%s: fired for %ju", d->why,
                                      (uintmax_t) (t.due_usec[i] / USEC_PER_SEC));
                        ck_assert_uint_le(t.due_usec[i], now);
                }
                s->now = t.progress;
                /* In strides while nothing is near. */
                now = t.next_usec > now + 3600 * USEC_PER_SEC
                              ? t.next_usec - 1800 * USEC_PER_SEC
                              : now + 1 + (uint64_t) rand_r(&seed) % (50 * USEC_PER_SEC);
        }
        ck_assert_uint_gt(n, 0);
        schedule_free(s);
}

START_TEST(test_clock_changes) {
        for (size_t i = 0; i < ELEMENTSOF(days); i++)
                for (unsigned seed = 1; seed <= 20; seed++)
                        live_through(&days[i], seed);
}
END_TEST

/* A clock that is set back and forth at random: no due time comes twice, they only rise, and the runs are counted. */
START_TEST(test_jumps) {
        static const char *const documents[] = {
                DOCUMENT("\"interval\":7,\"catch_up\":\"skip\""),
                DOCUMENT("\"interval\":7,\"catch_up\":\"one\""),
                DOCUMENT("\"interval\":7,\"catch_up\":\"all\",\"count\":5000"),
                DOCUMENT("\"cron\":\"*/3 * * * *\",\"timezone\":\"Europe/Berlin\""),
                DOCUMENT(
                        "\"cron\":\"*/3 * * * *\",\"timezone\":\"Europe/Berlin\",\"catch_up\":\"all\""),
        };

        for (size_t i = 0; i < ELEMENTSOF(documents); i++) {
                Schedule *s = make(documents[i]);
                uint64_t now = utc("2024-03-31 00:30"), last = 0, n = 0;
                unsigned seed = (unsigned) i + 1;

                s->now.state.added_usec = now;
                for (unsigned k = 0; k < 5000; k++) {
                        int64_t jump = rand_r(&seed) % 10 == 0
                                               ? (int64_t) (rand_r(&seed) % 7200) - 3000
                                               : (int64_t) (rand_r(&seed) % 20);
                        ScheduleTurn t;

                        now += (uint64_t) (jump * (int64_t) USEC_PER_SEC);
                        schedule_turn(s, now, rand_r(&seed) % 4 == 0,
                                      1 + (uint64_t) rand_r(&seed) % 200, &t);
                        ck_assert(t.n_due == 0 || t.has_moved);
                        for (size_t d = 0; d < t.n_due; d++, n++) {
                                ck_assert_uint_gt(t.due_usec[d], last);
                                ck_assert_uint_le(t.due_usec[d], now);
                                last = t.due_usec[d];
                        }
                        s->now = t.progress;
                        ck_assert_uint_eq(s->now.state.n_runs, n);
                        ck_assert(!t.has_ended || n == 5000);
                }
                ck_assert_uint_gt(n, 30);
                schedule_free(s);
        }
}
END_TEST

/* As many in one turn as that may have, and then on. */
START_TEST(test_bursts) {
        Schedule *s = make(DOCUMENT("\"interval\":1,\"catch_up\":\"all\",\"count\":250"));
        uint64_t added = utc("2024-05-01 00:00"), now = added + 86400 * USEC_PER_SEC;
        static const size_t sizes[] = { 100, 100, 50 };
        uint64_t due = added;

        s->now.state.added_usec = added;
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                ScheduleTurn t;

                schedule_turn(s, now, true, UINT64_MAX, &t);
                ck_assert_uint_eq(t.n_due, sizes[i]);
                for (size_t k = 0; k < t.n_due; k++, due += USEC_PER_SEC)
                        ck_assert_uint_eq(t.due_usec[k], due);
                ck_assert(t.has_ended == (i == 2));
                ck_assert_uint_eq(t.next_usec, i == 2 ? USEC_INFINITY : 0);
                s->now = t.progress;
        }
        ck_assert(schedule_has_ended(s));

        /* Or as there is room for. */
        s->now.state = (ScheduleState){ .added_usec = added };
        for (uint64_t n = 1; n < 5; n++) {
                ScheduleTurn t;

                schedule_turn(s, now, true, n, &t);
                ck_assert_uint_eq(t.n_due, n);
                ck_assert_uint_eq(t.next_usec, 0);
        }
        schedule_free(s);
}
END_TEST

START_TEST(test_running) {
        Schedule *s = make(DOCUMENT("\"interval\":10"));
        uint64_t added = utc("2024-05-01 00:00"), now = added + 20 * USEC_PER_SEC;
        ScheduleTurn t;

        s->now.state = (ScheduleState){ .added_usec = added,
                                        .last_due_usec = added + 10 * USEC_PER_SEC,
                                        .n_runs = 2 };
        schedule_turn(s, now, true, UINT64_MAX, &t);
        ck_assert_uint_eq(t.n_due, 0);
        ck_assert_uint_eq(t.dropped_usec, now);
        ck_assert_uint_eq(t.missed_usec, 0);
        ck_assert_uint_eq(t.next_usec, now + 10 * USEC_PER_SEC);
        schedule_free(s);
}
END_TEST

START_TEST(test_carry_over) {
        static const struct {
                const char *from, *to, *next;
        } cases[] = {
                /* The rule stays: so do the times. */
                { "\"interval\":600", "\"interval\":600,\"count\":9", "2024-05-01 00:20" },
                /* From where the last one began. */
                { "\"interval\":600", "\"interval\":3600", "2024-05-01 01:10" },
                { "\"interval\":600", "\"interval\":60", "2024-05-01 00:15" },
                /* Nothing before now is missed. */
                { "\"interval\":600", "\"cron\":\"0 * * * *\",\"timezone\":\"UTC\"",
                  "2024-05-01 01:00" },
                { "\"cron\":\"10 * * * *\",\"timezone\":\"UTC\"", "\"interval\":1800",
                  "2024-05-01 00:40" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *from_text = NULL, *to_text = NULL;
                uint64_t now = utc("2024-05-01 00:15");
                Schedule *from, *to;
                ScheduleTurn t;

                ck_assert_int_gt(
                        asprintf(&from_text, "{\"name\":\"n\",\"task\":\"t\",%s}", cases[i].from),
                        0);
                ck_assert_int_gt(
                        asprintf(&to_text, "{\"name\":\"n\",\"task\":\"t\",%s}", cases[i].to), 0);
                from = make(from_text);
                to = make(to_text);
                from->now.state = (ScheduleState){ .added_usec = utc("2024-05-01 00:00"),
                                                   .last_due_usec = utc("2024-05-01 00:10"),
                                                   .n_runs = 2 };
                to->now = schedule_carry_over(from, &from->now, to, now);
                ck_assert_uint_eq(to->now.state.n_runs, 2);
                schedule_turn(to, now, false, UINT64_MAX, &t);
                if (t.n_due > 0) {
                        ck_assert_uint_eq(t.due_usec[t.n_due - 1], utc(cases[i].next));
                        ck_assert_uint_eq(t.n_due, 1);
                } else
                        ck_assert_uint_eq(t.next_usec, utc(cases[i].next));
                schedule_free(from);
                schedule_free(to);
        }
}
END_TEST

/* --- the table, and what is shown --------------------------------------------------------------- */

START_TEST(test_table) {
        static const char *const names[] = { "b", "c", "a" };
        Schedules table = {};
        Schedule *s, *next;
        char last = 'a' - 1;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                char document[100];

                (void) snprintf(document, sizeof(document),
                                "{\"name\":\"%s\",\"task\":\"t\",\"interval\":1}", names[i]);
                s = make(document);
                ck_assert_int_eq(schedule_insert(&table, s), 0);
                ck_assert_ptr_eq(schedule_find(&table, names[i]), s);
        }
        s = make("{\"name\":\"a\",\"task\":\"t\",\"interval\":1}");
        ck_assert_int_eq(schedule_insert(&table, s), -EEXIST);
        schedule_free(s);
        schedules_sort(&table);
        HASH_ITER(hh, table.by_name, s, next) {
                ck_assert_int_eq(s->name[0], last + 1);
                last = s->name[0];
                schedule_take(&table, s);
                schedule_free(s);
        }
        ck_assert_ptr_null(schedule_find(&table, "a"));
}
END_TEST

START_TEST(test_shown) {
        Schedule *s = make(DOCUMENT("\"interval\":600,\"count\":3"));
        _cleanup_json_ struct json_object *o = NULL;

        s->now.state.added_usec = utc("2024-05-01 00:00");
        o = schedule_to_json(s, utc("2024-05-01 00:00"), 5, false);
        ck_assert_str_eq(
                json_object_to_json_string_ext(json_object_object_get(o, "next"), JSON_COMPACT),
                "[\"2024-05-01T00:00:00.000000Z\",\"2024-05-01T00:10:00.000000Z\","
                "\"2024-05-01T00:20:00.000000Z\"]");
        ck_assert_str_eq(json_object_get_string(json_object_object_get(o, "state")), "active");
        json_object_put(o);

        s->now.state.last_due_usec = utc("2024-05-01 00:10");
        s->now.state.n_runs = 2;
        s->is_paused = true;
        o = schedule_to_json(s, utc("2024-05-01 00:12"), 5, true);
        ck_assert_str_eq(
                json_object_to_json_string_ext(json_object_object_get(o, "next"), JSON_COMPACT),
                "[\"2024-05-01T00:20:00.000000Z\"]");
        ck_assert_str_eq(json_object_get_string(json_object_object_get(o, "state")), "paused");
        ck_assert_str_eq(json_object_get_string(json_object_object_get(o, "last_due_at")),
                         "2024-05-01T00:10:00.000000Z");
        s->now.state.n_runs = 3;
        ck_assert(schedule_has_ended(s));
        schedule_free(s);
}
END_TEST

int main(void) {
        Suite *s = suite_create("schedules");
        TCase *t = tcase_create("all");

        tcase_set_timeout(t, 120);
        tcase_add_test(t, test_documents);
        tcase_add_test(t, test_mistakes);
        tcase_add_test(t, test_of_type);
        tcase_add_test(t, test_clock_changes);
        tcase_add_test(t, test_jumps);
        tcase_add_test(t, test_bursts);
        tcase_add_test(t, test_running);
        tcase_add_test(t, test_carry_over);
        tcase_add_test(t, test_table);
        tcase_add_test(t, test_shown);
        suite_add_tcase(s, t);
        return check_run(s);
}
