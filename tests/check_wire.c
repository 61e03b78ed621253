/* SPDX-License-Identifier: MIT */

/* The parts of the codec that tests/vectors cannot show: single kinds of field at their limits, the encoder's
 * errors and reuse, the table itself. */

#include <check.h>

#include "wire.h"

static bool valid(WireKind kind, const void *data, size_t size) {
        struct iovec f = { (void *) data, size };

        return wire_field_is_valid(kind, &f);
}

static bool valid_string(WireKind kind, const char *s) {
        return valid(kind, s, strlen(s));
}

/* `n` times the same character. */
static bool valid_fill(WireKind kind, char c, size_t n) {
        _cleanup_free_ char *s = malloc(n + 1);

        ck_assert_ptr_nonnull(s);
        memset(s, c, n);
        return valid(kind, s, n);
}

START_TEST(test_words) {
        static const struct {
                WireKind kind;
                size_t max;
                const char *characters;
        } kinds[] = {
                { WIRE_KIND_NAME, 255, "._:-" },
                { WIRE_KIND_WORKER_ID, 128, "._:-@" },
        };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                for (int c = 0; c < 256; c++) {
                        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                  (c >= '0' && c <= '9') || (c && strchr(kinds[i].characters, c));
                        char s[] = { 'a', (char) c, 'z' };

                        ck_assert_msg(valid(kinds[i].kind, s, sizeof(s)) == ok, "character %d", c);
                        ck_assert(valid(kinds[i].kind, s + 1, 1) == ok);
                }
                ck_assert(!valid(kinds[i].kind, NULL, 0));
                ck_assert(valid_fill(kinds[i].kind, 'x', kinds[i].max));
                ck_assert(!valid_fill(kinds[i].kind, 'x', kinds[i].max + 1));
        }
}
END_TEST

START_TEST(test_key_and_code) {
        for (int c = 0; c < 256; c++) {
                char s = (char) c;

                ck_assert(valid(WIRE_KIND_KEY, &s, 1) == (c >= 0x20 && c <= 0x7e));
                ck_assert(valid(WIRE_KIND_CODE, &s, 1) == ((c >= 'a' && c <= 'z') || c == '-'));
        }
        ck_assert(valid(WIRE_KIND_KEY, NULL, 0));
        ck_assert(valid_fill(WIRE_KIND_KEY, '~', 64));
        ck_assert(!valid_fill(WIRE_KIND_KEY, '~', 65));
        ck_assert(!valid(WIRE_KIND_CODE, NULL, 0));
        ck_assert(valid_fill(WIRE_KIND_CODE, 'z', 64));
        ck_assert(!valid_fill(WIRE_KIND_CODE, 'z', 65));
        for (WireError e = 0; e < _WIRE_ERROR_MAX; e++)
                ck_assert(valid_string(WIRE_KIND_CODE, wire_error_to_string(e)));
}
END_TEST

START_TEST(test_numbers) {
        struct iovec f = { (char *) "9999999999999999999", 19 };

        for (int c = 0; c < 256; c++) {
                char s[] = { '1', (char) c };

                ck_assert(valid(WIRE_KIND_NUMBER, s, 2) == (c >= '0' && c <= '9'));
        }
        ck_assert(!valid(WIRE_KIND_NUMBER, NULL, 0));
        ck_assert(wire_field_is_valid(WIRE_KIND_NUMBER, &f));
        ck_assert_uint_eq(wire_get_number(&f), WIRE_NUMBER_MAX);
        ck_assert(!valid_fill(WIRE_KIND_NUMBER, '0', 20));
        f = (struct iovec){ (char *) "0000000000000000042", 19 };
        ck_assert_uint_eq(wire_get_number(&f), 42);
}
END_TEST

