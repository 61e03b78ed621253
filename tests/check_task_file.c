/* SPDX-License-Identifier: MIT */

#include <sys/resource.h>

#include "check-util.h"
#include "parse-util.h"
#include "task-file.h"
#include "time-util.h"

static TaskFile *parse_good(const char *text) {
        _cleanup_strv_ char **problems = NULL;
        TaskFile *t = NULL;
        int r = task_file_parse("/x/hash.task", text, strlen(text), &t, &problems);

        ck_assert_msg(r == 0, "%d: %s", r, problems ? problems[0] : "?");
        ck_assert_ptr_null(problems);
        return t;
}

START_TEST(test_defaults) {
        _cleanup_(task_file_freep) TaskFile *t =
                parse_good("[Task]\nExec=/usr/bin/sha256sum  -b \"a b\" 'c\\\\d' e\\ f '' "
                           "\\x41\\102\\t\\s\"\\\"\"x'$HOME %n'\n");
        static const char *const exec[] = { "/usr/bin/sha256sum", "-b", "a b", "c\\d", "e f", "",
                                            "AB\t \"x$HOME %n" };

        ck_assert_str_eq(t->name, "hash");
        ck_assert_str_eq(t->path, "/x/hash.task");
        ck_assert_uint_eq(strv_length(t->exec), ELEMENTSOF(exec));
        for (size_t i = 0; i < ELEMENTSOF(exec); i++)
                ck_assert_str_eq(t->exec[i], exec[i]);
        ck_assert_int_eq(t->input, TASK_INPUT_JSON);
        ck_assert_int_eq(t->output, TASK_OUTPUT_JSON);
        ck_assert_uint_eq(t->timeout_usec, USEC_INFINITY);
        ck_assert_uint_eq(t->soft_timeout_usec, USEC_INFINITY);
        ck_assert_uint_eq(t->max_retries, 0);
        ck_assert_uint_eq(t->retry_delay_usec, 60 * USEC_PER_SEC);
        ck_assert_uint_eq(t->retry_backoff_max_usec, 3600 * USEC_PER_SEC);
        ck_assert(t->retry_backoff == 2.0 && t->retry_jitter == 0.0);
        ck_assert_uint_eq(t->retry_on.kinds, TASK_RETRY_ON_ALL);
        ck_assert_int_eq(t->priority, 2);
        ck_assert_uint_eq(t->concurrency | t->rate_count | t->rate_usec | t->cpu_weight, 0);
        ck_assert_uint_eq(t->memory_max, UINT64_MAX);
        ck_assert_uint_eq(t->tasks_max, UINT64_MAX);
        ck_assert_int_eq(t->nice, 0);
        ck_assert(!t->private_tmp && !t->no_new_privileges);
        ck_assert_int_eq(t->umask, TASK_INT_UNSET);
        ck_assert_int_eq(t->oom_score_adjust, TASK_INT_UNSET);
        for (size_t i = 0; i < ELEMENTSOF(t->limits); i++)
                ck_assert_uint_eq(t->limits[i], TASK_LIMIT_UNSET);
        ck_assert(!t->description && !t->labels && !t->environment && !t->working_directory);
        ck_assert(!t->schedule && !t->schedule_timezone && !t->schedule_until);
}
END_TEST

