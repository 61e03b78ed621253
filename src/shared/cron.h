/* SPDX-License-Identifier: MIT */
#pragma once

/* Cron expressions: when does "30 2 * * MON-FRI" come next? Pure; knows no clock of its own.
 *
 * Five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12 or JAN-DEC), day of the week (0-7 or
 * SUN-SAT; 0 and 7 are Sunday). A field is "*", a number, a range "a-b", either of "*" and a range with a step
 * ("*" "/15", "9-17/2"), or a list of these with commas. Names are three letters, in any case, and may stand
 * wherever a number may. Instead of the fields: @hourly, @daily (@midnight), @weekly, @monthly, @yearly (@annually).
 *
 * Day rule, as in Vixie cron: where the day of the month and the day of the week are both restricted, a day
 * counts when either fits; a field that begins with "*" (also "*" "/2") is not restricted in this sense, and then
 * both must fit.
 *
 * When the clocks change (summer time, or a zone that moves):
 *  - An expression whose hour field covers all 24 hours follows real time: it comes whenever the clocks of the zone
 *    show one of its minutes. An hour that is shown twice is run through twice, an hour that is skipped is not
 *    there; "every 10 minutes" stays every 10 minutes.
 *  - Any other expression comes once for each time on the wall that it names: at the first of the two when the clocks
 *    show it twice, and at the first moment after the gap when they skip it; several times in one gap come together,
 *    once, and so does a time that is due at that moment anyway. A daily job thus runs once every day.
 * (systemd.time(7) calendar events differ in two points: they pass over what is in a gap, and those of every
 * hour come only in the first of the two hours.) */

#include "macro.h"
#include "time-zone.h"

#define CRON_TEXT_MAX 256U

/* Sets of numbers, bit n for number n. Filled by cron_parse() only. */
typedef struct Cron {
        uint64_t minutes;
        uint32_t hours;
        uint32_t days_of_month;
        uint16_t months;
        uint8_t days_of_week; /* Sunday is 0 */
        bool either_day;      /* one of the two day fields is enough */
} Cron;

/* Reads an expression. -EINVAL with a line in *ret_error that names the field, what is wrong with it, and what would be
 * right (a fresh string, or NULL when out of memory); also for an expression that never comes, like 30 February. The
 * text of the error is printable ASCII. */
int cron_parse(const char *text, Cron *ret, char **ret_error);

/* The first moment after `after_usec` (not at it) at which the expression comes in the zone, as microseconds since
 * the epoch. -ENOENT if that would be after the year 2399. */
int cron_next(const Cron *c, TimeZone *zone, uint64_t after_usec, uint64_t *ret_usec);
