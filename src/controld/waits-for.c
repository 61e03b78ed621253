/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "dispatch.h"
#include "parse-util.h"
#include "time-util.h"
#include "waits-for.h"

static bool _printf_(2, 3) say(char ret[static WAITS_FOR_MAX], const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(ret, WAITS_FOR_MAX, format, ap);
        va_end(ap);
        return true;
}

static bool say_labels(const Lane *lane, char ret[static WAITS_FOR_MAX]) {
        _cleanup_strv_ char **labels = NULL;
        _cleanup_free_ char *text = NULL;

        if (labels_add(&labels, lane->type->limits.labels) >= 0 &&
            labels_add(&labels, lane->labels) >= 0)
                text = strv_join(labels, ", ");
        return say(ret, "labels: no active subworker that offers \"%s\" has %s", lane->type->name,
                   text ?: "them");
}

static bool say_limit(const Controld *c, TaskType *type, char ret[static WAITS_FOR_MAX]) {
        char rate[RATE_TEXT_MAX];
        uint64_t unused;

        switch (dispatch_limit(type, now_usec(CLOCK_MONOTONIC), &unused)) {
        case DISPATCH_PAUSED:
                return say(ret, "type paused: \"%s\" is to be resumed", type->name);
        case DISPATCH_CONCURRENCY:
                return say(ret, "concurrency limit: %" PRIu32 " of \"%s\" at once",
                           type->limits.concurrency, type->name);
        case DISPATCH_RATE:
                return say(ret, "rate limit: %s of \"%s\"", rate_to_text(&type->limits.rate, rate),
                           type->name);
        case DISPATCH_FREE:
                break;
        }
        return false;
}

bool waits_for(const Controld *c, const Task *t, char ret[static WAITS_FOR_MAX]) {
        const Strand *s = task_strand(t);

        if (t->state != TASK_QUEUED)
                return dependency_describe(t, ret, WAITS_FOR_MAX);
        if (c->queue.is_paused[t->priority])
                return say(ret, "priority paused: %s is to be resumed",
                           task_priority_to_string(t->priority));
        if (strand_is_parked(s))
                return say(ret, "concurrency limit: %" PRIu64 " with the key \"%.*s\" at once",
                           s->id.max, (int) s->id.key->size, s->id.key->text);
        if (say_limit(c, t->type, ret))
                return true;
        if (!dispatch_is_offered(t->type))
                return say(ret, "an active subworker that offers \"%s\"", t->type->name);
        return !dispatch_lane_is_offered(s->lane) && say_labels(s->lane, ret);
}
