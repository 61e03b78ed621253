/* SPDX-License-Identifier: MIT */

/* The client object: settings and error texts. */

#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "client-internal.h"
#include "parse-util.h"
#include "time-util.h"

#define TIMEOUT_USEC_DEFAULT (30 * USEC_PER_SEC)
#define RETRIES_DEFAULT      3
#define RETRIES_MAX          100

uint64_t usec_later(uint64_t a, uint64_t b) {
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}

int client_fail(fastworker_client *c, int error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(c->error, sizeof(c->error), format, ap);
        va_end(ap);
        c->error_code[0] = '\0';
        return -error;
}

static int errno_of_code(WireError code) {
        switch (code) {
        case WIRE_ERROR_BAD_MESSAGE:
                return EBADMSG;
        case WIRE_ERROR_UNSUPPORTED_VERSION:
                return EPROTONOSUPPORT;
        case WIRE_ERROR_UNKNOWN_VERB:
                return EOPNOTSUPP;
        case WIRE_ERROR_BAD_ARGUMENT:
                return EINVAL;
        case WIRE_ERROR_TOO_LARGE:
                return EMSGSIZE;
        case WIRE_ERROR_UNKNOWN_TASK_TYPE:
                return ENXIO;
        case WIRE_ERROR_UNKNOWN_TASK:
        case WIRE_ERROR_UNKNOWN_SCHEDULE:
                return ENOENT;
        case WIRE_ERROR_QUEUE_FULL:
                return ENOBUFS;
        case WIRE_ERROR_EXISTS:
                return EEXIST;
        case WIRE_ERROR_NO_SPACE:
                return ENOSPC;
        case WIRE_ERROR_DENIED:
                return EACCES;
        default:
                return EREMOTEIO;
        }
}

int client_refused(fastworker_client *c, const struct iovec *code, const struct iovec *text) {
        int error = errno_of_code(wire_get_error(code));
        size_t n = MIN(code->iov_len, sizeof(c->error_code) - 1);

        if (text->iov_len > 0)
                client_fail(c, error, "%.*s", (int) text->iov_len, (const char *) text->iov_base);
        else
                client_fail(c, error, "The coordinator refused: %.*s.", (int) n,
                            (const char *) code->iov_base);
        memcpy(c->error_code, code->iov_base, n);
        c->error_code[n] = '\0';
        return -error;
}

/* --- settings --- */

static int set_text(fastworker_client *c, char **where, const char *text) {
        Address address;
        char *copy = NULL;

        if (c->is_started)
                return client_fail(c, EISCONN, "The client is connected already.");
        if (text) {
                if (address_parse(text, &address) < 0)
                        return client_fail(
                                c, EINVAL,
                                "\"%s\" is not an address: tcp://HOST:PORT or ipc:///PATH.", text);
                copy = strdup(text);
                if (!copy)
                        return client_fail(c, ENOMEM, "Out of memory.");
        }
        free(*where);
        *where = copy;
        return 0;
}

_public_ int fastworker_client_set_address(fastworker_client *c, const char *address) {
        return set_text(c, &c->address, address);
}

_public_ int fastworker_client_set_discovery_address(fastworker_client *c, const char *address) {
        return set_text(c, &c->discovery_address, address);
}

_public_ int fastworker_client_set_timeout(fastworker_client *c, uint64_t usec) {
        if (usec < USEC_PER_MSEC)
                return client_fail(c, EINVAL, "A timeout must be at least 1 ms.");
        c->timeout_usec = usec;
        return 0;
}

_public_ int fastworker_client_set_retries(fastworker_client *c, unsigned n) {
        if (n > RETRIES_MAX)
                return client_fail(c, EINVAL, "At most %d retries, not %u.", RETRIES_MAX, n);
        c->retries = (int) n;
        return 0;
}

