/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "progress-text.h"
#include "progress.h"

static TypeTable *types;
static JobTable *jobs;
static ProgressTable *table;
static unsigned n_messages, n_groups, last_percent;
static char last_text[PROGRESS_TEXT_MAX + 1];
static int send_error;

static int on_send(const WireOut *out, void *userdata) {
        struct iovec iov[WIRE_FRAMES_MAX];
        const struct iovec *g;
        WireRefusal refusal;
        WireMessage m;

        ck_assert_ptr_eq(userdata, &n_messages);
        if (send_error < 0)
                return send_error;
        ck_assert_int_eq(out->error, 0);
        for (size_t i = 0; i < out->n; i++)
                iov[i] = (struct iovec){ (void *) wire_frame_data(&out->frames[i]),
                                         out->frames[i].size };
        ck_assert_msg(wire_decode(iov, out->n, WIRE_WORKER_TO_CONTROLD, &m, &refusal) == 0, "%s",
                      refusal.text);
        ck_assert_int_eq(m.verb, WIRE_PROGRESS);
        n_messages++;
        n_groups += (unsigned) m.n_groups;
        g = wire_group(&m, m.n_groups - 1);
        last_percent = (unsigned) wire_get_number(&g[2]);
        ck_assert_uint_le(g[3].iov_len, PROGRESS_TEXT_MAX);
        memcpy(last_text, g[3].iov_base, g[3].iov_len);
        last_text[g[3].iov_len] = '\0';
        return 0;
}

static void setup(void) {
        n_messages = n_groups = 0;
        send_error = 0;
        ck_assert_int_eq(type_table_new(&types), 0);
        ck_assert_int_eq(type_table_set(types, RUNNER_NATIVE, &(TypeList){ "a\t\n", 3 }, NULL), 1);
        ck_assert_int_eq(job_table_new(&jobs), 0);
        ck_assert_int_eq(progress_new(on_send, &n_messages, &table), 0);
}

static void teardown(void) {
        progress_free(table);
        job_table_free(jobs);
        type_table_free(types);
}

static Job *add(uint64_t attempt) {
        JobKey key = { .attempt = attempt };
        Job *job;

        ck_assert_int_eq(job_table_add(jobs, &key, type_table_find(types, "a", 1), "{}", 2, &job),
                         0);
        return job;
}

static void report(const Job *job, unsigned percent, const char *text) {
        progress_report(table, job, percent, text, strlen(text));
}

/* The newest counts, and not more than two go out in a second. */
START_TEST(test_rate) {
        const uint64_t t = 1000 * USEC_PER_SEC;
        Job *job = add(1);

        ck_assert_uint_eq(progress_due(table), USEC_INFINITY);
        report(job, 100, "one");
        ck_assert_uint_eq(progress_due(table), 0);
        ck_assert_int_eq(progress_flush(table, t), 0);
        ck_assert_uint_eq(n_messages, 1);
        ck_assert_uint_eq(last_percent, 100);
        ck_assert_str_eq(last_text, "one");
        ck_assert_uint_eq(progress_due(table), USEC_INFINITY);

        report(job, 200, "two");
        report(job, 300, "three");
        ck_assert_uint_eq(progress_due(table), t + PROGRESS_INTERVAL_USEC);
        ck_assert_int_eq(progress_flush(table, t + PROGRESS_INTERVAL_USEC - 1), 0);
        ck_assert_uint_eq(n_messages, 1);
        ck_assert_int_eq(progress_flush(table, t + PROGRESS_INTERVAL_USEC), 0);
        ck_assert_uint_eq(n_messages, 2);
        ck_assert_str_eq(last_text, "three");
        ck_assert_int_eq(progress_flush(table, t + 10 * PROGRESS_INTERVAL_USEC), 0);
        ck_assert_uint_eq(n_messages, 2);
}
END_TEST

START_TEST(test_forget) {
        Job *one = add(1), *two = add(2);

        report(one, 100, "");
        report(two, 20000, "");
        progress_forget(table, one);
        progress_forget(table, one);
        ck_assert_int_eq(progress_flush(table, 1), 0);
        ck_assert_uint_eq(n_groups, 1);
        ck_assert_uint_eq(last_percent, PROGRESS_PERCENT_MAX);
}
END_TEST

/* What could not be sent goes later; many go in several messages. */
START_TEST(test_many) {
        for (uint64_t i = 0; i < 2 * WIRE_BATCH_MAX + 1; i++)
                report(add(i), 1, "x");
        send_error = -EAGAIN;
        ck_assert_int_eq(progress_flush(table, 1), -EAGAIN);
        send_error = 0;
        ck_assert_int_eq(progress_flush(table, 1), 0);
        ck_assert_uint_eq(n_messages, 3);
        ck_assert_uint_eq(n_groups, 2 * WIRE_BATCH_MAX + 1);
}
END_TEST

static void assert_text(const char *text, const char *expected) {
        char result[PROGRESS_TEXT_MAX + 1];

        progress_text_set(result, text, strlen(text));
        ck_assert_str_eq(result, expected);
}

START_TEST(test_text) {
        _cleanup_free_ char *longest = format_string("%0200d", 0),
                            *longer = format_string("%0199d\u00e9", 0),
                            *cut = format_string("%0199d", 0);

        assert_text("", "");
        assert_text("caf\u00e9", "caf\u00e9");
        assert_text("a\nb\tc\x7f\x1b[1m", "a b c  [1m");
        assert_text("a\xff\xc3", "a  ");
        assert_text(longest, longest);
        assert_text(longer, cut);
}
END_TEST

int main(void) {
        Suite *s = suite_create("progress");
        TCase *c = tcase_create("progress");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, test_rate);
        tcase_add_test(c, test_forget);
        tcase_add_test(c, test_many);
        tcase_add_test(c, test_text);
        suite_add_tcase(s, c);
        return check_run(s);
}
