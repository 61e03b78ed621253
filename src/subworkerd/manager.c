/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <zmq.h>

#include "json-util.h"
#include "listen-fds.h"
#include "log.h"
#include "manager.h"
#include "message-ids.h"
#include "module-path.h"
#include "parse-util.h"
#include "time-util.h"

#define STATUS_USEC USEC_PER_SEC
#define ORPHAN_USEC \
        (30 * USEC_PER_SEC) /* a local worker that is not registered by then has no parent */
#define RUNNER_DESCRIPTORS 4U
#define OTHER_DESCRIPTORS  256U
#define SOCKET_NAME        "worker" /* FileDescriptorName= of the own endpoint */

/* --- status --------------------------------------------------------------------------------------- */

void manager_show_status(Subworkerd *s) {
        unsigned n = pool_slots(s->pool);

        if (!s->ready || s->drain != DRAIN_NONE || s->reloading)
                return;
        notify_status(s->notify, "%s %s; %u of %u runner%s busy, %" PRIu64 " tasks done%s%s%s",
                      link_state(s->link) == LINK_UP ? "Registered at"
                                                     : "Looking for the control plane at",
                      link_address(s->link), pool_n_running(s->pool), n, n == 1 ? "" : "s",
                      s->n_done, type_table_count(s->types) == 0 ? "; no task modules" : "",
                      s->reload_error ? "; reload failed, going on as before: " : "",
                      s->reload_error ?: "");
}

static int on_status_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Subworkerd *s = userdata;

        s->status_armed = false;
        manager_show_status(s);
        return 0;
}

/* The status is made anew a second after something has happened, not for each task. */
static void show_status_soon(Subworkerd *s) {
        if (s->status_armed || !s->status_timer)
                return;
        s->status_armed = true;
        (void) sd_event_source_set_time_relative(s->status_timer, STATUS_USEC);
        (void) sd_event_source_set_enabled(s->status_timer, SD_EVENT_ONESHOT);
}

/* What task files ask for, and this machine cannot hold; said once, when it is known what they ask for. */
static void say_if_without_controllers(const Subworkerd *s) {
        bool memory = false, others = false;

        for (const TaskType *t = type_table_next(s->types, NULL); t;
             t = type_table_next(s->types, t)) {
                const TaskResources *r = type_resources(t);

                memory |= r->memory_max > 0 && !cgroup_has(s->cgroup, CGROUP_MEMORY);
                others |= (r->tasks_max > 0 && !cgroup_has(s->cgroup, CGROUP_PIDS)) ||
                          (r->cpu_weight > 0 && !cgroup_has(s->cgroup, CGROUP_CPU));
        }
        if (!memory && !others)
                return;
        log_event(LOG_NOTICE, 0,
                  LOG_FIELDS(.message_id = MESSAGE_MEMORY_FALLBACK,
                             .worker_id = s->settings->worker_id),
                  "%s%s%s: %s.",
                  memory ? "MemoryMax= of a task holds for each process of a command by itself"
                         : "",
                  memory && others ? ", and " : "",
                  others ? "TasksMax= and CPUWeight= of tasks have no effect" : "",
                  s->cgroup ? "the control group has not all controllers that are needed"
                            : s->no_cgroup_reason);
}

/* Not an error: the service of a fresh installation is there before anyone has said what it is to offer. */
static void say_if_without_tasks(Subworkerd *s) {
        if (type_table_count(s->types) > 0)
                return;
        log_event(
                LOG_NOTICE, 0,
                LOG_FIELDS(.message_id = MESSAGE_NO_TASKS, .worker_id = s->settings->worker_id),
                "Subworker %s offers no tasks: %s.", s->settings->worker_id,
                strv_length(s->settings->task_modules) == 0
                        ? "no task modules are set (TaskModules=, --task-modules)"
                : strv_contains(s->settings->task_modules, MODULE_ALL_TASK_FILES)
                        ? "no task modules are set (TaskModules=, --task-modules), and there are no task files"
                        : "its task modules (TaskModules=) have none");
}

void manager_ready(Subworkerd *s) {
        unsigned n = pool_slots(s->pool);
        size_t n_types = type_table_count(s->types);
        int r;

        s->ready = true;
        log_event(s->settings->local ? LOG_DEBUG : LOG_INFO, 0,
                  LOG_FIELDS(.message_id = MESSAGE_SUBWORKERD_READY,
                             .worker_id = s->settings->worker_id),
                  "FastWorker " PACKAGE_VERSION
                  " subworker %s is ready, %u runner%s, %zu task type%s.",
                  s->settings->worker_id, n, n == 1 ? "" : "s", n_types, n_types == 1 ? "" : "s");
        say_if_without_tasks(s);
        say_if_without_controllers(s);
        r = link_start(s->link);
        if (r < 0) {
                (void) sd_event_exit(s->event, r);
                return;
        }
        manager_show_status(s);
        notify_ready(s->notify, NULL);
}

