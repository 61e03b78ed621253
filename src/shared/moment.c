/* SPDX-License-Identifier: MIT */

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "macro.h"
#include "moment.h"
#include "parse-util.h"
#include "time-util.h"

/* Exactly `n` digits, in the range; moves on behind them. */
static int take_number(const char **s, unsigned n, int min, int max, int *ret) {
        int value = 0;

        for (unsigned i = 0; i < n; i++, (*s)++) {
                if (**s < '0' || **s > '9')
                        return -EINVAL;
                value = value * 10 + (**s - '0');
        }
        if (value < min || value > max)
                return -EINVAL;
        *ret = value;
        return 0;
}

static bool take_char(const char **s, char c) {
        if (**s != c)
                return false;
        (*s)++;
        return true;
}

static int days_of_month(int year, int month) {
        static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        return days[month - 1] + (month == 2 && is_leap);
}

static int take_date(const char **s, struct tm *tm) {
        int year, month, day;

        if (take_number(s, 4, 1970, 9999, &year) < 0 || !take_char(s, '-') ||
            take_number(s, 2, 1, 12, &month) < 0 || !take_char(s, '-') ||
            take_number(s, 2, 1, days_of_month(year, month), &day) < 0)
                return -EINVAL;
        tm->tm_year = year - 1900;
        tm->tm_mon = month - 1;
        tm->tm_mday = day;
        return 0;
}

/* HH:MM[:SS[.fraction]] */
static int take_clock(const char **s, struct tm *tm, uint64_t *ret_usec) {
        uint64_t unit = USEC_PER_SEC / 10;

        if (take_number(s, 2, 0, 23, &tm->tm_hour) < 0 || !take_char(s, ':') ||
            take_number(s, 2, 0, 59, &tm->tm_min) < 0)
                return -EINVAL;
        if (!take_char(s, ':'))
                return 0;
        if (take_number(s, 2, 0, 59, &tm->tm_sec) < 0)
                return -EINVAL;
        if (!take_char(s, '.'))
                return 0;
        if (**s < '0' || **s > '9')
                return -EINVAL;
        for (; **s >= '0' && **s <= '9'; (*s)++, unit /= 10)
                *ret_usec += (uint64_t) (**s - '0') * unit;
        return 0;
}

/* "Z", "+01:00", or nothing: local time. 1 if there was one. */
static int take_zone(const char **s, int *ret_seconds) {
        int sign = **s == '-' ? -1 : 1, hours, minutes;

        *ret_seconds = 0;
        if (take_char(s, 'Z') || take_char(s, 'z'))
                return 1;
        if (!take_char(s, '+') && !take_char(s, '-'))
                return 0;
        if (take_number(s, 2, 0, 23, &hours) < 0 || !take_char(s, ':') ||
            take_number(s, 2, 0, 59, &minutes) < 0)
                return -EINVAL;
        *ret_seconds = sign * (hours * 60 + minutes) * 60;
        return 1;
}

static int to_usec(struct tm *tm, bool is_local, int offset, uint64_t usec, uint64_t *ret) {
        time_t t;

        tm->tm_isdst = -1;
        errno = 0;
        t = is_local ? mktime(tm) : timegm(tm) - offset;
        if (t < 0 || (t == 0 && usec == 0))
                return -ERANGE;
        *ret = (uint64_t) t * USEC_PER_SEC + usec;
        return 0;
}

static int parse_calendar(const char *s, uint64_t *ret) {
        struct tm tm = {};
        uint64_t usec = 0;
        int r, offset = 0, has_zone = 0;

        r = take_date(&s, &tm);
        if (r < 0)
                return r;
        if (*s != '\0') {
                if (!take_char(&s, ' ') && !take_char(&s, 'T') && !take_char(&s, 't'))
                        return -EINVAL;
                r = take_clock(&s, &tm, &usec);
                has_zone = r < 0 ? r : take_zone(&s, &offset);
                if (has_zone < 0 || *s != '\0')
                        return -EINVAL;
        }
        return to_usec(&tm, has_zone == 0, offset, usec, ret);
}

/* Midnight of the day that many days ago. */
static int day_before(uint64_t now_usec, int days, uint64_t *ret) {
        time_t now = (time_t) (now_usec / USEC_PER_SEC);
        struct tm tm;

        if (!localtime_r(&now, &tm))
                return -ERANGE;
        tm.tm_mday -= days;
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        return to_usec(&tm, true, 0, 0, ret);
}

/* A number without a unit would be seconds, but whoever writes 2026 or 20261124 means something else. */
static int parse_ago(const char *text, uint64_t now_usec, uint64_t *ret) {
        static const char ago[] = " ago";
        bool has_minus = text[0] == '-';
        size_t size = strlen(text + has_minus), n = size;
        _cleanup_free_ char *span = NULL;
        uint64_t usec;
        int r;

        if (n > strlen(ago) && streq(text + has_minus + n - strlen(ago), ago)) {
                if (has_minus)
                        return -EINVAL;
                n -= strlen(ago);
        }
        span = strndup(text + has_minus, n);
        if (!span)
                return -ENOMEM;
        if (strspn(span, "0123456789.") == n)
                return -EINVAL;
        r = parse_usec(span, 0, USEC_INFINITY, &usec);
        if (r < 0)
                return r;
        if (usec >= now_usec)
                return -ERANGE;
        *ret = now_usec - usec;
        return 0;
}

int moment_parse(const char *text, uint64_t now_usec, uint64_t *ret) {
        if (streq(text, "now")) {
                *ret = now_usec;
                return 0;
        }
        if (streq(text, "today"))
                return day_before(now_usec, 0, ret);
        if (streq(text, "yesterday"))
                return day_before(now_usec, 1, ret);
        if (strlen(text) >= strlen("2026-11-24") && text[4] == '-' && text[7] == '-')
                return parse_calendar(text, ret);
        return parse_ago(text, now_usec, ret);
}

int moment_parse_rfc3339(const char *text, uint64_t *ret) {
        const char *s = text;
        struct tm tm = {};
        uint64_t usec = 0;
        int offset = 0;

        if (take_date(&s, &tm) < 0 || (!take_char(&s, 'T') && !take_char(&s, 't')) ||
            strlen(s) < strlen("00:00:00") || s[5] != ':' || take_clock(&s, &tm, &usec) < 0 ||
            take_zone(&s, &offset) <= 0 || *s != '\0')
                return -EINVAL;
        return to_usec(&tm, false, offset, usec, ret);
}
