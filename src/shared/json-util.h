/* SPDX-License-Identifier: MIT */
#pragma once

/* Strict JSON from peers and files. The only file that calls json-c's parser and typed getters: json-c
 * itself takes trailing garbage, turns "12x" into 12 and clips numbers without a word. */

#include <json-c/json.h>

#include "macro.h"

static inline void json_object_putp(struct json_object **o) {
        if (*o)
                json_object_put(*o);
}
#define _cleanup_json_ _cleanup_(json_object_putp)

#define JSON_DEPTH_MAX 64

/* How JSON goes out: on one line, without spaces, slashes as they are. */
#define JSON_COMPACT (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* Parses exactly one value of valid UTF-8, nested at most JSON_DEPTH_MAX deep, with integers of at most 64 bits
 * (signed or unsigned). Returns 0, -EBADMSG, or
 * -ENOMEM. On -EBADMSG *ret_error (if not NULL) is a static text. A JSON null gives *ret = NULL. */
int json_parse(const char *text, size_t size, struct json_object **ret, const char **ret_error);

/* The same, and it must be an object (empty text counts as {}). */
int json_parse_object(const char *text, size_t size, struct json_object **ret,
                      const char **ret_error);

/* Typed getters: 1 found (ret set), 0 the key is missing or null (ret untouched), -EINVAL wrong type,
 * -ERANGE number out of range. Strings are borrowed from the object. */
int json_get_string(struct json_object *o, const char *key, const char **ret);
/* The text of a value, borrowed from it, if it is text without a NUL inside, which would cut what callers see; else NULL. */
const char *json_text(struct json_object *value);
int json_get_uint(struct json_object *o, const char *key, uint64_t min, uint64_t max,
                  uint64_t *ret);
int json_get_double(struct json_object *o, const char *key, double min, double max, double *ret);
int json_get_bool(struct json_object *o, const char *key, bool *ret);
int json_get_object(struct json_object *o, const char *key, struct json_object **ret);
int json_get_array(struct json_object *o, const char *key, struct json_object **ret);

/* On one line, as short as can be, as a fresh string. -ENOMEM, also when `value` is NULL. */
int json_to_text(struct json_object *value, char **ret);

/* The first key of the object that is not in the NULL-terminated list, or NULL. */
const char *json_unknown_key(struct json_object *o, const char *const *known);

/* Adds a member, taking ownership of `value` in every case; -ENOMEM also when value is NULL. */
int json_add(struct json_object *o, const char *key, struct json_object *value);
int json_add_string(struct json_object *o, const char *key, const char *value); /* NULL -> null */
int json_add_uint(struct json_object *o, const char *key, uint64_t value);
int json_add_bool(struct json_object *o, const char *key, bool value);
/* CLOCK_REALTIME microseconds as "2026-11-24T12:30:01.123456Z"; 0 -> null. */
int json_add_time(struct json_object *o, const char *key, uint64_t usec);
