/* SPDX-License-Identifier: MIT */

/* fastworker dead: tasks that crashed their process too often. */

#include <inttypes.h>

#include "cli.h"
#include "json-util.h"
#include "pages.h"

static Words arg_command, arg_task_id;
static const char *arg_name;
static uint64_t arg_limit = 100;
static bool arg_all;

static const Option options[] = {
        { "task-id", OPTION_WORDS, &arg_task_id, "ID", "Retry or purge these tasks" },
        { "all", OPTION_FLAG, &arg_all, NULL, "Retry or purge all dead tasks" },
        { "name", OPTION_TEXT, &arg_name, "NAME", "Of the dead tasks, only those of this name" },
        { "limit", OPTION_NUMBER, &arg_limit, "N", "List at most so many (default 100; 0: all)", 0,
          LIMIT_MAX },
};

static const Usage usage = {
        .verb = "dead",
        .synopsis = "list|retry|purge [--task-id ID...|--all] [OPTION...]",
        .text = "Tasks that crashed their process too often are dead: they are kept, and not run again by themselves.\n"
                "list shows them, retry queues them again, and purge takes them out of the history. With --task-id,\n"
                "retry takes failed tasks as well and purge any that have ended; either all that are named or, if one\n"
                "does not fit, none. For scripts, both print how many there were with --json.",
        .options = options,
        .n_options = ELEMENTSOF(options),
        .operands = &arg_command,
        .n_operands_max = 1,
};

/* --- list --- */

typedef struct Errors {
        struct json_object *tasks;
        size_t at;
        bool is_out_of_memory;
} Errors;

/* The answers come in the order of the list, with gaps where a task has gone meanwhile. */
static void add_error(fastworker_client *c, const fastworker_task_view *task, void *userdata) {
        Errors *e = userdata;

        for (; e->at < json_object_array_length(e->tasks); e->at++) {
                struct json_object *o = json_object_array_get_idx(e->tasks, e->at);

                if (!streq(text_of(o, "task_id"), task->task_id))
                        continue;
                if (add_text(o, "error", task->error) < 0)
                        e->is_out_of_memory = true;
                e->at++;
                return;
        }
}

static int add_errors(fastworker_client *c, struct json_object *tasks) {
        _cleanup_free_ const char **ids = NULL;
        Errors errors = { .tasks = tasks };
        size_t n, part;
        int r;

        r = task_ids_of(tasks, &ids, &n);
        if (r != 0)
                return r;
        for (size_t i = 0; i < n; i += part) {
                part = MIN(n - i, (size_t) FASTWORKER_BATCH_MAX);
                r = fastworker_get_tasks(c, ids + i, part, add_error, &errors);
                if (r < 0)
                        return session_failed(c, r);
        }
        return errors.is_out_of_memory ? complain_oom() : 0;
}

static int add_row(Table *t, struct json_object *o) {
        const char *error = text_of(o, "error");
        _cleanup_free_ char *line = strndup(error, strcspn(error, "\n"));

        if (!line)
                return -ENOMEM;
        return table_add(t, (const char *const[]){ text_of(o, "task_id"), text_of(o, "name"),
                                                   text_of(o, "attempt"), text_of(o, "crashes"),
                                                   text_of(o, "completed_at"), line });
}

static int show_table(struct json_object *answer) {
        static const Column columns[] = {
                { "TASK ID", COLUMN_TEXT },   { "NAME", COLUMN_CUT },
                { "ATTEMPT", COLUMN_NUMBER }, { "CRASHES", COLUMN_NUMBER },
                { "COMPLETED", COLUMN_TEXT }, { "ERROR", COLUMN_CUT },
        };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));
        struct json_object *tasks = member(answer, "tasks");
        size_t n = json_object_array_length(tasks);
        int r;

        if (!t)
                return complain_oom();
        for (size_t i = 0; i < n; i++)
                if (add_row(t, json_object_array_get_idx(tasks, i)) < 0)
                        return complain_oom();
        r = table_show(TAKE_PTR(t));
        if (r == CLI_SUCCESS && arg_legend)
                printf("\n%zu dead task%s%s.\n", n, n == 1 ? "" : "s",
                       json_object_get_boolean(member(answer, "truncated"))
                               ? "; there are more, see --limit"
                               : "");
        return r;
}

static int list(fastworker_client *c) {
        _cleanup_pages_ Pages pages = { .filter = { .status = "dead", .name = arg_name } };
        _cleanup_json_ struct json_object *answer = NULL;
        int r;

        r = pages_collect(&pages, c, arg_limit, &answer);
        if (r == 0)
                r = add_errors(c, member(answer, "tasks"));
        if (r != 0)
                return r;
        return arg_json == JSON_OFF ? show_table(answer) : print_json(answer);
}

/* --- retry and purge --- */

typedef struct Order {
        const char *did, *title;
        int (*give)(fastworker_client *c, const char *const *task_ids, size_t n);
        uint64_t n_done, n_skipped;
} Order;

