/* SPDX-License-Identifier: MIT */
#pragma once

#include "conf.h"

typedef struct Settings {
        char *worker_id;
        char *control_plane_address, *discovery_address, *base_address;
        char **task_modules, **module_path;
        char *python;
        char **labels;
        uint64_t concurrency, idle_timeout_usec, drain_usec, prefetch_max, max_result_bytes;
        uint64_t task_memory_max, recycle_tasks,
                recycle_memory; /* UINT64_MAX, 0, UINT64_MAX: no limit */
        uint64_t output_max;    /* UINT64_MAX: no limit */
        char *state_directory, *runtime_directory;
        char *job_user;
        int log_level;
        bool local; /* a child of controld: the control plane address is the worker endpoint itself */
} Settings;

extern const ConfTable subworkerd_conf_table;

/* What no single item can check. Returns 0, or -EINVAL with a line that says what is wrong (a fresh string,
 * or NULL when out of memory). */
int settings_check(const Settings *s, char **ret_error);
