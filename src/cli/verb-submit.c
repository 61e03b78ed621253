/* SPDX-License-Identifier: MIT */

/* fastworker submit: one task, and usually its result. */

#include <signal.h>

#include "cli.h"
#include "json-util.h"
#include "time-util.h"

static const char *arg_task_name, *arg_kwargs, *arg_priority, *arg_key;
static TaskOptions arg_options = { .max_retries = UINT64_MAX };
static Words arg_args;
static bool arg_non_blocking, arg_memory_only, arg_progress;

static const Option options[] = {
        { "task-name", OPTION_TEXT, &arg_task_name, "NAME", "The task's name (required)" },
        { "args", OPTION_WORDS, &arg_args, "ARG",
          "Arguments: JSON where they parse as JSON, else strings" },
        { "kwargs", OPTION_TEXT, &arg_kwargs, "JSON", "Named arguments: a JSON object" },
        { "priority", OPTION_TEXT, &arg_priority, "PRIORITY",
          "critical, high, normal (default) or low" },
        { "key", OPTION_TEXT, &arg_key, "KEY",
          "The same key again gives the same task, not a new one" },
        { "unique", OPTION_TEXT, &arg_options.unique, "KEY",
          "Only if no unfinished task was submitted with this" },
        { "unique-policy", OPTION_TEXT, &arg_options.policy, "POLICY",
          "What if there is one: refuse (default) or return it" },
        { "countdown", OPTION_TIME, &arg_options.countdown_usec, "TIME",
          "Queue it so much later, like 90 or 1h" },
        { "eta", OPTION_TEXT, &arg_options.eta, "TIME",
          "Queue it at that time, like \"2026-11-24 12:30\"" },
        { "expires", OPTION_TEXT, &arg_options.expires, "TIME",
          "Do not begin it after that time, or after so long" },
        { "depends-on", OPTION_TEXT, &arg_options.depends_on, "ID[,ID]",
          "Queue it when these have ended with success" },
        { "group", OPTION_TEXT, &arg_options.group, "NAME", "It is one of this group" },
        { "after-group", OPTION_TEXT, &arg_options.after_group, "NAME",
          "Queue it when all tasks of that group have ended" },
        { "max-retries", OPTION_NUMBER, &arg_options.max_retries, "N",
          "Try it so many times more when it fails", 0, 10000 },
        { "retry-delay", OPTION_TIME, &arg_options.retry_delay_usec, "TIME",
          "Wait so long before the first of them (60 s)" },
        { "retry-backoff", OPTION_TEXT, &arg_options.retry_backoff, "FACTOR",
          "Each wait is so many times the one before (2)" },
        { "retry-backoff-max", OPTION_TIME, &arg_options.retry_backoff_max_usec, "TIME",
          "But none grows beyond that (1 h)" },
        { "retry-jitter", OPTION_TEXT, &arg_options.retry_jitter, "PART",
          "Up to this part of each wait, 0 to 1, is left out by chance" },
        { "task-timeout", OPTION_TIME, &arg_options.timeout_usec, "TIME",
          "Kill it when it has run for so long" },
        { "soft-timeout", OPTION_TIME, &arg_options.soft_timeout_usec, "TIME",
          "Ask it to come to an end when it has run for so long" },
        { "traceparent", OPTION_TEXT, &arg_options.traceparent, "TEXT",
          "The trace context to give it (W3C Trace Context)" },
        { "label", OPTION_WORDS, &arg_options.labels, "LABEL",
          "Only a subworker that has all of these may have it" },
        { "concurrency-key", OPTION_TEXT, &arg_options.concurrency_key, "KEY",
          "Begin it only while few others with this key run" },
        { "concurrency", OPTION_NUMBER, &arg_options.concurrency, "N",
          "And that is: fewer than so many (1)", 1, 1000000 },
        { "memory-only", OPTION_FLAG, &arg_memory_only, NULL,
          "The task may be lost with the coordinator's process" },
        { "progress", OPTION_FLAG, &arg_progress, NULL, "Show on stderr how far it is" },
        { "non-blocking", OPTION_FLAG, &arg_non_blocking, NULL,
          "Print the task's id and do not wait" },
};

static const Usage usage = {
        .verb = "submit",
        .synopsis = "--task-name NAME [--args ARG...] [OPTION...]",
        .text = "Submits a task, waits for it, and prints its result on stdout as the task gave it: JSON, so that a\n"
                "string has its quotes. An error goes to stderr. After --timeout (FASTWORKER_TIMEOUT, else 30 s) the\n"
                "task goes on; `fastworker wait` waits for it again.\n\n"
                "  fastworker submit --task-name add --args 5 3\n"
                "  fastworker submit --task-name greet --kwargs '{\"polite\": true}' --args '\"5\"' -- --odd\n\n"
                "--args takes all words up to the next option. Words that begin with two dashes come after --, which\n"
                "makes all words behind it arguments.",
        .options = options,
        .n_options = ELEMENTSOF(options),
};

