/* SPDX-License-Identifier: MIT */

/* Flags, and what --help says about them. */

#include "conf-test.h"
#include "log.h"
#include "parse-util.h"

START_TEST(test_forms) {
        _cleanup_free_ char *modules = NULL;
        _cleanup_loaded_ Loaded l =
                load_args("--required", "r", "--name=n=1", "--address", "tcp://[::1]:1",
                          "--modules", "a", "b,c", "--enabled", "--log-level", "notice", "--port=2",
                          "--max-bytes", "2M", "--mode", "strict", "--no-gui", "--hidden", "7");

        ck_assert_loads(l);
        ck_assert_str_eq(l.settings->required, "r");
        ck_assert_str_eq(l.settings->name, "n=1");
        ck_assert_str_eq(l.settings->address, "tcp://[::1]:1");
        modules = strv_join(l.settings->modules, "|");
        ck_assert_str_eq(modules, "a|b|c");
        ck_assert(l.settings->enabled);
        ck_assert_int_eq(l.settings->level, LOG_NOTICE);
        ck_assert_uint_eq(l.settings->port, 2);
        ck_assert_uint_eq(l.settings->limit, 2097152);
        ck_assert_int_eq(l.settings->mode, 0);
        ck_assert(!l.settings->gui);
        ck_assert_str_eq(l.settings->hidden, "7");
        ck_assert_str_eq(conf_origin(&test_table, l.conf, "Gui", "Gui"), "--no-gui");
}
END_TEST

START_TEST(test_bool) {
        Loaded l = load_ok("--enabled=no");

        ck_assert_loads(l);
        ck_assert(!l.settings->enabled);
        loaded_done(&l);
        l = load_ok("--enabled=on");
        ck_assert_loads(l);
        ck_assert(l.settings->enabled);
        loaded_done(&l);
        /* A word behind it is none of its own. */
        l = load_ok("--enabled", "no");
        ck_assert_int_eq(l.r, -EINVAL);
        ck_assert_contains(l.log, "Unexpected argument \"no\"");
        loaded_done(&l);
}
END_TEST

/* The last one counts. */
START_TEST(test_twice) {
        _cleanup_loaded_ Loaded l = load_ok("--name=a", "--name=b");

        ck_assert_loads(l);
        ck_assert_str_eq(l.settings->name, "b");
}
END_TEST

START_TEST(test_bad) {
        static const struct {
                const char *words[3];
                const char *message;
        } cases[] = {
                { { "--prot=1" }, "Unknown option --prot, did you mean --port?" },
                { { "--nane", "x" }, "Unknown option --nane, did you mean --name?" },
                { { "--no-gu1" }, "Unknown option --no-gu1, did you mean --no-gui?" },
                { { "--frobnicate" }, "Unknown option --frobnicate; --help lists what there is." },
                { { "--m=1" }, "Option --m=1 may mean more than one; write it out." },
                { { "-x" }, "Unknown option -x; --help lists what there is." },
                { { "--port" }, "Option --port needs a value." },
                { { "--port=" }, "--port: bad value \"\", expected a number from 1 to 65535." },
                { { "--port=1x" }, "--port: bad value \"1x\", expected a number from 1 to 65535." },
                { { "--port", "0" }, "--port: bad value \"0\"" },
                { { "--modules" }, "Option --modules needs one or more words." },
                { { "--modules", "--port=1" }, "Option --modules needs one or more words." },
                { { "--no-gui=yes" }, "Option --no-gui=yes takes no value." },
                { { "--enabled=maybe" }, "--enabled: bad value \"maybe\", expected yes or no." },
                { { "--address=nowhere" },
                  "--address: bad value \"nowhere\", expected tcp://HOST:PORT" },
                { { "--name=a\nb" },
                  "--name: bad value \"a\\nb\", expected text without control characters." },
                { { "word" }, "Unexpected argument \"word\"; --help lists what there is." },
                { { "--", "--port=1" }, "Unexpected argument \"--port=1\"" },
                { { "" }, "Unexpected argument \"\"" },
                { { "-" }, "Unexpected argument \"-\"" },
                { { "--config" }, "Option --config needs a value." },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_loaded_ Loaded l =
                        load_ok(cases[i].words[0], cases[i].words[1], cases[i].words[2]);

                ck_assert_msg(l.r == -EINVAL, "%s gave %d", cases[i].words[0], l.r);
                ck_assert_contains(l.log, cases[i].message);
                ck_assert_str_eq(l.out, "");
        }
}
END_TEST

