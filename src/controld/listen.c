/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>

#include "listen-fds.h"
#include "listen.h"
#include "log.h"
#include "parse-util.h"

static Endpoint *find(Controld *c, EndpointRole role, bool is_tcp) {
        for (size_t i = 0; i < c->n_endpoints; i++) {
                Endpoint *e = c->endpoints[i];

                if (endpoint_role(e) == role && endpoint_is_tcp(e) == is_tcp)
                        return e;
        }
        return NULL;
}

static int get_endpoint(Controld *c, EndpointRole role, bool is_tcp, Endpoint **ret) {
        Endpoint *e = find(c, role, is_tcp);
        int r;

        if (!e) {
                r = endpoint_new(c, role, is_tcp, &e);
                if (r < 0)
                        return log_error_errno(r, "Could not make the %s endpoint: %m",
                                               endpoint_role_to_string(role));
                c->endpoints[c->n_endpoints++] = e;
        }
        *ret = e;
        return 0;
}

/* What to do about a bind that failed. */
static const char *remedy(int error) {
        switch (-error) {
        case EADDRINUSE:
                return "; is another coordinator running? Choose another address";
        case EACCES:
                return "; choose a port above 1023, or a directory that may be written to";
        case EADDRNOTAVAIL:
        case ENODEV:
                return "; this host has no such address";
        default:
                return "";
        }
}

static int check_family(int family, int type) {
        _cleanup_close_ int fd = socket(family, type | SOCK_CLOEXEC, 0);

        return fd < 0 && errno == EAFNOSUPPORT ? -errno : 0;
}

/* libzmq aborts the process if it may not make such sockets (RestrictAddressFamilies= of the service); netlink is
 * for the names of interfaces. */
static int check_tcp(const Address *a) {
        int r;

        r = check_family(strchr(a->host, ':') ? AF_INET6 : AF_INET, SOCK_STREAM);
        return r < 0 ? r : check_family(AF_NETLINK, SOCK_RAW);
}

static int bind_address(Controld *c, EndpointRole role, const char *address, const char *setting) {
        Endpoint *e;
        Address a;
        int r;

        r = address_parse(address, &a);
        if (r < 0)
                return log_error_errno(r, "%s: \"%s\" is no address like tcp://127.0.0.1:5555.",
                                       setting, address);
        r = a.is_tcp ? check_tcp(&a) : 0;
        if (r == -EAFNOSUPPORT)
                return log_error_errno(
                        r,
                        "Could not listen on %s (%s): this service may not open TCP sockets itself. Leave "
                        "the setting out and enable fastworker-controld%s-tcp.socket; its ListenStream= is "
                        "the address.",
                        address, setting,
                        role == ENDPOINT_WORKER      ? "-worker"
                        : role == ENDPOINT_DISCOVERY ? "-discovery"
                                                     : "");
        r = get_endpoint(c, role, a.is_tcp, &e);
        if (r < 0)
                return r;
        r = endpoint_bind(e, address, -1);
        if (r < 0)
                return log_error_errno(r, "Could not listen on %s (%s): %m%s.", address, setting,
                                       remedy(r));
        log_debug("Listening on %s for the %s endpoint.", address, endpoint_role_to_string(role));
        return 0;
}

/* Returns how many sockets of this name were taken. */
static int take_passed(Controld *c, ListenFds *fds, EndpointRole role, bool *ret_tcp) {
        const char *name = endpoint_role_to_string(role), *address;
        bool is_tcp;
        Endpoint *e;
        int n, fd, r;

        *ret_tcp = false;
        for (n = 0; listen_fds_get(fds, name, (size_t) n, &fd, &is_tcp, &address) >= 0; n++) {
                r = get_endpoint(c, role, is_tcp, &e);
                if (r < 0)
                        return r;
                r = endpoint_bind(e, address, fd);
                if (r < 0)
                        return log_error_errno(
                                r, "Could not use the socket \"%s\" (%s) that was passed: %m", name,
                                address);
                *ret_tcp = *ret_tcp || is_tcp;
        }
        return n;
}

typedef struct Listener {
        EndpointRole role;
        const char *address, *setting, *key;
} Listener;

static int refuse_both(EndpointRole role, const char *setting) {
        return log_error_errno(
                EINVAL,
                "%s is set, but the service manager passed a TCP socket \"%s\": remove the setting, "
                "or disable the socket unit.",
                setting, endpoint_role_to_string(role));
}

