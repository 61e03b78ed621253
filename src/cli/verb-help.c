/* SPDX-License-Identifier: MIT */

/* fastworker help [VERB | exit-status] */

#include "cli.h"

static const struct {
        int status;
        const char *text;
} statuses[] = {
        { CLI_SUCCESS, "success; the task succeeded" },
        { CLI_TASK_FAILED,
          "a task failed, crashed too often, or expired; its error is on stderr; task check: mistakes" },
        { CLI_USAGE, "the command line or a variable of the environment makes no sense" },
        { CLI_TIMEOUT, "not finished within --timeout; the task goes on" },
        { CLI_UNREACHABLE, "no coordinator answers" },
        { CLI_REFUSED,
          "refused: an unknown task id or type, a full queue or store, nothing left to cancel" },
        { CLI_CANCELLED, "the task was cancelled" },
        { CLI_BAD_INPUT, "batch, import: lines of the input could not be submitted" },
        { CLI_TROUBLE, "out of memory, output that cannot be written, and the like" },
        { CLI_SIGNAL + 2, "interrupted (128 plus the number of the signal); tasks go on" },
};

static void print_statuses(void) {
        for (size_t i = 0; i < ELEMENTSOF(statuses); i++)
                printf("%5d  %s\n", statuses[i].status, statuses[i].text);
}

void print_verbs(void) {
        printf("fastworker VERB [OPTION...]\n\nSubmit tasks to FastWorker, and see what becomes of them.\n");
        for (const Verb *v = verbs; v->summary; v++)
                if (v->name)
                        printf("  %-14s %s\n", v->name, v->summary);
                else
                        printf("\n%s:\n", v->summary);
        printf("\n"
               "Options:\n"
               "  -h --help      Show this help\n"
               "     --version   Show the version\n"
               "\n"
               "fastworker VERB --help shows the options of a verb, fastworker help exit-status the exit statuses.\n"
               "The coordinator is looked for at --address, else at --discovery-address, else at\n"
               "FASTWORKER_BASE_ADDRESS, else at the unix socket /run/fastworker/control.sock if it is there, else by\n"
               "discovery at FASTWORKER_DISCOVERY_ADDRESS, else at tcp://127.0.0.1:5550.\n"
               "\n"
               "See the fastworker(1) man page for details.\n");
}

int verb_help(int argc, char *argv[]) {
        static char help[] = "--help";
        const Verb *v;

        if (argc < 2 || streq(argv[1], "--help") || streq(argv[1], "-h")) {
                print_verbs();
                return CLI_SUCCESS;
        }
        if (streq(argv[1], "exit-status")) {
                print_statuses();
                return CLI_SUCCESS;
        }
        v = find_verb(argv[1]);
        if (!v)
                return complain(CLI_USAGE, "there is no verb \"%s\"; fastworker help lists them",
                                argv[1]);
        arg_verb = v->name;
        return v->run(2, (char *[]){ argv[1], help, NULL });
}