START_TEST(test_all_keys) {
        _cleanup_(task_file_freep) TaskFile *t = parse_good(
                "# a comment\n[Task]\n; another\nDescription=Hashes a file; # and = no comment\n"
                "Exec=/bin/cat\nInput=args\nOutput=text\nTimeout=5min\nSoftTimeout=4min 30s\n"
                "MaxRetries=7\nRetryDelay=500ms\nRetryBackoff=1.5\nRetryBackoffMax=2min\n"
                "RetryJitter=0.25\nRetryOn=oom\nRetryOn=exit, oom timeout 3 255\nPriority=high\nConcurrency=3\n"
                "RateLimit=20/10s\nLabel=gpu,big\nLabel=gpu ssd\n"
                "Schedule=30 2 * * MON-FRI\nScheduleTimeZone=Europe/Berlin\nScheduleCount=5\n"
                "ScheduleUntil=2030-12-31T18:00:00\nScheduleSkipIfRunning=no\nScheduleCatchUp=all\n"
                "MemoryMax=64M\nTasksMax=20\nCPUWeight=50\nNice=-5\nPrivateTmp=yes\n"
                "WorkingDirectory=/var/tmp\nEnvironment=A=1 \"B=two words\"\nEnvironment=_C=\n"
                "LimitNOFILE=128\nLimitCORE=0\nLimitCPU=1min\nLimitAS=2G\nLimitNPROC=infinity\n"
                "UMask=0027\nOOMScoreAdjust=-100\nNoNewPrivileges=yes\n"
                "EnvironmentFile=/x/env\nEnvironmentFile=-/x/env2\n"
                "X-Other=anything\n[X-Section]\nanything\n");

        ck_assert_str_eq(t->description, "Hashes a file; # and = no comment");
        ck_assert_int_eq(t->input, TASK_INPUT_ARGS);
        ck_assert_int_eq(t->output, TASK_OUTPUT_TEXT);
        ck_assert_uint_eq(t->timeout_usec, 300 * USEC_PER_SEC);
        ck_assert_uint_eq(t->soft_timeout_usec, 270 * USEC_PER_SEC);
        ck_assert_uint_eq(t->max_retries, 7);
        ck_assert_uint_eq(t->retry_delay_usec, 500000);
        ck_assert(t->retry_backoff == 1.5 && t->retry_jitter == 0.25);
        ck_assert_uint_eq(t->retry_backoff_max_usec, 120 * USEC_PER_SEC);
        ck_assert_int_eq(t->priority, 1);
        ck_assert_uint_eq(t->concurrency, 3);
        ck_assert_uint_eq(t->rate_count, 20);
        ck_assert_uint_eq(t->rate_usec, 10 * USEC_PER_SEC);
        ck_assert_uint_eq(t->retry_on.kinds,
                          TASK_RETRY_ON_EXIT | TASK_RETRY_ON_OOM | TASK_RETRY_ON_TIMEOUT);
        ck_assert_uint_eq(t->retry_on.statuses[0], 8);
        ck_assert_uint_eq(t->retry_on.statuses[3], UINT64_C(1) << 63);
        ck_assert_uint_eq(strv_length(t->labels), 3);
        ck_assert_str_eq(t->schedule, "30 2 * * MON-FRI");
        ck_assert_str_eq(t->schedule_catch_up, "all");
        ck_assert_uint_eq(t->memory_max, 64U << 20);
        ck_assert_uint_eq(t->tasks_max, 20);
        ck_assert_uint_eq(t->cpu_weight, 50);
        ck_assert_int_eq(t->nice, -5);
        ck_assert(t->private_tmp);
        ck_assert_int_eq(t->umask, 027);
        ck_assert_int_eq(t->oom_score_adjust, -100);
        ck_assert(t->no_new_privileges);
        ck_assert_uint_eq(strv_length(t->environment_files), 2);
        ck_assert_str_eq(t->exec_place, "/x/hash.task:5");
        ck_assert_str_eq(t->working_directory, "/var/tmp");
        ck_assert_uint_eq(strv_length(t->environment), 3);
        ck_assert_str_eq(t->environment[1], "B=two words");
        ck_assert_uint_eq(t->limits[RLIMIT_NOFILE], 128);
        ck_assert_uint_eq(t->limits[RLIMIT_CORE], 0);
        ck_assert_uint_eq(t->limits[RLIMIT_CPU], 60);
        ck_assert_uint_eq(t->limits[RLIMIT_AS], UINT64_C(2) << 30);
        ck_assert_uint_eq(t->limits[RLIMIT_NPROC], UINT64_MAX);
        ck_assert_uint_eq(t->limits[RLIMIT_DATA], TASK_LIMIT_UNSET);
}
END_TEST