START_TEST(test_choices) {
        ck_assert(valid_string(WIRE_KIND_MODE, ""));
        ck_assert(valid(WIRE_KIND_MODE, NULL, 0));
        ck_assert(valid_string(WIRE_KIND_MODE, "wait"));
        ck_assert(!valid(WIRE_KIND_MODE, "wait", 5));
        ck_assert(!valid_string(WIRE_KIND_MODE, "w"));

        for (WireOutcome o = 0; o < _WIRE_OUTCOME_MAX; o++) {
                const char *name = wire_outcome_to_string(o);
                struct iovec f = { (char *) name, strlen(name) };

                ck_assert(wire_field_is_valid(WIRE_KIND_OUTCOME, &f));
                ck_assert_int_eq(wire_get_outcome(&f), o);
        }
        for (WireCancel c = 0; c < _WIRE_CANCEL_MAX; c++) {
                const char *name = wire_cancel_to_string(c);
                struct iovec f = { (char *) name, strlen(name) };

                ck_assert(wire_field_is_valid(WIRE_KIND_CANCEL, &f));
                ck_assert_int_eq(wire_get_cancel(&f), c);
        }
        ck_assert(!valid_string(WIRE_KIND_OUTCOME, "SUCCESS"));
        ck_assert(!valid(WIRE_KIND_OUTCOME, NULL, 0));
        ck_assert(valid_string(WIRE_KIND_STATUS, "unknown"));
        ck_assert(valid_string(WIRE_KIND_STATUS, "retrying"));
        ck_assert(!valid_string(WIRE_KIND_STATUS, "unknown "));
        ck_assert(!valid(WIRE_KIND_STATUS, NULL, 0));
        ck_assert(!valid_string((WireKind) '?', ""));
}
END_TEST

START_TEST(test_sizes) {
        static const struct {
                WireKind kind;
                size_t max;
        } kinds[] = {
                { WIRE_KIND_INFO, WIRE_INFO_MAX },
                { WIRE_KIND_OPTIONS, WIRE_OPTIONS_MAX },
                { WIRE_KIND_TEXT, WIRE_TEXT_MAX },
                { WIRE_KIND_PAYLOAD, WIRE_PAYLOAD_MAX },
        };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                /* Only the size is looked at. */
                ck_assert(valid(kinds[i].kind, NULL, 0));
                ck_assert(valid(kinds[i].kind, NULL, kinds[i].max));
                ck_assert(!valid(kinds[i].kind, NULL, kinds[i].max + 1));
        }
}
END_TEST

/* What the functions that read the table take for granted. */
START_TEST(test_table) {
        ck_assert_ptr_null(wire_schema(_WIRE_VERB_MAX));
        ck_assert_ptr_null(wire_schema(_WIRE_VERB_INVALID));
        ck_assert_ptr_null(wire_verb_to_string(_WIRE_VERB_MAX));
        ck_assert_int_eq(wire_verb_from_string("NONSENSE"), _WIRE_VERB_INVALID);
        ck_assert_int_eq(wire_verb_from_string(NULL), _WIRE_VERB_INVALID);

        for (WireVerb v = 0; v < _WIRE_VERB_MAX; v++) {
                const WireSchema *s = wire_schema(v);
                WireOut out = {};

                ck_assert_ptr_nonnull(s->name);
                ck_assert_int_eq(wire_verb_from_string(s->name), v);
                ck_assert_uint_gt(s->directions, 0);
                ck_assert(s->groups_are_open == (strlen(s->group) > 0));
                ck_assert(s->groups_are_open || s->groups_min == 0);
                ck_assert_uint_le(2 + strlen(s->fields) + WIRE_BATCH_MAX * strlen(s->group),
                                  WIRE_FRAMES_MAX);

                wire_begin(&out, v, NULL);
                ck_assert_int_eq(out.error, 0);
                ck_assert_uint_eq(out.n, 2);
                ck_assert_uint_eq(out.frames[0].size, 4 + strlen(s->name));
                ck_assert_mem_eq(wire_frame_data(&out.frames[0]), "FW1 ", 4);
                ck_assert_uint_eq(out.frames[1].size, 0);
                wire_out_done(&out);
        }
}
END_TEST

START_TEST(test_out_errors_stick) {
        WireOut out = {};

        wire_begin(&out, WIRE_HEARTBEAT, NULL);
        wire_put(&out, "x", (size_t) WIRE_PAYLOAD_MAX + 1);
        ck_assert_int_eq(out.error, -EMSGSIZE);
        wire_put_number(&out, 1);
        wire_put_string(&out, "y");
        ck_assert_int_eq(out.error, -EMSGSIZE);
        ck_assert_uint_eq(out.n, 2);

        /* The next message starts afresh. */
        wire_begin(&out, WIRE_HEARTBEAT, NULL);
        ck_assert_int_eq(out.error, 0);
        wire_put_number(&out, WIRE_NUMBER_MAX);
        ck_assert_int_eq(out.error, 0);
        ck_assert_uint_eq(out.frames[2].size, 19);
        wire_put_number(&out, WIRE_NUMBER_MAX + 1);
        ck_assert_int_eq(out.error, -ERANGE);
        wire_out_done(&out);
        ck_assert_ptr_null(out.frames);
}
END_TEST

