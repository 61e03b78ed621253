/* SPDX-License-Identifier: MIT */

/* cron_parse() on any text, and cron_next() on what passes. The first byte of an input chooses the zone, the next four the
 * moment, the rest is the expression. A refusal must have a printable reason; each time must be later than the one
 * before, on the minute of a wall or at the end of a gap, and of all minutes of the day after it the first that
 * fits. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cron.h"
#include "fuzz.h"
#include "must.h"
#include "time-util.h"

static TimeZone *zone_of(uint8_t which) {
        static const char *const names[] = { "UTC", "Europe/Berlin", "Australia/Lord_Howe",
                                             "Pacific/Apia" };
        static TimeZone *zones[ELEMENTSOF(names)];
        TimeZone **z = &zones[which % ELEMENTSOF(names)];
        char *error = NULL;

        if (!*z)
                MUST(time_zone_new(names[which % ELEMENTSOF(names)], z, &error) == 0);
        return *z;
}

/* Whether the clocks show one of the expression's minutes; straight from its definition. */
static bool fits(const Cron *c, TimeZone *zone, int64_t seconds) {
        time_t wall = seconds + time_zone_span(zone, seconds).offset;
        bool of_month, of_week;
        struct tm tm;

        MUST(gmtime_r(&wall, &tm));
        of_month = c->days_of_month >> tm.tm_mday & 1;
        of_week = c->days_of_week >> tm.tm_wday & 1;
        return tm.tm_sec == 0 && c->minutes >> tm.tm_min & 1 && c->hours >> tm.tm_hour & 1 &&
               c->months >> (tm.tm_mon + 1) & 1 &&
               (c->either_day ? of_month || of_week : of_month && of_week);
}

static bool near_change(TimeZone *zone, int64_t seconds) {
        TimeZoneSpan s = time_zone_span(zone, seconds);

        return seconds - s.start < 86400 || s.end - seconds < 86400;
}

static void check_times(const Cron *c, TimeZone *zone, uint32_t begin) {
        uint64_t at = begin * USEC_PER_SEC;

        for (unsigned i = 0; i < 4; i++) {
                uint64_t after = at;
                int64_t found, previous = (int64_t) (after / USEC_PER_SEC);

                MUST(cron_next(c, zone, after, &at) == 0);
                MUST(at > after && at % USEC_PER_SEC == 0);
                found = (int64_t) (at / USEC_PER_SEC);
                if (near_change(zone, found))
                        continue;
                MUST(fits(c, zone, found));
                for (int64_t t = found - 60; t > previous && t > found - 3600; t -= 60)
                        MUST(near_change(zone, t) || !fits(c, zone, t));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *text, *error = NULL;
        uint32_t begin;
        Cron c;
        int r;

        if (size < 5 || size > 4096)
                return 0;
        memcpy(&begin, data + 1, sizeof(begin));
        text = calloc(1, size - 5 + 1);
        MUST(text);
        memcpy(text, data + 5, size - 5);

        r = cron_parse(text, &c, &error);
        MUST(r == 0 || r == -EINVAL);
        MUST((r < 0) == !!error);
        for (const char *p = error; p && *p; p++)
                MUST(*p >= 0x20 && *p < 0x7f);
        if (r == 0)
                check_times(&c, zone_of(data[0]), begin);
        free(error);
        free(text);
        return 0;
}
