/* SPDX-License-Identifier: MIT */

/* The keys of task files: one table, and a parser for each kind of value. A parser returns -EINVAL, or -ERANGE, or
 * -ENOMEM, and leaves the old value alone then. */

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/resource.h>

#include "limit-text.h"
#include "parse-util.h"
#include "retry-limits.h"
#include "schedule-spec.h"
#include "task-file-internal.h"
#include "time-util.h"

typedef struct Key {
        const char *name;
        int (*parse)(const struct Key *k, const char *value, void *field);
        size_t offset;
        const char *fallback; /* parsed like a value; NULL: nothing */
        const char *expected;
        uint64_t min, max;
} Key;

void task_file_problem(TaskFileReader *f, const char *place, const char *format, ...) {
        _cleanup_free_ char *text = NULL, *line = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                f->error = -ENOMEM;
                return;
        }
        r = place ? asprintf(&line, "%s: %s", place, text)
                  : asprintf(&line, "%s:%u: %s", f->path, f->line, text);
        if (r < 0)
                line = NULL;
        if (r < 0 || strv_extend(f->problems, line) < 0)
                f->error = -ENOMEM;
}

static int replace_string(char **field, const char *value) {
        char *copy = strdup(value);

        if (!copy)
                return -ENOMEM;
        free(*field);
        *field = copy;
        return 0;
}

static int set_text(const Key *k, const char *value, void *field) {
        return replace_string(field, value);
}

/* One that others print as well. */
static int set_description(const Key *k, const char *value, void *field) {
        size_t size = strlen(value);
        uint32_t c;

        for (size_t i = 0; i < size;) {
                int n = utf8_decode(value + i, size - i, &c);

                if (n < 0)
                        return n;
                i += (size_t) n;
        }
        return replace_string(field, value);
}

static int set_uint(const Key *k, const char *value, void *field) {
        return parse_uint(value, k->min, k->max, field);
}

static int set_usec(const Key *k, const char *value, void *field) {
        return parse_usec(value, k->min, k->max, field);
}

static int set_bool(const Key *k, const char *value, void *field) {
        return parse_bool(value, field);
}

static int set_bytes(const Key *k, const char *value, void *field) {
        if (streq(value, "infinity")) {
                *(uint64_t *) field = UINT64_MAX;
                return 0;
        }
        return parse_bytes(value, k->min, k->max, field);
}

static int set_number_or_infinity(const Key *k, const char *value, void *field) {
        if (streq(value, "infinity")) {
                *(uint64_t *) field = UINT64_MAX;
                return 0;
        }
        return parse_uint(value, k->min, k->max, field);
}

/* RLIMIT_CPU and the like are counted in seconds. */
static int set_limit_sec(const Key *k, const char *value, void *field) {
        uint64_t usec;
        int r = parse_usec(value, USEC_PER_SEC, USEC_INFINITY, &usec);

        if (r < 0)
                return r;
        *(uint64_t *) field =
                usec == USEC_INFINITY ? UINT64_MAX : (usec + USEC_PER_SEC - 1) / USEC_PER_SEC;
        return 0;
}

static int set_nice(const Key *k, const char *value, void *field) {
        bool negative = value[0] == '-';
        uint64_t n;
        int r = parse_uint(value + negative, 0, negative ? 20 : 19, &n);

        if (r < 0)
                return r;
        *(int *) field = negative ? -(int) n : (int) n;
        return 0;
}

/* A decimal number without sign or exponent, from min to max. */
static int set_decimal(const Key *k, const char *value, void *field) {
        size_t whole = strspn(value, "0123456789"), n = whole;
        double d = 0, unit = 1;

        if (whole == 0 || whole > 9)
                return -EINVAL;
        if (value[n] == '.')
                n += 1 + strspn(value + n + 1, "0123456789");
        if (value[n] != '\0' || value[n - 1] == '.')
                return -EINVAL;
        /* Not strtod(), whose decimal point is the locale's. */
        for (size_t i = 0; i < n; i++)
                if (i < whole)
                        d = d * 10 + (value[i] - '0');
                else if (i > whole)
                        d += (value[i] - '0') * (unit /= 10);
        if (d < (double) k->min || d > (double) k->max)
                return -ERANGE;
        *(double *) field = d;
        return 0;
}

