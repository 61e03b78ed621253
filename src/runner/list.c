/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "list.h"
#include "module-path.h"
#include "module.h"
#include "parse-util.h"

static int fail(int error, const char *text) {
        fprintf(stderr, "fastworker-runner: %s\n", text ? text : strerror(-error));
        return error;
}

int list_tasks(char *const *names, char *const *module_path) {
        _cleanup_(modules_freep) Modules *modules = NULL;
        _cleanup_free_ char *error = NULL, *text = NULL;
        _cleanup_strv_ char **files = NULL, **directories = NULL;
        size_t size;
        int r;

        r = module_path_find(names, module_path, &files, &error);
        if (r < 0)
                return fail(r, error);
        r = module_path_task_directories(module_path, &directories);
        if (r >= 0)
                r = modules_new(&modules);
        if (r >= 0)
                r = modules_set_directories(modules, directories);
        STRV_FOREACH(file, files) {
                if (r >= 0)
                        r = modules_load(modules, *file, &error);
        }
        if (r >= 0)
                r = modules_list(modules, &text, &size);
        if (r < 0)
                return fail(r, error);
        if (fwrite(text, 1, size, stdout) != size || fflush(stdout) != 0)
                return fail(-EIO, "cannot write to standard output");
        return 0;
}
