/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdio.h>

#include "bench.h"
#include "macro.h"
#include "time-util.h"

void bench_fail(const char *what, int error) {
        fprintf(stderr, "%s: %s\n", what, strerror(error));
        exit(EXIT_FAILURE);
}

size_t bench_number(const char *s, size_t min, size_t max) {
        char *end;
        unsigned long long n;

        errno = 0;
        n = strtoull(s, &end, 10);
        if (errno || end == s || *end || n < min || n > max) {
                fprintf(stderr, "\"%s\" is not a number from %zu to %zu.\n", s, min, max);
                exit(EXIT_FAILURE);
        }
        return (size_t) n;
}

uint64_t bench_now_usec(void) {
        return now_usec(CLOCK_MONOTONIC);
}

double bench_cpu_usec(const struct rusage *u) {
        return (double) (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e6 +
               (double) (u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

static int compare(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

void bench_print_times(const char *name, uint64_t *usec, size_t n) {
        if (n == 0)
                return;
        qsort(usec, n, sizeof(*usec), compare);
        printf("%s_median_usec=%" PRIu64 "\n", name, usec[n / 2]);
        printf("%s_p99_usec=%" PRIu64 "\n", name, usec[n * 99 / 100]);
        printf("%s_max_usec=%" PRIu64 "\n", name, usec[n - 1]);
}
