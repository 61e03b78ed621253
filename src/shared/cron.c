/* SPDX-License-Identifier: MIT */

/* The search for the next moment. Times on the wall are counted in seconds as if the wall were in UTC, so gmtime_r()
 * and timegm() do the calendar. */

#include <time.h>

#include "cron.h"
#include "time-util.h"

#define MINUTE    INT64_C(60)
#define HOUR      INT64_C(3600)
#define DAY       INT64_C(86400)
#define ALL_HOURS UINT32_C(0xffffff)

static int64_t floor_to(int64_t n, int64_t unit) {
        int64_t rest = n % unit;

        return n - (rest < 0 ? rest + unit : rest);
}

static int64_t ceil_to(int64_t n, int64_t unit) {
        return floor_to(n + unit - 1, unit);
}

static bool is_day(const Cron *c, const struct tm *tm) {
        bool of_month = c->days_of_month >> tm->tm_mday & 1,
             of_week = c->days_of_week >> tm->tm_wday & 1;

        return c->either_day ? of_month || of_week : of_month && of_week;
}

static int64_t next_month(const struct tm *tm) {
        struct tm first = { .tm_year = tm->tm_year, .tm_mon = tm->tm_mon + 1, .tm_mday = 1 };

        return timegm(&first);
}

/* The first matching minute of a matching day, at or after `second` of it; -1 if there is none left. */
static int64_t find_second_of_day(const Cron *c, int64_t second) {
        int64_t hour = second / HOUR, minute = second % HOUR / MINUTE;

        for (; hour < 24; hour++, minute = 0) {
                uint64_t rest = c->minutes >> minute;

                if ((c->hours >> hour & 1) && rest != 0)
                        return hour * HOUR + (minute + __builtin_ctzll(rest)) * MINUTE;
        }
        return -1;
}

/* The first matching minute on the wall, from `from` to before `to`. */
static bool find_wall(const Cron *c, int64_t from, int64_t to, int64_t *ret) {
        int64_t at = ceil_to(from, MINUTE);

        while (at < to) {
                time_t t = at;
                int64_t day = floor_to(at, DAY), second;
                struct tm tm;

                if (!gmtime_r(&t, &tm))
                        return false;
                if (!(c->months >> (tm.tm_mon + 1) & 1)) {
                        at = next_month(&tm);
                        continue;
                }
                second = is_day(c, &tm) ? find_second_of_day(c, at - day) : -1;
                if (second >= 0) {
                        *ret = day + second;
                        return *ret < to;
                }
                at = day + DAY;
        }
        return false;
}

/* The first match from second `first` on that lies in the span. */
static bool find_in_span(const Cron *c, TimeZone *zone, const TimeZoneSpan *span, int64_t first,
                         int64_t *ret) {
        int64_t begins = span->start + span->offset, from = MAX(span->start, first) + span->offset,
                wall;

        if (c->hours != ALL_HOURS) {
                /* Each time on the wall counts once: when the clocks first get there or past it. */
                int64_t mark = time_zone_mark(zone, span);

                if (mark < begins && span->start >= first && find_wall(c, mark, begins, &wall)) {
                        *ret = span->start;
                        return true;
                }
                from = MAX(from, mark);
        }
        if (!find_wall(c, from, span->end + span->offset, &wall))
                return false;
        *ret = wall - span->offset;
        return true;
}

int cron_next(const Cron *c, TimeZone *zone, uint64_t after_usec, uint64_t *ret_usec) {
        int64_t first, found;

        if (after_usec / USEC_PER_SEC >= (uint64_t) TIME_ZONE_MAX - 1)
                return -ENOENT;
        first = (int64_t) (after_usec / USEC_PER_SEC) + 1;

        for (int64_t at = first; at < TIME_ZONE_MAX;) {
                TimeZoneSpan span = time_zone_span(zone, at);

                if (find_in_span(c, zone, &span, first, &found)) {
                        *ret_usec = (uint64_t) found * USEC_PER_SEC;
                        return 0;
                }
                at = span.end;
        }
        return -ENOENT;
}