typedef struct Progress {
        char task_id[FASTWORKER_TASK_ID_SIZE];
        fastworker_result *result;
} Progress;

static void on_accepted(fastworker_client *c, const char *task_id, void *task_userdata,
                        void *userdata) {
        Progress *p = userdata;

        strcpy(p->task_id, task_id);
}

static void on_result(fastworker_client *c, const fastworker_result *result, void *userdata) {
        Progress *p = userdata;

        (void) fastworker_result_copy(result, &p->result);
}

static int submit_only(fastworker_client *c, const fastworker_submission *s) {
        _cleanup_json_ struct json_object *o = NULL;
        char id[FASTWORKER_TASK_ID_SIZE];
        int r;

        r = fastworker_submit(c, s, id);
        if (r < 0)
                return session_failed(c, r);
        if (arg_json == JSON_OFF) {
                puts(id);
                return CLI_SUCCESS;
        }
        o = json_object_new_object();
        if (!o || json_add_string(o, "task_id", id) < 0)
                return complain_oom();
        return print_json(o);
}

static int say_it_goes_on(const Progress *p, const char *why) {
        if (isempty(p->task_id))
                return complain(
                        CLI_UNREACHABLE,
                        "%s, and no answer yet. The coordinator may have taken the task or not.",
                        why);
        return complain(CLI_TIMEOUT, "%s; task %s goes on: fastworker wait --task-id %s", why,
                        p->task_id, p->task_id);
}

static int turn(fastworker_client *c, Progress *p, uint64_t deadline, int *ret_signal) {
        char *id = p->task_id;
        const Words ids = { .words = (const char **) &id, .n = 1 };

        if (!arg_progress || isempty(id))
                return session_turn(c, -1, deadline, ret_signal);
        return progress_turn(c, &ids, deadline, ret_signal);
}

static int submit_and_wait(fastworker_client *c, const fastworker_submission *s,
                           uint64_t deadline) {
        Progress p = {};
        int r, status, sig = 0;

        (void) fastworker_on_accepted(c, on_accepted, &p);
        (void) fastworker_on_result(c, on_result, &p);
        r = session_hold_signals();
        if (r != 0)
                return r;
        r = fastworker_submit_async(c, s);
        if (r < 0)
                return session_failed(c, r);

        while (!p.result && fastworker_client_get_pending(c) > 0) {
                r = turn(c, &p, deadline, &sig);
                if (p.result || r < 0)
                        progress_end();
                if (p.result)
                        break;
                if (r == -EINTR) {
                        (void) say_it_goes_on(&p, "interrupted");
                        return CLI_SIGNAL + sig;
                }
                if (r == -ETIMEDOUT)
                        return say_it_goes_on(&p, "not finished in time");
                if (r < 0)
                        return session_failed(c, r);
        }
        if (!p.result)
                return complain_oom();
        status = show_result(p.result, s->name);
        fastworker_result_free(p.result);
        return status;
}

static int check_options(char **ret) {
        int r;

        if (arg_options.policy && !arg_options.unique)
                return complain(CLI_USAGE, "--unique-policy goes with --unique");
        if (arg_options.countdown_usec > 0 && arg_options.eta)
                return complain(CLI_USAGE, "--countdown and --eta exclude each other");
        arg_options.durability = arg_memory_only ? "none" : NULL;
        r = make_task_options(&arg_options, ret);
        return r < 0 ? complain_oom() : r;
}

int verb_submit(int argc, char *argv[]) {
        _cleanup_client_ fastworker_client *c = NULL;
        _cleanup_free_ char *arguments = NULL, *task_options = NULL;
        fastworker_submission s;
        uint64_t timeout, deadline;
        int r;

        r = parse_options(&usage, argc, argv);
        if (r <= 0)
                return r < 0 ? CLI_USAGE : CLI_SUCCESS;
        if (!arg_task_name)
                return complain(CLI_USAGE, "--task-name is missing: fastworker submit %s",
                                usage.synopsis);
        r = check_options(&task_options);
        if (r != 0)
                return r;
        r = make_arguments(&arg_args, arg_kwargs, &arguments);
        words_done(&arg_args);
        words_done(&arg_options.labels);
        if (r != 0)
                return r;
        r = session_timeout(TIMEOUT_RESULT_USEC, &timeout);
        if (r != 0)
                return r;

        deadline = session_deadline(timeout);
        r = session_connect(timeout, &c);
        if (r != 0)
                return r;
        s = (fastworker_submission){ .name = arg_task_name,
                                     .arguments = arguments,
                                     .priority = arg_priority,
                                     .key = arg_key,
                                     .options = task_options };
        return arg_non_blocking ? submit_only(c, &s) : submit_and_wait(c, &s, deadline);
}
