/* SPDX-License-Identifier: MIT */

/* Reading cron expressions. What is wrong is told with what to write instead, as people copy expressions from
 * systems whose cron knows more (seconds, "?", "L"), or less strict ones. */

#include <stdio.h>
#include <strings.h>

#include "cron.h"
#include "error-text.h"

#define N_FIELDS 5U
#define BLANKS   " \t"

typedef struct Field {
        const char *name;
        unsigned min, max;
        const char *const *names; /* NULL-terminated, or NULL */
        unsigned first;           /* what names[0] stands for */
        const char *expected;
} Field;

static const char *const month_names[] = { "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL",
                                           "AUG", "SEP", "OCT", "NOV", "DEC", NULL };
static const char *const day_names[] = { "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", NULL };

enum { MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK };

static const Field fields[N_FIELDS] = {
        [MINUTE] = { "minute", 0, 59, NULL, 0, "0 to 59" },
        [HOUR] = { "hour", 0, 23, NULL, 0, "0 to 23" },
        [DAY_OF_MONTH] = { "day of the month", 1, 31, NULL, 0, "1 to 31" },
        [MONTH] = { "month", 1, 12, month_names, 1, "1 to 12 or JAN to DEC" },
        [DAY_OF_WEEK] = { "day of the week", 0, 7, day_names, 0, "0 to 7 or SUN to SAT" },
};

