/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "controld.h"
#include "log.h"
#include "message-ids.h"
#include "parse-util.h"
#include "program.h"
#include "time-util.h"

#define BACKOFF_MIN_USEC (USEC_PER_SEC)
#define BACKOFF_MAX_USEC (30 * USEC_PER_SEC)
#define STOP_MAX_USEC    (60 * USEC_PER_SEC) /* well above the worker's own DrainSec= */

struct LocalWorker {
        Controld *controld;
        char *address;
        pid_t pid; /* 0: does not run */
        sd_event_source *child;
        bool registered, stopping, restart;
        uint64_t idle_since_usec; /* 0: busy, or not running */
        uint64_t not_before_usec; /* after a failure: when to try again */
        uint64_t backoff_usec;
        uint64_t kill_at_usec;
        uint64_t n_done; /* when last looked at */
        LocalWorkerReady ready;
        void *userdata;
};

static void tell(LocalWorker *l, int error) {
        LocalWorkerReady ready = l->ready;

        l->ready = NULL;
        if (ready)
                ready(error, l->userdata);
}

static void note_failure(LocalWorker *l, const siginfo_t *si) {
        char why[64];

        if (si->si_code == CLD_EXITED)
                (void) snprintf(why, sizeof(why), "exited with status %i", si->si_status);
        else
                (void) snprintf(why, sizeof(why), "was killed by signal %i", si->si_status);
        l->backoff_usec = CLAMP(l->backoff_usec * 2, BACKOFF_MIN_USEC, BACKOFF_MAX_USEC);
        l->not_before_usec = now_usec(CLOCK_MONOTONIC) + l->backoff_usec;
        log_event(LOG_WARNING, 0, LOG_FIELDS(.message_id = MESSAGE_LOCAL_WORKER_FAILED),
                  "The local worker (pid %" PRIu64 ") %s.", (uint64_t) l->pid, why);
}

static int on_child_exit(sd_event_source *s, const siginfo_t *si, void *userdata) {
        LocalWorker *l = userdata;
        bool failed = si->si_code != CLD_EXITED || si->si_status != 0;

        if (failed)
                note_failure(l, si);
        else
                l->backoff_usec = 0;
        l->pid = 0;
        l->child = sd_event_source_unref(l->child);
        l->registered = l->stopping = false;
        l->idle_since_usec = 0;
        tell(l, -ECHILD); /* if it never registered */
        if (l->restart && !l->controld->stopping) {
                l->restart = false;
                local_worker_want(l);
        }
        return 0;
}

static int build_arguments(const LocalWorker *l, char ***ret) {
        const Settings *s = l->controld->settings;
        _cleanup_strv_ char **argv = NULL;
        _cleanup_free_ char *id = NULL, *modules = NULL, *path = NULL, *concurrency = NULL,
                            *max_result = NULL, *labels = NULL;
        int r = 0;

        modules = strv_join(s->task_modules, ",");
        path = strv_join(s->module_path, ":");
        labels = strv_join(s->labels, ",");
        if (!modules || !path || !labels || asprintf(&id, "%.100s-local", s->worker_id) < 0 ||
            asprintf(&concurrency, "%" PRIu64, s->concurrency) < 0 ||
            asprintf(&max_result, "%" PRIu64, s->max_result_bytes) < 0)
                return -ENOMEM;

        const char *const words[] = {
                "fastworker-subworkerd",
                "--config",
                "/dev/null",
                "--local",
                "--worker-id",
                id,
                "--control-plane-address",
                l->address,
                "--task-modules",
                modules,
                "--module-path",
                path,
                "--concurrency",
                concurrency,
                "--labels",
                labels,
                "--max-result",
                max_result,
                "--log-level",
                log_level_to_string(s->log_level),
        };
        for (size_t i = 0; i < ELEMENTSOF(words) && r >= 0; i++)
                r = strv_extend(&argv, words[i]);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(argv);
        return 0;
}

