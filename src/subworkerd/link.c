/* SPDX-License-Identifier: MIT */

/* One socket at a time: first one that asks where the worker endpoint is (unless that is known), then the one
 * to the worker endpoint. A socket is never replaced from within one of its own callbacks, which go on to use
 * it; start_over() leaves that to the timer. */

#include <stdio.h>

#include "json-util.h"
#include "link.h"
#include "locate.h"
#include "log.h"
#include "message-ids.h"
#include "socket-monitor.h"
#include "time-util.h"
#include "zmq-source.h"
#include "zmq-util.h"

#define ASK_USEC       USEC_PER_SEC        /* how often the worker endpoint is asked for */
#define CONNECT_USEC   (5 * USEC_PER_SEC)  /* to connect to what was found; then we ask again */
#define ANSWER_USEC    (10 * USEC_PER_SEC) /* to answer REGISTER */
#define REFUSED_USEC   (2 * USEC_PER_SEC)  /* until REGISTER is tried again */
#define ROOM_USEC      (20 * USEC_PER_MSEC)
#define HEARTBEAT_USEC (10 * USEC_PER_SEC) /* until controld says otherwise */
#define SILENCE_USEC   (30 * USEC_PER_SEC)
#define BUDGET         64U
#define HIGH_WATER     10000
#define LEASE_MARGIN   6U /* our leases end for us by this part earlier than for controld */
#define FRAME_MAX      (WIRE_PAYLOAD_MAX + 1024U * 1024U)

struct Link {
        sd_event *event;
        void *context;
        LinkConfig config;
        const LinkHandlers *handlers;
        void *userdata;

        LinkState state;
        bool reopen, is_connected, heartbeat_pending;
        void *socket;
        SocketMonitor *monitor;
        ZmqSource *source;
        Frames frames;
        WireOut out;

        char *found; /* the worker endpoint */
        uint64_t heartbeat_usec, silence_usec, max_result_bytes;
        uint64_t heartbeat_sent;
        uint64_t confirmed; /* controld has heard us then; 0: never, or our leases are over */
        uint64_t state_since, heard, next_heartbeat;
        uint64_t ask_again; /* next DISCOVER or REGISTER; USEC_INFINITY: none */
        sd_event_source *timer;
        uint64_t timer_usec;

        bool is_outdated; /* what we registered with has changed before the answer came */
        bool on_demand;   /* controld said so when it was registered last */
        bool was_up, told_waiting, told_lost;
        unsigned told_codes; /* bits by WireError */
};

static const char *const link_state_table[_LINK_STATE_MAX] = {
        [LINK_SEARCHING] = "searching",
        [LINK_CONNECTING] = "connecting",
        [LINK_REGISTERING] = "registering",
        [LINK_UP] = "up",
};

DEFINE_STRING_TABLE(link_state, LinkState);

LinkState link_state(const Link *l) {
        return l->state;
}

const char *link_address(const Link *l) {
        if (l->found)
                return l->found;
        return l->config.control_plane_address ? l->config.control_plane_address
                                               : l->config.discovery_address;
}

uint64_t link_max_result_bytes(const Link *l) {
        return l->max_result_bytes;
}

bool link_is_on_demand(const Link *l) {
        return l->state == LINK_UP && !l->reopen && l->on_demand;
}

static const LogFields *fields(const Link *l, const char *message_id, LogFields *ret) {
        *ret = (LogFields){ .message_id = message_id, .worker_id = l->config.worker_id };
        return ret;
}

/* --- time ----------------------------------------------------------------------------------------- */

