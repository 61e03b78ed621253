/* SPDX-License-Identifier: MIT */

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "error-text.h"
#include "module-path.h"
#include "parse-util.h"
#include "read-file.h"

/* By kind. A name without a suffix is a module in C or Python, else a task file. */
static const char *const suffixes[_MODULE_KIND_MAX] = {
        [MODULE_NATIVE] = ".so",
        [MODULE_PYTHON] = ".py",
        [MODULE_COMMAND] = ".task",
};

/* The places that are searched, most important first. */
typedef struct Places {
        char **modules;    /* ModulePath= and the installed place */
        char **task_files; /* the same behind the directories that are for task files only */
} Places;

static void places_done(Places *p) {
        strv_free(p->modules);
        strv_free(p->task_files);
}

static char **places_of(const Places *p, ModuleKind kind) {
        return kind == MODULE_COMMAND ? p->task_files : p->modules;
}

ModuleKind module_kind(const char *file) {
        size_t n = strlen(file);

        for (ModuleKind kind = 0; kind < _MODULE_KIND_MAX; kind++) {
                size_t n_suffix = strlen(suffixes[kind]);

                if (n > n_suffix && streq(file + n - n_suffix, suffixes[kind]))
                        return kind;
        }
        return _MODULE_KIND_INVALID;
}

RunnerKind module_runner(ModuleKind kind) {
        return kind == MODULE_PYTHON ? RUNNER_PYTHON : RUNNER_NATIVE;
}

const char *runner_program(RunnerKind kind) {
        return kind == RUNNER_PYTHON ? "fastworker-runner-python" : "fastworker-runner";
}

/* An empty file or a link to /dev/null in place of a task file says that there is no such task. */
static bool is_mask(const char *file, const struct stat *st) {
        return module_kind(file) == MODULE_COMMAND &&
               (S_ISREG(st->st_mode) ? st->st_size == 0 : is_null_device(st));
}

/* Appends the absolute name if it is a file; its last part stays as it is, as a link may have another suffix than the
 * file it leads to, and a task file is called like the link to it. Returns 1, 0 if it is none, -ENOMEM, or -ERFKILL if
 * it masks. */
static int try_file(char ***files, const char *file) {
        _cleanup_free_ char *parent = NULL, *directory = NULL, *absolute = NULL;
        const char *slash = strrchr(file, '/');
        struct stat st;
        int r;

        if (stat(file, &st) < 0)
                return 0;
        if (is_mask(file, &st))
                return -ERFKILL;
        if (!S_ISREG(st.st_mode))
                return 0;
        parent = slash ? strndup(file, MAX((size_t) (slash - file), (size_t) 1)) : strdup(".");
        directory = parent ? realpath(parent, NULL) : NULL;
        if (!directory)
                return !parent || errno == ENOMEM ? -ENOMEM : 0;
        if (asprintf(&absolute, "%s/%s", streq(directory, "/") ? "" : directory,
                     slash ? slash + 1 : file) < 0) {
                absolute = NULL;
                return -ENOMEM;
        }
        r = strv_extend(files, absolute);
        return r < 0 ? r : 1;
}

static int try_suffix(char ***files, const char *directory, const char *name, const char *suffix) {
        _cleanup_free_ char *file = NULL;

        if (asprintf(&file, "%s/%s%s", directory, name, suffix) < 0) {
                file = NULL;
                return -ENOMEM;
        }
        return try_file(files, file);
}

