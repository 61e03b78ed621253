/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "due.h"
#include "listen.h"
#include "log.h"
#include "manager.h"
#include "message-ids.h"
#include "ops.h"
#include "parse-util.h"
#include "pause.h"
#include "persist.h"
#include "reload.h"
#include "schedule-run.h"
#include "time-util.h"
#include "turn.h"
#include "worker-care.h"

#define TICK_USEC    USEC_PER_SEC
#define CLEANUP_USEC USEC_PER_MINUTE
#define STOP_MAX_USEC \
        (40 * USEC_PER_SEC) /* for the local worker to finish or hand back its tasks */
#define LINGER_MSEC 500

static void show_status(Controld *c) {
        size_t n = worker_count(&c->workers, WORKER_ACTIVE);
        char asleep[SCALE_TEXT_MAX];

        if (c->stopping)
                return;
        notify_status(
                c->notify,
                "%zu subworker%s active%s, %" PRIu64 " queued, %" PRIu64
                " assigned or running, %" PRIu64 " results cached%s%s",
                n, n == 1 ? "" : "s", scale_describe(c->scale, asleep), queue_length(&c->queue),
                c->tasks.by_state[TASK_ASSIGNED] + c->tasks.by_state[TASK_RUNNING], c->results.n,
                c->reload_error ? "; reload failed, the old configuration stays in force: " : "",
                c->reload_error ?: "");
}

/* Clients that did not read are tried again now and then, not in every turn. */
static void retry_stalled_peers(Controld *c) {
        Peer *p;

        TAILQ_FOREACH(p, &c->dirty, dirty)
                p->is_stalled = false;
}

static void end_when_stopped(Controld *c) {
        if (c->stopping && !local_worker_runs(c->local) && ledger_is_empty(&c->ledger))
                (void) sd_event_exit(c->event, 0);
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata) {
        Controld *c = userdata;
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        bool is_late;
        int r;

        /* Two late ones in a row are an overload; the sockets were read in between. */
        is_late = now > usec + TICK_USEC && !c->tick_was_late;
        c->tick_was_late = is_late;
        worker_care(c, is_late);
        schedule_care(c);
        retry_stalled_peers(c);
        local_worker_care(c->local);
        r = scale_care(c->scale);
        if (r < 0)
                return sd_event_exit(c->event, r);
        if (now - c->cleaned_usec >= CLEANUP_USEC) {
                c->cleaned_usec = now;
                (void) results_expire(&c->results, &c->tasks, &c->dirty);
        }
        show_status(c);
        if (c->stopping)
                notify_extend_timeout(c->notify, 5 * USEC_PER_SEC);
        if (c->stopping && now > c->stop_until_usec) {
                log_warning("The local worker did not stop in time, killing it.");
                (void) sd_event_exit(c->event, 0);
        }
        (void) sd_event_source_set_time(s, usec + TICK_USEC > now ? usec + TICK_USEC
                                                                  : now + TICK_USEC);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int on_turn_end(sd_event_source *s, void *userdata) {
        Controld *c = userdata;

        turn_end(c);
        end_when_stopped(c);
        return 0;
}

static int on_grace_end(sd_event_source *s, uint64_t usec, void *userdata) {
        Controld *c = userdata;
        int r;

        c->grace_until_usec = 0;
        r = held_replay(&c->held);
        return r < 0 ? sd_event_exit(c->event, r) : 0;
}

static int on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Controld *c = userdata;

        if (c->stopping)
                return sd_event_exit(c->event, 0);
        log_event(LOG_INFO, 0, LOG_FIELDS(.message_id = MESSAGE_CONTROLD_STOPPING),
                  "Stopping; %" PRIu64 " tasks have not ended.",
                  (uint64_t) HASH_COUNT(c->tasks.tasks) - c->results.n);
        c->stopping = true;
        c->stop_until_usec = now_usec(CLOCK_MONOTONIC) + STOP_MAX_USEC;
        notify_stopping(c->notify, "Stopping");
        local_worker_stop(c->local);
        end_when_stopped(c);
        return 0;
}

static int on_reload(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Controld *c = userdata;

        reload_asker_set(&c->reload_asker, si);
        reload(c);
        show_status(c);
        return 0;
}

