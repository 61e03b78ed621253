/* SPDX-License-Identifier: MIT */

/* fastworker task: checks and lists task files, without a coordinator. */

#include <dirent.h>
#include <stdarg.h>

#include "cli.h"
#include "json-util.h"
#include "module-path.h"
#include "parse-util.h"
#include "task-file.h"

#define SUFFIX ".task"

static Words arg_words;
static const char *arg_module_path;

static const Option options[] = {
        { "module-path", OPTION_TEXT, &arg_module_path, "DIR[:DIR...]",
          "Further directories of task files (default: FASTWORKER_MODULE_PATH)" },
};

static const Usage usage = {
        .verb = "task",
        .synopsis = "check FILE|NAME... | list",
        .text = "check reads task files with their drop-ins and names every mistake with its line; the exit status is 0 if\n"
                "there is none, else 1. A NAME has neither a slash nor .task, and is looked up as a worker does. list shows the task files of this machine: in /etc/fastworker/tasks.d, then\n"
                "/usr/lib/fastworker/tasks.d, then along the module path, the first of a name being the one that counts.\n"
                "Neither asks a coordinator.",
        .options = options,
        .n_options = ELEMENTSOF(options),
        .operands = &arg_words,
        .n_operands_max = SIZE_MAX,
        .is_local = true,
};

/* Directories of task files, most important first. */
static int find_directories(char ***ret) {
        _cleanup_strv_ char **path = NULL;
        const char *text = arg_module_path ?: getenv("FASTWORKER_MODULE_PATH");
        int r = 0;

        if (text)
                r = strv_split_extend(&path, text, ":, ");
        return r < 0 ? r : module_path_task_directories(path, ret);
}

/* --- check --- */

static int add_problem(char ***problems, const char *format, ...) _printf_(2, 3);

static int add_problem(char ***problems, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return strv_extend(problems, text);
}

/* What a worker would find out when it runs the task. */
static int check_command(const TaskFile *t, char ***problems) {
        if (access(t->exec[0], X_OK) >= 0)
                return 0;
        return add_problem(problems, "%s: cannot execute %s (Exec=): %s", t->exec_place, t->exec[0],
                           strerror(errno));
}

/* A word that is no file's name is that of a task. */
static bool is_name(const char *word) {
        return !strchr(word, '/') && module_kind(word) != MODULE_COMMAND;
}

static int explain_missing(const char *word, char ***problems) {
        if (is_name(word))
                return add_problem(problems, "%s: there is no such task file, or it is masked",
                                   word);
        return add_problem(problems, "%s: %s", word,
                           access(word, F_OK) < 0
                                   ? strerror(errno)
                                   : "is empty or a link to /dev/null, which masks the task");
}

/* Appends what is wrong with the file. */
static int check_file(const char *file, char *const *directories, char ***problems) {
        _cleanup_(task_file_freep) TaskFile *t = NULL;
        int r;

        r = is_name(file) ? task_file_load(file, directories, &t, problems)
                          : task_file_load_path(file, directories, &t, problems);
        if (r == -EINVAL)
                return 0;
        if (r == -ENOENT)
                return explain_missing(file, problems);
        return r < 0 ? r : check_command(t, problems);
}

static int add_to_answer(struct json_object *files, const char *file, char **problems) {
        struct json_object *o = json_object_new_object(), *list = json_object_new_array();

        if (!o || json_object_array_add(files, o) < 0) {
                json_object_put(o);
                json_object_put(list);
                return -ENOMEM;
        }
        if (json_add(o, "problems", list) < 0 || add_text(o, "path", file) < 0)
                return -ENOMEM;
        STRV_FOREACH(problem, problems) {
                struct json_object *text = json_object_new_string(*problem);

                if (!text || json_object_array_add(list, text) < 0) {
                        json_object_put(text);
                        return -ENOMEM;
                }
        }
        return 0;
}

static int check(char *const *directories) {
        _cleanup_json_ struct json_object *answer = json_object_new_object();
        struct json_object *files = json_object_new_array();
        int r = answer ? json_add(answer, "files", files) : -ENOMEM;
        bool is_good = true;

        for (size_t i = 1; r >= 0 && i < arg_words.n; i++) {
                _cleanup_strv_ char **problems = NULL;

                r = check_file(arg_words.words[i], directories, &problems);
                is_good &= !problems;
                if (r >= 0 && arg_json != JSON_OFF)
                        r = add_to_answer(files, arg_words.words[i], problems);
                STRV_FOREACH(problem, problems)
                        if (arg_json == JSON_OFF) {
                                print_text(stdout, *problem, strlen(*problem));
                                putchar('\n');
                        }
        }
        if (r < 0)
                return complain_oom();
        if (arg_json != JSON_OFF && print_json(answer) != CLI_SUCCESS)
                return CLI_TROUBLE;
        if (fflush(stdout) != 0)
                return complain(CLI_TROUBLE, "cannot write: %s", strerror(errno));
        return is_good ? CLI_SUCCESS : CLI_TASK_FAILED;
}

