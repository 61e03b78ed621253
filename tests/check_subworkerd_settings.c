/* SPDX-License-Identifier: MIT */

#include "check-util.h"
#include "settings.h"
#include "time-util.h"

#define ARGUMENTS_MAX 12

/* Loads with these flags and an empty file; environment variables are the test's. */
static Settings *load(char *first, ...) _sentinel_;

static Settings *load(char *first, ...) {
        _cleanup_free_ char *file = path_in("empty.conf");
        char *argv[ARGUMENTS_MAX + 4] = { (char *) "subworkerd", (char *) "--config", file };
        void *settings = NULL;
        Conf *conf = NULL;
        int argc = 3;
        va_list ap;

        write_text(file, "");
        va_start(ap, first);
        for (char *a = first; a; a = va_arg(ap, char *))
                argv[argc++] = a;
        va_end(ap);
        ck_assert_int_eq(conf_load(&subworkerd_conf_table, argc, argv, &settings, &conf), 1);
        conf_free(conf);
        return settings;
}

static void assert_refused(Settings *s, const char *part) {
        _cleanup_free_ char *error = NULL;

        ck_assert_int_eq(settings_check(s, &error), -EINVAL);
        ck_assert_ptr_nonnull(error);
        ck_assert_contains(error, part);
        conf_settings_free(&subworkerd_conf_table, s);
}

#define ID      (char *) "--worker-id=sw1"
#define CONTROL (char *) "--control-plane-address=tcp://127.0.0.1:5555"
#define MODULES (char *) "--task-modules=a,b"

START_TEST(test_defaults) {
        Settings *s = load(ID, CONTROL, MODULES, NULL);
        _cleanup_free_ char *error = NULL;

        ck_assert_str_eq(s->worker_id, "sw1");
        ck_assert_str_eq(s->control_plane_address, "tcp://127.0.0.1:5555");
        ck_assert_ptr_null(s->discovery_address);
        ck_assert_ptr_null(s->base_address);
        ck_assert_str_eq(s->task_modules[0], "a");
        ck_assert_str_eq(s->task_modules[1], "b");
        ck_assert_uint_eq(s->concurrency, 1);
        ck_assert_uint_eq(s->drain_usec, 30 * USEC_PER_SEC);
        ck_assert_uint_eq(s->prefetch_max, 1000);
        ck_assert_uint_eq(s->max_result_bytes, 1024 * 1024);
        ck_assert(!s->local);
        ck_assert_int_eq(settings_check(s, &error), 0);
        conf_settings_free(&subworkerd_conf_table, s);
}
END_TEST

START_TEST(test_environment) {
        _cleanup_free_ char *error = NULL;
        Settings *s;

        setenv("FASTWORKER_WORKER_ID", "from-environment", true);
        setenv("FASTWORKER_CONTROL_PLANE_ADDRESS", "tcp://10.0.0.1:5555", true);
        setenv("FASTWORKER_DISCOVERY_ADDRESS", "tcp://10.0.0.1:5550", true);
        setenv("FASTWORKER_BASE_ADDRESS", "tcp://127.0.0.1:5561", true);
        setenv("FASTWORKER_TASK_MODULES", "x y", true);
        setenv("FASTWORKER_MODULE_PATH", "/m1:/m2", true);
        setenv("FASTWORKER_WORKER_CONCURRENCY", "7", true);
        setenv("FASTWORKER_LOG_LEVEL", "debug", true);
        s = load((char *) "--concurrency=3", NULL);
        ck_assert_str_eq(s->worker_id, "from-environment");
        ck_assert_str_eq(s->control_plane_address, "tcp://10.0.0.1:5555");
        ck_assert_str_eq(s->discovery_address, "tcp://10.0.0.1:5550");
        ck_assert_str_eq(s->base_address, "tcp://127.0.0.1:5561");
        ck_assert_str_eq(s->task_modules[1], "y");
        ck_assert_uint_eq(s->concurrency, 3);
        ck_assert_int_eq(settings_check(s, &error), 0);
        conf_settings_free(&subworkerd_conf_table, s);
}
END_TEST

START_TEST(test_refused) {
        assert_refused(load((char *) "--worker-id=a b", CONTROL, MODULES, NULL), "WorkerId=a b");
        assert_refused(load(ID, MODULES, NULL), "ControlPlaneAddress=");
        assert_refused(load(ID, (char *) "--control-plane-address=tcp://*:5555", MODULES, NULL),
                       "ControlPlaneAddress=tcp://*:5555");
        assert_refused(load(ID, (char *) "--control-plane-address=tcp://h:*", MODULES, NULL),
                       "host and a port");
        assert_refused(load(ID, (char *) "--discovery-address=tcp://0.0.0.0:5550", MODULES, NULL),
                       "DiscoveryAddress=");
        assert_refused(load(ID, (char *) "--local", (char *) "--discovery-address=tcp://h:1",
                            MODULES, NULL),
                       "--control-plane-address");
}
END_TEST

/* As controld calls it for its own worker. */
START_TEST(test_local) {
        Settings *s = load((char *) "--local", ID, (char *) "--control-plane-address",
                           (char *) "ipc:///run/x.sock", MODULES, (char *) "--module-path",
                           (char *) "", (char *) "--max-result", (char *) "2097152", NULL);
        _cleanup_free_ char *error = NULL;

        ck_assert(s->local);
        ck_assert_uint_eq(s->max_result_bytes, 2097152);
        ck_assert_int_eq(settings_check(s, &error), 0);
        conf_settings_free(&subworkerd_conf_table, s);
}
END_TEST

int main(void) {
        Suite *s = suite_create("subworkerd-settings");
        TCase *c = tcase_create("settings");

        tcase_add_checked_fixture(c, setup_directory, teardown_directory);
        tcase_add_test(c, test_defaults);
        tcase_add_test(c, test_environment);
        tcase_add_test(c, test_refused);
        tcase_add_test(c, test_local);
        suite_add_tcase(s, c);
        return check_run(s);
}