/* An empty value is the default again. */
START_TEST(test_reset) {
        _cleanup_(task_file_freep) TaskFile *t = parse_good(
                "[Task]\nExec=/bin/cat\nTimeout=5\nTimeout=\nLabel=a\nLabel=\nLabel=b\n"
                "Environment=A=1\nEnvironment=\nRetryOn=oom\nRetryOn=\nRateLimit=1/s\nRateLimit=\n"
                "LimitCORE=0\nLimitCORE=\nDescription=x\nDescription=\nCPUWeight=5\nCPUWeight=\n");

        ck_assert_uint_eq(t->timeout_usec, USEC_INFINITY);
        ck_assert_uint_eq(strv_length(t->labels), 1);
        ck_assert_str_eq(t->labels[0], "b");
        ck_assert_ptr_null(t->environment);
        ck_assert_uint_eq(t->retry_on.kinds, TASK_RETRY_ON_ALL);
        ck_assert_uint_eq(t->rate_count | t->rate_usec | t->cpu_weight, 0);
        ck_assert_uint_eq(t->limits[RLIMIT_CORE], TASK_LIMIT_UNSET);
        ck_assert_ptr_null(t->description);
}
END_TEST

/* One bad line each, which stands in line 3 behind a good Exec=. */
static const char *const bad_lines[][2] = {
        { "Exec=no-such-command-at-all", "there is no command \"no-such-command-at-all\"" },
        { "Exec=bin/cat", "expected a command with an absolute path" },
        { "Exec=-/bin/cat", "a command cannot begin with \"-\"" },
        { "Exec=@/bin/cat cat", "a command cannot begin with \"@\"" },
        { "Exec=\"\" x", "a command cannot begin with" },
        { "Exec=/bin/echo \"open", "a quote is not closed" },
        { "Exec=/bin/echo \\", "a backslash at the end" },
        { "Exec=/bin/echo \\d", "a backslash before something unknown" },
        { "Exec=/bin/echo \\x00", "a backslash before something unknown" },
        { "Exec=/bin/echo \\400", "a backslash before something unknown" },
        { "Description=a\xff", "a text in UTF-8" },
        { "UMask=8", "an octal number" },
        { "UMask=1000", "an octal number" },
        { "OOMScoreAdjust=1001", "from -1000 to 1000" },
        { "EnvironmentFile=env", "an absolute path" },
        { "RetryOn=256", "exit statuses from 1 to 255" },
        { "RetryOn=0", "exit statuses from 1 to 255" },
        { "Input=xml", "bad value \"xml\" for Input=, expected json, args or stdin" },
        { "Output=JSON", "expected json or text" },
        { "Timeout=soon", "expected a time span like 30s or 1h 30min, or infinity" },
        { "Timeout=0", "expected a time span" },
        { "MaxRetries=-1", "expected a number from 0 to 10000" },
        { "MaxRetries=10001", "expected a number from 0 to 10000" },
        { "RetryDelay=4000d", "at most ten years" },
        { "RetryBackoffMax=infinity", "at most ten years" },
        { "RetryBackoff=1001", "expected a factor from 1 to 1000" },
        { "Timeout: 5s", "is not of the form Key=Value" },
        { "RetryDelay=1x", "expected a time span" },
        { "RetryBackoff=0.5", "expected a factor from 1 to 100" },
        { "RetryBackoff=1e3", "expected a factor" },
        { "RetryBackoff=2.", "expected a factor" },
        { "RetryJitter=1.1", "expected a share from 0 to 1" },
        { "RetryJitter=20%", "expected a share" },
        { "RetryOn=exit crash", "expected words of exit, signal, timeout, oom or all" },
        { "Priority=urgent", "expected critical, high, normal or low" },
        { "Concurrency=many", "expected a number" },
        { "RateLimit=10", "like 10/s" },
        { "RateLimit=/s", "like 10/s" },
        { "RateLimit=0/s", "like 10/s" },
        { "RateLimit=10/1", "like 10/s" },
        { "RateLimit=10/fortnight", "like 10/s" },
        { "Label=g\xc3\xb6", "expected words of letters" },
        { "Schedule=61 * * * *", "Schedule=: minute field \"61\"" },
        { "Schedule=every 5x", "Schedule=: bad interval \"5x\"" },
        { "ScheduleCount=5", "ScheduleCount= has no effect without Schedule=" },
        { "ScheduleTimeZone=Europe/Berlin", "has no effect without Schedule=" },
        { "MemoryMax=lots", "like 512K, 64M or 2G" },
        { "TasksMax=0", "at least 1" },
        { "CPUWeight=0", "from 1 to 10000" },
        { "Nice=20", "from -20 to 19" },
        { "Nice=-21", "from -20 to 19" },
        { "Nice=-", "from -20 to 19" },
        { "PrivateTmp=maybe", "yes or no" },
        { "WorkingDirectory=tmp", "expected an absolute path" },
        { "Environment=1A=2", "expected NAME=value" },
        { "Environment=A", "expected NAME=value" },
        { "LimitNOFILE=few", "a number or infinity" },
        { "LimitCPU=0", "a time span" },
        { "SoftTimeout=5\nTimeout=5", "SoftTimeout= must be shorter than Timeout=" },
        { "MemoryMaximum=5", "unknown key MemoryMaximum=" },
        { "memorymax=5", "unknown key memorymax=, did you mean MemoryMax=?" },
        { "Nonsense", "\"Nonsense\" is not of the form Key=Value" },
        { "[Service]\nUser=a\nGroup=b", "unknown section [Service], expected [Task]" },
        { "[Task] Nice=5\nInput=xml", "\"[Task] Nice=5\" is not a section header" },
        { "[Task\nInput=xml", "\"[Task\" is not a section header, write [Task]" },
};

