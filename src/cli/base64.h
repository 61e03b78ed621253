/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/* Fresh strings, with a NUL behind them that *ret_size does not count. -ENOMEM; -EINVAL for what is not base64. */
int base64_encode(const void *data, size_t size, char **ret, size_t *ret_size);
int base64_decode(const char *text, char **ret, size_t *ret_size);
