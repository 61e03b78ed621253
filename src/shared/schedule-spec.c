/* SPDX-License-Identifier: MIT */

/* Reading the parts of a schedule, and the identity of its firings. */

#include <sha2.h>
#include <stdio.h>

#include "error-text.h"
#include "parse-util.h"
#include "schedule-spec.h"
#include "time-util.h"

static const char *const catch_up_table[_CATCH_UP_MAX] = {
        [CATCH_UP_SKIP] = "skip",
        [CATCH_UP_ONE] = "one",
        [CATCH_UP_ALL] = "all",
};
DEFINE_STRING_TABLE(catch_up, CatchUp);

static int parse_rule(const ScheduleText *t, ScheduleSpec *s, char **ret_error) {
        if (!t->cron == !t->interval)
                return fail_with_text(
                        ret_error, -EINVAL,
                        t->cron ? "a schedule goes either by a cron expression or by an "
                                  "interval, not by both"
                                : "neither a cron expression nor an interval is given");
        if (t->cron)
                return cron_parse(t->cron, &s->cron, ret_error);
        if (parse_usec(t->interval, SCHEDULE_INTERVAL_MIN, SCHEDULE_INTERVAL_MAX,
                       &s->interval_usec) < 0)
                return fail_with_text(
                        ret_error, -EINVAL,
                        "bad interval \"%.60s\", expected a time span like 30s or 1h 30min, from 100ms "
                        "to 3650d",
                        t->interval);
        return 0;
}

static int parse_end(const ScheduleText *t, ScheduleSpec *s, ScheduleField *ret_field,
                     char **ret_error) {
        *ret_field = SCHEDULE_FIELD_COUNT;
        if (t->count && parse_uint(t->count, 1, INT64_MAX, &s->count) < 0)
                return fail_with_text(ret_error, -EINVAL,
                                      "bad count \"%.60s\", expected a number from 1 on", t->count);

        *ret_field = SCHEDULE_FIELD_UNTIL;
        s->until_usec = USEC_INFINITY;
        if (t->until && time_zone_parse(s->zone, t->until, &s->until_usec) < 0)
                return fail_with_text(
                        ret_error, -EINVAL,
                        "bad time \"%.60s\", expected one like 2030-12-31T18:00:00 or "
                        "2030-12-31T18:00:00+01:00",
                        t->until);
        return 0;
}

static int parse_policy(const ScheduleText *t, ScheduleSpec *s, ScheduleField *ret_field,
                        char **ret_error) {
        *ret_field = SCHEDULE_FIELD_CATCH_UP;
        if (t->catch_up) {
                s->catch_up = catch_up_from_string(t->catch_up);
                if ((int) s->catch_up < 0)
                        return fail_with_text(ret_error, -EINVAL,
                                              "\"%.60s\" is not known, expected skip, one or all",
                                              t->catch_up);
        }
        *ret_field = SCHEDULE_FIELD_SKIP_IF_RUNNING;
        s->skip_if_running = s->catch_up != CATCH_UP_ALL;
        if (t->skip_if_running && parse_bool(t->skip_if_running, &s->skip_if_running) < 0)
                return fail_with_text(ret_error, -EINVAL,
                                      "\"%.60s\" is not known, expected yes or no",
                                      t->skip_if_running);
        if (s->skip_if_running && s->catch_up == CATCH_UP_ALL)
                return fail_with_text(
                        ret_error, -EINVAL,
                        "to catch up on all missed times means to have several waiting, "
                        "which skipping forbids: say no here and limit the task to a "
                        "concurrency of 1, then they run one after another");
        return 0;
}

int schedule_spec_parse(const ScheduleText *text, ScheduleSpec *ret, ScheduleField *ret_field,
                        char **ret_error) {
        ScheduleSpec s = {};
        int r;

        *ret_error = NULL;
        *ret_field = SCHEDULE_FIELD_RULE;
        r = parse_rule(text, &s, ret_error);
        if (r < 0)
                return r;
        *ret_field = SCHEDULE_FIELD_TIMEZONE;
        r = time_zone_new(text->timezone, &s.zone, ret_error);
        if (r < 0)
                return r == -ENOMEM ? r : -EINVAL;
        r = parse_end(text, &s, ret_field, ret_error);
        if (r >= 0)
                r = parse_policy(text, &s, ret_field, ret_error);
        if (r < 0) {
                schedule_spec_done(&s);
                return r;
        }
        *ret = s;
        return 0;
}

void schedule_spec_done(ScheduleSpec *s) {
        s->zone = time_zone_free(s->zone);
}

void schedule_firing(const char *origin, const char *name, uint64_t due_usec, TaskId *ret_id,
                     char ret_key[static SCHEDULE_KEY_SIZE]) {
        uint64_t msec = due_usec / USEC_PER_MSEC;
        uint8_t digest[SHA256_DIGEST_LENGTH];
        SHA2_CTX sha;

        (void) snprintf(ret_key, SCHEDULE_KEY_SIZE, "schedule:%.*s@%ju", (int) SCHEDULE_NAME_MAX,
                        name, (uintmax_t) due_usec);
        /* With the NUL between them, "a" "bc" is not "ab" "c". */
        SHA256Init(&sha);
        SHA256Update(&sha, (const uint8_t *) origin, strlen(origin) + 1);
        SHA256Update(&sha, (const uint8_t *) ret_key, strlen(ret_key));
        SHA256Final(digest, &sha);

        memcpy(ret_id->bytes, digest, sizeof(ret_id->bytes));
        for (int i = 0; i < 6; i++)
                ret_id->bytes[i] = (uint8_t) (msec >> (40 - 8 * i));
        ret_id->bytes[6] = (uint8_t) (0x80 | (ret_id->bytes[6] & 0x0f));
        ret_id->bytes[8] = (uint8_t) (0x80 | (ret_id->bytes[8] & 0x3f));
}