static bool is_healthy(void *userdata) {
        Subworkerd *s = userdata;

        return pool_is_healthy(s->pool) && link_is_healthy(s->link);
}

/* --- the own endpoint ----------------------------------------------------------------------------- */

static int add_running(Subworkerd *s, struct json_object *o) {
        uint64_t now = now_usec(CLOCK_MONOTONIC), real = now_usec(CLOCK_REALTIME), since;
        struct json_object *list = json_object_new_array();
        int r;

        r = json_add(o, "running", list);
        for (Job *job = job_table_next(s->jobs, NULL); job && r >= 0;
             job = job_table_next(s->jobs, job)) {
                _cleanup_json_ struct json_object *task = NULL;
                char id[TASK_ID_TEXT_LENGTH + 1];

                if (!pool_job_runs(s->pool, job, &since))
                        continue;
                task = json_object_new_object();
                if (!task)
                        return -ENOMEM;
                task_id_to_text(&job->key.id, id);
                r = json_add_string(task, "task_id", id);
                if (r >= 0)
                        r = json_add_string(task, "name", type_name(job->type));
                if (r >= 0)
                        r = json_add_time(task, "since", real - (now - MIN(since, now)));
                if (r >= 0 && json_object_array_add(list, task) < 0)
                        r = -ENOMEM;
                if (r >= 0)
                        task = NULL; /* the list has it */
        }
        return r;
}

static int on_report(char **ret, void *userdata) {
        Subworkerd *s = userdata;
        _cleanup_json_ struct json_object *o = json_object_new_object();
        int r;

        if (!o)
                return -ENOMEM;
        r = json_add_string(o, "worker_id", s->settings->worker_id);
        if (r >= 0)
                r = json_add_string(o, "version", PACKAGE_VERSION);
        if (r >= 0)
                r = json_add_string(o, "status",
                                    s->drain != DRAIN_NONE ? "draining"
                                    : s->ready             ? "running"
                                                           : "starting");
        if (r >= 0)
                r = json_add_string(o, "link", link_state_to_string(link_state(s->link)));
        if (r >= 0)
                r = json_add_string(o, "control_plane", link_address(s->link));
        if (r >= 0)
                r = json_add_uint(o, "slots", pool_slots(s->pool));
        if (r >= 0)
                r = json_add_uint(o, "capacity", pool_capacity(s->pool));
        if (r >= 0)
                r = json_add_uint(o, "waiting", pool_n_waiting(s->pool));
        if (r >= 0)
                r = json_add_uint(o, "tasks_done", s->n_done);
        if (r >= 0)
                r = add_running(s, o);
        return r < 0 ? r : json_to_text(o, ret);
}

static void on_drain(void *userdata) {
        drain_begin(userdata);
}

static int open_endpoint(Subworkerd *s) {
        static const EndpointHandlers handlers = { .report = on_report, .drain = on_drain };
        static const char *const names[] = { SOCKET_NAME, NULL };
        _cleanup_(listen_fds_freep) ListenFds *sockets = NULL;
        const char *address = s->settings->base_address, *given;
        const char *origin =
                conf_origin(&subworkerd_conf_table, s->conf, "Subworker", "BaseAddress");
        bool is_tcp;
        int fd = -EBADF, r;

        r = listen_fds_new(names, &sockets);
        if (r < 0)
                return r;
        if (listen_fds_get(sockets, SOCKET_NAME, 0, &fd, &is_tcp, &given) >= 0) {
                if (address && origin && strncmp(origin, "--", 2) == 0)
                        return log_error_errno(
                                EINVAL,
                                "--base-address=%s cannot be used: the service manager passed a "
                                "socket at %s; leave the option out or disable the socket unit.",
                                address, given);
                address = given;
        }
        if (!address)
                return 0;
        return endpoint_new(s->event, s->context, address, fd, s->settings->worker_id, &handlers, s,
                            &s->endpoint);
}

/* --- the loop ------------------------------------------------------------------------------------- */

static int on_turn_end(sd_event_source *source, void *userdata) {
        Subworkerd *s = userdata;

        tasks_flush(s);
        if (s->drain != DRAIN_NONE)
                drain_advance(s);
        else {
                idle_review(s);
                show_status_soon(s);
        }
        return 0;
}

static int on_outbox_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Subworkerd *s = userdata;

        s->outbox_due_usec = USEC_INFINITY;
        outbox_review(s->outbox, now_usec(CLOCK_MONOTONIC));
        return 0; /* the end of the turn sends */
}

