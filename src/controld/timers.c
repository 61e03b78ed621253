/* SPDX-License-Identifier: MIT */

#include <assert.h>

#include "time-util.h"
#include "timers.h"

#define ACCURACY_USEC (5 * USEC_PER_MSEC)

static uint64_t when(const Task *t) {
        bool waits = task_waits_for_time(t) && !task_waits_for_tasks(t);
        uint64_t due = waits ? t->extra->due_usec : USEC_INFINITY,
                 expires = t->extra->expires_usec > 0 ? t->extra->expires_usec : USEC_INFINITY;

        return MIN(due, expires);
}

/* Those of one time in the order in which they came. */
static bool is_before(const Task *a, const Task *b) {
        uint64_t when_a = when(a), when_b = when(b);

        return when_a != when_b ? when_a < when_b : a->sequence < b->sequence;
}

static void put(Timers *t, size_t i, Task *task) {
        t->heap[i] = task;
        task->extra->timer = i + 1;
}

static void sift_up(Timers *t, size_t i) {
        Task *task = t->heap[i];

        for (; i > 0 && is_before(task, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
                put(t, i, t->heap[(i - 1) / 2]);
        put(t, i, task);
}

static void sift_down(Timers *t, size_t i) {
        Task *task = t->heap[i];

        for (;;) {
                size_t child = 2 * i + 1;

                if (child + 1 < t->n && is_before(t->heap[child + 1], t->heap[child]))
                        child++;
                if (child >= t->n || !is_before(t->heap[child], task))
                        break;
                put(t, i, t->heap[child]);
                i = child;
        }
        put(t, i, task);
}

int timers_reserve(Timers *t, size_t n) {
        size_t allocated = MAX(t->allocated, (size_t) 64);
        Task **heap;

        if (n <= t->allocated)
                return 0;
        while (allocated < n)
                allocated *= 2;
        heap = reallocarray(t->heap, allocated, sizeof(*heap));
        if (!heap)
                return -ENOMEM;
        t->heap = heap;
        t->allocated = allocated;
        return 0;
}

void timers_add(Timers *t, Task *task) {
        if (!task->extra || when(task) == USEC_INFINITY)
                return;
        assert(task->extra->timer == 0 && t->n < t->allocated);
        t->heap[t->n] = task;
        sift_up(t, t->n++);
}

void timers_remove(Timers *t, Task *task) {
        size_t i;
        Task *last;

        if (!task->extra || task->extra->timer == 0)
                return;
        i = task->extra->timer - 1;
        task->extra->timer = 0;
        last = t->heap[--t->n];
        if (last == task)
                return;
        t->heap[i] = last;
        sift_down(t, i);
        sift_up(t, last->extra->timer - 1);
}

Task *timers_due(Timers *t, uint64_t now_usec) {
        Task *task = t->n > 0 ? t->heap[0] : NULL;

        if (!task || when(task) > now_usec)
                return NULL;
        timers_remove(t, task);
        return task;
}

int timers_arm(Timers *t) {
        uint64_t first = t->n > 0 ? when(t->heap[0]) : USEC_INFINITY;
        int r;

        if (first == t->armed_usec || !t->source)
                return 0;
        if (first != USEC_INFINITY) {
                r = sd_event_source_set_time(t->source, first);
                if (r < 0)
                        return r;
        }
        r = sd_event_source_set_enabled(t->source,
                                        first == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ON);
        if (r < 0)
                return r;
        t->armed_usec = first;
        return 0;
}

int timers_init(Timers *t, sd_event *event, sd_event_time_handler_t handler, void *userdata) {
        int r;

        *t = (Timers){ .armed_usec = USEC_INFINITY };
        r = sd_event_add_time(event, &t->source, CLOCK_REALTIME, 0, ACCURACY_USEC, handler,
                              userdata);
        return r < 0 ? r : sd_event_source_set_enabled(t->source, SD_EVENT_OFF);
}

void timers_done(Timers *t) {
        (void) sd_event_source_disable_unref(t->source);
        for (size_t i = 0; i < t->n; i++)
                t->heap[i]->extra->timer = 0;
        free(t->heap);
        *t = (Timers){ .armed_usec = USEC_INFINITY };
}
