/* SPDX-License-Identifier: MIT */

/* Requests that wait for subworkers to come. */

#include "controld-fixture.h"
#include "fail-alloc.h"

#define HELD_MAX       1000U
#define HELD_BYTES_MAX (16U * 1024U * 1024U)

static Held *held;
static char handled[256]; /* "routing:frame,frame;" of each request that was handled */
static unsigned n_handled, hold_again, fail_at;

static int add(const char *routing, struct iovec *frames, size_t n) {
        Request r = {
                .routing = { (char *) routing, strlen(routing) },
                .frames = frames,
                .n_frames = n,
        };

        return held_add(held, &r);
}

static int add_text(const char *routing, const char *text) {
        struct iovec frame = { (char *) text, strlen(text) };

        return add(routing, &frame, 1);
}

static void note(const struct iovec *part, const char *after) {
        size_t n = strlen(handled);

        (void) snprintf(handled + n, sizeof(handled) - n, "%.*s%s", (int) part->iov_len,
                        (const char *) part->iov_base, after);
}

static int handle(const struct iovec *routing, const struct iovec *frames, size_t n) {
        n_handled++;
        note(routing, ":");
        for (size_t i = 0; i < n; i++)
                note(&frames[i], i + 1 < n ? "," : ";");
        if (n_handled == fail_at)
                return -EIO;
        if (hold_again > 0) {
                Request r = { .routing = *routing, .frames = frames, .n_frames = n };

                hold_again--;
                return held_add(held, &r);
        }
        return 0;
}

static void setup(void) {
        fixture_setup();
        held = &fixture->held;
        fixture_handle = handle;
        handled[0] = '\0';
        n_handled = hold_again = fail_at = 0;
}

/* What is held is a copy, with all frames, also empty ones. */
START_TEST(test_copies) {
        char routing[] = "p1", verb[] = "FW1 SUBMIT", text[] = "x";
        struct iovec frames[] = { { verb, strlen(verb) }, { NULL, 0 }, { text, 1 } };

        ck_assert_int_eq(add(routing, frames, ELEMENTSOF(frames)), 0);
        memset(routing, '?', 2);
        memset(verb, '?', sizeof(verb) - 1);
        text[0] = '?';
        ck_assert_uint_eq(held->n, 1);
        ck_assert_int_eq(held_replay(held), 0);
        ck_assert_str_eq(handled, "p1:FW1 SUBMIT,,x;");
        ck_assert_uint_eq(held->n, 0);
        ck_assert_uint_eq(held->bytes, 0);
        ck_assert_int_eq(held_replay(held), 0);
        ck_assert_uint_eq(n_handled, 1);
}
END_TEST

START_TEST(test_order) {
        ck_assert_int_eq(add_text("a", "1"), 0);
        ck_assert_int_eq(add_text("b", "2"), 0);
        ck_assert_int_eq(add_text("a", "3"), 0);
        ck_assert_int_eq(held_replay(held), 0);
        ck_assert_str_eq(handled, "a:1;b:2;a:3;");
}
END_TEST

/* A request that is held once more is not taken again in the same replay. */
START_TEST(test_hold_again) {
        ck_assert_int_eq(add_text("a", "1"), 0);
        ck_assert_int_eq(add_text("b", "2"), 0);
        ck_assert_int_eq(add_text("c", "3"), 0);
        hold_again = 2;
        ck_assert_int_eq(held_replay(held), 0);
        ck_assert_str_eq(handled, "a:1;b:2;c:3;");
        ck_assert_uint_eq(held->n, 2);
        ck_assert_int_eq(held_replay(held), 0);
        ck_assert_str_eq(handled, "a:1;b:2;c:3;a:1;b:2;");
        ck_assert_uint_eq(held->n, 0);
}
END_TEST

/* A broken daemon is passed on; what was not handled is still there to be freed. */
START_TEST(test_failure) {
        ck_assert_int_eq(add_text("a", "1"), 0);
        ck_assert_int_eq(add_text("b", "2"), 0);
        ck_assert_int_eq(add_text("c", "3"), 0);
        fail_at = 2;
        ck_assert_int_eq(held_replay(held), -EIO);
        ck_assert_str_eq(handled, "a:1;b:2;");
        ck_assert_uint_eq(held->n, 1);
        held_done(held);
        ck_assert_uint_eq(held->n, 0);
        ck_assert_uint_eq(held->bytes, 0);
}
END_TEST

START_TEST(test_too_many) {
        unsigned n = 0;

        while (add_text("a", "1") == 0)
                n++;
        ck_assert_uint_eq(n, HELD_MAX);
        ck_assert_int_eq(add_text("a", "1"), -ENOBUFS);
        ck_assert_uint_eq(held->n, HELD_MAX);
}
END_TEST

START_TEST(test_too_large) {
        _cleanup_free_ char *text = malloc(HELD_BYTES_MAX / 4);
        struct iovec frame = { text, HELD_BYTES_MAX / 4 };

        ck_assert_ptr_nonnull(text);
        memset(text, 'x', frame.iov_len);
        for (unsigned i = 0; i < 3; i++)
                ck_assert_int_eq(add("a", &frame, 1), 0);
        ck_assert_int_eq(add("a", &frame, 1), -ENOBUFS);
        ck_assert_uint_eq(held->n, 3);
        ck_assert_int_eq(add_text("a", "1"), 0); /* a small one still fits */
}
END_TEST

START_TEST(test_no_memory) {
        int r;

        FAIL_EACH_ALLOC(r = add_text("a", "1"), {
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert_uint_eq(held->n, 0);
                ck_assert_uint_eq(held->bytes, 0);
        });
        ck_assert_int_eq(r, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("held");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, fixture_teardown);
        tcase_add_test(t, test_copies);
        tcase_add_test(t, test_order);
        tcase_add_test(t, test_hold_again);
        tcase_add_test(t, test_failure);
        tcase_add_test(t, test_too_many);
        tcase_add_test(t, test_too_large);
        tcase_add_test(t, test_no_memory);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
