/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The entry of a fuzz target: always returns 0, aborts where something is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
