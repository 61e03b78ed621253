/* SPDX-License-Identifier: MIT */

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "cli.h"
#include "json-util.h"
#include "list-modules.h"
#include "module-path.h"
#include "parse-util.h"
#include "program.h"

/* As of Python= of subworkers. */
#define PYTHON_DEFAULT "/usr/bin/python3"

/* A runner told to list what the files for it have:
 * fastworker-runner --list --module-path=... FILE..., or PYTHON fastworker-runner-python --list FILE... */
static int make_command(RunnerKind kind, char *const *files, char *const *path, char ***ret) {
        _cleanup_free_ char *runner = NULL, *directories = NULL, *option = NULL;
        _cleanup_strv_ char **command = NULL;
        int r = 0;

        if (program_find(runner_program(kind), PRIVATE_LIBEXECDIR, &runner) < 0)
                return complain(CLI_TROUBLE, "cannot find %s: %s", runner_program(kind),
                                strerror(errno));
        directories = strv_join(path, ":");
        if (!directories || asprintf(&option, "--module-path=%s", directories) < 0) {
                option = NULL;
                return complain_oom();
        }
        if (kind == RUNNER_PYTHON)
                r = strv_extend(&command, getenv("FASTWORKER_PYTHON") ?: PYTHON_DEFAULT);
        if (r >= 0)
                r = strv_extend(&command, runner);
        if (r >= 0)
                r = strv_extend(&command, "--list");
        if (r >= 0 && kind == RUNNER_NATIVE)
                r = strv_extend(&command, option);
        STRV_FOREACH(file, (char **) files)
                if (module_runner(module_kind(*file)) == kind && r >= 0)
                        r = strv_extend(&command, *file);
        if (r < 0)
                return complain_oom();
        *ret = TAKE_PTR(command);
        return 0;
}

static int spawn_with_stdout(char *const command[], int fd, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        int r;

        r = -posix_spawn_file_actions_init(&actions);
        if (r < 0)
                return r;
        r = -posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
        if (r >= 0)
                r = -posix_spawn(ret, command[0], &actions, NULL, command, environ);
        (void) posix_spawn_file_actions_destroy(&actions);
        return r;
}

static int spawn_reader(char *const command[], pid_t *ret_pid, FILE **ret_output) {
        FILE *output;
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        output = fdopen(fds[0], "re");
        if (!output)
                safe_close(fds[0]);
        r = output ? spawn_with_stdout(command, fds[1], ret_pid) : -ENOMEM;
        safe_close(fds[1]);
        if (r < 0) {
                if (output)
                        fclose(output);
                return r;
        }
        *ret_output = output;
        return 0;
}

static int add_line(Table *t, struct json_object *types, const char *name, const char *description,
                    const char *options) {
        struct json_object *o = json_object_new_object();

        if (!o || json_object_array_add(types, o) < 0 || add_text(o, "name", name) < 0 ||
            add_text(o, "description", description) < 0 ||
            (options && add_payload(o, "options", options, strlen(options)) < 0))
                return -ENOMEM;
        return table_add(t,
                         (const char *const[]){ name, isempty(description) ? "-" : description });
}

static int read_lines(FILE *f, Table *t, struct json_object *types) {
        _cleanup_free_ char *line = NULL;
        size_t allocated = 0;
        ssize_t n;

        while ((n = getline(&line, &allocated, f)) > 0) {
                char *tab, *second = NULL;

                if (line[n - 1] == '\n')
                        line[n - 1] = '\0';
                tab = strchr(line, '\t');
                if (tab) {
                        *tab++ = '\0';
                        second = strchr(tab, '\t');
                }
                if (second)
                        *second++ = '\0';
                if (add_line(t, types, line, tab ?: "", second) < 0)
                        return complain_oom();
        }
        return 0;
}

/* The runner has said on stderr what is wrong. */
static int wait_for_runner(pid_t pid) {
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return complain(CLI_TROUBLE, "lost fastworker-runner: %s", strerror(errno));
        if (WIFSIGNALED(status))
                return complain(CLI_TROUBLE, "loading the modules crashed: %s",
                                strsignal(WTERMSIG(status)));
        return WEXITSTATUS(status) == 0 ? CLI_SUCCESS : CLI_TROUBLE;
}

/* Adds what the files of one kind have. */
static int read_kind(RunnerKind kind, char *const *files, char *const *path, Table *t,
                     struct json_object *types) {
        _cleanup_strv_ char **command = NULL;
        FILE *output = NULL;
        pid_t pid = 0;
        int r, status;

        r = make_command(kind, files, path, &command);
        if (r != 0)
                return r;
        r = spawn_reader(command, &pid, &output);
        if (r < 0)
                return complain(CLI_TROUBLE, "cannot start %s: %s", command[0], strerror(-r));
        r = read_lines(output, t, types);
        fclose(output);
        status = wait_for_runner(pid);
        return r != 0 ? r : status;
}

static int show_modules(char *const *files, char *const *path) {
        static const Column columns[] = { { "NAME", COLUMN_TEXT }, { "DESCRIPTION", COLUMN_CUT } };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));
        _cleanup_json_ struct json_object *answer = json_object_new_object();
        struct json_object *types = json_object_new_array();

        if (!t || !answer || json_add(answer, "types", types) < 0)
                return complain_oom();
        for (RunnerKind kind = 0; kind < _RUNNER_KIND_MAX; kind++) {
                bool any = false;
                int r = 0;

                STRV_FOREACH(file, (char **) files)
                        any = any || module_runner(module_kind(*file)) == kind;
                if (any)
                        r = read_kind(kind, files, path, t, types);
                if (r != 0)
                        return r;
        }
        return arg_json == JSON_OFF ? table_show(TAKE_PTR(t)) : print_json(answer);
}

int list_modules(const char *module_path, const Words *modules) {
        _cleanup_strv_ char **names = NULL, **path = NULL, **files = NULL;
        const char *environment = getenv("FASTWORKER_MODULE_PATH");
        _cleanup_free_ char *error = NULL;
        int r = 0;

        if (module_path)
                r = strv_split_extend(&path, module_path, ":");
        else if (environment)
                r = strv_split_extend(&path, environment, ":, ");
        for (size_t i = 0; i < modules->n && r >= 0; i++)
                r = strv_split_extend(&names, modules->words[i], ", ");
        if (r < 0)
                return complain_oom();
        r = module_path_find(names, path, &files, &error);
        if (r < 0)
                return error ? complain(CLI_TROUBLE, "%s", error) : complain_oom();
        return show_modules(files, path);
}
