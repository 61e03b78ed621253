/* SPDX-License-Identifier: MIT */

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "cli.h"
#include "json-util.h"
#include "list-modules.h"
#include "program.h"

/* fastworker-runner --list [--module-path=DIRS] --task-modules=A,B */
static int make_command(const char *module_path, const Words *modules, char *ret[static 5]) {
        size_t size;
        FILE *f;
        int r;

        r = program_find("fastworker-runner", PRIVATE_LIBEXECDIR, &ret[0]);
        if (r < 0)
                return complain(CLI_TROUBLE, "cannot find fastworker-runner: %s", strerror(-r));
        ret[1] = strdup("--list");
        f = open_memstream(&ret[2], &size);
        if (!ret[1] || !f)
                return complain_oom();
        fputs("--task-modules=", f);
        for (size_t i = 0; i < modules->n; i++)
                fprintf(f, "%s%s", i > 0 ? "," : "", modules->words[i]);
        if (fclose(f) != 0 ||
            (module_path && asprintf(&ret[3], "--module-path=%s", module_path) < 0))
                return complain_oom();
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

static int show_modules(char *const command[]) {
        static const Column columns[] = { { "NAME", COLUMN_TEXT }, { "DESCRIPTION", COLUMN_CUT } };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));
        _cleanup_json_ struct json_object *answer = json_object_new_object();
        struct json_object *types = json_object_new_array();
        FILE *output = NULL;
        pid_t pid = 0;
        int r, status;

        if (!t || !answer || json_add(answer, "types", types) < 0)
                return complain_oom();
        r = spawn_reader(command, &pid, &output);
        if (r < 0)
                return complain(CLI_TROUBLE, "cannot start %s: %s", command[0], strerror(-r));
        r = read_lines(output, t, types);
        fclose(output);
        status = wait_for_runner(pid);
        if (r != 0 || status != CLI_SUCCESS)
                return r != 0 ? r : status;
        return arg_json == JSON_OFF ? table_show(TAKE_PTR(t)) : print_json(answer);
}

int list_modules(const char *module_path, const Words *modules) {
        char *command[5] = {};
        int r;

        r = make_command(module_path, modules, command);
        if (r == 0)
                r = show_modules(command);
        for (size_t i = 0; i < ELEMENTSOF(command); i++)
                free(command[i]);
        return r;
}
