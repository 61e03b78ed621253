/* SPDX-License-Identifier: MIT */

/* json-c, made strict. Its own strict mode still takes NaN and Infinity, numbers like "00", "-01.5" and "1.",
 * control characters in strings, and overlong or surrogate UTF-8, and it clips large integers. So the text
 * passes a check of its tokens first, and json-c checks how they follow each other. */

#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "json-util.h"
#include "parse-util.h"
#include "time-util.h"

#define RFC3339_MAX sizeof("2026-11-24T12:30:01.123456Z")

static const char *digits_end(const char *p, const char *end) {
        while (p < end && *p >= '0' && *p <= '9')
                p++;
        return p;
}

/* json-c has 64 bits for an integer and takes the nearest that fits for any other. */
static bool integer_fits(const char *digits, const char *end, bool negative) {
        uint64_t n = 0;

        for (const char *p = digits; p < end; p++)
                if (__builtin_mul_overflow(n, UINT64_C(10), &n) ||
                    __builtin_add_overflow(n, (uint64_t) (*p - '0'), &n))
                        return false;
        return !negative || n <= (uint64_t) INT64_MAX + 1;
}

/* Checks the number that begins at p and returns where it ends, NULL if it is not one. */
static const char *check_number(const char *p, const char *end, const char **ret_error) {
        bool negative = *p == '-';
        const char *digits = p + negative, *q;

        *ret_error = "malformed number";
        p = digits_end(digits, end);
        if (p == digits || (*digits == '0' && p > digits + 1))
                return NULL;
        if (p == end || !strchr(".eE", *p)) {
                *ret_error = "number out of range";
                return integer_fits(digits, p, negative) ? p : NULL;
        }
        if (*p == '.') {
                q = digits_end(p + 1, end);
                if (q == p + 1)
                        return NULL;
                p = q;
        }
        if (p < end && (*p == 'e' || *p == 'E')) {
                p++;
                if (p < end && (*p == '+' || *p == '-'))
                        p++;
                q = digits_end(p, end);
                if (q == p)
                        return NULL;
                p = q;
        }
        return p;
}

/* The same for the string whose opening quote is at p. The escapes are left to json-c. */
static const char *check_string(const char *p, const char *end, const char **ret_error) {
        uint32_t c;
        int n;

        for (p++; p < end; p += n) {
                if (*p == '"')
                        return p + 1;
                n = utf8_decode(p, (size_t) (end - p), &c);
                if (n < 0) {
                        *ret_error = "invalid UTF-8";
                        return NULL;
                }
                if (c < 0x20) {
                        *ret_error = "control character in a string";
                        return NULL;
                }
                if (c == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\'))
                        n = 2;
        }
        *ret_error = "unterminated string";
        return NULL;
}

static bool check_tokens(const char *text, size_t size, const char **ret_error) {
        const char *p = text, *end = text + size;

        while (p < end)
                if (*p == '"') {
                        p = check_string(p, end, ret_error);
                        if (!p)
                                return false;
                } else if (*p == '-' || (*p >= '0' && *p <= '9')) {
                        p = check_number(p, end, ret_error);
                        if (!p)
                                return false;
                } else if (*p && strchr("{}[]:, \t\r\ntruefalsn", *p))
                        p++; /* json-c compares true, false and null letter by letter */
                else {
                        *ret_error = "unexpected character";
                        return false;
                }
        return true;
}

static int parse_checked(struct json_tokener *tokener, const char *text, size_t size,
                         struct json_object **ret, const char **ret_error) {
        struct json_object *o;
        enum json_tokener_error e;

        o = json_tokener_parse_ex(tokener, text, (int) size);
        e = json_tokener_get_error(tokener);
        if (e == json_tokener_continue) {
                /* A number at the end is complete only when the tokener has seen what follows it. */
                o = json_tokener_parse_ex(tokener, "", 1);
                e = json_tokener_get_error(tokener);
        }
        if (e == json_tokener_success) {
                *ret = o;
                return 0;
        }
        json_object_put(o);
        *ret_error = e == json_tokener_continue ? "unexpected end" : json_tokener_error_desc(e);
        return -EBADMSG;
}

int json_parse(const char *text, size_t size, struct json_object **ret, const char **ret_error) {
        const char *dummy, **error = ret_error ?: &dummy;
        struct json_tokener *tokener;
        int r;

        if (size > INT_MAX - 1) {
                *error = "too large";
                return -EBADMSG;
        }
        if (size == 0) {
                *error = "unexpected end";
                return -EBADMSG;
        }
        if (!check_tokens(text, size, error))
                return -EBADMSG;

        tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
        if (!tokener)
                return -ENOMEM;
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        r = parse_checked(tokener, text, size, ret, error);
        json_tokener_free(tokener);
        return r;
}

int json_parse_object(const char *text, size_t size, struct json_object **ret,
                      const char **ret_error) {
        _cleanup_json_ struct json_object *o = NULL;
        int r;

        if (size == 0) {
                o = json_object_new_object();
                if (!o)
                        return -ENOMEM;
        } else {
                r = json_parse(text, size, &o, ret_error);
                if (r < 0)
                        return r;
                if (!json_object_is_type(o, json_type_object)) {
                        if (ret_error)
                                *ret_error = "not an object";
                        return -EBADMSG;
                }
        }
        *ret = TAKE_PTR(o);
        return 0;
}

/* 1 with the member of that type, 0 if it is missing or null, -EINVAL. */
static int get_typed(struct json_object *o, const char *key, json_type type,
                     struct json_object **ret) {
        struct json_object *v;

        if (!json_object_object_get_ex(o, key, &v) || !v)
                return 0;
        if (!json_object_is_type(v, type))
                return -EINVAL;
        *ret = v;
        return 1;
}

const char *json_text(struct json_object *value) {
        const char *s;

        if (!json_object_is_type(value, json_type_string))
                return NULL;
        s = json_object_get_string(value);
        return strlen(s) == (size_t) json_object_get_string_len(value) ? s : NULL;
}

int json_get_string(struct json_object *o, const char *key, const char **ret) {
        struct json_object *v;
        const char *s;

        if (!json_object_object_get_ex(o, key, &v) || !v)
                return 0;
        s = json_text(v);
        if (!s)
                return -EINVAL;
        *ret = s;
        return 1;
}

int json_get_uint(struct json_object *o, const char *key, uint64_t min, uint64_t max,
                  uint64_t *ret) {
        struct json_object *v;
        uint64_t n;
        int r;

        r = get_typed(o, key, json_type_int, &v);
        if (r <= 0)
                return r;
        /* json-c gives 0 for negative numbers here, so they have to be told apart first. */
        if (json_object_get_int64(v) < 0)
                return -ERANGE;
        n = json_object_get_uint64(v);
        if (n < min || n > max)
                return -ERANGE;
        *ret = n;
        return 1;
}

int json_get_double(struct json_object *o, const char *key, double min, double max, double *ret) {
        struct json_object *v = NULL;
        double n;

        if (!json_object_object_get_ex(o, key, &v) || !v)
                return 0;
        if (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int))
                return -EINVAL;
        n = json_object_get_double(v);
        if (!(n >= min && n <= max)) /* nor what is no number */
                return -ERANGE;
        *ret = n;
        return 1;
}

