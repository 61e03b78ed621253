/* SPDX-License-Identifier: MIT */

/* fastworker status: what is known of one task. */

#include "cli.h"
#include "json-util.h"

static Words arg_task_id;

static const Option options[] = {
        { "task-id", OPTION_WORDS, &arg_task_id, "ID", "The task (required)" },
};

static const Usage usage = {
        .verb = "status",
        .synopsis = "--task-id ID... [OPTION...]",
        .text = "Shows what the coordinator knows of tasks: state, result, who ran it and when. An id that has expired\n"
                "or never existed is an error (exit status 5).",
        .options = options,
        .n_options = ELEMENTSOF(options),
};

static void show_member(struct json_object *o, const char *key, const char *label) {
        struct json_object *v = member(o, key);
        const char *text;

        if (!v)
                return;
        text = json_object_is_type(v, json_type_string)
                       ? json_object_get_string(v)
                       : json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN |
                                                                   JSON_C_TO_STRING_NOSLASHESCAPE);
        printf("%12s: ", label);
        print_text(stdout, text, strlen(text));
        putchar('\n');
}

/* A result that is a string keeps its quotes: it is shown as the task gave it. */
static void show_payload(struct json_object *o, const char *key, const char *label) {
        struct json_object *v;
        const char *text;

        if (!json_object_object_get_ex(o, key, &v))
                return;
        text = v ? json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN |
                                                             JSON_C_TO_STRING_NOSLASHESCAPE)
                 : "null";
        printf("%12s: ", label);
        print_text(stdout, text, strlen(text));
        putchar('\n');
}

static void show_progress(struct json_object *o) {
        struct json_object *progress = NULL;
        const char *text = "";

        if (json_get_object(o, "progress", &progress) <= 0)
                return;
        (void) json_get_string(progress, "text", &text);
        printf("%12s: %s %%%s", "Progress", text_of(progress, "percent"),
               isempty(text) ? "" : ", ");
        print_text(stdout, text, strlen(text));
        putchar('\n');
}

static void show_options(struct json_object *o) {
        struct json_object *given = NULL;

        if (json_get_object(o, "options", &given) > 0 && json_object_object_length(given) > 0)
                show_member(o, "options", "Options");
}

/* "CPU 0.25 s, peak memory 4096 bytes, wall time 1.5 s", as far as it is known. */
static void show_usage(struct json_object *o) {
        static const struct {
                const char *key, *label, *unit;
        } parts[] = {
                { "cpu_sec", "CPU", "s" },
                { "memory_peak", "peak memory", "bytes" },
                { "wall_sec", "wall time", "s" },
        };
        struct json_object *used = NULL;
        bool is_first = true;

        if (json_get_object(o, "usage", &used) <= 0 || json_object_object_length(used) == 0)
                return;
        printf("%12s: ", "Usage");
        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                const char *text = text_of(used, parts[i].key);

                if (!member(used, parts[i].key))
                        continue;
                printf("%s%s ", is_first ? "" : ", ", parts[i].label);
                print_text(stdout, text, strlen(text));
                printf(" %s", parts[i].unit);
                is_first = false;
        }
        putchar('\n');
}

/* A line for each attempt: the first line of its error says enough here. */
static void show_history(struct json_object *o) {
        struct json_object *history = NULL;

        if (json_get_array(o, "history", &history) <= 0)
                return;
        for (size_t i = 0; i < json_object_array_length(history); i++) {
                struct json_object *a = json_object_array_get_idx(history, i);
                const char *error = text_of(a, "error");

                printf("%12s: %s, %s, %s%s", i == 0 ? "Attempts" : "", text_of(a, "attempt"),
                       text_of(a, "completed_at"), text_of(a, "outcome"),
                       isempty(error) ? "" : ": ");
                print_text(stdout, error, strcspn(error, "\n"));
                putchar('\n');
        }
}

static void show_task(struct json_object *o) {
        show_member(o, "task_id", "Task");
        show_member(o, "name", "Name");
        show_payload(o, "arguments", "Arguments");
        show_member(o, "status", "Status");
        show_progress(o);
        show_member(o, "waits_for", "Waits for");
        show_member(o, "due_at", "Due");
        show_member(o, "expires_at", "Expires");
        show_member(o, "priority", "Priority");
        show_options(o);
        show_member(o, "worker", "Worker");
        show_member(o, "attempt", "Attempt");
        show_member(o, "retries", "Retries");
        if (streq(text_of(o, "status"), "success"))
                show_payload(o, "result", "Result");
        show_member(o, "error", "Error");
        show_member(o, "reason", "Reason");
        show_member(o, "output_tail", "Last output");
        show_usage(o);
        show_member(o, "created_at", "Created");
        show_member(o, "started_at", "Started");
        show_member(o, "completed_at", "Completed");
        show_history(o);
}

static int show_status(fastworker_client *c, const char *id) {
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_free_ char *text = NULL;
        static unsigned n_shown = 0;
        int r, status;

        r = fastworker_get_task_status(c, id, &text);
        if (r < 0)
                return session_failed(c, r);
        if (print_or_parse(text, &o, &status) == 0)
                return status;
        if (n_shown++ > 0)
                putchar('\n');
        show_task(o);
        return CLI_SUCCESS;
}

static int run(void) {
        return for_each_task_id(&arg_task_id, &usage, show_status);
}

int verb_status(int argc, char *argv[]) {
        int r = run_with_options(&usage, argc, argv, run);

        words_done(&arg_task_id);
        return r;
}
