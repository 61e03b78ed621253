/* SPDX-License-Identifier: MIT */
#pragma once

/* What a task says about how far it is: one short line for people. */

#include <stddef.h>

#define PROGRESS_TEXT_MAX    200U   /* bytes */
#define PROGRESS_PERCENT_MAX 10000U /* in hundredths */

/* Copies as much as there is room for, whole characters; what is no text in UTF-8 or would break the line becomes
 * a space. */
void progress_text_set(char ret[static PROGRESS_TEXT_MAX + 1], const char *text, size_t size);
