/* SPDX-License-Identifier: MIT */

/* The way of tasks between the link, the pool and the outbox. */

#include <inttypes.h>
#include <stdio.h>

#include "json-util.h"
#include "log.h"
#include "message-ids.h"
#include "parse-util.h"
#include "subworkerd.h"
#include "time-util.h"

#define ROOM_USEC (20 * USEC_PER_MSEC) /* until the socket is tried again that had no room */

static void log_task(const Subworkerd *s, const Job *job, const char *what) {
        char id[TASK_ID_TEXT_LENGTH + 1];

        if (!log_is_shown(LOG_DEBUG))
                return;
        task_id_to_text(&job->key.id, id);
        log_event(LOG_DEBUG, 0,
                  LOG_FIELDS(.task_id = id, .task_name = type_name(job->type),
                             .worker_id = s->settings->worker_id),
                  "Task %s (%s, attempt %" PRIu64 "): %s", type_name(job->type), id,
                  job->key.attempt, what);
}

/* --- from controld -------------------------------------------------------------------------------- */

static JobKey get_key(const struct iovec *group) {
        return (JobKey){ wire_get_task_id(&group[0]), wire_get_number(&group[1]) };
}

static int take_task(Subworkerd *s, const struct iovec *g) {
        TaskType *type = type_table_find(s->types, g[2].iov_base, g[2].iov_len);
        JobKey key = get_key(g);
        Job *job;
        int r;

        r = job_table_add(s->jobs, &key, type, g[3].iov_base, g[3].iov_len, &job);
        if (r == -EEXIST) {
                log_debug("A task was sent that is here already, ignoring.");
                return 0;
        }
        if (r >= 0)
                r = job_set_options(job, g[4].iov_base, g[4].iov_len);
        if (r < 0)
                return r;
        if (!type || !type_is_offered(type)) {
                job->release_reason = "this worker does not offer the task";
                outbox_released(s->outbox, job);
                return 0;
        }
        log_task(s, job, "arrived");
        pool_add(s->pool, job);
        return 0;
}

/* A lease that controld believes to be here but is not would be lost for ever. */
static void on_tasks(const WireMessage *m, void *userdata) {
        Subworkerd *s = userdata;
        int r;

        for (size_t i = 0; i < m->n_groups; i++) {
                r = take_task(s, wire_group(m, i));
                if (r < 0) {
                        log_error_errno(r, "Cannot take a task, giving up: %m");
                        (void) sd_event_exit(s->event, r);
                        return;
                }
        }
        pool_pump(s->pool);
}

static bool is_released(const Job *job) {
        return job->release_reason;
}

static bool is_in_pool(const Job *job) {
        return !is_released(job) && (job->state == JOB_WAITING || job->state == JOB_PIPED);
}

static void on_revoke(const WireMessage *m, void *userdata) {
        Subworkerd *s = userdata;

        for (size_t i = 0; i < m->n_groups; i++) {
                JobKey key = get_key(wire_group(m, i));
                Job *job = job_table_find(s->jobs, &key);

                if (!job || !is_in_pool(job))
                        continue;
                log_task(s, job, "to be stopped");
                pool_cancel(s->pool, job);
        }
        pool_pump(s->pool);
}

static void on_acknowledged(const struct iovec *correlation, void *userdata) {
        Subworkerd *s = userdata;

        outbox_acknowledged(s->outbox, correlation);
        drain_acknowledged(s, correlation);
}

static void on_refused(const struct iovec *correlation, WireError code, const char *text,
                       void *userdata) {
        Subworkerd *s = userdata;

        outbox_refused(s->outbox, correlation, code, text);
        drain_acknowledged(s, correlation);
}

/* --- registration --------------------------------------------------------------------------------- */

/* What a type's options are is for controld to know; but they must be an object. */
static int add_type_options(const Subworkerd *s, struct json_object *o, const TaskType *t) {
        const char *text = type_options(t), *error = "out of memory";
        struct json_object *options = NULL;
        int r;

        if (isempty(text))
                return 0;
        r = json_parse_object(text, strlen(text), &options, &error);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                log_event(
                        LOG_WARNING, 0,
                        LOG_FIELDS(.task_name = type_name(t), .worker_id = s->settings->worker_id),
                        "The options of task %s are no JSON object, ignoring them: %s",
                        type_name(t), error);
                return 0;
        }
        return json_add(o, "options", options);
}

