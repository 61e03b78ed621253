/* SPDX-License-Identifier: MIT */

#include "turn.h"
#include "dispatch.h"
#include "due.h"
#include "lease.h"
#include "log.h"
#include "message-ids.h"
#include "ops.h"
#include "parse-util.h"
#include "persist.h"
#include "time-util.h"
#include "worker-care.h"

#define SEND_BYTES_MAX      (4U * 1024U * 1024U) /* of arguments in one message */
#define TOKEN_ACCURACY_USEC USEC_PER_MSEC
#define EXPIRED_MAX         2000U /* in one turn */

/* Nobody who offers the type has the labels. To wake others helps only if nobody at all offers it: the instances of a
 * host have the same labels. */
static void note_labels(Controld *c, Lane *lane) {
        if (lane->type->labels_wait_logged || c->grace_until_usec > 0)
                return;
        lane->type->labels_wait_logged = true;
        log_event(LOG_NOTICE, 0,
                  LOG_FIELDS(.message_id = MESSAGE_TASK_WAITS_FOR_TYPE,
                             .task_name = lane->type->name),
                  "Tasks \"%s\" wait: no active subworker that offers them has the labels %s.",
                  lane->type->name, lane->labels_text);
}

/* Whether the local worker, if it ran, could do them. */
static bool is_for_local(const Controld *c, const Lane *lane) {
        STRV_FOREACH(label, lane->labels)
                if (!strv_contains(c->settings->labels, *label))
                        return false;
        STRV_FOREACH(label, lane->type->limits.labels)
                if (!strv_contains(c->settings->labels, *label))
                        return false;
        return lane->type->is_local;
}

/* Nobody has room for a task of this type. That is daily business if somebody offers it at all. */
static void note_blocked(Controld *c, Lane *lane) {
        TaskType *type = lane->type;

        if (c->stopping || dispatch_lane_is_offered(lane))
                return;
        if (!dispatch_is_offered(type) && scale_want(c->scale, type))
                return;
        if (is_for_local(c, lane)) {
                local_worker_want(c->local);
                return;
        }
        if (lane->labels) {
                note_labels(c, lane);
                return;
        }
        /* Just after the start they are on their way. */
        if (type->wait_logged || c->grace_until_usec > 0)
                return;
        type->wait_logged = true;
        log_event(LOG_NOTICE, 0,
                  LOG_FIELDS(.message_id = MESSAGE_TASK_WAITS_FOR_TYPE, .task_name = type->name),
                  "Tasks \"%s\" wait: no active subworker offers them at present.", type->name);
}

/* Its time was over before it came here, or while it waited for the disk: the timer has not fired yet. */
static bool is_over(const Task *t) {
        return task_expires(t) > 0 && task_expires(t) <= now_usec(CLOCK_REALTIME);
}

typedef struct Turn {
        uint64_t now_usec; /* CLOCK_MONOTONIC */
        unsigned n_expired;
} Turn;

/* More than this the timer does, in turns to come. */
static bool may_expire(Turn *turn) {
        return turn->n_expired++ < EXPIRED_MAX;
}

/* Gives the cursor's task to somebody, or passes over those for which the same would hold. */
static void dispatch_one(Controld *c, QueueCursor *cursor, Task *t, Turn *turn) {
        Lane *lane = task_lane(t);
        uint64_t next = USEC_INFINITY;
        Worker *w;

        if (t->extra && is_over(t)) {
                if (!may_expire(turn) || due_expire(c, t) < 0)
                        queue_cursor_skip_type(cursor); /* the timer tries again */
                return;
        }
        if (dispatch_limit(t->type, turn->now_usec, &next) != DISPATCH_FREE) {
                c->next_token_usec = MIN(c->next_token_usec, next);
                queue_cursor_skip_type(cursor);
                return;
        }
        w = dispatch_choose(lane);
        if (w) {
                bucket_take(&t->type->bucket, turn->now_usec);
                queue_cursor_take(cursor);
                lease_grant(c, w, t);
                return;
        }
        note_blocked(c, lane);
        /* Where nobody has room for a task without labels, the more so for those with; but for the local worker, which counts
         * only where no other has the labels. */
        if (lane->labels || lane->type->is_local)
                queue_cursor_skip_lane(cursor);
        else
                queue_cursor_skip_type(cursor);
}

static int dispatch_priority(Controld *c, TaskPriority p, Turn *turn) {
        QueueCursor cursor;
        Task *t;
        int r;

        r = queue_cursor_begin(&cursor, &c->queue, p);
        if (r < 0)
                return r;
        while ((t = queue_cursor_get(&cursor)))
                dispatch_one(c, &cursor, t, turn);
        queue_cursor_end(&cursor);
        return 0;
}

