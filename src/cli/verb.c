/* SPDX-License-Identifier: MIT */

/* The verbs, and which one it is. What happens then is in verb-*.c. */

#include "cli.h"

const Verb verbs[] = {
        { .summary = "Task Verbs" },
        { "submit", verb_submit, "Submit a task and print its result" },
        { "batch", verb_batch, "Submit tasks from stdin, one a line, and print the results" },
        { "wait", verb_wait, "Wait for tasks and print their results" },
        { "status", verb_status, "Show what is known of tasks" },
        { "cancel", verb_cancel, "Cancel tasks" },
        { "list", verb_list, "List tasks, or what can be submitted" },
        { "logs", verb_logs, "Show what tasks have written and logged" },
        { "task", verb_task, "Check and list task files" },
        { .summary = "Coordinator Verbs" },
        { "workers", verb_workers, "List subworkers" },
        { "queues", verb_queues, "Show how many tasks are queued" },
        { "ping", verb_ping, "See whether the coordinator answers" },
        { "discover", verb_discover, "Ask where the coordinator is" },
        { .summary = "Administration Verbs" },
        { "pause", verb_pause, "Begin no more tasks of a type or a priority" },
        { "resume", verb_resume, "Begin tasks of a type or a priority again" },
        { "drain", verb_drain, "Give a subworker no more tasks" },
        { "dead", verb_dead, "List, retry or purge tasks that crashed too often" },
        { "schedule", verb_schedule,
          "List, add, pause, run or remove schedules of periodic tasks" },
        { "backup", verb_backup, "Write a copy of the coordinator's store" },
        { "export", verb_export, "Print tasks with all that belongs to them, one a line" },
        { "import", verb_import, "Submit tasks that export has printed" },
        { .summary = "Daemon Verbs" },
        { "control-plane", verb_control_plane, "Run the coordinator (fastworker-controld)" },
        { "subworker", verb_subworker, "Run a subworker (fastworker-subworkerd)" },
        { .summary = "Other Verbs" },
        { "help", verb_help, "Show help on a verb, or the exit statuses" },
        {},
};

const Verb *find_verb(const char *name) {
        for (const Verb *v = verbs; v->summary; v++)
                if (v->name && streq(v->name, name))
                        return v;
        return NULL;
}

static int unknown_verb(const char *word) {
        const char *names[ELEMENTSOF(verbs)] = {}, *nearest;
        size_t n = 0;

        for (const Verb *v = verbs; v->summary; v++)
                if (v->name)
                        names[n++] = v->name;
        nearest = nearest_word(word, strlen(word), names);
        return complain(CLI_USAGE, "there is no verb \"%s\"%s%s; fastworker help lists them", word,
                        nearest ? ", did you mean " : "", nearest ?: "");
}

int run_verb(int argc, char *argv[]) {
        const Verb *v;

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
        v = find_verb(argv[1]);
        if (!v)
                return unknown_verb(argv[1]);
        arg_verb = v->name;
        return v->run(argc - 1, argv + 1);
}
