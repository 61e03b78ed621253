/* SPDX-License-Identifier: MIT */

/* Reading expressions, mistakes in them, and the days on which clocks change. tests/system/t0600-cron-oracle.py has the
 * comparison with other implementations. */

#include <time.h>

#include "check-util.h"
#include "cron-days.h"
#include "cron.h"
#include "time-util.h"

static Cron parse(const char *text) {
        _cleanup_free_ char *error = NULL;
        Cron c = {};
        int r = cron_parse(text, &c, &error);

        ck_assert_msg(r == 0, "\"%s\": %s", text, error ?: strerror(-r));
        ck_assert_ptr_null(error);
        return c;
}

static TimeZone *open_zone(const char *name) {
        _cleanup_free_ char *error = NULL;
        TimeZone *z = NULL;

        ck_assert_msg(time_zone_new(name, &z, &error) == 0, "%s: %s", name, error ?: "?");
        return z;
}

/* "2024-03-31 01:00" in UTC. */
static uint64_t utc(const char *text) {
        struct tm tm = {};
        const char *end = strptime(text, "%Y-%m-%d %H:%M", &tm);

        ck_assert_msg(end && *end == '\0', "%s", text);
        return (uint64_t) timegm(&tm) * USEC_PER_SEC;
}

START_TEST(test_fields) {
        static const struct {
                const char *text;
                Cron cron;
        } cases[] = {
                { "0 0 1 1 0", { 1, 1, 2, 2, 1, true } },
                { "59 23 31 12 7", { UINT64_C(1) << 59, 1U << 23, 1U << 31, 1 << 12, 1, true } },
                { "* * * * *",
                  { (UINT64_C(1) << 60) - 1, 0xffffff, 0xfffffffe, 0x1ffe, 0x7f, false } },
                { "\t 5  4 *\t* * ", { 32, 16, 0xfffffffe, 0x1ffe, 0x7f, false } },
                { "*/20 */12 */16 */6 */3",
                  { 1ULL | 1ULL << 20 | 1ULL << 40, 1 | 1 << 12, 1 << 1 | 1 << 17, 1 << 1 | 1 << 7,
                    1 | 1 << 3 | 1 << 6, false } },
                { "1-5/2,7 0 */2 * 1",
                  { 1 << 1 | 1 << 3 | 1 << 5 | 1 << 7, 1, 0xaaaaaaaa, 0x1ffe, 2, false } },
                { "0 0 1 JAN,mar-May MON-fri",
                  { 1, 1, 2, 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5, 0x3e, true } },
                { "0 0 1 * 5-7", { 1, 1, 2, 0x1ffe, 1 | 1 << 5 | 1 << 6, true } },
                { "0 0 1 * FRI-SUN", { 1, 1, 2, 0x1ffe, 1 | 1 << 5 | 1 << 6, true } },
                { "0 0 1 * SUN-TUE", { 1, 1, 2, 0x1ffe, 7, true } },
                { "00 007 1 * *", { 1, 1 << 7, 2, 0x1ffe, 0x7f, false } },
                { "@hourly", { 1, 0xffffff, 0xfffffffe, 0x1ffe, 0x7f, false } },
                { " @Daily ", { 1, 1, 0xfffffffe, 0x1ffe, 0x7f, false } },
                { "@midnight", { 1, 1, 0xfffffffe, 0x1ffe, 0x7f, false } },
                { "@weekly", { 1, 1, 0xfffffffe, 0x1ffe, 1, false } },
                { "@monthly", { 1, 1, 2, 0x1ffe, 0x7f, false } },
                { "@yearly", { 1, 1, 2, 2, 0x7f, false } },
                { "@annually", { 1, 1, 2, 2, 0x7f, false } },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Cron c = parse(cases[i].text);
                const Cron *w = &cases[i].cron;

                ck_assert_msg(c.minutes == w->minutes && c.hours == w->hours &&
                                      c.days_of_month == w->days_of_month &&
                                      c.months == w->months && c.days_of_week == w->days_of_week &&
                                      c.either_day == w->either_day,
                              "\"%s\" is %jx %x %x %x %x %d", cases[i].text, (uintmax_t) c.minutes,
                              c.hours, c.days_of_month, c.months, c.days_of_week, c.either_day);
        }
}
END_TEST