static int name_index(const char *const *names, const char *value) {
        for (int i = 0; names[i]; i++)
                if (streq(names[i], value))
                        return i;
        return -EINVAL;
}

static int set_name(const char *const *names, const char *value, int *field) {
        int i = name_index(names, value);

        if (i < 0)
                return i;
        *field = i;
        return 0;
}

static int set_input(const Key *k, const char *value, void *field) {
        return set_name((const char *const[]){ "json", "args", "stdin", NULL }, value, field);
}

static int set_output(const Key *k, const char *value, void *field) {
        return set_name((const char *const[]){ "json", "text", NULL }, value, field);
}

static int set_priority(const Key *k, const char *value, void *field) {
        return set_name((const char *const[]){ "critical", "high", "normal", "low", NULL }, value,
                        field);
}

/* Words and exit statuses. */
static int add_retry_on(const char *word, TaskRetryOn *on) {
        static const char *const names[] = { "exit", "signal", "timeout", "oom", NULL };
        int i = name_index(names, word);
        uint64_t n;
        int r;

        if (i >= 0)
                on->kinds |= UINT64_C(1) << i;
        else if (streq(word, "all"))
                on->kinds |= TASK_RETRY_ON_ALL;
        else {
                r = parse_uint(word, 1, 255, &n);
                if (r < 0)
                        return -EINVAL;
                on->statuses[n / 64] |= UINT64_C(1) << n % 64;
        }
        on->is_set = true;
        return 0;
}

static int set_retry_on(const Key *k, const char *value, void *field) {
        TaskRetryOn on = *(TaskRetryOn *) field;
        _cleanup_strv_ char **words = NULL;
        int r;

        if (!on.is_set)
                on = (TaskRetryOn){}; /* what is listed replaces the default */
        r = strv_split_extend(&words, value, ", \t");
        STRV_FOREACH(word, words)
                if (r >= 0)
                        r = add_retry_on(*word, &on);
        if (r < 0)
                return r;
        *(TaskRetryOn *) field = on;
        return 0;
}

static int set_retries(const Key *k, const char *value, void *field) {
        TaskFile *t = (TaskFile *) ((char *) field - offsetof(TaskFile, max_retries));
        int r = parse_uint(value, k->min, k->max, &t->max_retries);

        t->has_max_retries = t->has_max_retries || r >= 0;
        return r;
}

static int set_rate(const Key *k, const char *value, void *field) {
        TaskFile *t = (TaskFile *) ((char *) field - offsetof(TaskFile, rate_count));
        Rate rate;
        int r;

        r = rate_parse(value, &rate);
        if (r < 0)
                return r;
        t->rate_count = rate.count;
        t->rate_usec = rate.usec;
        return 0;
}

