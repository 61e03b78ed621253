/* SPDX-License-Identifier: MIT */

/* Complaints, JSON, and text of others that must not steer the terminal. */

#include <stdarg.h>

#include "cli.h"
#include "json-util.h"
#include "parse-util.h"

/* Everything but printable characters and spaces. C1 controls arrive as two bytes of UTF-8. */
static bool must_be_escaped(uint32_t c) {
        return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);
}

bool is_utf8(const char *text) {
        for (size_t size = strlen(text); size > 0;) {
                uint32_t c;
                int n = utf8_decode(text, size, &c);

                if (n < 0)
                        return false;
                text += n;
                size -= (size_t) n;
        }
        return true;
}

bool is_blank(const char *text, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (!strchr(" \t\r", text[i]))
                        return false;
        return true;
}

static void print_escaped(FILE *f, const char *text, size_t size) {
        for (size_t i = 0; i < size;) {
                uint32_t c;
                int n = utf8_decode(text + i, size - i, &c);

                if (n < 0) {
                        n = 1;
                        fprintf(f, "\\x%02x", (unsigned char) text[i]);
                } else if (must_be_escaped(c))
                        fprintf(f, "\\x%02x", (unsigned) c);
                else
                        fwrite(text + i, 1, (size_t) n, f);
                i += (size_t) n;
        }
}

void print_text(FILE *f, const char *text, size_t size) {
        if (isatty(fileno(f)))
                print_escaped(f, text, size);
        else
                fwrite(text, 1, size, f);
}

int complain(CliStatus status, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int n;

        (void) fflush(stdout); /* so that the order is right when both go to one place */
        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        fprintf(stderr, "fastworker%s%s: ", arg_verb ? " " : "", arg_verb ?: "");
        if (n >= 0)
                print_escaped(stderr, text, (size_t) n);
        else
                text = NULL;
        fputc('\n', stderr);
        return status;
}

int complain_oom(void) {
        return complain(CLI_TROUBLE, "out of memory");
}

int print_json(struct json_object *o) {
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
                    (arg_json == JSON_PRETTY ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
                                             : JSON_C_TO_STRING_PLAIN);
        const char *text = json_object_to_json_string_ext(o, flags);

        if (!text)
                return complain_oom();
        puts(text);
        return CLI_SUCCESS;
}

int print_or_parse(const char *text, struct json_object **ret, int *ret_status) {
        _cleanup_json_ struct json_object *o = NULL;
        const char *why;

        if (json_parse_object(text, strlen(text), &o, &why) < 0) {
                *ret_status =
                        complain(CLI_TROUBLE, "the coordinator's answer is not JSON: %s", why);
                return 0;
        }
        if (arg_json != JSON_OFF) {
                *ret_status = print_json(o);
                return 0;
        }
        *ret = TAKE_PTR(o);
        return 1;
}

/* Bytes that are not UTF-8 cannot stand in JSON; each becomes U+FFFD. */
static struct json_object *bytes_to_string(const char *data, size_t size) {
        _cleanup_free_ char *text = malloc(3 * size + 1);
        char *to = text;

        if (!text)
                return NULL;
        while (size > 0) {
                uint32_t c;
                int n = utf8_decode(data, size, &c);

                if (n > 0)
                        to = mempcpy(to, data, (size_t) n);
                else {
                        n = 1;
                        to = stpcpy(to, "\xef\xbf\xbd");
                }
                data += n;
                size -= (size_t) n;
        }
        return json_object_new_string_len(text, (int) (to - text));
}

int add_payload(struct json_object *o, const char *key, const char *data, size_t size) {
        struct json_object *value = NULL;

        if (size > 0 && json_parse(data, size, &value, NULL) < 0) {
                value = bytes_to_string(data, size);
                if (!value)
                        return -ENOMEM;
        }
        return json_object_object_add(o, key, value) < 0 ? -ENOMEM : 0;
}

int add_text(struct json_object *o, const char *key, const char *text) {
        return json_add(o, key, bytes_to_string(text, strlen(text)));
}

struct json_object *member(struct json_object *o, const char *key) {
        struct json_object *v;

        return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v)
                       ? v
                       : NULL;
}

const char *text_of(struct json_object *o, const char *key) {
        struct json_object *v = member(o, key);
        const char *text = v ? json_object_get_string(v) : NULL;

        return isempty(text) ? "-" : text;
}
