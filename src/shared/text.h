/* SPDX-License-Identifier: MIT */
#pragma once

#include "macro.h"

/* A fresh copy in which each byte that is not UTF-8 is U+FFFD; NUL bytes as well if `keep_nul` is false. The copy is
 * followed by a NUL. -ENOMEM. */
int text_clean(const char *text, size_t size, bool keep_nul, char **ret, size_t *ret_size);
