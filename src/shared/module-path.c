/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <sys/stat.h>

#include "error-text.h"
#include "module-path.h"
#include "parse-util.h"

#define SUFFIX ".so"

static bool has_suffix(const char *name) {
        size_t n = strlen(name);

        return n > strlen(SUFFIX) && streq(name + n - strlen(SUFFIX), SUFFIX);
}

/* Appends the absolute name if it is a file. Returns 1, 0 if not, or -ENOMEM. */
static int try_file(char ***files, const char *file) {
        _cleanup_free_ char *absolute = NULL;
        struct stat st;
        int r;

        if (stat(file, &st) < 0 || !S_ISREG(st.st_mode))
                return 0;
        absolute = realpath(file, NULL);
        if (!absolute)
                return errno == ENOMEM ? -ENOMEM : 0;
        r = strv_extend(files, absolute);
        return r < 0 ? r : 1;
}

static int find_one(char ***files, const char *name, char *const *directories) {
        const char *suffix = has_suffix(name) ? "" : SUFFIX;
        int r;

        if (strchr(name, '/'))
                return try_file(files, name);

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

int module_path_find(char *const *names, char *const *path, char ***ret_files, char **ret_error) {
        _cleanup_strv_ char **files = NULL, **directories = NULL;
        _cleanup_free_ char *places = NULL;
        int r;

        *ret_error = NULL;
        STRV_FOREACH(element, (char **) path) {
                r = strv_split_extend(&directories, *element, ":");
                if (r < 0)
                        return r;
        }
        r = strv_extend(&directories, MODULEDIR);
        if (r < 0)
                return r;

        STRV_FOREACH(name, (char **) names) {
                r = find_one(&files, *name, directories);
                if (r < 0)
                        return r;
                if (r > 0)
                        continue;
                if (strchr(*name, '/'))
                        return fail_with_text(ret_error, -ENOENT,
                                              "Task module %s: there is no such file", *name);
                places = strv_join(directories, " ");
                if (!places)
                        return -ENOMEM;
                return fail_with_text(
                        ret_error, -ENOENT,
                        "Task module %s (TaskModules=): no %s%s in any of the directories of ModulePath=: %s",
                        *name, *name, has_suffix(*name) ? "" : SUFFIX, places);
        }
        *ret_files = TAKE_PTR(files);
        return 0;
}
