/* SPDX-License-Identifier: MIT */

#include "turn.h"
#include "dispatch.h"
#include "due.h"
#include "lease.h"
#include "log.h"
#include "message-ids.h"
#include "ops.h"
#include "persist.h"
#include "worker-care.h"

#define SEND_BYTES_MAX (4U * 1024U * 1024U) /* of arguments in one message */

/* Nobody has room for a task of this type. That is daily business if somebody offers it at all. */
static void note_blocked(Controld *c, TaskType *type) {
        if (c->stopping || dispatch_is_offered(type))
                return;
        if (scale_want(c->scale, type))
                return;
        if (type->is_local) {
                local_worker_want(c->local);
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

static int dispatch_priority(Controld *c, TaskPriority p) {
        QueueCursor cursor;
        Task *t;
        int r;

        r = queue_cursor_begin(&cursor, &c->queue, p);
        if (r < 0)
                return r;
        while ((t = queue_cursor_get(&cursor))) {
                Worker *w = dispatch_choose(t->type);

                if (w) {
                        queue_cursor_take(&cursor);
                        lease_grant(c, w, t);
                } else {
                        note_blocked(c, t->type);
                        queue_cursor_skip_type(&cursor);
                }
        }
        queue_cursor_end(&cursor);
        return 0;
}

static void dispatch(Controld *c) {
        c->queue.turn++;
        for (TaskPriority p = 0; p < _PRIORITY_MAX; p++)
                if (dispatch_priority(c, p) < 0) {
                        log_oom(); /* the next turn tries again */
                        return;
                }
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

        persist_commit(c);
        if (!c->stopping && store_safe_ticket(c->store) >= c->lease_ticket)
                dispatch(c);
        while ((w = TAILQ_FIRST(&c->workers.unsent)))
                send_assignments(c, w);
        persist_commit(c); /* what was handed out now */
        op_wait_flush(c);
        /* Half of the room for payload is always left to tasks that have not ended. */
        results_trim(&c->results, &c->tasks, &c->dirty, c->settings->max_total_bytes / 2);
        make_room(c);
        due_arm(c);
}
