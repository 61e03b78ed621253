/* SPDX-License-Identifier: MIT */

#include "dispatch.h"

/* One that is stalled, or whose connection has just broken, will go on soon. */
static bool is_in_service(const Worker *w) {
        return w->state == WORKER_ACTIVE;
}

static bool is_available(const Worker *w) {
        return is_in_service(w) && w->peer && w->lost_usec == 0 && !w->is_stalled;
}

bool dispatch_is_offered(const TaskType *type) {
        for (size_t i = 0; i < type->n_workers; i++)
                if (!type->workers[i]->local && is_in_service(type->workers[i]))
                        return true;
        return false;
}

static bool has_labels(const Worker *w, const Lane *lane) {
        return worker_has_labels(w, lane->labels) &&
               worker_has_labels(w, lane->type->limits.labels);
}

bool dispatch_lane_is_offered(const Lane *lane) {
        const TaskType *type = lane->type;

        for (size_t i = 0; i < type->n_workers; i++)
                if (!type->workers[i]->local && is_in_service(type->workers[i]) &&
                    has_labels(type->workers[i], lane))
                        return true;
        return false;
}

DispatchLimit dispatch_limit(TaskType *type, uint64_t now_usec, uint64_t *ret_usec) {
        if (type->is_paused)
                return DISPATCH_PAUSED;
        if (type->limits.concurrency > 0 && type->n_leased >= type->limits.concurrency)
                return DISPATCH_CONCURRENCY;
        if (bucket_has_token(&type->bucket, now_usec))
                return DISPATCH_FREE;
        *ret_usec = bucket_next_usec(&type->bucket, now_usec);
        return DISPATCH_RATE;
}

/* Load is leased tasks a slot; compared as fractions, without dividing. */
static bool is_better(const Worker *a, const Worker *b) {
        uint64_t load_a = (uint64_t) a->n_leased * b->slots,
                 load_b = (uint64_t) b->n_leased * a->slots;

        if (load_a != load_b)
                return load_a < load_b;
        return a->last_assigned < b->last_assigned;
}

Worker *dispatch_choose(const Lane *lane) {
        const TaskType *type = lane->type;
        Worker *best = NULL, *local = NULL;
        bool offered = false, needs_labels = lane->labels || type->limits.labels;

        for (size_t i = 0; i < type->n_workers; i++) {
                Worker *w = type->workers[i];

                if (needs_labels && !has_labels(w, lane))
                        continue;
                if (!w->local)
                        offered = offered || is_in_service(w);
                if (!is_available(w) || w->n_leased >= w->capacity)
                        continue;
                if (w->local)
                        local = w;
                else if (!best || is_better(w, best))
                        best = w;
        }
        return offered ? best : local;
}
