/* SPDX-License-Identifier: MIT */

/* RETRY, PURGE and BACKUP: what an administrator does with tasks that have ended, and with the store. */

#include "controld.h"
#include "lease.h"
#include "log.h"
#include "ops.h"
#include "persist.h"
#include "submit-options.h"

static bool may_retry(const Task *t) {
        return t->state == TASK_FAILURE || t->state == TASK_DEAD;
}

/* One that has not ended is queued again already, so that a request that is sent again is answered as it was. */
static bool may_name_for_retry(const Task *t) {
        return may_retry(t) || (!task_state_is_terminal(t->state) && t->state != TASK_PENDING);
}

/* Returns 1 if every task named is there and `fits`, or refuses and returns 0: all or none. */
static int check(Controld *c, const Request *r, bool (*fits)(const Task *t),
                 const char *requirement) {
        const WireMessage *m = &r->message;

        for (size_t i = 0; i < m->n_groups; i++) {
                const struct iovec *g = wire_group(m, i);
                TaskId id = wire_get_task_id(&g[0]);
                Task *t = task_find(&c->tasks, &id);

                if (!t || results_is_expired(&c->results, t))
                        return request_refuse(r, WIRE_ERROR_UNKNOWN_TASK,
                                              "task %.*s is expired or unknown: nothing was done",
                                              (int) g[0].iov_len, (const char *) g[0].iov_base);
                if (!fits(t))
                        return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                              "task %.*s is %s: %s; nothing was done",
                                              (int) g[0].iov_len, (const char *) g[0].iov_base,
                                              task_state_to_string(t->state), requirement);
        }
        return 1;
}

/* Those that would be the second one with their unique key stay as they are. -EEXIST, -ENOMEM: none is marked. */
static int claim_unique_keys(Controld *c, const WireMessage *m) {
        size_t n;
        int k = 0;

        for (n = 0; n < m->n_groups && k >= 0; n++) {
                TaskId id = wire_get_task_id(&wire_group(m, n)[0]);
                Task *t = task_find(&c->tasks, &id);

                if (may_retry(t) && !t->unique) /* it may be named twice */
                        k = submit_options_claim_unique(&c->tasks, t);
        }
        for (; k < 0 && n > 0; n--) {
                TaskId id = wire_get_task_id(&wire_group(m, n - 1)[0]);
                Task *t = task_find(&c->tasks, &id);

                if (may_retry(t))
                        task_drop_unique(&c->tasks, t);
        }
        return k;
}

/* The answer comes when it is safe. */
int op_retry(Controld *c, const Request *r) {
        const WireMessage *m = &r->message;
        LedgerEntry *e;
        int k;

        if (check(c, r, may_name_for_retry,
                  "only those that failed or are dead can be tried again") <= 0)
                return 0;
        if (ledger_add(&c->ledger, LEDGER_DONE, r, 0, &e) < 0)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory: nothing was done");
        k = claim_unique_keys(c, m);
        if (k < 0) {
                ledger_undo(&c->ledger, e);
                return k == -EEXIST ? request_refuse(
                                              r, WIRE_ERROR_EXISTS,
                                              "a task with the unique key of one of these has not "
                                              "ended: nothing was done")
                                    : request_refuse(r, WIRE_ERROR_INTERNAL,
                                                     "out of memory: nothing was done");
        }
        for (size_t i = 0; i < m->n_groups; i++) {
                TaskId id = wire_get_task_id(&wire_group(m, i)[0]);
                Task *t = task_find(&c->tasks, &id);

                if (may_retry(t) && task_retry(c, t) < 0)
                        k = -ENOMEM;
        }
        if (k < 0) /* tried again in this life of the daemon at least; not promised for more */
                ledger_silence(e);
        return 0;
}

static bool may_purge(const Task *t) {
        return task_state_is_terminal(t->state);
}

int op_purge(Controld *c, const Request *r) {
        const WireMessage *m = &r->message;
        LedgerEntry *e;

        if (check(c, r, may_purge, "only those that have ended can be purged") <= 0)
                return 0;
        if (ledger_add(&c->ledger, LEDGER_DONE, r, 0, &e) < 0)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory: nothing was done");
        for (size_t i = 0; i < m->n_groups; i++) {
                TaskId id = wire_get_task_id(&wire_group(m, i)[0]);
                Task *t = task_find(&c->tasks, &id);

                if (t)
                        results_drop(&c->results, &c->tasks, &c->dirty, t);
        }
        return 0;
}

/* The client that asked for the backup that runs. */
static void on_backup(int error, const char *reason, void *userdata) {
        Controld *c = userdata;
        LedgerEntry *e = TAKE_PTR(c->backup);

        if (error < 0)
                log_warning_errno(error, "Backup failed: %s", reason ?: strerror(-error));
        else
                log_info("Backup written.");
        if (e)
                ledger_answer(c, e, error, reason);
}

int op_backup(Controld *c, const Request *r) {
        _cleanup_free_ char *path = wire_get_string(&r->message.fields[0]);
        int k;

        if (!path)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory");
        if (path[0] != '/' || strlen(path) != r->message.fields[0].iov_len)
                return request_refuse(
                        r, WIRE_ERROR_BAD_ARGUMENT,
                        "the file must be named by an absolute path, as the coordinator writes it");
        if (c->backup)
                return request_refuse(r, WIRE_ERROR_QUEUE_FULL,
                                      "a backup is being written: try again later");
        k = ledger_detached(&c->ledger, r, &c->backup);
        if (k >= 0)
                k = store_backup(c->store, path, on_backup, c);
        if (k >= 0)
                return 0;
        if (c->backup)
                c->backup = ledger_drop(c->backup);
        return request_refuse(
                r, WIRE_ERROR_BAD_ARGUMENT, "no backup to %.300s: %s", path,
                k == -EOPNOTSUPP
                        ? "this coordinator keeps its tasks in memory only (Durability=none)"
                : k == -EEXIST ? "the file exists, and is not overwritten"
                               : strerror(-k));
}
