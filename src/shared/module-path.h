/* SPDX-License-Identifier: MIT */
#pragma once

/* Finds task modules by name. */

#include "macro.h"

/* For each name the file NAME.so in the first directory of `path` that has it, then in the installed place; else
 * NAME.task along the directories of task files. A name with a suffix is that file only, and a name with a slash is
 * itself a file. Elements of `path` may be several directories with colons between.
 * Returns 0 with the absolute names of the files in order, -ENOENT or -EINVAL with a line in *ret_error that
 * names the module and all places (a fresh string), or -ENOMEM without. */
int module_path_find(char *const *names, char *const *path, char ***ret_files, char **ret_error);

/* Where task files and their drop-ins are, most important first: the administrator's, the packages', then `path` and the
 * installed place. */
int module_path_task_directories(char *const *path, char ***ret);

bool module_path_is_task_file(const char *file);
