/* SPDX-License-Identifier: MIT */

/* Where the coordinator is: addresses that somebody gave, the local socket, discovery. */

#include <grp.h>
#include <json-c/json.h>
#include <sys/stat.h>

#include "client-internal.h"
#include "json-util.h"
#include "parse-util.h"

#define LOCAL_SOCKET      "/run/fastworker/control.sock"
#define DISCOVERY_ADDRESS "tcp://127.0.0.1:5550"
#define IPC               "ipc://"

void place_done(Place *p) {
        free(p->address);
        *p = (Place){};
}

static int set_place(fastworker_client *c, const char *address, bool is_discovery, bool is_guess,
                     Place *ret) {
        char *copy = strdup(address);

        if (!copy)
                return client_fail(c, ENOMEM, "Out of memory.");
        *ret = (Place){ copy, is_discovery, is_guess };
        return 0;
}

/* Nobody can connect to "any address"; whoever listens there also listens on loopback. */
static int replace_wildcard(fastworker_client *c, Address *a, const char *host) {
        if (!address_is_wildcard(a))
                return 0;
        if (isempty(host))
                host = strchr(a->host, ':') ? "::1" : "127.0.0.1";
        if (strlen(host) >= sizeof(a->host))
                return client_fail(c, ENAMETOOLONG, "The host name %s is too long.", host);
        strcpy(a->host, host);
        return 0;
}

/* An address from the environment: checked, and made one to connect to. */
static int place_from_variable(fastworker_client *c, const char *variable, const char *text,
                               bool is_discovery, bool is_guess, Place *ret) {
        _cleanup_free_ char *usable = NULL;
        Address a;
        int r;

        if (address_parse(text, &a) < 0 || (a.is_tcp && a.port == 0))
                return client_fail(c, EINVAL,
                                   "%s=%s is not an address: tcp://HOST:PORT or ipc:///PATH.",
                                   variable, text);
        r = replace_wildcard(c, &a, NULL);
        if (r < 0)
                return r;
        usable = address_to_string(&a);
        if (!usable)
                return client_fail(c, ENOMEM, "Out of memory.");
        return set_place(c, usable, is_discovery, is_guess, ret);
}

/* The path of the local socket if it is there, else NULL. */
static const char *local_socket(struct stat *ret) {
        const char *path = getenv("FASTWORKER_LOCAL_SOCKET");

        if (!path)
                path = LOCAL_SOCKET;
        if (strncmp(path, IPC, strlen(IPC)) == 0)
                path += strlen(IPC);
        return path[0] == '/' && stat(path, ret) >= 0 && S_ISSOCK(ret->st_mode) ? path : NULL;
}

static bool may_connect(const char *path) {
        return access(path, R_OK | W_OK) >= 0;
}

/* The path in the address of a unix socket that is there, but that we may not use; else NULL. */
static const char *denied_path(const char *address, struct stat *ret) {
        const char *path = address + strlen(IPC);

        if (strncmp(address, IPC "/", strlen(IPC "/")) != 0)
                return NULL;
        if (stat(path, ret) < 0) /* a directory above it may be closed to us */
                return errno == EACCES ? path : NULL;
        return S_ISSOCK(ret->st_mode) && !may_connect(path) ? path : NULL;
}

/* Of the address that somebody gave, else of the local socket. */
static const char *denied_place(const fastworker_client *c, struct stat *ret) {
        const char *address = c->address             ? c->address
                              : c->discovery_address ? c->discovery_address
                                                     : getenv("FASTWORKER_BASE_ADDRESS"),
                   *path;

        *ret = (struct stat){};
        if (!isempty(address))
                return denied_path(address, ret);
        path = local_socket(ret);
        return path && !may_connect(path) ? path : NULL;
}

bool locate_is_denied(const fastworker_client *c) {
        struct stat st;

        return denied_place(c, &st);
}

static int fail_denied(fastworker_client *c, const char *path, const struct stat *st) {
        static const mode_t for_group = S_IRGRP | S_IWGRP;
        char buffer[4096];
        struct group group, *g = NULL;

        if ((st->st_mode & for_group) != for_group ||
            getgrgid_r(st->st_gid, &group, buffer, sizeof(buffer), &g) != 0 || !g)
                return client_fail(c, EACCES, "Permission denied: you may not connect to %s.",
                                   path);
        return client_fail(
                c, EACCES,
                "Permission denied: %s is for members of group %s. An administrator can add "
                "you with \"usermod -aG %s USER\"; it counts from the next login.",
                path, g->gr_name, g->gr_name);
}