START_TEST(test_bad_lines) {
        for (size_t i = 0; i < ELEMENTSOF(bad_lines); i++) {
                _cleanup_strv_ char **problems = NULL;
                _cleanup_free_ char *text =
                        format_string("[Task]\nExec=/bin/cat\n%s\n", bad_lines[i][0]);
                TaskFile *t = NULL;

                ck_assert_int_eq(task_file_parse("/x/hash.task", text, strlen(text), &t, &problems),
                                 -EINVAL);
                ck_assert_ptr_null(t);
                ck_assert_msg(strv_length(problems) == 1, "%s: %zu problems", bad_lines[i][0],
                              strv_length(problems));
                ck_assert_contains(problems[0], bad_lines[i][1]);
                /* A section is reported where its first key is. */
                ck_assert_msg(strncmp(problems[0], "/x/hash.task:3: ", 16) == 0 ||
                                      (bad_lines[i][0][1] == 'S' &&
                                       strncmp(problems[0], "/x/hash.task:4: ", 16) == 0),
                              "%s", problems[0]);
        }
}
END_TEST

START_TEST(test_all_mistakes_at_once) {
        static const char text[] = "Early=1\n[Task]\nInput=xml\nPriority=urgent\nBogus=1\n";
        static const char *const wanted[] = {
                "/x/bad.task:1: Early stands in no section, write [Task] above it",
                "/x/bad.task:3: bad value \"xml\"",
                "/x/bad.task:4: bad value \"urgent\"",
                "/x/bad.task:5: unknown key Bogus=",
                "/x/bad.task: Exec= is missing",
        };
        _cleanup_strv_ char **problems = NULL;
        TaskFile *t = NULL;

        ck_assert_int_eq(strv_extend(&problems, "from another file"), 0);
        ck_assert_int_eq(task_file_parse("/x/bad.task", text, strlen(text), &t, &problems),
                         -EINVAL);
        ck_assert_uint_eq(strv_length(problems), 1 + ELEMENTSOF(wanted));
        for (size_t i = 0; i < ELEMENTSOF(wanted); i++)
                ck_assert_msg(strncmp(problems[i + 1], wanted[i], strlen(wanted[i])) == 0, "%s",
                              problems[i + 1]);
}
END_TEST

