/* SPDX-License-Identifier: MIT */

#include <ctype.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>

/* GLib's own are the same. */
#undef MIN
#undef MAX
#undef CLAMP

#include "error-text.h"
#include "time-util.h"
#include "time-zone.h"

#define ZONEINFO "/usr/share/zoneinfo"
#define DAY      INT64_C(86400)
/* Clocks differ from UTC by less than a day, so what they showed longer ago is behind them. */
#define LOOK_BACK (2 * DAY)
#define CACHE     8U

typedef struct CachedSpan {
        int interval; /* GLib's number of it, -1: none */
        TimeZoneSpan span;
} CachedSpan;

struct TimeZone {
        GTimeZone *zone;
        char *name;
        CachedSpan cache[CACHE]; /* by the number of the interval modulo the size */
};

/* Names are paths below the database: nothing may lead out of it. */
static bool is_valid_name(const char *name) {
        size_t n = strlen(name);

        if (n == 0 || n > TIME_ZONE_NAME_MAX || !isalpha((unsigned char) name[0]) ||
            strstr(name, "//") || name[n - 1] == '/')
                return false;
        for (const char *p = name; *p; p++)
                if (!isalnum((unsigned char) *p) && !strchr("_+-/", *p))
                        return false;
        return true;
}

/* Left to itself, GLib takes a name without a file for a rule ("XYZ3"), and complains on stderr about files
 * that are of another kind. */
