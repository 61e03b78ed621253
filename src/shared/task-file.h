/* SPDX-License-Identifier: MIT */
#pragma once

/* Command tasks: what NAME.task files say. A file is an INI file with one section, [Task]; every file that ends in
 * .conf in a directory NAME.task.d beside it or along the path adds to it or overrides it.
 *
 * Precedence is systemd's. The directories come most important first (/etc before /usr/lib): the first NAME.task found
 * is the file. Drop-ins of all directories are sorted by file name; of those with the same name the first directory's
 * counts. A file or drop-in that is empty or a link to /dev/null masks: the task does not exist, or the drop-in says
 * nothing.
 *
 * A later value overrides an earlier one; Environment= and Label= add up, an empty value clears them; an empty
 * value of any other key goes back to its default.
 * Exec= is split at blanks; quotes (' or ") keep words together, a backslash begins an escape as in C. No shell
 * sees it; a command without a slash is looked for in the standard directories. Every mistake is reported, each with file, line, and what would be
 * right; a file with mistakes is not used. Keys that begin with "X-" are passed over. */

#include <limits.h>

#include "macro.h"

typedef enum TaskInput { TASK_INPUT_JSON, TASK_INPUT_ARGS, TASK_INPUT_STDIN } TaskInput;
typedef enum TaskOutput { TASK_OUTPUT_JSON, TASK_OUTPUT_TEXT } TaskOutput;

#define TASK_PRIORITY_NORMAL 2
#define TASK_LIMIT_UNSET     (UINT64_MAX - 1)
#define TASK_INT_UNSET       INT_MIN

enum {
        TASK_RETRY_ON_EXIT = 1 << 0,    /* any bad exit status */
        TASK_RETRY_ON_SIGNAL = 1 << 1,  /* ended by a signal */
        TASK_RETRY_ON_TIMEOUT = 1 << 2, /* ran too long */
        TASK_RETRY_ON_OOM = 1 << 3,     /* killed for want of memory */
        TASK_RETRY_ON_ALL = (1 << 4) - 1,
};

typedef struct TaskRetryOn {
        uint64_t kinds;       /* of the above */
        uint64_t statuses[4]; /* a bit for each exit status */
        bool is_set;
} TaskRetryOn;

typedef struct TaskFile {
        char *name; /* of the task: that of the file without .task */
        char *path;
        char *description;
        char **exec; /* the command and its arguments; the command is an absolute path */
        int input, output;
        uint64_t timeout_usec, soft_timeout_usec; /* USEC_INFINITY: none */
        bool has_max_retries;
        uint64_t max_retries, retry_delay_usec, retry_backoff_max_usec;
        double retry_backoff; /* factor, from 1 on */
        double retry_jitter;  /* 0 to 1: share of the delay that is random */
        TaskRetryOn retry_on;
        int priority;                   /* 0 critical to 3 low */
        uint64_t concurrency;           /* at once in all of the cluster; 0: no limit */
        uint64_t rate_count, rate_usec; /* so many starts in so much time; 0: no limit */
        char **labels;                  /* a worker must have all of them */

        /* See schedule-spec.h; NULL where nothing is set. */
        char *schedule, *schedule_timezone, *schedule_count, *schedule_until,
                *schedule_skip_if_running, *schedule_catch_up;

        /* As systemd.exec(5) and systemd.resource-control(5) have them. */
        uint64_t memory_max, tasks_max;    /* UINT64_MAX: no limit */
        uint64_t cpu_weight;               /* 0: not set */
        int nice, umask, oom_score_adjust; /* TASK_INT_UNSET: not set (the last two) */
        bool private_tmp, no_new_privileges;
        uint64_t limits[16]; /* by RLIMIT_*; UINT64_MAX - 1: not set, UINT64_MAX: infinity */
        char *working_directory;
        char **environment;       /* "NAME=value" */
        char **environment_files; /* read before each run; "-" before the path: it need not exist */
        char *exec_place;         /* where Exec= stands, as in messages */
} TaskFile;

/* Reads the task `name` from the directories. Mistakes are appended to *problems, each a line "FILE:LINE: ...".
 * Returns 0, -ENOENT if there is no such file or it is masked, -EINVAL if there were mistakes, -ENOMEM. */
int task_file_load(const char *name, char *const *directories, TaskFile **ret, char ***problems);

/* The same for one file by its path, with the drop-ins in NAME.task.d along the directories (NULL: none) and beside it. */
int task_file_load_path(const char *path, char *const *directories, TaskFile **ret,
                        char ***problems);

/* What follows "every " in Schedule=, or NULL. */
const char *task_file_interval(const TaskFile *t);

/* Options of the task type as JSON (doc/runner-protocol.md, HELLO); a fresh string, empty if there are none. -ENOMEM. */
int task_file_options(const TaskFile *t, char **ret);

/* Appends what the environment files say to a list of "NAME=value". Returns 0, or -errno with a line in *ret_error
 * (a fresh string, or NULL when out of memory). */
int task_file_read_environment(const TaskFile *t, char ***environment, char **ret_error);

/* The same for a text, which is called `path` in messages. Public for tests. */
int task_file_parse(const char *path, const char *text, size_t size, TaskFile **ret,
                    char ***problems);

TaskFile *task_file_free(TaskFile *t);
DEFINE_CLEANUP_FUNC(TaskFile *, task_file_free);