/* Each with what the error must say. */
static const char *const mistakes[][3] = {
        { "", "expected five fields (minute, hour", "found 0" },
        { "* * * *", "expected five fields", "found 4" },
        { "0 * * * * *", "found 6", "leave that field out" },
        { "0 0 12 1 1 ? 2030", "found 7", "five fields" },
        { "60 * * * *", "minute field \"60\"", "expected 0 to 59" },
        { "-1 * * * *", "minute field \"-1\"", "expected 0 to 59" },
        { "* 24 * * *", "hour field \"24\"", "expected 0 to 23" },
        { "* * 0 * *", "day of the month field", "expected 1 to 31" },
        { "* * 32 * *", "day of the month field", "expected 1 to 31" },
        { "* * * 13 *", "month field \"13\"", "1 to 12 or JAN to DEC" },
        { "* * * 0 *", "month field \"0\"", "1 to 12" },
        { "* * * JUNE *", "\"JUNE\" is not a month", "JAN to DEC" },
        { "* * * MON *", "\"MON\" is not a month", "JAN to DEC" },
        { "* * * * 8", "\"8\" is not a day of the week", "0 to 7 or SUN to SAT" },
        { "* * * * TUES", "\"TUES\" is not a day of the week", "SUN to SAT" },
        { "99999999999999999999 * * * *", "minute field", "expected 0 to 59" },
        { "0 0 ? * 1", "\"?\" is not a day of the month", "expected 1 to 31" },
        { "0 0 L * *", "\"L\" is not a day of the month", "expected 1 to 31" },
        { "0 0 15W * *", "\"15W\" is not a day of the month", "expected 1 to 31" },
        { "0 0 * * 5#3", "\"#3\" is not understood", "ranges (a-b)" },
        { "H * * * *", "\"H\" is not a minute", "expected 0 to 59" },
        { "*5 * * * *", "\"5\" is not understood", "steps (*/n" },
        { "1..5 * * * *", "\"..5\" is not understood", "ranges (a-b)" },
        { "1,,2 * * * *", "minute field \"1,,2\"", "a number is missing" },
        { "1, * * * *", "minute field \"1,\"", "a number is missing" },
        { ",1 * * * *", "minute field \",1\"", "a number is missing" },
        { "1- * * * *", "minute field \"1-\"", "a number is missing" },
        { "1-2-3 * * * *", "\"-3\" is not understood", "ranges (a-b)" },
        { "1-60 * * * *", "\"60\" is not a minute", "0 to 59" },
        { "* 22-2 * * *", "the range ends before it begins", "write 22-23,0-2" },
        { "* * 25-5 * *", "the range ends before it begins", "write 25-31,1-5" },
        { "* * * NOV-FEB *", "the range ends before it begins", "write 11-12,1-2" },
        { "* * * * SAT-TUE", "the range ends before it begins", "write 6-6,0-2" },
        { "* * * * 5-0", "the range ends before it begins", "write 5-6,0-0" },
        { "*/0 * * * *", "\"0\" is not a step", "expected 1 to 59" },
        { "*/60 * * * *", "\"60\" is not a step", "for every hour, write one minute" },
        { "*/ * * * *", "\"\" is not a step", "expected 1 to 59" },
        { "*/x * * * *", "\"x\" is not a step", "expected 1 to 59" },
        { "* */24 * * *", "\"24\" is not a step", "expected 1 to 23" },
        { "*/5/5 * * * *", "\"/5\" is not understood", "steps (*/n" },
        { "5/15 * * * *", "a step needs a range", "write 5-59/15" },
        { "5/15,3 * * * *", "a step needs a range", "write 5-59/15" },
        { "0 0 30 2 *", "never comes", "day 30" },
        { "0 0 31 2,4,6,9,11 *", "never comes", "day 31" },
        { "@reboot", "not a time", "service unit" },
        { "@every 5m", "not a cron expression", "interval" },
        { "@fortnightly", "\"@fortnightly\" is not known", "@weekly" },
        { "@daily 5", "is not known", "@hourly" },
        { "\x1b[31m * * * *", "\"?[31m\"", "expected 0 to 59" },
        { "\xc3\xa4 * * * *", "\"??\"", "expected 0 to 59" },
};

