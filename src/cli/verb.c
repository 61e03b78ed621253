/* SPDX-License-Identifier: MIT */

/* The verbs, and which one it is. What happens then is in verb-*.c. */

#include "cli.h"

const Verb verbs[] = {
        { "submit", verb_submit, "Submit a task and print its result" },
        { "batch", verb_batch, "Submit tasks from stdin, one a line, and print the results" },
        { "wait", verb_wait, "Wait for tasks and print their results" },
        { "status", verb_status, "Show what is known of a task" },
        { "cancel", verb_cancel, "Cancel a task" },
        { "list", verb_list, "List tasks, or what can be submitted" },
        { "workers", verb_workers, "List subworkers" },
        { "queues", verb_queues, "Show how many tasks are queued" },
        { "ping", verb_ping, "See whether the coordinator answers" },
        { "discover", verb_discover, "Ask where the coordinator is" },
        { "control-plane", verb_control_plane, "Run the coordinator (fastworker-controld)" },
        { "subworker", verb_subworker, "Run a subworker (fastworker-subworkerd)" },
        { "help", verb_help, "Show help" },
        {},
};

static int unknown_verb(const char *word) {
        const char *names[ELEMENTSOF(verbs)] = {}, *nearest;

        for (size_t i = 0; verbs[i].name; i++)
                names[i] = verbs[i].name;
        nearest = nearest_word(word, strlen(word), names);
        return complain(CLI_USAGE, "there is no verb \"%s\"%s%s; fastworker help lists them", word,
                        nearest ? ", did you mean " : "", nearest ?: "");
}

int run_verb(int argc, char *argv[]) {
        if (argc < 2) {
                complain(CLI_USAGE,
                         "a verb is missing, such as submit or status; fastworker help lists them");
                return CLI_USAGE;
        }
        if (streq(argv[1], "--help") || streq(argv[1], "-h")) {
                print_verbs();
                return CLI_SUCCESS;
        }
        if (streq(argv[1], "--version")) {
                printf("fastworker %s\n", PACKAGE_VERSION);
                return CLI_SUCCESS;
        }
        for (const Verb *v = verbs; v->name; v++)
                if (streq(v->name, argv[1])) {
                        arg_verb = v->name;
                        return v->run(argc - 1, argv + 1);
                }
        return unknown_verb(argv[1]);
}
