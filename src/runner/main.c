/* SPDX-License-Identifier: MIT */

/* fastworker-runner: the process in which task functions run. Started by fastworker-subworkerd with a socket
 * as descriptor 3; the files on the command line are the modules to load. Whatever a task does to this
 * process, the worst is that it ends. */

#include "config.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "list.h"
#include "module-path.h"
#include "module.h"
#include "parse-util.h"
#include "runner-wire.h"
#include "serve.h"
#include "wire.h"

static uint64_t arg_max_result_bytes = WIRE_PAYLOAD_MAX;
static bool arg_list;
static char **arg_task_modules, **arg_module_path, **arg_optional;

static void help(void) {
        printf("fastworker-runner [--max-result-bytes=N] [--module-path=DIRECTORY:...] [--optional=FILE.task...]\n"
               "    FILE.so|FILE.task...\n"
               "fastworker-runner --list [--task-modules=NAME,...] [--module-path=DIRECTORY:...] [FILE...]\n\n"
               "Runs tasks for fastworker-subworkerd, which starts it with a socket as descriptor %d; or lists\n"
               "the tasks of modules, looked up by name along the path (default: FASTWORKER_MODULE_PATH). Task files\n"
               "have their drop-ins along the path as well; one that is optional is left out if it has a mistake.\n",
               RUNNER_FD);
}

static int add_words(char ***words, const char *text, const char *separators) {
        int r = strv_split_extend(words, text, separators);

        if (r < 0)
                fprintf(stderr, "fastworker-runner: out of memory\n");
        return r;
}

/* Returns 1 to go on, 0 when done, or -errno. */
static int parse_argv(int argc, char *argv[]) {
        enum {
                OPTION_MAX_RESULT = 256,
                OPTION_LIST,
                OPTION_TASK_MODULES,
                OPTION_MODULE_PATH,
                OPTION_OPTIONAL,
                OPTION_HELP,
                OPTION_VERSION,
        };
        static const struct option options[] = {
                { "max-result-bytes", required_argument, NULL, OPTION_MAX_RESULT },
                { "list", no_argument, NULL, OPTION_LIST },
                { "task-modules", required_argument, NULL, OPTION_TASK_MODULES },
                { "module-path", required_argument, NULL, OPTION_MODULE_PATH },
                { "optional", required_argument, NULL, OPTION_OPTIONAL },
                { "help", no_argument, NULL, OPTION_HELP },
                { "version", no_argument, NULL, OPTION_VERSION },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case OPTION_MAX_RESULT:
                        if (parse_bytes(optarg, 1, WIRE_PAYLOAD_MAX, &arg_max_result_bytes) < 0) {
                                fprintf(stderr, "--max-result-bytes=%s: not a size from 1 to 64M\n",
                                        optarg);
                                return -EINVAL;
                        }
                        break;
                case OPTION_LIST:
                        arg_list = true;
                        break;
                case OPTION_TASK_MODULES:
                        if (add_words(&arg_task_modules, optarg, ", ") < 0)
                                return -ENOMEM;
                        break;
                case OPTION_MODULE_PATH:
                        if (add_words(&arg_module_path, optarg, ":") < 0)
                                return -ENOMEM;
                        break;
                case OPTION_OPTIONAL:
                        if (strv_extend(&arg_optional, optarg) < 0)
                                return -ENOMEM;
                        break;
                case OPTION_HELP:
                        help();
                        return 0;
                case OPTION_VERSION:
                        printf("fastworker-runner %s\n", PACKAGE_VERSION);
                        return 0;
                default:
                        return -EINVAL;
                }
        return 1;
}

static int check_socket(void) {
        int type;
        socklen_t size = sizeof(type);

        if (getsockopt(RUNNER_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
            type != SOCK_SEQPACKET) {
                fprintf(stderr,
                        "fastworker-runner: descriptor %d is no SOCK_SEQPACKET socket: "
                        "this program is started by fastworker-subworkerd\n",
                        RUNNER_FD);
                return -ENOTSOCK;
        }
        return fcntl(RUNNER_FD, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

/* What runs ends with the daemon that would report it. Between two tasks the end of the socket says the same,
 * and if the daemon has died before this call, the socket has ended already. */
static void follow_parent(void) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void on_signal(int sig) {}

/* A service manager or a terminal may signal the runner along with the daemon. How long a task may still
 * run is the daemon's decision, so the runner stays. A handler, unlike SIG_IGN, is not inherited by
 * programs that a task starts. */
static void survive_signals(void) {
        static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
        struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                (void) sigaction(signals[i], &action, NULL);
}

static int set_directories(Modules *modules) {
        _cleanup_strv_ char **directories = NULL;
        int r;

        r = module_path_task_directories(arg_module_path, &directories);
        return r < 0 ? r : modules_set_directories(modules, directories);
}

static int load(Modules *modules, char **files) {
        int r;

        r = set_directories(modules);
        if (r < 0)
                return r;
        STRV_FOREACH(file, files) {
                _cleanup_free_ char *error = NULL;

                r = modules_load(modules, *file, &error);
                if (r < 0) {
                        (void) serve_refusal(RUNNER_FD, error ? error : strerror(-r));
                        return r;
                }
        }
        STRV_FOREACH(file, arg_optional) {
                _cleanup_free_ char *error = NULL;

                r = modules_load(modules, *file, &error);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        serve_complaint(RUNNER_FD, error);
        }
        return 0;
}

static int list(char **files) {
        const char *path = getenv("FASTWORKER_MODULE_PATH");
        int r = 0;

        if (!arg_module_path && path)
                r = add_words(&arg_module_path, path, ":, ");
        STRV_FOREACH(file, files)
                if (r >= 0)
                        r = strv_extend(&arg_task_modules, *file);
        return r < 0 ? r : list_tasks(arg_task_modules, arg_module_path);
}

static int run(char **files) {
        _cleanup_(modules_freep) Modules *modules = NULL;
        int r;

        if (check_socket() < 0)
                return -ENOTSOCK;
        follow_parent();
        survive_signals();
        (void) setvbuf(stdout, NULL, _IOLBF, 0);

        r = modules_new(&modules);
        if (r >= 0)
                r = load(modules, files);
        return r < 0 ? r : serve(RUNNER_FD, modules, (size_t) arg_max_result_bytes);
}

int main(int argc, char *argv[]) {
        int r;

        r = parse_argv(argc, argv);
        if (r > 0)
                r = arg_list ? list(argv + optind) : run(argv + optind);
        strv_free(arg_task_modules);
        strv_free(arg_module_path);
        strv_free(arg_optional);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
