/* SPDX-License-Identifier: MIT */

/* The coordinator's table of settings, and the checks across them. */

#include <ctype.h>

#include "check-util.h"
#include "parse-util.h"
#include "settings.h"
#include "store.h"
#include "time-util.h"

static Settings *settings;
static Conf *conf;

static void load(int argc, char *argv[]) {
        void *s = NULL;

        ck_assert_int_eq(conf_load(&controld_conf_table, argc, argv, &s, &conf), 1);
        settings = s;
}

static void setup(void) {
        (void) unsetenv("FASTWORKER_CONFIG");
        for (size_t i = 0; i < controld_conf_table.n_items; i++)
                if (controld_conf_table.items[i].env)
                        (void) unsetenv(controld_conf_table.items[i].env);
}

static void teardown(void) {
        conf_settings_free(&controld_conf_table, settings);
        conf_free(conf);
        settings = NULL;
        conf = NULL;
}

#define load_flags(...)                                                                          \
        ({                                                                                       \
                char *_argv[] = { (char *) "fastworker-controld", (char *) "--config=/dev/null", \
                                  __VA_ARGS__ __VA_OPT__(, ) NULL };                             \
                                                                                                 \
                load((int) ELEMENTSOF(_argv) - 1, _argv);                                        \
        })

/* --- the table -------------------------------------------------------------------------------- */

static bool is_word(const char *s, int (*first)(int), const char *others) {
        if (!first((unsigned char) s[0]))
                return false;
        for (const char *p = s; *p; p++)
                if (!isalnum((unsigned char) *p) && !strchr(others, *p))
                        return false;
        return true;
}

START_TEST(test_items) {
        for (size_t i = 0; i < controld_conf_table.n_items; i++) {
                const ConfItem *item = &controld_conf_table.items[i];

                ck_assert_ptr_nonnull(item->section);
                ck_assert_ptr_nonnull(item->key);
                ck_assert_msg(is_word(item->key, isupper, ""), "key %s", item->key);
                ck_assert_ptr_nonnull(item->flag);
                ck_assert_msg(is_word(item->flag, islower, "-"), "flag %s", item->flag);
                ck_assert_msg(!isempty(item->help), "%s has no help", item->key);
                ck_assert_msg(item->help[strlen(item->help) - 1] != '.', "%s: \"%s\"", item->key,
                              item->help);
                ck_assert_msg(!!(item->flags & CONF_NEGATED_FLAG) == !item->metavar,
                              "%s: a flag with a value needs a name for it", item->key);
                ck_assert_msg(!item->env || strncmp(item->env, "FASTWORKER_", 11) == 0, "%s",
                              item->env);
                ck_assert_msg((int) item->type >= 0 && item->type < _CONF_TYPE_MAX, "%s",
                              item->key);
                ck_assert_msg(item->max == 0 || item->min <= item->max, "%s", item->key);
                ck_assert_msg(item->offset < controld_conf_table.settings_size, "%s", item->key);
        }
}
END_TEST

static bool same(const char *a, const char *b) {
        return a && b && streq(a, b);
}

START_TEST(test_unique) {
        for (size_t i = 0; i < controld_conf_table.n_items; i++)
                for (size_t k = 0; k < i; k++) {
                        const ConfItem *a = &controld_conf_table.items[i],
                                       *b = &controld_conf_table.items[k];

                        ck_assert_msg(!streq(a->key, b->key) || !streq(a->section, b->section),
                                      "%s= is there twice", a->key);
                        ck_assert_msg(!same(a->flag, b->flag), "--%s is there twice", a->flag);
                        ck_assert_msg(!same(a->env, b->env), "%s is there twice", a->env);
                        ck_assert_msg(a->offset != b->offset, "%s and %s are one field", a->key,
                                      b->key);
                }
}
END_TEST

/* Where the coordinator listens is a matter of access, and cannot change while it runs. */
START_TEST(test_access) {
        static const char *const keys[] = { "BaseAddress",   "DiscoveryAddress",
                                            "SubworkerPort", "LocalSocket",
                                            "Host",          "Port" };
        static const ConfFlags both = CONF_WIDENS_ACCESS | CONF_FIXED;
        size_t found = 0;

        for (size_t i = 0; i < controld_conf_table.n_items; i++)
                for (size_t k = 0; k < ELEMENTSOF(keys); k++)
                        if (streq(controld_conf_table.items[i].key, keys[k])) {
                                ck_assert_msg((controld_conf_table.items[i].flags & both) == both,
                                              "%s", keys[k]);
                                found++;
                        }
        ck_assert_uint_eq(found, ELEMENTSOF(keys));
}
END_TEST

/* The names and their order are those of the store. */
START_TEST(test_durability) {
        _cleanup_free_ char *flag = NULL;

        flag = format_string("--durability=%s", store_durability_to_string((StoreDurability) _i));
        load_flags(flag);
        ck_assert_int_eq((int) settings->durability, _i);
}
END_TEST

