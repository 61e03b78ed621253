/* SPDX-License-Identifier: MIT */

/* Where values come from, in which order, and what is printed about them. */

#include "conf-test.h"
#include "log.h"
#include "parse-util.h"

START_TEST(test_defaults) {
        _cleanup_loaded_ Loaded l = load_ok();

        ck_assert_loads(l);
        ck_assert_str_eq(l.log, "");
        ck_assert_str_eq(l.out, "");
        ck_assert_str_eq(l.settings->name, "nobody");
        ck_assert_str_eq(l.settings->address, "tcp://127.0.0.1:5555");
        ck_assert_ptr_null(l.settings->hidden);
        ck_assert_uint_eq(strv_length(l.settings->modules), 0);
        ck_assert_uint_eq(strv_length(l.settings->path), 2);
        ck_assert(!l.settings->enabled);
        ck_assert(l.settings->gui);
        ck_assert_uint_eq(l.settings->port, 8080);
        ck_assert_uint_eq(l.settings->limit, 1048576);
        ck_assert_uint_eq(l.settings->interval, 10 * USEC_PER_SEC);
        ck_assert_int_eq(l.settings->level, LOG_INFO);
        ck_assert_int_eq(l.settings->mode, 1);
        ck_assert_str_eq(conf_origin(&test_table, l.conf, "Main", "Name"), "default");
        ck_assert(conf_is_default(&test_table, l.conf, "Main", "Name"));
        ck_assert_str_eq(conf_origin(&test_table, l.conf, "Gui", "Required"), "--required");
        ck_assert(!conf_is_default(&test_table, l.conf, "Gui", "Required"));
        ck_assert_ptr_null(conf_origin(&test_table, l.conf, "Gui", "Name"));
}
END_TEST

static void check_name(const Loaded *l, const char *name, const char *origin) {
        ck_assert_loads(*l);
        ck_assert_str_eq(l->settings->name, name);
        ck_assert_str_eq(conf_origin(&test_table, l->conf, "Main", "Name"), origin);
}

/* File, drop-ins by name, environment, flag: each beats those before. */
START_TEST(test_precedence) {
        _cleanup_free_ char *at_file = format_string("%s:2", test_config_path),
                            *at_drop_in = format_string("%s.d/20-b.conf:3", test_config_path);
        Loaded l;

        write_text(test_config_path, "[Main]\nName=file\n");
        l = load_ok();
        check_name(&l, "file", at_file);
        loaded_done(&l);

        write_drop_in("20-b.conf", "# comment\n[Main]\nName=second\n");
        write_drop_in("10-a.conf", "[Main]\nName=first\n");
        write_drop_in("30-c.conf.disabled", "[Main]\nName=none\nEnabled=yes\n");
        write_drop_in(".40-d.conf", "[Main]\nName=none\nEnabled=yes\n");
        write_drop_in("50.txt", "[Main]\nName=none\nEnabled=yes\n");
        l = load_ok();
        check_name(&l, "second", at_drop_in);
        ck_assert(!l.settings->enabled);
        loaded_done(&l);

        ck_assert_int_eq(setenv("FASTWORKER_TEST_NAME", "environment", 1), 0);
        l = load_ok();
        check_name(&l, "environment", "FASTWORKER_TEST_NAME");
        loaded_done(&l);

        l = load_ok("--name=flag");
        check_name(&l, "flag", "--name");
        loaded_done(&l);

        /* An empty variable is as good as none. */
        ck_assert_int_eq(setenv("FASTWORKER_TEST_NAME", "", 1), 0);
        l = load_ok();
        check_name(&l, "second", at_drop_in);
        loaded_done(&l);
}
END_TEST

/* A list grows within one place and starts anew in the next. */
/* Of the files, that of the unit counts least and that of the instance most; the latter need not be there. */
START_TEST(test_layers) {
        _cleanup_free_ char *defaults = path_in("defaults.conf"), *instance = path_in("x@1.conf"),
                            *low = format_string("--defaults=%s", defaults),
                            *high = format_string("--instance-config=%s", instance),
                            *at_low = format_string("%s:2", defaults),
                            *at_file = format_string("%s:2", test_config_path),
                            *at_high = format_string("%s:2", instance);
        Loaded l;

        l = load_ok(high);
        check_name(&l, "nobody", "default");
        loaded_done(&l);

        write_text(defaults, "[Main]\nName=low\nEnabled=yes\n");
        l = load_ok(low, high);
        check_name(&l, "low", at_low);
        loaded_done(&l);

        write_text(test_config_path, "[Main]\nName=file\n");
        l = load_ok(low, high);
        check_name(&l, "file", at_file);
        ck_assert(l.settings->enabled);
        loaded_done(&l);

        write_text(instance, "[Main]\nName=high\nWrong=1\n");
        l = load_ok(low, high);
        check_name(&l, "high", at_high);
        ck_assert_contains(l.log, "x@1.conf:3: unknown key Wrong");
        loaded_done(&l);

        l = load_ok(low, high, "--name=flag");
        check_name(&l, "flag", "--name");
        loaded_done(&l);

        ck_assert_int_eq(unlink(defaults), 0);
        l = load_ok(low);
        ck_assert_int_eq(l.r, -ENOENT);
        loaded_done(&l);
}
END_TEST

