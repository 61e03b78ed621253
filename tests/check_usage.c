/* SPDX-License-Identifier: MIT */

#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "check-util.h"
#include "time-util.h"
#include "usage.h"

#define SIZE (UINT64_C(64) << 20)

static int to_child[2], from_child[2];
static pid_t child;

static uint64_t cpu_now(void) {
        return now_usec(CLOCK_PROCESS_CPUTIME_ID);
}

static void spin(uint64_t usec) {
        uint64_t end = cpu_now() + usec;

        while (cpu_now() < end)
                ;
}

static void use_memory(void) {
        char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        for (uint64_t i = 0; p != MAP_FAILED && i < SIZE; i += 4096)
                ((volatile char *) p)[i] = 1;
        (void) munmap(p, SIZE);
}

/* Does what it is told, a letter each: s spins for 50 ms, m uses 64 MiB for a moment, f has a child spin. */
static _Noreturn void obey(void) {
        char c;

        while (read(to_child[0], &c, 1) == 1) {
                pid_t pid;

                if (c == 's')
                        spin(50 * USEC_PER_MSEC);
                else if (c == 'm')
                        use_memory();
                else if ((pid = fork()) == 0) {
                        spin(50 * USEC_PER_MSEC);
                        _exit(0);
                } else
                        (void) waitpid(pid, NULL, 0);
                (void) !write(from_child[1], &c, 1);
        }
        _exit(0);
}

static void setup(void) {
        ck_assert_int_eq(pipe2(to_child, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(from_child, O_CLOEXEC), 0);
        child = fork();
        ck_assert_int_ge(child, 0);
        to_child[child == 0] = safe_close(to_child[child == 0]);
        if (child == 0)
                obey();
}

static void teardown(void) {
        safe_close(to_child[1]);
        (void) waitpid(child, NULL, 0);
        safe_close(from_child[0]);
        safe_close(from_child[1]);
}

static void tell(char c) {
        ck_assert_int_eq(write(to_child[1], &c, 1), 1);
        ck_assert_int_eq(read(from_child[0], &c, 1), 1);
}

START_TEST(test_read) {
        Usage before = {}, after = {};

        usage_read(child, NULL, &before);
        tell('s');
        usage_read(child, NULL, &after);
        ck_assert_uint_ge(after.cpu_usec, before.cpu_usec + 50 * USEC_PER_MSEC);
        /* Of children that have ended the kernel counts in ticks. */
        before = after;
        tell('f');
        usage_read(child, NULL, &after);
        ck_assert_uint_ge(after.cpu_usec, before.cpu_usec + 30 * USEC_PER_MSEC);
        ck_assert_uint_gt(usage_memory(child, NULL), 0);
        tell('m');
        usage_read(child, NULL, &after);
        ck_assert_uint_ge(after.memory_bytes, SIZE);
        ck_assert_uint_lt(after.memory_now_bytes, after.memory_bytes);
}
END_TEST

START_TEST(test_nobody) {
        Usage u = { 1, 2, 3 };

        usage_read(INT32_MAX - 1, NULL, &u);
        ck_assert_uint_eq(u.cpu_usec, 0);
        ck_assert_uint_eq(u.memory_bytes, 0);
        ck_assert_uint_eq(u.memory_now_bytes, 0);
        usage_reset_peak(INT32_MAX - 1);
}
END_TEST

/* A task is noticed late, and what it has used until then counts; what the one before has used does not. */
START_TEST(test_meter) {
        Meter m;
        Usage total, u = {};

        meter_reset(&m);
        tell('m');
        tell('s');
        meter_idle(&m, child, NULL);
        tell('s');
        meter_begin(&m, child, NULL, USEC_PER_MINUTE);
        tell('s');
        usage_read(child, NULL, &total);
        ck_assert(meter_end(&m, &total, &u));
        ck_assert_uint_ge(u.cpu_usec, 100 * USEC_PER_MSEC);
        ck_assert_uint_le(u.cpu_usec, total.cpu_usec - 50 * USEC_PER_MSEC);
        ck_assert_uint_gt(u.memory_bytes, 0);
        ck_assert_uint_lt(u.memory_bytes, SIZE);
        ck_assert(!meter_end(&m, &total, &u));
}
END_TEST

/* The rest is arithmetic. */
START_TEST(test_meter_numbers) {
        Meter m = { .running = true,
                    .begin = { .cpu_usec = 100, .memory_bytes = 50, .memory_now_bytes = 20 },
                    .credit_usec = 7 };
        Usage total = { .cpu_usec = 130, .memory_bytes = 50, .memory_now_bytes = 30 }, u;

        /* The peak is one of before. */
        ck_assert(meter_end(&m, &total, &u));
        ck_assert_uint_eq(u.cpu_usec, 37);
        ck_assert_uint_eq(u.memory_bytes, 30);

        m.running = true;
        total.memory_bytes = 60;
        ck_assert(meter_end(&m, &total, &u));
        ck_assert_uint_eq(u.memory_bytes, 60);

        /* One that ended its runner, noticed or not; but it cannot have used more than the time that it had. */
        m.running = true;
        total.cpu_usec = 140;
        meter_end_last(&m, &total, 5, &u);
        ck_assert_uint_eq(u.cpu_usec, 47);
        m.last_cpu_usec = 120;
        meter_end_last(&m, &total, 1000, &u);
        ck_assert_uint_eq(u.cpu_usec, 20);
        ck_assert_uint_eq(u.memory_bytes, 60);
        meter_end_last(&m, &total, 5, &u);
        ck_assert_uint_eq(u.cpu_usec, 5);
}
END_TEST

int main(void) {
        Suite *s = suite_create("usage");
        TCase *c = tcase_create("all");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_set_timeout(c, 60);
        tcase_add_test(c, test_read);
        tcase_add_test(c, test_nobody);
        tcase_add_test(c, test_meter);
        tcase_add_test(c, test_meter_numbers);
        suite_add_tcase(s, c);
        return check_run(s);
}
