/* SPDX-License-Identifier: MIT */

/* Schedules: what they do at which moment, and that each due time comes once. */

#include <time.h>

#include "check-util.h"
#include "parse-util.h"
#include "schedule-spec.h"
#include "time-util.h"

#define MINUTE USEC_PER_MINUTE
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static ScheduleSpec parse(const ScheduleText *text) {
        _cleanup_free_ char *error = NULL;
        ScheduleSpec s = {};
        ScheduleField field;
        int r = schedule_spec_parse(text, &s, &field, &error);

        ck_assert_msg(r == 0, "field %d: %s", (int) field, error ?: strerror(-r));
        return s;
}

static uint64_t utc(const char *text) {
        struct tm tm = {};
        const char *end = strptime(text, "%Y-%m-%d %H:%M", &tm);

        ck_assert_msg(end && *end == '\0', "%s", text);
        return (uint64_t) timegm(&tm) * USEC_PER_SEC;
}

START_TEST(test_parse) {
        const ScheduleText all = { .cron = "0 3 * * *",
                                   .timezone = "Europe/Berlin",
                                   .count = "5",
                                   .until = "2030-12-31T18:00:00",
                                   .skip_if_running = "no",
                                   .catch_up = "one" };
        ScheduleSpec s = parse(&all);

        ck_assert_uint_eq(s.interval_usec, 0);
        ck_assert_uint_eq(s.cron.hours, 8);
        ck_assert_str_eq(time_zone_name(s.zone), "Europe/Berlin");
        ck_assert_uint_eq(s.count, 5);
        /* In the zone of the schedule. */
        ck_assert_uint_eq(s.until_usec, utc("2030-12-31 17:00"));
        ck_assert(!s.skip_if_running);
        ck_assert_int_eq(s.catch_up, CATCH_UP_ONE);
        schedule_spec_done(&s);

        s = parse(&(ScheduleText){ .interval = "1min 30s" });
        ck_assert_uint_eq(s.interval_usec, 90 * USEC_PER_SEC);
        ck_assert_uint_eq(s.count, 0);
        ck_assert_uint_eq(s.until_usec, USEC_INFINITY);
        ck_assert(s.skip_if_running);
        ck_assert_int_eq(s.catch_up, CATCH_UP_SKIP);
        schedule_spec_done(&s);

        s = parse(&(ScheduleText){ .interval = "0.1", .catch_up = "all" });
        ck_assert_uint_eq(s.interval_usec, 100000);
        ck_assert(!s.skip_if_running);
        schedule_spec_done(&s);
        schedule_spec_done(&s);
}
END_TEST

