/* SPDX-License-Identifier: MIT */
#pragma once

/* What must hold where Check's macros cannot be used: in threads, and in fuzz targets. */

#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                                                 \
        do {                                                                            \
                if (!(condition)) {                                                     \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
                        abort();                                                        \
                }                                                                       \
        } while (0)