START_TEST(test_odd_texts) {
        _cleanup_strv_ char **problems = NULL;
        _cleanup_free_ char *line = calloc(1, 40000);
        TaskFile *t = NULL;

        ck_assert_ptr_nonnull(line);
        ck_assert_int_eq(task_file_parse("/x/a.task", "[Task]\nA\0B", 10, &t, &problems), -EINVAL);
        ck_assert_contains(problems[0], "/x/a.task:2: a NUL byte");
        problems = strv_free(problems);

        (void) snprintf(line, 40000, "[Task]\nExec=/bin/cat %039000d\nExec=/bin/cat\n", 0);
        ck_assert_int_eq(task_file_parse("/x/a.task", line, strlen(line), &t, &problems), -EINVAL);
        ck_assert_uint_eq(strv_length(problems), 1);
        ck_assert_contains(problems[0], "/x/a.task:2: the line is longer than");
        problems = strv_free(problems);

        ck_assert_int_eq(task_file_parse("/x/a.txt", "[Task]\nExec=/bin/cat", 20, &t, &problems),
                         -EINVAL);
        ck_assert_contains(problems[0], "expected NAME.task");
        ck_assert_ptr_null(t);
}
END_TEST

START_TEST(test_command_lookup) {
        _cleanup_(task_file_freep) TaskFile *t = parse_good("[Task]\nExec=cat -\n");

        ck_assert_msg(t->exec[0][0] == '/' && access(t->exec[0], X_OK) == 0, "%s", t->exec[0]);
        ck_assert_str_eq(t->exec[1], "-");
}
END_TEST

static void assert_options(const char *lines, const char *expected) {
        _cleanup_free_ char *text = format_string("[Task]\nExec=/bin/cat\n%s", lines), *o = NULL,
                            *all = NULL;
        _cleanup_(task_file_freep) TaskFile *t = parse_good(text);

        /* That it is not to be tried again is always said. */
        if (!strstr(expected, "max_retries"))
                expected = all = format_string("{\"max_retries\":0%s%s", *expected ? "," : "}",
                                               *expected ? expected + 1 : "");
        ck_assert_int_eq(task_file_options(t, &o), 0);
        ck_assert_str_eq(o, expected);
}

START_TEST(test_options) {
        assert_options("", "");
        assert_options("Description=x\nPriority=normal\nNice=5\n", "");
        assert_options("Timeout=1min 500ms\nSoftTimeout=30\nPriority=critical\n",
                       "{\"timeout\":60.5,\"soft_timeout\":30,\"priority\":\"critical\"}");
        assert_options("MaxRetries=0\n",
                       "{\"max_retries\":0,\"retry_delay\":60,\"retry_backoff\":2,"
                       "\"retry_backoff_max\":3600}");
        assert_options("MaxRetries=0\nMaxRetries=\n", "");
        assert_options("RetryDelay=2h\n", "");
        assert_options("MaxRetries=3\nRetryDelay=100ms\nRetryBackoff=1.5\nRetryJitter=0.1\n",
                       "{\"max_retries\":3,\"retry_delay\":0.1,\"retry_backoff\":1.5,"
                       "\"retry_backoff_max\":3600,\"retry_jitter\":0.1}");
        assert_options("Concurrency=2\nRateLimit=10/s\nLabel=gpu big\n",
                       "{\"concurrency\":2,\"rate_limit\":\"10/s\",\"labels\":[\"gpu\",\"big\"]}");
        assert_options("RateLimit=100/min\n", "{\"rate_limit\":\"100/m\"}");
        assert_options("RateLimit=5/h\n", "{\"rate_limit\":\"5/h\"}");
        assert_options("RateLimit=20/10s\n", "{\"rate_limit\":\"20/10000ms\"}");
        assert_options("Schedule=every 1h\nScheduleCount=5\nScheduleSkipIfRunning=no\n",
                       "{\"schedule\":{\"interval\":3600,\"count\":5,\"skip_if_running\":false}}");
        assert_options(
                "Schedule=0 2 * * *\nScheduleTimeZone=UTC\nScheduleCatchUp=one\n",
                "{\"schedule\":{\"cron\":\"0 2 * * *\",\"timezone\":\"UTC\",\"catch_up\":\"one\"}}");
        assert_options(
                "MemoryMax=1M\nTasksMax=5\nCPUWeight=20\n",
                "{\"resources\":{\"memory_max\":1048576,\"tasks_max\":5,\"cpu_weight\":20}}");
}
END_TEST

