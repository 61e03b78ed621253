/* SPDX-License-Identifier: MIT */
#pragma once

#include "options.h"

/* Prints the names and descriptions of the tasks in modules. They are loaded by fastworker-runner, not by
 * this process: loading runs code. Returns a status after having complained. */
int list_modules(const char *module_path, const Words *modules);
