/* SPDX-License-Identifier: MIT */

/* For which due times a schedule makes tasks, over simulated time. Each line of stdin is "CATCH-UP ZONE AFTER UNTIL
 * EXPRESSION" (seconds since the epoch); the answer is a line with the due times, in seconds and in the order in which
 * they fired, or "error: " and why.
 *
 * The clock is a number: it is looked at too early, on time and too late (less than the grace, with "all" by days), and
 * one time in three the process is killed before what was done is kept. */

#include <stdio.h>

#include "json-util.h"
#include "schedule.h"
#include "time-util.h"

static int make(const char *catch_up, const char *zone, const char *expression, Schedule **ret,
                char **ret_error) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_string(o, "name", "s") < 0 || json_add_string(o, "task", "t") < 0 ||
            json_add_string(o, "cron", expression) < 0 ||
            json_add_string(o, "timezone", zone) < 0 ||
            json_add_string(o, "catch_up", catch_up) < 0)
                return -ENOMEM;
        return schedule_new(o, ret, ret_error);
}

/* From a second before the due time to so long after it, but on. */
static uint64_t later(uint64_t now, uint64_t due, uint64_t late_max, unsigned *seed) {
        uint64_t at =
                due - USEC_PER_SEC +
                (uint64_t) ((double) rand_r(seed) / RAND_MAX * (double) (late_max + USEC_PER_SEC));

        return MAX(now + 1, at);
}

static int live(Schedule *s, uint64_t after, uint64_t until, unsigned seed) {
        uint64_t late_max = s->spec.catch_up == CATCH_UP_ALL ? 3 * 86400 * USEC_PER_SEC
                                                             : SCHEDULE_GRACE_USEC - USEC_PER_SEC;
        uint64_t now = after;
        ScheduleTurn t;

        s->now.state.added_usec = after;
        for (;;) {
                schedule_turn(s, now, false, UINT64_MAX, &t);
                if (t.has_moved && rand_r(&seed) % 3 == 0)
                        continue; /* killed */
                for (size_t i = 0; i < t.n_due; i++)
                        printf("%ju ", (uintmax_t) (t.due_usec[i] / USEC_PER_SEC));
                s->now = t.progress;
                if (t.next_usec == 0)
                        continue;
                if (t.has_ended || t.next_usec > until)
                        break;
                now = later(now, t.next_usec, late_max, &seed);
                now = MIN(now, until);
        }
        printf("\n");
        return 0;
}

static int answer(const char *catch_up, const char *zone, uint64_t after, uint64_t until,
                  const char *expression, unsigned seed) {
        _cleanup_(schedule_freep) Schedule *s = NULL;
        _cleanup_free_ char *error = NULL;
        int r;

        r = make(catch_up, zone, expression, &s, &error);
        if (r < 0) {
                printf("error: %s\n", error ?: strerror(-r));
                return r;
        }
        return live(s, after * USEC_PER_SEC, until * USEC_PER_SEC, seed);
}

int main(void) {
        _cleanup_free_ char *line = NULL;
        bool failed = false;
        unsigned seed = 1;
        size_t size = 0;
        ssize_t n;

        while ((n = getline(&line, &size, stdin)) > 0) {
                char catch_up[8], zone[65];
                uintmax_t after, until;
                int used;

                line[n - (line[n - 1] == '\n')] = '\0';
                if (sscanf(line, "%7s %64s %ju %ju %n", catch_up, zone, &after, &until, &used) !=
                    4) {
                        fprintf(stderr,
                                "schedule-fire: expected CATCH-UP ZONE AFTER UNTIL EXPRESSION\n");
                        return EXIT_FAILURE;
                }
                failed |= answer(catch_up, zone, after, until, line + used, seed++) < 0;
        }
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
