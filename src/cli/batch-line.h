/* SPDX-License-Identifier: MIT */
#pragma once

/* One line of `fastworker batch` -> a submission. */

#include <json-c/json.h>

#include <fastworker/client.h>

typedef struct BatchLine {
        struct json_object *object; /* owns the strings of the submission */
        char *arguments, *options;
        fastworker_submission submission;
} BatchLine;

/* {"task_name" or "name", "args", "kwargs", "priority", "key", "unique", "unique_policy", "durability"};
 * `priority` is for lines without one, or NULL.
 * Returns 0; -EBADMSG with *ret_error, a fresh string that says what is wrong; or -ENOMEM. */
int batch_line_parse(const char *text, size_t size, const char *priority, BatchLine *ret,
                     char **ret_error);
/* Errors as above. */
int batch_line_set_group(BatchLine *l, const char *group, char **ret_error);
void batch_line_done(BatchLine *l);