/* --- list --- */

typedef struct List {
        char *const *directories;
        char **seen; /* names */
        Table *table;
        struct json_object *tasks;
} List;

static int is_task_file(const struct dirent *d) {
        size_t n = strlen(d->d_name);

        return d->d_name[0] != '.' && n > strlen(SUFFIX) &&
               streq(d->d_name + n - strlen(SUFFIX), SUFFIX);
}

static int list_file(List *l, const char *directory, const char *file) {
        _cleanup_free_ char *path = NULL, *name = strndup(file, strlen(file) - strlen(SUFFIX));
        _cleanup_(task_file_freep) TaskFile *t = NULL;
        _cleanup_strv_ char **problems = NULL;
        const char *state, *description;
        struct json_object *o;
        int r;

        if (!name || asprintf(&path, "%s/%s", directory, file) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (strv_contains(l->seen, name))
                return 0;
        r = strv_extend(&l->seen, name);
        if (r >= 0)
                r = task_file_load_path(path, l->directories, &t, &problems);
        if (r < 0 && r != -EINVAL && r != -ENOENT)
                return r;
        state = r == -EINVAL ? "bad" : r == -ENOENT ? "masked" : "good";
        description = t && t->description ? t->description : "";
        o = json_object_new_object();
        if (!o || json_object_array_add(l->tasks, o) < 0 || add_text(o, "name", name) < 0 ||
            add_text(o, "path", path) < 0 || add_text(o, "state", state) < 0 ||
            add_text(o, "description", description) < 0)
                return -ENOMEM;
        return table_add(l->table, (const char *const[]){ name, state, path,
                                                          description[0] ? description : "-" });
}

static int list_directory(List *l, const char *directory) {
        struct dirent **entries = NULL;
        int n, r = 0;

        n = scandir(directory, &entries, is_task_file, alphasort);
        if (n < 0 && errno != ENOENT && errno != ENOTDIR) {
                if (errno == ENOMEM)
                        return -ENOMEM;
                complain(CLI_TROUBLE, "cannot read %s: %s", directory, strerror(errno));
        }
        for (int i = 0; i < n; i++) {
                if (r >= 0)
                        r = list_file(l, directory, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        return r;
}

static int list(char *const *directories) {
        static const Column columns[] = { { "NAME", COLUMN_TEXT },
                                          { "STATE", COLUMN_TEXT },
                                          { "FILE", COLUMN_CUT },
                                          { "DESCRIPTION", COLUMN_CUT } };
        _cleanup_(table_freep) Table *table = table_new(columns, ELEMENTSOF(columns));
        _cleanup_json_ struct json_object *answer = json_object_new_object();
        List l = { .directories = directories, .table = table, .tasks = json_object_new_array() };
        int r = table && answer ? json_add(answer, "tasks", l.tasks) : -ENOMEM;

        STRV_FOREACH(directory, (char **) directories)
                if (r >= 0)
                        r = list_directory(&l, *directory);
        strv_free(l.seen);
        if (r < 0)
                return complain_oom();
        return arg_json == JSON_OFF ? table_show(TAKE_PTR(table)) : print_json(answer);
}

static int run(void) {
        const char *command = arg_words.n > 0 ? arg_words.words[0] : "";
        _cleanup_strv_ char **directories = NULL;
        bool is_check = streq(command, "check");

        if (!is_check && !streq(command, "list"))
                return command[0]
                               ? complain(CLI_USAGE, "\"%s\" is not one of check and list", command)
                               : complain(CLI_USAGE, "check or list is missing: fastworker task %s",
                                          usage.synopsis);
        if (is_check && arg_words.n == 1)
                return complain(CLI_USAGE, "the name of a task file is missing");
        if (!is_check && arg_words.n > 1)
                return complain(CLI_USAGE, "list takes no further words: %s", arg_words.words[1]);
        if (find_directories(&directories) < 0)
                return complain_oom();
        return is_check ? check(directories) : list(directories);
}

int verb_task(int argc, char *argv[]) {
        int r;

        r = parse_options(&usage, argc, argv);
        if (r > 0)
                r = run();
        else
                r = r < 0 ? CLI_USAGE : CLI_SUCCESS;
        words_done(&arg_words);
        return r;
}
