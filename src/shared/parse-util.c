/* SPDX-License-Identifier: MIT */

/* Numbers, truth values, sizes and time spans as users write them, UTF-8, and lists of strings. */

#include <strings.h>

#include "parse-util.h"
#include "time-util.h"

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* Reads digits up to the first other character, which *s then points to. */
static int take_uint(const char **s, uint64_t *ret) {
        const char *p = *s;
        uint64_t n = 0;

        if (!is_digit(*p))
                return -EINVAL;
        for (; is_digit(*p); p++)
                if (__builtin_mul_overflow(n, UINT64_C(10), &n) ||
                    __builtin_add_overflow(n, (uint64_t) (*p - '0'), &n))
                        return -ERANGE;
        *s = p;
        *ret = n;
        return 0;
}

/* Whether a text is made of digits alone. "99999999999999999999x" is not a number that is too large but no
 * number at all, so this comes before the conversion. */
static bool all_digits(const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!is_digit(s[i]))
                        return false;
        return n > 0;
}

int parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t n;
        int r;

        if (!s || !all_digits(s, strlen(s)))
                return -EINVAL;
        r = take_uint(&s, &n);
        if (r < 0)
                return r;
        if (n < min || n > max)
                return -ERANGE;
        *ret = n;
        return 0;
}

int parse_bool(const char *s, bool *ret) {
        static const struct {
                const char *name;
                bool value;
        } names[] = {
                { "yes", true }, { "no", false },  { "true", true }, { "false", false },
                { "on", true },  { "off", false }, { "1", true },    { "0", false },
        };

        for (size_t i = 0; s && i < ELEMENTSOF(names); i++)
                if (strcasecmp(s, names[i].name) == 0) {
                        *ret = names[i].value;
                        return 0;
                }
        return -EINVAL;
}

int parse_bytes(const char *s, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t n, factor = 1;
        size_t length;
        int r;

        if (isempty(s))
                return -EINVAL;
        length = strlen(s);
        switch (s[length - 1]) {
        case 'K':
                factor = UINT64_C(1) << 10;
                break;
        case 'M':
                factor = UINT64_C(1) << 20;
                break;
        case 'G':
                factor = UINT64_C(1) << 30;
                break;
        }
        if (!all_digits(s, factor > 1 ? length - 1 : length))
                return -EINVAL;
        r = take_uint(&s, &n);
        if (r < 0)
                return r;
        if (__builtin_mul_overflow(n, factor, &n) || n < min || n > max)
                return -ERANGE;
        *ret = n;
        return 0;
}