int client_load_settings(fastworker_client *c) {
        const char *timeout = getenv("FASTWORKER_TIMEOUT"), *retries = getenv("FASTWORKER_RETRIES");
        uint64_t n = RETRIES_DEFAULT;

        if (c->timeout_usec == 0) {
                c->timeout_usec = TIMEOUT_USEC_DEFAULT;
                if (!isempty(timeout) &&
                    parse_usec(timeout, USEC_PER_MSEC, USEC_INFINITY, &c->timeout_usec) < 0)
                        return client_fail(
                                c, EINVAL,
                                "FASTWORKER_TIMEOUT=%s is not a time of 1 ms or more, such as 30 or 500ms.",
                                timeout);
        }
        if (c->retries < 0) {
                if (!isempty(retries) && parse_uint(retries, 0, RETRIES_MAX, &n) < 0)
                        return client_fail(c, EINVAL,
                                           "FASTWORKER_RETRIES=%s is not a number from 0 to %d.",
                                           retries, RETRIES_MAX);
                c->retries = (int) n;
        }
        return 0;
}

_public_ int fastworker_client_start(fastworker_client *c) {
        int r;

        if (c->is_started)
                return client_fail(c, EISCONN, "The client is connected already.");
        r = client_load_settings(c);
        if (r < 0)
                return r;
        r = link_start(c);
        if (r < 0)
                return r;
        c->is_started = true;
        return 0;
}

_public_ int fastworker_client_connect(fastworker_client *c) {
        uint64_t deadline;
        int r;

        r = fastworker_client_start(c);
        if (r < 0)
                return r;

        deadline = usec_later(now_usec(CLOCK_MONOTONIC), c->timeout_usec);
        while (!c->is_greeted) {
                r = client_run_until(c, deadline);
                if (r < 0)
                        return r;
                if (c->greeting_error < 0)
                        return c->greeting_error;
                if (!c->is_greeted && now_usec(CLOCK_MONOTONIC) >= deadline)
                        return client_fail(c, ETIMEDOUT, "No coordinator answers at %s%s.",
                                           c->place.is_discovery && !c->peer_address
                                                   ? "the discovery address "
                                                   : "",
                                           c->peer_address ? c->peer_address : c->place.address);
        }
        return 0;
}

_public_ int fastworker_client_is_connected(const fastworker_client *c) {
        return c->is_greeted;
}

_public_ const char *fastworker_client_get_address(const fastworker_client *c) {
        return c->peer_address;
}

_public_ const char *fastworker_client_get_server(const fastworker_client *c) {
        return c->server;
}

_public_ const char *fastworker_client_get_error(const fastworker_client *c) {
        return c->error;
}

_public_ const char *fastworker_client_get_error_code(const fastworker_client *c) {
        return c->error_code;
}

_public_ int fastworker_client_get_fd(fastworker_client *c) {
        return c->epoll_fd;
}

_public_ size_t fastworker_client_get_pending(const fastworker_client *c) {
        return c->n_pending;
}

_public_ int fastworker_on_result(fastworker_client *c, fastworker_result_handler handler,
                                  void *userdata) {
        c->result_handler = handler;
        c->result_userdata = userdata;
        return 0;
}

_public_ int fastworker_on_accepted(fastworker_client *c, fastworker_accepted_handler handler,
                                    void *userdata) {
        c->accepted_handler = handler;
        c->accepted_userdata = userdata;
        return 0;
}

_public_ fastworker_client *fastworker_client_free(fastworker_client *c) {
        if (!c)
                return NULL;

        link_close(c);
        if (c->context)
                (void) zmq_ctx_term(c->context);
        safe_close(c->epoll_fd);
        requests_done(c);
        awaits_done(c);
        frames_done(&c->in);
        wire_out_done(&c->out);
        result_done(&c->current);
        place_done(&c->place);
        free(c->address);
        free(c->discovery_address);
        free(c->peer_address);
        free(c->server);
        free(c);
        return NULL;
}

_public_ int fastworker_client_new(fastworker_client **ret) {
        fastworker_client *c = calloc(1, sizeof(*c));
        int r = -ENOMEM;

        if (!c)
                return r;
        c->epoll_fd = -EBADF;
        c->retries = -1;
        c->max_payload_bytes = WIRE_PAYLOAD_MAX;
        c->greeting_due_usec = c->relocate_usec = c->requests_due_usec = c->resubscribe_usec =
                USEC_INFINITY;
        result_clear(&c->current);

        c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (c->epoll_fd < 0) {
                r = -errno;
                goto fail;
        }
        c->context = zmq_ctx_new();
        if (!c->context)
                goto fail;
        *ret = c;
        return 0;
fail:
        fastworker_client_free(c);
        return r;
}
