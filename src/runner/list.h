/* SPDX-License-Identifier: MIT */
#pragma once

/* Prints what the modules of these names offer, a "name TAB description [TAB options]" line a task, as the runner protocol
 * lists them. What fails is said on stderr; returns -errno then. */
int list_tasks(char *const *modules, char *const *module_path);