/* The defaults that users know from the reference. */
START_TEST(test_defaults) {
        _cleanup_free_ char *error = NULL;

        load_flags();
        ck_assert_str_eq(settings->worker_id, "control-plane");
        ck_assert_str_eq(settings->base_address, "tcp://127.0.0.1:5555");
        ck_assert_str_eq(settings->discovery_address, "tcp://127.0.0.1:5550");
        ck_assert_ptr_null(settings->local_socket);
        ck_assert_uint_eq(settings->subworker_port, 5560);
        ck_assert_uint_eq(settings->result_cache_size, 10000);
        ck_assert_uint_eq(settings->result_cache_ttl_usec, 3600 * USEC_PER_SEC);
        ck_assert_uint_eq(strv_length(settings->task_modules), 0);
        ck_assert_uint_eq(settings->concurrency, 1);
        ck_assert_uint_eq(settings->heartbeat_usec, 10 * USEC_PER_SEC);
        ck_assert_uint_eq(settings->inactive_usec, 30 * USEC_PER_SEC);
        ck_assert_uint_eq(settings->reconnect_usec, 2 * USEC_PER_SEC);
        ck_assert_uint_eq(settings->max_payload_bytes, 1024 * 1024);
        ck_assert_uint_eq(settings->max_result_bytes, 1024 * 1024);
        ck_assert_uint_eq(settings->max_queued_tasks, 2000000);
        ck_assert_uint_eq(settings->max_waits_per_client, 100000);
        ck_assert_int_eq((int) settings->durability, STORE_FULL);
        ck_assert_uint_eq(settings->max_store_bytes, UINT64_C(64) << 30);
        ck_assert(settings->gui_enabled);
        ck_assert_str_eq(settings->gui_host, "127.0.0.1");
        ck_assert_uint_eq(settings->gui_port, 8080);
        ck_assert_int_eq(settings_check(settings, &error), 0);
        ck_assert_ptr_null(error);
        for (size_t i = 0; i < controld_conf_table.n_items; i++) {
                const ConfItem *item = &controld_conf_table.items[i];

                ck_assert_str_eq(conf_origin(&controld_conf_table, conf, item->section, item->key),
                                 "default");
        }
}
END_TEST

/* The command line of the reference's page. */
START_TEST(test_reference) {
        load_flags((char *) "--worker-id", (char *) "cp", (char *) "--base-address",
                   (char *) "tcp://127.0.0.1:6555", (char *) "--discovery-address",
                   (char *) "tcp://127.0.0.1:6550", (char *) "--subworker-port", (char *) "6560",
                   (char *) "--result-cache-size", (char *) "20000", (char *) "--result-cache-ttl",
                   (char *) "7200", (char *) "--task-modules", (char *) "a,b", (char *) "c",
                   (char *) "--gui-host", (char *) "127.0.0.2", (char *) "--gui-port",
                   (char *) "8081", (char *) "--no-gui");
        ck_assert_str_eq(settings->worker_id, "cp");
        ck_assert_str_eq(settings->base_address, "tcp://127.0.0.1:6555");
        ck_assert_str_eq(settings->discovery_address, "tcp://127.0.0.1:6550");
        ck_assert_uint_eq(settings->subworker_port, 6560);
        ck_assert_uint_eq(settings->result_cache_size, 20000);
        ck_assert_uint_eq(settings->result_cache_ttl_usec, 7200 * USEC_PER_SEC);
        ck_assert_uint_eq(strv_length(settings->task_modules), 3);
        ck_assert_str_eq(settings->task_modules[2], "c");
        ck_assert_str_eq(settings->gui_host, "127.0.0.2");
        ck_assert_uint_eq(settings->gui_port, 8081);
        ck_assert(!settings->gui_enabled);
}
END_TEST

START_TEST(test_module_path) {
        load_flags((char *) "--module-path=/a:/b", (char *) "--module-path=/c");
        ck_assert_uint_eq(strv_length(settings->module_path), 3);
        ck_assert_str_eq(settings->module_path[0], "/a");
        ck_assert_str_eq(settings->module_path[2], "/c");
}
END_TEST

/* --- checks across settings ------------------------------------------------------------------- */

static void check_refused(const char *a, const char *b) {
        _cleanup_free_ char *error = NULL;

        ck_assert_int_eq(settings_check(settings, &error), -EINVAL);
        ck_assert_ptr_nonnull(error);
        ck_assert_contains(error, a);
        ck_assert_contains(error, b);
        ck_assert_ptr_null(strchr(error, '\n'));
        teardown();
}

static void check_taken(void) {
        _cleanup_free_ char *error = NULL;

        ck_assert_int_eq(settings_check(settings, &error), 0);
        ck_assert_ptr_null(error);
        teardown();
}

START_TEST(test_check_times) {
        load_flags((char *) "--heartbeat=10s", (char *) "--inactive-after=19s");
        check_refused("InactiveSec=", "HeartbeatSec=");
        load_flags((char *) "--heartbeat=10s", (char *) "--inactive-after=20s");
        check_taken();
}
END_TEST

START_TEST(test_check_worker_id) {
        load_flags((char *) "--worker-id=my coordinator");
        check_refused("WorkerId=", "--worker-id");
        load_flags((char *) "--worker-id=host-1.example:5@x_y");
        check_taken();
}
END_TEST

