/* SPDX-License-Identifier: MIT */

/* One setting: from text to its place in the settings struct and back. */

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "conf-internal.h"
#include "log.h"
#include "parse-util.h"
#include "time-util.h"

#define LIST_SEPARATORS ", \t\r\n"

static void *field(const ConfItem *item, void *settings) {
        return (char *) settings + item->offset;
}

static const void *const_field(const ConfItem *item, const void *settings) {
        return (const char *) settings + item->offset;
}

static uint64_t upper_limit(const ConfItem *item) {
        return item->max > 0 ? item->max : UINT64_MAX;
}

/* A file cannot hold control characters in a value, so nothing else may bring them in either. */
static bool is_printable(const char *s, const char *others) {
        for (; *s; s++)
                if (((unsigned char) *s < 0x20 || *s == 0x7f) && !strchr(others, *s))
                        return false;
        return true;
}

static int set_string(const ConfItem *item, const char *text, char **p) {
        Address a;
        char *copy;
        int r;

        if (item->type == CONF_ADDRESS) {
                r = address_parse(text, &a);
                if (r < 0)
                        return r;
        }
        copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        free(*p);
        *p = copy;
        return 0;
}

static int set_list(const ConfItem *item, const char *text, bool append, char ***p) {
        _cleanup_strv_ char **l = NULL;
        int r;

        if (append)
                STRV_FOREACH(s, *p) {
                        r = strv_extend(&l, *s);
                        if (r < 0)
                                return r;
                }
        r = strv_split_extend(&l, text,
                              item->flags & CONF_PATHS ? LIST_SEPARATORS ":" : LIST_SEPARATORS);
        if (r < 0)
                return r;
        strv_free(*p);
        *p = TAKE_PTR(l);
        return 0;
}

static int set_enum(const ConfItem *item, const char *text, int *p) {
        for (int i = 0; item->names[i]; i++)
                if (streq(item->names[i], text)) {
                        *p = i;
                        return 0;
                }
        return -EINVAL;
}

static int set_level(const char *text, int *p) {
        int level = log_level_from_string(text);

        if (level < 0)
                return level;
        *p = level;
        return 0;
}

static int set_trimmed(const ConfItem *item, const char *text, bool append, void *settings) {
        void *p = field(item, settings);

        switch (item->type) {
        case CONF_STRING:
        case CONF_ADDRESS:
                return isempty(text) ? conf_value_reset(item, settings) : set_string(item, text, p);
        case CONF_LIST:
                /* An assignment of nothing starts anew. */
                return set_list(item, text, append && !isempty(text), p);
        case CONF_BOOL:
                return parse_bool(text, p);
        case CONF_UINT:
                return parse_uint(text, item->min, upper_limit(item), p);
        case CONF_BYTES:
                if (upper_limit(item) == UINT64_MAX && streq(text, "infinity")) {
                        *(uint64_t *) p = UINT64_MAX;
                        return 0;
                }
                return parse_bytes(text, item->min, upper_limit(item), p);
        case CONF_USEC:
                return parse_usec(text, item->min, upper_limit(item), p);
        case CONF_LEVEL:
                return set_level(text, p);
        case CONF_ENUM:
                return set_enum(item, text, p);
        case _CONF_TYPE_MAX:
                break;
        }
        assert(false);
        return -EINVAL;
}

int conf_value_set(const ConfItem *item, const char *text, bool append, void *settings) {
        _cleanup_free_ char *trimmed = NULL;
        size_t n;

        /* A file knows no spaces around a value; so do flags and the environment. */
        text += strspn(text, " \t");
        n = strlen(text);
        while (n > 0 && strchr(" \t", text[n - 1]))
                n--;
        if (n > CONF_VALUE_MAX)
                return -ERANGE;
        trimmed = strndup(text, n);
        if (!trimmed)
                return -ENOMEM;
        if (!is_printable(trimmed, item->type == CONF_LIST ? LIST_SEPARATORS : ""))
                return -EINVAL;
        return set_trimmed(item, trimmed, append, settings);
}

void conf_value_clear(const ConfItem *item, void *settings) {
        void *p = field(item, settings);

        switch (item->type) {
        case CONF_STRING:
        case CONF_ADDRESS:
                free(*(char **) p);
                *(char **) p = NULL;
                break;
        case CONF_LIST:
                *(char ***) p = strv_free(*(char ***) p);
                break;
        case CONF_BOOL:
                *(bool *) p = false;
                break;
        case CONF_LEVEL:
        case CONF_ENUM:
                *(int *) p = 0;
                break;
        default:
                *(uint64_t *) p = 0;
        }
}

int conf_value_reset(const ConfItem *item, void *settings) {
        int r;

        if (!item->default_text) {
                conf_value_clear(item, settings);
                return 0;
        }
        r = conf_value_set(item, item->default_text, false, settings);
        assert(r != -EINVAL && r != -ERANGE); /* a default must be a legal value */
        return r;
}

static char *usec_to_text(uint64_t usec) {
        char *text = NULL;
        int r;

        if (usec == USEC_INFINITY)
                return strdup("infinity");
        if (usec % USEC_PER_SEC == 0)
                r = asprintf(&text, "%" PRIu64 "s", usec / USEC_PER_SEC);
        else if (usec % USEC_PER_MSEC == 0)
                r = asprintf(&text, "%" PRIu64 "ms", usec / USEC_PER_MSEC);
        else
                r = asprintf(&text, "%" PRIu64 "us", usec);
        return r < 0 ? NULL : text;
}