/* What `--all` has listed may have changed since: by halves, those that are not dead any more are found and left
 * out. */
static int give_where_it_fits(fastworker_client *c, Order *o, const char *const *ids, size_t n) {
        int r = o->give(c, ids, n);

        if (r >= 0) {
                o->n_done += n;
                return 0;
        }
        if ((r != -ENOENT && r != -EINVAL) || isempty(fastworker_client_get_error_code(c)))
                return session_failed(c, r);
        if (n == 1) {
                o->n_skipped++;
                return 0;
        }
        r = give_where_it_fits(c, o, ids, n / 2);
        return r != 0 ? r : give_where_it_fits(c, o, ids + n / 2, n - n / 2);
}

/* The place of the next page is that of the last task of this one. So the next page is read before this one is
 * purged. */
static int order_all(fastworker_client *c, Order *o) {
        _cleanup_pages_ Pages pages = { .filter = { .status = "dead", .name = arg_name } };
        _cleanup_json_ struct json_object *page = NULL;
        int r;

        r = pages_next(&pages, c, 0, &page);
        while (r == 0 && page) {
                _cleanup_free_ const char **ids = NULL;
                struct json_object *next = NULL;
                size_t n;

                r = pages_next(&pages, c, 0, &next);
                if (r == 0)
                        r = task_ids_of(page, &ids, &n);
                if (r == 0)
                        r = give_where_it_fits(c, o, ids, n);
                json_object_put(page);
                page = next;
        }
        return r;
}

static int compare_ids(const void *a, const void *b) {
        return strcasecmp(*(const char *const *) a, *(const char *const *) b);
}

/* An id that was named twice counts once. */
static int order_named(fastworker_client *c, Order *o, Words *ids) {
        size_t n = 0;

        qsort(ids->words, ids->n, sizeof(*ids->words), compare_ids);
        for (size_t i = 0; i < ids->n; i++)
                if (n == 0 || compare_ids(&ids->words[n - 1], &ids->words[i]) != 0)
                        ids->words[n++] = ids->words[i];
        for (size_t i = 0, part; i < n; i += part) {
                int r;

                part = MIN(n - i, (size_t) FASTWORKER_BATCH_MAX);
                r = o->give(c, ids->words + i, part);
                if (r < 0)
                        return session_failed(c, r);
                o->n_done += part;
        }
        return 0;
}

static int tell(const Order *o) {
        _cleanup_json_ struct json_object *answer = NULL;

        if (arg_json == JSON_OFF) {
                printf("%s %" PRIu64 " task%s", o->title, o->n_done, o->n_done == 1 ? "" : "s");
                if (o->n_skipped > 0)
                        printf("; %" PRIu64 " %s not dead any more", o->n_skipped,
                               o->n_skipped == 1 ? "was" : "were");
                puts(".");
                return CLI_SUCCESS;
        }
        answer = json_object_new_object();
        if (!answer || json_add_uint(answer, o->did, o->n_done) < 0 ||
            json_add_uint(answer, "skipped", o->n_skipped) < 0)
                return complain_oom();
        return print_json(answer);
}

static int give_order(fastworker_client *c, bool is_retry) {
        Order o = { .did = is_retry ? "retried" : "purged",
                    .title = is_retry ? "Retried" : "Purged",
                    .give = is_retry ? fastworker_retry : fastworker_purge };
        int r, status;

        r = arg_all ? order_all(c, &o) : order_named(c, &o, &arg_task_id);
        if (r != 0 && o.n_done == 0)
                return r;
        status = tell(&o); /* what was done before an error is done */
        return r ?: status;
}

static int check_command(const char *command) {
        if (!command)
                return complain(CLI_USAGE, "list, retry or purge is missing: fastworker dead %s",
                                usage.synopsis);
        if (streq(command, "list"))
                return arg_all || arg_task_id.n > 0
                               ? complain(CLI_USAGE, "--task-id and --all go with retry and purge")
                               : 0;
        if (!streq(command, "retry") && !streq(command, "purge"))
                return complain(CLI_USAGE, "\"%s\" is not one of list, retry and purge", command);
        if (arg_all == (arg_task_id.n > 0))
                return complain(CLI_USAGE, "either --task-id or --all must be given to %s",
                                command);
        if (arg_name && !arg_all)
                return complain(CLI_USAGE, "--name goes with list and --all");
        return arg_all ? 0 : check_task_ids(&arg_task_id, &usage);
}

static int run(void) {
        const char *command = arg_command.n > 0 ? arg_command.words[0] : NULL;
        _cleanup_client_ fastworker_client *c = NULL;
        int r;

        r = check_command(command);
        if (r == 0)
                r = session_open(TIMEOUT_RESULT_USEC, &c);
        if (r != 0)
                return r;
        return streq(command, "list") ? list(c) : give_order(c, streq(command, "retry"));
}

int verb_dead(int argc, char *argv[]) {
        int r = run_with_options(&usage, argc, argv, run);

        words_done(&arg_command);
        words_done(&arg_task_id);
        return r;
}
