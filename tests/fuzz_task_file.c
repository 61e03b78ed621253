/* SPDX-License-Identifier: MIT */

/* task_file_parse() on any bytes: what passes has a command and sane limits, what is refused has reasons that begin with
 * the file's name. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "json-util.h"
#include "must.h"
#include "parse-util.h"
#include "task-file.h"

/* They must be one line of JSON that a reader of the runner protocol takes. */
static void check_options(const TaskFile *t) {
        struct json_object *o = NULL;
        char *text;

        MUST(task_file_options(t, &text) == 0);
        MUST(!strpbrk(text, "\t\n"));
        MUST(json_parse_object(text, strlen(text), &o, NULL) == 0);
        json_object_put(o);
        free(text);
}

static void check_task(const TaskFile *t) {
        MUST(streq(t->name, "fuzz") && t->exec && t->exec[0][0] == '/');
        MUST(t->input >= 0 && t->input <= TASK_INPUT_STDIN);
        MUST(t->output >= 0 && t->output <= TASK_OUTPUT_TEXT);
        MUST(t->priority >= 0 && t->priority <= 3);
        MUST(t->nice >= -20 && t->nice <= 19);
        MUST(t->retry_backoff >= 1 && t->retry_backoff <= 100);
        MUST(t->retry_jitter >= 0 && t->retry_jitter <= 1);
        MUST((t->rate_count == 0) == (t->rate_usec == 0));
        MUST(t->memory_max > 0 && t->tasks_max > 0);
        MUST(t->exec_place);
        check_options(t);
        STRV_FOREACH(variable, t->environment)
                MUST(strchr(*variable, '='));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        TaskFile *t = NULL;
        char **problems = NULL;
        int r;

        if (size > 65536)
                return 0;
        r = task_file_parse("/fuzz.task", (const char *) data, size, &t, &problems);
        MUST(r == 0 || r == -EINVAL);
        MUST((r == 0) == !!t && (r == 0) == !problems);
        if (t)
                check_task(t);
        STRV_FOREACH(problem, problems)
                MUST(strncmp(*problem, "/fuzz.task:", strlen("/fuzz.task:")) == 0);
        task_file_free(t);
        strv_free(problems);
        return 0;
}
