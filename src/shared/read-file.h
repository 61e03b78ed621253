/* SPDX-License-Identifier: MIT */
#pragma once

/* Small files that are read whole. */

#include <sys/stat.h>

#include "macro.h"

/* What is left of an open file, at most `max` bytes, as a fresh string with a NUL behind it. Returns 0, -EFBIG if there is
 * more, -ENOMEM, or another -errno. ret_size: NULL if nobody wants to know. */
int read_text(int fd, size_t max, char **ret, size_t *ret_size);

/* /dev/null: a link to it in the place of a file masks others of that name. */
bool is_null_device(const struct stat *st);