START_TEST(test_mistakes) {
        for (size_t i = 0; i < ELEMENTSOF(mistakes); i++) {
                _cleanup_free_ char *error = NULL;
                Cron c = {};

                ck_assert_msg(cron_parse(mistakes[i][0], &c, &error) == -EINVAL, "\"%s\"",
                              mistakes[i][0]);
                ck_assert_contains(error, mistakes[i][1]);
                ck_assert_contains(error, mistakes[i][2]);
                for (const char *p = error; *p; p++)
                        ck_assert_msg(*p >= 0x20 && *p < 0x7f, "%s", error);
        }
}
END_TEST

START_TEST(test_lengths) {
        char text[CRON_TEXT_MAX + 2];

        for (size_t n = CRON_TEXT_MAX; n <= CRON_TEXT_MAX + 1; n++) {
                _cleanup_free_ char *error = NULL;
                Cron c;

                memset(text, ' ', n);
                memcpy(text, "1 2 3 4 5", 9);
                text[n] = '\0';
                ck_assert_int_eq(cron_parse(text, &c, &error), n > CRON_TEXT_MAX ? -EINVAL : 0);
                if (error)
                        ck_assert_contains(error, "longer than 256");
        }
}
END_TEST

START_TEST(test_clock_changes) {
        for (size_t i = 0; i < ELEMENTSOF(days); i++) {
                _cleanup_(time_zone_freep) TimeZone *zone = open_zone(days[i].zone);
                Cron c = parse(days[i].cron);
                uint64_t at = utc(days[i].after);

                for (size_t k = 0; k < 5 && days[i].times[k]; k++) {
                        uint64_t wanted = utc(days[i].times[k]);

                        ck_assert_int_eq(cron_next(&c, zone, at, &at), 0);
                        ck_assert_msg(at == wanted, "%s (%s %s): %ju, not %s", days[i].why,
                                      days[i].zone, days[i].cron, (uintmax_t) (at / USEC_PER_SEC),
                                      days[i].times[k]);
                }
        }
}
END_TEST

START_TEST(test_edges) {
        _cleanup_(time_zone_freep) TimeZone *zone = open_zone("UTC");
        Cron minutely = parse("* * * * *"), leap = parse("0 0 29 2 *"),
             rare = parse("0 0 29 2 */7");
        uint64_t at = 4711;

        /* Strictly after, whatever the microseconds. */
        ck_assert_int_eq(cron_next(&minutely, zone, 0, &at), 0);
        ck_assert_uint_eq(at, 60000000);
        ck_assert_int_eq(cron_next(&minutely, zone, 59999999, &at), 0);
        ck_assert_uint_eq(at, 60000000);
        ck_assert_int_eq(cron_next(&minutely, zone, 60000000, &at), 0);
        ck_assert_uint_eq(at, 120000000);

        ck_assert_int_eq(cron_next(&leap, zone, utc("2096-03-01 00:00"), &at), 0);
        ck_assert_uint_eq(at, utc("2104-02-29 00:00"));
        /* 29 February on a Sunday. */
        ck_assert_int_eq(cron_next(&rare, zone, utc("2072-03-01 00:00"), &at), 0);
        ck_assert_uint_eq(at, utc("2088-02-29 00:00"));

        at = 4711;
        ck_assert_int_eq(cron_next(&minutely, zone, UINT64_MAX, &at), -ENOENT);
        ck_assert_int_eq(cron_next(&leap, zone, utc("2399-12-31 00:00"), &at), -ENOENT);
        ck_assert_int_eq(
                cron_next(&minutely, zone, (uint64_t) TIME_ZONE_MAX * USEC_PER_SEC - 1, &at),
                -ENOENT);
        ck_assert_uint_eq(at, 4711);
}
END_TEST

int main(void) {
        Suite *s = suite_create("cron");
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_fields);
        tcase_add_test(t, test_mistakes);
        tcase_add_test(t, test_lengths);
        tcase_add_test(t, test_clock_changes);
        tcase_add_test(t, test_edges);
        suite_add_tcase(s, t);
        return check_run(s);
}
