/* SPDX-License-Identifier: MIT */
#pragma once

/* What the parts of task-file share; nobody else includes this. */

#include "parse-util.h"
#include "task-file.h"

/* Where a key was set last, for mistakes that show when all is read. */
typedef struct TaskFileReader {
        TaskFile *task;
        char ***problems;
        const char *path; /* of what is being read */
        unsigned line;
        char **key_places;  /* "FILE:LINE", one for each key of the table, or NULL */
        char *last_section; /* one that is not known and was reported */
        bool has_bad_exec;
        int error; /* -ENOMEM */
} TaskFileReader;

/* Notes a mistake at a place; NULL: the current line. */
void task_file_problem(TaskFileReader *f, const char *place, const char *format, ...)
        _printf_(3, 4);

/* Sets one key. */
void task_file_set(TaskFileReader *f, const char *key, const char *value);
/* Exec=: reports what is wrong by itself; 0, -EINVAL or -ENOMEM. */
int task_file_set_exec(TaskFileReader *f, const char *value);
/* Appends the words of a text. 0, -ENOMEM, or -EINVAL with what is wrong, a static text. */
int task_file_split_words(const char *value, char ***ret, const char **ret_error);
bool task_file_is_assignment(const char *s);
/* Defaults into a zeroed struct. */
void task_file_defaults(TaskFile *t);
/* What only shows when all is read: Exec= missing, bad schedules, and the like. */
void task_file_check(TaskFileReader *f);
size_t task_file_n_keys(void);
