/* SPDX-License-Identifier: MIT */
#pragma once

/* What the parts of command.c share; nobody else includes this. */

#include <signal.h>
#include <sys/types.h>

#include "command.h"
#include "parse-util.h"
#include "time-util.h"

#define COMMAND_TAIL_MAX 2048U /* so much of standard error is in the error text of a failure */
/* So much of it is logged for each run; less than subworkerd takes from one runner in a while, so that the message about
 * what was dropped gets through. */
#define COMMAND_LOG_LINES_MAX 900U
#define COMMAND_LOG_BYTES_MAX (256U * 1024U)
#define COMMAND_GRACE_USEC    USEC_PER_SEC /* for children that hold the output open */
#define COMMAND_REPORT_FD     3 /* where it may say how far it is; told in its environment */

/* Formats a fresh string; NULL when out of memory. Returns the error. */
int command_fail(char **ret, int error, const char *format, ...) _printf_(3, 4);

/* --- command-arguments.c --- */

typedef struct CommandSpec {
        char **argv, **environment;
        int input_fd; /* its standard input */
} CommandSpec;

/* Both return 0, or -errno with a line in *ret_error (a fresh string, or NULL when out of memory). */
int command_arguments(const TaskFile *t, const char *arguments, size_t size, CommandSpec *ret,
                      char **ret_error);
int command_environment(const TaskFile *t, const fastworker_call *call,
                        const struct iovec *traceparent, char ***ret, char **ret_error);
void command_spec_done(CommandSpec *s);

/* --- command-child.c --- */

typedef struct CommandProcess {
        pid_t pid; /* and process group */
        int pidfd;
        int output_fd, error_fd, report_fd; /* non-blocking */
} CommandProcess;

#define COMMAND_PROCESS_NONE                                                                  \
        (CommandProcess) {                                                                    \
                .pidfd = -EBADF, .output_fd = -EBADF, .error_fd = -EBADF, .report_fd = -EBADF \
        }

/* Returns when the command is executed, or -errno and a line in *ret_error when that failed. */
int command_start(const TaskFile *t, const CommandSpec *spec, CommandProcess *ret,
                  char **ret_error);

/* --- command-stderr.c --- */

typedef struct CommandStderr CommandStderr;
int command_stderr_new(fastworker_call *call, CommandStderr **ret);
CommandStderr *command_stderr_free(CommandStderr *e);
DEFINE_CLEANUP_FUNC(CommandStderr *, command_stderr_free);
void command_stderr_take(CommandStderr *e, const char *data, size_t size);
/* The last line, and how much was dropped. */
void command_stderr_end(CommandStderr *e);
/* The last lines; a fresh string, empty if there are none. NULL: out of memory. */
char *command_stderr_tail(const CommandStderr *e);

/* --- command-report.c --- */

typedef struct CommandReport CommandReport;
int command_report_new(fastworker_call *call, CommandReport **ret);
CommandReport *command_report_free(CommandReport *p);
DEFINE_CLEANUP_FUNC(CommandReport *, command_report_free);
/* Passes on the newest progress in there. */
void command_report_take(CommandReport *p, const char *data, size_t size);
/* The last line may have no newline. */
void command_report_end(CommandReport *p);
/* Whether it has said what is to become of it after a failure. */
bool command_report_retry(const CommandReport *p, RunnerRetry *ret);

/* --- command-io.c --- */

typedef struct CommandRun {
        CommandProcess process;
        CommandStderr *error;
        CommandReport *report;
        uint64_t soft_usec, hard_usec; /* CLOCK_MONOTONIC; USEC_INFINITY: never */
        size_t output_max;

        char *output;
        size_t output_size, output_allocated;
        bool is_over, is_late, was_told; /* more output than that; Timeout=; SoftTimeout= */
        siginfo_t status;
        RunnerUsage usage;
} CommandRun;

/* Waits for the end of the command and of its output, and ends what is left of its group. */
int command_supervise(CommandRun *c);
/* When all that could write to it are gone: takes what is still in the pipes. */
int command_finish_output(CommandRun *c);
void command_run_done(CommandRun *c);

/* --- command-tree.c --- */

typedef struct ChildList {
        pid_t *pids;
        size_t n, allocated;
} ChildList;

void child_list_done(ChildList *l);
/* All children of this process. */
int child_list_read(ChildList *ret);
/* Kills and reaps all children that were not there before, and theirs that come to us by that. */
void child_list_end_others(const ChildList *before);