START_TEST(test_ask_to_reload) {
        _cleanup_loaded_ Loaded a = load_args("--reload=x"), b = load_args("--reload=2147483647");

        ck_assert_int_eq(a.r, -EINVAL);
        ck_assert_contains(a.log, "--reload=x: not a process id");
        ck_assert_int_eq(b.r, -ESRCH);
        ck_assert_contains(b.log, "Cannot ask process 2147483647 to reload");
}
END_TEST

START_TEST(test_lists) {
        _cleanup_free_ char *a = NULL, *b = NULL, *c = NULL, *d = NULL, *e = NULL;
        Loaded l;

        write_text(test_config_path, "[Main]\nModules=a, b\nModules=c\n");
        l = load_ok();
        ck_assert_loads(l);
        a = strv_join(l.settings->modules, " ");
        ck_assert_str_eq(a, "a b c");
        loaded_done(&l);

        write_drop_in("1.conf", "[Main]\nModules=d\nModules=\nModules=e f\n");
        l = load_ok();
        ck_assert_loads(l);
        b = strv_join(l.settings->modules, " ");
        ck_assert_str_eq(b, "e f");
        loaded_done(&l);

        ck_assert_int_eq(setenv("FASTWORKER_TEST_MODULES", "g\n\th,", 1), 0);
        l = load_ok();
        ck_assert_loads(l);
        c = strv_join(l.settings->modules, " ");
        ck_assert_str_eq(c, "g h");
        loaded_done(&l);

        l = load_ok("--modules", "i", "j,k", "--modules=l", "--path=/a:/b c");
        ck_assert_loads(l);
        d = strv_join(l.settings->modules, " ");
        ck_assert_str_eq(d, "i j k l");
        e = strv_join(l.settings->path, " ");
        ck_assert_str_eq(e, "/a /b c");
        loaded_done(&l);

        l = load_ok("--modules=");
        ck_assert_loads(l);
        ck_assert_uint_eq(strv_length(l.settings->modules), 0);
        ck_assert(!conf_is_default(&test_table, l.conf, "Main", "Modules"));
        loaded_done(&l);
}
END_TEST

/* An empty string is the default again. */
START_TEST(test_reset) {
        _cleanup_loaded_ Loaded l = {};

        write_text(test_config_path, "[Main]\nName=file\nAddress=tcp://127.0.0.1:1\n");
        write_drop_in("1.conf", "[Main]\nName=\nAddress= \n");
        l = load_ok("--hidden=");
        check_name(&l, "nobody", "default");
        ck_assert_str_eq(l.settings->address, "tcp://127.0.0.1:5555");
        ck_assert(conf_is_default(&test_table, l.conf, "Main", "Address"));
        ck_assert_ptr_null(l.settings->hidden);
}
END_TEST

START_TEST(test_bad_environment) {
        _cleanup_loaded_ Loaded l = {};

        ck_assert_int_eq(setenv("FASTWORKER_TEST_PORT", "70000", 1), 0);
        l = load_ok();
        ck_assert_int_eq(l.r, -EINVAL);
        ck_assert_contains(
                l.log,
                "FASTWORKER_TEST_PORT: bad value \"70000\", expected a number from 1 to 65535.");
}
END_TEST

