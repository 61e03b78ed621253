/* SPDX-License-Identifier: MIT */

/* moment.c: points in time as people write them. */

#include <time.h>

#include "check-util.h"
#include "moment.h"

#define NOW       UINT64_C(1795523401500000) /* 2026-11-24 12:30:01.5 UTC */
#define SECOND    UINT64_C(1000000)
#define HOUR      (3600 * SECOND)
#define THIS_NOON (NOW - 30 * 60 * SECOND - SECOND - 500000) /* 12:00 UTC */

static void set_zone(const char *zone) {
        setenv("TZ", zone, 1);
        tzset();
}

static void setup(void) {
        set_zone("UTC");
}

static void check(const char *text, uint64_t expected) {
        uint64_t usec = 0;

        ck_assert_msg(moment_parse(text, NOW, &usec) == 0, "%s is not taken", text);
        ck_assert_msg(usec == expected, "%s gives %ju, not %ju", text, (uintmax_t) usec,
                      (uintmax_t) expected);
}

static void check_refused(const char *text, int error) {
        uint64_t usec = 7;
        int r = moment_parse(text, NOW, &usec);

        ck_assert_msg(r == error, "%s gives %d", text, r);
        ck_assert_uint_eq(usec, 7);
}

START_TEST(rfc_3339) {
        set_zone("America/New_York");
        check("2026-11-24T12:30:01.5Z", NOW);
        check("2026-11-24t12:30:01.500z", NOW);
        check("2026-11-24T13:30:01.5+01:00", NOW);
        check("2026-11-24 07:00:01.5-05:30", NOW);
        check("2026-11-24T12:30:01.500000999Z", NOW);
        check("2026-11-24T12:00Z", THIS_NOON);
        check("1970-01-01T00:00:00.000001Z", 1);
        check("2024-02-29T00:00:00Z", UINT64_C(1709164800) * SECOND);
}
END_TEST

START_TEST(local_times) {
        check("2026-11-24 12:30:01.5", NOW);
        check("2026-11-24", THIS_NOON - 12 * HOUR);
        set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
        check("2026-11-24 13:00", THIS_NOON);
        check("2026-11-24T13:00:00", THIS_NOON);
        check("2026-11-24", THIS_NOON - 13 * HOUR);
        /* In summer the clock is another hour ahead. */
        check("2026-07-01 02:00", UINT64_C(1782864000) * SECOND);
}
END_TEST

START_TEST(days) {
        check("now", NOW);
        check("today", THIS_NOON - 12 * HOUR);
        check("yesterday", THIS_NOON - 36 * HOUR);
        set_zone("ABC-12");
        check("today", THIS_NOON);
        check("yesterday", THIS_NOON - 24 * HOUR);
}
END_TEST

START_TEST(so_long_ago) {
        check("1h", NOW - HOUR);
        check("1h ago", NOW - HOUR);
        check("-1h", NOW - HOUR);
        check("2h 30min", NOW - 2 * HOUR - HOUR / 2);
        check("1.5h", NOW - HOUR - HOUR / 2);
        check("10 s ago", NOW - 10 * SECOND);
        check("0s", NOW);
}
END_TEST

START_TEST(refusals) {
        static const char *const bad[] = {
                "",
                "-",
                "tomorrow",
                "2026",
                "20261124",
                "1.5",
                "-90",
                " ago",
                "-1h ago",
                "1h later",
                "1h ago ago",
                "2026-11",
                "2026-13-01",
                "2026-00-01",
                "2026-02-29",
                "2026-04-31",
                "2026-1-1",
                "2026-11-24 ",
                "2026-11-24 24:00",
                "2026-11-24 12",
                "2026-11-24 12:60",
                "2026-11-24 12:30:60",
                "2026-11-24 12:30:01.",
                "2026-11-24 12:30:01.5 Z",
                "2026-11-24T12:30:01+0100",
                "2026-11-24T12:30:01+25:00",
                "2026-11-24Z",
                "2026-11-24x12:30",
                "1969-12-31",
                "2026-11-24 12:30 UTC",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                check_refused(bad[i], -EINVAL);
        check_refused("1970-01-01T00:00:00Z", -ERANGE);
        check_refused("1970-01-01T00:00:00+01:00", -ERANGE);
        check_refused("infinity", -ERANGE);
        check_refused("3000w", -ERANGE);
}
END_TEST

int main(void) {
        Suite *s = suite_create("cli: moments");
        TCase *t = tcase_create("moments");

        tcase_add_checked_fixture(t, setup, NULL);
        tcase_add_test(t, rfc_3339);
        tcase_add_test(t, local_times);
        tcase_add_test(t, days);
        tcase_add_test(t, so_long_ago);
        tcase_add_test(t, refusals);
        suite_add_tcase(s, t);
        return check_run(s);
}