int locate_fail_denied(fastworker_client *c) {
        const char *path;
        struct stat st;

        path = denied_place(c, &st);
        return path ? fail_denied(c, path, &st) : client_fail(c, EACCES, "Permission denied.");
}

int locate_check_address(fastworker_client *c, const char *address) {
        struct stat st = {};
        const char *path = denied_path(address, &st);

        return path ? fail_denied(c, path, &st) : 0;
}

const char *locate_discovery_address(const fastworker_client *c) {
        const char *variable = getenv("FASTWORKER_DISCOVERY_ADDRESS");

        if (c->discovery_address)
                return c->discovery_address;
        return isempty(variable) ? DISCOVERY_ADDRESS : variable;
}

int locate(fastworker_client *c, unsigned n, Place *ret) {
        const char *base = getenv("FASTWORKER_BASE_ADDRESS"), *path;
        struct stat st;

        if (c->address)
                return set_place(c, c->address, false, false, ret);
        if (c->discovery_address)
                return set_place(c, c->discovery_address, true, false, ret);
        if (!isempty(base))
                return place_from_variable(c, "FASTWORKER_BASE_ADDRESS", base, false, false, ret);

        path = n % 2 == 0 ? local_socket(&st) : NULL;
        if (path && may_connect(path)) {
                char address[sizeof(IPC) + 108];

                if (strlen(path) < 108) {
                        strcpy(stpcpy(address, IPC), path);
                        return set_place(c, address, false, true, ret);
                }
        }
        return place_from_variable(c, "FASTWORKER_DISCOVERY_ADDRESS", locate_discovery_address(c),
                                   true, true, ret);
}

static bool version_fits(struct json_object *o) {
        struct json_object *range;

        if (json_get_array(o, "protocol", &range) <= 0 || json_object_array_length(range) != 2)
                return false;
        return json_object_get_int64(json_object_array_get_idx(range, 0)) <= WIRE_VERSION &&
               json_object_get_int64(json_object_array_get_idx(range, 1)) >= WIRE_VERSION;
}

/* The best of the announced endpoints: the same transport as asked over, else a local socket that is there,
 * else TCP. */
static int best_endpoint(struct json_object *endpoints, bool asked_over_tcp, Address *ret) {
        int best = 0;

        for (size_t i = 0; i < json_object_array_length(endpoints); i++) {
                const char *text = json_object_get_string(json_object_array_get_idx(endpoints, i));
                Address a;
                int rank;

                if (!text || address_parse(text, &a) < 0 || (a.is_tcp && a.port == 0))
                        continue;
                if (!a.is_tcp && access(a.path, R_OK | W_OK) < 0)
                        continue;
                rank = a.is_tcp == asked_over_tcp ? 3 : a.is_tcp ? 1 : 2;
                if (rank > best) {
                        best = rank;
                        *ret = a;
                }
        }
        return best > 0 ? 0 : -ENOENT;
}

int locate_choose(fastworker_client *c, const char *asked, const struct iovec *info, char **ret) {
        _cleanup_json_ struct json_object *o = NULL;
        struct json_object *endpoints;
        Address from, a;
        const char *why;
        int r;

        if (json_parse_object(info->iov_base, info->iov_len, &o, &why) < 0)
                return client_fail(c, EBADMSG,
                                   "The answer from the discovery address %s is not JSON: %s",
                                   asked, why);
        if (!version_fits(o))
                return client_fail(
                        c, EPROTONOSUPPORT,
                        "The coordinator announced at %s does not speak protocol version %d.",
                        asked, WIRE_VERSION);
        if (address_parse(asked, &from) < 0 || json_get_array(o, "client", &endpoints) <= 0 ||
            best_endpoint(endpoints, from.is_tcp, &a) < 0)
                return client_fail(
                        c, EADDRNOTAVAIL,
                        "The coordinator announced at %s has no endpoint that we can use.", asked);

        r = replace_wildcard(c, &a, from.is_tcp ? from.host : NULL);
        if (r < 0)
                return r;
        *ret = address_to_string(&a);
        return *ret ? 0 : client_fail(c, ENOMEM, "Out of memory.");
}