START_TEST(test_required) {
        _cleanup_free_ char *text = NULL;
        Loaded l = load_args();

        ck_assert_int_eq(l.r, -EINVAL);
        ck_assert_contains(
                l.log,
                "Required= is not set: give --required=ID, or FASTWORKER_TEST_REQUIRED in the "
                "environment, or Required= in section [Gui] of ");
        loaded_done(&l);

        text = conf_explain_missing(&test_table, "Limits", "IntervalSec");
        ck_assert_contains(text,
                           "IntervalSec= is not set: give IntervalSec= in section [Limits] of ");
        /* Set to nothing is not set. */
        l = load_args("--required=");
        ck_assert_int_eq(l.r, -EINVAL);
        loaded_done(&l);
        ck_assert_int_eq(setenv("FASTWORKER_TEST_REQUIRED", "x", 1), 0);
        l = load_args();
        ck_assert_loads(l);
        loaded_done(&l);
}
END_TEST

/* Which file. */
START_TEST(test_config) {
        _cleanup_free_ char *other = path_in("other.conf"), *missing = path_in("missing.conf"),
                            *drop_ins = path_in("other.conf.d"),
                            *drop_in = path_in("other.conf.d/1.conf");
        Loaded l;

        write_text(test_config_path, "[Main]\nName=usual\nEnabled=yes\n");
        write_text(other, "[Main]\nName=other\n");
        ck_assert_int_eq(mkdir(drop_ins, 0755), 0);
        write_text(drop_in, "[Limits]\nPort=1\n");

        l = load_ok("--config", other);
        ck_assert_loads(l);
        ck_assert_str_eq(l.settings->name, "other");
        ck_assert(!l.settings->enabled);
        ck_assert_uint_eq(l.settings->port, 1);
        loaded_done(&l);

        ck_assert_int_eq(setenv("FASTWORKER_CONFIG", other, 1), 0);
        l = load_ok();
        ck_assert_loads(l);
        ck_assert_str_eq(l.settings->name, "other");
        loaded_done(&l);
        l = load_ok("--config=/dev/null");
        ck_assert_loads(l);
        ck_assert_str_eq(l.settings->name, "nobody");
        loaded_done(&l);

        ck_assert_int_eq(setenv("FASTWORKER_CONFIG", missing, 1), 0);
        l = load_ok();
        ck_assert_int_eq(l.r, -ENOENT);
        ck_assert_contains(l.log, missing);
        loaded_done(&l);
        ck_assert_int_eq(unsetenv("FASTWORKER_CONFIG"), 0);
        l = load_ok("--config", missing);
        ck_assert_int_eq(l.r, -ENOENT);
        loaded_done(&l);
}
END_TEST

/* What is printed says from where, and is a file that gives the same again. */
START_TEST(test_print) {
        _cleanup_free_ char *copy = path_in("copy.conf"), *origin = NULL;
        _cleanup_loaded_ Loaded l = {}, printed = {}, again = {};

        write_text(test_config_path, "[Limits]\nMaxBytes=3G\nIntervalSec=1500ms\nMode=strict\n");
        ck_assert_int_eq(setenv("FASTWORKER_TEST_PATH", "/x;y #z:/w", 1), 0);
        l = load_ok("--name=  a ; b # c=[d] \"\xc3\xa4\" ", "--modules", "m", "n", "--no-gui",
                    "--enabled", "--log-level=debug", "--address=ipc:///run/x");
        ck_assert_loads(l);
        printed = load_args("--print-config", "--required=x",
                            "--name=  a ; b # c=[d] \"\xc3\xa4\" ", "--modules", "m", "n",
                            "--no-gui", "--enabled", "--log-level=debug", "--address=ipc:///run/x");
        ck_assert_int_eq(printed.r, 0);
        origin = format_string(
                "# %s:2\nMaxBytes=3G\n# %s:3\nIntervalSec=1500ms\n# %s:4\nMode=strict\n",
                test_config_path, test_config_path, test_config_path);
        ck_assert_contains(
                printed.out,
                "[Main]\n# --name\nName=a ; b # c=[d] \"\xc3\xa4\"\n# --address\n"
                "Address=ipc:///run/x\n# --modules\nModules=m n\n# FASTWORKER_TEST_PATH\n"
                "Path=/x;y #z /w\n# --enabled\nEnabled=yes\n# --log-level\nLogLevel=debug\n"
                "\n[Limits]\n# default\nPort=8080\n");
        ck_assert_contains(printed.out, origin);
        ck_assert_contains(printed.out, "\n[Gui]\n# --no-gui\nGui=no\n# --required\nRequired=x\n");
        ck_assert_lacks(printed.out, "idden");

        ck_assert_int_eq(unsetenv("FASTWORKER_TEST_PATH"), 0);
        write_text(copy, printed.out);
        again = load_args("--config", copy);
        ck_assert_loads(again);
        ck_assert_str_eq(again.log, "");
        for (size_t i = 0; i < ELEMENTSOF(test_items); i++)
                ck_assert_msg(!conf_item_differs(&test_items[i], l.settings, again.settings), "%s",
                              test_items[i].key);
}
END_TEST