/* From now on a while, a task type that nobody has offered yet may still come. */
static void begin_grace(Controld *c) {
        int r;

        c->grace_until_usec = now_usec(CLOCK_MONOTONIC) + c->settings->startup_grace_usec;
        r = sd_event_add_time(c->event, &c->grace, CLOCK_MONOTONIC, c->grace_until_usec, 0,
                              on_grace_end, c);
        if (r < 0) {
                log_warning_errno(r,
                                  "Could not arm a timer, refusing unknown task types at once: %m");
                c->grace_until_usec = 0;
        }
}

static void announce_ready(Controld *c) {
        if (c->announced)
                return;
        c->announced = true;
        begin_grace(c);
        scale_start(c->scale);
        log_event(LOG_INFO, 0,
                  LOG_FIELDS(.message_id = MESSAGE_CONTROLD_READY,
                             .worker_id = c->settings->worker_id),
                  "FastWorker " PACKAGE_VERSION " coordinator %s is ready.",
                  c->settings->worker_id);
        notify_ready(c->notify, "Ready");
        show_status(c);
}

/* The local worker has told what its modules offer, or could not: a module that does not load is an error of
 * the one who starts us, and said at once. */
static void on_learned(int error, void *userdata) {
        Controld *c = userdata;

        if (c->stopping)
                return;
        if (error < 0 && !c->announced) {
                log_error(
                        "The task modules could not be loaded, see the messages of the local worker. Check "
                        "TaskModules= (--task-modules) and ModulePath= (--module-path).");
                (void) sd_event_exit(c->event, error);
                return;
        }
        announce_ready(c);
}

static int start_endpoints(Controld *c) {
        int r;

        for (size_t i = 0; i < c->n_endpoints; i++) {
                r = endpoint_start(c->endpoints[i]);
                if (r < 0)
                        return log_error_errno(r, "Could not watch an endpoint: %m");
        }
        return 0;
}

static int start_local_worker(Controld *c) {
        _cleanup_free_ char *address = NULL;
        int r;

        if (strv_length(c->settings->task_modules) == 0)
                return 0;
        if (!c->settings->local_worker) {
                log_warning(
                        "TaskModules= is set, but no local worker is to be started (LocalWorker=no, "
                        "--no-local-worker): set TaskModules= in subworkerd.conf and start subworkers.");
                return 0;
        }
        r = listen_open_private(c, &address);
        if (r < 0)
                return r;
        r = local_worker_new(c, address, &c->local);
        return r < 0 ? log_error_errno(r, "Could not prepare the local worker: %m") : 0;
}

int manager_run(Controld *c) {
        int r;

        r = persist_open(c);
        if (r < 0)
                return r;
        r = listen_open(c);
        if (r < 0)
                return r;
        r = start_local_worker(c);
        if (r < 0)
                return r;
        r = start_endpoints(c);
        if (r < 0)
                return r;
        if (c->local) {
                r = local_worker_learn(c->local, on_learned, c);
                if (r < 0)
                        return r;
        } else
                announce_ready(c);

        r = sd_event_loop(c->event);
        for (size_t i = 0; i < c->n_endpoints; i++)
                (void) endpoint_set_linger(c->endpoints[i], LINGER_MSEC);
        return r;
}

static bool is_healthy(void *userdata) {
        Controld *c = userdata;
        uint64_t now = now_usec(CLOCK_MONOTONIC), due = 0;

        /* The tick must be on time: a loop that only spins in one source is not well. */
        return persist_is_moving(c) && (sd_event_source_get_time(c->tick, &due) < 0 || now < due ||
                                        now - due < 5 * TICK_USEC);
}

/* Each connection takes a descriptor, and libzmq does badly without. */
static void raise_limits(Controld *c) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        c->inherited_nofile = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
}

static int add_sources(Controld *c) {
        const int signals[] = { SIGTERM, SIGINT, SIGHUP, RELOAD_SIGNAL };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                r = sd_event_add_signal(c->event, NULL, signals[i], i < 2 ? on_stop : on_reload, c);
                if (r < 0)
                        return r;
        }
        r = sd_event_add_time_relative(c->event, &c->tick, CLOCK_MONOTONIC, TICK_USEC,
                                       TICK_USEC / 4, on_tick, c);
        if (r < 0)
                return r;
        r = due_open(c);
        if (r < 0)
                return r;
        return sd_event_add_post(c->event, &c->turn_end, on_turn_end, c);
}

static int make_instance(char ret[static 33]) {
        uint8_t bytes[16];

        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                return -EIO;
        for (size_t i = 0; i < sizeof(bytes); i++)
                (void) snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
        return 0;
}

