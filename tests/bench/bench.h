/* SPDX-License-Identifier: MIT */
#pragma once

/* What the two benchmark programs share. They are short-lived, so whatever fails ends them. */

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

void bench_fail(const char *what, int error) __attribute__((noreturn));
size_t bench_number(const char *s, size_t min, size_t max);
uint64_t bench_now_usec(void);
/* User and system time. */
double bench_cpu_usec(const struct rusage *usage);
/* NAME_median_usec=, NAME_p99_usec= and NAME_max_usec=; sorts the times. */
void bench_print_times(const char *name, uint64_t *usec, size_t n);