static void arm(Link *l, uint64_t usec) {
        l->timer_usec = usec;
        (void) sd_event_source_set_time(l->timer, usec);
        (void) sd_event_source_set_enabled(l->timer,
                                           usec == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* When something is to be done if nothing comes. */
static uint64_t next_step(const Link *l) {
        if (l->reopen)
                return 0;
        switch (l->state) {
        case LINK_CONNECTING:
                return l->config.direct ? USEC_INFINITY : l->state_since + CONNECT_USEC;
        case LINK_REGISTERING:
                return MIN(l->ask_again, l->state_since + ANSWER_USEC);
        case LINK_UP:
                return MIN(l->next_heartbeat, l->confirmed + l->silence_usec);
        default:
                return l->ask_again;
        }
}

static uint64_t leases_end(const Link *l) {
        return l->confirmed > 0 && l->state != LINK_UP ? l->confirmed + l->silence_usec
                                                       : USEC_INFINITY;
}

static uint64_t next_need(const Link *l) {
        return MIN(next_step(l), leases_end(l));
}

bool link_is_healthy(const Link *l) {
        return l->timer_usec == USEC_INFINITY ||
               now_usec(CLOCK_MONOTONIC) < l->timer_usec + SILENCE_USEC;
}

static void set_state(Link *l, LinkState state) {
        bool was_up = l->state == LINK_UP;

        l->state = state;
        l->state_since = now_usec(CLOCK_MONOTONIC);
        l->ask_again = USEC_INFINITY;
        if (was_up)
                l->handlers->down(l->userdata);
}

/* Starts over, soon. */
static void start_over(Link *l) {
        l->reopen = true;
        set_state(l, l->config.direct ? LINK_CONNECTING : LINK_SEARCHING);
        arm(l, 0);
}

static void lose(Link *l, const char *why) {
        LogFields f;

        if (!l->told_lost)
                log_event(LOG_WARNING, 0, fields(l, MESSAGE_LINK_LOST, &f),
                          "Lost the control plane at %s (%s), looking for it.", link_address(l),
                          why);
        l->told_lost = true;
        start_over(l);
}

/* --- requests ------------------------------------------------------------------------------------- */

/* Only to who is there: nothing may wait in the socket for a connection that comes later. (ZMQ_IMMEDIATE would
 * see to that, but with it libzmq 4.3.4 can abort when a connection breaks within a message.) */
static int send_now(Link *l, const WireOut *out) {
        return l->is_connected ? wire_send(l->socket, NULL, out) : -EAGAIN;
}

static void ask_where(Link *l) {
        static const struct iovec correlation = { (char *) "where", 5 };
        LogFields f;

        /* With nobody connected this is not sent; the next connection asks at once. */
        wire_begin(&l->out, WIRE_DISCOVER, &correlation);
        (void) send_now(l, &l->out);
        l->ask_again = now_usec(CLOCK_MONOTONIC) + ASK_USEC;

        if (l->ask_again - l->state_since < 2 * ASK_USEC || l->told_waiting || l->told_lost)
                return;
        log_event(LOG_NOTICE, 0, fields(l, NULL, &f),
                  "No answer from the control plane at %s yet, waiting.", link_address(l));
        l->told_waiting = true;
}

static int send_description(Link *l) {
        static const struct iovec correlation = { (char *) "register", 8 };

        wire_begin(&l->out, WIRE_REGISTER, &correlation);
        l->handlers->describe(&l->out, l->userdata);
        return send_now(l, &l->out);
}

static void send_register(Link *l) {
        int r;

        if (l->state != LINK_REGISTERING)
                set_state(l, LINK_REGISTERING);
        l->is_outdated = false;
        r = send_description(l);
        l->ask_again = USEC_INFINITY;
        if (r == -EAGAIN) /* the connection is made, but not ours to use yet */
                l->ask_again = now_usec(CLOCK_MONOTONIC) + ROOM_USEC;
        else if (r < 0) {
                log_error_errno(r, "Cannot register with the control plane: %m");
                l->ask_again = now_usec(CLOCK_MONOTONIC) + REFUSED_USEC;
        }
        arm(l, next_need(l));
}

static const struct iovec heartbeat = { (char *) "alive", 5 };

static void send_heartbeat(Link *l) {
        uint64_t now;

        wire_begin(&l->out, WIRE_HEARTBEAT, &heartbeat);
        wire_put_number(&l->out, l->handlers->n_running(l->userdata));
        (void) send_now(l, &l->out);
        now = now_usec(CLOCK_MONOTONIC);
        if (!l->heartbeat_pending) /* an answer that comes may be that to the first one */
                l->heartbeat_sent = now;
        l->heartbeat_pending = true;
        l->next_heartbeat = now + l->heartbeat_usec;
}

int link_send(Link *l, const WireOut *out) {
        if (l->state != LINK_UP || l->reopen)
                return -ENOTCONN;
        return send_now(l, out);
}

/* Over the same connection, so that what is under way stays as it is. If there is no room for the message,
 * the connection is of no use anyway. */
void link_register_again(Link *l) {
        l->is_outdated = l->state == LINK_REGISTERING;
        if (l->state == LINK_UP && !l->reopen && send_description(l) < 0)
                lose(l, "it takes no more messages");
}

void link_linger(Link *l, unsigned msec) {
        if (l->socket)
                (void) zsocket_set_int(l->socket, ZMQ_LINGER, (int) msec);
}

/* --- answers -------------------------------------------------------------------------------------- */

static void on_where(Link *l, const WireMessage *m) {
        const char *asked = l->config.control_plane_address;
        char *address;
        int r;

        r = locate_worker_address(m->fields[0].iov_base, m->fields[0].iov_len,
                                  asked ? asked : l->config.discovery_address, &address);
        if (r < 0) {
                if (!(l->told_codes & 1U << _WIRE_ERROR_MAX))
                        log_error_errno(r, "%s does not say where subworkers connect: %m",
                                        link_address(l));
                l->told_codes |= 1U << _WIRE_ERROR_MAX;
                return;
        }
        free(l->found);
        l->found = address;
        l->reopen = true;
        set_state(l, LINK_CONNECTING);
        arm(l, 0);
}

static void read_terms(Link *l, const struct iovec *info) {
        _cleanup_json_ struct json_object *o = NULL;
        const char *name = NULL;
        LogFields f;

        l->heartbeat_usec = HEARTBEAT_USEC;
        l->silence_usec = SILENCE_USEC;
        l->max_result_bytes = 0;
        l->on_demand = false;
        if (json_parse_object(info->iov_base, info->iov_len, &o, NULL) < 0)
                return;
        (void) json_get_uint(o, "heartbeat_usec", 10 * USEC_PER_MSEC, 3600 * USEC_PER_SEC,
                             &l->heartbeat_usec);
        (void) json_get_uint(o, "lease_usec", 30 * USEC_PER_MSEC, 24 * 3600 * USEC_PER_SEC,
                             &l->silence_usec);
        l->silence_usec -= l->silence_usec / LEASE_MARGIN;
        (void) json_get_uint(o, "max_result_bytes", 0, UINT64_MAX, &l->max_result_bytes);
        (void) json_get_bool(o, "on_demand", &l->on_demand);
        (void) json_get_string(o, "worker_id", &name);

        log_event(l->config.direct || (l->was_up && !l->told_lost) ? LOG_DEBUG : LOG_NOTICE, 0,
                  fields(l, MESSAGE_LINK_UP, &f), "Registered with the control plane%s%s at %s.",
                  name ? " " : "", name ? name : "", link_address(l));
}

static void on_registered(Link *l, const WireMessage *m) {
        read_terms(l, &m->fields[0]);
        l->was_up = true;
        l->told_lost = l->told_waiting = false;
        l->told_codes = 0;
        if (l->state != LINK_UP)
                set_state(l, LINK_UP);
        l->confirmed = l->heard;
        l->heartbeat_pending = false;
        l->next_heartbeat = now_usec(CLOCK_MONOTONIC) + l->heartbeat_usec;
        arm(l, next_need(l));
        l->handlers->up(m, l->userdata);
        if (l->is_outdated)
                link_register_again(l);
}

/* Each kind of refusal is said once between two registrations. */
static void log_refusal(Link *l, WireError code, const struct iovec *code_text, const char *text) {
        unsigned bit = 1U << ((int) code < 0 ? WIRE_ERROR_INTERNAL : code);
        LogFields f;

        log_event(l->told_codes & bit ? LOG_DEBUG : LOG_WARNING, 0, fields(l, NULL, &f),
                  "The control plane at %s answers %.*s: %s", link_address(l),
                  (int) code_text->iov_len, (const char *) code_text->iov_base, text);
        l->told_codes |= bit;
}

static void on_error(Link *l, const WireMessage *m) {
        _cleanup_free_ char *text = wire_get_string(&m->fields[1]);
        WireError code = wire_get_error(&m->fields[0]);

        if (l->state == LINK_UP && code == WIRE_ERROR_NOT_REGISTERED) {
                send_register(l);
                return;
        }
        log_refusal(l, code, &m->fields[0], text ? text : "");
        if (l->state == LINK_REGISTERING) {
                l->ask_again = now_usec(CLOCK_MONOTONIC) + REFUSED_USEC;
                l->state_since = now_usec(CLOCK_MONOTONIC); /* it did answer */
                arm(l, next_need(l));
        } else if (l->state == LINK_UP)
                l->handlers->refused(&m->correlation, code, text ? text : "", l->userdata);
}

static void confirm(Link *l) {
        if (l->heartbeat_pending)
                l->confirmed = l->heartbeat_sent;
        l->heartbeat_pending = false;
}

static void dispatch(Link *l, const WireMessage *m) {
        bool up = l->state == LINK_UP;

        switch (m->verb) {
        case WIRE_INFO:
                if (l->state == LINK_SEARCHING)
                        on_where(l, m);
                break;
        case WIRE_REGISTERED:
                if (l->state == LINK_REGISTERING || up)
                        on_registered(l, m);
                break;
        case WIRE_ERROR:
                on_error(l, m);
                break;
        case WIRE_TASKS:
                if (up)
                        l->handlers->tasks(m, l->userdata);
                break;
        case WIRE_REVOKE:
                if (up)
                        l->handlers->revoke(m, l->userdata);
                break;
        case WIRE_ACK:
                /* What counts is when that was said which controld has heard. */
                if (up && m->correlation.iov_len == heartbeat.iov_len &&
                    memcmp(m->correlation.iov_base, heartbeat.iov_base, heartbeat.iov_len) == 0)
                        confirm(l);
                else if (up)
                        l->handlers->acknowledged(&m->correlation, l->userdata);
                break;
        default:
                break; /* PING: to have heard it is enough */
        }
}

static int on_message(void *socket, void *userdata) {
        Link *l = userdata;
        WireRefusal refusal;
        WireMessage m;
        int r;

        r = frames_recv(&l->frames, socket);
        if (r == -EAGAIN || r == -EINTR)
                return 0;
        if (r == -ENOMEM)
                return log_oom();
        if (r < 0 && r != -EMSGSIZE)
                return log_error_errno(r, "Cannot receive from the control plane: %m");
        if (l->reopen)
                return 1;

        l->heard = now_usec(CLOCK_MONOTONIC);
        r = wire_decode(l->frames.iov, l->frames.n, WIRE_CONTROLD_TO_WORKER, &m, &refusal);
        if (r < 0) {
                log_debug("Passing over a message of the control plane: %s", refusal.text);
                return 1;
        }
        dispatch(l, &m);
        return 1;
}

static void on_connection(SocketEvent event, int error, const char *peer, void *userdata) {
        Link *l = userdata;

        if (l->reopen)
                return;
        switch (event) {
        case SOCKET_CONNECTED:
                l->is_connected = true;
                l->heard = now_usec(CLOCK_MONOTONIC);
                if (l->state == LINK_SEARCHING) {
                        ask_where(l);
                        arm(l, next_need(l));
                } else
                        send_register(l);
                break;
        case SOCKET_DISCONNECTED:
                l->is_connected = false;
                if (l->state == LINK_UP || l->state == LINK_REGISTERING)
                        lose(l, "the connection has ended");
                break;
        default:
                break; /* libzmq tries again */
        }
}

/* --- the socket ----------------------------------------------------------------------------------- */

static void close_socket(Link *l) {
        l->is_connected = false;
        l->source = zmq_source_free(l->source);
        l->monitor = socket_monitor_free(l->monitor);
        l->socket = zsocket_close(l->socket);
}

static int connect_to(Link *l, const char *address) {
        return address ? zsocket_connect(l->socket, address) : 0;
}

static int open_socket(Link *l) {
        static const SocketLimits limits = { .max_frame_bytes = FRAME_MAX,
                                             .high_water_messages = HIGH_WATER };
        int r;

        close_socket(l);
        r = zsocket_new(l->context, ZMQ_DEALER, &limits, &l->socket);
        if (r < 0)
                return r;
        r = socket_monitor_new(l->event, l->context, l->socket, on_connection, l, &l->monitor);
        if (r < 0)
                return r;
        r = zmq_source_new(l->event, l->socket, BUDGET, on_message, l, &l->source);
        if (r < 0)
                return r;

        if (l->state == LINK_CONNECTING)
                return connect_to(l, link_address(l));
        r = connect_to(l, l->config.control_plane_address);
        return r < 0 ? r : connect_to(l, l->config.discovery_address);
}

static int reopen(Link *l) {
        int r;

        l->reopen = false;
        l->state_since = now_usec(CLOCK_MONOTONIC);
        if (l->state == LINK_SEARCHING) {
                free(l->found);
                l->found = NULL;
                l->ask_again = l->state_since + ASK_USEC;
        }
        r = open_socket(l);
        if (r < 0)
                return log_error_errno(r, "Cannot connect to the control plane at %s: %m",
                                       link_address(l));
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Link *l = userdata;
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        int r = 0;

        if (now >= leases_end(l)) {
                l->confirmed = 0;
                l->handlers->expired(l->userdata);
        }
        if (l->reopen)
                r = reopen(l);
        else if (l->state == LINK_SEARCHING && now >= l->ask_again)
                ask_where(l);
        else if (l->state == LINK_CONNECTING && now >= l->state_since + CONNECT_USEC)
                start_over(l);
        else if (l->state == LINK_REGISTERING && now >= l->state_since + ANSWER_USEC)
                lose(l, "no answer to the registration");
        else if (l->state == LINK_REGISTERING && now >= l->ask_again)
                send_register(l);
        else if (l->state == LINK_UP && now >= l->confirmed + l->silence_usec)
                lose(l, "nothing heard for too long");
        else if (l->state == LINK_UP && now >= l->next_heartbeat)
                send_heartbeat(l);
        if (r < 0)
                return sd_event_exit(l->event, r);
        arm(l, next_need(l));
        return 0;
}

int link_start(Link *l) {
        int r;

        set_state(l, l->config.direct ? LINK_CONNECTING : LINK_SEARCHING);
        r = reopen(l);
        arm(l, next_need(l));
        return r;
}

int link_new(sd_event *event, void *context, const LinkConfig *config, const LinkHandlers *handlers,
             void *userdata, Link **ret) {
        _cleanup_(link_freep) Link *l = NULL;
        int r;

        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->event = sd_event_ref(event);
        l->context = context;
        l->config = *config;
        l->handlers = handlers;
        l->userdata = userdata;
        l->timer_usec = USEC_INFINITY;
        r = sd_event_add_time(event, &l->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_timer, l);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

Link *link_free(Link *l) {
        if (!l)
                return NULL;
        close_socket(l);
        frames_done(&l->frames);
        wire_out_done(&l->out);
        sd_event_source_disable_unref(l->timer);
        sd_event_unref(l->event);
        free(l->found);
        free(l);
        return NULL;
}
