/* SPDX-License-Identifier: MIT */

/* Token buckets by a clock of our own, how limits are written, and what types' terms amount to. */

#include <sys/random.h>

#include "check-util.h"
#include "json-util.h"
#include "limit.h"
#include "parse-util.h"
#include "time-util.h"
#include "type-terms.h"

#define HOUR_USEC (60 * USEC_PER_MINUTE)

static uint64_t now;

static bool take(Bucket *b) {
        if (!bucket_has_token(b, now))
                return false;
        bucket_take(b, now);
        return true;
}

static unsigned take_all(Bucket *b) {
        unsigned n = 0;

        while (take(b))
                n++;
        return n;
}

static void setup(void) {
        now = 1000 * USEC_PER_SEC;
}

START_TEST(test_no_limit) {
        Bucket b = {};

        for (int i = 0; i < 1000; i++)
                ck_assert(take(&b));
        ck_assert_uint_eq(bucket_next_usec(&b, now), now);
}
END_TEST

/* As many at once as the number says; then evenly, and never more than that stay. */
START_TEST(test_bucket) {
        Bucket b = {};

        bucket_set_rate(&b, &(Rate){ 10, USEC_PER_SEC }, now);
        ck_assert_uint_eq(take_all(&b), 10);
        ck_assert_uint_eq(bucket_next_usec(&b, now), now + 100 * USEC_PER_MSEC);
        now += 100 * USEC_PER_MSEC - 1;
        ck_assert(!take(&b));
        now += 1;
        ck_assert_uint_eq(take_all(&b), 1);
        now += 350 * USEC_PER_MSEC;
        ck_assert_uint_eq(take_all(&b), 3);
        ck_assert_uint_eq(bucket_next_usec(&b, now), now + 50 * USEC_PER_MSEC);
        now += 3600 * USEC_PER_SEC;
        ck_assert_uint_eq(take_all(&b), 10);
}
END_TEST

/* Spans that the number does not divide lose nothing over time. */
START_TEST(test_exact) {
        Bucket b = {};
        uint64_t begin = now, n = 0;

        bucket_set_rate(&b, &(Rate){ 7, USEC_PER_SEC }, now);
        (void) take_all(&b);
        while (n < 7000) {
                now = bucket_next_usec(&b, now);
                ck_assert_uint_eq(take_all(&b), 1);
                n++;
        }
        ck_assert_uint_eq(now - begin, 1000 * USEC_PER_SEC);
}
END_TEST

START_TEST(test_extremes) {
        Bucket b = {};

        bucket_set_rate(&b, &(Rate){ RATE_COUNT_MAX, RATE_USEC_MAX }, now);
        ck_assert_uint_eq(take_all(&b), RATE_COUNT_MAX);
        ck_assert_uint_eq(bucket_next_usec(&b, now), now + RATE_USEC_MAX / RATE_COUNT_MAX);
        now += RATE_USEC_MAX / 2;
        ck_assert_uint_eq(take_all(&b), RATE_COUNT_MAX / 2);
        now += 100 * RATE_USEC_MAX;
        ck_assert_uint_eq(take_all(&b), RATE_COUNT_MAX);
}
END_TEST

/* What was not used is there again at once, and there is never more than the burst. */
START_TEST(test_give_back) {
        Bucket b = {};

        bucket_give_back(&b, now); /* no limit */
        bucket_set_rate(&b, &(Rate){ 2, HOUR_USEC }, now);
        bucket_give_back(&b, now);
        ck_assert_uint_eq(take_all(&b), 2);
        bucket_give_back(&b, now);
        ck_assert_uint_eq(take_all(&b), 1);
        now += HOUR_USEC / 4;
        bucket_give_back(&b, now);
        ck_assert_uint_eq(take_all(&b), 1);
        ck_assert_uint_eq(bucket_next_usec(&b, now), now + HOUR_USEC / 4);
}
END_TEST

