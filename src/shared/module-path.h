/* SPDX-License-Identifier: MIT */
#pragma once

/* Finds task modules by name. */

#include "macro.h"

/* Kinds of modules by the suffix of their files. */
typedef enum ModuleKind {
        MODULE_NATIVE,  /* .so */
        MODULE_PYTHON,  /* .py */
        MODULE_COMMAND, /* .task */
        _MODULE_KIND_MAX,
        _MODULE_KIND_INVALID = -EINVAL,
} ModuleKind;

/* By the end of the name; _MODULE_KIND_INVALID if it is none of the suffixes. */
ModuleKind module_kind(const char *file);

/* The programs that run tasks. */
typedef enum RunnerKind {
        RUNNER_NATIVE, /* modules in C, and task files, whose commands it executes */
        RUNNER_PYTHON,
        _RUNNER_KIND_MAX,
        _RUNNER_KIND_INVALID = -EINVAL,
} RunnerKind;

/* Which of them a module is for. */
RunnerKind module_runner(ModuleKind kind);
/* "fastworker-runner" and so on. */
const char *runner_program(RunnerKind kind);

/* For each name the file NAME.so or NAME.py in the first directory of `path` that has one, then in the installed place
 * (a directory that has both is an error, as one of the two would be left out); else NAME.task along the directories of
 * task files. A name with a suffix is that file only, and a name with a slash is itself a file. Elements of `path` may be
 * several directories with colons between.
 * Returns 0 with the absolute names of the files in order; -ENOENT, -EINVAL or -ENOTUNIQ with a line in *ret_error that
 * names the module and the places (a fresh string); or -ENOMEM without. */
int module_path_find(char *const *names, char *const *path, char ***ret_files, char **ret_error);

/* In TaskModules=: all task files. */
#define MODULE_ALL_TASK_FILES "*.task"

/* The task files in the directories, in the order of these and of the names; of those with the same name the first one
 * counts, and one that masks hides the others. -ENOMEM. */
int module_path_all_task_files(char *const *directories, char ***ret_files);

/* Where task files and their drop-ins are, most important first: the administrator's, the packages', then `path` and the
 * installed place. */
int module_path_task_directories(char *const *path, char ***ret);