static int find_along(char ***files, const char *name, const char *suffix, char **directories) {
        int r;

        STRV_FOREACH(directory, directories) {
                r = try_suffix(files, *directory, name, suffix);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* A module in C or Python. */
static int find_code(char ***files, const char *name, char **directories, char **ret_error) {
        STRV_FOREACH(directory, directories) {
                int r, found = 0;
                size_t n;

                for (ModuleKind kind = 0; kind < MODULE_COMMAND; kind++) {
                        r = try_suffix(files, *directory, name, suffixes[kind]);
                        if (r < 0)
                                return r;
                        found += r;
                }
                n = strv_length(*files);
                if (found > 1)
                        return fail_with_text(
                                ret_error, -ENOTUNIQ,
                                "Task module %s (TaskModules=): there are both %s and %s; give the one that is "
                                "meant with its suffix",
                                name, (*files)[n - 2], (*files)[n - 1]);
                if (found > 0)
                        return 1;
        }
        return 0;
}

static int find_one(char ***files, const char *name, const Places *places, char **ret_error) {
        ModuleKind kind = module_kind(name);
        int r;

        if (strchr(name, '/'))
                return try_file(files, name);
        if (kind >= 0)
                return find_along(files, name, "", places_of(places, kind));
        r = find_code(files, name, places->modules, ret_error);
        return r != 0 ? r : find_along(files, name, suffixes[MODULE_COMMAND], places->task_files);
}

/* Each element may be several directories; behind them comes the installed place. */
static int list_directories(char *const *path, char ***ret) {
        int r = 0;

        STRV_FOREACH(element, (char **) path)
                if (r >= 0)
                        r = strv_split_extend(ret, *element, ":");
        return r < 0 ? r : strv_extend(ret, MODULEDIR);
}

int module_path_task_directories(char *const *path, char ***ret) {
        _cleanup_strv_ char **directories = NULL;
        int r;

        r = strv_extend(&directories, SYSCONFDIR "/fastworker/tasks.d");
        if (r >= 0)
                r = strv_extend(&directories, TASKDIR);
        if (r >= 0)
                r = list_directories(path, &directories);
        if (r >= 0)
                *ret = TAKE_PTR(directories);
        return r;
}

static int is_task_file_name(const struct dirent *d) {
        return d->d_name[0] != '.' && module_kind(d->d_name) == MODULE_COMMAND;
}

/* A directory that is not there, or may not be read, has none. */
static int add_task_files(char ***files, char ***seen, const char *directory) {
        struct dirent **entries = NULL;
        int n, r = 0;

        n = scandir(directory, &entries, is_task_file_name, alphasort);
        if (n < 0)
                return errno == ENOMEM ? -ENOMEM : 0;
        for (int i = 0; i < n; i++) {
                const char *name = entries[i]->d_name;

                if (r >= 0 && !strv_contains(*seen, name)) {
                        r = try_suffix(files, directory, name, "");
                        if (r != 0 && r != -ENOMEM)
                                r = strv_extend(seen, name);
                }
                free(entries[i]);
        }
        free(entries);
        return r;
}

int module_path_all_task_files(char *const *directories, char ***ret_files) {
        _cleanup_strv_ char **files = NULL, **seen = NULL;
        int r = 0;

        STRV_FOREACH(directory, (char **) directories)
                if (r >= 0)
                        r = add_task_files(&files, &seen, *directory);
        if (r < 0)
                return r;
        *ret_files = TAKE_PTR(files);
        return 0;
}

static int explain_missing(const char *name, const Places *places, char **ret_error) {
        _cleanup_free_ char *modules = NULL, *task_files = NULL;
        ModuleKind kind = module_kind(name);

        if (strchr(name, '/'))
                return fail_with_text(ret_error, -ENOENT, "Task module %s: there is no such file",
                                      name);
        modules = strv_join(places->modules, " ");
        task_files = strv_join(places->task_files, " ");
        if (!modules || !task_files)
                return -ENOMEM;
        if (kind >= 0)
                return fail_with_text(
                        ret_error, -ENOENT,
                        "Task module %s (TaskModules=): no %s in any of the directories of ModulePath=: %s",
                        name, name, kind == MODULE_COMMAND ? task_files : modules);
        return fail_with_text(
                ret_error, -ENOENT,
                "Task module %s (TaskModules=): no %s%s and no %s%s in any of the directories of "
                "ModulePath=: %s; and no %s%s in: %s",
                name, name, suffixes[MODULE_NATIVE], name, suffixes[MODULE_PYTHON], modules, name,
                suffixes[MODULE_COMMAND], task_files);
}

static int explain_mask(const char *name, char **ret_error) {
        return fail_with_text(
                ret_error, -ENOENT,
                "Task module %s: it is masked, an empty file or a link to /dev/null is in its place",
                name);
}

static int check_kind(const char *file, char **ret_error) {
        if (module_kind(file) >= 0)
                return 0;
        return fail_with_text(
                ret_error, -EINVAL, "Task module %s: the name of a module ends in %s, %s or %s",
                file, suffixes[MODULE_NATIVE], suffixes[MODULE_PYTHON], suffixes[MODULE_COMMAND]);
}

int module_path_find(char *const *names, char *const *path, char ***ret_files, char **ret_error) {
        _cleanup_(places_done) Places places = {};
        _cleanup_strv_ char **files = NULL;
        int r;

        *ret_error = NULL;
        r = list_directories(path, &places.modules);
        if (r >= 0)
                r = module_path_task_directories(path, &places.task_files);
        if (r < 0)
                return r;

        STRV_FOREACH(name, (char **) names) {
                r = find_one(&files, *name, &places, ret_error);
                if (r == -ERFKILL)
                        return explain_mask(*name, ret_error);
                if (r == 0)
                        return explain_missing(*name, &places, ret_error);
                if (r > 0)
                        r = check_kind(files[strv_length(files) - 1], ret_error);
                if (r < 0)
                        return r;
        }
        *ret_files = TAKE_PTR(files);
        return 0;
}
