/* SPDX-License-Identifier: MIT */
#pragma once

/* uthash, set up so that a failed allocation is reported instead of ending the process (after HASH_ADD*, an
 * element whose hh.tbl is NULL was not added), and with a keyed hash, as peers choose many of the keys. */

#include <stddef.h>
#include <stdint.h>

/* A hash of the bytes that differs from process to process. */
uint32_t hash_bytes(const void *data, size_t size);

#define HASH_FUNCTION(key, size, value) ((value) = hash_bytes(key, size))
#define HASH_NONFATAL_OOM               1
#define uthash_nonfatal_oom(element)    ((element)->hh.tbl = NULL)
#include <uthash.h>