START_TEST(test_mistakes) {
        static const struct {
                ScheduleText text;
                ScheduleField field;
                const char *error;
        } cases[] = {
                { {}, SCHEDULE_FIELD_RULE, "neither a cron expression nor an interval" },
                { { .cron = "@daily", .interval = "5s" }, SCHEDULE_FIELD_RULE, "not by both" },
                { { .cron = "61 * * * *" }, SCHEDULE_FIELD_RULE, "minute field \"61\"" },
                { { .interval = "0" }, SCHEDULE_FIELD_RULE, "from 100ms" },
                { { .interval = "99ms" }, SCHEDULE_FIELD_RULE, "from 100ms" },
                { { .interval = "3651d" }, SCHEDULE_FIELD_RULE, "to 3650d" },
                { { .interval = "infinity" }, SCHEDULE_FIELD_RULE, "bad interval \"infinity\"" },
                { { .interval = "5x" }, SCHEDULE_FIELD_RULE, "a time span like 30s" },
                { { .interval = "5", .timezone = "Europe/Belin" },
                  SCHEDULE_FIELD_TIMEZONE,
                  "no time zone" },
                { { .interval = "5", .timezone = "../x" },
                  SCHEDULE_FIELD_TIMEZONE,
                  "not the name" },
                { { .interval = "5", .count = "0" }, SCHEDULE_FIELD_COUNT, "from 1 on" },
                { { .interval = "5", .count = "two" }, SCHEDULE_FIELD_COUNT, "bad count \"two\"" },
                { { .interval = "5", .until = "soon" }, SCHEDULE_FIELD_UNTIL, "2030-12-31T18:00" },
                { { .interval = "5", .catch_up = "some" },
                  SCHEDULE_FIELD_CATCH_UP,
                  "expected skip, one or all" },
                { { .interval = "5", .skip_if_running = "2" },
                  SCHEDULE_FIELD_SKIP_IF_RUNNING,
                  "expected yes or no" },
                { { .interval = "5", .skip_if_running = "yes", .catch_up = "all" },
                  SCHEDULE_FIELD_SKIP_IF_RUNNING,
                  "concurrency of 1" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *error = NULL;
                ScheduleSpec s = {};
                ScheduleField field = 99;

                ck_assert_int_eq(schedule_spec_parse(&cases[i].text, &s, &field, &error), -EINVAL);
                ck_assert_msg(field == cases[i].field, "%s: %d", error, (int) field);
                ck_assert_contains(error, cases[i].error);
                ck_assert_ptr_null(s.zone);
        }
}
END_TEST

/* One schedule and one state against one moment. */
typedef struct Case {
        const char *why;
        ScheduleText text;
        const char *added, *last, *now; /* last NULL: none yet */
        uint64_t n_runs;
        bool running;
        ScheduleAction action;
        const char *due, *missed, *next;
} Case;

#define DAILY \
        { .cron = "0 3 * * *", .timezone = "UTC" }
#define DAILY_(...) \
        { .cron = "0 3 * * *", .timezone = "UTC", __VA_ARGS__ }
#define EVERY(...) \
        { .interval = "10min", __VA_ARGS__ }

static const Case cases[] = {
        { "cron: not at once", DAILY, "2024-05-01 03:00", NULL, "2024-05-01 03:00", 0, false,
          SCHEDULE_WAIT, .next = "2024-05-02 03:00" },
        { "cron: due", DAILY, "2024-05-01 03:00", NULL, "2024-05-02 03:00", 0, false, SCHEDULE_RUN,
          .due = "2024-05-02 03:00" },
        { "cron: on to the next", DAILY, "2024-05-01 03:00", "2024-05-02 03:00", "2024-05-02 03:00",
          1, false, SCHEDULE_WAIT, .next = "2024-05-03 03:00" },
        { "cron: just late is on time", DAILY, "2024-05-01 00:00", "2024-05-01 03:00",
          "2024-05-02 03:01", 1, false, SCHEDULE_RUN, .due = "2024-05-02 03:00" },
        { "skip: too late", DAILY, "2024-05-01 00:00", "2024-05-01 03:00", "2024-05-02 03:02", 1,
          false, SCHEDULE_DROP, .due = "2024-05-02 03:00", .missed = "2024-05-02 03:00" },
        { "skip: several", DAILY, "2024-05-01 00:00", "2024-05-01 03:00", "2024-05-20 12:00", 1,
          false, SCHEDULE_DROP, .due = "2024-05-20 03:00", .missed = "2024-05-02 03:00" },
        { "skip: several, and the last is on time", DAILY, "2024-05-01 00:00", "2024-05-01 03:00",
          "2024-05-20 03:00", 1, false, SCHEDULE_RUN, .due = "2024-05-20 03:00",
          .missed = "2024-05-02 03:00" },
        { "one: the last", DAILY_(.catch_up = "one"), "2024-05-01 00:00", "2024-05-01 03:00",
          "2024-05-20 12:00", 1, false, SCHEDULE_RUN, .due = "2024-05-20 03:00",
          .missed = "2024-05-02 03:00" },
        { "one: a single one", DAILY_(.catch_up = "one"), "2024-05-01 00:00", "2024-05-01 03:00",
          "2024-05-02 12:00", 1, false, SCHEDULE_RUN, .due = "2024-05-02 03:00" },
        { "all: the first", DAILY_(.catch_up = "all"), "2024-05-01 00:00", "2024-05-01 03:00",
          "2024-05-20 12:00", 1, false, SCHEDULE_RUN, .due = "2024-05-02 03:00" },
        { "all: though one runs", DAILY_(.catch_up = "all"), "2024-05-01 00:00", "2024-05-02 03:00",
          "2024-05-20 12:00", 2, true, SCHEDULE_RUN, .due = "2024-05-03 03:00" },
        { "running: dropped", DAILY, "2024-05-01 00:00", "2024-05-01 03:00", "2024-05-02 03:00", 1,
          true, SCHEDULE_DROP, .due = "2024-05-02 03:00" },
        { "running: none is due", DAILY, "2024-05-01 00:00", "2024-05-01 03:00", "2024-05-02 02:59",
          1, true, SCHEDULE_WAIT, .next = "2024-05-02 03:00" },
        { "running: no matter", DAILY_(.skip_if_running = "no"), "2024-05-01 00:00",
          "2024-05-01 03:00", "2024-05-02 03:00", 1, true, SCHEDULE_RUN,
          .due = "2024-05-02 03:00" },
        { "running: catch up on none", DAILY_(.catch_up = "one"), "2024-05-01 00:00",
          "2024-05-01 03:00", "2024-05-20 12:00", 1, true, SCHEDULE_DROP, .due = "2024-05-20 03:00",
          .missed = "2024-05-02 03:00" },
        { "count: used up", DAILY_(.count = "3"), "2024-05-01 00:00", "2024-05-03 03:00",
          "2024-05-20 12:00", 3, false, SCHEDULE_END },
        { "count: one left", DAILY_(.count = "3"), "2024-05-01 00:00", "2024-05-02 03:00",
          "2024-05-03 03:00", 2, false, SCHEDULE_RUN, .due = "2024-05-03 03:00" },
        { "until: at it", DAILY_(.until = "2024-05-03T03:00:00Z"), "2024-05-01 00:00",
          "2024-05-02 03:00", "2024-05-03 03:00", 2, false, SCHEDULE_RUN,
          .due = "2024-05-03 03:00" },
        { "until: over", DAILY_(.until = "2024-05-03T03:00:00Z"), "2024-05-01 00:00",
          "2024-05-03 03:00", "2024-05-03 03:00", 3, false, SCHEDULE_END },
        { "until: caught up later", DAILY_(.until = "2024-05-03T03:00:00Z", .catch_up = "one"),
          "2024-05-01 00:00", "2024-05-01 03:00", "2024-06-01 12:00", 1, false, SCHEDULE_RUN,
          .due = "2024-05-03 03:00", .missed = "2024-05-02 03:00" },
        { "until: before it begins", DAILY_(.until = "2024-05-03T03:00:00Z"), "2024-06-01 00:00",
          NULL, "2024-06-01 00:00", 0, false, SCHEDULE_END },
        { "interval: at once", EVERY(), "2024-05-01 00:07", NULL, "2024-05-01 00:07", 0, false,
          SCHEDULE_RUN, .due = "2024-05-01 00:07" },
        { "interval: then", EVERY(), "2024-05-01 00:07", "2024-05-01 00:07", "2024-05-01 00:16", 1,
          false, SCHEDULE_WAIT, .next = "2024-05-01 00:17" },
        { "interval: due", EVERY(), "2024-05-01 00:07", "2024-05-01 00:07", "2024-05-01 00:17", 1,
          false, SCHEDULE_RUN, .due = "2024-05-01 00:17" },
        { "interval: missed", EVERY(), "2024-05-01 00:07", "2024-05-01 00:07", "2024-05-01 12:00",
          1, false, SCHEDULE_DROP, .due = "2024-05-01 11:57", .missed = "2024-05-01 00:17" },
        { "interval: one", EVERY(.catch_up = "one"), "2024-05-01 00:07", "2024-05-01 00:07",
          "2024-05-01 12:00", 1, false, SCHEDULE_RUN, .due = "2024-05-01 11:57",
          .missed = "2024-05-01 00:17" },
        { "interval: all", EVERY(.catch_up = "all"), "2024-05-01 00:07", NULL, "2024-05-01 12:00",
          0, false, SCHEDULE_RUN, .due = "2024-05-01 00:07" },
        { "the clock was set back", EVERY(), "2024-05-01 00:07", "2024-05-01 00:27",
          "2024-04-30 12:00", 3, false, SCHEDULE_WAIT, .next = "2024-05-01 00:37" },
        { "the clock was set back before the first", EVERY(), "2024-05-01 00:07", NULL,
          "2024-04-30 12:00", 0, false, SCHEDULE_WAIT, .next = "2024-05-01 00:07" },
};

static void same_time(const Case *c, const char *what, uint64_t got, const char *wanted) {
        ck_assert_msg(got == (wanted ? utc(wanted) : 0), "%s: %s is %ju, not %s", c->why, what,
                      (uintmax_t) (got / USEC_PER_SEC), wanted ?: "0");
}

START_TEST(test_steps) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const Case *c = &cases[i];
                ScheduleSpec s = parse(&c->text);
                ScheduleState state = { utc(c->added), c->last ? utc(c->last) : 0, c->n_runs };
                ScheduleStep step = schedule_step(&s, &state, utc(c->now), c->running);
                bool moves = c->action == SCHEDULE_RUN || c->action == SCHEDULE_DROP;

                ck_assert_msg(step.action == c->action, "%s: action %d", c->why, (int) step.action);
                same_time(c, "due", step.due_usec, c->due);
                same_time(c, "missed", step.missed_usec, c->missed);
                same_time(c, "next", step.next_usec, c->next);
                same_time(c, "added", step.state.added_usec, c->added);
                same_time(c, "last", step.state.last_due_usec, moves ? c->due : c->last);
                ck_assert_uint_eq(step.state.n_runs, c->n_runs + (c->action == SCHEDULE_RUN));
                schedule_spec_done(&s);
        }
}
END_TEST