/* Another rate gives no tokens for nothing; the same one changes nothing. */
START_TEST(test_change) {
        Bucket b = {};

        bucket_set_rate(&b, &(Rate){ 10, USEC_PER_SEC }, now);
        for (int i = 0; i < 7; i++)
                ck_assert(take(&b));
        bucket_set_rate(&b, &(Rate){ 10, USEC_PER_SEC }, now);
        bucket_set_rate(&b, &(Rate){ 100, USEC_PER_MINUTE }, now);
        ck_assert_uint_eq(take_all(&b), 3);
        bucket_set_rate(&b, &(Rate){ 10, USEC_PER_SEC }, now);
        ck_assert_uint_eq(take_all(&b), 0);
        bucket_set_rate(&b, &(Rate){}, now);
        ck_assert(take(&b));
}
END_TEST

/* In any window of time no more than the burst and what comes in meanwhile; and a token as soon as it is due. */
START_TEST(test_random) {
        unsigned seed;

        ck_assert_int_eq(getrandom(&seed, sizeof(seed), 0), sizeof(seed));
        printf("check_limit: seed %u\n", seed);
        for (int round = 0; round < 50; round++) {
                Rate rate = { 1 + (unsigned) rand_r(&seed) % 50,
                              USEC_PER_MSEC * (1 + (unsigned) rand_r(&seed) % 5000) };
                uint64_t begin = now, n = 0;
                Bucket b = {};

                bucket_set_rate(&b, &rate, now);
                for (int i = 0; i < 2000; i++) {
                        Bucket later;

                        now += (unsigned) rand_r(&seed) % (2 * rate.usec / rate.count + 2);
                        n += take_all(&b);
                        ck_assert_uint_le(n, rate.count + (now - begin) * rate.count / rate.usec);
                        ck_assert_uint_gt(bucket_next_usec(&b, now), now);
                        later = b;
                        ck_assert(!bucket_has_token(&later, bucket_next_usec(&b, now) - 1));
                        ck_assert(bucket_has_token(&later, bucket_next_usec(&b, now)));
                }
        }
}
END_TEST

START_TEST(test_rate_text) {
        static const struct {
                const char *text;
                Rate rate;
                const char *again;
        } good[] = {
                { "10/s", { 10, USEC_PER_SEC }, "10/s" },
                { "100/m", { 100, USEC_PER_MINUTE }, "100/m" },
                { "100/min", { 100, USEC_PER_MINUTE }, "100/m" },
                { "5/h", { 5, 60 * USEC_PER_MINUTE }, "5/h" },
                { "20/10s", { 20, 10 * USEC_PER_SEC }, "20/10000ms" },
                { "20/10000ms", { 20, 10 * USEC_PER_SEC }, "20/10000ms" },
                { "1000000/31d", { 1000000, RATE_USEC_MAX }, "1000000/2678400000ms" },
        };
        static const char *const bad[] = { "",     "10",  "10/",  "/s",        "0/s",
                                           "-1/s", "5/1", "5/10", "1000001/s", "1/32d",
                                           "1/0s", "5/x", "5 /s", "1/500us",   "5/s/s" };
        char text[RATE_TEXT_MAX];
        Rate rate = {};

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                ck_assert_msg(rate_parse(good[i].text, &rate) >= 0, "%s", good[i].text);
                ck_assert_uint_eq(rate.count, good[i].rate.count);
                ck_assert_uint_eq(rate.usec, good[i].rate.usec);
                ck_assert_str_eq(rate_to_text(&rate, text), good[i].again);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                ck_assert_msg(rate_parse(bad[i], &rate) < 0, "%s", bad[i]);
}
END_TEST

