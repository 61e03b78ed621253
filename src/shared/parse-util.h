/* SPDX-License-Identifier: MIT */
#pragma once

/* Strict parsers: the whole text must match, no sign or space is passed over, nothing is clipped. They
 * return 0, -EINVAL, or -ERANGE, and leave *ret alone on failure. */

#include "macro.h"

int parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
/* "yes no true false on off 1 0", any case */
int parse_bool(const char *s, bool *ret);
/* Bytes, with an optional suffix K M G (powers of 1024). */
int parse_bytes(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
/* A time span: a plain number is seconds; "500ms", "1min 30s", "2h", "1d", "infinity" as in systemd. */
int parse_usec(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

/* The character at the start of `size` bytes of UTF-8 (size > 0): its length in bytes, 1 to 4, with the code
 * point in *ret; -EINVAL for anything that is not UTF-8 (overlong forms, surrogates, a cut end). */
int utf8_decode(const char *s, size_t size, uint32_t *ret);

/* A NULL-terminated array of strings. */
char **strv_free(char **l);
DEFINE_CLEANUP_FUNC(char **, strv_free);
#define _cleanup_strv_     _cleanup_(strv_freep)
#define STRV_FOREACH(s, l) for (char **s = (l); s && *s; s++)
size_t strv_length(char *const *l);
bool strv_contains(char *const *l, const char *s);
/* Appends a copy. */
int strv_extend(char ***l, const char *s);
/* Adds "NAME=value", in place of an assignment to the name that is there. -ENOMEM */
int strv_assign(char ***l, const char *assignment);
/* Splits at any of the separators, dropping empty parts, and appends. */
int strv_split_extend(char ***l, const char *s, const char *separators);
/* Joined with the separator; a fresh string, empty for an empty list. */
char *strv_join(char *const *l, const char *separator);

/* A ZeroMQ address as users write it: tcp://HOST:PORT (HOST an IPv4 address, [IPv6 address], name or *),
 * ipc:///absolute/path (at most 100 bytes). */
typedef struct Address {
        bool is_tcp;
        char host[256]; /* tcp: without brackets; ipc: empty */
        uint16_t port;  /* tcp; "*" as port is 0, "any free one" */
        char path[108]; /* ipc */
} Address;
int address_parse(const char *s, Address *ret);
/* The address as text: tcp://host:port with brackets as needed, or ipc://path. A fresh string or NULL. */
char *address_to_string(const Address *a);
bool address_is_wildcard(const Address *a);
/* 127.0.0.0/8, ::1, "localhost", or a unix socket. */
bool address_is_local(const Address *a);