/* One that is much too long for whatever looks at it. */
START_TEST(test_long_word) {
        char word[5000] = "--";
        _cleanup_loaded_ Loaded l = {};

        memset(word + 2, 'x', sizeof(word) - 3);
        l = load_ok(word);
        ck_assert_int_eq(l.r, -EINVAL);
        ck_assert_uint_lt(strlen(l.log), 300);
}
END_TEST

START_TEST(test_help) {
        static const char *const expected[] = {
                "Usage: fastworker-test [OPTION]...\n\nTests how settings are read.\n\n[Main]\n",
                "  --name=NAME                     Who we are\n"
                "                                  (default nobody; Name=, FASTWORKER_TEST_NAME)\n",
                "  --modules=MODULE...             What is loaded\n"
                "                                  (Modules=, FASTWORKER_TEST_MODULES)\n",
                "  --enabled[=no]                  Whether it works\n",
                "  --log-level=LEVEL               How much we say\n"
                "                                  (default info; LogLevel=)\n",
                "\n\n[Limits]\n",
                "  IntervalSec=SECONDS             A time span\n"
                "                                  (default 10; only in the file)\n",
                "\n\n[Gui]\n  --no-gui                        Leave the page away\n",
                "  --required=ID                   Must be there\n"
                "                                  (required; Required=, FASTWORKER_TEST_REQUIRED)\n",
                "  --print-config ",
        };
        Loaded l;

        /* Nothing else counts, not even what could not be read. */
        ck_assert_int_eq(setenv("FASTWORKER_TEST_PORT", "bad", 1), 0);
        write_text(test_config_path, "[Main]\nAddress=bad\n");
        l = load_args("--help");
        ck_assert_int_eq(l.r, 0);
        ck_assert_str_eq(l.log, "");
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                ck_assert_contains(l.out, expected[i]);
        ck_assert_contains(l.out, test_config_path);
        ck_assert_lacks(l.out, "--hidden");
        ck_assert_lacks(l.out, "/some/where");
        loaded_done(&l);
        l = load_args("-h");
        ck_assert_int_eq(l.r, 0);
        ck_assert_contains(l.out, "Usage: ");
        loaded_done(&l);
}
END_TEST

START_TEST(test_version) {
        _cleanup_loaded_ Loaded l = load_args("--version");

        ck_assert_int_eq(l.r, 0);
        ck_assert_str_eq(l.log, "");
        ck_assert_int_eq(strncmp(l.out, "fastworker-test ", 16), 0);
        ck_assert_ptr_eq(strchr(l.out, '\n') + 1, l.out + strlen(l.out));
}
END_TEST

/* --help with stdout at that descriptor, which is closed then; what was logged is a fresh string. */
static int print_help_to(int fd, char **ret_log) {
        char *argv[] = { (char *) "p", (char *) "--help", NULL };
        int saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10), r;
        void *settings = NULL;
        Conf *conf = NULL;
        Capture log;

        ck_assert_int_ge(fd, 0);
        (void) fflush(stdout);
        capture_begin(&log, STDERR_FILENO);
        log_open("t");
        ck_assert_int_ge(dup2(fd, STDOUT_FILENO), 0);
        safe_close(fd);
        r = conf_load(&test_table, 2, argv, &settings, &conf);
        ck_assert_int_ge(dup2(saved, STDOUT_FILENO), 0);
        clearerr(stdout);
        *ret_log = capture_end(&log);
        safe_close(saved);
        return r;
}

/* Help that could not be written is an error. */
START_TEST(test_help_to_full_device) {
        _cleanup_free_ char *log = NULL;

        ck_assert_int_eq(print_help_to(open("/dev/full", O_WRONLY | O_CLOEXEC), &log), -ENOSPC);
        ck_assert_contains(log, "Cannot write to standard output: No space left on device");
}
END_TEST

/* Whoever closes the pipe knows that. */
START_TEST(test_help_to_closed_pipe) {
        _cleanup_free_ char *log = NULL;
        int fds[2];

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        safe_close(fds[0]);
        ck_assert_int_eq(print_help_to(fds[1], &log), -EPIPE);
        ck_assert_str_eq(log, "");
}
END_TEST

int main(void) {
        Suite *s = suite_create("conf-flags");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup_conf, teardown_directory);
        tcase_add_test(t, test_forms);
        tcase_add_test(t, test_bool);
        tcase_add_test(t, test_twice);
        tcase_add_test(t, test_bad);
        tcase_add_test(t, test_long_word);
        tcase_add_test(t, test_help);
        tcase_add_test(t, test_version);
        tcase_add_test(t, test_help_to_full_device);
        tcase_add_test(t, test_help_to_closed_pipe);
        suite_add_tcase(s, t);
        return check_run(s);
}