/* Lets a schedule live through moments in random steps, where at any step the state may be lost back to what was last
 * committed; no due time may run twice, and with "all" none may be left out. */
static unsigned live(const ScheduleText *text, uint64_t begin, uint64_t end, uint64_t step_max,
                     unsigned seed) {
        ScheduleSpec s = parse(text);
        ScheduleState state = { .added_usec = begin };
        uint64_t last_run = 0, expected = 0;
        unsigned n = 0;

        for (uint64_t now = begin; now <= end;) {
                ScheduleStep step = schedule_step(&s, &state, now, false);

                if (step.action == SCHEDULE_WAIT || step.action == SCHEDULE_END) {
                        if (step.action == SCHEDULE_END)
                                break;
                        ck_assert_uint_gt(step.next_usec, now);
                        /* Early, at the moment, and late by up to step_max. */
                        now = MAX(now + 1, step.next_usec - USEC_PER_SEC +
                                                   (uint64_t) rand_r(&seed) * step_max / RAND_MAX);
                        continue;
                }
                ck_assert_uint_gt(step.due_usec, state.last_due_usec);
                ck_assert_uint_le(step.due_usec, now);
                /* A crash before the commit: the same comes again. */
                if (rand_r(&seed) % 3 == 0)
                        continue;
                if (s.catch_up == CATCH_UP_ALL) {
                        uint64_t after = state.last_due_usec > 0 ? state.last_due_usec : begin - 1;

                        ck_assert_int_eq(schedule_next(&s, &state, after, &expected), 0);
                        ck_assert_uint_eq(step.due_usec, expected);
                }
                if (step.action == SCHEDULE_RUN) {
                        ck_assert_uint_gt(step.due_usec, last_run);
                        last_run = step.due_usec;
                        n++;
                }
                state = step.state;
        }
        schedule_spec_done(&s);
        return n;
}