/* The unit that starts at *s, which then points behind it: the longest name that matches. */
static uint64_t take_time_unit(const char **s) {
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {
                /* longer names before those they begin with */
                { "seconds", USEC_PER_SEC },
                { "second", USEC_PER_SEC },
                { "sec", USEC_PER_SEC },
                { "s", USEC_PER_SEC },
                { "minutes", USEC_PER_MINUTE },
                { "minute", USEC_PER_MINUTE },
                { "min", USEC_PER_MINUTE },
                { "msec", USEC_PER_MSEC },
                { "ms", USEC_PER_MSEC },
                { "m", USEC_PER_MINUTE },
                { "hours", 60 * USEC_PER_MINUTE },
                { "hour", 60 * USEC_PER_MINUTE },
                { "hr", 60 * USEC_PER_MINUTE },
                { "h", 60 * USEC_PER_MINUTE },
                { "days", 24 * 60 * USEC_PER_MINUTE },
                { "day", 24 * 60 * USEC_PER_MINUTE },
                { "d", 24 * 60 * USEC_PER_MINUTE },
                { "weeks", 7 * 24 * 60 * USEC_PER_MINUTE },
                { "week", 7 * 24 * 60 * USEC_PER_MINUTE },
                { "w", 7 * 24 * 60 * USEC_PER_MINUTE },
                { "usec", 1 },
                { "us", 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                size_t n = strlen(units[i].name);

                if (strncmp(*s, units[i].name, n) == 0) {
                        *s += n;
                        return units[i].usec;
                }
        }
        return 0;
}

/* The decimals behind a point as microseconds of a unit; more than six of them are more than we can tell
 * apart, they are read and rounded down. */
static int take_fraction(const char **s, uint64_t *ret_millionths) {
        uint64_t n = 0, weight = 100000;

        if (!is_digit(**s))
                return -EINVAL;
        for (; is_digit(**s); (*s)++, weight /= 10)
                n += (uint64_t) (**s - '0') * weight;
        *ret_millionths = n;
        return 0;
}

/* One "90", "1.5h" or "30 s" of a time span. */
static int take_time_part(const char **s, bool first, uint64_t *ret) {
        uint64_t whole, millionths = 0, unit, usec;
        const char *p = *s;
        int r;

        r = take_uint(&p, &whole);
        if (r < 0)
                return r;
        if (*p == '.') {
                p++;
                r = take_fraction(&p, &millionths);
                if (r < 0)
                        return r;
        }
        if (*p == '\0' && first)
                unit = USEC_PER_SEC;
        else {
                p += *p == ' ';
                unit = take_time_unit(&p);
                if (unit == 0)
                        return -EINVAL;
        }
        /* The largest unit, a week, times 999 999 millionths fits easily. */
        if (__builtin_mul_overflow(whole, unit, &usec) ||
            __builtin_add_overflow(usec, unit * millionths / 1000000, &usec))
                return -ERANGE;
        *s = p;
        *ret = usec;
        return 0;
}

int parse_usec(const char *s, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t total = 0;
        int r;

        if (isempty(s))
                return -EINVAL;
        if (streq(s, "infinity"))
                total = USEC_INFINITY;
        else
                for (bool first = true; first || *s; first = false) {
                        uint64_t part;

                        if (!first)
                                s += *s == ' ';
                        r = take_time_part(&s, first, &part);
                        if (r < 0)
                                return r;
                        if (__builtin_add_overflow(total, part, &total) || total == USEC_INFINITY)
                                return -ERANGE;
                }
        if (total < min || total > max)
                return -ERANGE;
        *ret = total;
        return 0;
}

int utf8_decode(const char *s, size_t size, uint32_t *ret) {
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        unsigned char lead = (unsigned char) s[0];
        uint32_t c;
        int n;

        if (lead < 0x80) {
                *ret = lead;
                return 1;
        }
        if (lead >= 0xc0 && lead < 0xe0)
                n = 2;
        else if (lead >= 0xe0 && lead < 0xf0)
                n = 3;
        else if (lead >= 0xf0 && lead < 0xf8)
                n = 4;
        else
                return -EINVAL;
        if (size < (size_t) n)
                return -EINVAL;

        c = lead & (0x7fU >> n);
        for (int i = 1; i < n; i++) {
                unsigned char next = (unsigned char) s[i];

                if ((next & 0xc0) != 0x80)
                        return -EINVAL;
                c = c << 6 | (next & 0x3fU);
        }
        if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return -EINVAL;
        *ret = c;
        return n;
}

char **strv_free(char **l) {
        STRV_FOREACH(s, l)
                free(*s);
        free(l);
        return NULL;
}

size_t strv_length(char *const *l) {
        size_t n = 0;

        while (l && l[n])
                n++;
        return n;
}

bool strv_contains(char *const *l, const char *s) {
        for (size_t i = 0; l && l[i]; i++)
                if (streq(l[i], s))
                        return true;
        return false;
}

/* Appends; takes ownership only on success. */
static int strv_push(char ***l, char *s) {
        size_t n = strv_length(*l);
        char **bigger;

        bigger = reallocarray(*l, n + 2, sizeof(char *));
        if (!bigger)
                return -ENOMEM;
        bigger[n] = s;
        bigger[n + 1] = NULL;
        *l = bigger;
        return 0;
}

int strv_extend(char ***l, const char *s) {
        _cleanup_free_ char *copy = NULL;
        int r;

        copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        r = strv_push(l, copy);
        if (r < 0)
                return r;
        TAKE_PTR(copy);
        return 0;
}

int strv_assign(char ***l, const char *assignment) {
        size_t n = strcspn(assignment, "=") + 1;

        STRV_FOREACH(other, *l) {
                char *copy;

                if (strncmp(*other, assignment, n) != 0)
                        continue;
                copy = strdup(assignment);
                if (!copy)
                        return -ENOMEM;
                free(*other);
                *other = copy;
                return 0;
        }
        return strv_extend(l, assignment);
}

int strv_split_extend(char ***l, const char *s, const char *separators) {
        int r;

        for (;;) {
                _cleanup_free_ char *part = NULL;
                size_t n;

                s += strspn(s, separators);
                n = strcspn(s, separators);
                if (n == 0)
                        return 0;
                part = strndup(s, n);
                if (!part)
                        return -ENOMEM;
                r = strv_push(l, part);
                if (r < 0)
                        return r;
                TAKE_PTR(part);
                s += n;
        }
}

char *strv_join(char *const *l, const char *separator) {
        size_t size = 1, between = strlen(separator);
        char *text, *p;

        for (size_t i = 0; l && l[i]; i++)
                size += (i > 0 ? between : 0) + strlen(l[i]);
        text = malloc(size);
        if (!text)
                return NULL;
        p = text;
        for (size_t i = 0; l && l[i]; i++) {
                if (i > 0)
                        p = stpcpy(p, separator);
                p = stpcpy(p, l[i]);
        }
        *p = '\0';
        return text;
}
