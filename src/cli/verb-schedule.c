/* SPDX-License-Identifier: MIT */

/* fastworker schedule: tasks that the coordinator submits again and again. */

#include <math.h>

#include "cli.h"
#include "json-util.h"
#include "parse-util.h"

static const char *arg_task_name, *arg_kwargs, *arg_priority, *arg_cron, *arg_interval,
        *arg_timezone, *arg_until, *arg_skip, *arg_catch_up;
static uint64_t arg_count, arg_limit;
static TaskOptions arg_options = { .max_retries = UINT64_MAX };
static Words arg_operands, arg_args;
static bool arg_replace, arg_paused;

static const Option options[] = {
        { "task-name", OPTION_TEXT, &arg_task_name, "NAME", "add: the task's name (required)" },
        { "cron", OPTION_TEXT, &arg_cron, "EXPRESSION",
          "add: due as it says: \"30 2 * * MON-FRI\"" },
        { "interval", OPTION_TEXT, &arg_interval, "TIME", "add: due now, and then every TIME" },
        { "timezone", OPTION_TEXT, &arg_timezone, "ZONE",
          "add: of --cron and --until, like Europe/Berlin" },
        { "count", OPTION_NUMBER, &arg_count, "N", "add: end after so many runs", 1, INT64_MAX },
        { "until", OPTION_TEXT, &arg_until, "TIME", "add: not due after that, 2030-12-31T18:00" },
        { "skip-if-running", OPTION_TEXT, &arg_skip, "BOOL",
          "add: not while the task before has not ended (yes)" },
        { "catch-up", OPTION_TEXT, &arg_catch_up, "POLICY",
          "add: what was missed: skip (default), one or all" },
        { "args", OPTION_WORDS, &arg_args, "ARG", "add: arguments of the task, as of submit" },
        { "kwargs", OPTION_TEXT, &arg_kwargs, "JSON", "add: named arguments: a JSON object" },
        { "priority", OPTION_TEXT, &arg_priority, "PRIORITY",
          "add: critical, high, normal (default) or low" },
        { "expires", OPTION_TEXT, &arg_options.expires, "TIME",
          "add: a task is not begun so long after it was due" },
        { "max-retries", OPTION_NUMBER, &arg_options.max_retries, "N",
          "add: a task is tried so many times more if it fails", 0, 10000 },
        { "retry-delay", OPTION_TIME, &arg_options.retry_delay_usec, "TIME",
          "add: so long before the first of them (60 s)" },
        { "replace", OPTION_FLAG, &arg_replace, NULL, "add: in the place of one of that name" },
        { "paused", OPTION_FLAG, &arg_paused, NULL, "add: not due before it is resumed" },
        { "limit", OPTION_NUMBER, &arg_limit, "N", "next: show so many times (10)", 1, 100 },
};

static const Usage usage = {
        .verb = "schedule",
        .synopsis =
                "list | add NAME --task-name TASK --cron EXPRESSION|--interval TIME [OPTION...] | "
                "next|pause|resume|run|rm NAME",
        .text = "A schedule has its task submitted again and again. add adds one; those that task files and modules bring\n"
                "are there by themselves, under the name of their task. list lists them, next shows when one is due.\n"
                "pause and resume stop it and let it go on, also across restarts. run submits its task now, outside of\n"
                "the plan, and prints the task's id. rm removes one that was added.\n\n"
                "  fastworker schedule add nightly --task-name report --cron '30 2 * * *' --timezone Europe/Berlin\n"
                "  fastworker schedule add poll --task-name fetch --interval 90s --args https://example.org\n",
        .options = options,
        .n_options = ELEMENTSOF(options),
        .operands = &arg_operands,
        .n_operands_max = 2,
};

/* --- add -------------------------------------------------------------------------------------- */

static int add_option(struct json_object *o, const char *key, const char *text) {
        return text ? add_text(o, key, text) : 0;
}

/* Consumes `text`, which is JSON. */
static int add_json(struct json_object *o, const char *key, char *text) {
        _cleanup_free_ char *owned = text;
        struct json_object *value = NULL;

        if (!owned)
                return 0;
        if (json_parse(owned, strlen(owned), &value, NULL) < 0)
                return -ENOMEM;
        return json_add(o, key, value);
}

