/* SPDX-License-Identifier: MIT */

#include <sys/resource.h>
#include <sys/wait.h>

#include "check-util.h"
#include "limits.h"

static TaskLimits limits_of(const char *options) {
        TaskLimits l = { .timeout_usec = 7, .soft_timeout_usec = 8 };

        ck_assert_int_eq(task_limits_parse(options, strlen(options), &l), 0);
        return l;
}

/* What is not given, or makes no sense, stays as it was. */
START_TEST(test_times) {
        TaskLimits l = limits_of("{\"timeout\":90,\"soft_timeout\":1.5,\"other\":[1]}");

        ck_assert_uint_eq(l.timeout_usec, 90000000);
        ck_assert_uint_eq(l.soft_timeout_usec, 1500000);
        l = limits_of("{}");
        ck_assert_uint_eq(l.timeout_usec, 7);
        ck_assert_uint_eq(l.soft_timeout_usec, 8);
        l = limits_of("{\"timeout\":\"90\",\"soft_timeout\":-1}");
        ck_assert_uint_eq(l.timeout_usec, 7);
        ck_assert_uint_eq(l.soft_timeout_usec, 8);
        l = limits_of("{\"timeout\":0,\"soft_timeout\":null}");
        ck_assert_uint_eq(l.timeout_usec, 0);
        ck_assert_uint_eq(l.soft_timeout_usec, 8);
        ck_assert_int_eq(task_limits_parse("[]", 2, &l), -EBADMSG);
        ck_assert_int_eq(task_limits_parse("{", 1, &l), -EBADMSG);
}
END_TEST

static TaskResources resources_of(const char *options) {
        TaskResources r = { 1, 2, 3 };

        task_resources_parse(options, strlen(options), &r);
        return r;
}

START_TEST(test_resources) {
        static const char *const without[] = {
                "",
                "{}",
                "nonsense",
                "{\"resources\":7}",
                "{\"resources\":{}}",
                "{\"resources\":{\"memory_max\":-1,\"tasks_max\":0,\"cpu_weight\":10001}}",
                "{\"resources\":{\"memory_max\":\"64M\",\"tasks_max\":1.5,\"cpu_weight\":null}}",
                "{\"memory_max\":5}",
        };
        TaskResources r = resources_of("{\"timeout\":5,\"resources\":{\"memory_max\":67108864,"
                                       "\"tasks_max\":8,\"cpu_weight\":10}}");

        ck_assert_uint_eq(r.memory_max, 67108864);
        ck_assert_uint_eq(r.tasks_max, 8);
        ck_assert_uint_eq(r.cpu_weight, 10);
        ck_assert(task_resources_are_set(&r));
        r = resources_of("{\"resources\":{\"cpu_weight\":10000}}");
        ck_assert(task_resources_are_set(&r));
        ck_assert_uint_eq(r.memory_max, 0);
        for (size_t i = 0; i < ELEMENTSOF(without); i++) {
                r = resources_of(without[i]);
                ck_assert_msg(!task_resources_are_set(&r), "%s", without[i]);
        }
}
END_TEST

START_TEST(test_traceparent) {
        static const char good[] =
                "{\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"}";
        static const char *const bad[] = {
                "{}",
                "{\"traceparent\":7}",
                "{\"traceparent\":\"\"}",
                "{\"traceparent\":\"00-4b retry=no\"}",
                "{\"traceparent\":\"0123456789012345678901234567890123456789012345678901234567\"}",
        };
        char *text = NULL;

        ck_assert_int_eq(task_limits_traceparent(good, strlen(good), &text), 1);
        ck_assert_str_eq(text, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        free(text);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                ck_assert_int_eq(task_limits_traceparent(bad[i], strlen(bad[i]), &text), 0);
}
END_TEST

static void assert_bytes(uint64_t bytes, const char *expected) {
        char text[32];

        limits_format_bytes(bytes, text, sizeof(text));
        ck_assert_str_eq(text, expected);
}

static void assert_usec(uint64_t usec, const char *expected) {
        char text[32];

        limits_format_usec(usec, text, sizeof(text));
        ck_assert_str_eq(text, expected);
}

START_TEST(test_texts) {
        assert_bytes(0, "0");
        assert_bytes(1023, "1023");
        assert_bytes(1024, "1K");
        assert_bytes(1500 * 1024, "1500K");
        assert_bytes(UINT64_C(64) << 20, "64M");
        assert_bytes(UINT64_C(3) << 30, "3G");
        assert_bytes((UINT64_C(3) << 30) + 1, "3221225473");
        assert_usec(5000000, "5 s");
        assert_usec(250000, "0.25 s");
        assert_usec(1, "1e-06 s");
}
END_TEST

/* In a child, as it cannot be taken back. */
START_TEST(test_memory_fallback) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                struct rlimit l;

                if (limits_memory_fallback(0) < 0 || getrlimit(RLIMIT_DATA, &l) < 0 ||
                    l.rlim_cur == 1 << 30)
                        _exit(1);
                if (limits_memory_fallback(1 << 30) < 0 || getrlimit(RLIMIT_DATA, &l) < 0 ||
                    l.rlim_cur != 1 << 30 || l.rlim_max != 1 << 30)
                        _exit(2);
                _exit(0);
        }
        ck_assert_int_gt(pid, 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("limits");
        TCase *c = tcase_create("all");

        tcase_add_test(c, test_times);
        tcase_add_test(c, test_resources);
        tcase_add_test(c, test_traceparent);
        tcase_add_test(c, test_texts);
        tcase_add_test(c, test_memory_fallback);
        suite_add_tcase(s, c);
        return check_run(s);
}
