/* SPDX-License-Identifier: MIT */
#pragma once

#include "conf.h"

typedef struct Settings {
        char *worker_id, *base_address, *discovery_address, *local_socket;
        uint64_t subworker_port;
        uint64_t result_cache_size, result_cache_ttl_usec;
        char **task_modules, **module_path;
        bool local_worker;
        uint64_t concurrency, local_worker_idle_usec;
        char *state_directory, *runtime_directory;
        int log_level;
        char **labels;        /* of the local worker */
        uint64_t ageing_usec; /* 0: off */
        uint64_t heartbeat_usec, inactive_usec, reconnect_usec, startup_grace_usec;
        uint64_t max_instances, wake_after_usec, wake_timeout_usec;
        char *wake_socket;
        uint64_t max_payload_bytes, max_result_bytes, max_queued_tasks, max_total_bytes;
        uint64_t max_waits_per_client;
        int durability; /* StoreDurability */
        uint64_t max_store_bytes;
        bool gui_enabled;
        char *gui_host;
        uint64_t gui_port;
} Settings;

#define SCALE_INSTANCES_MAX 1000U

extern const ConfTable controld_conf_table;

/* What no single item can check: addresses that clash, times that contradict each other. Returns 0, or
 * -EINVAL with a line that names both settings (a fresh string). */
int settings_check(const Settings *s, char **ret_error);

/* "tcp://HOST:PORT" of the subworkers: the host of the base address with the subworker port. */
int settings_worker_address(const Settings *s, char **ret);

/* The address of an instance's socket: "ipc://" and the pattern with the number for its %i. A fresh string; NULL if
 * there is not exactly one %i in it, or out of memory. */
char *settings_wake_address(const char *pattern, unsigned instance);
