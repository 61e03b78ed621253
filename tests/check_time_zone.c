/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "time-util.h"
#include "time-zone.h"

static TimeZone *open_zone(const char *name) {
        _cleanup_free_ char *error = NULL;
        TimeZone *z = NULL;
        int r = time_zone_new(name, &z, &error);

        ck_assert_msg(r == 0, "%s: %s", name, error ?: strerror(-r));
        return z;
}

START_TEST(test_names) {
        static const struct {
                const char *name;
                int r;
                const char *error;
        } bad[] = {
                { "Europe/Belin", -ENOENT, "no time zone \"Europe/Belin\"" },
                { "Europe", -ENOENT, "like Europe/Berlin" },
                { "XYZ3", -ENOENT, "no time zone" },
                { "tzdata.zi", -EINVAL, "not the name" },
                { "zone1970", -ENOENT, "no time zone" },
                { "leapseconds", -ENOENT, "no time zone" },
                { "+01:00", -EINVAL, "like Europe/Berlin" },
                { "/etc/localtime", -EINVAL, "not the name" },
                { "../../etc/passwd", -EINVAL, "not the name" },
                { "Europe/../UTC", -EINVAL, "not the name" },
                { "Europe//Berlin", -EINVAL, "not the name" },
                { "Europe/", -EINVAL, "not the name" },
                { "Europe/Berlin\n", -EINVAL, "not the name" },
                { "A12345678901234567890123456789012345678901234567890123456789012345", -EINVAL,
                  "not the name" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *error = NULL;
                TimeZone *z = NULL;

                ck_assert_msg(time_zone_new(bad[i].name, &z, &error) == bad[i].r, "%s",
                              bad[i].name);
                ck_assert_ptr_null(z);
                ck_assert_contains(error, bad[i].error);
        }
        for (size_t i = 0; i < 3; i++) {
                static const char *const good[] = { "Europe/Berlin", "UTC",
                                                    "America/Argentina/Buenos_Aires" };
                _cleanup_(time_zone_freep) TimeZone *z = open_zone(good[i]);

                ck_assert_str_eq(time_zone_name(z), good[i]);
        }
}
END_TEST

/* Without the database, UTC works and all else says what is missing. */
START_TEST(test_no_database) {
        _cleanup_(time_zone_freep) TimeZone *utc = NULL, *berlin = NULL;
        _cleanup_free_ char *error = NULL;

        ck_assert_int_eq(setenv("TZDIR", "/nonexistent/zoneinfo", 1), 0);
        utc = open_zone("UTC");
        ck_assert_int_eq(time_zone_span(utc, 0).offset, 0);
        ck_assert_int_eq(time_zone_new("Europe/Berlin", &berlin, &error), -ENOENT);
        ck_assert_contains(error, "install tzdata");
        ck_assert_int_eq(unsetenv("TZDIR"), 0);
}
END_TEST

/* The system's own zone, as $TZ has it. The test runs in a process of its own. */
START_TEST(test_local) {
        _cleanup_(time_zone_freep) TimeZone *z = NULL, *other = NULL;

        ck_assert_int_eq(setenv("TZ", "Asia/Kolkata", 1), 0);
        z = open_zone(NULL);
        other = open_zone("America/New_York");
        ck_assert_int_eq(time_zone_span(z, 0).offset, 19800);
        ck_assert_int_eq(time_zone_span(other, 0).offset, -18000);
        ck_assert_str_eq(time_zone_name(z), "Asia/Kolkata");
}
END_TEST

static void check_span(const char *name, int64_t at, int64_t start, int64_t end, int64_t offset) {
        _cleanup_(time_zone_freep) TimeZone *z = open_zone(name);

        /* Once searched, once remembered; and from either end of the span. */
        for (unsigned i = 0; i < 4; i++) {
                TimeZoneSpan s = time_zone_span(z, i == 2 ? start : i == 3 ? end - 1 : at);

                ck_assert_int_eq(s.start, start);
                ck_assert_int_eq(s.end, end);
                ck_assert_int_eq(s.offset, offset);
        }
}

START_TEST(test_spans) {
        check_span("Europe/Berlin", 1720000000, 1711846800, 1729990800, 7200);
        check_span("Europe/Berlin", 1735000000, 1729990800, 1743296400, 3600);
        check_span("Australia/Lord_Howe", 1720000000, 1712415600, 1728142200, 37800);
        check_span("Pacific/Apia", 1325230000, 1316872800, 1325239200, -36000);
        check_span("UTC", 0, TIME_ZONE_MIN, TIME_ZONE_MAX, 0);
        /* By the rule at the end of the file: summer of 2095. */
        check_span("Europe/Berlin", 3960000000, 3952026000, 3970774800, 7200);
}
END_TEST

START_TEST(test_limits) {
        _cleanup_(time_zone_freep) TimeZone *z = open_zone("Europe/Berlin");

        ck_assert_int_eq(time_zone_span(z, INT64_MIN).start, TIME_ZONE_MIN);
        ck_assert_int_eq(time_zone_span(z, INT64_MAX).end, TIME_ZONE_MAX);
        /* The spans cover everything without holes. */
        for (int64_t at = TIME_ZONE_MIN; at < TIME_ZONE_MAX;) {
                TimeZoneSpan s = time_zone_span(z, at);

                ck_assert_int_eq(s.start, at);
                ck_assert_int_gt(s.end, at);
                at = s.end;
        }
}
END_TEST

START_TEST(test_parse) {
        static const struct {
                const char *zone, *text;
                int r;
                uint64_t usec;
        } cases[] = {
                { "UTC", "1970-01-01T00:00:01Z", 0, 1000000 },
                { "UTC", "2026-12-31T18:00:00.25+01:00", 0, UINT64_C(1798736400250000) },
                { "Europe/Berlin", "2026-12-31T18:00:00", 0, UINT64_C(1798736400000000) },
                { "Europe/Berlin", "2026-12-31 18:00:00", 0, UINT64_C(1798736400000000) },
                { "Europe/Berlin", "2026-07-01", 0, UINT64_C(1782856800000000) },
                { "Europe/Berlin", "2026-07-01T00:00:00-02:00", 0, UINT64_C(1782871200000000) },
                /* twice: the first; never: after the gap */
                { "Europe/Berlin", "2024-10-27T02:30:00", 0, UINT64_C(1729989000000000) },
                { "Europe/Berlin", "2024-03-31T02:30:00", 0, UINT64_C(1711846800000000) },
                { "Pacific/Apia", "2011-12-30", 0, UINT64_C(1325239200000000) },
                { "UTC", "2026-13-01", -EINVAL, 0 },
                { "UTC", "2026-02-29", -EINVAL, 0 },
                { "UTC", "2026-12-31T25:00:00", -EINVAL, 0 },
                { "UTC", "2026-12-31T", -EINVAL, 0 },
                { "UTC", "2026-12-31T18:00:00 Europe/Berlin", -EINVAL, 0 },
                { "UTC", "20261231T180000", -EINVAL, 0 },
                { "UTC", "tomorrow at six", -EINVAL, 0 },
                { "UTC", "", -EINVAL, 0 },
                { "UTC", "1969-12-31T23:59:59Z", -ERANGE, 0 },
                { "UTC", "9999-12-31T23:59:59Z", -ERANGE, 0 },
                { "UTC", "9999-12-31T23:59:59", -ERANGE, 0 },
                { "UTC", "0001-01-01", -ERANGE, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(time_zone_freep) TimeZone *z = open_zone(cases[i].zone);
                uint64_t usec = 0;
                int r = time_zone_parse(z, cases[i].text, &usec);

                ck_assert_msg(r == cases[i].r, "\"%s\": %d", cases[i].text, r);
                ck_assert_msg(usec == cases[i].usec, "\"%s\": %ju", cases[i].text,
                              (uintmax_t) usec);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("time-zone");
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_names);
        tcase_add_test(t, test_no_database);
        tcase_add_test(t, test_local);
        tcase_add_test(t, test_spans);
        tcase_add_test(t, test_limits);
        tcase_add_test(t, test_parse);
        suite_add_tcase(s, t);
        return check_run(s);
}
