/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdio.h>

#include "log.h"
#include "message-ids.h"
#include "persist.h"
#include "recover.h"
#include "task-history.h"
#include "time-util.h"

#define RESERVE_MAX    (64U * 1024U * 1024U)
#define LOG_EVERY_USEC USEC_PER_MINUTE
#define STANDING_USEC  (30 * USEC_PER_SEC) /* the slowest disk does something in that time */

static TaskState store_state(const Task *t) {
        if (t->state != TASK_PENDING)
                return t->state;
        return task_due(t) > 0 || task_waits_for_tasks(t) ? TASK_SCHEDULED : TASK_QUEUED;
}

static StoreTask store_task(const Task *t) {
        return (StoreTask){
                .sequence = t->sequence,
                .id = t->id,
                .name = t->type->name,
                .priority = t->priority,
                .created_usec = t->created_usec,
                .key = task_key(t),
                .arguments = { (char *) task_arguments(t), t->arguments_size },
                .options = { (char *) task_options(t), t->options_size },
                .state = store_state(t),
                .attempt = t->attempt,
                .crashes = t->crashes,
                .cancel_asked = t->cancel_asked,
                .worker = t->worker ? t->worker->id : NULL,
                .started_usec = t->started_usec,
                .due_usec = task_due(t),
                .expires_usec = task_expires(t),
                .retries = task_retries(t),
                .history = task_history(t),
        };
}

int persist_submit(Controld *c, Task *const tasks[], const bool is_new[], size_t n) {
        _cleanup_free_ StoreTask *batch = NULL;
        size_t n_batch = 0;

        if (c->settings->durability == STORE_NONE)
                return 0;
        batch = reallocarray(NULL, n, sizeof(StoreTask));
        if (!batch)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (is_new[i] && !tasks[i]->in_memory)
                        batch[n_batch++] = store_task(tasks[i]);
        return n_batch > 0 ? store_submit(c->store, batch, n_batch) : 0;
}

int persist_move_schedule(Controld *c, const StoreSchedule *move, Task *const tasks[], size_t n) {
        _cleanup_free_ StoreTask *batch = reallocarray(NULL, n + 1, sizeof(StoreTask));
        size_t n_batch = 0;

        if (!batch)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (!tasks[i]->in_memory)
                        batch[n_batch++] = store_task(tasks[i]);
        return store_move_schedule(c->store, move, batch, n_batch);
}

int persist_end(Controld *c, const Task *t) {
        StoreTask end;

        if (t->in_memory)
                return 0;
        end = store_task(t);
        end.state = t->end_state;
        end.worker = task_last_worker(t);
        end.completed_usec = t->completed_usec;
        end.result = (struct iovec){ (char *) task_result(t), t->result_size };
        end.error = (struct iovec){ (char *) task_error(t), t->error_size };
        return store_update(c->store, &end);
}

static int update(Controld *c, const Task *t) {
        StoreTask task;

        if (t->in_memory)
                return 0;
        task = store_task(t);
        return store_update(c->store, &task);
}

int persist_cancel(Controld *c, const Task *t) {
        return update(c, t);
}

static int note(int r) {
        if (r < 0)
                log_warning_errno(r, "Could not tell the store of a change, going on without: %m");
        return MIN(r, 0);
}

int persist_change(Controld *c, const Task *t) {
        return note(update(c, t));
}

void persist_forget(Controld *c, const Task *t) {
        if (!t->in_memory)
                (void) note(store_forget(c->store, t->sequence));
}

void persist_type(Controld *c, const TaskType *type) {
        (void) note(store_add_type(c->store, type->name));
}

static void on_safe(uint64_t ticket, void *userdata) {
        ledger_settle(userdata, ticket);
}

/* Under a load that is as large as the limit this may change several times a second. */
void persist_no_space(Controld *c) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (c->disk_full_logged ||
            (c->disk_full_logged_usec > 0 && now - c->disk_full_logged_usec < LOG_EVERY_USEC))
                return;
        c->disk_full_logged = true;
        c->disk_full_logged_usec = now;
        log_event(LOG_ERR, -ENOSPC, LOG_FIELDS(.message_id = MESSAGE_STORE_FULL),
                  "No space for new tasks: submits are refused until there is. What is "
                  "queued goes on.");
}

static void on_room(void *userdata) {
        Controld *c = userdata;

        if (!c->disk_full_logged)
                return;
        c->disk_full_logged = false;
        log_notice("There is space for new tasks again.");
}

static void on_refused(uint64_t ticket, int error, void *userdata) {
        persist_no_space(userdata);
        ledger_refuse_submits(userdata, ticket);
}

static void on_failed(int error, const char *reason, void *userdata) {
        Controld *c = userdata;

        log_event(LOG_CRIT, error, LOG_FIELDS(.message_id = MESSAGE_STORE_FAILED),
                  "The store failed, nothing more is acknowledged, ending: %s", reason);
        (void) sd_event_exit(c->event, error);
}

static int store_path(const Controld *c, char **ret) {
        _cleanup_free_ char *directory = NULL;
        int r;

        r = conf_state_directory(c->settings->state_directory, &directory);
        if (r < 0)
                return log_error_errno(r,
                                       "Could not make a state directory (--state-directory): %m");
        if (asprintf(ret, "%s/tasks.sqlite", directory) < 0)
                return log_oom();
        return 0;
}

int persist_open(Controld *c) {
        const StoreCallbacks callbacks = {
                .safe = on_safe,
                .refused = on_refused,
                .has_room = on_room,
                .failed = on_failed,
                .userdata = c,
        };
        StoreConfig config = {
                .durability = (StoreDurability) c->settings->durability,
                .bytes_max = c->settings->max_store_bytes,
                .reserve_bytes = MIN(c->settings->max_store_bytes / 16, RESERVE_MAX),
        };
        _cleanup_free_ char *path = NULL, *error = NULL;
        int r;

        if (config.durability != STORE_NONE) {
                r = store_path(c, &path);
                if (r < 0)
                        return r;
                config.path = path;
        }
        r = store_open(c->event, &config, &callbacks, &c->store, &error);
        if (r < 0)
                return log_event(LOG_ERR, r, LOG_FIELDS(.message_id = MESSAGE_STORE_FAILED),
                                 "Could not open the store: %s", error ?: strerror(-r));
        c->store_moved_usec = now_usec(CLOCK_MONOTONIC);
        return recover(c);
}

void persist_commit(Controld *c) {
        uint64_t ticket;

        if (ledger_is_awaited(&c->ledger))
                (void) store_hurry(c->store); /* else it comes later, but it comes */
        ticket = store_commit(c->store);
        c->committed_ticket = ticket;
        ledger_close(&c->ledger, ticket);
        if (store_safe_ticket(c->store) >= ticket)
                ledger_settle(c, ticket);
}

bool persist_is_moving(Controld *c) {
        uint64_t now = now_usec(CLOCK_MONOTONIC), safe;

        if (!c->store)
                return true;
        safe = store_safe_ticket(c->store);
        if (safe != c->watched_ticket || safe >= c->committed_ticket || store_is_full(c->store)) {
                c->watched_ticket = safe;
                c->store_moved_usec = now;
        }
        return now - c->store_moved_usec < STANDING_USEC;
}
