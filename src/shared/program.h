/* SPDX-License-Identifier: MIT */
#pragma once

/* Finds a program of this suite: beside the running one first (a build tree, or a private prefix), then in
 * `directory`. A fresh string; -ENOENT if it is in neither. */
int program_find(const char *name, const char *directory, char **ret);
