/* SPDX-License-Identifier: MIT */

/* SIGHUP: read, check, then swap. Runners are replaced in any case, so that a module that was rebuilt is
 * loaded anew; the old ones work on until one new runner has shown that the modules load. */

#include <inttypes.h>
#include <stdio.h>

#include "error-text.h"
#include "exec.h"
#include "log.h"
#include "message-ids.h"
#include "module-path.h"
#include "parse-util.h"
#include "program.h"
#include "subworkerd.h"
#include "task-files.h"

static int find_runner(RunnerKind kind, char **ret, char **ret_error) {
        const char *program = runner_program(kind);
        int r;

        r = program_find(program, PRIVATE_LIBEXECDIR, ret);
        if (r == -ENOENT)
                return fail_with_text(ret_error, r, "%s is neither beside this program nor in %s%s",
                                      program, PRIVATE_LIBEXECDIR,
                                      kind == RUNNER_PYTHON ? " (package python3-fastworker)" : "");
        if (r < 0 && r != -ENOMEM)
                return fail_with_text(ret_error, r, "%s: %s", program, strerror(-r));
        return r;
}

static int check_interpreter(const char *path, char **ret_error) {
        if (access(path, X_OK) >= 0)
                return 0;
        return fail_with_text(ret_error, -errno, "Python=%s: %s", path, strerror(errno));
}

static int add_options(const Settings *settings, RunnerKind kind, char ***argv) {
        _cleanup_free_ char *limit = NULL, *directories = NULL, *path = NULL;
        int r;

        if (asprintf(&limit, "--max-result-bytes=%" PRIu64, settings->max_result_bytes) < 0) {
                limit = NULL;
                return -ENOMEM;
        }
        r = strv_extend(argv, limit);
        if (r < 0 || kind != RUNNER_NATIVE || strv_length(settings->module_path) == 0)
                return r;
        /* Task files have their drop-ins along the path. */
        directories = strv_join(settings->module_path, ":");
        if (!directories || asprintf(&path, "--module-path=%s", directories) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        return strv_extend(argv, path);
}

/* What a runner is to load: modules, and task files without which it goes on. */
typedef struct Modules {
        char **files, **optional;
} Modules;

static void modules_done(Modules *m) {
        strv_free(m->files);
        strv_free(m->optional);
}

static int find_modules(const Settings *settings, Modules *m, char **ret_error) {
        _cleanup_strv_ char **names = NULL;
        int wanted, r;

        wanted = task_files_wanted(settings, &names);
        if (wanted < 0)
                return wanted;
        r = module_path_find(names, settings->module_path, &m->files, ret_error);
        return r < 0 || !wanted ? r : task_files_find(settings, m->files, &m->optional);
}

static int add_optional(char *const *files, char ***argv) {
        int r = 0;

        STRV_FOREACH(file, (char **) files) {
                _cleanup_free_ char *option = NULL;

                if (asprintf(&option, "--optional=%s", *file) < 0) {
                        option = NULL;
                        return -ENOMEM;
                }
                if (r >= 0)
                        r = strv_extend(argv, option);
        }
        return r;
}

static int build_argv(const Settings *settings, RunnerKind kind, const Modules *m, char ***ret,
                      char **ret_error) {
        _cleanup_strv_ char **argv = NULL;
        _cleanup_free_ char *runner = NULL;
        int r = 0;

        if (kind == RUNNER_PYTHON) {
                r = check_interpreter(settings->python, ret_error);
                if (r >= 0)
                        r = strv_extend(&argv, settings->python);
        }
        if (r >= 0)
                r = find_runner(kind, &runner, ret_error);
        if (r >= 0)
                r = strv_extend(&argv, runner);
        if (r >= 0)
                r = add_options(settings, kind, &argv);
        if (r >= 0 && kind == RUNNER_NATIVE)
                r = add_optional(m->optional, &argv);
        STRV_FOREACH(file, m->files)
                if (r >= 0 && module_runner(module_kind(*file)) == kind)
                        r = strv_extend(&argv, *file);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(argv);
        return 0;
}

static unsigned count_files(const Modules *m, RunnerKind kind) {
        unsigned n = kind == RUNNER_NATIVE ? strv_length(m->optional) > 0 : 0;

        STRV_FOREACH(file, m->files)
                n += module_runner(module_kind(*file)) == kind;
        return n;
}

/* Without any modules there are runners in C that have nothing to do: they are ready for a reload, and cost little. */
static int build_all_argv(const Settings *settings, const Modules *m, PoolCommand *c,
                          char **ret_error) {
        int r = 0;

        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX && r >= 0; kind++)
                if (count_files(m, kind) > 0 ||
                    (kind == RUNNER_NATIVE && strv_length(m->files) == 0))
                        r = build_argv(settings, kind, m, &c->argv[kind], ret_error);
        return r;
}

