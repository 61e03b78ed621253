/* SPDX-License-Identifier: MIT */
#pragma once

/* Task modules in C (include/fastworker/task.h) and task files (task-file.h), and what they define by name. */

#include <fastworker/task.h>

#include "macro.h"
#include "task-file.h"

typedef struct Modules Modules;

int modules_new(Modules **ret);
Modules *modules_free(Modules *m);
DEFINE_CLEANUP_FUNC(Modules *, modules_free);

/* Where task files have their drop-ins, besides the directory of the file. */
int modules_set_directories(Modules *m, char *const *directories);

/* Loads a shared object, for the life of the process, or a task file, and enters its tasks. Returns 0 or -errno; then
 * *ret_error is one line that says why and names the file (a fresh string), or NULL with -ENOMEM. */
int modules_load(Modules *m, const char *file, char **ret_error);

/* NULL if no module defines the task, or it is a command. */
fastworker_function modules_find(Modules *m, const char *name, size_t size);

/* NULL if it is none. */
const TaskFile *modules_find_command(Modules *m, const char *name, size_t size);

size_t modules_count(const Modules *m);

/* The tasks in the order of their definition as the runner protocol lists them, "name TAB description [TAB options]"
 * a line; a fresh string. */
int modules_list(const Modules *m, char **ret, size_t *ret_size);
/* The same with two more columns: options (none), and the file that the task is in. */
int modules_list_with_files(const Modules *m, char **ret, size_t *ret_size);