/* Frames that hold their own bytes must survive the growth of the array. */
START_TEST(test_out_growth) {
        struct iovec correlation = { (char *) "abc", 3 };
        WireOut out = {};
        TaskId id;

        ck_assert_int_eq(task_id_from_text("01938f2a-7c3b-7123-8abc-0123456789ab", 36, &id), 0);
        wire_begin(&out, WIRE_STARTED, &correlation);
        for (uint64_t i = 0; i < WIRE_BATCH_MAX; i++) {
                wire_put_task_id(&out, &id);
                wire_put_number(&out, i);
                wire_put(&out, NULL, 0);
        }
        ck_assert_int_eq(out.error, 0);
        ck_assert_uint_eq(out.n, 2 + 3 * WIRE_BATCH_MAX);
        ck_assert_mem_eq(wire_frame_data(&out.frames[0]), "FW1 STARTED", 11);
        ck_assert_mem_eq(wire_frame_data(&out.frames[1]), "abc", 3);
        for (uint64_t i = 0; i < WIRE_BATCH_MAX; i++) {
                const WireFrame *f = &out.frames[2 + 3 * i];
                struct iovec number = { (void *) wire_frame_data(&f[1]), f[1].size };

                ck_assert_uint_eq(f[0].size, 36);
                ck_assert_mem_eq(wire_frame_data(&f[0]), "01938f2a-7c3b-7123-8abc-0123456789ab",
                                 36);
                ck_assert_uint_eq(wire_get_number(&number), i);
                ck_assert_uint_eq(f[2].size, 0);
                ck_assert_ptr_nonnull(wire_frame_data(&f[2]));
        }
        wire_out_done(&out);
}
END_TEST

START_TEST(test_get_string) {
        struct iovec f = { (char *) "a\0b", 3 }, nothing = {};
        _cleanup_free_ char *s = wire_get_string(&f), *empty = wire_get_string(&nothing);

        ck_assert_ptr_nonnull(s);
        ck_assert_mem_eq(s, "a\0b", 4);
        ck_assert_ptr_nonnull(empty);
        ck_assert_str_eq(empty, "");
}
END_TEST

/* The text of a refusal is cut, not overrun, whatever the peer sent. */
START_TEST(test_refusal_text) {
        char verb[5000], noise[64];
        struct iovec frames[] = { { verb, sizeof(verb) }, { (char *) "1", 1 } };
        WireRefusal refusal;
        WireMessage m;

        memset(verb, 'V', sizeof(verb));
        memcpy(verb, "FW1 ", 4);
        ck_assert_int_eq(wire_decode(frames, 2, WIRE_CLIENT_TO_CONTROLD, &m, &refusal), -EBADMSG);
        ck_assert_int_eq(refusal.code, WIRE_ERROR_UNKNOWN_VERB);
        ck_assert_ptr_nonnull(strstr(refusal.text, "FW1 VVVVVVVVVVVVVVVV..."));
        ck_assert_uint_eq(m.correlation.iov_len, 1);

        for (size_t i = 0; i < sizeof(noise); i++)
                noise[i] = (char) (i * 37);
        for (size_t n = 0; n <= sizeof(noise); n++) {
                frames[0] = (struct iovec){ noise, n };
                ck_assert_int_eq(wire_decode(frames, 2, WIRE_CLIENT_TO_CONTROLD, &m, &refusal),
                                 -EBADMSG);
                ck_assert_int_eq(refusal.code, WIRE_ERROR_BAD_MESSAGE);
                for (const char *p = refusal.text; *p; p++)
                        ck_assert(*p >= 0x20 && *p <= 0x7e);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("wire");
        TCase *t = tcase_create("all");
        SRunner *runner;
        int failed;

        tcase_add_test(t, test_words);
        tcase_add_test(t, test_key_and_code);
        tcase_add_test(t, test_numbers);
        tcase_add_test(t, test_choices);
        tcase_add_test(t, test_sizes);
        tcase_add_test(t, test_table);
        tcase_add_test(t, test_out_errors_stick);
        tcase_add_test(t, test_out_growth);
        tcase_add_test(t, test_get_string);
        tcase_add_test(t, test_refusal_text);
        suite_add_tcase(suite, t);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
