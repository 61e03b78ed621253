/* SPDX-License-Identifier: MIT */
#pragma once

/* Failures with a sentence for people. */

#include "macro.h"

/* Puts a fresh string into *ret_error and returns `error`, to be written `return fail_with_text(...)`; without
 * memory for the string *ret_error is NULL, and it returns -ENOMEM. */
int fail_with_text(char **ret_error, int error, const char *format, ...) _printf_(3, 4);
