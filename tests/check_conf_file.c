/* SPDX-License-Identifier: MIT */

/* Configuration files as they come: with mistakes, and not text at all. */

#include "conf-test.h"
#include "parse-util.h"

static Loaded load_file(const char *text) {
        write_text(test_config_path, text);
        return load_ok();
}

START_TEST(test_forms) {
        _cleanup_loaded_ Loaded l = load_file("\xef\xbb\xbf# comment\r\n"
                                              "; comment\r\n"
                                              "\r\n"
                                              "[Main]\r\n"
                                              "  Name = a b \r\n"
                                              "\t# indented comment\n"
                                              "Enabled: yes\n"
                                              "[Limits] # comment\n"
                                              "Port=1\n"
                                              "[Main]  \n"
                                              "LogLevel=err");

        ck_assert_loads(l);
        ck_assert_str_eq(l.log, "");
        ck_assert_str_eq(l.settings->name, "a b");
        ck_assert(l.settings->enabled);
        ck_assert_uint_eq(l.settings->port, 1);
        ck_assert_int_eq(l.settings->level, 3);
}
END_TEST

START_TEST(test_empty) {
        _cleanup_loaded_ Loaded l = load_file("");

        ck_assert_loads(l);
        ck_assert_str_eq(l.log, "");
}
END_TEST

/* Each mistake is told with its line, and what held before stays. */
START_TEST(test_bad_values) {
        static const struct {
                const char *line, *message;
        } cases[] = {
                { "Port=x",
                  ":3: bad value \"x\" for Port=, expected a number from 1 to 65535, keeping \"80\".\n" },
                { "Port=0", ":3: bad value \"0\" for Port=" },
                { "Port=65536", ":3: bad value \"65536\" for Port=" },
                { "Port=-1", ":3: bad value \"-1\" for Port=" },
                { "Port=", ":3: bad value \"\" for Port=" },
                { "Port=81 # comment", ":3: bad value \"81 # comment\" for Port=" },
                { "Port=81 ; comment", ":3: bad value \"81 ; comment\" for Port=" },
                { "MaxBytes=1k",
                  ":3: bad value \"1k\" for MaxBytes=, expected a size (suffixes K M G) of at least 1K, "
                  "keeping \"1M\".\n" },
                { "MaxBytes=1000", ":3: bad value \"1000\" for MaxBytes=" },
                { "IntervalSec=2h",
                  ":3: bad value \"2h\" for IntervalSec=, expected a time span (like 30, 500ms, 1min "
                  "30s) from 1s to 60s, keeping \"10s\".\n" },
                { "Mode=Fair",
                  ":3: bad value \"Fair\" for Mode=, expected one of strict fair, keeping \"fair\".\n" },
                { "Port", ":3: \"Port\" is not of the form Key=Value, ignoring.\n" },
                { "Prot=1",
                  ":3: unknown key Prot in [Limits], ignoring (known: Port MaxBytes IntervalSec Mode).\n" },
                { "port=1", ":3: unknown key port in [Limits], ignoring" },
                { "=1", ":3: unknown key  in [Limits], ignoring" },
                { "[Limit]\nPort=1\nMode=x",
                  ":4: unknown section [Limit], ignoring (known: [Main] [Limits] [Gui]).\n" },
                { "[Limits\nPort=1",
                  ":3: not a section header: [Limits, ignoring the keys below it.\n" },
                { "[Limits]x\nPort=1", ":3: not a section header: [Limits]x, ignoring" },
                { "[]\nPort=1",
                  ":4: Port stands in no section, ignoring (known: [Main] [Limits] [Gui]).\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = format_string("[Limits]\nPort=80\n%s\n", cases[i].line);
                _cleanup_loaded_ Loaded l = load_file(text);

                ck_assert_loads(l);
                ck_assert_contains(l.log, cases[i].message);
                ck_assert_uint_eq(l.settings->port, 80);
                ck_assert_uint_eq(l.settings->limit, 1048576);
                ck_assert_uint_eq(l.settings->interval, 10 * USEC_PER_SEC);
                ck_assert_int_eq(l.settings->mode, 1);
        }
}
END_TEST

/* An unknown section costs one line, not one a key. */
START_TEST(test_unknown_section_once) {
        _cleanup_loaded_ Loaded l =
                load_file("Early=1\n[Other]\na=1\nb=2\nc\n[Main]\nName=n\n[Other]\nd=4\n");

        ck_assert_loads(l);
        ck_assert_str_eq(l.settings->name, "n");
        ck_assert_contains(l.log, ":1: Early stands in no section");
        ck_assert_contains(l.log, ":3: unknown section [Other]");
        ck_assert_lacks(l.log, ":4:");
        ck_assert_lacks(l.log, ":5:");
}
END_TEST

/* Names longer than libinih keeps are not taken for what they begin with. */
START_TEST(test_long_names) {
        char long_name[301] = "";
        _cleanup_free_ char *text = NULL;
        _cleanup_loaded_ Loaded l = {};

        memset(long_name, 'N', sizeof(long_name) - 1);
        text = format_string("[%s]\n%s=1\n[Main]\nName%s=1\n%s\nName=good\n", long_name, long_name,
                             long_name, long_name);
        l = load_file(text);
        ck_assert_loads(l);
        ck_assert_str_eq(l.settings->name, "good");
        ck_assert_contains(l.log, ":2: unknown section [NNN");
        ck_assert_contains(l.log, ":4: unknown key NameNNN");
        ck_assert_contains(l.log, ":5: unknown key NNN");
}
END_TEST

/* Nothing that decides who may reach us is guessed. */
START_TEST(test_widens_access) {
        static const char *const values[] = { "tcp://127.0.0.1", "127.0.0.1:5555",
                                              "tcp://127.0.0.1:5555 # local" };

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                _cleanup_free_ char *text = format_string("[Main]\n\nAddress=%s\n", values[i]);
                _cleanup_free_ char *expected =
                        format_string("%s:3: bad value \"%s\" for Address=, expected tcp://",
                                      test_config_path, values[i]);
                _cleanup_loaded_ Loaded l = load_file(text);

                ck_assert_int_eq(l.r, -EINVAL);
                ck_assert_contains(l.log, expected);
                ck_assert_contains(l.log, "correct or remove the line");
                ck_assert_ptr_eq(strchr(l.log, '\n') + 1, l.log + strlen(l.log));
        }
}
END_TEST

