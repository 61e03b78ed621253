/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "log.h"
#include "outbox.h"
#include "time-util.h"

#define MESSAGES_MAX 64

/* What was sent: the verb, the correlation id, and how many groups; and all frames of the last message. */
typedef struct Sent {
        char verb[16], correlation[32];
        size_t n_groups;
} Sent;

static JobTable *jobs;
static TypeTable *types;
static Outbox *outbox;
static Sent sent[MESSAGES_MAX];
static size_t n_sent;
static char last[4096]; /* frames with | between */
static int refuse_with; /* what sending returns */

static int on_send(const WireOut *out, void *userdata) {
        static const WireDirection direction = WIRE_WORKER_TO_CONTROLD;
        struct iovec iov[WIRE_FRAMES_MAX];
        WireRefusal refusal;
        WireMessage m;
        Sent *s = &sent[n_sent];
        char *p = last;

        if (refuse_with < 0)
                return refuse_with;
        ck_assert_int_eq(out->error, 0);
        ck_assert_uint_lt(n_sent, MESSAGES_MAX);
        for (size_t i = 0; i < out->n; i++)
                iov[i] = (struct iovec){ (void *) wire_frame_data(&out->frames[i]),
                                         out->frames[i].size };
        ck_assert_msg(wire_decode(iov, out->n, direction, &m, &refusal) == 0, "%s", refusal.text);

        strcpy(s->verb, wire_verb_to_string(m.verb));
        memcpy(s->correlation, m.correlation.iov_base, m.correlation.iov_len);
        s->correlation[m.correlation.iov_len] = '\0';
        s->n_groups = m.n_groups;
        for (size_t i = 2; i < out->n && p - last < 2000; i++)
                p += sprintf(p, "%.*s|", (int) MIN(iov[i].iov_len, (size_t) 100),
                             (char *) iov[i].iov_base);
        n_sent++;
        return 0;
}

static void setup(void) {
        log_set_max_level(LOG_ERR);
        n_sent = 0;
        refuse_with = 0;
        memset(sent, 0, sizeof(sent));
        ck_assert_int_eq(job_table_new(&jobs), 0);
        ck_assert_int_eq(type_table_new(&types), 0);
        ck_assert_int_eq(type_table_set(types, RUNNER_NATIVE, &(TypeList){ "add\t\n", 5 }, NULL),
                         1);
        ck_assert_int_eq(outbox_new(jobs, "w", on_send, NULL, &outbox), 0);
}

static void teardown(void) {
        outbox = outbox_free(outbox);
        jobs = job_table_free(jobs);
        types = type_table_free(types);
}

static Job *add(uint64_t attempt) {
        JobKey key = { .attempt = attempt };
        Job *job;

        ck_assert_int_eq(job_table_add(jobs, &key, type_table_find(types, "add", 3), "", 0, &job),
                         0);
        return job;
}

static Job *finish(uint64_t attempt, WireOutcome outcome, const char *text) {
        Job *job = add(attempt);

        job_finish(job, outcome, text, strlen(text), 1, 2);
        outbox_finished(outbox, job);
        return job;
}

static void acknowledge(const char *correlation) {
        struct iovec c = { (char *) correlation, strlen(correlation) };

        outbox_acknowledged(outbox, &c);
}

static void refuse(const char *correlation, WireError code) {
        struct iovec c = { (char *) correlation, strlen(correlation) };

        outbox_refused(outbox, &c, code, "not like this");
}

#define assert_sent(i, what, groups)                         \
        do {                                                 \
                ck_assert_uint_gt(n_sent, i);                \
                ck_assert_str_eq(sent[i].verb, what);        \
                ck_assert_uint_eq(sent[i].n_groups, groups); \
        } while (false)

#define ID "00000000-0000-0000-0000-000000000000"

START_TEST(test_done) {
        finish(1, WIRE_OUTCOME_SUCCESS, "8");
        finish(2, WIRE_OUTCOME_CRASH, "killed");
        ck_assert_uint_eq(outbox_n_finished(outbox), 2);
        ck_assert_int_eq(outbox_flush(outbox), 0);
        assert_sent(0, "DONE", 2);
        ck_assert_str_eq(last, ID "|1|success|8||1|2||" ID "|2|crash||killed|1|2||");
        ck_assert_uint_eq(outbox_n_finished(outbox), 0);
        ck_assert_uint_eq(outbox_n_unacknowledged(outbox), 2);

        /* Nothing is sent twice, and only the right answer counts. */
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_uint_eq(n_sent, 1);
        acknowledge("d99");
        acknowledge("x");
        acknowledge("");
        acknowledge("dx");
        acknowledge("r1");
        ck_assert_uint_eq(job_table_count(jobs), 2);
        acknowledge(sent[0].correlation);
        ck_assert_uint_eq(job_table_count(jobs), 0);
        ck_assert_uint_eq(outbox_n_unacknowledged(outbox), 0);
        acknowledge(sent[0].correlation);
}
END_TEST

