/* SPDX-License-Identifier: MIT */

#include <signal.h>
#include <unistd.h>

#include "soft-timeout.h"
#include "time-util.h"

/* Told in <fastworker/task.h>; one that programs and libraries do not use for something else. */
#define SOFT_SIGNAL (SIGRTMIN + 3)

/* It comes again: a system call that begins right after the first one would not see it. */
#define AGAIN_SEC 1

static void on_signal(int sig) {}

/* Without SA_RESTART: that it interrupts is what it is for. A module may have set it to something else. */
static void catch_signal(void) {
        const struct sigaction action = { .sa_handler = on_signal };

        (void) sigaction(SOFT_SIGNAL, &action, NULL);
}

static bool make_timer(SoftTimeout *t) {
        struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SOFT_SIGNAL };

        if (t->has_timer)
                return true;
        event._sigev_un._tid = gettid();
        t->has_timer = timer_create(CLOCK_MONOTONIC, &event, &t->timer) >= 0;
        return t->has_timer;
}

void soft_timeout_begin(SoftTimeout *t, uint64_t usec) {
        const struct itimerspec when = {
                .it_value = { .tv_sec = (time_t) (usec / USEC_PER_SEC),
                              .tv_nsec = (long) (usec % USEC_PER_SEC) * 1000 },
                .it_interval.tv_sec = AGAIN_SEC,
        };
        uint64_t now;

        t->usec = usec;
        if (usec == 0)
                return;
        now = now_usec(CLOCK_MONOTONIC);
        t->due_usec = now + MIN(usec, USEC_INFINITY - now);
        catch_signal();
        if (make_timer(t))
                (void) timer_settime(t->timer, 0, &when, NULL);
}

void soft_timeout_end(SoftTimeout *t) {
        static const struct itimerspec never;

        if (t->usec == 0)
                return;
        t->usec = 0;
        if (t->has_timer)
                (void) timer_settime(t->timer, 0, &never, NULL);
}

bool soft_timeout_is_over(const SoftTimeout *t) {
        return t->usec > 0 && now_usec(CLOCK_MONOTONIC) >= t->due_usec;
}

void soft_timeout_done(SoftTimeout *t) {
        if (t->has_timer)
                (void) timer_delete(t->timer);
        *t = (SoftTimeout){};
}