/* Values longer than libinih's own 200 bytes arrive whole. */
START_TEST(test_long_value) {
        char value[32769] = "";
        _cleanup_free_ char *text = NULL, *longer = NULL;
        _cleanup_loaded_ Loaded l = {}, too_long = {};

        memset(value, 'v', sizeof(value) - 1);
        text = format_string("[Main]\nName=%s\nEnabled=yes\n", value);
        l = load_file(text);
        ck_assert_loads(l);
        ck_assert_str_eq(l.settings->name, value);
        ck_assert(l.settings->enabled);

        longer = format_string("[Main]\nName=%sv\nEnabled=yes\n", value);
        too_long = load_file(longer);
        ck_assert_loads(too_long);
        ck_assert_str_eq(too_long.settings->name, "nobody");
        ck_assert(too_long.settings->enabled);
        ck_assert_contains(too_long.log, ":2: bad value \"vvv");
}
END_TEST

static Loaded load_data(const void *data, size_t size) {
        write_bytes(test_config_path, data, size);
        return load_ok();
}

START_TEST(test_long_line) {
        const size_t size = 100000;
        _cleanup_free_ char *text = malloc(size);
        _cleanup_loaded_ Loaded l = {};

        ck_assert_ptr_nonnull(text);
        memset(text, 'x', size);
        memcpy(text, "[Main]\nName=", 12);
        l = load_data(text, size);
        ck_assert_int_eq(l.r, -E2BIG);
        ck_assert_contains(l.log, "test.conf:2: the line is too long");
}
END_TEST

START_TEST(test_huge_line) {
        const size_t size = 10U << 20;
        _cleanup_free_ char *text = malloc(size);
        _cleanup_loaded_ Loaded l = {};

        ck_assert_ptr_nonnull(text);
        memset(text, 'x', size);
        l = load_data(text, size);
        ck_assert_int_eq(l.r, -EFBIG);
        ck_assert_contains(l.log, "test.conf is larger than 1048576 bytes.");
}
END_TEST

START_TEST(test_nul_byte) {
        static const char text[] = "[Main]\nName=a\nName=b\0c\n";
        _cleanup_loaded_ Loaded l = load_data(text, sizeof(text) - 1);

        ck_assert_int_eq(l.r, -EINVAL);
        ck_assert_contains(l.log, "test.conf:3: a NUL byte");
}
END_TEST

/* Bytes that are no text do no harm, and do not get through to a terminal. */
START_TEST(test_garbage) {
        char data[4096];
        _cleanup_loaded_ Loaded l = {};

        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (char) (1 + (i * 7919 + i / 251) % 255);
        l = load_data(data, sizeof(data));
        ck_assert_loads(l);
        for (const char *p = l.log; *p; p++)
                ck_assert(*p == '\n' || (unsigned char) *p >= 0x20);
}
END_TEST

