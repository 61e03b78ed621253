/* SPDX-License-Identifier: MIT */
#pragma once

/* A table with an item of each kind, for the tests of conf. */

#include "check-util.h"
#include "conf.h"
#include "time-util.h"

typedef struct TestSettings {
        char *name, *address, *required, *hidden;
        char **modules, **path;
        bool enabled, gui;
        uint64_t port, limit, interval;
        int level, mode;
} TestSettings;

static const char *const test_modes[] = { "strict", "fair", NULL };

#define S(field) offsetof(TestSettings, field)

static const ConfItem test_items[] = {
        { "Main", "Name", "name", "FASTWORKER_TEST_NAME", "NAME", CONF_STRING, S(name), "nobody",
          .help = "Who we are" },
        { "Main", "Address", "address", "FASTWORKER_TEST_ADDRESS", "ADDRESS", CONF_ADDRESS,
          S(address), "tcp://127.0.0.1:5555", .flags = CONF_WIDENS_ACCESS,
          .help = "Where we listen" },
        { "Main", "Modules", "modules", "FASTWORKER_TEST_MODULES", "MODULE", CONF_LIST, S(modules),
          .help = "What is loaded" },
        { "Main", "Path", "path", "FASTWORKER_TEST_PATH", "DIRECTORY", CONF_LIST, S(path),
          "/usr/lib/a /usr/lib/b", .flags = CONF_PATHS, .help = "Where from" },
        { "Main", "Enabled", "enabled", "FASTWORKER_TEST_ENABLED", NULL, CONF_BOOL, S(enabled),
          "no", .help = "Whether it works" },
        { "Main", "LogLevel", "log-level", NULL, "LEVEL", CONF_LEVEL, S(level), "info",
          .help = "How much we say" },
        { "Limits", "Port", "port", "FASTWORKER_TEST_PORT", "PORT", CONF_UINT, S(port), "8080", 1,
          65535, .help = "A number" },
        { "Limits", "MaxBytes", "max-bytes", NULL, "BYTES", CONF_BYTES, S(limit), "1M", 1024,
          .help = "A size" },
        { "Limits", "IntervalSec", NULL, NULL, "SECONDS", CONF_USEC, S(interval), "10",
          USEC_PER_SEC, USEC_PER_MINUTE, .help = "A time span" },
        { "Limits", "Mode", "mode", NULL, "MODE", CONF_ENUM, S(mode), "fair", .names = test_modes,
          .help = "A choice" },
        { "Gui", "Gui", "no-gui", "FASTWORKER_TEST_GUI", NULL, CONF_BOOL, S(gui), "yes",
          .flags = CONF_NEGATED_FLAG, .help = "Leave the page away" },
        { "Gui", "Required", "required", "FASTWORKER_TEST_REQUIRED", "ID", CONF_STRING, S(required),
          .flags = CONF_REQUIRED, .help = "Must be there" },
        { NULL, NULL, "hidden", NULL, "FD", CONF_STRING, S(hidden) },
};

#undef S

static char test_config_path[sizeof(test_directory) + 16];

static ConfTable test_table = {
        .program = "fastworker-test",
        .summary = "Tests how settings are read.",
        .config_file = test_config_path,
        .items = test_items,
        .n_items = ELEMENTSOF(test_items),
        .settings_size = sizeof(TestSettings),
};

/* What one run of conf_load() gave. */
typedef struct Loaded {
        TestSettings *settings;
        Conf *conf;
        char *out, *log;
        int r;
} Loaded;

static inline void loaded_done(Loaded *l) {
        conf_settings_free(&test_table, l->settings);
        conf_free(l->conf);
        free(l->out);
        free(l->log);
        *l = (Loaded){};
}
#define _cleanup_loaded_ _cleanup_(loaded_done)

/* Runs it with the given words (NULL-terminated) behind the program's name. */
static inline Loaded load_words(const char *const *words) {
        char *argv[64] = { (char *) "/some/where/program" };
        Capture out, log;
        void *settings = NULL;
        Loaded l = {};
        int argc = 1;

        for (; *words; words++)
                argv[argc++] = (char *) *words;
        capture_begin(&out, STDOUT_FILENO);
        capture_begin(&log, STDERR_FILENO);
        l.r = conf_load(&test_table, argc, argv, &settings, &l.conf);
        l.log = capture_end(&log);
        l.out = capture_end(&out);
        l.settings = settings;
        ck_assert((l.r > 0) == (l.settings != NULL));
        ck_assert((l.r > 0) == (l.conf != NULL));
        return l;
}

#define load_args(...) load_words((const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })
/* With what must not be missing. */
#define load_ok(...) load_args("--required=x" __VA_OPT__(, ) __VA_ARGS__)

static inline void setup_conf(void) {
        setup_directory();
        (void) snprintf(test_config_path, sizeof(test_config_path), "%s/test.conf", test_directory);
        (void) unsetenv("FASTWORKER_CONFIG");
        for (size_t i = 0; i < ELEMENTSOF(test_items); i++)
                if (test_items[i].env)
                        (void) unsetenv(test_items[i].env);
}

static inline void write_drop_in(const char *name, const char *text) {
        _cleanup_free_ char *directory = path_in("test.conf.d"), *path = NULL;

        ck_assert(mkdir(directory, 0755) == 0 || errno == EEXIST);
        path = format_string("%s/%s", directory, name);
        write_text(path, text);
}

#define ck_assert_loads(l) ck_assert_msg((l).r == 1, "loading gave %d: %s", (l).r, (l).log)
