/* SPDX-License-Identifier: MIT */

/* The addresses of ZeroMQ endpoints: tcp://HOST:PORT and ipc:///path. Anything else that libzmq would take
 * (interface names, inproc, pgm, abstract sockets) is refused, so that what a user configures is what the
 * rest of the program can reason about. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>

#include "parse-util.h"

#define IPC_PATH_MAX 100 /* sun_path has 108; room for the names that tools append */

static bool is_ipv4(const char *host) {
        struct in_addr a;

        return inet_pton(AF_INET, host, &a) == 1;
}

static bool is_ipv6(const char *host) {
        struct in6_addr a;

        return inet_pton(AF_INET6, host, &a) == 1;
}

/* A DNS name: labels of letters, digits, "-" and "_", separated by single dots. A name of digits and dots
 * alone is a mistyped IPv4 address. */
static bool is_host_name(const char *host) {
        bool label_is_empty = true, has_letter = false;

        for (const char *p = host; *p; p++) {
                bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');

                if (*p == '.') {
                        if (label_is_empty)
                                return false;
                        label_is_empty = true;
                        continue;
                }
                if (!letter && !(*p >= '0' && *p <= '9') && *p != '_' &&
                    (*p != '-' || label_is_empty))
                        return false;
                has_letter = has_letter || letter;
                label_is_empty = false;
        }
        return has_letter && !label_is_empty;
}

static int parse_port(const char *s, uint16_t *ret) {
        uint64_t port;
        int r;

        if (streq(s, "*")) {
                *ret = 0;
                return 0;
        }
        r = parse_uint(s, 1, UINT16_MAX, &port);
        if (r < 0)
                return r;
        *ret = (uint16_t) port;
        return 0;
}

static int parse_tcp(const char *s, Address *ret) {
        const char *colon = strrchr(s, ':'), *begin = s, *end = colon;
        Address a = { .is_tcp = true };
        bool bracketed = s[0] == '[';
        int r;

        if (!colon)
                return -EINVAL;
        if (bracketed) {
                begin++;
                end = strchr(s, ']');
                if (!end || end + 1 != colon)
                        return -EINVAL;
        }
        if (end <= begin || (size_t) (end - begin) >= sizeof(a.host))
                return -EINVAL;
        memcpy(a.host, begin, (size_t) (end - begin));

        if (bracketed ? !is_ipv6(a.host)
                      : !is_ipv4(a.host) && !streq(a.host, "*") && !is_host_name(a.host))
                return -EINVAL;
        r = parse_port(colon + 1, &a.port);
        if (r < 0)
                return r;
        *ret = a;
        return 0;
}

static int parse_ipc(const char *path, Address *ret) {
        Address a = {};
        size_t n = strlen(path);

        if (path[0] != '/' || n < 2 || n > IPC_PATH_MAX || path[n - 1] == '/')
                return -EINVAL;
        for (const char *p = path; *p; p++)
                if ((unsigned char) *p < 0x20 || *p == 0x7f)
                        return -EINVAL;
        memcpy(a.path, path, n);
        *ret = a;
        return 0;
}

int address_parse(const char *s, Address *ret) {
        if (!s)
                return -EINVAL;
        if (strncmp(s, "tcp://", 6) == 0)
                return parse_tcp(s + 6, ret);
        if (strncmp(s, "ipc://", 6) == 0)
                return parse_ipc(s + 6, ret);
        return -EINVAL;
}

char *address_to_string(const Address *a) {
        bool bracketed = strchr(a->host, ':');
        char *text = NULL;
        int r;

        if (!a->is_tcp)
                r = asprintf(&text, "ipc://%s", a->path);
        else if (a->port == 0)
                r = asprintf(&text, "tcp://%s%s%s:*", bracketed ? "[" : "", a->host,
                             bracketed ? "]" : "");
        else
                r = asprintf(&text, "tcp://%s%s%s:%u", bracketed ? "[" : "", a->host,
                             bracketed ? "]" : "", (unsigned) a->port);
        return r < 0 ? NULL : text;
}

bool address_is_wildcard(const Address *a) {
        struct in_addr v4;
        struct in6_addr v6;

        if (!a->is_tcp)
                return false;
        if (streq(a->host, "*"))
                return true;
        if (inet_pton(AF_INET, a->host, &v4) == 1)
                return v4.s_addr == htonl(INADDR_ANY);
        if (inet_pton(AF_INET6, a->host, &v6) == 1)
                return IN6_IS_ADDR_UNSPECIFIED(&v6) ||
                       (IN6_IS_ADDR_V4MAPPED(&v6) && memcmp(v6.s6_addr + 12, "\0\0\0\0", 4) == 0);
        return false;
}

bool address_is_local(const Address *a) {
        struct in_addr v4;
        struct in6_addr v6;

        if (!a->is_tcp || strcasecmp(a->host, "localhost") == 0)
                return true;
        if (inet_pton(AF_INET, a->host, &v4) == 1)
                return ntohl(v4.s_addr) >> 24 == 127;
        if (inet_pton(AF_INET6, a->host, &v6) == 1)
                return IN6_IS_ADDR_LOOPBACK(&v6) ||
                       (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
        return false;
}
