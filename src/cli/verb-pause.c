/* SPDX-License-Identifier: MIT */

/* fastworker pause, resume and drain */

#include "cli.h"
#include "json-util.h"

static const char *arg_type, *arg_priority;
static Words arg_worker;
static bool arg_undo, paused;

static const Option select_options[] = {
        { "type", OPTION_TEXT, &arg_type, "NAME", "The task type" },
        { "priority", OPTION_TEXT, &arg_priority, "PRIORITY", "critical, high, normal or low" },
};
static const Option drain_options[] = {
        { "undo", OPTION_FLAG, &arg_undo, NULL, "Give it tasks again" },
};

static const Usage pause_usage = {
        .verb = "pause",
        .synopsis = "--type NAME | --priority PRIORITY [OPTION...]",
        .text = "Begins no more tasks of a type, or of a priority, until `fastworker resume`. They can be submitted and\n"
                "wait; those that run go on. This outlives restarts of the coordinator.",
        .options = select_options,
        .n_options = ELEMENTSOF(select_options),
};

static const Usage resume_usage = {
        .verb = "resume",
        .synopsis = "--type NAME | --priority PRIORITY [OPTION...]",
        .text = "Begins tasks of a type, or of a priority, again after `fastworker pause`.",
        .options = select_options,
        .n_options = ELEMENTSOF(select_options),
};

static const Usage drain_usage = {
        .verb = "drain",
        .synopsis = "WORKER... [OPTION...]",
        .text = "Gives subworkers no more tasks. They finish what they hold and stay registered, shown as draining, also\n"
                "after restarts of their own or the coordinator's, until --undo gives them tasks again.",
        .options = drain_options,
        .n_options = ELEMENTSOF(drain_options),
        .operands = &arg_worker,
        .n_operands_max = 1000,
};

static int show(const char *kind, const char *name) {
        _cleanup_json_ struct json_object *o = NULL;

        if (arg_json != JSON_OFF) {
                o = json_object_new_object();
                if (!o || json_add_string(o, kind, name) < 0 ||
                    json_add_bool(o, "paused", paused) < 0)
                        return complain_oom();
                return print_json(o);
        }
        if (streq(kind, "worker"))
                printf(paused ? "Subworker %s gets no more tasks.\n"
                              : "Subworker %s gets tasks again.\n",
                       name);
        else
                printf("%s %s is %s.\n", streq(kind, "type") ? "Task type" : "Priority", name,
                       paused ? "paused" : "resumed");
        return CLI_SUCCESS;
}

static int ask(fastworker_client *c, const char *kind, const char *name) {
        int r;

        r = fastworker_set_paused(c, kind, name, paused);
        return r < 0 ? session_failed(c, r) : show(kind, name);
}

static int run_select(void) {
        _cleanup_client_ fastworker_client *c = NULL;
        int r;

        if (!arg_type == !arg_priority)
                return complain(CLI_USAGE, "one of --type and --priority is needed");
        r = session_open(TIMEOUT_QUESTION_USEC, &c);
        if (r != 0)
                return r;
        return arg_type ? ask(c, "type", arg_type) : ask(c, "priority", arg_priority);
}

static int run_drain(void) {
        _cleanup_client_ fastworker_client *c = NULL;
        int r;

        paused = !arg_undo;
        if (arg_worker.n == 0)
                return complain(
                        CLI_USAGE,
                        "the name of a subworker is missing; fastworker workers lists them");
        r = session_open(TIMEOUT_QUESTION_USEC, &c);
        for (size_t i = 0; r == 0 && i < arg_worker.n; i++)
                r = ask(c, "worker", arg_worker.words[i]);
        return r;
}

int verb_pause(int argc, char *argv[]) {
        paused = true;
        return run_with_options(&pause_usage, argc, argv, run_select);
}

int verb_resume(int argc, char *argv[]) {
        paused = false;
        return run_with_options(&resume_usage, argc, argv, run_select);
}

int verb_drain(int argc, char *argv[]) {
        int r = run_with_options(&drain_usage, argc, argv, run_drain);

        words_done(&arg_worker);
        return r;
}
