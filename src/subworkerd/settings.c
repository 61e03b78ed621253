/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "limit-text.h"
#include "parse-util.h"
#include "settings.h"
#include "time-util.h"
#include "wire.h"

#define S(field) .offset = offsetof(Settings, field)

/* clang-format off */
static const ConfItem items[] = {
        { "Subworker", "WorkerId", "worker-id", "FASTWORKER_WORKER_ID", "ID", CONF_STRING, S(worker_id),
          .flags = CONF_REQUIRED | CONF_FIXED,
          .help = "name of this subworker, unique among those of a coordinator" },
        { "Subworker", "ControlPlaneAddress", "control-plane-address", "FASTWORKER_CONTROL_PLANE_ADDRESS", "ADDRESS", CONF_ADDRESS, S(control_plane_address),
          .flags = CONF_FIXED,
          .help = "the coordinator's address for clients; this or a discovery address is required" },
        { "Subworker", "DiscoveryAddress", "discovery-address", "FASTWORKER_DISCOVERY_ADDRESS", "ADDRESS", CONF_ADDRESS, S(discovery_address),
          .flags = CONF_FIXED,
          .help = "where to ask who coordinates" },
        { "Subworker", "BaseAddress", "base-address", "FASTWORKER_BASE_ADDRESS", "ADDRESS", CONF_ADDRESS, S(base_address),
          .flags = CONF_WIDENS_ACCESS | CONF_FIXED,
          .help = "an endpoint of its own, for questions and for draining" },
        { "Subworker", "TaskModules", "task-modules", "FASTWORKER_TASK_MODULES", "MODULE", CONF_LIST, S(task_modules),
          .default_text = "*.task",
          .help = "the task modules whose tasks it offers; *.task is all task files" },
        { "Subworker", "ModulePath", "module-path", "FASTWORKER_MODULE_PATH", "DIRECTORY", CONF_LIST, S(module_path),
          .flags = CONF_PATHS, .help = "where task modules are looked up, before " MODULEDIR },
        { "Subworker", "Python", "python", "FASTWORKER_PYTHON", "PATH", CONF_STRING, S(python),
          .default_text = "/usr/bin/python3",
          .help = "the interpreter for task modules in Python" },
        { "Subworker", "Concurrency", "concurrency", "FASTWORKER_WORKER_CONCURRENCY", "N", CONF_UINT, S(concurrency),
          .default_text = "1", .min = 1, .max = 1024,
          .help = "tasks it runs at once" },
        { "Subworker", "Labels", "labels", "FASTWORKER_LABELS", "LABEL", CONF_LIST, S(labels),
          .help = "what it has that tasks may ask for, like gpu" },
        { "Subworker", "DrainSec", "drain-timeout", NULL, "SECONDS", CONF_USEC, S(drain_usec),
          .default_text = "30", .min = 0, .max = 24 * 3600 * USEC_PER_SEC,
          .help = "how long running tasks may go on when it is asked to stop" },
        { "Subworker", "IdleTimeout", "idle-timeout", NULL, "SECONDS", CONF_USEC, S(idle_timeout_usec),
          .default_text = "20", .min = USEC_PER_SEC, .max = USEC_INFINITY,
          .help = "leave after it had nothing to do for so long, if the coordinator can start it again" },
        { "Subworker", "PrefetchMax", "prefetch-max", NULL, "N", CONF_UINT, S(prefetch_max),
          .default_text = "1000", .min = 0, .max = 10000,
          .help = "tasks it takes ahead at most, while tasks are short" },
        { "Subworker", "MaxResultBytes", "max-result", NULL, "BYTES", CONF_BYTES, S(max_result_bytes),
          .default_text = "1M", .min = 1024, .max = WIRE_PAYLOAD_MAX,
          .help = "result of one task" },
        { "Subworker", "TaskMemoryMax", "task-memory-max", NULL, "BYTES", CONF_BYTES, S(task_memory_max),
          .default_text = "infinity", .min = 16 * 1024 * 1024, .max = UINT64_MAX,
          .help = "memory of a task and all that it starts, or \"infinity\"" },
        { "Subworker", "RecycleTasks", "recycle-tasks", NULL, "N", CONF_UINT, S(recycle_tasks),
          .default_text = "0", .min = 0, .max = 1000000000,
          .help = "start a runner anew after so many tasks, 0: never" },
        { "Subworker", "RecycleMemory", "recycle-memory", NULL, "BYTES", CONF_BYTES, S(recycle_memory),
          .default_text = "infinity", .min = 1024 * 1024, .max = UINT64_MAX,
          .help = "start a runner anew when it uses more memory between tasks" },
        { "Subworker", "OutputMax", "output-max", NULL, "BYTES", CONF_BYTES, S(output_max),
          .default_text = "1M", .min = 1024, .max = UINT64_MAX,
          .help = "so much of what a task writes is logged, or \"infinity\"" },
        { "Subworker", "JobUser", "job-user", "FASTWORKER_JOB_USER", "USER", CONF_STRING, S(job_user),
          .flags = CONF_WIDENS_ACCESS | CONF_FIXED,
          .help = "run tasks as this user, not as the daemon's" },
        { "Subworker", "StateDirectory", "state-directory", NULL, "PATH", CONF_STRING, S(state_directory),
          .flags = CONF_FIXED,
          .help = "where tasks may keep files: passed on to them as $STATE_DIRECTORY" },
        { "Subworker", "RuntimeDirectory", "runtime-directory", NULL, "PATH", CONF_STRING, S(runtime_directory),
          .flags = CONF_FIXED,
          .help = "where tasks may keep passing files: passed on to them as $RUNTIME_DIRECTORY" },
        { "Subworker", "LogLevel", "log-level", "FASTWORKER_LOG_LEVEL", "LEVEL", CONF_LEVEL, S(log_level),
          .default_text = "info", .help = "err, warning, notice, info or debug" },

        /* Given by controld to its own worker. */
        { NULL, NULL, "local", NULL, NULL, CONF_BOOL, S(local), .flags = CONF_FIXED },
};
/* clang-format on */