static int init(Controld *c) {
        sigset_t mask;
        int r;

        c->started_usec = c->cleaned_usec = now_usec(CLOCK_MONOTONIC);
        c->grace_until_usec = USEC_INFINITY; /* until ready; then a time */
        r = make_instance(c->instance);
        if (r < 0)
                return r;
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        (void) sigaddset(&mask, SIGHUP);
        (void) sigaddset(&mask, RELOAD_SIGNAL);
        (void) sigaddset(&mask, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        raise_limits(c);

        /* libzmq's threads inherit the blocked signals: make the contexts after that. */
        c->tcp_context = zmq_ctx_new();
        c->local_context = zmq_ctx_new();
        if (!c->tcp_context || !c->local_context)
                return -ENOMEM;
        (void) zmq_ctx_set(c->tcp_context, ZMQ_MAX_SOCKETS, 64);
        (void) zmq_ctx_set(c->local_context, ZMQ_MAX_SOCKETS, 64);
        r = sd_event_default(&c->event);
        if (r < 0)
                return r;
        r = add_sources(c);
        if (r < 0)
                return r;
        return notify_new(c->event, is_healthy, c, &c->notify);
}

static void forget_result(const Task *t, void *userdata) {
        dependency_flush(userdata, t);
        op_wait_tell_unknown(userdata, t);
        persist_forget(userdata, t);
}

int manager_new(int argc, char *argv[], Settings *settings, Conf *conf, Controld **ret) {
        _cleanup_(manager_freep) Controld *c = calloc(1, sizeof(*c));
        int r;

        if (!c) {
                conf_settings_free(&controld_conf_table, settings);
                conf_free(conf);
                return log_oom();
        }
        c->settings = settings;
        c->conf = conf;
        c->reload_asker = RELOAD_ASKER_NONE;
        c->argc = argc;
        c->argv = argv;
        queue_init(&c->queue);
        worker_registry_init(&c->workers);
        results_init(&c->results, settings->result_cache_size, settings->result_cache_ttl_usec);
        TAILQ_INIT(&c->dirty);
        held_init(&c->held);
        ledger_init(&c->ledger);
        dependencies_init(&c->dependencies);
        c->next_token_usec = USEC_INFINITY;
        c->results.forget = forget_result;
        c->results.userdata = c;

        r = init(c);
        if (r >= 0)
                r = scale_new(c, &c->scale);
        if (r < 0)
                return log_error_errno(r, "Could not set up the coordinator: %m");
        *ret = TAKE_PTR(c);
        return 0;
}

static void free_workers(Controld *c) {
        Worker *w, *next;

        HASH_ITER(hh, c->workers.workers, w, next) {
                Task *t;

                while ((t = TAILQ_FIRST(&w->leases))) {
                        TAILQ_REMOVE(&w->leases, t, link);
                        w->n_leased--;
                }
                worker_free(&c->workers, w);
        }
}

Controld *manager_free(Controld *c) {
        if (!c)
                return NULL;
        local_worker_free(c->local);
        c->scale = scale_free(c->scale);
        c->store = store_close(c->store);
        schedules_done(c);
        if (c->backup)
                c->backup = ledger_drop(c->backup);
        ledger_done(&c->ledger);
        held_done(&c->held);
        free_workers(c);
        for (size_t i = 0; i < c->n_endpoints; i++)
                endpoint_free(c->endpoints[i]);
        timers_done(&c->timers);
        task_table_done(&c->tasks);
        dependencies_done(&c->dependencies);
        task_types_free(&c->types);
        pauses_done(c);
        wire_out_done(&c->out);
        if (c->tcp_context)
                (void) zmq_ctx_term(c->tcp_context);
        if (c->local_context)
                (void) zmq_ctx_term(c->local_context);
        conf_runtime_directory_release(c->runtime_directory);
        free(c->reload_error);
        reload_asker_tell(&c->reload_asker, -ESHUTDOWN);
        notify_free(c->notify);
        sd_event_source_disable_unref(c->probe);
        sd_event_source_disable_unref(c->tick);
        sd_event_source_disable_unref(c->turn_end);
        sd_event_source_disable_unref(c->grace);
        sd_event_source_disable_unref(c->token);
        sd_event_unref(c->event);
        conf_settings_free(&controld_conf_table, c->settings);
        conf_free(c->conf);
        free(c);
        return NULL;
}