/* Returns 0, or a status after having complained. */
static int add_task(struct json_object *o) {
        char *text = NULL;
        int r;

        if (arg_args.n > 0 || arg_kwargs) {
                r = make_arguments(&arg_args, arg_kwargs, &text);
                if (r != 0)
                        return r;
                if (add_json(o, "arguments", text) < 0)
                        return complain_oom();
        }
        text = NULL;
        r = make_task_options(&arg_options, &text);
        if (r == CLI_USAGE)
                return r;
        if (r < 0 || add_json(o, "options", text) < 0)
                return complain_oom();
        return add_option(o, "priority", arg_priority) < 0 ? complain_oom() : 0;
}

static int make_document(const char *name, struct json_object **ret) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        bool skip;
        int r;

        if (!arg_task_name)
                return complain(CLI_USAGE, "--task-name is missing");
        if (!arg_cron == !arg_interval)
                return complain(CLI_USAGE, "either --cron or --interval must be given");
        if (arg_skip && parse_bool(arg_skip, &skip) < 0)
                return complain(CLI_USAGE, "--skip-if-running is yes or no, not \"%s\"", arg_skip);
        if (!o || add_text(o, "name", name) < 0 || add_text(o, "task", arg_task_name) < 0)
                return complain_oom();
        r = add_task(o);
        if (r != 0)
                return r;
        if (add_option(o, "cron", arg_cron) < 0 || add_option(o, "interval", arg_interval) < 0 ||
            add_option(o, "timezone", arg_timezone) < 0 ||
            (arg_count > 0 && json_add_uint(o, "count", arg_count) < 0) ||
            add_option(o, "until", arg_until) < 0 ||
            (arg_skip && json_add_bool(o, "skip_if_running", skip) < 0) ||
            add_option(o, "catch_up", arg_catch_up) < 0 ||
            (arg_replace && json_add_bool(o, "replace", true) < 0) ||
            (arg_paused && json_add_bool(o, "paused", true) < 0))
                return complain_oom();
        *ret = TAKE_PTR(o);
        return 0;
}

static const char *next_of(struct json_object *schedule) {
        struct json_object *next = member(schedule, "next");

        return json_object_is_type(next, json_type_array) && json_object_array_length(next) > 0
                       ? json_object_get_string(json_object_array_get_idx(next, 0))
                       : "-";
}

static int add(fastworker_client *c, const char *name) {
        _cleanup_json_ struct json_object *o = NULL, *answer = NULL;
        _cleanup_free_ char *text = NULL;
        int r, status;

        r = make_document(name, &o);
        if (r != 0)
                return r;
        r = fastworker_schedule_add(c, json_object_to_json_string_ext(o, JSON_COMPACT), &text);
        if (r < 0)
                return session_failed(c, r);
        if (print_or_parse(text, &answer, &status) == 0)
                return status;
        if (arg_paused)
                printf("Added %s, paused.\n", name);
        else
                printf("Added %s, due %s.\n", name, next_of(answer));
        return CLI_SUCCESS;
}

/* --- list ------------------------------------------------------------------------------------- */

static int describe_rule(struct json_object *schedule, char **ret) {
        struct json_object *interval = member(schedule, "interval");
        int n;

        if (interval)
                n = asprintf(ret, "every %gs", json_object_get_double(interval));
        else
                n = asprintf(ret, "%s", text_of(schedule, "cron"));
        return n < 0 ? -ENOMEM : 0;
}

static int add_row(Table *t, struct json_object *schedule) {
        _cleanup_free_ char *rule = NULL;

        if (describe_rule(schedule, &rule) < 0) {
                rule = NULL;
                return -ENOMEM;
        }
        return table_add(t, (const char *const[]){
                                    text_of(schedule, "name"), text_of(schedule, "task"), rule,
                                    text_of(schedule, "timezone"), text_of(schedule, "source"),
                                    text_of(schedule, "state"), next_of(schedule),
                                    text_of(schedule, "last_due_at"), text_of(schedule, "runs") });
}

