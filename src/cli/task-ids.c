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

int for_each_task_id(const Words *ids, fastworker_client *c,
                     int (*function)(fastworker_client *c, const char *id)) {
        int status = CLI_SUCCESS;

        for (size_t i = 0; i < ids->n; i++) {
                int r = function(c, ids->words[i]);

                status = status ?: r;
        }
        return status;
}
