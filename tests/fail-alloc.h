/* SPDX-License-Identifier: MIT */
#pragma once

/* Memory that runs out where a test wants it to. A program that links fail-alloc.c needs
 * the link flags FAIL_ALLOC_LINK of Makefile.am, which send its allocations here. */

#include "macro.h"

/* The n-th allocation from now on fails (1: the next one), and only that. 0: none does. */
void fail_alloc_at(unsigned n);

/* True if the failure that was asked for has happened; asks for none from now on. */
bool fail_alloc_happened(void);

/* Runs a statement with the first, the second, ... allocation in it failing, for as long as there
 * is one to fail, and then once without. `check` is what must hold after each failure. */
#define FAIL_EACH_ALLOC(statement, check)                \
        do {                                             \
                for (unsigned _n = 1;; _n++) {           \
                        bool _failed;                    \
                                                         \
                        fail_alloc_at(_n);               \
                        statement;                       \
                        _failed = fail_alloc_happened(); \
                        if (!_failed)                    \
                                break;                   \
                        check;                           \
                }                                        \
        } while (false)
