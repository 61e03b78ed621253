/* SPDX-License-Identifier: MIT */

/* fastworker queues */

#include "cli.h"
#include "json-util.h"

static const Usage usage = {
        .verb = "queues",
        .synopsis = "[OPTION...]",
        .text = "Shows how many tasks are queued in each priority, and the one that is next.",
};

static bool is_paused(struct json_object *o) {
        bool paused = false;

        (void) json_get_bool(o, "paused", &paused);
        return paused;
}

static int show(struct json_object *answer) {
        static const Column columns[] = {
                { "PRIORITY", COLUMN_TEXT }, { "QUEUED", COLUMN_NUMBER }, { "STATE", COLUMN_TEXT },
                { "NEXT", COLUMN_CUT },      { "NEXT ID", COLUMN_TEXT },
        };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));
        struct json_object *queues;
        int r;

        if (!t)
                return complain_oom();
        if (json_get_object(answer, "queues", &queues) <= 0)
                return complain(CLI_TROUBLE, "the coordinator's answer has no \"queues\"");
        json_object_object_foreach(queues, priority, o) {
                struct json_object *tasks, *next = NULL;

                if (json_get_array(o, "tasks", &tasks) > 0 && json_object_array_length(tasks) > 0)
                        next = json_object_array_get_idx(tasks, 0);
                if (table_add(t, (const char *const[]){ priority, text_of(o, "count"),
                                                        is_paused(o) ? "paused" : "-",
                                                        text_of(next, "name"),
                                                        text_of(next, "id") }) < 0)
                        return complain_oom();
        }
        r = table_show(TAKE_PTR(t));
        if (r == CLI_SUCCESS && arg_legend)
                printf("\nQueued: %s.\n", text_of(answer, "total_queued"));
        return r;
}

static int run(void) {
        return session_show(fastworker_get_queues, show);
}

int verb_queues(int argc, char *argv[]) {
        return run_with_options(&usage, argc, argv, run);
}
