/* SPDX-License-Identifier: MIT */

/* How `submit`, `wait` and `batch` show the end of a task. */

#include "cli.h"
#include "json-util.h"

int status_of_result(const fastworker_result *r) {
        static const struct {
                const char *name;
                CliStatus status;
        } table[] = {
                { "success", CLI_SUCCESS },     { "failure", CLI_TASK_FAILED },
                { "dead", CLI_TASK_FAILED },    { "expired", CLI_TASK_FAILED },
                { "cancelled", CLI_CANCELLED }, { "unknown", CLI_REFUSED },
                { "refused", CLI_REFUSED },     { "unanswered", CLI_UNREACHABLE },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (streq(table[i].name, fastworker_result_status(r)))
                        return table[i].status;
        return CLI_TASK_FAILED;
}

struct json_object *result_to_json(const fastworker_result *r, uint64_t line) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        const char *error = fastworker_result_error(r), *id = fastworker_result_task_id(r);
        const char *code = fastworker_result_error_code(r);
        size_t size;
        const char *data = fastworker_result_data(r, &size);

        if (!o || (line > 0 && json_add_uint(o, "line", line) < 0) ||
            json_add_string(o, "task_id", isempty(id) ? NULL : id) < 0 ||
            json_add_string(o, "status", fastworker_result_status(r)) < 0 ||
            add_payload(o, "result", data, size) < 0 ||
            json_object_object_add(o, "error", NULL) < 0 ||
            (!isempty(error) && add_text(o, "error", error) < 0) ||
            (!isempty(code) && add_text(o, "code", code) < 0) ||
            json_add_time(o, "started_at", fastworker_result_started_at(r)) < 0 ||
            json_add_time(o, "completed_at", fastworker_result_completed_at(r)) < 0)
                return NULL;
        return TAKE_PTR(o);
}

static int print_result_json(const fastworker_result *r) {
        _cleanup_json_ struct json_object *o = result_to_json(r, 0);

        return o ? print_json(o) : complain_oom();
}

static int explain(const fastworker_result *r, const char *name) {
        const char *id = fastworker_result_task_id(r), *error = fastworker_result_error(r);
        const char *status = fastworker_result_status(r);

        if (streq(status, "unanswered"))
                return complain(CLI_UNREACHABLE,
                                "%s The coordinator may have taken the task or not.", error);
        if (isempty(id))
                return complain((CliStatus) status_of_result(r), "%s",
                                isempty(error) ? status : error);
        return complain((CliStatus) status_of_result(r), "task %s%s%s%s ended as %s%s%s", id,
                        name ? " (" : "", name ?: "", name ? ")" : "", status,
                        isempty(error) ? "" : ": ", error);
}

int show_result(const fastworker_result *r, const char *name) {
        size_t size;
        const char *data = fastworker_result_data(r, &size);

        if (arg_json != JSON_OFF)
                return print_result_json(r) ?: status_of_result(r);
        if (!fastworker_result_is_success(r))
                return explain(r, name);
        if (size > 0)
                print_text(stdout, data, size);
        else
                fputs("null", stdout);
        putchar('\n');
        return CLI_SUCCESS;
}
