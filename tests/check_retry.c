/* SPDX-License-Identifier: MIT */

/* Whether and when a failed attempt is followed by another. */

#include "controld-test.h"
#include "json-util.h"
#include "retry.h"
#include "time-util.h"

#define SEC       USEC_PER_SEC
#define NO_REASON .reason = _RETRY_REASON_INVALID
#define NOTHING \
        { NO_REASON }

START_TEST(test_delays) {
        static const struct {
                uint64_t delay, backoff_max;
                double backoff, jitter;
                uint32_t n, chance;
                uint64_t wanted;
        } cases[] = {
                { 60 * SEC, 3600 * SEC, 2, 0, 0, 0, 60 * SEC },
                { 60 * SEC, 3600 * SEC, 2, 0, 1, 0, 120 * SEC },
                { 60 * SEC, 3600 * SEC, 2, 0, 5, 0, 1920 * SEC },
                { 60 * SEC, 3600 * SEC, 2, 0, 6, 0, 3600 * SEC },
                { 60 * SEC, 3600 * SEC, 2, 0, UINT32_MAX, 0, 3600 * SEC },
                { 0, 3600 * SEC, 2, 0, 0, 0, 0 },
                { 0, 3600 * SEC, 2, 0, UINT32_MAX, 0, 0 },
                { 10 * SEC, 3600 * SEC, 1, 0, 1000, 0, 10 * SEC },
                /* A first delay beyond the limit was wanted so; it does not grow. */
                { 7200 * SEC, 3600 * SEC, 2, 0, 0, 0, 7200 * SEC },
                { 7200 * SEC, 3600 * SEC, 2, 0, 3, 0, 7200 * SEC },
                { 10 * SEC, 0, 2, 0, 3, 0, 10 * SEC },
                /* Jitter only shortens. */
                { 60 * SEC, 3600 * SEC, 2, 0.5, 0, 0, 60 * SEC },
                { 60 * SEC, 3600 * SEC, 2, 0.5, 0, UINT32_MAX, 30 * SEC },
                { 60 * SEC, 3600 * SEC, 2, 1, 1, UINT32_MAX, 0 },
                { 60 * SEC, 3600 * SEC, 2, 1, 9, UINT32_MAX, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                RetryPolicy p = { .delay_usec = cases[i].delay,
                                  .backoff_max_usec = cases[i].backoff_max,
                                  .backoff = cases[i].backoff,
                                  .jitter = cases[i].jitter };
                uint64_t got = retry_delay(&p, cases[i].n, cases[i].chance);

                ck_assert_msg(got == cases[i].wanted, "case %zu: %" PRIu64, i, got);
        }
}
END_TEST

START_TEST(test_decisions) {
        static const struct {
                int max; /* -1: nobody said */
                RetryAnswer answer;
                uint32_t n;
                bool wanted;
                uint64_t delay;
        } cases[] = {
                { -1, NOTHING, 0, false, 0 },
                { 0, NOTHING, 0, false, 0 },
                { 1, NOTHING, 0, true, 60 * SEC },
                { 1, NOTHING, 1, false, 0 },
                { 3, NOTHING, 2, true, 240 * SEC },
                { 3, NOTHING, UINT32_MAX, false, 0 },
                { 3, { NO_REASON, .never = true }, 0, false, 0 },
                { 3, { NO_REASON, .has_after = true, .after_usec = 5 }, 2, true, 5 },
                { 3, { NO_REASON, .has_after = true, .after_usec = 5 }, 3, false, 0 },
                { 0, { NO_REASON, .has_after = true, .after_usec = 5 }, 0, false, 0 },
                { -1,
                  { NO_REASON, .has_after = true, .after_usec = 5 },
                  RETRY_ASKED_MAX - 1,
                  true,
                  5 },
                { -1,
                  { NO_REASON, .has_after = true, .after_usec = 5 },
                  RETRY_ASKED_MAX,
                  false,
                  0 },
                { 3, { NO_REASON, .never = true, .has_after = true }, 0, false, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                RetryPolicy p = RETRY_POLICY_DEFAULT;
                uint64_t delay = 0;

                p.has_max = cases[i].max >= 0;
                p.max = p.has_max ? (uint32_t) cases[i].max : 0;
                ck_assert_msg(retry_decide(&p, &cases[i].answer, cases[i].n, 0, &delay) ==
                                              cases[i].wanted &&
                                      delay == cases[i].delay,
                              "case %zu", i);
        }
}
END_TEST

static struct json_object *parse(const char *text) {
        struct json_object *o = NULL;

        ck_assert_int_eq(json_parse_object(text, strlen(text), &o, NULL), 0);
        return o;
}

START_TEST(test_policy) {
        _cleanup_json_ struct json_object *
                all = parse(
                       "{\"max_retries\":5,\"retry_delay\":0.25,\"retry_backoff\":3,\"retry_backoff_max\":90,"
                       "\"retry_jitter\":0.5,\"something\":1}"),
               *one = parse("{\"retry_delay\":2}");
        RetryPolicy p = RETRY_POLICY_DEFAULT;
        const char *error = NULL;

        ck_assert_int_eq(retry_policy_read(&p, NULL, &error), 0);
        ck_assert(!p.has_max);
        ck_assert_uint_eq(p.delay_usec, 60 * SEC);
        ck_assert_int_eq(retry_policy_read(&p, all, &error), 0);
        ck_assert(p.has_max);
        ck_assert_uint_eq(p.max, 5);
        ck_assert_uint_eq(p.delay_usec, SEC / 4);
        ck_assert_double_eq(p.backoff, 3);
        ck_assert_uint_eq(p.backoff_max_usec, 90 * SEC);
        ck_assert_double_eq(p.jitter, 0.5);
        /* What the next document does not say stays. */
        ck_assert_int_eq(retry_policy_read(&p, one, &error), 0);
        ck_assert_uint_eq(p.max, 5);
        ck_assert_uint_eq(p.delay_usec, 2 * SEC);
        ck_assert_ptr_null(error);
}
END_TEST

START_TEST(test_bad_policy) {
        static const char *const texts[] = {
                "{\"max_retries\":-1}",     "{\"max_retries\":10001}",    "{\"max_retries\":1.5}",
                "{\"max_retries\":\"1\"}",  "{\"retry_delay\":-0.1}",     "{\"retry_delay\":1e12}",
                "{\"retry_backoff\":0.9}",  "{\"retry_backoff\":1001}",   "{\"retry_jitter\":1.01}",
                "{\"retry_jitter\":-0.01}", "{\"retry_backoff_max\":[]}",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_json_ struct json_object *o = parse(texts[i]);
                RetryPolicy p = RETRY_POLICY_DEFAULT, before = p;
                const char *error = NULL;

                ck_assert_msg(retry_policy_read(&p, o, &error) == -EINVAL, "%s", texts[i]);
                ck_assert_ptr_nonnull(error);
                ck_assert_uint_eq(p.delay_usec, before.delay_usec);
                ck_assert(!p.has_max && p.backoff == before.backoff && p.jitter == before.jitter);
        }
}
END_TEST

START_TEST(test_answers) {
        _cleanup_json_ struct json_object *after = parse("{\"retry_after\":1.5,\"usage\":{}}"),
                                          *never = parse("{\"no_retry\":true}"),
                                          *bad = parse("{\"retry_after\":-1,\"no_retry\":1}");
        RetryAnswer a;

        retry_answer_read(&a, after);
        ck_assert(a.has_after && !a.never && a.after_usec == 3 * SEC / 2);
        retry_answer_read(&a, never);
        ck_assert(!a.has_after && a.never);
        retry_answer_read(&a, bad);
        ck_assert(!a.has_after && !a.never);
        retry_answer_read(&a, NULL);
        ck_assert(!a.has_after && !a.never);
}
END_TEST

/* An attempt that failed for another reason is the last one, unless the task itself asks for more. */
START_TEST(test_reasons) {
        static const struct {
                const char *policy, *answer;
                bool wanted;
        } cases[] = {
                { "{\"max_retries\":1}", "{\"reason\":\"oom\"}", true },
                { "{\"max_retries\":1,\"retry_on\":[]}", "{\"reason\":\"oom\"}", false },
                { "{\"max_retries\":1,\"retry_on\":[\"all\"]}", "{\"reason\":\"oom\"}", true },
                { "{\"max_retries\":1,\"retry_on\":[\"exit\",\"timeout\"]}",
                  "{\"reason\":\"timeout\"}", true },
                { "{\"max_retries\":1,\"retry_on\":[\"exit\",\"timeout\"]}",
                  "{\"reason\":\"signal\"}", false },
                { "{\"max_retries\":1,\"retry_on\":[\"exit\"]}",
                  "{\"reason\":\"signal\",\"retry_after\":1}", true },
                { "{\"max_retries\":1,\"retry_on\":[\"exit\"]}", "{\"reason\":\"new\"}", true },
                { "{\"max_retries\":1,\"retry_on\":[\"exception\"]}",
                  "{\"reason\":\"exception\",\"no_retry\":true}", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ struct json_object *policy = NULL, *answer = NULL;
                RetryPolicy p = RETRY_POLICY_DEFAULT;
                const char *error = NULL;
                RetryAnswer a;
                uint64_t delay;

                ck_assert_int_eq(
                        json_parse_object(cases[i].policy, strlen(cases[i].policy), &policy, NULL),
                        0);
                ck_assert_int_eq(
                        json_parse_object(cases[i].answer, strlen(cases[i].answer), &answer, NULL),
                        0);
                ck_assert_int_ge(retry_policy_read(&p, policy, &error), 0);
                retry_answer_read(&a, answer);
                ck_assert_msg(retry_decide(&p, &a, 0, 0, &delay) == cases[i].wanted, "case %zu", i);
        }
}
END_TEST

START_TEST(test_bad_reasons) {
        static const char *const cases[] = { "{\"retry_on\":\"exit\"}", "{\"retry_on\":[1]}",
                                             "{\"retry_on\":[\"all\\u0000x\"]}",
                                             "{\"retry_on\":[\"exit\",\"bad\"]}" };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ struct json_object *o = NULL;
                RetryPolicy p = RETRY_POLICY_DEFAULT;
                const char *error = NULL;

                ck_assert_int_eq(json_parse_object(cases[i], strlen(cases[i]), &o, NULL), 0);
                ck_assert_int_eq(retry_policy_read(&p, o, &error), -EINVAL);
                ck_assert_ptr_nonnull(strstr(error, "\"retry_on\""));
                ck_assert_uint_eq(p.on, RETRY_ON_ALL);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("retry");
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_delays);
        tcase_add_test(t, test_decisions);
        tcase_add_test(t, test_policy);
        tcase_add_test(t, test_bad_policy);
        tcase_add_test(t, test_answers);
        tcase_add_test(t, test_reasons);
        tcase_add_test(t, test_bad_reasons);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