int json_get_bool(struct json_object *o, const char *key, bool *ret) {
        struct json_object *v;
        int r;

        r = get_typed(o, key, json_type_boolean, &v);
        if (r > 0)
                *ret = json_object_get_boolean(v);
        return r;
}

int json_get_object(struct json_object *o, const char *key, struct json_object **ret) {
        return get_typed(o, key, json_type_object, ret);
}

int json_get_array(struct json_object *o, const char *key, struct json_object **ret) {
        return get_typed(o, key, json_type_array, ret);
}

int json_to_text(struct json_object *value, char **ret) {
        const char *text = value ? json_object_to_json_string_ext(value, JSON_COMPACT) : NULL;
        char *copy = text ? strdup(text) : NULL;

        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

const char *json_unknown_key(struct json_object *o, const char *const *known) {
        for (struct json_object_iterator i = json_object_iter_begin(o),
                                         end = json_object_iter_end(o);
             !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
                const char *key = json_object_iter_peek_name(&i);
                const char *const *k;

                for (k = known; *k && !streq(*k, key); k++)
                        ;
                if (!*k)
                        return key;
        }
        return NULL;
}

static int add_nullable(struct json_object *o, const char *key, struct json_object *value) {
        if (json_object_object_add(o, key, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

int json_add(struct json_object *o, const char *key, struct json_object *value) {
        return value ? add_nullable(o, key, value) : -ENOMEM;
}

int json_add_string(struct json_object *o, const char *key, const char *value) {
        return value ? json_add(o, key, json_object_new_string(value)) : add_nullable(o, key, NULL);
}

int json_add_uint(struct json_object *o, const char *key, uint64_t value) {
        return json_add(o, key, json_object_new_uint64(value));
}

int json_add_bool(struct json_object *o, const char *key, bool value) {
        return json_add(o, key, json_object_new_boolean(value));
}

int json_add_time(struct json_object *o, const char *key, uint64_t usec) {
        time_t seconds = (time_t) (usec / USEC_PER_SEC);
        char day[sizeof("2026-11-24T12:30:01")], text[RFC3339_MAX];
        struct tm tm;

        /* Years behind 9999 have no such form; a clock that far off is no time at all. */
        if (usec == 0 || !gmtime_r(&seconds, &tm) ||
            strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
                return add_nullable(o, key, NULL);
        (void) snprintf(text, sizeof(text), "%s.%06uZ", day, (unsigned) (usec % USEC_PER_SEC));
        return json_add_string(o, key, text);
}