/* More than fits into one message. */
START_TEST(test_batches) {
        for (uint64_t i = 0; i < 2500; i++)
                finish(i, WIRE_OUTCOME_SUCCESS, "");
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_uint_eq(n_sent, 3);
        assert_sent(0, "DONE", 1000);
        assert_sent(2, "DONE", 500);
        acknowledge(sent[1].correlation);
        ck_assert_uint_eq(job_table_count(jobs), 1500);
        acknowledge(sent[2].correlation);
        acknowledge(sent[0].correlation);
        ck_assert_uint_eq(job_table_count(jobs), 0);
}
END_TEST

START_TEST(test_large_results) {
        _cleanup_free_ char *big = calloc(3000001, 1);

        memset(big, 'r', 3000000);
        for (uint64_t i = 0; i < 3; i++)
                finish(i, WIRE_OUTCOME_SUCCESS, big);
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_uint_eq(n_sent, 3);
        assert_sent(0, "DONE", 1);
}
END_TEST

START_TEST(test_order) {
        Job *running = add(7);

        outbox_started(outbox, running, 55);
        outbox_released(outbox, ({
                                Job *j = add(8);
                                j->release_reason = "busy";
                                j;
                        }));
        outbox_capacity(outbox, 4);
        outbox_capacity(outbox, 1);
        finish(9, WIRE_OUTCOME_SUCCESS, "");
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_uint_eq(n_sent, 4);
        assert_sent(0, "STARTED", 1);
        assert_sent(1, "DONE", 1);
        assert_sent(2, "CAPACITY", 0);
        assert_sent(3, "RELEASE", 1);
        ck_assert_str_eq(last, "busy|" ID "|8|");
        ck_assert_uint_eq(job_table_count(jobs), 2);
        ck_assert_uint_eq(outbox_n_unacknowledged(outbox), 2);
        acknowledge(sent[3].correlation);
        ck_assert_uint_eq(outbox_n_unacknowledged(outbox), 1);
}
END_TEST

START_TEST(test_reasons) {
        static const char *const reasons[] = { "one", "one", "two", "one" };

        for (uint64_t i = 0; i < ELEMENTSOF(reasons); i++) {
                Job *job = add(i);

                job->release_reason = reasons[i];
                outbox_released(outbox, job);
        }
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_uint_eq(n_sent, 3);
        assert_sent(0, "RELEASE", 2);
        ck_assert_str_eq(last, "one|" ID "|3|");
        ck_assert_uint_eq(job_table_count(jobs), 0);
}
END_TEST

/* The socket has no room, or there is no connection: nothing is lost. */
START_TEST(test_no_room) {
        Job *job = add(8);

        job->release_reason = "busy";
        outbox_released(outbox, job);
        outbox_started(outbox, add(7), 55);
        outbox_capacity(outbox, 3);
        finish(9, WIRE_OUTCOME_SUCCESS, "");
        refuse_with = -EAGAIN;
        ck_assert_int_eq(outbox_flush(outbox), -EAGAIN);
        ck_assert_int_eq(outbox_flush(outbox), -EAGAIN);
        refuse_with = 0;
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_uint_eq(n_sent, 4);
}
END_TEST

/* After the connection broke, ends go again, in order; so does what was to be handed back, as the
 * registration does not name it. */
START_TEST(test_reset) {
        Job *job;

        finish(1, WIRE_OUTCOME_SUCCESS, "");
        ck_assert_int_eq(outbox_flush(outbox), 0);
        finish(2, WIRE_OUTCOME_SUCCESS, "");
        finish(3, WIRE_OUTCOME_SUCCESS, "");
        ck_assert_int_eq(outbox_flush(outbox), 0);
        finish(4, WIRE_OUTCOME_SUCCESS, "");
        job = add(5);
        job->release_reason = "busy";
        outbox_released(outbox, job);
        outbox_reset(outbox);
        ck_assert_uint_eq(outbox_n_finished(outbox), 4);
        acknowledge(sent[0].correlation); /* too late */
        ck_assert_int_eq(outbox_flush(outbox), 0);
        assert_sent(2, "DONE", 4);
        assert_sent(3, "RELEASE", 1);
        acknowledge(sent[2].correlation);
        ck_assert_uint_eq(job_table_count(jobs), 0);
}
END_TEST

START_TEST(test_drop) {
        Job *reported = finish(1, WIRE_OUTCOME_SUCCESS, ""), *other, *unsent;

        other = finish(2, WIRE_OUTCOME_SUCCESS, "");
        ck_assert_int_eq(outbox_flush(outbox), 0);
        unsent = finish(3, WIRE_OUTCOME_SUCCESS, "");
        outbox_drop(outbox, unsent);
        ck_assert_uint_eq(outbox_n_finished(outbox), 0);
        outbox_drop(outbox, reported);
        ck_assert_uint_eq(outbox_n_unacknowledged(outbox), 1);
        outbox_drop(outbox, other);
        ck_assert_uint_eq(outbox_n_unacknowledged(outbox), 0);
        ck_assert_uint_eq(job_table_count(jobs), 0);
        acknowledge(sent[0].correlation);
}
END_TEST