/* Where tasks may write, if that was said: the service manager's directories are in the environment already. */
static int add_directory(char ***environment, const char *name, char *path) {
        _cleanup_free_ char *directory = path, *assignment = NULL;

        if (asprintf(&assignment, "%s=%s", name, directory) < 0) {
                assignment = NULL;
                return -ENOMEM;
        }
        return strv_assign(environment, assignment);
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

int reload_runner_command(const Settings *settings, const JobUser *user, PoolCommand *ret,
                          char **ret_error) {
        _cleanup_(modules_done) Modules modules = {};
        PoolCommand c = {};
        int r;

        *ret_error = NULL;
        r = find_modules(settings, &modules, ret_error);
        if (r >= 0)
                r = build_all_argv(settings, &modules, &c, ret_error);
        c.optional = TAKE_PTR(modules.optional);
        if (r >= 0)
                r = build_environment(settings, user, &c.environment, ret_error);
        if (r < 0) {
                pool_command_done(&c);
                return r;
        }
        *ret = c;
        return 0;
}

/* --- reloading ------------------------------------------------------------------------------------ */

/* Keys that only a restart can change keep the value that is in force. All of them are moved, as the modules
 * borrow their strings. */
static void keep_fixed(Subworkerd *s, Settings *fresh, bool quiet) {
        for (size_t i = 0; i < subworkerd_conf_table.n_items; i++) {
                const ConfItem *item = &subworkerd_conf_table.items[i];

                if (!(item->flags & CONF_FIXED))
                        continue;
                if (!quiet && item->key && conf_item_differs(item, s->settings, fresh))
                        log_warning("%s=: the change takes effect with the next restart.",
                                    item->key);
                conf_item_swap(item, s->settings, fresh);
        }
}

static void apply(Subworkerd *s) {
        const Settings *settings = s->settings;
        uint64_t memory_max;
        PoolWear wear;

        log_set_max_level(settings->log_level);
        pool_set_limits(s->pool, (unsigned) settings->prefetch_max,
                        (size_t) settings->max_result_bytes);
        wear = manager_wear(settings, &memory_max);
        pool_set_wear(s->pool, &wear, memory_max);
        pool_set_output_max(s->pool, manager_output_max(settings));
}

void reload_forget_previous(Subworkerd *s) {
        if (!s->previous)
                return;
        conf_settings_free(&subworkerd_conf_table, s->previous);
        conf_free(s->previous_conf);
        s->previous = NULL;
        s->previous_conf = NULL;
}

/* The runners that try the new modules are to have the new limits, but for others these must not last if that fails. */
static void swap_in(Subworkerd *s, Settings *fresh, Conf *conf) {
        reload_forget_previous(s);
        keep_fixed(s, fresh, false);
        s->previous = s->settings;
        s->previous_conf = s->conf;
        s->settings = fresh;
        s->conf = conf;
        apply(s);
}

static void swap_back(Subworkerd *s) {
        Settings *refused = s->settings;
        Conf *conf = s->conf;

        if (!s->previous)
                return;
        keep_fixed(s, s->previous, true);
        s->settings = TAKE_PTR(s->previous);
        s->conf = TAKE_PTR(s->previous_conf);
        conf_settings_free(&subworkerd_conf_table, refused);
        conf_free(conf);
        apply(s);
}

void reload_failed(Subworkerd *s, const char *reason) {
        s->reloading = false;
        swap_back(s);
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
        reload_forget_previous(s);
        log_event(LOG_INFO, 0,
                  LOG_FIELDS(.message_id = MESSAGE_RELOADED, .worker_id = s->settings->worker_id),
                  "Configuration and modules reloaded.");
        free(s->reload_error);
        s->reload_error = NULL;
        notify_ready(s->notify, NULL);
        manager_show_status(s);
        reload_asker_tell(&s->reload_asker, 0);
}

static int read_and_check(Subworkerd *s, Settings **ret, Conf **ret_conf, PoolCommand *ret_command,
                          char **ret_error) {
        void *fresh = NULL;
        Conf *conf = NULL;
        int r;

        r = conf_reload(&subworkerd_conf_table, s->argc, s->argv, &fresh, &conf, ret_error);
        if (r < 0)
                return r;
        r = settings_check(fresh, ret_error);
        if (r >= 0)
                r = reload_runner_command(fresh, s->job_user, ret_command, ret_error);
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
        PoolCommand command;
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
        r = read_and_check(s, &fresh, &conf, &command, &error);
        if (r < 0) {
                reload_failed(s, error ? error : strerror(-r));
                return;
        }
        swap_in(s, fresh, conf);
        r = pool_run(s->pool, &command, (unsigned) s->settings->concurrency);
        if (r < 0)
                reload_failed(s, strerror(-r));
}
