/* SPDX-License-Identifier: MIT */

/* CANCEL: a waiting task ends at once; for a running one its worker is asked, and the answer says so. */

#include "controld.h"
#include "lease.h"
#include "log.h"
#include "ops.h"
#include "persist.h"

static int reply_finished(Controld *c, const Request *r, const Task *t) {
        wire_begin(&c->out, WIRE_CANCELLED, &r->message.correlation);
        wire_put_task_id(&c->out, &t->id);
        wire_put_string(&c->out, wire_cancel_to_string(WIRE_CANCEL_FINISHED));
        wire_put_string(&c->out, task_state_to_string(t->state));
        return request_reply(r);
}

/* If this is not delivered the lease ends with its worker, and the task is cancelled then. */
static void ask_worker(Controld *c, const Task *t) {
        if (!t->worker->peer)
                return;
        wire_begin(&c->out, WIRE_REVOKE, NULL);
        wire_put_task_id(&c->out, &t->id);
        wire_put_number(&c->out, t->attempt);
        (void) peer_send(t->worker->peer, &c->out);
}

/* The answer waits until the end is safe. */
static int cancel_waiting(Controld *c, const Request *r, Task *t) {
        const char *text = t->state == TASK_RETRYING ? "cancelled before its next attempt"
                                                     : "cancelled before it began";
        const TaskEnd end = { .state = TASK_CANCELLED, .error = { (char *) text, strlen(text) } };
        bool is_own = !t->is_ending;
        LedgerEntry *e;
        int k;

        k = ledger_add(&c->ledger, LEDGER_CANCEL, r, 1, &e);
        if (k < 0)
                return k;
        k = is_own ? task_end(c, t, &end) : 0;
        if (k < 0) {
                ledger_undo(&c->ledger, e);
                return k;
        }
        ledger_note(e, t, is_own);
        return 0;
}

/* The answer waits until the wish is safe: if the worker is lost then, the task ends all the same. */
static int stop_running(Controld *c, const Request *r, Task *t) {
        bool is_new = !t->cancel_asked;
        LedgerEntry *e;
        int k;

        k = ledger_add(&c->ledger, LEDGER_STOP, r, 1, &e);
        if (k < 0)
                return k;
        t->cancel_asked = true;
        k = is_new ? persist_cancel(c, t) : 0;
        if (k < 0) {
                t->cancel_asked = false;
                ledger_undo(&c->ledger, e);
                return k;
        }
        ledger_note(e, t, true);
        ask_worker(c, t);
        return 0;
}

int op_cancel(Controld *c, const Request *r) {
        TaskId id = wire_get_task_id(&r->message.fields[0]);
        Task *t = task_find(&c->tasks, &id);

        if (!t || (task_state_is_terminal(t->state) && !results_access(&c->results, t)))
                return request_refuse(r, WIRE_ERROR_UNKNOWN_TASK,
                                      "this task is expired or unknown");
        if (task_state_is_terminal(t->state))
                return reply_finished(c, r, t);
        if ((t->worker ? stop_running : cancel_waiting)(c, r, t) < 0) {
                log_oom();
                return request_refuse(r, WIRE_ERROR_INTERNAL,
                                      "out of memory: the task was not cancelled");
        }
        return 0;
}
