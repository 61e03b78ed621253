/* SPDX-License-Identifier: MIT */

/* The loop: turns for programs with a loop of their own, runs for those without, and the waiting of the
 * blocking functions. */

#include <sys/epoll.h>

#include "client-internal.h"
#include "time-util.h"

#define MESSAGES_A_TURN 1000

int client_may_block(fastworker_client *c) {
        if (c->in_handler)
                return client_fail(c, EBUSY, "A handler must not call a function that waits.");
        if (!c->is_started)
                return client_fail(c, ENOTCONN, "The client is not connected yet.");
        return 0;
}

static bool monitor_is_ready(fastworker_client *c, int timeout_msec, int *ret_error) {
        struct epoll_event events[2];
        int n = epoll_wait(c->epoll_fd, events, ELEMENTSOF(events), timeout_msec);

        *ret_error = n < 0 ? -errno : 0;
        for (int i = 0; i < n; i++)
                if (events[i].data.ptr == c->monitor)
                        return true;
        return false;
}

static int check_due(fastworker_client *c) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        int r, did;

        did = link_check_due(c, now);
        if (did < 0)
                return did;
        if (now >= c->resubscribe_usec) {
                c->next_unsubscribed = c->awaits;
                c->resubscribe_usec = USEC_INFINITY;
        }
        r = requests_check_due(c, now);
        return r < 0 ? r : did || r;
}

/* 1: something was sent. */
static int flush(fastworker_client *c) {
        int r, did;

        did = requests_flush(c);
        if (did < 0)
                return did;
        r = awaits_flush(c);
        return r < 0 ? r : did || r;
}

/* Reads until there is nothing, which says that the descriptor will tell of all that comes from now on;
 * unless a send follows, or this stops before: is_dirty. Returns 1 if something was read. */
static int receive_all(fastworker_client *c) {
        int r, did = 0;

        c->is_dirty = true;
        for (unsigned i = 0; i < MESSAGES_A_TURN; i++) {
                if (c->waiting && c->waiting->done)
                        return did;
                r = client_receive(c);
                if (r < 0)
                        return r;
                if (r == 0) {
                        c->is_dirty = false;
                        return did;
                }
                did = 1;
        }
        return did;
}

/* One turn: what came, what is due, what is to be sent. Sending comes first so that an answer can be on its
 * way meanwhile, and last for what handlers and timers have made. */
static int turn(fastworker_client *c, bool monitor_ready) {
        int r, did = 0;

        if (monitor_ready || c->monitor_is_unread) {
                did = link_read_monitor(c);
                if (did < 0)
                        return did;
        }
        r = flush(c);
        if (r < 0)
                return r;
        did = did || r;
        r = receive_all(c);
        if (r < 0)
                return r;
        did = did || r;
        r = check_due(c);
        if (r < 0)
                return r;
        did = did || r;
        r = flush(c);
        if (r < 0)
                return r;
        if (r > 0)
                c->is_dirty = true;
        return did || r;
}

_public_ int fastworker_client_process(fastworker_client *c) {
        bool ready;
        int r;

        r = client_may_block(c);
        if (r < 0)
                return r;
        ready = monitor_is_ready(c, 0, &r);
        if (r < 0 && r != -EINTR)
                return client_fail(c, -r, "Cannot poll the connection: %s", strerror(-r));
        return turn(c, ready);
}

_public_ int fastworker_client_get_timeout(fastworker_client *c, uint64_t *ret_usec) {
        if (c->is_dirty)
                *ret_usec = 0;
        else
                *ret_usec = MIN(link_due(c), MIN(c->requests_due_usec, c->resubscribe_usec));
        return 0;
}

/* Waits for something to happen until then. */
static int wait_until(fastworker_client *c, uint64_t deadline_usec, bool *ret_monitor_ready) {
        uint64_t until, now = now_usec(CLOCK_MONOTONIC);
        int r;

        (void) fastworker_client_get_timeout(c, &until);
        until = MIN(until, deadline_usec);
        if (until != USEC_INFINITY)
                until = until > now ? until - now : 0;
        *ret_monitor_ready = monitor_is_ready(c, usec_to_poll_msec(until), &r);
        if (r == -EINTR)
                return client_fail(c, EINTR, "Interrupted by a signal.");
        return r < 0 ? client_fail(c, -r, "Cannot wait for the connection: %s", strerror(-r)) : 0;
}

static bool is_over(uint64_t deadline_usec) {
        return deadline_usec != USEC_INFINITY && now_usec(CLOCK_MONOTONIC) >= deadline_usec;
}

int client_run_until(fastworker_client *c, uint64_t deadline_usec) {
        bool monitor_ready = false;
        int r;

        do {
                r = turn(c, monitor_ready);
                if (r != 0)
                        return r;
                r = wait_until(c, deadline_usec, &monitor_ready);
                if (r < 0)
                        return r;
                r = turn(c, monitor_ready);
                if (r != 0)
                        return r;
        } while (!is_over(deadline_usec));
        return 0;
}

_public_ int fastworker_client_run(fastworker_client *c, uint64_t timeout_usec) {
        int r;

        r = client_may_block(c);
        if (r < 0)
                return r;
        return client_run_until(c, usec_later(now_usec(CLOCK_MONOTONIC), timeout_usec));
}

int client_block(fastworker_client *c, Reply *reply, uint64_t deadline_usec) {
        bool monitor_ready = false;
        int r;

        c->waiting = reply;
        do {
                r = turn(c, monitor_ready);
                if (r >= 0 && !reply->done) {
                        if (is_over(deadline_usec))
                                r = client_fail(c, ETIMEDOUT,
                                                "The task has not ended yet; it goes on.");
                        else
                                r = wait_until(c, deadline_usec, &monitor_ready);
                }
        } while (r >= 0 && !reply->done);
        c->waiting = NULL;
        if (r >= 0)
                return reply->error;
        if (reply->done && reply->error >= 0)
                return 0; /* it came before something else went wrong */
        client_abandon(c, reply);
        return r;
}

void client_abandon(fastworker_client *c, Reply *reply) {
        Request *q = request_find(c, reply->number);

        if (q && q->reply == reply)
                request_free(c, q);
        if (reply->wants_result)
                (void) await_remove(c, &reply->task_id, reply);
        reply->result = fastworker_result_free(reply->result);
        free(reply->json);
        reply->json = NULL;
}