/* What is meant for us alone does not reach the child. */
static int build_environment(char ***ret) {
        static const char *const ours[] = { "NOTIFY_SOCKET=",   "LISTEN_",
                                            "WATCHDOG_",        "FASTWORKER_",
                                            "STATE_DIRECTORY=", "CREDENTIALS_DIRECTORY=" };
        _cleanup_strv_ char **env = NULL;
        int r;

        STRV_FOREACH(e, environ) {
                bool skip = false;

                for (size_t i = 0; i < ELEMENTSOF(ours); i++)
                        skip = skip || strncmp(*e, ours[i], strlen(ours[i])) == 0;
                if (skip)
                        continue;
                r = strv_extend(&env, *e);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(env);
        return 0;
}

static int spawn(LocalWorker *l) {
        _cleanup_strv_ char **argv = NULL, **env = NULL;
        _cleanup_free_ char *path = NULL;
        posix_spawnattr_t attributes;
        struct rlimit limit;
        sigset_t none;
        int r;

        r = program_find("fastworker-subworkerd", SBINDIR, &path);
        if (r < 0)
                return log_error_errno(
                        r, "Could not find fastworker-subworkerd for the local worker: %m");
        r = build_arguments(l, &argv);
        if (r >= 0)
                r = build_environment(&env);
        if (r < 0)
                return log_error_errno(r, "Could not prepare the local worker: %m");

        (void) sigemptyset(&none);
        (void) posix_spawnattr_init(&attributes);
        (void) posix_spawnattr_setsigmask(&attributes, &none);
        (void) posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        r = -posix_spawn(&l->pid, path, NULL, &attributes, argv, env);
        (void) posix_spawnattr_destroy(&attributes);
        if (r < 0) {
                l->pid = 0;
                return log_error_errno(r, "Could not start %s: %m", path);
        }
        r = sd_event_add_child(l->controld->event, &l->child, l->pid, WEXITED, on_child_exit, l);
        if (r < 0) {
                (void) kill(l->pid, SIGKILL);
                (void) waitpid(l->pid, NULL, 0);
                l->pid = 0;
                return log_error_errno(r, "Could not watch the local worker: %m");
        }
        /* Tasks that use select() would not survive our own high limit. */
        if (getrlimit(RLIMIT_NOFILE, &limit) >= 0) {
                limit.rlim_cur = MIN((rlim_t) l->controld->inherited_nofile, limit.rlim_max);
                (void) prlimit(l->pid, RLIMIT_NOFILE, &limit, NULL);
        }
        log_info("Started the local worker (pid %" PRIu64 ").", (uint64_t) l->pid);
        return 0;
}

int local_worker_new(Controld *c, const char *address, LocalWorker **ret) {
        _cleanup_(local_worker_freep) LocalWorker *l = calloc(1, sizeof(*l));

        if (!l)
                return -ENOMEM;
        l->controld = c;
        l->address = strdup(address);
        if (!l->address)
                return -ENOMEM;
        *ret = TAKE_PTR(l);
        return 0;
}

LocalWorker *local_worker_free(LocalWorker *l) {
        if (!l)
                return NULL;
        sd_event_source_disable_unref(l->child);
        if (l->pid > 0) {
                (void) kill(l->pid, SIGKILL);
                (void) waitpid(l->pid, NULL, 0);
        }
        free(l->address);
        free(l);
        return NULL;
}

int local_worker_learn(LocalWorker *l, LocalWorkerReady ready, void *userdata) {
        l->ready = ready;
        l->userdata = userdata;
        return spawn(l);
}

void local_worker_want(LocalWorker *l) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (!l || l->pid > 0 || now < l->not_before_usec)
                return;
        if (spawn(l) < 0)
                l->not_before_usec = now + BACKOFF_MAX_USEC;
}

bool local_worker_is(const LocalWorker *l, uint64_t pid) {
        return l && l->pid > 0 && (uint64_t) l->pid == pid;
}

bool local_worker_runs(const LocalWorker *l) {
        return l && l->pid > 0;
}

void local_worker_registered(LocalWorker *l) {
        l->registered = true;
        l->idle_since_usec = 0;
        tell(l, 0);
}

/* Whether it did nothing since the last look. */
static bool is_idle(LocalWorker *l) {
        Worker *w, *next;

        HASH_ITER(hh, l->controld->workers.workers, w, next) {
                if (w->local && (w->n_leased > 0 || w->n_done != l->n_done)) {
                        l->n_done = w->n_done;
                        return false;
                }
        }
        return true;
}

void local_worker_care(LocalWorker *l) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (!l || l->pid == 0)
                return;
        if (l->stopping) {
                if (now > l->kill_at_usec)
                        (void) kill(l->pid, SIGKILL);
                return;
        }
        if (!l->registered)
                return;
        if (!is_idle(l))
                l->idle_since_usec = 0;
        else if (l->idle_since_usec == 0)
                l->idle_since_usec = now;
        else if (now - l->idle_since_usec > l->controld->settings->local_worker_idle_usec) {
                log_info("The local worker is idle, stopping it.");
                local_worker_stop(l);
        }
}

void local_worker_stop(LocalWorker *l) {
        if (!l || l->pid == 0 || l->stopping)
                return;
        l->stopping = true;
        l->kill_at_usec = now_usec(CLOCK_MONOTONIC) + STOP_MAX_USEC;
        (void) kill(l->pid, SIGTERM);
}

void local_worker_restart(LocalWorker *l) {
        if (!l)
                return;
        /* One that does not run is started, to learn what the modules offer now. */
        if (l->pid == 0) {
                local_worker_want(l);
                return;
        }
        l->restart = true;
        local_worker_stop(l);
}