/* Whether controld, whose child we are, is gone. */
static bool is_orphan(const Subworkerd *s) {
        return s->settings->local && getppid() != s->parent;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Subworkerd *s = userdata;

        if (s->drain != DRAIN_NONE || is_orphan(s))
                drain_hurry(s);
        else
                drain_begin(s);
        return 0;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Subworkerd *s = userdata;

        reload_asker_set(&s->reload_asker, si);
        reload(s);
        return 0;
}

/* Should controld have died before we could ask to be told, nobody will ever answer. */
static int on_orphan_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Subworkerd *s = userdata;

        if (link_state(s->link) != LINK_UP) {
                log_event(
                        LOG_WARNING, 0, LOG_FIELDS(.worker_id = s->settings->worker_id),
                        "The coordinator that started this local worker does not answer, stopping.");
                drain_hurry(s);
        }
        return 0;
}

static int follow_parent(Subworkerd *s) {
        if (!s->settings->local)
                return 0;
        s->parent = getppid();
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
                return -errno;
        if (is_orphan(s))
                return -ECHILD;
        return sd_event_add_time_relative(s->event, NULL, CLOCK_MONOTONIC, ORPHAN_USEC,
                                          USEC_PER_SEC, on_orphan_timer, s);
}

static int add_timer(Subworkerd *s, sd_event_time_handler_t handler, sd_event_source **ret) {
        int r;

        r = sd_event_add_time(s->event, ret, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, handler, s);
        return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int add_sources(Subworkerd *s) {
        const int signals[] = { SIGTERM, SIGINT, SIGHUP, RELOAD_SIGNAL };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                r = sd_event_add_signal(s->event, NULL, signals[i], i < 2 ? on_stop : on_reload, s);
                if (r < 0)
                        return r;
        }
        r = sd_event_add_post(s->event, &s->turn_end, on_turn_end, s);
        if (r < 0)
                return r;
        s->outbox_due_usec = USEC_INFINITY;
        r = add_timer(s, on_outbox_timer, &s->outbox_timer);
        if (r < 0)
                return r;
        r = idle_init(s);
        if (r < 0)
                return r;
        /* Without a service manager nobody reads the status. */
        r = getenv("NOTIFY_SOCKET") ? add_timer(s, on_status_timer, &s->status_timer) : 0;
        if (r < 0)
                return r;
        return follow_parent(s);
}

/* Raised only as far as needed, as tasks inherit the limit, and some programs do badly with a high one. */
static void ensure_descriptors(uint64_t n_runners) {
        rlim_t needed = (rlim_t) (n_runners * RUNNER_DESCRIPTORS + OTHER_DESCRIPTORS);
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed)
                return;
        limit.rlim_cur = MIN(needed, limit.rlim_max);
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                log_debug_errno(errno, "Cannot raise the limit on open files: %m");
}

int manager_run(Subworkerd *s) {
        _cleanup_free_ char *error = NULL;
        PoolCommand command;
        int r;

        r = open_endpoint(s);
        if (r < 0)
                return r;
        r = reload_runner_command(s->settings, s->job_user, &command, &error);
        if (r < 0)
                return log_error_errno(r, "%s.", error ? error : "Cannot prepare the runners");
        ensure_descriptors(s->settings->concurrency * _RUNNER_KIND_MAX);
        r = pool_run(s->pool, &command, (unsigned) s->settings->concurrency);
        if (r < 0)
                return log_error_errno(r, "Cannot start the runners: %m");
        return sd_event_loop(s->event);
}

/* --- life ----------------------------------------------------------------------------------------- */

/* libzmq's threads inherit which signals are blocked: before the context is made. */
static int block_signals(void) {
        sigset_t mask;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        (void) sigaddset(&mask, SIGHUP);
        (void) sigaddset(&mask, RELOAD_SIGNAL);
        return sigprocmask(SIG_BLOCK, &mask, NULL) < 0 ? -errno : 0;
}

PoolWear manager_wear(const Settings *settings, uint64_t *ret_memory_max) {
        uint64_t memory = settings->recycle_memory;

        *ret_memory_max = settings->task_memory_max == UINT64_MAX ? 0 : settings->task_memory_max;
        return (PoolWear){ settings->recycle_tasks, memory == UINT64_MAX ? 0 : memory };
}

uint64_t manager_output_max(const Settings *settings) {
        return settings->output_max == UINT64_MAX ? 0 : settings->output_max;
}