/* --- files and drop-ins --- */

static void put(const char *name, const char *text) {
        _cleanup_free_ char *path = path_in(name), *parent = strdup(path);

        ck_assert_ptr_nonnull(parent);
        for (char *p = parent + strlen(test_directory) + 1; (p = strchr(p, '/')); *p++ = '/') {
                *p = '\0';
                ck_assert(mkdir(parent, 0700) == 0 || errno == EEXIST);
        }
        if (text)
                write_text(path, text);
        else
                ck_assert_int_eq(symlink("/dev/null", path), 0);
}

static int load(const char *name, TaskFile **ret, char ***problems) {
        _cleanup_free_ char *etc = path_in("etc"), *usr = path_in("usr");
        char *directories[] = { etc, usr, NULL };

        return task_file_load(name, directories, ret, problems);
}

START_TEST(test_precedence) {
        _cleanup_(task_file_freep) TaskFile *t = NULL;
        _cleanup_strv_ char **problems = NULL;

        put("usr/a.task", "[Task]\nExec=/bin/usr\nPriority=low\nLabel=main\n");
        put("usr/a.task.d/10-x.conf", "[Task]\nPriority=high\nLabel=ten\nNice=1\n");
        put("usr/a.task.d/20-y.conf", "[Task]\nDescription=twenty of usr\n");
        put("usr/a.task.d/30-z.conf", "[Task]\nNice=9\n");
        put("usr/a.task.d/notes.txt", "not an INI file");
        put("etc/a.task.d/15-w.conf", "[Task]\nPriority=critical\n");
        put("etc/a.task.d/20-y.conf", "[Task]\nDescription=twenty of etc\n");
        put("etc/a.task.d/30-z.conf", NULL);
        put("usr/b.task", "[Task]\nExec=/bin/usr\n");
        put("etc/b.task", "[Task]\nExec=/bin/etc\n");
        put("usr/c.task", "[Task]\nExec=/bin/usr\n");
        put("etc/c.task", NULL);
        put("usr/d.task", "[Task]\nExec=/bin/usr\n");
        put("etc/d.task", "");

        ck_assert_int_eq(load("a", &t, &problems), 0);
        ck_assert_str_eq(t->exec[0], "/bin/usr");
        ck_assert_int_eq(t->priority, 0);
        ck_assert_int_eq(t->nice, 1);
        ck_assert_str_eq(t->description, "twenty of etc");
        ck_assert_uint_eq(strv_length(t->labels), 2);
        t = task_file_free(t);

        ck_assert_int_eq(load("b", &t, &problems), 0);
        ck_assert_str_eq(t->exec[0], "/bin/etc");
        t = task_file_free(t);

        ck_assert_int_eq(load("c", &t, &problems), -ENOENT);
        ck_assert_int_eq(load("d", &t, &problems), -ENOENT);
        ck_assert_int_eq(load("e", &t, &problems), -ENOENT);
        ck_assert_int_eq(load("../usr/a", &t, &problems), -ENOENT);
        ck_assert_ptr_null(problems);
}
END_TEST