static char *bytes_to_text(uint64_t n) {
        static const char suffixes[] = "KMG";
        char *text = NULL;
        size_t i = 0;

        if (n == UINT64_MAX)
                return strdup("infinity");
        for (; n > 0 && n % 1024 == 0 && i < strlen(suffixes); i++)
                n /= 1024;
        if (i == 0)
                return asprintf(&text, "%" PRIu64, n) < 0 ? NULL : text;
        return asprintf(&text, "%" PRIu64 "%c", n, suffixes[i - 1]) < 0 ? NULL : text;
}

char *conf_value_to_text(const ConfItem *item, const void *settings) {
        const void *p = const_field(item, settings);
        char *text = NULL;

        switch (item->type) {
        case CONF_STRING:
        case CONF_ADDRESS:
                return strdup(*(char *const *) p ?: "");
        case CONF_LIST:
                return strv_join(*(char **const *) p, " ");
        case CONF_BOOL:
                return strdup(*(const bool *) p ? "yes" : "no");
        case CONF_BYTES:
                return bytes_to_text(*(const uint64_t *) p);
        case CONF_USEC:
                return usec_to_text(*(const uint64_t *) p);
        case CONF_LEVEL:
                return strdup(log_level_to_string(*(const int *) p) ?: "");
        case CONF_ENUM:
                return strdup(item->names[*(const int *) p]);
        default:
                return asprintf(&text, "%" PRIu64, *(const uint64_t *) p) < 0 ? NULL : text;
        }
}

/* "KIND from MIN to MAX", as far as there are limits. */
static void describe_range(const ConfItem *item, const char *kind, char *(*to_text)(uint64_t),
                           char ret[static CONF_EXPECTED_MAX]) {
        _cleanup_free_ char *min = to_text(item->min), *max = to_text(upper_limit(item));
        const char *low = min ?: "?", *high = max ?: "?";

        if (upper_limit(item) == UINT64_MAX)
                (void) snprintf(ret, CONF_EXPECTED_MAX, item->min > 0 ? "%s of at least %s" : "%s",
                                kind, low);
        else
                (void) snprintf(ret, CONF_EXPECTED_MAX, "%s from %s to %s", kind, low, high);
}

static char *uint_to_text(uint64_t n) {
        char *text = NULL;

        return asprintf(&text, "%" PRIu64, n) < 0 ? NULL : text;
}

static void describe_names(const ConfItem *item, char ret[static CONF_EXPECTED_MAX]) {
        char *p = ret, *end = ret + CONF_EXPECTED_MAX;
        int n;

        n = snprintf(p, CONF_EXPECTED_MAX, "one of");
        for (size_t i = 0; item->names[i] && n >= 0 && n < end - p; i++) {
                p += n;
                n = snprintf(p, (size_t) (end - p), " %s", item->names[i]);
        }
}

void conf_value_describe(const ConfItem *item, char ret[static CONF_EXPECTED_MAX]) {
        const char *text = NULL;

        switch (item->type) {
        case CONF_STRING:
                text = "text without control characters";
                break;
        case CONF_LIST:
                text = "a list separated by commas or spaces";
                break;
        case CONF_ADDRESS:
                text = "tcp://HOST:PORT (IPv6 as [HOST]) or ipc:///absolute/path of at most 100 bytes";
                break;
        case CONF_BOOL:
                text = "yes or no";
                break;
        case CONF_LEVEL:
                text = "one of debug info notice warning err";
                break;
        case CONF_UINT:
                describe_range(item, "a number", uint_to_text, ret);
                break;
        case CONF_BYTES:
                describe_range(item, "a size (suffixes K M G)", bytes_to_text, ret);
                break;
        case CONF_USEC:
                describe_range(item, "a time span (like 30, 500ms, 1min 30s)", usec_to_text, ret);
                break;
        case CONF_ENUM:
                describe_names(item, ret);
                break;
        case _CONF_TYPE_MAX:
                assert(false);
        }
        if (text)
                (void) snprintf(ret, CONF_EXPECTED_MAX, "%s", text);
}

static bool lists_differ(char *const *a, char *const *b) {
        size_t n = strv_length(a);

        if (n != strv_length(b))
                return true;
        for (size_t i = 0; i < n; i++)
                if (!streq(a[i], b[i]))
                        return true;
        return false;
}

bool conf_item_differs(const ConfItem *item, const void *a, const void *b) {
        const void *pa = const_field(item, a), *pb = const_field(item, b);

        switch (item->type) {
        case CONF_STRING:
        case CONF_ADDRESS: {
                const char *sa = *(char *const *) pa, *sb = *(char *const *) pb;

                return !sa || !sb ? sa != sb : !streq(sa, sb);
        }
        case CONF_LIST:
                return lists_differ(*(char **const *) pa, *(char **const *) pb);
        case CONF_BOOL:
                return *(const bool *) pa != *(const bool *) pb;
        case CONF_LEVEL:
        case CONF_ENUM:
                return *(const int *) pa != *(const int *) pb;
        default:
                return *(const uint64_t *) pa != *(const uint64_t *) pb;
        }
}

void conf_item_swap(const ConfItem *item, void *a, void *b) {
        static const size_t sizes[_CONF_TYPE_MAX] = {
                [CONF_STRING] = sizeof(char *),  [CONF_BOOL] = sizeof(bool),
                [CONF_UINT] = sizeof(uint64_t),  [CONF_BYTES] = sizeof(uint64_t),
                [CONF_USEC] = sizeof(uint64_t),  [CONF_LIST] = sizeof(char **),
                [CONF_ADDRESS] = sizeof(char *), [CONF_LEVEL] = sizeof(int),
                [CONF_ENUM] = sizeof(int),
        };
        char keep[sizeof(uint64_t)];

        memcpy(keep, field(item, a), sizes[item->type]);
        memcpy(field(item, a), field(item, b), sizes[item->type]);
        memcpy(field(item, b), keep, sizes[item->type]);
}
