/* SPDX-License-Identifier: MIT */
#pragma once

/* The word *.task of TaskModules=: all task files of this machine. */

#include "settings.h"

/* Whether TaskModules= has it, and the names without it (a fresh list, or NULL). -ENOMEM. */
int task_files_wanted(const Settings *settings, char ***ret_names);

/* All task files along the path, but those for which one of `required` stands already. A file with a mistake is left out,
 * after having said what is wrong with it: it concerns nobody else. -ENOMEM. */
int task_files_find(const Settings *settings, char *const *required, char ***ret);