START_TEST(test_lives) {
        uint64_t begin = utc("2024-01-01 00:00"), end = utc("2024-12-31 00:00");

        for (unsigned seed = 1; seed <= 5; seed++) {
                const char *policies[] = { "skip", "one", "all" };

                for (size_t i = 0; i < 3; i++) {
                        ScheduleText cron = { .cron = "30 2 * * *",
                                              .timezone = "Europe/Berlin",
                                              .catch_up = policies[i] };
                        ScheduleText interval = { .interval = "6h", .catch_up = policies[i] };
                        unsigned n = live(&cron, begin, end, 3 * DAY, seed);

                        ck_assert_uint_ge(n, i == 2 ? 362 : 1);
                        ck_assert_uint_le(n, 365);
                        n = live(&interval, begin, end, DAY, seed);
                        ck_assert_uint_ge(n, i == 2 ? 1456 : 1);
                        ck_assert_uint_le(n, 1461);
                        ck_assert_uint_eq(live(&cron, begin, end, 2 * USEC_PER_SEC, seed), 365);
                }
        }
}
END_TEST

/* Missing years of a dense schedule must not take long: it is one step, and its cost does not grow with them. */
START_TEST(test_long_absence) {
        ScheduleSpec s = parse(&(ScheduleText){ .cron = "* * * * *", .timezone = "UTC" });
        ScheduleState state = { .added_usec = utc("1990-01-01 00:00") };
        ScheduleStep step =
                schedule_step(&s, &state, utc("2090-01-01 00:00") + 70 * USEC_PER_SEC, false);

        ck_assert_int_eq(step.action, SCHEDULE_RUN);
        ck_assert_uint_eq(step.due_usec, utc("2090-01-01 00:01"));
        ck_assert_uint_eq(step.missed_usec, utc("1990-01-01 00:01"));
        schedule_spec_done(&s);
}
END_TEST