static int show_table(struct json_object *schedules) {
        static const Column columns[] = {
                { "NAME", COLUMN_TEXT },    { "TASK", COLUMN_CUT },     { "DUE", COLUMN_TEXT },
                { "TIMEZONE", COLUMN_CUT }, { "SOURCE", COLUMN_TEXT },  { "STATE", COLUMN_TEXT },
                { "NEXT", COLUMN_TEXT },    { "LAST DUE", COLUMN_CUT }, { "RUNS", COLUMN_NUMBER },
        };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));
        size_t n = json_object_array_length(schedules);
        int r;

        if (!t)
                return complain_oom();
        for (size_t i = 0; i < n; i++)
                if (add_row(t, json_object_array_get_idx(schedules, i)) < 0)
                        return complain_oom();
        r = table_show(TAKE_PTR(t));
        if (r == CLI_SUCCESS && arg_legend)
                printf("\n%zu schedule%s.\n", n, n == 1 ? "" : "s");
        return r;
}

/* One page behind the schedules that are there; *ret_after is the next one's place, or NULL at the end. */
static int add_page(fastworker_client *c, struct json_object *schedules, const char *after,
                    char **ret_after) {
        _cleanup_json_ struct json_object *question = json_object_new_object(), *answer = NULL;
        _cleanup_free_ char *text = NULL;
        struct json_object *array = NULL;
        const char *next = NULL;
        int r;

        *ret_after = NULL;
        if (!question || json_add_uint(question, "times", 1) < 0 ||
            (after && json_add_string(question, "after", after) < 0))
                return complain_oom();
        r = fastworker_schedule_list(c, json_object_to_json_string_ext(question, JSON_COMPACT),
                                     &text);
        if (r < 0)
                return session_failed(c, r);
        if (json_parse_object(text, strlen(text), &answer, NULL) < 0 ||
            json_get_array(answer, "schedules", &array) <= 0 ||
            json_get_string(answer, "next", &next) < 0)
                return complain(CLI_TROUBLE, "the coordinator's answer has no \"schedules\"");
        for (size_t i = 0; i < json_object_array_length(array); i++)
                if (json_object_array_add(schedules,
                                          json_object_get(json_object_array_get_idx(array, i))) < 0)
                        return complain_oom();
        if (!next)
                return 0;
        *ret_after = strdup(next);
        return *ret_after ? 0 : complain_oom();
}

static int list(fastworker_client *c) {
        _cleanup_json_ struct json_object *answer = json_object_new_object();
        struct json_object *schedules = json_object_new_array();
        _cleanup_free_ char *after = NULL;
        int r;

        if (json_add(answer, "schedules", schedules) < 0)
                return complain_oom();
        do {
                char *next;

                r = add_page(c, schedules, after, &next);
                free(after);
                after = next;
        } while (r == 0 && after);
        if (r != 0)
                return r;
        return arg_json == JSON_OFF ? show_table(schedules) : print_json(answer);
}

/* --- one schedule ----------------------------------------------------------------------------- */

static int next(fastworker_client *c, const char *name) {
        _cleanup_json_ struct json_object *answer = NULL;
        _cleanup_free_ char *text = NULL;
        struct json_object *times;
        int r, status;

        r = fastworker_schedule_next(c, name, arg_limit > 0 ? (unsigned) arg_limit : 10, &text);
        if (r < 0)
                return session_failed(c, r);
        if (print_or_parse(text, &answer, &status) == 0)
                return status;
        if (json_get_array(answer, "next", &times) <= 0)
                return complain(CLI_TROUBLE, "the coordinator's answer has no \"next\"");
        for (size_t i = 0; i < json_object_array_length(times); i++)
                puts(json_object_get_string(json_object_array_get_idx(times, i)));
        return CLI_SUCCESS;
}

