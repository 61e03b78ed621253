/* SPDX-License-Identifier: MIT */

/* fastworker export: tasks with all that belongs to them, one a line. */

#include "cli.h"
#include "json-util.h"
#include "pages.h"
#include "task-line.h"

/* Asked for at once. Few, as each may bring arguments and a result of many megabytes. */
#define TASKS_AT_ONCE 100U

static uint64_t arg_limit;

static const Option options[] = {
        FILTER_OPTIONS,
        { "limit", OPTION_NUMBER, &arg_limit, "N", "At most so many, the newest (default 0: all)",
          0, LIMIT_MAX },
};

static const Usage usage = {
        .verb = "export",
        .synopsis = "[OPTION...] >TASKS",
        .text = "Prints tasks to stdout, the oldest first, one JSON object a line: what `status` knows of them with\n"
                "arguments, result and error. A payload that is not JSON is a string, and \"arguments_encoding\" or\n"
                "\"result_encoding\" says whether it is that \"text\" or \"base64\". `fastworker import` reads this.",
        .options = options,
        .n_options = ELEMENTSOF(options),
};

static void print_task(fastworker_client *c, const fastworker_task_view *task, void *userdata) {
        _cleanup_json_ struct json_object *o = NULL;
        const char *why;
        int *status = userdata;

        if (*status != CLI_SUCCESS)
                return;
        o = task_line_new(task, &why);
        if (o)
                *status = print_json(o);
        else if (why)
                *status = complain(CLI_TROUBLE, "the coordinator's words about task %s: %s",
                                   task->task_id, why);
        else
                *status = complain_oom();
        if (ferror(stdout))
                *status = CLI_TROUBLE; /* main() says so */
}

typedef struct Ids {
        char (*ids)[FASTWORKER_TASK_ID_SIZE];
        size_t n, allocated;
} Ids;

static void ids_done(Ids *l) {
        free(l->ids);
}

static int add_ids(Ids *l, struct json_object *tasks) {
        _cleanup_free_ const char **ids = NULL;
        size_t n;
        int r;

        r = task_ids_of(tasks, &ids, &n);
        if (r != 0)
                return r;
        if (l->n + n > l->allocated) {
                size_t allocated = MAX(2 * l->allocated, l->n + n);
                void *p = reallocarray(l->ids, allocated, sizeof(*l->ids));

                if (!p)
                        return complain_oom();
                l->ids = p;
                l->allocated = allocated;
        }
        for (size_t i = 0; i < n; i++)
                (void) snprintf(l->ids[l->n++], sizeof(*l->ids), "%s", ids[i]);
        return 0;
}

/* The coordinator lists the newest first; a queue that is imported is to begin with the oldest. So the ids, and
 * only these, are kept until all are known. */
static int list_ids(fastworker_client *c, Ids *l) {
        _cleanup_pages_ Pages pages = { .filter = arg_filter };

        while (arg_limit == 0 || l->n < arg_limit) {
                _cleanup_json_ struct json_object *tasks = NULL;
                int r;

                r = pages_next(&pages, c, arg_limit > 0 ? arg_limit - l->n : 0, &tasks);
                if (r == 0 && tasks)
                        r = add_ids(l, tasks);
                if (r != 0 || !tasks)
                        return r;
        }
        return 0;
}

/* A task that has gone since it was listed is not there. */
static int print_tasks(fastworker_client *c, const Ids *l) {
        int r, status = CLI_SUCCESS;

        for (size_t left = l->n; left > 0 && status == CLI_SUCCESS;) {
                const char *ids[TASKS_AT_ONCE];
                size_t n = 0;

                while (n < TASKS_AT_ONCE && left > 0)
                        ids[n++] = l->ids[--left];
                r = fastworker_get_tasks(c, ids, n, print_task, &status);
                if (r < 0)
                        return session_failed(c, r);
        }
        return status;
}

static int export(fastworker_client *c) {
        _cleanup_(ids_done) Ids ids = {};
        int r;

        r = list_ids(c, &ids);
        return r != 0 ? r : print_tasks(c, &ids);
}

int verb_export(int argc, char *argv[]) {
        _cleanup_client_ fastworker_client *c = NULL;
        int r;

        r = parse_options(&usage, argc, argv);
        if (r <= 0)
                return r < 0 ? CLI_USAGE : CLI_SUCCESS;
        arg_json = JSON_SHORT;
        r = session_open(TIMEOUT_RESULT_USEC, &c);
        return r != 0 ? r : export(c);
}