START_TEST(test_next) {
        ScheduleSpec s =
                parse(&(ScheduleText){ .interval = "1h", .until = "2024-05-01T02:30:00Z" });
        ScheduleState state = { .added_usec = utc("2024-05-01 00:10") };
        uint64_t at = 0;

        ck_assert_int_eq(schedule_next(&s, &state, 0, &at), 0);
        ck_assert_uint_eq(at, utc("2024-05-01 00:10"));
        ck_assert_int_eq(schedule_next(&s, &state, at, &at), 0);
        ck_assert_uint_eq(at, utc("2024-05-01 01:10"));
        ck_assert_int_eq(schedule_next(&s, &state, at, &at), 0);
        ck_assert_uint_eq(at, utc("2024-05-01 02:10"));
        ck_assert_int_eq(schedule_next(&s, &state, at, &at), -ENOENT);
        s.until_usec = USEC_INFINITY;
        ck_assert_int_eq(schedule_next(&s, &state, UINT64_MAX - 5, &at), -ENOENT);
        schedule_spec_done(&s);
}
END_TEST

START_TEST(test_firing) {
        static const struct {
                const char *origin, *name;
                uint64_t due;
        } others[] = {
                { "here", "nightly", 1714532400000001 },
                { "here", "nightlz", 1714532400000000 },
                { "there", "nightly", 1714532400000000 },
                { "", "nightly", 1714532400000000 },
        };
        char key[SCHEDULE_KEY_SIZE], again[SCHEDULE_KEY_SIZE], text[TASK_ID_TEXT_LENGTH + 1];
        _cleanup_free_ char *name = NULL;
        TaskId id, other;

        schedule_firing("here", "nightly", 1714532400000000, &id, key);
        ck_assert_str_eq(key, "schedule:nightly@1714532400000000");
        /* Fixed for ever: what is in a store must be found again by the next version. */
        task_id_to_text(&id, text);
        ck_assert_str_eq(text, "018f3218-3b80-8eca-b5bc-34620b8640a2");
        schedule_firing("here", "nightly", 1714532400000000, &other, again);
        ck_assert(task_id_equal(&id, &other));
        ck_assert_str_eq(key, again);

        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                schedule_firing(others[i].origin, others[i].name, others[i].due, &other, again);
                ck_assert_msg(!task_id_equal(&id, &other), "%zu", i);
        }

        /* The longest name and the latest time fit. */
        name = malloc(SCHEDULE_NAME_MAX + 1);
        ck_assert_ptr_nonnull(name);
        memset(name, 'n', SCHEDULE_NAME_MAX);
        name[SCHEDULE_NAME_MAX] = '\0';
        schedule_firing("here", name, UINT64_MAX, &other, again);
        ck_assert_contains(again, "n@18446744073709551615");
}
END_TEST

START_TEST(test_names) {
        for (CatchUp i = 0; i < _CATCH_UP_MAX; i++)
                ck_assert_int_eq(catch_up_from_string(catch_up_to_string(i)), i);
        ck_assert_int_eq((int) catch_up_from_string("some"), -EINVAL);
        ck_assert_ptr_null(catch_up_to_string(_CATCH_UP_MAX));
}
END_TEST

int main(void) {
        Suite *s = suite_create("schedule");
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_parse);
        tcase_add_test(t, test_mistakes);
        tcase_add_test(t, test_steps);
        tcase_add_test(t, test_lives);
        tcase_add_test(t, test_long_absence);
        tcase_add_test(t, test_next);
        tcase_add_test(t, test_firing);
        tcase_add_test(t, test_names);
        suite_add_tcase(s, t);
        return check_run(s);
}