START_TEST(test_check_wake_socket) {
        static const char *const bad[] = { "/run/x.sock", "/run/%i/%i", "run/%i",
                                           "/run/%n-%i",  "/run/%i%",   "%i" };
        _cleanup_free_ char *address = NULL,
                            *longest = format_string("--wake-socket=/%0*d%%i", 95, 0),
                            *too_long = format_string("--wake-socket=/%0*d%%i", 96, 0);

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *flag = format_string("--wake-socket=%s", bad[i]);

                load_flags(flag);
                check_refused("WakeSocket=", "%i");
        }
        load_flags(too_long);
        check_refused("WakeSocket=", "%i");
        load_flags(longest);
        check_taken();

        load_flags();
        ck_assert_uint_eq(settings->max_instances, 0);
        address = settings_wake_address(settings->wake_socket, 12);
        ck_assert_str_eq(address, "ipc:///run/fastworker/subworker-12.sock");
        check_taken();
}
END_TEST

START_TEST(test_check_ports) {
        load_flags((char *) "--base-address=tcp://127.0.0.1:5550");
        check_refused("BaseAddress=", "DiscoveryAddress=");
        load_flags((char *) "--subworker-port=5555");
        check_refused("BaseAddress=", "SubworkerPort=");
        load_flags((char *) "--subworker-port=5550");
        check_refused("DiscoveryAddress=", "SubworkerPort=");
        /* A wildcard takes the port of every address. */
        load_flags((char *) "--base-address=tcp://0.0.0.0:5550");
        check_refused("BaseAddress=", "DiscoveryAddress=");
        load_flags((char *) "--discovery-address=tcp://[::]:5560");
        check_refused("DiscoveryAddress=", "SubworkerPort=");
        /* The same port of another address is another one. */
        load_flags((char *) "--discovery-address=tcp://127.0.0.2:5555");
        check_taken();
        /* Any free port clashes with none. */
        load_flags((char *) "--base-address=tcp://127.0.0.1:*",
                   (char *) "--discovery-address=tcp://127.0.0.1:*");
        check_taken();
        /* A path is one endpoint's. */
        load_flags((char *) "--base-address=ipc:///run/x.sock",
                   (char *) "--discovery-address=ipc:///run/x.sock");
        check_refused("BaseAddress=", "DiscoveryAddress=");
        load_flags((char *) "--base-address=ipc:///run/x.sock",
                   (char *) "--discovery-address=ipc:///run/y.sock");
        check_taken();
        /* A unix socket has no port. */
        load_flags((char *) "--base-address=ipc:///run/x.sock",
                   (char *) "--discovery-address=tcp://127.0.0.1:5560");
        check_taken();
}
END_TEST

START_TEST(test_check_addresses) {
        load_flags();
        free(settings->base_address);
        settings->base_address = strdup("127.0.0.1:5555");
        check_refused("BaseAddress=", "tcp://127.0.0.1:5555");
        load_flags();
        free(settings->discovery_address);
        settings->discovery_address = strdup("udp://127.0.0.1:5550");
        check_refused("DiscoveryAddress=", "tcp://");
}
END_TEST

START_TEST(test_worker_address) {
        static const struct {
                const char *base, *expected;
        } cases[] = {
                { "--base-address=tcp://127.0.0.1:5555", "tcp://127.0.0.1:5560" },
                { "--base-address=tcp://*:7000", "tcp://*:5560" },
                { "--base-address=tcp://[::1]:5555", "tcp://[::1]:5560" },
                { "--base-address=tcp://localhost:*", "tcp://localhost:5560" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *address = NULL;

                load_flags((char *) cases[i].base);
                ck_assert_int_eq(settings_worker_address(settings, &address), 0);
                ck_assert_str_eq(address, cases[i].expected);
                teardown();
        }
}
END_TEST

/* A unix socket has no host, and thus no port for subworkers. */
START_TEST(test_no_worker_address) {
        char *address = NULL;

        load_flags((char *) "--base-address=ipc:///run/x.sock");
        ck_assert_int_eq(settings_worker_address(settings, &address), -EADDRNOTAVAIL);
        free(settings->base_address);
        settings->base_address = strdup("nonsense");
        ck_assert_int_eq(settings_worker_address(settings, &address), -EINVAL);
        ck_assert_ptr_null(address);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("controld_settings");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, test_items);
        tcase_add_test(t, test_unique);
        tcase_add_test(t, test_access);
        tcase_add_loop_test(t, test_durability, 0, _STORE_DURABILITY_MAX);
        tcase_add_test(t, test_defaults);
        tcase_add_test(t, test_reference);
        tcase_add_test(t, test_module_path);
        tcase_add_test(t, test_check_times);
        tcase_add_test(t, test_check_worker_id);
        tcase_add_test(t, test_check_wake_socket);
        tcase_add_test(t, test_check_ports);
        tcase_add_test(t, test_check_addresses);
        tcase_add_test(t, test_worker_address);
        tcase_add_test(t, test_no_worker_address);
        suite_add_tcase(suite, t);
        return check_run(suite);
}