/* What the task wants to become of it goes along, also when it is told again. */
START_TEST(test_details) {
        Job *job = finish(1, WIRE_OUTCOME_FAILURE, "later");

        job->has_retry_after = true;
        job->retry_after_usec = 1500000;
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_str_eq(last, ID
                         "|1|failure||later|1|2|{\"retry_after\":1.5,\"reason\":\"exception\"}|");
        outbox_reset(outbox);
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_str_eq(last, ID
                         "|1|failure||later|1|2|{\"retry_after\":1.5,\"reason\":\"exception\"}|");

        finish(2, WIRE_OUTCOME_FAILURE, "never")->no_retry = true;
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_str_eq(last,
                         ID "|2|failure||never|1|2|{\"no_retry\":true,\"reason\":\"exception\"}|");
}
END_TEST

/* controld says that it cannot take a message: the one that it cannot take is found, its task fails with the
 * reason, the others are not held up. */
START_TEST(test_refused) {
        finish(1, WIRE_OUTCOME_SUCCESS, "a");
        finish(2, WIRE_OUTCOME_SUCCESS, "b");
        ck_assert_int_eq(outbox_flush(outbox), 0);
        refuse(sent[0].correlation, WIRE_ERROR_TOO_LARGE);
        finish(3, WIRE_OUTCOME_SUCCESS, "c");
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_uint_eq(n_sent, 4);
        assert_sent(1, "DONE", 1);
        assert_sent(2, "DONE", 1);
        assert_sent(3, "DONE", 1);
        acknowledge(sent[1].correlation);
        acknowledge(sent[3].correlation);
        refuse(sent[2].correlation, WIRE_ERROR_TOO_LARGE);
        ck_assert_int_eq(outbox_flush(outbox), 0);
        assert_sent(4, "DONE", 1);
        ck_assert_str_eq(
                last, ID
                "|2|failure||the control plane refused the result (too-large): not like this|1|2|{\"reason\":\"exception\"}|");
        refuse(sent[4].correlation, WIRE_ERROR_TOO_LARGE);
        ck_assert_uint_eq(job_table_count(jobs), 0);
        ck_assert_uint_eq(outbox_n_unacknowledged(outbox), 0);
}
END_TEST

/* It is only that controld has no memory at the moment: later. */
START_TEST(test_refused_for_now) {
        uint64_t due;

        finish(1, WIRE_OUTCOME_SUCCESS, "a");
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_uint_lt(outbox_due(outbox),
                          USEC_INFINITY); /* to send it again if there is no answer */
        refuse(sent[0].correlation, WIRE_ERROR_INTERNAL);
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_uint_eq(n_sent, 1);
        due = outbox_due(outbox);
        ck_assert_uint_gt(due, now_usec(CLOCK_MONOTONIC));
        ck_assert_uint_le(due, now_usec(CLOCK_MONOTONIC) + USEC_PER_SEC);
        outbox_review(outbox, due - 1);
        ck_assert_int_eq(outbox_flush(outbox), 0);
        ck_assert_uint_eq(n_sent, 1);
        outbox_review(outbox, due);
        ck_assert_int_eq(outbox_flush(outbox), 0);
        assert_sent(1, "DONE", 1);
        acknowledge(sent[1].correlation);
        ck_assert_uint_eq(outbox_due(outbox), USEC_INFINITY);
}
END_TEST

/* No answer at all: again, after a long while. */
START_TEST(test_no_answer) {
        uint64_t due;

        finish(1, WIRE_OUTCOME_SUCCESS, "a");
        ck_assert_int_eq(outbox_flush(outbox), 0);
        due = outbox_due(outbox);
        ck_assert_uint_gt(due, now_usec(CLOCK_MONOTONIC) + 10 * USEC_PER_SEC);
        outbox_review(outbox, due);
        ck_assert_int_eq(outbox_flush(outbox), 0);
        assert_sent(1, "DONE", 1);
        acknowledge(sent[0].correlation);
        ck_assert_uint_eq(job_table_count(jobs), 1);
        acknowledge(sent[1].correlation);
        ck_assert_uint_eq(job_table_count(jobs), 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("outbox");
        TCase *c = tcase_create("outbox");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_set_timeout(c, 60);
        tcase_add_test(c, test_done);
        tcase_add_test(c, test_batches);
        tcase_add_test(c, test_large_results);
        tcase_add_test(c, test_order);
        tcase_add_test(c, test_reasons);
        tcase_add_test(c, test_no_room);
        tcase_add_test(c, test_reset);
        tcase_add_test(c, test_drop);
        tcase_add_test(c, test_refused);
        tcase_add_test(c, test_details);
        tcase_add_test(c, test_refused_for_now);
        tcase_add_test(c, test_no_answer);
        suite_add_tcase(s, c);
        return check_run(s);
}
