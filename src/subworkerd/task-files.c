/* SPDX-License-Identifier: MIT */

#include "task-files.h"
#include "log.h"
#include "message-ids.h"
#include "module-path.h"
#include "parse-util.h"
#include "task-file.h"

int task_files_wanted(const Settings *settings, char ***ret_names) {
        _cleanup_strv_ char **names = NULL;
        bool wanted = false;
        int r = 0;

        STRV_FOREACH(name, settings->task_modules) {
                if (streq(*name, MODULE_ALL_TASK_FILES))
                        wanted = true;
                else if (r >= 0)
                        r = strv_extend(&names, *name);
        }
        if (r < 0)
                return r;
        *ret_names = TAKE_PTR(names);
        return wanted;
}

static const char *last_part(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* Two files of a name are the same task. */
static bool is_there(char *const *files, const char *path) {
        STRV_FOREACH(file, (char **) files)
                if (streq(last_part(*file), last_part(path)))
                        return true;
        return false;
}

static void complain(const Settings *settings, const char *path, const char *problem) {
        log_event(LOG_ERR, 0,
                  LOG_FIELDS(.message_id = MESSAGE_TASK_FILE_BAD, .worker_id = settings->worker_id),
                  "Task file %s is left out: %s", last_part(path), problem);
}

/* Returns 1 if a runner can be expected to load it, 0, or -ENOMEM. */
static int check(const Settings *settings, const char *path, char *const *directories) {
        _cleanup_(task_file_freep) TaskFile *t = NULL;
        _cleanup_strv_ char **problems = NULL;
        int r;

        r = task_file_load_path(path, directories, &t, &problems);
        if (r == -ENOMEM)
                return r;
        if (r >= 0 || r == -ENOENT)
                return r >= 0;
        if (r != -EINVAL || !problems)
                complain(settings, path, strerror(-r));
        STRV_FOREACH(problem, problems)
                complain(settings, path, *problem);
        return 0;
}

int task_files_find(const Settings *settings, char *const *required, char ***ret) {
        _cleanup_strv_ char **all = NULL, **good = NULL, **directories = NULL;
        int r;

        r = module_path_task_directories(settings->module_path, &directories);
        if (r >= 0)
                r = module_path_all_task_files(directories, &all);
        STRV_FOREACH(path, all) {
                if (r < 0 || is_there(required, *path))
                        continue;
                r = check(settings, *path, directories);
                if (r > 0)
                        r = strv_extend(&good, *path);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(good);
        return 0;
}
