/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "error-text.h"
#include "module-path.h"
#include "parse-util.h"

/* Kinds of modules by the suffix of their files; a name without one is tried with each, in this order. */
static const char *const suffixes[] = { ".so", ".task" };

static bool ends_with(const char *name, const char *suffix) {
        size_t n = strlen(name), n_suffix = strlen(suffix);

        return n > n_suffix && streq(name + n - n_suffix, suffix);
}

static bool has_suffix(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                if (ends_with(name, suffixes[i]))
                        return true;
        return false;
}

bool module_path_is_task_file(const char *file) {
        return ends_with(file, ".task");
}

/* An empty file or a link to /dev/null in place of a task file says that there is no such task. */
static bool is_mask(const char *file, const struct stat *st) {
        return module_path_is_task_file(file) &&
               (S_ISREG(st->st_mode) ? st->st_size == 0
                                     : S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3));
}

/* Appends the absolute name if it is a file; the last part of it stays as it is, as a task file is called like
 * the link to it. Returns 1, 0 if it is none, -ENOMEM, or -ERFKILL if it masks. */
static int try_file(char ***files, const char *file) {
        _cleanup_free_ char *directory = NULL, *parent = NULL, *absolute = NULL;
        const char *slash = strrchr(file, '/');
        struct stat st;
        int r;

        if (stat(file, &st) < 0)
                return 0;
        if (is_mask(file, &st))
                return -ERFKILL;
        if (!S_ISREG(st.st_mode))
                return 0;
        if (!module_path_is_task_file(file)) {
                absolute = realpath(file, NULL);
                if (!absolute)
                        return errno == ENOMEM ? -ENOMEM : 0;
        } else {
                parent = slash ? strndup(file, MAX((size_t) (slash - file), (size_t) 1))
                               : strdup(".");
                directory = parent ? realpath(parent, NULL) : NULL;
                if (!directory)
                        return !parent || errno == ENOMEM ? -ENOMEM : 0;
                if (asprintf(&absolute, "%s/%s", directory, slash ? slash + 1 : file) < 0) {
                        absolute = NULL;
                        return -ENOMEM;
                }
        }
        r = strv_extend(files, absolute);
        return r < 0 ? r : 1;
}

static int find_along(char ***files, const char *name, const char *suffix,
                      char *const *directories) {
        int r;

        STRV_FOREACH(directory, (char **) directories) {
                _cleanup_free_ char *file = NULL;

                if (asprintf(&file, "%s/%s%s", *directory, name, suffix) < 0) {
                        file = NULL;
                        return -ENOMEM;
                }
                r = try_file(files, file);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int find_one(char ***files, const char *name, char *const *directories,
                    char *const *task_directories) {
        int r = 0;

        if (strchr(name, '/'))
                return try_file(files, name);
        if (has_suffix(name))
                return find_along(files, name, "",
                                  module_path_is_task_file(name) ? task_directories : directories);
        for (size_t i = 0; i < ELEMENTSOF(suffixes) && r == 0; i++)
                r = find_along(files, name, suffixes[i],
                               streq(suffixes[i], ".task") ? task_directories : directories);
        return r;
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

static int explain_missing(const char *name, char *const *directories,
                           char *const *task_directories, char **ret_error) {
        _cleanup_free_ char *places = NULL, *task_places = NULL;

        if (strchr(name, '/'))
                return fail_with_text(ret_error, -ENOENT, "Task module %s: there is no such file", name);
        places = strv_join(directories, " ");
        task_places = strv_join(task_directories, " ");
        if (!places || !task_places)
                return -ENOMEM;
        if (has_suffix(name))
                return fail_with_text(ret_error, -ENOENT,
                            "Task module %s (TaskModules=): no %s in any of the directories of "
                            "ModulePath=: %s",
                            name, name, module_path_is_task_file(name) ? task_places : places);
        return fail_with_text(ret_error, -ENOENT,
                    "Task module %s (TaskModules=): no %s.so in any of the directories of "
                    "ModulePath=: %s; and no %s.task in: %s",
                    name, name, places, name, task_places);
}

int module_path_find(char *const *names, char *const *path, char ***ret_files, char **ret_error) {
        _cleanup_strv_ char **files = NULL, **directories = NULL, **task_directories = NULL;
        int r;

        *ret_error = NULL;
        r = list_directories(path, &directories);
        if (r >= 0)
                r = module_path_task_directories(path, &task_directories);
        if (r < 0)
                return r;

        STRV_FOREACH(name, (char **) names) {
                r = find_one(&files, *name, directories, task_directories);
                if (r == -ERFKILL)
                        return fail_with_text(ret_error, -ENOENT,
                                    "Task module %s: it is masked, an empty file or a link to "
                                    "/dev/null is in its place",
                                    *name);
                if (r < 0)
                        return r;
                if (r == 0)
                        return explain_missing(*name, directories, task_directories, ret_error);
        }
        *ret_files = TAKE_PTR(files);
        return 0;
}