START_TEST(test_rate_order) {
        const Rate none = {}, fast = { 100, USEC_PER_SEC }, slow = { 100, USEC_PER_MINUTE },
                   same = { 6000, USEC_PER_MINUTE };

        ck_assert(rate_is_lower(&fast, &none) && !rate_is_lower(&none, &fast));
        ck_assert(rate_is_lower(&slow, &fast) && !rate_is_lower(&fast, &slow));
        ck_assert(rate_is_lower(&fast, &same) && !rate_is_lower(&same, &fast));
        ck_assert(!rate_is_lower(&fast, &fast) && !rate_is_lower(&none, &none));
}
END_TEST

static int read_terms(const char *json, TypeTerms *t) {
        _cleanup_json_ struct json_object *o = NULL;
        const char *error = NULL;
        int r;

        ck_assert_int_ge(json_parse_object(json, strlen(json), &o, &error), 0);
        r = type_terms_read(t, o, &error);
        ck_assert(r >= 0 || error);
        return r;
}

START_TEST(test_terms) {
        TypeTerms a, b;
        bool differ;

        ck_assert_int_eq(read_terms("{}", &a), 0);
        ck_assert(a.concurrency == 0 && a.rate.count == 0 && !a.labels);
        ck_assert_int_eq(
                read_terms(
                        "{\"concurrency\":5,\"rate_limit\":\"10/s\",\"labels\":[\"b\",\"a\",\"b\"]}",
                        &b),
                0);
        ck_assert_uint_eq(strv_length(b.labels), 2);
        ck_assert_str_eq(b.labels[0], "a");
        ck_assert_int_eq(type_terms_merge(&a, &b, &differ), 0);
        ck_assert(differ);
        ck_assert_uint_eq(a.concurrency, 5);
        ck_assert_uint_eq(a.rate.count, 10);
        ck_assert_str_eq(a.labels[1], "b");
        ck_assert_int_eq(type_terms_merge(&a, &b, &differ), 0);
        ck_assert(!differ);
        type_terms_done(&b);
        ck_assert_int_eq(read_terms("{\"concurrency\":7,\"labels\":[\"c\"]}", &b), 0);
        ck_assert_int_eq(type_terms_merge(&a, &b, &differ), 0);
        ck_assert(differ);
        ck_assert_uint_eq(a.concurrency, 5);
        ck_assert_uint_eq(strv_length(a.labels), 3);
        type_terms_done(&a);
        type_terms_done(&b);
}
END_TEST

/* What makes no sense is said, and the rest holds. */
START_TEST(test_bad_terms) {
        static const char *const bad[] = {
                "{\"concurrency\":-1,\"rate_limit\":\"3/s\"}",
                "{\"concurrency\":\"x\",\"rate_limit\":\"3/s\"}",
                "{\"labels\":\"gpu\",\"rate_limit\":\"3/s\"}",
                "{\"labels\":[\"no way\"],\"rate_limit\":\"3/s\"}",
                "{\"labels\":[5],\"rate_limit\":\"3/s\"}",
                "{\"labels\":[\"a\\u0000b\"],\"rate_limit\":\"3/s\"}",
        };
        TypeTerms t;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                ck_assert_int_eq(read_terms(bad[i], &t), -EINVAL);
                ck_assert_uint_eq(t.rate.count, 3);
                type_terms_done(&t);
        }
        ck_assert_int_eq(read_terms("{\"concurrency\":2,\"rate_limit\":\"fast\"}", &t), -EINVAL);
        ck_assert_uint_eq(t.concurrency, 2);
        ck_assert_uint_eq(t.rate.count, 0);
        type_terms_done(&t);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("limit");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, NULL);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, test_no_limit);
        tcase_add_test(t, test_bucket);
        tcase_add_test(t, test_exact);
        tcase_add_test(t, test_extremes);
        tcase_add_test(t, test_give_back);
        tcase_add_test(t, test_change);
        tcase_add_test(t, test_random);
        tcase_add_test(t, test_rate_text);
        tcase_add_test(t, test_rate_order);
        tcase_add_test(t, test_terms);
        tcase_add_test(t, test_bad_terms);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