/* What keeps the tree of a task's processes together. */
static void prepare_isolation(Subworkerd *s) {
        int r;

        r = process_tree_adopt();
        if (r < 0)
                log_warning_errno(r, "Cannot become the parent of orphans, ignoring: %m");
        r = cgroup_new(&s->cgroup, &s->no_cgroup_reason);
        if (r < 0)
                log_debug_errno(
                        r, "No control groups for runners, following their processes: %s (%m).",
                        s->no_cgroup_reason);
        if (s->settings->task_memory_max != UINT64_MAX && !cgroup_has(s->cgroup, CGROUP_MEMORY))
                log_event(
                        LOG_NOTICE, 0,
                        LOG_FIELDS(.message_id = MESSAGE_MEMORY_FALLBACK,
                                   .worker_id = s->settings->worker_id),
                        "TaskMemoryMax= holds for each process of a task by itself, not for all together: %s.",
                        s->cgroup ? "there is no memory controller of control groups version 2"
                                  : s->no_cgroup_reason);
}

static int make_modules(Subworkerd *s) {
        const Settings *settings = s->settings;
        PoolConfig pool = {
                .worker_id = settings->worker_id,
                .result_max = (size_t) settings->max_result_bytes,
                .prefetch_max = (unsigned) settings->prefetch_max,
                .user = s->job_user,
                .cgroup = s->cgroup,
                .owns_children = true,
        };
        LinkConfig link = {
                .worker_id = settings->worker_id,
                .control_plane_address = settings->control_plane_address,
                .discovery_address = settings->local ? NULL : settings->discovery_address,
                .direct = settings->local,
        };
        int r;

        pool.wear = manager_wear(settings, &pool.memory_max);
        pool.output_max = manager_output_max(settings);
        r = type_table_new(&s->types);
        if (r >= 0)
                r = job_table_new(&s->jobs);
        if (r >= 0)
                r = pool_new(s->event, s->types, &pool, &tasks_pool_handlers, s, &s->pool);
        if (r >= 0)
                r = link_new(s->event, s->context, &link, &tasks_link_handlers, s, &s->link);
        if (r >= 0)
                r = outbox_new(s->jobs, settings->worker_id, tasks_send, s, &s->outbox);
        if (r >= 0)
                r = progress_new(tasks_send, s, &s->progress);
        if (r >= 0)
                r = notify_new(s->event, is_healthy, s, &s->notify);
        return r;
}

static int look_up_job_user(Subworkerd *s) {
        _cleanup_free_ char *error = NULL;
        int r;

        if (!s->settings->job_user)
                return 0;
        r = job_user_new(s->settings->job_user, &s->job_user, &error);
        return r < 0 ? log_error_errno(r, "%s.", error ?: "Out of memory") : 0;
}

static int init(Subworkerd *s) {
        int r;

        r = block_signals();
        if (r < 0)
                return r;
        if (gethostname(s->host, sizeof(s->host) - 1) < 0)
                return -errno;
        r = sd_event_default(&s->event);
        if (r < 0)
                return r;
        s->context = zmq_ctx_new();
        if (!s->context)
                return -zmq_errno();
        r = make_modules(s);
        if (r < 0)
                return r;
        return add_sources(s);
}

int manager_new(int argc, char *argv[], Settings *settings, Conf *conf, Subworkerd **ret) {
        _cleanup_(manager_freep) Subworkerd *s = calloc(1, sizeof(*s));
        int r;

        if (!s) {
                conf_settings_free(&subworkerd_conf_table, settings);
                conf_free(conf);
                return log_oom();
        }
        s->argc = argc;
        s->argv = argv;
        s->settings = settings;
        s->conf = conf;
        s->reload_asker = RELOAD_ASKER_NONE;
        r = look_up_job_user(s);
        if (r < 0)
                return r;
        prepare_isolation(s);
        r = init(s);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the subworker: %m");
        *ret = TAKE_PTR(s);
        return 0;
}

Subworkerd *manager_free(Subworkerd *s) {
        if (!s)
                return NULL;
        endpoint_free(s->endpoint);
        link_free(s->link);
        pool_free(s->pool);
        cgroup_free(s->cgroup);
        outbox_free(s->outbox);
        progress_free(s->progress);
        job_table_free(s->jobs);
        type_table_free(s->types);
        json_object_put(s->registration);
        reload_asker_tell(&s->reload_asker, -ESHUTDOWN);
        job_user_free(s->job_user);
        free(s->reload_error);
        notify_free(s->notify);
        sd_event_source_disable_unref(s->turn_end);
        sd_event_source_disable_unref(s->outbox_timer);
        sd_event_source_disable_unref(s->status_timer);
        sd_event_source_disable_unref(s->drain_timer);
        sd_event_source_disable_unref(s->idle_timer);
        if (s->context)
                (void) zmq_ctx_term(s->context);
        sd_event_unref(s->event);
        conf_settings_free(&subworkerd_conf_table, s->settings);
        conf_free(s->conf);
        reload_forget_previous(s);
        free(s);
        return NULL;
}