static const struct {
        const char *name, *text;
} nicknames[] = {
        { "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },   { "@midnight", "0 0 * * *" },
        { "@weekly", "0 0 * * 0" },   { "@monthly", "0 0 1 * *" }, { "@yearly", "0 0 1 1 *" },
        { "@annually", "0 0 1 1 *" },
};

typedef struct Quoted {
        char text[44];
} Quoted;

/* A piece of somebody's text for an error: cut, and without what could disturb a terminal. */
static Quoted quote(const char *s, size_t n) {
        Quoted q;
        size_t i, fits = 36;

        for (i = 0; i < n && i < fits; i++)
                q.text[i] = s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' ? s[i] : '?';
        strcpy(q.text + i, n > fits ? "..." : "");
        return q;
}

static size_t word_length(const char *s) {
        return strspn(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
}

/* One number or name of a field, which is all of the `n` characters. */
static bool value_of(const Field *f, const char *s, size_t n, unsigned *ret) {
        unsigned value = 0;

        for (unsigned i = 0; f->names && f->names[i]; i++)
                if (n == 3 && strncasecmp(s, f->names[i], n) == 0) {
                        *ret = f->first + i;
                        return true;
                }
        for (size_t i = 0; i < n; i++) {
                if (s[i] < '0' || s[i] > '9' || value > 1000)
                        return false;
                value = value * 10 + (unsigned) (s[i] - '0');
        }
        if (n == 0 || value < f->min || value > f->max)
                return false;
        *ret = value;
        return true;
}

static int bad_value(const Field *f, const char *s, size_t n, const char *field, char **ret_error) {
        if (n == 0)
                return fail_with_text(ret_error, -EINVAL,
                                      "%s field \"%s\": a number is missing, expected %s", f->name,
                                      quote(field, strlen(field)).text, f->expected);
        return fail_with_text(
                ret_error, -EINVAL, "%s field \"%s\": \"%s\" is not a %s, expected %s", f->name,
                quote(field, strlen(field)).text, quote(s, n).text, f->name, f->expected);
}

/* The same set written so that it is understood: "22-2" is "22-23,0-2". */
static int bad_range(const Field *f, unsigned low, unsigned high, const char *field,
                     char **ret_error) {
        unsigned top = f == &fields[DAY_OF_WEEK] ? 6 : f->max;

        return fail_with_text(ret_error, -EINVAL,
                              "%s field \"%s\": the range ends before it begins, write %u-%u,%u-%u",
                              f->name, quote(field, strlen(field)).text, low, top, f->min, high);
}

/* "-b" of "a-b". Sunday at the end of a range is the one that follows Saturday. */
static int take_range_end(const Field *f, const char **s, unsigned low, unsigned *ret,
                          const char *field, char **ret_error) {
        const char *p = *s + 1;
        size_t n = word_length(p);
        unsigned high;

        if (!value_of(f, p, n, &high))
                return bad_value(f, p, n, field, ret_error);
        if (f == &fields[DAY_OF_WEEK] && high == 0 && n == 3)
                high = 7;
        if (high < low)
                return bad_range(f, low, high, field, ret_error);
        *s = p + n;
        *ret = high;
        return 0;
}

/* "/n". One larger than the field would leave a single number, which is never what was meant by it. */
static int take_step(const Field *f, const char **s, unsigned *ret, const char *field,
                     char **ret_error) {
        const Field steps = { .name = f->name, .min = 1, .max = f->max };
        const char *p = *s + 1;
        size_t n = word_length(p);

        if (!value_of(&steps, p, n, ret))
                return fail_with_text(
                        ret_error, -EINVAL,
                        "%s field \"%s\": \"%s\" is not a step, expected 1 to %u%s", f->name,
                        quote(field, strlen(field)).text, quote(p, n).text, f->max,
                        f == &fields[MINUTE] ? " (for every hour, write one minute)" : "");
        *s = p + n;
        return 0;
}

/* One item of a list, up to a comma or the end. */
static int take_item(const Field *f, const char **s, uint64_t *set, const char *field,
                     char **ret_error) {
        unsigned low = f->min, high = f->max, step = 1;
        bool single = false;
        const char *p = *s;
        int r;

        if (*p == '*')
                p++;
        else {
                size_t n = word_length(p);

                if (!value_of(f, p, n, &low))
                        return bad_value(f, p, n > 0 ? n : strcspn(p, ","), field, ret_error);
                p += n;
                high = low;
                single = *p != '-';
                if (!single) {
                        r = take_range_end(f, &p, low, &high, field, ret_error);
                        if (r < 0)
                                return r;
                }
        }
        if (*p == '/' && single)
                return fail_with_text(ret_error, -EINVAL,
                                      "%s field \"%s\": a step needs a range, write %u-%u%.8s",
                                      f->name, quote(field, strlen(field)).text, low, f->max,
                                      quote(p, strcspn(p, ",")).text);
        if (*p == '/') {
                r = take_step(f, &p, &step, field, ret_error);
                if (r < 0)
                        return r;
        }
        if (*p != ',' && *p != '\0')
                return fail_with_text(
                        ret_error, -EINVAL,
                        "%s field \"%s\": \"%s\" is not understood, expected numbers, ranges (a-b), "
                        "steps (*/n, a-b/n) and commas",
                        f->name, quote(field, strlen(field)).text, quote(p, strlen(p)).text);

        for (unsigned i = low; i <= high; i += step)
                *set |= UINT64_C(1) << i;
        *s = p;
        return 0;
}

static int parse_field(const Field *f, const char *field, uint64_t *ret, char **ret_error) {
        int r;

        for (const char *p = field;; p++) {
                r = take_item(f, &p, ret, field, ret_error);
                if (r < 0)
                        return r;
                if (*p == '\0')
                        return 0;
        }
}

static int bad_nickname(const char *text, char **ret_error) {
        if (strncmp(text, "@reboot", strlen("@reboot")) == 0)
                return fail_with_text(
                        ret_error, -EINVAL,
                        "@reboot is not a time: submit the task when the system starts, "
                        "from a service unit");
        if (strncmp(text, "@every", strlen("@every")) == 0)
                return fail_with_text(ret_error, -EINVAL,
                                      "@every is not a cron expression: give an interval instead");
        return fail_with_text(
                ret_error, -EINVAL,
                "\"%s\" is not known, expected five fields or one of @hourly @daily @weekly "
                "@monthly @yearly",
                quote(text, strlen(text)).text);
}

/* Cuts the text into its fields; *storage holds them. */
static int split(const char *text, char storage[static CRON_TEXT_MAX + 1],
                 char *ret[static N_FIELDS], char **ret_error) {
        unsigned n = 0;

        if (strlen(text) > CRON_TEXT_MAX)
                return fail_with_text(ret_error, -EINVAL,
                                      "the expression is longer than %u characters", CRON_TEXT_MAX);
        strcpy(storage, text);
        for (char *save = NULL, *p = strtok_r(storage, BLANKS, &save); p;
             p = strtok_r(NULL, BLANKS, &save), n++)
                if (n < N_FIELDS)
                        ret[n] = p;
        if (n == N_FIELDS)
                return 0;
        return fail_with_text(
                ret_error, -EINVAL,
                "expected five fields (minute, hour, day of the month, month, day of the week), found "
                "%u%s",
                n,
                n == N_FIELDS + 1 ? "; seconds and years are not known: leave that field out" : "");
}

/* A day of the month that none of the months has. */
static int check_possible(const Cron *c, char **ret_error) {
        static const uint8_t days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        unsigned day = 0;

        if (c->either_day)
                return 0;
        for (unsigned m = 1; m <= 12; m++)
                if (c->months >> m & 1)
                        for (day = 1; day <= days[m - 1]; day++)
                                if (c->days_of_month >> day & 1)
                                        return 0;
        return fail_with_text(
                ret_error, -EINVAL,
                "this never comes: none of the months has day %d; the last days are 28 or 29 in FEB, "
                "30 in APR JUN SEP NOV, 31 in the others",
                __builtin_ctz(c->days_of_month));
}

int cron_parse(const char *text, Cron *ret, char **ret_error) {
        char storage[CRON_TEXT_MAX + 1], *words[N_FIELDS] = {};
        uint64_t sets[N_FIELDS] = {};
        int r;

        *ret_error = NULL;
        text += strspn(text, BLANKS);
        if (text[0] == '@') {
                size_t n = strcspn(text, BLANKS);
                const char *found = NULL;

                for (size_t i = 0; i < ELEMENTSOF(nicknames); i++)
                        if (strlen(nicknames[i].name) == n &&
                            strncasecmp(nicknames[i].name, text, n) == 0)
                                found = nicknames[i].text;
                if (!found || text[n + strspn(text + n, BLANKS)] != '\0')
                        return bad_nickname(text, ret_error);
                text = found;
        }
        r = split(text, storage, words, ret_error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < N_FIELDS; i++) {
                r = parse_field(&fields[i], words[i], &sets[i], ret_error);
                if (r < 0)
                        return r;
        }

        *ret = (Cron){
                .minutes = sets[MINUTE],
                .hours = (uint32_t) sets[HOUR],
                .days_of_month = (uint32_t) sets[DAY_OF_MONTH],
                .months = (uint16_t) sets[MONTH],
                .days_of_week = (uint8_t) ((sets[DAY_OF_WEEK] | sets[DAY_OF_WEEK] >> 7) & 0x7f),
                .either_day = words[DAY_OF_MONTH][0] != '*' && words[DAY_OF_WEEK][0] != '*',
        };
        return check_possible(ret, ret_error);
}