/* An address that was asked for is listened on as well; but it cannot be had twice. */
static int open_role(Controld *c, ListenFds *fds, bool any_passed, const Listener *l) {
        bool is_default = conf_is_default(&controld_conf_table, c->conf, "Control", l->key),
             passed_tcp;
        int n;

        n = take_passed(c, fds, l->role, &passed_tcp);
        if (n < 0)
                return n;
        if (passed_tcp && !is_default)
                return log_error_errno(
                        EINVAL,
                        "%s is set, but the service manager passed a TCP socket \"%s\": remove the "
                        "setting, or disable the socket unit.",
                        l->setting, endpoint_role_to_string(l->role));
        if (any_passed && is_default)
                return 0;
        return bind_address(c, l->role, l->address, l->setting);
}

static int open_subworkers(Controld *c, ListenFds *fds, bool any_passed) {
        bool port_is_set =
                !conf_is_default(&controld_conf_table, c->conf, "Control", "SubworkerPort");
        bool host_is_set =
                !conf_is_default(&controld_conf_table, c->conf, "Control", "BaseAddress");
        _cleanup_free_ char *address = NULL;
        bool passed_tcp;
        int n, r;

        n = take_passed(c, fds, ENDPOINT_WORKER, &passed_tcp);
        if (n < 0)
                return n;
        if (passed_tcp && port_is_set)
                return refuse_both(ENDPOINT_WORKER, "SubworkerPort= (--subworker-port)");
        if (passed_tcp || (any_passed && !port_is_set && !host_is_set))
                return 0;
        r = settings_worker_address(c->settings, &address);
        if (r == -EADDRNOTAVAIL) {
                log_notice(
                        "BaseAddress=%s has no host for SubworkerPort=: subworkers can connect only through "
                        "sockets that the service manager passes.",
                        c->settings->base_address);
                return 0;
        }
        if (r < 0)
                return log_oom();
        return bind_address(c, ENDPOINT_WORKER, address, "SubworkerPort= (--subworker-port)");
}

int listen_open(Controld *c) {
        static const char *const names[] = { "client", "worker", "discovery", NULL };
        const Listener listeners[] = {
                { ENDPOINT_CLIENT, c->settings->base_address, "BaseAddress= (--base-address)",
                  "BaseAddress" },
                { ENDPOINT_DISCOVERY, c->settings->discovery_address,
                  "DiscoveryAddress= (--discovery-address)", "DiscoveryAddress" },
        };
        _cleanup_(listen_fds_freep) ListenFds *fds = NULL;
        bool any_passed, is_tcp;
        const char *address;
        int fd, r;

        r = listen_fds_new(names, &fds);
        if (r < 0)
                return log_error_errno(
                        r, "Could not take the sockets that the service manager passed: %m");
        any_passed = false;
        for (size_t i = 0; names[i]; i++)
                any_passed =
                        any_passed || listen_fds_get(fds, names[i], 0, &fd, &is_tcp, &address) >= 0;

        for (size_t i = 0; i < ELEMENTSOF(listeners); i++) {
                r = open_role(c, fds, any_passed, &listeners[i]);
                if (r < 0)
                        return r;
        }
        r = open_subworkers(c, fds, any_passed);
        if (r < 0)
                return r;
        if (c->settings->local_socket)
                return bind_address(c, ENDPOINT_CLIENT, c->settings->local_socket,
                                    "LocalSocket= (--local-socket)");
        return 0;
}

int listen_open_private(Controld *c, char **ret) {
        _cleanup_free_ char *address = NULL;
        Endpoint *e;
        int r;

        r = conf_runtime_directory(c->settings->runtime_directory, &c->runtime_directory);
        if (r < 0)
                return log_error_errno(
                        r, "Could not make a runtime directory (--runtime-directory): %m");
        if (asprintf(&address, "ipc://%s/local-%" PRIu64 ".sock", c->runtime_directory,
                     (uint64_t) getpid()) < 0)
                return log_oom();
        r = get_endpoint(c, ENDPOINT_WORKER, false, &e);
        if (r < 0)
                return r;
        r = endpoint_bind_private(e, address);
        if (r < 0)
                return log_error_errno(r, "Could not listen on %s (--runtime-directory): %m",
                                       address);
        *ret = TAKE_PTR(address);
        return 0;
}