static int check_file(const char *name, char **ret_error) {
        const char *directory = getenv("TZDIR");
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -EBADF;
        char magic[4];

        if (isempty(directory))
                directory = ZONEINFO;
        if (asprintf(&path, "%s/%s", directory, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0 && read(fd, magic, sizeof(magic)) == sizeof(magic) &&
            memcmp(magic, "TZif", sizeof(magic)) == 0)
                return 0;
        if (access(directory, F_OK) < 0)
                return fail_with_text(
                        ret_error, -ENOENT,
                        "time zone \"%s\" needs the time zone database, and %s is not there: install tzdata",
                        name, directory);
        return fail_with_text(
                ret_error, -ENOENT,
                "there is no time zone \"%s\": expected a name like Europe/Berlin or UTC, \"timedatectl list-timezones\" shows all",
                name);
}

static int open_zone(const char *name, GTimeZone **ret, char **ret_error) {
        int r;

        if (isempty(name)) {
                *ret = g_time_zone_new_local();
                return 0;
        }
        if (!is_valid_name(name))
                return fail_with_text(
                        ret_error, -EINVAL,
                        "this is not the name of a time zone: expected one like Europe/Berlin or UTC");
        if (streq(name, "UTC")) {
                /* Works without the database. */
                *ret = g_time_zone_new_utc();
                return 0;
        }
        r = check_file(name, ret_error);
        if (r < 0)
                return r;
        *ret = g_time_zone_new_identifier(name);
        if (!*ret)
                return fail_with_text(
                        ret_error, -EINVAL,
                        "the file of time zone \"%s\" cannot be read: is the package tzdata intact?",
                        name);
        return 0;
}

int time_zone_new(const char *name, TimeZone **ret, char **ret_error) {
        _cleanup_(time_zone_freep) TimeZone *z = NULL;
        const char *found;
        int r;

        *ret_error = NULL;
        z = calloc(1, sizeof(*z));
        if (!z)
                return -ENOMEM;
        for (size_t i = 0; i < CACHE; i++)
                z->cache[i].interval = -1;
        r = open_zone(name, &z->zone, ret_error);
        if (r < 0)
                return r;
        found = isempty(name) ? g_time_zone_get_identifier(z->zone) : name;
        z->name = strdup(isempty(found) ? "UTC" : found);
        if (!z->name)
                return -ENOMEM;
        *ret = TAKE_PTR(z);
        return 0;
}

TimeZone *time_zone_free(TimeZone *z) {
        if (!z)
                return NULL;
        if (z->zone)
                g_time_zone_unref(z->zone);
        free(z->name);
        free(z);
        return NULL;
}

const char *time_zone_name(const TimeZone *z) {
        return z->name;
}

static int interval_at(TimeZone *z, int64_t seconds) {
        return g_time_zone_find_interval(z->zone, G_TIME_TYPE_UNIVERSAL, seconds);
}

/* GLib numbers its intervals in the order of time and does not say where they begin. This looks for the last
 * second (in steps of `direction`) that still has the number, first in growing strides, then by halving. */
static int64_t last_with(TimeZone *z, int interval, int64_t from, int direction) {
        int64_t limit = direction < 0 ? TIME_ZONE_MIN : TIME_ZONE_MAX - 1;
        int64_t inside = from, outside, stride = 16 * DAY;

        for (;;) {
                int64_t left = (limit - inside) * direction;

                if (left == 0)
                        return inside;
                outside = inside + direction * MIN(stride, left);
                if (interval_at(z, outside) != interval)
                        break;
                inside = outside;
                stride *= 2;
        }
        while ((outside - inside) * direction > 1) {
                int64_t middle = inside + (outside - inside) / 2;

                if (interval_at(z, middle) == interval)
                        inside = middle;
                else
                        outside = middle;
        }
        return inside;
}

TimeZoneSpan time_zone_span(TimeZone *z, int64_t seconds) {
        int64_t at = CLAMP(seconds, TIME_ZONE_MIN, TIME_ZONE_MAX - 1);
        int interval = interval_at(z, at);
        CachedSpan *c = &z->cache[(unsigned) interval % CACHE];

        if (c->interval != interval) {
                c->span = (TimeZoneSpan){
                        .start = last_with(z, interval, at, -1),
                        .end = last_with(z, interval, at, 1) + 1,
                        .offset = g_time_zone_get_offset(z->zone, interval),
                };
                c->interval = interval;
        }
        return c->span;
}

int64_t time_zone_mark(TimeZone *z, const TimeZoneSpan *span) {
        int64_t mark = INT64_MIN;

        for (TimeZoneSpan s = *span;
             s.start > TIME_ZONE_MIN && span->start - s.start <= LOOK_BACK;) {
                s = time_zone_span(z, s.start - 1);
                mark = MAX(mark, s.end + s.offset);
        }
        return mark == INT64_MIN ? span->start + span->offset : mark;
}

int time_zone_from_wall(TimeZone *z, int64_t wall, int64_t *ret_seconds) {
        TimeZoneSpan s;

        if (wall < TIME_ZONE_MIN + LOOK_BACK || wall > TIME_ZONE_MAX - LOOK_BACK)
                return -ERANGE;
        for (s = time_zone_span(z, wall - LOOK_BACK); s.end + s.offset <= wall;)
                s = time_zone_span(z, s.end);
        *ret_seconds = MAX(s.start, wall - s.offset);
        return 0;
}

/* GLib reads ISO 8601, but resolves what the zone shows twice or never in its own way; so what has no offset is
 * read as UTC and looked up here. */
int time_zone_parse(TimeZone *z, const char *text, uint64_t *ret_usec) {
        static const char date[] = "0000-00-00";
        _cleanup_free_ char *full = NULL;
        bool has_clock = strlen(text) > strlen(date), has_offset;
        GTimeZone *utc;
        GDateTime *dt;
        int64_t seconds;
        uint64_t usec;
        int r;

        if (strlen(text) < strlen(date) || text[4] != '-' || text[7] != '-')
                return -EINVAL;
        if (asprintf(&full, "%s%s", text, has_clock ? "" : "T00:00:00") < 0) {
                full = NULL;
                return -ENOMEM;
        }
        has_offset = has_clock && strpbrk(full + strlen(date), "Z+-");
        utc = g_time_zone_new_utc();
        dt = g_date_time_new_from_iso8601(full, utc);
        g_time_zone_unref(utc);
        if (!dt)
                return -EINVAL;
        seconds = g_date_time_to_unix(dt);
        usec = (uint64_t) g_date_time_get_microsecond(dt);
        g_date_time_unref(dt);

        if (!has_offset) {
                r = time_zone_from_wall(z, seconds, &seconds);
                if (r < 0)
                        return r;
        }
        if (seconds < 0 || seconds >= TIME_ZONE_MAX)
                return -ERANGE;
        *ret_usec = (uint64_t) seconds * USEC_PER_SEC + usec;
        return 0;
}