static void dispatch(Controld *c) {
        Turn turn = { .now_usec = now_usec(CLOCK_MONOTONIC) };

        c->queue.turn++;
        c->queue.ageing_usec = c->settings->ageing_usec;
        if (c->queue.ageing_usec > 0)
                c->queue.now_usec = now_usec(CLOCK_REALTIME);
        c->next_token_usec = USEC_INFINITY;
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                if (dispatch_priority(c, p, &turn) < 0) {
                        log_oom(); /* the next turn tries again */
                        return;
                }
}

/* That the loop wakes up is enough. */
static int on_token(sd_event_source *s, uint64_t usec, void *userdata) {
        return 0;
}

/* The earliest moment at which a rate lets a task go that waits for nothing else. Nobody wakes up while there is none. */
static void arm_token(Controld *c) {
        int r = 0;

        if (!c->token) {
                if (c->next_token_usec == USEC_INFINITY)
                        return;
                r = sd_event_add_time(c->event, &c->token, CLOCK_MONOTONIC, c->next_token_usec,
                                      TOKEN_ACCURACY_USEC, on_token, c);
        } else if (c->next_token_usec == USEC_INFINITY)
                (void) sd_event_source_set_enabled(c->token, SD_EVENT_OFF);
        else {
                (void) sd_event_source_set_time(c->token, c->next_token_usec);
                r = sd_event_source_set_enabled(c->token, SD_EVENT_ONESHOT);
        }
        if (r < 0)
                log_warning_errno(r, "Could not arm the timer of rate limits, trying again: %m");
}

static Task *first_unsent(const Worker *w) {
        Task *t = TAILQ_LAST(&w->leases, TaskList);

        for (uint32_t i = 1; i < w->n_unsent; i++)
                t = TAILQ_PREV(t, TaskList, link);
        return t;
}

/* Sends as many as fit into one message, from *t on, and moves *t behind them. */
static int send_some(Controld *c, Worker *w, Task **t, uint32_t *ret_sent) {
        size_t bytes = 0;
        uint32_t n = 0;
        int r;

        wire_begin(&c->out, WIRE_TASKS, NULL);
        while (*t && n < WIRE_BATCH_MAX && bytes < SEND_BYTES_MAX) {
                wire_put_task_id(&c->out, &(*t)->id);
                wire_put_number(&c->out, (*t)->attempt);
                wire_put_string(&c->out, (*t)->type->name);
                wire_put(&c->out, task_arguments(*t), (*t)->arguments_size);
                wire_put(&c->out, task_options(*t), (*t)->options_size);
                bytes += (*t)->arguments_size;
                n++;
                *t = TAILQ_NEXT(*t, link);
        }
        r = w->peer ? peer_send(w->peer, &c->out) : -EHOSTUNREACH;
        if (r < 0)
                return r;
        *ret_sent = n;
        return 0;
}

static void send_assignments(Controld *c, Worker *w) {
        Task *t = first_unsent(w), *previous;
        uint32_t unsent = w->n_unsent, n = 0;
        int r = 0;

        TAILQ_REMOVE(&c->workers.unsent, w, unsent);
        w->n_unsent = 0;
        while (unsent > 0) {
                r = send_some(c, w, &t, &n);
                if (r < 0)
                        break;
                unsent -= n;
        }
        if (r >= 0)
                return;

        /* The worker never saw the rest: it goes back, the youngest first. */
        for (t = TAILQ_LAST(&w->leases, TaskList); unsent > 0; t = previous, unsent--) {
                previous = TAILQ_PREV(t, TaskList, link);
                lease_return(c, t);
        }
        if (r == -EHOSTUNREACH)
                worker_lost_connection(w);
        else {
                log_debug_errno(r, "Could not send tasks to subworker %s, trying again soon: %m",
                                w->id);
                w->is_stalled = true;
        }
}

/* Results leave early when there is little room in the store, a few at a time: how much room they gave shows when it
 * is safe that they left. */
static void make_room(Controld *c) {
        uint64_t lacking = store_lacking_bytes(c->store);

        if (lacking == 0 || store_safe_ticket(c->store) < c->made_room_ticket)
                return;
        if (results_make_room(&c->results, &c->tasks, &c->dirty, lacking) == 0)
                return;
        persist_commit(c);
        c->made_room_ticket = store_commit(c->store); /* that of the batch just closed */
}

void turn_end(Controld *c) {
        Worker *w;

        dependency_run(c); /* first, that what an end causes is in one batch with it */
        persist_commit(c);
        dependency_run(c); /* what is safe by now may have more tasks queued */
        persist_commit(c);
        if (!c->stopping && store_safe_ticket(c->store) >= c->lease_ticket) {
                dispatch(c);
                arm_token(c);
        }
        while ((w = TAILQ_FIRST(&c->workers.unsent)))
                send_assignments(c, w);
        persist_commit(c); /* what was handed out now */
        op_wait_flush(c);
        /* Half of the room for payload is always left to tasks that have not ended. */
        results_trim(&c->results, &c->tasks, &c->dirty, c->settings->max_total_bytes / 2);
        make_room(c);
        due_arm(c);
}
