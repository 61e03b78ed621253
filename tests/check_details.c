/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "details.h"

static Job job_of(WireOutcome outcome, JobReason reason) {
        return (Job){ .outcome = outcome,
                      .reason = reason,
                      .started_usec = UINT64_C(1795523401123456),
                      .completed_usec = UINT64_C(1795523401123456) + 2500001 };
}

static void assert_details(const Job *job, const char *expected) {
        _cleanup_free_ char *text = NULL;

        ck_assert_int_eq(details_format(job, &text), 0);
        if (expected)
                ck_assert_str_eq(text ? text : "none", expected);
        else
                ck_assert_ptr_null(text);
}

/* Nothing is said, and no memory taken, of what most tasks are. */
START_TEST(test_nothing) {
        Job job = job_of(WIRE_OUTCOME_SUCCESS, JOB_REASON_NONE);

        assert_details(&job, NULL);
        /* A reason is for what is no success. */
        job.reason = JOB_REASON_EXIT;
        assert_details(&job, NULL);
}
END_TEST

START_TEST(test_reasons) {
        static const struct {
                WireOutcome outcome;
                JobReason reason;
                const char *expected;
        } cases[] = {
                { WIRE_OUTCOME_FAILURE, JOB_REASON_NONE, "{\"reason\":\"exception\"}" },
                { WIRE_OUTCOME_FAILURE, JOB_REASON_TIMEOUT, "{\"reason\":\"timeout\"}" },
                { WIRE_OUTCOME_FAILURE, JOB_REASON_EXIT, "{\"reason\":\"exit\"}" },
                { WIRE_OUTCOME_CRASH, JOB_REASON_NONE, NULL },
                { WIRE_OUTCOME_CRASH, JOB_REASON_SIGNAL, "{\"reason\":\"signal\"}" },
                { WIRE_OUTCOME_CRASH, JOB_REASON_OOM, "{\"reason\":\"oom\"}" },
                { WIRE_OUTCOME_CANCELLED, JOB_REASON_NONE, "{\"reason\":\"cancelled\"}" },
                /* Its runner was killed, but why is the news. */
                { WIRE_OUTCOME_CANCELLED, JOB_REASON_SIGNAL, "{\"reason\":\"cancelled\"}" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Job job = job_of(cases[i].outcome, cases[i].reason);

                assert_details(&job, cases[i].expected);
        }
}
END_TEST

START_TEST(test_usage) {
        Job job = job_of(WIRE_OUTCOME_SUCCESS, JOB_REASON_NONE);

        job.measured = true;
        job.cpu_usec = 1000002;
        assert_details(&job, "{\"usage\":{\"cpu_sec\":1.000002,\"wall_sec\":2.500001}}");
        job.memory_peak_bytes = UINT64_C(5) << 32;
        assert_details(&job, "{\"usage\":{\"cpu_sec\":1.000002,\"memory_peak\":21474836480,"
                             "\"wall_sec\":2.500001}}");
        /* Clocks may be set back. */
        job.completed_usec = job.started_usec - 5;
        job.memory_peak_bytes = 0;
        assert_details(&job, "{\"usage\":{\"cpu_sec\":1.000002,\"wall_sec\":0.0}}");
}
END_TEST

START_TEST(test_answers) {
        Job job = job_of(WIRE_OUTCOME_FAILURE, JOB_REASON_NONE);
        char tail[] = "a \"line\"\nand / another";

        job.no_retry = true;
        assert_details(&job, "{\"no_retry\":true,\"reason\":\"exception\"}");
        job.no_retry = false;
        job.has_retry_after = true;
        assert_details(&job, "{\"retry_after\":0.0,\"reason\":\"exception\"}");
        job.retry_after_usec = 90500000;
        job.output_tail = tail;
        assert_details(&job, "{\"retry_after\":90.5,\"reason\":\"exception\","
                             "\"output_tail\":\"a \\\"line\\\"\\nand / another\"}");
}
END_TEST

int main(void) {
        Suite *s = suite_create("details");
        TCase *c = tcase_create("all");

        tcase_add_test(c, test_nothing);
        tcase_add_test(c, test_reasons);
        tcase_add_test(c, test_usage);
        tcase_add_test(c, test_answers);
        suite_add_tcase(s, c);
        return check_run(s);
}