START_TEST(test_mistakes_in_files) {
        _cleanup_(task_file_freep) TaskFile *t = NULL;
        _cleanup_strv_ char **problems = NULL;
        _cleanup_free_ char *path = path_in("usr/a.task"), *directory = path_in("usr/b.task");

        put("usr/a.task", "[Task]\nExec=/bin/usr\nTimeout=5s\nBogus=1\n");
        put("usr/a.task.d/10.conf", "[Task]\n\nSoftTimeout=6s\nNice=99\n");
        ck_assert_int_eq(load("a", &t, &problems), -EINVAL);
        ck_assert_uint_eq(strv_length(problems), 3);
        ck_assert_contains(problems[0], "/usr/a.task:4: unknown key Bogus=");
        ck_assert_contains(problems[1], "/usr/a.task.d/10.conf:4: bad value \"99\"");
        ck_assert_contains(problems[2], "/usr/a.task.d/10.conf:3: SoftTimeout= must be shorter");
        problems = strv_free(problems);

        put("usr/a.task", "[Task]\nExec=/bin/usr\nTimeout=10s\n");
        put("usr/a.task.d/10.conf", "[Task]\nSoftTimeout=6s\n");
        ck_assert_int_eq(task_file_load_path(path, NULL, &t, &problems), 0);
        ck_assert_uint_eq(t->soft_timeout_usec, 6 * USEC_PER_SEC);

        ck_assert_int_eq(mkdir(directory, 0700), 0);
        t = task_file_free(t);
        ck_assert_int_eq(task_file_load_path(directory, NULL, &t, &problems), -EINVAL);
        ck_assert_contains(problems[0], "b.task: is not a regular file");
}
END_TEST

START_TEST(test_environment_files) {
        _cleanup_free_ char *path = path_in("env"), *other = path_in("missing"),
                            *text = format_string("[Task]\nExec=/bin/cat\nEnvironmentFile=%s\n"
                                                  "EnvironmentFile=-%s\n",
                                                  path, other),
                            *error = NULL;
        _cleanup_(task_file_freep) TaskFile *t = parse_good(text);
        _cleanup_strv_ char **l = NULL;

        ck_assert_int_eq(strv_extend(&l, "B=old"), 0);
        ck_assert_int_eq(task_file_read_environment(t, &l, &error), -ENOENT);
        ck_assert_contains(error, "/env: No such file or directory");
        free(error);
        write_text(path, "# comment\n\n A=1 \nB=\"two words\"\r\n;x\nC='\nD=''");
        ck_assert_int_eq(task_file_read_environment(t, &l, &error), 0);
        ck_assert_uint_eq(strv_length(l), 4);
        ck_assert_str_eq(l[0], "B=two words");
        ck_assert_str_eq(l[1], "A=1");
        ck_assert_str_eq(l[2], "C='");
        ck_assert_str_eq(l[3], "D=");
        write_text(path, "A=1\nsecret\n");
        ck_assert_int_eq(task_file_read_environment(t, &l, &error), -EINVAL);
        ck_assert_contains(error, "/env:2: is not of the form NAME=value");
        ck_assert_ptr_null(strstr(error, "secret"));
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        free(error);
        ck_assert_int_eq(task_file_read_environment(t, &l, &error), -EINVAL);
        ck_assert_contains(error, "is not a regular file");
}
END_TEST

int main(void) {
        Suite *s = suite_create("task-file");
        TCase *text = tcase_create("text"), *files = tcase_create("files");

        tcase_add_test(text, test_defaults);
        tcase_add_test(text, test_all_keys);
        tcase_add_test(text, test_reset);
        tcase_add_test(text, test_bad_lines);
        tcase_add_test(text, test_all_mistakes_at_once);
        tcase_add_test(text, test_odd_texts);
        tcase_add_test(text, test_command_lookup);
        tcase_add_test(text, test_options);
        suite_add_tcase(s, text);
        tcase_add_checked_fixture(files, setup_directory, teardown_directory);
        tcase_add_test(files, test_precedence);
        tcase_add_test(files, test_mistakes_in_files);
        tcase_add_test(files, test_environment_files);
        suite_add_tcase(s, files);
        return check_run(s);
}
