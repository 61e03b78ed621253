/* SPDX-License-Identifier: MIT */
#pragma once

/* The last that a task has written: when it crashes, that often says why. */

#include "macro.h"

#define OUTPUT_TAIL_MAX 2048U

typedef struct OutputTail {
        char text[OUTPUT_TAIL_MAX];
        size_t size;
} OutputTail;

void output_tail_clear(OutputTail *t);
/* One line, without its newline. */
void output_tail_add(OutputTail *t, const char *line, size_t size);
/* A fresh string, UTF-8, of whole lines with newlines between; NULL if there is none or no memory. */
char *output_tail_get(const OutputTail *t);