const ConfTable subworkerd_conf_table = {
        .program = "fastworker-subworkerd",
        .summary =
                "Runs FastWorker's tasks: takes them from the coordinator, reports their results.",
        .config_file = SYSCONFDIR "/fastworker/subworkerd.conf",
        .items = items,
        .n_items = ELEMENTSOF(items),
        .settings_size = sizeof(Settings),
};

static int fail(char **ret_error, const char *key, const char *value, const char *why) {
        if (asprintf(ret_error, "%s=%s: %s", key, value, why) < 0)
                *ret_error = NULL;
        return -EINVAL;
}

/* Whether one can connect to it. */
static bool is_target(const char *address) {
        Address a;

        return address_parse(address, &a) >= 0 && !address_is_wildcard(&a) &&
               (!a.is_tcp || a.port != 0);
}

int settings_check(const Settings *s, char **ret_error) {
        static const char no_target[] = "needs a host and a port to connect to";
        struct iovec id = { s->worker_id, s->worker_id ? strlen(s->worker_id) : 0 };

        *ret_error = NULL;
        if (!wire_field_is_valid(WIRE_KIND_WORKER_ID, &id))
                return fail(ret_error, "WorkerId", s->worker_id ? s->worker_id : "",
                            "a worker id (--worker-id) is 1 to 128 letters, digits or . _ : - @");
        if (!s->control_plane_address && !s->discovery_address) {
                *ret_error = conf_explain_missing(&subworkerd_conf_table, "Subworker",
                                                  "ControlPlaneAddress");
                return -EINVAL;
        }
        if (s->control_plane_address && !is_target(s->control_plane_address))
                return fail(ret_error, "ControlPlaneAddress", s->control_plane_address, no_target);
        if (s->discovery_address && !is_target(s->discovery_address))
                return fail(ret_error, "DiscoveryAddress", s->discovery_address, no_target);
        if (!s->python || s->python[0] != '/')
                return fail(ret_error, "Python", s->python ?: "",
                            "the absolute name of a program is needed");
        if (strv_length(s->labels) > LABELS_MAX)
                return fail(ret_error, "Labels", "...", "there may be at most 32");
        STRV_FOREACH(label, s->labels)
                if (!label_is_valid(*label))
                        return fail(ret_error, "Labels", *label,
                                    "a label is 1 to 63 letters, digits or _ . : -");
        if (s->local && !s->control_plane_address)
                return fail(ret_error, "--local", "yes", "needs --control-plane-address");
        return 0;
}
