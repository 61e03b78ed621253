/* SPDX-License-Identifier: MIT */

/* SIGHUP: read, check, then swap. Runners are replaced in any case, so that a module that was rebuilt is
 * loaded anew; the old ones work on until one new runner has shown that the modules load. */

#include <inttypes.h>
#include <stdio.h>

#include "exec.h"
#include "log.h"
#include "message-ids.h"
#include "module-path.h"
#include "parse-util.h"
#include "program.h"
#include "subworkerd.h"

#define RUNNER_PROGRAM "fastworker-runner"

static int build_argv(const Settings *settings, char *const *files, char ***ret, char **ret_error) {
        _cleanup_strv_ char **argv = NULL;
        _cleanup_free_ char *runner = NULL, *limit = NULL, *path = NULL, *directories = NULL;
        int r;

        r = program_find(RUNNER_PROGRAM, PRIVATE_LIBEXECDIR, &runner);
        if (r < 0) {
                if (asprintf(ret_error, "%s is neither beside this program nor in %s",
                             RUNNER_PROGRAM, PRIVATE_LIBEXECDIR) < 0)
                        *ret_error = NULL;
                return r;
        }
        if (asprintf(&limit, "--max-result-bytes=%" PRIu64, settings->max_result_bytes) < 0) {
                limit = NULL;
                return -ENOMEM;
        }
        directories = strv_join(settings->module_path, ":");
        if (!directories || asprintf(&path, "--module-path=%s", directories) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = strv_extend(&argv, runner);
        if (r >= 0)
                r = strv_extend(&argv, limit);
        if (r >= 0 && directories[0])
                r = strv_extend(&argv, path);
        STRV_FOREACH(file, (char **) files)
                if (r >= 0)
                        r = strv_extend(&argv, *file);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(argv);
        return 0;
}

/* Where tasks may write, if that was said: the service manager's directories are in the environment already. */
static int add_directory(char ***environment, const char *name, char *path) {
        _cleanup_free_ char *directory = path, *assignment = NULL;

        if (asprintf(&assignment, "%s=%s", name, directory) < 0) {
                assignment = NULL;
                return -ENOMEM;
        }
        return exec_environment_set(environment, assignment);
}

static int build_environment(const Settings *settings, const JobUser *user, char ***ret,
                             char **ret_error) {
        _cleanup_strv_ char **environment = NULL;
        const char *failed = NULL;
        char *path;
        int r;

        r = exec_environment(&environment);
        if (r >= 0 && user)
                r = job_user_set_environment(user, &environment);
        if (r >= 0 && settings->state_directory) {
                r = conf_state_directory(settings->state_directory, &path);
                failed = r < 0 ? settings->state_directory : NULL;
                if (r >= 0)
                        r = add_directory(&environment, "STATE_DIRECTORY", path);
        }
        if (r >= 0 && settings->runtime_directory) {
                r = conf_runtime_directory(settings->runtime_directory, &path);
                failed = r < 0 ? settings->runtime_directory : NULL;
                if (r >= 0)
                        r = add_directory(&environment, "RUNTIME_DIRECTORY", path);
        }
        if (failed && asprintf(ret_error, "directory %s: %s", failed, strerror(-r)) < 0)
                *ret_error = NULL;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(environment);
        return 0;
}

int reload_runner_command(const Settings *settings, const JobUser *user, char ***ret_argv,
                          char ***ret_environment, char **ret_error) {
        _cleanup_strv_ char **files = NULL, **argv = NULL;
        int r;

        *ret_error = NULL;
        r = module_path_find(settings->task_modules, settings->module_path, &files, ret_error);
        if (r >= 0)
                r = build_argv(settings, files, &argv, ret_error);
        if (r >= 0)
                r = build_environment(settings, user, ret_environment, ret_error);
        if (r < 0)
                return r;
        *ret_argv = TAKE_PTR(argv);
        return 0;
}

/* --- reloading ------------------------------------------------------------------------------------ */

void reload_failed(Subworkerd *s, const char *reason) {
        s->reloading = false;
        log_event(LOG_ERR, 0,
                  LOG_FIELDS(.message_id = MESSAGE_RELOAD_FAILED,
                             .worker_id = s->settings->worker_id),
                  "Reload failed, going on as before: %s", reason);
        notify_ready(s->notify, NULL);
        free(s->reload_error);
        s->reload_error = strdup(reason);
        manager_show_status(s);
        reload_asker_tell(&s->reload_asker, -EBADMSG);
}

void reload_done(Subworkerd *s) {
        s->reloading = false;
        log_event(LOG_INFO, 0,
                  LOG_FIELDS(.message_id = MESSAGE_RELOADED, .worker_id = s->settings->worker_id),
                  "Configuration and modules reloaded.");
        free(s->reload_error);
        s->reload_error = NULL;
        notify_ready(s->notify, NULL);
        manager_show_status(s);
        reload_asker_tell(&s->reload_asker, 0);
}

/* Keys that only a restart can change keep the value that is in force. All of them are moved, as the modules
 * borrow their strings. */
static void keep_fixed(Subworkerd *s, Settings *fresh) {
        for (size_t i = 0; i < subworkerd_conf_table.n_items; i++) {
                const ConfItem *item = &subworkerd_conf_table.items[i];

                if (!(item->flags & CONF_FIXED))
                        continue;
                if (item->key && conf_item_differs(item, s->settings, fresh))
                        log_warning("%s=: the change takes effect with the next restart.",
                                    item->key);
                conf_item_swap(item, s->settings, fresh);
        }
}

static void swap_in(Subworkerd *s, Settings *fresh, Conf *conf) {
        keep_fixed(s, fresh);
        conf_settings_free(&subworkerd_conf_table, s->settings);
        conf_free(s->conf);
        s->settings = fresh;
        s->conf = conf;
        log_set_max_level(fresh->log_level);
        pool_set_limits(s->pool, (unsigned) fresh->prefetch_max, (size_t) fresh->max_result_bytes);
}

static int read_and_check(Subworkerd *s, Settings **ret, Conf **ret_conf, char ***ret_argv,
                          char ***ret_environment, char **ret_error) {
        void *fresh = NULL;
        Conf *conf = NULL;
        int r;

        r = conf_reload(&subworkerd_conf_table, s->argc, s->argv, &fresh, &conf, ret_error);
        if (r < 0)
                return r;
        r = settings_check(fresh, ret_error);
        if (r >= 0)
                r = reload_runner_command(fresh, s->job_user, ret_argv, ret_environment, ret_error);
        if (r < 0) {
                conf_settings_free(&subworkerd_conf_table, fresh);
                conf_free(conf);
                return r;
        }
        *ret = fresh;
        *ret_conf = conf;
        return 0;
}

void reload(Subworkerd *s) {
        _cleanup_free_ char *error = NULL;
        char **argv = NULL, **environment = NULL;
        Settings *fresh = NULL;
        Conf *conf = NULL;
        int r;

        if (!s->ready || s->drain != DRAIN_NONE) {
                log_notice("Not reloading: the subworker is %s.",
                           s->ready ? "stopping" : "still starting");
                reload_asker_tell(&s->reload_asker, -EBUSY);
                return;
        }
        s->reloading = true;
        notify_reloading(s->notify);
        r = read_and_check(s, &fresh, &conf, &argv, &environment, &error);
        if (r < 0) {
                reload_failed(s, error ? error : strerror(-r));
                return;
        }
        swap_in(s, fresh, conf);
        r = pool_run(s->pool, argv, environment, (unsigned) s->settings->concurrency);
        if (r < 0)
                reload_failed(s, strerror(-r));
}
