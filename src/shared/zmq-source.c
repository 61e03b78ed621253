/* SPDX-License-Identifier: MIT */

/* ZMQ_FD only says that something changed in the socket, once (it is edge-triggered), and a send may eat
 * that edge. Whoever reads only when the descriptor is ready therefore loses wake-ups. So the descriptor
 * here does nothing but end the wait of the loop; before each wait the prepare callback asks the socket
 * itself (ZMQ_EVENTS), and if there is something to read, arms a one-shot source that reads a bounded number
 * of messages. */

#include <assert.h>
#include <sys/epoll.h>
#include <zmq.h>

#include "time-util.h"
#include "zmq-source.h"

/* Some messages take long to serve; a turn ends after this time, too, and other sources get theirs. */
#define TURN_USEC_MAX (5 * USEC_PER_MSEC)

struct ZmqSource {
        void *socket;
        sd_event_source *io, *ready;
        unsigned budget;
        int error; /* of the socket, to end the loop with */
        bool paused, dispatching, freed;
        ZmqSourceHandler handler;
        void *userdata;
};

static int get_events(void *socket, int *ret) {
        size_t size = sizeof(*ret);

        return zmq_getsockopt(socket, ZMQ_EVENTS, ret, &size) < 0 ? -zmq_errno() : 0;
}

/* Asking for ZMQ_EVENTS also makes the socket handle what its I/O thread has to say, which is what the
 * descriptor is readable for: without that, also while paused, the loop would spin. A failure is left to
 * on_ready(), as sd-event would just switch the source off. */
static int on_prepare(sd_event_source *source, void *userdata) {
        ZmqSource *s = userdata;
        int events = 0, r;

        r = get_events(s->socket, &events);
        if (r < 0 && r != -EINTR)
                s->error = r;
        if (s->error == 0 && (s->paused || !(events & ZMQ_POLLIN)))
                return 0;
        return sd_event_source_set_enabled(s->ready, SD_EVENT_ONESHOT);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        return 0;
}

/* Returns the first failure of the handler, or 0. The handler may pause or free the source. */
static int take_messages(ZmqSource *s) {
        uint64_t begin = now_usec(CLOCK_MONOTONIC);
        int r = 0;

        s->dispatching = true;
        for (unsigned i = 0; i < s->budget && !s->paused && !s->freed; i++) {
                if (i > 0 && now_usec(CLOCK_MONOTONIC) - begin > TURN_USEC_MAX)
                        break;
                r = s->handler(s->socket, s->userdata);
                if (r <= 0)
                        break;
        }
        s->dispatching = false;
        return MIN(r, 0);
}

/* sd-event disables a source whose callback fails; a failure here must end the loop instead. */
static int on_ready(sd_event_source *source, void *userdata) {
        ZmqSource *s = userdata;
        sd_event *event = sd_event_source_get_event(source);
        int r;

        r = s->error < 0 ? s->error : take_messages(s);
        if (s->freed)
                free(s);
        return r < 0 ? sd_event_exit(event, r) : 0;
}

int zmq_source_new(sd_event *event, void *socket, unsigned budget, ZmqSourceHandler handler,
                   void *userdata, ZmqSource **ret) {
        _cleanup_(zmq_source_freep) ZmqSource *s = NULL;
        int fd, r;
        size_t size = sizeof(fd);

        assert(budget > 0);
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->socket = socket;
        s->budget = budget;
        s->handler = handler;
        s->userdata = userdata;

        if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) < 0)
                return -zmq_errno();
        r = sd_event_add_io(event, &s->io, fd, EPOLLIN, on_io, s);
        if (r < 0)
                return r;
        r = sd_event_source_set_prepare(s->io, on_prepare);
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &s->ready, on_ready, s);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(s->ready, SD_EVENT_OFF);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s);
        return 0;
}

int zmq_source_pause(ZmqSource *s) {
        s->paused = true;
        return sd_event_source_set_enabled(s->ready, SD_EVENT_OFF);
}

int zmq_source_resume(ZmqSource *s) {
        s->paused = false;
        return 0; /* the next prepare looks at the socket */
}

ZmqSource *zmq_source_free(ZmqSource *s) {
        if (!s)
                return NULL;
        sd_event_source_disable_unref(s->ready);
        sd_event_source_disable_unref(s->io);
        if (s->dispatching)
                s->freed = true;
        else
                free(s);
        return NULL;
}
