/* SPDX-License-Identifier: MIT */

/* fastworker cancel */

#include "cli.h"
#include "json-util.h"

static Words arg_task_id;

static const Option options[] = {
        { "task-id", OPTION_WORDS, &arg_task_id, "ID", "The task (required)" },
};

static const Usage usage = {
        .verb = "cancel",
        .synopsis = "--task-id ID... [OPTION...]",
        .text = "Cancels tasks. One that waits is cancelled at once. One that runs is stopped by its subworker: whether\n"
                "it ended as cancelled or was faster, `fastworker wait` tells. For one that had ended before, nothing\n"
                "changes and the exit status is 5.",
        .options = options,
        .n_options = ELEMENTSOF(options),
};

/* How it had ended, if that is still known. */
static int final_status(fastworker_client *c, const char *id, char **ret) {
        fastworker_result *result = NULL;

        if (fastworker_get_task_result(c, id, &result) <= 0)
                return 0;
        *ret = strdup(fastworker_result_status(result));
        fastworker_result_free(result);
        return *ret ? 0 : -ENOMEM;
}

static int show_outcome(const char *id, int outcome, const char *status) {
        static const char *const names[] = { "cancelled", "stopping", "finished" };
        _cleanup_json_ struct json_object *o = NULL;

        if (arg_json != JSON_OFF) {
                o = json_object_new_object();
                if (!o || json_add_string(o, "task_id", id) < 0 ||
                    json_add_string(o, "outcome", names[outcome]) < 0 ||
                    json_add_string(o, "status", status) < 0)
                        return complain_oom();
                return print_json(o) ?: outcome == 2 ? CLI_REFUSED : CLI_SUCCESS;
        }
        switch (outcome) {
        case 0:
                printf("Task %s is cancelled.\n", id);
                return CLI_SUCCESS;
        case 1:
                printf("Task %s runs and is being stopped.\n", id);
                return CLI_SUCCESS;
        default:
                return complain(CLI_REFUSED, "task %s had ended before%s%s", id, status ? ": " : "",
                                status ?: "");
        }
}

static int cancel_one(fastworker_client *c, const char *id) {
        _cleanup_free_ char *status = NULL;
        int outcome;

        outcome = fastworker_cancel(c, id);
        if (outcome < 0)
                return session_failed(c, outcome);
        if (outcome == 2 && final_status(c, id, &status) < 0)
                return complain_oom();
        return show_outcome(id, outcome,
                            status
                                    ?: outcome == 0 ? "cancelled"
                               : outcome == 1       ? "running"
                                                    : NULL);
}

static int run(void) {
        return for_each_task_id(&arg_task_id, &usage, cancel_one);
}

int verb_cancel(int argc, char *argv[]) {
        int r = run_with_options(&usage, argc, argv, run);

        words_done(&arg_task_id);
        return r;
}
