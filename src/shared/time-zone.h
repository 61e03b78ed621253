/* SPDX-License-Identifier: MIT */
#pragma once

/* Time zones as objects: any number of them in one process, none of which touches $TZ or tzset().
 *
 * libc knows one zone a process. Of the libraries in Debian 12, GLib reads the files of tzdata itself (so an
 * update of that package is all it takes when a government changes its mind), gives an object a zone, and
 * follows the rule at the end of a file past its last entry; ICU and what is built on it bring a copy of the
 * database of their own, which is as old as the library. GLib's GTimeZone is what stands behind this header and
 * nothing else of the project sees it. Two things to know: GLib ends the process when out of memory (zones
 * are opened when a schedule is added, not per task), and version 2.74 gets the one zone whose rule has its
 * "summer time" in winter, Europe/Dublin, wrong from 2038 on. */

#include "macro.h"

typedef struct TimeZone TimeZone;

#define TIME_ZONE_NAME_MAX 64U
/* What the functions below take, in seconds since the epoch: 1900 to 2400. */
#define TIME_ZONE_MIN INT64_C(-2208988800)
#define TIME_ZONE_MAX INT64_C(13569465600)

/* A stretch of time with one offset: from start to before end. Stretches that follow each other may have the
 * same offset. */
typedef struct TimeZoneSpan {
        int64_t start, end; /* seconds since the epoch, within TIME_ZONE_MIN and TIME_ZONE_MAX */
        int64_t offset;     /* what to add to get what the clocks on the walls say */
} TimeZoneSpan;

/* Opens a zone by its name in the tz database ("Europe/Berlin", "UTC"); NULL or an empty name is the system's
 * own ($TZ, else /etc/localtime) as it was when first asked for. -EINVAL or -ENOENT with a line in *ret_error
 * that says what to write instead (a fresh string, or NULL when out of memory), or -ENOMEM. */
int time_zone_new(const char *name, TimeZone **ret, char **ret_error);
TimeZone *time_zone_free(TimeZone *z);
DEFINE_CLEANUP_FUNC(TimeZone *, time_zone_free);

/* The name it was opened by; for the system's own zone what GLib found out, "UTC" if nothing. */
const char *time_zone_name(const TimeZone *z);

/* The stretch that `seconds` lies in; values out of range are clipped. Remembers the last few answers, so a
 * zone must not be used by two threads at once. */
TimeZoneSpan time_zone_span(TimeZone *z, int64_t seconds);

/* A point in time in ISO 8601: "2026-12-31T23:59:59+01:00" or with Z; without an offset, and with a space for
 * the T, as a clock in the zone shows it; a date alone is its first moment. A time that the clocks show twice is
 * the first of the two, one that they skip is the moment after the gap. Microseconds since the epoch. -EINVAL, or
 * -ERANGE for what lies before 1970 or after TIME_ZONE_MAX. */
int time_zone_parse(TimeZone *z, const char *text, uint64_t *ret_usec);

/* The first moment at which the clocks of the zone show at least `wall` (seconds since 1970-01-01 00:00 on the
 * wall), or -ERANGE. */
int time_zone_from_wall(TimeZone *z, int64_t wall, int64_t *ret_seconds);

/* How far the clocks had ever come before the stretch began: more than what they show at its start if they
 * were set back, less if they were set forward, the same at the first one. */
int64_t time_zone_mark(TimeZone *z, const TimeZoneSpan *span);
