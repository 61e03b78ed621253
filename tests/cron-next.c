/* SPDX-License-Identifier: MIT */

/* When cron expressions come: one line in, many out. Each line of stdin is "ZONE AFTER UNTIL EXPRESSION" (seconds since
 * the epoch); the answer is a line with all times after AFTER and up to UNTIL, in seconds, with spaces between, or
 * "error: " and why. */

#include <stdio.h>

#include "cron.h"
#include "time-util.h"

static int answer(const char *name, uint64_t after, uint64_t until, const char *text) {
        _cleanup_(time_zone_freep) TimeZone *zone = NULL;
        _cleanup_free_ char *error = NULL;
        Cron cron;
        int r;

        r = time_zone_new(name, &zone, &error);
        if (r >= 0)
                r = cron_parse(text, &cron, &error);
        if (r < 0) {
                printf("error: %s\n", error ?: strerror(-r));
                return r;
        }
        for (uint64_t at = after * USEC_PER_SEC, last = at;; last = at) {
                r = cron_next(&cron, zone, at, &at);
                if (r < 0 || at > until * USEC_PER_SEC)
                        break;
                if (at <= last) {
                        printf("error: does not move on from %ju\n", (uintmax_t) last);
                        return -EIO;
                }
                printf("%ju ", (uintmax_t) (at / USEC_PER_SEC));
        }
        printf("\n");
        return 0;
}

int main(void) {
        _cleanup_free_ char *line = NULL;
        bool failed = false;
        size_t size = 0;
        ssize_t n;

        while ((n = getline(&line, &size, stdin)) > 0) {
                uintmax_t after, until;
                char name[65];
                int used;

                line[n - (line[n - 1] == '\n')] = '\0';
                if (sscanf(line, "%64s %ju %ju %n", name, &after, &until, &used) != 3) {
                        fprintf(stderr, "cron-next: expected ZONE AFTER UNTIL EXPRESSION\n");
                        return EXIT_FAILURE;
                }
                failed |= answer(name, after, until, line + used) < 0;
        }
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