/* --print-config works where something is missing: it helps to find out what. */
START_TEST(test_print_incomplete) {
        _cleanup_loaded_ Loaded l = load_args("--print-config");

        ck_assert_int_eq(l.r, 0);
        ck_assert_contains(l.out, "# default\nRequired=\n");
}
END_TEST

START_TEST(test_differs) {
        _cleanup_loaded_ Loaded a = load_ok(),
                                b = load_ok("--name=n", "--address=ipc:///x", "--modules=m",
                                            "--path=/a", "--enabled", "--log-level=err", "--port=1",
                                            "--max-bytes=1K", "--mode=strict", "--no-gui",
                                            "--hidden=h");

        ck_assert_loads(a);
        ck_assert_loads(b);
        for (size_t i = 0; i < ELEMENTSOF(test_items); i++) {
                const ConfItem *item = &test_items[i];
                bool same = item->key &&
                            (streq(item->key, "IntervalSec") || streq(item->key, "Required"));

                ck_assert_msg(conf_item_differs(item, a.settings, b.settings) == !same, "%s",
                              item->key);
                ck_assert(!conf_item_differs(item, a.settings, a.settings));
                ck_assert(!conf_item_differs(item, b.settings, b.settings));
        }
}
END_TEST

static int reload(char *argv[], int argc, TestSettings **ret, char **ret_log, char **ret_error) {
        _cleanup_(conf_freep) Conf *conf = NULL;
        void *settings = NULL;
        Capture log;
        int r;

        capture_begin(&log, STDERR_FILENO);
        r = conf_reload(&test_table, argc, argv, &settings, &conf, ret_error);
        *ret_log = capture_end(&log);
        *ret = settings;
        return r;
}

START_TEST(test_reload) {
        char *argv[] = { (char *) "p",      (char *) "--required=x", (char *) "--print-config",
                         (char *) "--help", (char *) "--port=7",     NULL };
        _cleanup_free_ char *first = NULL, *second = NULL, *third = NULL, *error = NULL;
        TestSettings *s = NULL;

        write_text(test_config_path, "[Main]\nName=a\n");
        ck_assert_int_eq(reload(argv, 5, &s, &first, &error), 0);
        ck_assert_str_eq(s->name, "a");
        ck_assert_uint_eq(s->port, 7);
        ck_assert_str_eq(first, "");
        conf_settings_free(&test_table, s);

        /* What would only be warned about at the start is warned about. */
        write_text(test_config_path, "[Main]\nName=b\nName2=c\n");
        ck_assert_int_eq(reload(argv, 5, &s, &second, &error), 0);
        ck_assert_str_eq(s->name, "b");
        ck_assert_contains(second, ":3: unknown key Name2 in [Main], ignoring");
        ck_assert_ptr_null(error);
        conf_settings_free(&test_table, s);

        /* What fails is told in one line, not logged: the caller does that. */
        write_text(test_config_path, "[Main]\nName=b\nAddress=tcp://0.0.0.0\n");
        ck_assert_int_eq(reload(argv, 5, &s, &third, &error), -EINVAL);
        ck_assert_ptr_null(s);
        ck_assert_str_eq(third, "");
        ck_assert_contains(error, ":3: bad value \"tcp://0.0.0.0\" for Address=");
        ck_assert_ptr_null(strchr(error, '\n'));
}
END_TEST

START_TEST(test_free) {
        ck_assert_ptr_null(conf_settings_free(&test_table, NULL));
        ck_assert_ptr_null(conf_free(NULL));
}
END_TEST

int main(void) {
        Suite *s = suite_create("conf");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup_conf, teardown_directory);
        tcase_add_test(t, test_defaults);
        tcase_add_test(t, test_precedence);
        tcase_add_test(t, test_layers);
        tcase_add_test(t, test_ask_to_reload);
        tcase_add_test(t, test_lists);
        tcase_add_test(t, test_reset);
        tcase_add_test(t, test_bad_environment);
        tcase_add_test(t, test_required);
        tcase_add_test(t, test_config);
        tcase_add_test(t, test_print);
        tcase_add_test(t, test_print_incomplete);
        tcase_add_test(t, test_differs);
        tcase_add_test(t, test_reload);
        tcase_add_test(t, test_free);
        suite_add_tcase(s, t);
        return check_run(s);
}
