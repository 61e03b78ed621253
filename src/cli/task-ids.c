/* SPDX-License-Identifier: MIT */

#include "cli.h"
#include "task-id.h"

int check_task_ids(const Words *ids, const Usage *usage) {
        TaskId unused;

        if (ids->n == 0)
                return complain(CLI_USAGE, "--task-id is missing: fastworker %s %s", usage->verb,
                                usage->synopsis);
        for (size_t i = 0; i < ids->n; i++)
                if (task_id_from_text(ids->words[i], strlen(ids->words[i]), &unused) < 0)
                        return complain(
                                CLI_USAGE,
                                "--task-id: \"%s\" is not a task id: the 36 characters of a UUID",
                                ids->words[i]);
        return 0;
}

int for_each_task_id(const Words *ids, const Usage *usage,
                     int (*function)(fastworker_client *c, const char *id)) {
        _cleanup_client_ fastworker_client *c = NULL;
        int status;

        status = check_task_ids(ids, usage);
        if (status == 0)
                status = session_open(TIMEOUT_QUESTION_USEC, &c);
        if (status != 0)
                return status;
        for (size_t i = 0; i < ids->n; i++) {
                int r = function(c, ids->words[i]);

                status = status ?: r;
        }
        return status;
}