static int set_labels(const Key *k, const char *value, void *field) {
        _cleanup_strv_ char **words = NULL;
        int r;

        r = strv_split_extend(&words, value, ", \t");
        if (r < 0)
                return r;
        STRV_FOREACH(word, words)
                if (!label_is_valid(*word))
                        return -EINVAL;
        STRV_FOREACH(word, words) {
                r = strv_contains(*(char ***) field, *word) ? 0 : strv_extend(field, *word);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Marks the key; task_file_set_exec() does the work. */
static int set_exec(const Key *k, const char *value, void *field) {
        return -EINVAL;
}

static int set_environment(const Key *k, const char *value, void *field) {
        _cleanup_strv_ char **words = NULL;
        const char *error;
        int r;

        r = task_file_split_words(value, &words, &error);
        if (r < 0)
                return r;
        STRV_FOREACH(word, words)
                if (!task_file_is_assignment(*word))
                        return -EINVAL;
        STRV_FOREACH(word, words) {
                r = strv_extend(field, *word);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int set_path(const Key *k, const char *value, void *field) {
        return value[0] == '/' ? replace_string(field, value) : -EINVAL;
}

/* A leading "-" means that it need not exist. */
static int set_environment_file(const Key *k, const char *value, void *field) {
        return value[value[0] == '-'] == '/' ? strv_extend(field, value) : -EINVAL;
}

static int set_umask(const Key *k, const char *value, void *field) {
        int n = 0;

        if (strlen(value) > 4 || value[strspn(value, "01234567")] != '\0')
                return -EINVAL;
        for (const char *p = value; *p; p++)
                n = n * 8 + (*p - '0');
        if (n > 0777)
                return -ERANGE;
        *(int *) field = n;
        return 0;
}

static int set_oom_score(const Key *k, const char *value, void *field) {
        bool negative = value[0] == '-';
        uint64_t n;
        int r = parse_uint(value + negative, 0, 1000, &n);

        if (r < 0)
                return r;
        *(int *) field = negative ? -(int) n : (int) n;
        return 0;
}

#define FIELD(name) offsetof(TaskFile, name)
#define LIMIT(key, resource, parser, text) \
        { key, parser, FIELD(limits) + resource * sizeof(uint64_t), NULL, text, 0, UINT64_MAX - 2 }
#define SPAN    "a time span like 30s or 1h 30min"
#define COUNT   "a number or infinity"
#define BYTES   "a number of bytes like 512K, 64M or 2G, or infinity"
#define AT_ONCE UINT64_C(1000000)

#define RETRY_USEC_MAX ((uint64_t) RETRY_SECONDS_MAX * USEC_PER_SEC)

static const Key keys[] = {
        { "Description", set_description, FIELD(description), NULL, "a text in UTF-8" },
        { "Exec", set_exec, FIELD(exec), NULL, "a command and its arguments" },
        { "Input", set_input, FIELD(input), "json", "json, args or stdin" },
        { "Output", set_output, FIELD(output), "json", "json or text" },
        { "Timeout", set_usec, FIELD(timeout_usec), "infinity", SPAN ", or infinity", 1000,
          USEC_INFINITY },
        { "SoftTimeout", set_usec, FIELD(soft_timeout_usec), "infinity", SPAN ", or infinity", 1000,
          USEC_INFINITY },
        { "MaxRetries", set_retries, FIELD(max_retries), NULL, "a number from 0 to 10000", 0,
          RETRIES_MAX },
        { "RetryDelay", set_usec, FIELD(retry_delay_usec), "60s", SPAN ", at most ten years", 0,
          RETRY_USEC_MAX },
        { "RetryBackoff", set_decimal, FIELD(retry_backoff), "2",
          "a factor from 1 to 1000, like 1.5", 1, RETRY_FACTOR_MAX },
        { "RetryBackoffMax", set_usec, FIELD(retry_backoff_max_usec), "1h",
          SPAN ", at most ten years", 0, RETRY_USEC_MAX },
        { "RetryJitter", set_decimal, FIELD(retry_jitter), "0", "a share from 0 to 1, like 0.25", 0,
          1 },
        { "RetryOn", set_retry_on, FIELD(retry_on), NULL,
          "words of exit, signal, timeout, oom or all, and exit statuses from 1 to 255" },
        { "Priority", set_priority, FIELD(priority), "normal", "critical, high, normal or low" },
        { "Concurrency", set_uint, FIELD(concurrency), "0", "a number up to 1000000; 0 is no limit",
          0, AT_ONCE },
        { "RateLimit", set_rate, FIELD(rate_count), NULL,
          "a number and a time span, like 10/s, 100/min or 20/10s", 1, AT_ONCE },
        { "Label", set_labels, FIELD(labels), NULL,
          "words of letters, digits and _ . : -, at most 63 characters" },
        { "Schedule", set_text, FIELD(schedule), NULL,
          "a cron expression, or \"every\" and a time span" },
        { "ScheduleTimeZone", set_text, FIELD(schedule_timezone), NULL, "a time zone" },
        { "ScheduleCount", set_text, FIELD(schedule_count), NULL, "a number" },
        { "ScheduleUntil", set_text, FIELD(schedule_until), NULL, "a time" },
        { "ScheduleSkipIfRunning", set_text, FIELD(schedule_skip_if_running), NULL, "yes or no" },
        { "ScheduleCatchUp", set_text, FIELD(schedule_catch_up), NULL, "skip, one or all" },
        { "MemoryMax", set_bytes, FIELD(memory_max), "infinity", BYTES, 1, UINT64_MAX - 1 },
        { "TasksMax", set_number_or_infinity, FIELD(tasks_max), "infinity", COUNT ", at least 1", 1,
          UINT64_MAX - 1 },
        { "CPUWeight", set_uint, FIELD(cpu_weight), NULL, "a number from 1 to 10000", 1, 10000 },
        { "Nice", set_nice, FIELD(nice), "0", "a number from -20 to 19" },
        { "UMask", set_umask, FIELD(umask), NULL, "an octal number up to 0777" },
        { "OOMScoreAdjust", set_oom_score, FIELD(oom_score_adjust), NULL,
          "a number from -1000 to 1000" },
        { "NoNewPrivileges", set_bool, FIELD(no_new_privileges), "no", "yes or no" },
        { "PrivateTmp", set_bool, FIELD(private_tmp), "no", "yes or no" },
        { "WorkingDirectory", set_path, FIELD(working_directory), NULL, "an absolute path" },
        { "Environment", set_environment, FIELD(environment), NULL, "NAME=value, quotes closed" },
        { "EnvironmentFile", set_environment_file, FIELD(environment_files), NULL,
          "an absolute path, with - before it if the file need not exist" },
        LIMIT("LimitCPU", RLIMIT_CPU, set_limit_sec, SPAN ", or infinity"),
        LIMIT("LimitFSIZE", RLIMIT_FSIZE, set_bytes, BYTES),
        LIMIT("LimitDATA", RLIMIT_DATA, set_bytes, BYTES),
        LIMIT("LimitSTACK", RLIMIT_STACK, set_bytes, BYTES),
        LIMIT("LimitCORE", RLIMIT_CORE, set_bytes, BYTES),
        LIMIT("LimitAS", RLIMIT_AS, set_bytes, BYTES),
        LIMIT("LimitMEMLOCK", RLIMIT_MEMLOCK, set_bytes, BYTES),
        LIMIT("LimitNOFILE", RLIMIT_NOFILE, set_number_or_infinity, COUNT),
        LIMIT("LimitNPROC", RLIMIT_NPROC, set_number_or_infinity, COUNT),
};

size_t task_file_n_keys(void) {
        return ELEMENTSOF(keys);
}

static void *field_of(TaskFile *t, const Key *k) {
        return (char *) t + k->offset;
}

/* Back to the default. */
static int reset(TaskFile *t, const Key *k) {
        void *field = field_of(t, k);

        if (k->parse == set_text || k->parse == set_path || k->parse == set_description) {
                free(*(char **) field);
                *(char **) field = NULL;
        } else if (k->parse == set_exec || k->parse == set_labels || k->parse == set_environment ||
                   k->parse == set_environment_file)
                *(char ***) field = strv_free(*(char ***) field);
        else if (k->parse == set_retry_on)
                t->retry_on = (TaskRetryOn){ .kinds = TASK_RETRY_ON_ALL };
        else if (k->parse == set_umask || k->parse == set_oom_score)
                *(int *) field = TASK_INT_UNSET;
        else if (k->parse == set_retries) {
                t->has_max_retries = false;
                t->max_retries = 0;
        } else if (k->parse == set_rate)
                t->rate_count = t->rate_usec = 0;
        else if (k->fallback)
                return k->parse(k, k->fallback, field);
        else
                *(uint64_t *) field = k->parse == set_uint ? 0 : TASK_LIMIT_UNSET;
        return 0;
}

void task_file_defaults(TaskFile *t) {
        for (size_t i = 0; i < ELEMENTSOF(t->limits); i++)
                t->limits[i] = TASK_LIMIT_UNSET;
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                (void) reset(t, &keys[i]);
}

/* The known key that was probably meant: one that differs in case only. */
static const Key *similar_key(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (strcasecmp(keys[i].name, name) == 0)
                        return &keys[i];
        return NULL;
}

void task_file_set(TaskFileReader *f, const char *name, const char *value) {
        const Key *k = similar_key(name);
        char *place;
        int r;

        if (!k || !streq(k->name, name)) {
                task_file_problem(f, NULL, "unknown key %.60s=%s%s%s", name,
                                  k ? ", did you mean " : ", see fastworker.task(5)",
                                  k ? k->name : "", k ? "=?" : "");
                return;
        }
        if (value[0] == '\0')
                r = reset(f->task, k);
        else if (k->parse == set_exec)
                r = task_file_set_exec(f, value);
        else
                r = k->parse(k, value, field_of(f->task, k));
        if (r == -ENOMEM) {
                f->error = r;
                return;
        }
        if (r < 0) {
                if (k->parse == set_exec)
                        f->has_bad_exec = true; /* and was reported */
                else
                        task_file_problem(f, NULL, "bad value \"%.100s\" for %s=, expected %s",
                                          value, name, k->expected);
                return;
        }
        if (asprintf(&place, "%s:%u", f->path, f->line) < 0) {
                f->error = -ENOMEM;
                return;
        }
        free(f->key_places[k - keys]);
        f->key_places[k - keys] = place;
}

/* Where a key was set, or the file. */
static const char *place_of(const TaskFileReader *f, const char *name) {
        const Key *k = similar_key(name);

        return k && f->key_places[k - keys] ? f->key_places[k - keys] : f->task->path;
}

const char *task_file_interval(const TaskFile *t) {
        static const char every[] = "every ";

        return t->schedule && strncmp(t->schedule, every, strlen(every)) == 0
                       ? t->schedule + strlen(every)
                       : NULL;
}

static void check_schedule(TaskFileReader *f) {
        static const char *const names[] = {
                [SCHEDULE_FIELD_RULE] = "Schedule",
                [SCHEDULE_FIELD_TIMEZONE] = "ScheduleTimeZone",
                [SCHEDULE_FIELD_COUNT] = "ScheduleCount",
                [SCHEDULE_FIELD_UNTIL] = "ScheduleUntil",
                [SCHEDULE_FIELD_SKIP_IF_RUNNING] = "ScheduleSkipIfRunning",
                [SCHEDULE_FIELD_CATCH_UP] = "ScheduleCatchUp",
        };
        const TaskFile *t = f->task;
        const char *interval = task_file_interval(t);
        ScheduleText text = { .cron = interval ? NULL : t->schedule,
                              .interval = interval,
                              .timezone = t->schedule_timezone,
                              .count = t->schedule_count,
                              .until = t->schedule_until,
                              .skip_if_running = t->schedule_skip_if_running,
                              .catch_up = t->schedule_catch_up };
        _cleanup_free_ char *error = NULL;
        ScheduleField field;
        ScheduleSpec spec;
        int r;

        if (!t->schedule) {
                for (size_t i = 1; i < ELEMENTSOF(names); i++)
                        if (!streq(place_of(f, names[i]), t->path))
                                task_file_problem(f, place_of(f, names[i]),
                                                  "%s= has no effect without Schedule=", names[i]);
                return;
        }
        r = schedule_spec_parse(&text, &spec, &field, &error);
        if (r >= 0)
                schedule_spec_done(&spec);
        else if (r == -ENOMEM)
                f->error = r;
        else
                task_file_problem(f, place_of(f, names[field]), "%s=: %s", names[field],
                                  error ?: "not understood");
}

void task_file_check(TaskFileReader *f) {
        const TaskFile *t = f->task;

        if (!t->exec && !f->has_bad_exec)
                task_file_problem(f, t->path,
                                  "Exec= is missing: a task needs a command, like "
                                  "Exec=/usr/bin/sha256sum");
        if (t->soft_timeout_usec != USEC_INFINITY && t->soft_timeout_usec >= t->timeout_usec)
                task_file_problem(
                        f, place_of(f, "SoftTimeout"),
                        "SoftTimeout= must be shorter than Timeout=, else it never comes");
        check_schedule(f);
        f->task->exec_place = strdup(place_of(f, "Exec"));
        if (!f->task->exec_place)
                f->error = -ENOMEM;
}
