/* SPDX-License-Identifier: MIT */

/* fastworker workers */

#include "cli.h"
#include "json-util.h"

static const Usage usage = {
        .verb = "workers",
        .synopsis = "[OPTION...]",
        .text = "Lists the subworkers: state, tasks in hand (LOAD), slots, and when they were last heard of.",
};

static int show(struct json_object *answer) {
        static const Column columns[] = {
                { "WORKER", COLUMN_TEXT },   { "STATUS", COLUMN_TEXT }, { "LOAD", COLUMN_NUMBER },
                { "SLOTS", COLUMN_NUMBER },  { "DONE", COLUMN_NUMBER }, { "ADDRESS", COLUMN_TEXT },
                { "LAST SEEN", COLUMN_CUT },
        };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));
        struct json_object *workers;
        int r;

        if (!t)
                return complain_oom();
        if (json_get_object(answer, "subworkers", &workers) <= 0)
                return complain(CLI_TROUBLE, "the coordinator's answer has no \"subworkers\"");
        json_object_object_foreach(workers, id, o) {
                if (table_add(t, (const char *const[]){
                                         id, text_of(o, "status"), text_of(o, "load"),
                                         text_of(o, "slots"), text_of(o, "tasks_done"),
                                         text_of(o, "address"), text_of(o, "last_seen") }) < 0)
                        return complain_oom();
        }
        r = table_show(TAKE_PTR(t));
        if (r == CLI_SUCCESS && arg_legend)
                printf("\nSubworkers: %s, active: %s.\n", text_of(answer, "total_subworkers"),
                       text_of(answer, "active_subworkers"));
        return r;
}

static int run(void) {
        return session_show(fastworker_get_subworker_status, show);
}

int verb_workers(int argc, char *argv[]) {
        return run_with_options(&usage, argc, argv, run);
}