static int add_types(const Subworkerd *s, struct json_object *o) {
        struct json_object *list = json_object_new_array();
        int r;

        r = json_add(o, "types", list);
        for (const TaskType *t = type_table_next(s->types, NULL); t && r >= 0;
             t = type_table_next(s->types, t)) {
                _cleanup_json_ struct json_object *type = json_object_new_object();

                if (!type)
                        return -ENOMEM;
                r = json_add_string(type, "name", type_name(t));
                if (r >= 0)
                        r = json_add_string(type, "description", type_description(t));
                if (r >= 0)
                        r = add_type_options(s, type, t);
                if (r >= 0 && json_object_array_add(list, type) < 0)
                        r = -ENOMEM;
                if (r >= 0)
                        type = NULL; /* the list has it */
        }
        return r;
}

static int add_labels(const Subworkerd *s, struct json_object *o) {
        struct json_object *list;
        int r;

        if (strv_length(s->settings->labels) == 0)
                return 0;
        list = json_object_new_array();
        r = json_add(o, "labels", list);
        STRV_FOREACH(label, s->settings->labels)
                if (r >= 0 && json_object_array_add(list, json_object_new_string(*label)) < 0)
                        r = -ENOMEM;
        return r;
}

static int put_info(const Subworkerd *s, WireOut *out, struct json_object *o) {
        const char *text;
        size_t size;
        int r;

        r = json_add_string(o, "address", s->endpoint ? endpoint_address(s->endpoint) : NULL);
        if (r >= 0)
                r = json_add_uint(o, "pid", (uint64_t) getpid());
        if (r >= 0)
                r = json_add_string(o, "host", s->host);
        if (r >= 0)
                r = json_add_string(o, "version", PACKAGE_VERSION);
        if (r >= 0)
                r = json_add_bool(o, "local", s->settings->local);
        if (r >= 0)
                r = add_labels(s, o);
        if (r >= 0)
                r = add_types(s, o);
        if (r < 0)
                return r;
        text = json_object_to_json_string_length(
                o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
        if (!text)
                return -ENOMEM;
        wire_put(out, text, size);
        return 0;
}

/* The leases that we hold, as many as a message can name. Tasks that wait come last: over a new connection,
 * those that are not named are given to others, and for these that costs nothing. */
static void put_leases(Subworkerd *s, WireOut *out) {
        bool fresh = link_state(s->link) != LINK_UP;
        Job *job, *next;
        size_t n = 0;

        for (int waiting = 0; waiting < 2; waiting++)
                for (job = job_table_next(s->jobs, NULL); job; job = next) {
                        next = job_table_next(s->jobs, job);
                        if (is_released(job) || (job->state == JOB_WAITING) != waiting)
                                continue;
                        if (n < WIRE_BATCH_MAX) {
                                wire_put_task_id(out, &job->key.id);
                                wire_put_number(out, job->key.attempt);
                                n++;
                        } else if (waiting && fresh)
                                pool_drop(s->pool, job);
                }
}

/* A worker without any slots is none: one that has no runner at the moment says so by its capacity. */
static unsigned announced_slots(const Subworkerd *s) {
        return MAX(pool_slots(s->pool), 1U);
}

/* The document must live until the message is sent, so it is kept for the next time. */
static void on_describe(WireOut *out, void *userdata) {
        Subworkerd *s = userdata;

        json_object_put(s->registration);
        s->registration = json_object_new_object();

        s->registered_slots = announced_slots(s);
        wire_put_string(out, s->settings->worker_id);
        wire_put_number(out, s->registered_slots);
        wire_put_number(out, pool_capacity(s->pool));
        if (!s->registration || put_info(s, out, s->registration) < 0) {
                out->error = -ENOMEM;
                return;
        }
        put_leases(s, out);
}

static void drop_void_lease(Subworkerd *s, const struct iovec *group) {
        JobKey key = get_key(group);
        Job *job = job_table_find(s->jobs, &key);

        if (!job || is_released(job))
                return;
        log_task(s, job, "is not ours any more");
        if (is_in_pool(job))
                pool_drop(s->pool, job);
        else
                outbox_drop(s->outbox, job);
}

/* Tells a new controld, or one that has lost the message, what has been running for a while. */
static void tell_started(Subworkerd *s) {
        uint64_t now = now_usec(CLOCK_MONOTONIC), real = now_usec(CLOCK_REALTIME), since;

        for (Job *job = job_table_next(s->jobs, NULL); job; job = job_table_next(s->jobs, job))
                if (job->started_reported && pool_job_runs(s->pool, job, &since))
                        outbox_started(s->outbox, job, real - (now - since));
}

static void on_up(const WireMessage *m, void *userdata) {
        Subworkerd *s = userdata;

        for (size_t i = 0; i < m->n_groups; i++)
                drop_void_lease(s, wire_group(m, i));
        tell_started(s);
        outbox_capacity(s->outbox, pool_capacity(s->pool));
        pool_pump(s->pool);
        manager_show_status(s);
}

static void on_down(void *userdata) {
        Subworkerd *s = userdata;

        outbox_reset(s->outbox);
        manager_show_status(s);
}

/* Better run by one worker than by two. What has ended is kept: if nobody else was given it, it counts. */
static void on_expired(void *userdata) {
        Subworkerd *s = userdata;
        Job *job, *next;
        size_t n = 0;

        for (job = job_table_next(s->jobs, NULL); job; job = next) {
                next = job_table_next(s->jobs, job);
                if (!is_in_pool(job))
                        continue;
                log_task(s, job,
                         "is not ours any more, as the control plane was not heard for too long");
                pool_drop(s->pool, job);
                n++;
        }
        if (n > 0)
                log_event(
                        LOG_WARNING, 0,
                        LOG_FIELDS(.message_id = MESSAGE_LEASES_EXPIRED,
                                   .worker_id = s->settings->worker_id),
                        "The control plane was not heard for too long, stopped %zu task%s that others may "
                        "be given by now.",
                        n, n == 1 ? "" : "s");
        pool_pump(s->pool);
}

static unsigned on_n_running(void *userdata) {
        Subworkerd *s = userdata;

        return pool_n_running(s->pool);
}

const LinkHandlers tasks_link_handlers = {
        .describe = on_describe,
        .up = on_up,
        .down = on_down,
        .expired = on_expired,
        .tasks = on_tasks,
        .revoke = on_revoke,
        .acknowledged = on_acknowledged,
        .refused = on_refused,
        .n_running = on_n_running,
};

/* --- from the pool -------------------------------------------------------------------------------- */

static void on_pool_ready(void *userdata) {
        Subworkerd *s = userdata;

        if (s->reloading)
                reload_done(s);
        else
                manager_ready(s);
}

static void on_pool_failed(const char *reason, void *userdata) {
        Subworkerd *s = userdata;

        if (s->ready) {
                reload_failed(s, reason);
                return;
        }
        log_event(LOG_ERR, 0,
                  LOG_FIELDS(.message_id = MESSAGE_RUNNER_FAILED,
                             .worker_id = s->settings->worker_id),
                  "Cannot start a runner: %s", reason);
        (void) sd_event_exit(s->event, -ENOEXEC);
}

static void on_types_changed(void *userdata) {
        Subworkerd *s = userdata;

        if (s->ready)
                link_register_again(s->link);
}

static void on_capacity(unsigned capacity, void *userdata) {
        Subworkerd *s = userdata;

        outbox_capacity(s->outbox, capacity);
}

static void on_started(Job *job, uint64_t started_usec, void *userdata) {
        Subworkerd *s = userdata;

        outbox_started(s->outbox, job, started_usec);
}

/* controld may take less than we do. */
static void limit_result(Subworkerd *s, Job *job) {
        uint64_t max = link_max_result_bytes(s->link);
        char text[128], id[TASK_ID_TEXT_LENGTH + 1];

        if (job->outcome != WIRE_OUTCOME_SUCCESS || max == 0 || job->text_size <= max)
                return;
        (void) snprintf(text, sizeof(text),
                        "result of %zu bytes is over the control plane's limit of %" PRIu64
                        " bytes",
                        job->text_size, max);
        task_id_to_text(&job->key.id, id);
        log_event(LOG_WARNING, 0,
                  LOG_FIELDS(.message_id = MESSAGE_RESULT_REFUSED, .task_id = id,
                             .task_name = type_name(job->type),
                             .worker_id = s->settings->worker_id),
                  "Task %s (%s) fails: %s", type_name(job->type), id, text);
        job_finish(job, WIRE_OUTCOME_FAILURE, text, strlen(text), job->started_usec,
                   job->completed_usec);
}

static void on_progress(const Job *job, unsigned percent, const char *text, size_t size,
                        void *userdata) {
        Subworkerd *s = userdata;

        progress_report(s->progress, job, percent, text, size);
}

static void on_finished(Job *job, void *userdata) {
        Subworkerd *s = userdata;

        progress_forget(s->progress, job);
        s->n_done++;
        limit_result(s, job);
        log_task(s, job, wire_outcome_to_string(job->outcome));
        outbox_finished(s->outbox, job);
}

static void on_released(Job *job, void *userdata) {
        Subworkerd *s = userdata;

        progress_forget(s->progress, job);
        log_task(s, job, "handed back");
        outbox_released(s->outbox, job);
}

static void on_dropped(Job *job, void *userdata) {
        Subworkerd *s = userdata;

        progress_forget(s->progress, job);
        log_task(s, job, "dropped");
        job_table_remove(s->jobs, job);
}

static void on_log(const Job *job, int priority, const char *text, size_t size, void *userdata) {
        Subworkerd *s = userdata;
        char id[TASK_ID_TEXT_LENGTH + 1];
        LogFields fields = { .message_id = MESSAGE_TASK_LOG, .worker_id = s->settings->worker_id };

        if (job) {
                task_id_to_text(&job->key.id, id);
                fields.task_id = id;
                fields.task_name = type_name(job->type);
        }
        log_event(priority, 0, &fields, "%s%s%.*s", job ? type_name(job->type) : "",
                  job ? ": " : "", (int) MIN(size, (size_t) INT32_MAX), text);
}

static void on_pool_turn(void *userdata) {
        /* All that follows is done once at the end of the turn. */
}

const PoolHandlers tasks_pool_handlers = {
        .ready = on_pool_ready,
        .failed = on_pool_failed,
        .types_changed = on_types_changed,
        .capacity = on_capacity,
        .started = on_started,
        .finished = on_finished,
        .released = on_released,
        .dropped = on_dropped,
        .progress = on_progress,
        .log = on_log,
        .turn = on_pool_turn,
};

/* --- to controld ---------------------------------------------------------------------------------- */

int tasks_send(const WireOut *out, void *userdata) {
        Subworkerd *s = userdata;

        return link_send(s->link, out);
}

static void arm_outbox_timer(Subworkerd *s, uint64_t due) {
        if (due >= s->outbox_due_usec)
                return;
        s->outbox_due_usec = due;
        (void) sd_event_source_set_time(s->outbox_timer, due);
        (void) sd_event_source_set_enabled(s->outbox_timer, SD_EVENT_ONESHOT);
}

void tasks_flush(Subworkerd *s) {
        int r;

        r = outbox_flush(s->outbox);
        if (r == -EAGAIN) /* the socket has no room */
                arm_outbox_timer(s, now_usec(CLOCK_MONOTONIC) + ROOM_USEC);
        else if (r < 0 && r != -ENOTCONN) {
                log_error_errno(r, "Cannot report to the control plane: %m");
                (void) sd_event_exit(s->event, r);
                return;
        }
        if (link_state(s->link) != LINK_UP)
                return;
        if (progress_flush(s->progress, now_usec(CLOCK_MONOTONIC)) < 0)
                arm_outbox_timer(s, now_usec(CLOCK_MONOTONIC) + ROOM_USEC);
        else
                arm_outbox_timer(s, progress_due(s->progress));
        arm_outbox_timer(s, outbox_due(s->outbox));
        if (s->registered_slots != announced_slots(s) && s->drain == DRAIN_NONE)
                link_register_again(s->link);
}