static int tell(const char *title, const char *key, const char *value) {
        _cleanup_json_ struct json_object *o = NULL;

        if (arg_json == JSON_OFF) {
                if (title)
                        printf("%s %s.\n", title, value);
                else
                        puts(value);
                return CLI_SUCCESS;
        }
        o = json_object_new_object();
        if (!o || add_text(o, key, value) < 0)
                return complain_oom();
        return print_json(o);
}

static int pause_one(fastworker_client *c, const char *name) {
        int r = fastworker_schedule_pause(c, name);

        return r < 0 ? session_failed(c, r) : tell("Paused", "paused", name);
}

static int resume_one(fastworker_client *c, const char *name) {
        int r = fastworker_schedule_resume(c, name);

        return r < 0 ? session_failed(c, r) : tell("Resumed", "resumed", name);
}

static int remove_one(fastworker_client *c, const char *name) {
        int r = fastworker_schedule_remove(c, name);

        return r < 0 ? session_failed(c, r) : tell("Removed", "removed", name);
}

static int run_now(fastworker_client *c, const char *name) {
        char id[FASTWORKER_TASK_ID_SIZE];
        int r = fastworker_schedule_run(c, name, id);

        return r < 0 ? session_failed(c, r) : tell(NULL, "task_id", id);
}

/* --- which of them ---------------------------------------------------------------------------- */

static const struct {
        const char *name;
        int (*run)(fastworker_client *c, const char *name);
} commands[] = {
        { "add", add },           { "next", next },   { "pause", pause_one },
        { "resume", resume_one }, { "run", run_now }, { "rm", remove_one },
};

static bool is_for_add(void) {
        return arg_task_name || arg_cron || arg_interval || arg_timezone || arg_count > 0 ||
               arg_until || arg_skip || arg_catch_up || arg_args.n > 0 || arg_kwargs ||
               arg_priority || arg_options.expires || arg_options.max_retries != UINT64_MAX ||
               arg_options.retry_delay_usec > 0 || arg_replace || arg_paused;
}

static int check_options(const char *command) {
        if (!streq(command, "add") && is_for_add())
                return complain(CLI_USAGE, "%s takes a name, and none of the options of add",
                                command);
        if (!streq(command, "next") && arg_limit > 0)
                return complain(CLI_USAGE, "--limit goes with next");
        return 0;
}

static int run_command(size_t i, const char *name) {
        _cleanup_client_ fastworker_client *c = NULL;
        _cleanup_json_ struct json_object *unused = NULL;
        int r;

        if (!name)
                return complain(CLI_USAGE,
                                "the name of the schedule is missing: fastworker schedule %s NAME",
                                commands[i].name);
        r = check_options(commands[i].name);
        if (r == 0 && commands[i].run == add) /* before anybody is asked */
                r = make_document(name, &unused);
        if (r == 0)
                /* add may have to wait for those that have just been started and may offer the task */
                r = session_open(
                        commands[i].run == add ? TIMEOUT_RESULT_USEC : TIMEOUT_QUESTION_USEC, &c);
        return r != 0 ? r : commands[i].run(c, name);
}

static int run(void) {
        const char *command = arg_operands.n > 0 ? arg_operands.words[0] : NULL,
                   *name = arg_operands.n > 1 ? arg_operands.words[1] : NULL;
        _cleanup_client_ fastworker_client *c = NULL;
        int r;

        if (!command)
                return complain(
                        CLI_USAGE,
                        "list, add, next, pause, resume, run or rm is missing: fastworker schedule list");
        for (size_t i = 0; i < ELEMENTSOF(commands); i++)
                if (streq(command, commands[i].name))
                        return run_command(i, name);
        if (!streq(command, "list"))
                return complain(CLI_USAGE,
                                "\"%s\" is not one of list, add, next, pause, resume, run and rm",
                                command);
        if (name)
                return complain(CLI_USAGE, "list takes no name, and lists all");
        r = check_options(command);
        if (r == 0)
                r = session_open(TIMEOUT_QUESTION_USEC, &c);
        return r != 0 ? r : list(c);
}

int verb_schedule(int argc, char *argv[]) {
        int r = run_with_options(&usage, argc, argv, run);

        words_done(&arg_operands);
        words_done(&arg_args);
        return r;
}
