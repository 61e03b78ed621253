/* SPDX-License-Identifier: MIT */
#pragma once

/* A task as one line of JSON: what `fastworker export` writes and `fastworker import` reads.
 *
 * It is what the coordinator says of the task, with "arguments", "result" and "error". A payload that is JSON stands
 * there as that; one that is not is a string, and "arguments_encoding" or "result_encoding" says what it holds:
 * "text", the very text, or "base64", for what is not UTF-8. No payload is null. "options" is the object that the
 * task was submitted with; without it, or with null, there were none. */

#include <json-c/json.h>

#include <fastworker/client.h>

#include "macro.h"

/* A fresh object; NULL with *ret_error (static) set when what the coordinator says makes no sense, or without when
 * out of memory. */
struct json_object *task_line_new(const fastworker_task_view *task, const char **ret_error);

typedef struct TaskLine {
        struct json_object *object; /* owns the strings of the submission */
        char *arguments, *options;
        fastworker_submission submission; /* the key is the id */
        bool has_ended;
} TaskLine;

/* Returns 0; -EBADMSG with *ret_error, a fresh string that says what is wrong; or -ENOMEM. */
int task_line_parse(const char *text, size_t size, TaskLine *ret, char **ret_error);
void task_line_done(TaskLine *l);