/* A control character does not get into a value. */
START_TEST(test_control_character) {
        _cleanup_loaded_ Loaded l = load_file("[Main]\nName=a\x1b[31mb\nModules=a\x01\n");

        ck_assert_loads(l);
        ck_assert_str_eq(l.settings->name, "nobody");
        ck_assert_uint_eq(strv_length(l.settings->modules), 0);
        ck_assert_contains(l.log, ":2: bad value \"a\\x1b[31mb\" for Name=");
        ck_assert_contains(l.log, ":3: bad value");
}
END_TEST

START_TEST(test_directory_as_file) {
        _cleanup_loaded_ Loaded l = {};

        ck_assert_int_eq(mkdir(test_config_path, 0755), 0);
        l = load_ok();
        ck_assert_int_eq(l.r, -EISDIR);
        ck_assert_contains(l.log, "test.conf is a directory");
}
END_TEST

/* Nobody writes to it: to wait would be for ever. */
START_TEST(test_fifo) {
        _cleanup_loaded_ Loaded l = {};

        ck_assert_int_eq(mkfifo(test_config_path, 0600), 0);
        l = load_ok();
        ck_assert_int_eq(l.r, -EINVAL);
        ck_assert_contains(l.log, "test.conf is not a regular file");
}
END_TEST

START_TEST(test_no_permission) {
        bool is_root = geteuid() == 0;
        _cleanup_loaded_ Loaded l = {};

        write_text(test_config_path, "[Main]\nName=a\n");
        ck_assert_int_eq(chmod(test_config_path, 0), 0);
        ck_assert_int_eq(chmod(test_directory, 0755), 0);
        if (is_root)
                ck_assert_int_eq(seteuid(65534), 0);
        l = load_ok();
        if (is_root)
                ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(l.r, -EACCES);
        ck_assert_contains(l.log, "Cannot open ");
        ck_assert_contains(l.log, "test.conf: Permission denied");
}
END_TEST

START_TEST(test_file_as_drop_in_directory) {
        _cleanup_free_ char *path = path_in("test.conf.d");
        _cleanup_loaded_ Loaded l = {};

        write_text(path, "");
        l = load_ok();
        ck_assert_int_eq(l.r, -ENOTDIR);
        ck_assert_contains(l.log, "test.conf.d: Not a directory");
}
END_TEST

/* A drop-in that links to /dev/null is as good as empty, one that links nowhere is a mistake. */
START_TEST(test_drop_in_links) {
        _cleanup_free_ char *masked = NULL, *dangling = NULL;
        Loaded l;

        write_drop_in("10.conf", "[Main]\nName=a\n");
        masked = path_in("test.conf.d/20.conf");
        dangling = path_in("test.conf.d/30.conf");
        ck_assert_int_eq(symlink("/dev/null", masked), 0);
        l = load_ok();
        ck_assert_loads(l);
        ck_assert_str_eq(l.settings->name, "a");
        loaded_done(&l);

        ck_assert_int_eq(symlink("nowhere", dangling), 0);
        l = load_ok();
        ck_assert_int_eq(l.r, -ENOENT);
        ck_assert_contains(l.log, "30.conf: No such file or directory");
        loaded_done(&l);
}
END_TEST

/* Drop-ins alone, without the file they belong to. */
START_TEST(test_drop_in_alone) {
        _cleanup_loaded_ Loaded l = {};

        write_drop_in("1.conf", "[Main]\nName=a\n");
        l = load_ok();
        ck_assert_loads(l);
        ck_assert_str_eq(l.settings->name, "a");
}
END_TEST

int main(void) {
        Suite *s = suite_create("conf-file");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup_conf, teardown_directory);
        tcase_add_test(t, test_forms);
        tcase_add_test(t, test_empty);
        tcase_add_test(t, test_bad_values);
        tcase_add_test(t, test_unknown_section_once);
        tcase_add_test(t, test_long_names);
        tcase_add_test(t, test_widens_access);
        tcase_add_test(t, test_long_value);
        tcase_add_test(t, test_long_line);
        tcase_add_test(t, test_huge_line);
        tcase_add_test(t, test_nul_byte);
        tcase_add_test(t, test_garbage);
        tcase_add_test(t, test_control_character);
        tcase_add_test(t, test_directory_as_file);
        tcase_add_test(t, test_fifo);
        tcase_add_test(t, test_no_permission);
        tcase_add_test(t, test_file_as_drop_in_directory);
        tcase_add_test(t, test_drop_in_links);
        tcase_add_test(t, test_drop_in_alone);
        suite_add_tcase(s, t);
        return check_run(s);
}
