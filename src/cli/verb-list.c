/* SPDX-License-Identifier: MIT */

/* fastworker list: tasks, the types of tasks, or what task modules offer. */

#include "cli.h"
#include "json-util.h"
#include "list-modules.h"
#include "pages.h"

static const char *arg_module_path;
static uint64_t arg_limit = 100;
static bool arg_types;
static Words arg_task_modules;

static const Option options[] = {
        FILTER_OPTIONS,
        { "limit", OPTION_NUMBER, &arg_limit, "N", "At most so many (default 100; 0: all)", 0,
          LIMIT_MAX },
        { "types", OPTION_FLAG, &arg_types, NULL, "List the task names that subworkers offer" },
        { "task-modules", OPTION_WORDS, &arg_task_modules, "MODULE",
          "List the task names in these modules" },
        { "module-path", OPTION_TEXT, &arg_module_path, "DIR[:DIR...]", "Where the modules are" },
};

static const Usage usage = {
        .verb = "list",
        .synopsis = "[OPTION...]",
        .text = "Lists tasks that the coordinator knows, the newest first. A TIME is like \"2026-11-24 12:30\" in local\n"
                "time, 2026-11-24T12:30:01Z, today, or 1h, which is an hour ago. With --types lists the task names that it\n"
                "knows and who offers them; with --task-modules the task names in modules of this machine, without a\n"
                "coordinator.",
        .options = options,
        .n_options = ELEMENTSOF(options),
};

static int show_tasks(struct json_object *answer) {
        static const Column columns[] = {
                { "TASK ID", COLUMN_TEXT },  { "NAME", COLUMN_CUT },   { "STATUS", COLUMN_TEXT },
                { "PRIORITY", COLUMN_TEXT }, { "WORKER", COLUMN_CUT }, { "ATTEMPT", COLUMN_NUMBER },
                { "CREATED", COLUMN_CUT },   { "DUE", COLUMN_CUT },
        };
        static const char *const keys[] = { "task_id", "name",    "status",     "priority",
                                            "worker",  "attempt", "created_at", "due_at" };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));
        struct json_object *tasks;
        size_t n;
        int r;

        if (!t)
                return complain_oom();
        tasks = member(answer, "tasks");
        n = json_object_array_length(tasks);
        for (size_t i = 0; i < n; i++) {
                const char *cells[ELEMENTSOF(keys)];

                for (size_t k = 0; k < ELEMENTSOF(keys); k++)
                        cells[k] = text_of(json_object_array_get_idx(tasks, i), keys[k]);
                if (table_add(t, cells) < 0)
                        return complain_oom();
        }
        r = table_show(TAKE_PTR(t));
        if (r == CLI_SUCCESS && arg_legend)
                printf("\n%zu task%s%s.\n", n, n == 1 ? "" : "s",
                       json_object_get_boolean(member(answer, "truncated"))
                               ? "; there are more, see --limit"
                               : "");
        return r;
}

static int join_names(struct json_object *type, char **ret) {
        struct json_object *workers;
        size_t size;
        FILE *f = open_memstream(ret, &size);

        if (!f)
                return -ENOMEM;
        if (json_get_array(type, "workers", &workers) > 0)
                for (size_t i = 0; i < json_object_array_length(workers); i++)
                        fprintf(f, "%s%s", i > 0 ? " " : "",
                                json_object_get_string(json_object_array_get_idx(workers, i)));
        return fclose(f) == 0 ? 0 : -ENOMEM;
}

static bool is_paused(struct json_object *type) {
        bool paused = false;

        (void) json_get_bool(type, "paused", &paused);
        return paused;
}

static int show_types(struct json_object *answer) {
        static const Column columns[] = {
                { "NAME", COLUMN_TEXT },   { "QUEUED", COLUMN_NUMBER },   { "STATE", COLUMN_TEXT },
                { "WORKERS", COLUMN_CUT }, { "DESCRIPTION", COLUMN_CUT },
        };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));
        struct json_object *types;

        if (!t)
                return complain_oom();
        if (json_get_array(answer, "types", &types) <= 0)
                return complain(CLI_TROUBLE, "the coordinator's answer has no \"types\"");
        for (size_t i = 0; i < json_object_array_length(types); i++) {
                struct json_object *o = json_object_array_get_idx(types, i);
                _cleanup_free_ char *workers = NULL;

                if (join_names(o, &workers) < 0)
                        return complain_oom();
                if (table_add(t, (const char *const[]){ text_of(o, "name"), text_of(o, "queued"),
                                                        is_paused(o) ? "paused" : "-",
                                                        isempty(workers) ? "-" : workers,
                                                        text_of(o, "description") }) < 0)
                        return complain_oom();
        }
        return table_show(TAKE_PTR(t));
}

static int ask_for_types(fastworker_client *c) {
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_free_ char *text = NULL;
        int r, status;

        r = fastworker_get_types(c, &text);
        if (r < 0)
                return session_failed(c, r);
        return print_or_parse(text, &o, &status) == 0 ? status : show_types(o);
}

static int ask_for_tasks(fastworker_client *c) {
        _cleanup_pages_ Pages pages = { .filter = arg_filter };
        _cleanup_json_ struct json_object *o = NULL;
        int r;

        r = pages_collect(&pages, c, arg_limit, &o);
        if (r != 0)
                return r;
        return arg_json == JSON_OFF ? show_tasks(o) : print_json(o);
}

int verb_list(int argc, char *argv[]) {
        _cleanup_client_ fastworker_client *c = NULL;
        int r;

        r = parse_options(&usage, argc, argv);
        if (r <= 0)
                return r < 0 ? CLI_USAGE : CLI_SUCCESS;
        if (arg_task_modules.n > 0) {
                r = list_modules(arg_module_path, &arg_task_modules);
                words_done(&arg_task_modules);
                return r;
        }
        if (arg_module_path)
                return complain(CLI_USAGE, "--module-path goes with --task-modules");
        r = session_open(TIMEOUT_QUESTION_USEC, &c);
        if (r != 0)
                return r;
        return arg_types ? ask_for_types(c) : ask_for_tasks(c);
}
