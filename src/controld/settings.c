/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "limit-text.h"
#include "parse-util.h"
#include "settings.h"
#include "time-util.h"
#include "wire.h"

#define S(field) .offset = offsetof(Settings, field)

/* In the order of StoreDurability. */
static const char *const durability_names[] = { "full", "process", "none", NULL };

/* clang-format off */
static const ConfItem items[] = {
        { "Control", "WorkerId", "worker-id", "FASTWORKER_WORKER_ID", "ID", CONF_STRING, S(worker_id),
          .default_text = "control-plane", .flags = CONF_FIXED,
          .help = "name of this coordinator" },
        { "Control", "BaseAddress", "base-address", "FASTWORKER_BASE_ADDRESS", "ADDRESS", CONF_ADDRESS, S(base_address),
          .default_text = "tcp://127.0.0.1:5555", .flags = CONF_WIDENS_ACCESS | CONF_FIXED,
          .help = "where clients connect" },
        { "Control", "DiscoveryAddress", "discovery-address", "FASTWORKER_DISCOVERY_ADDRESS", "ADDRESS", CONF_ADDRESS, S(discovery_address),
          .default_text = "tcp://127.0.0.1:5550", .flags = CONF_WIDENS_ACCESS | CONF_FIXED,
          .help = "where anyone may ask who coordinates" },
        { "Control", "SubworkerPort", "subworker-port", "FASTWORKER_SUBWORKER_PORT", "PORT", CONF_UINT, S(subworker_port),
          .default_text = "5560", .min = 1, .max = 65535, .flags = CONF_WIDENS_ACCESS | CONF_FIXED,
          .help = "where subworkers connect, on the host of the base address" },
        { "Control", "LocalSocket", "local-socket", "FASTWORKER_LOCAL_SOCKET", "ADDRESS", CONF_ADDRESS, S(local_socket),
          .flags = CONF_WIDENS_ACCESS | CONF_FIXED,
          .help = "another address for clients, usually ipc:///PATH" },
        { "Control", "ResultCacheSize", "result-cache-size", "FASTWORKER_RESULT_CACHE_SIZE", "N", CONF_UINT, S(result_cache_size),
          .default_text = "10000", .min = 0, .max = 100000000,
          .help = "results kept at most" },
        { "Control", "ResultCacheTTL", "result-cache-ttl", "FASTWORKER_RESULT_CACHE_TTL", "SECONDS", CONF_USEC, S(result_cache_ttl_usec),
          .default_text = "3600", .min = USEC_PER_SEC, .max = USEC_INFINITY,
          .help = "how long a result is kept" },
        { "Control", "LocalWorker", "no-local-worker", NULL, NULL, CONF_BOOL, S(local_worker),
          .default_text = "yes", .flags = CONF_NEGATED_FLAG | CONF_FIXED,
          .help = "start no local worker: no task runs as the user who owns the store" },
        { "Control", "TaskModules", "task-modules", "FASTWORKER_TASK_MODULES", "MODULE", CONF_LIST, S(task_modules),
          .help = "task modules of the local worker" },
        { "Control", "ModulePath", "module-path", "FASTWORKER_MODULE_PATH", "DIRECTORY", CONF_LIST, S(module_path),
          .flags = CONF_PATHS, .help = "where task modules are looked up" },
        { "Control", "Concurrency", "concurrency", "FASTWORKER_WORKER_CONCURRENCY", "N", CONF_UINT, S(concurrency),
          .default_text = "1", .min = 1, .max = 1000,
          .help = "tasks the local worker runs at once" },
        { "Control", "Labels", "labels", "FASTWORKER_LABELS", "LABEL", CONF_LIST, S(labels),
          .help = "labels of the local worker" },
        { "Control", "LocalWorkerIdleSec", "local-worker-idle", NULL, "SECONDS", CONF_USEC, S(local_worker_idle_usec),
          .default_text = "60", .min = USEC_PER_SEC, .max = USEC_INFINITY,
          .help = "stop the local worker after it was idle for so long" },
        { "Control", "AgeingSec", "ageing", NULL, "SECONDS", CONF_USEC, S(ageing_usec),
          .default_text = "0", .min = 0, .max = 366 * 24 * 3600 * USEC_PER_SEC,
          .help = "a task that waited so long counts as one priority higher; 0: never" },
        { "Control", "StateDirectory", "state-directory", NULL, "PATH", CONF_STRING, S(state_directory),
          .flags = CONF_FIXED, .help = "where state is kept" },
        { "Control", "RuntimeDirectory", "runtime-directory", NULL, "PATH", CONF_STRING, S(runtime_directory),
          .flags = CONF_FIXED, .help = "where sockets of this daemon's own go" },
        { "Control", "Durability", "durability", "FASTWORKER_DURABILITY", "LEVEL", CONF_ENUM, S(durability),
          .default_text = "full", .names = durability_names, .flags = CONF_FIXED,
          .help = "full: survives power loss; process: survives the death of the process; none" },
        { "Control", "LogLevel", "log-level", "FASTWORKER_LOG_LEVEL", "LEVEL", CONF_LEVEL, S(log_level),
          .default_text = "info", .help = "err, warning, notice, info or debug" },

        { "Workers", "HeartbeatSec", "heartbeat", NULL, "SECONDS", CONF_USEC, S(heartbeat_usec),
          .default_text = "10", .min = 100 * USEC_PER_MSEC, .max = 3600 * USEC_PER_SEC,
          .help = "how often subworkers report" },
        { "Workers", "InactiveSec", "inactive-after", NULL, "SECONDS", CONF_USEC, S(inactive_usec),
          .default_text = "30", .min = 300 * USEC_PER_MSEC, .max = 24 * 3600 * USEC_PER_SEC,
          .help = "a subworker silent for so long is inactive, its tasks are queued again" },
        { "Workers", "ReconnectSec", "reconnect-within", NULL, "SECONDS", CONF_USEC, S(reconnect_usec),
          .default_text = "2", .min = 0, .max = 3600 * USEC_PER_SEC,
          .help = "a subworker whose connection broke has so long to come back" },
        { "Workers", "StartupGraceSec", "startup-grace", NULL, "SECONDS", CONF_USEC, S(startup_grace_usec),
          .default_text = "5", .min = 0, .max = 3600 * USEC_PER_SEC,
          .help = "for so long after the start, tasks of unknown types wait for a subworker to offer them" },

        { "Scaling", "MaxInstances", "max-instances", NULL, "N", CONF_UINT, S(max_instances),
          .default_text = "0", .min = 0, .max = SCALE_INSTANCES_MAX,
          .help = "subworkers 1 to N are started through their sockets while tasks have to wait; 0: none" },
        { "Scaling", "WakeAfterSec", "wake-after", NULL, "SECONDS", CONF_USEC, S(wake_after_usec),
          .default_text = "1", .min = 0, .max = 24 * 3600 * USEC_PER_SEC,
          .help = "how long a task waits for a slot before another subworker is started" },
        { "Scaling", "WakeTimeoutSec", "wake-timeout", NULL, "SECONDS", CONF_USEC, S(wake_timeout_usec),
          .default_text = "10", .min = USEC_PER_SEC, .max = 3600 * USEC_PER_SEC,
          .help = "how long a subworker that is being started has to register" },
        { "Scaling", "WakeSocket", "wake-socket", NULL, "PATH", CONF_STRING, S(wake_socket),
          .default_text = "/run/fastworker/subworker-%i.sock",
          .help = "the socket of subworker N; %i stands for N" },

        { "Limits", "MaxPayloadBytes", "max-payload", NULL, "BYTES", CONF_BYTES, S(max_payload_bytes),
          .default_text = "1M", .min = 1024, .max = WIRE_PAYLOAD_MAX, .flags = CONF_FIXED,
          .help = "arguments of one task" },
        { "Limits", "MaxResultBytes", "max-result", NULL, "BYTES", CONF_BYTES, S(max_result_bytes),
          .default_text = "1M", .min = 1024, .max = WIRE_PAYLOAD_MAX, .flags = CONF_FIXED,
          .help = "result of one task" },
        { "Limits", "MaxQueuedTasks", "max-queued", NULL, "N", CONF_UINT, S(max_queued_tasks),
          .default_text = "2000000", .min = 1, .max = 1000000000,
          .help = "tasks that have not ended" },
        { "Limits", "MaxTotalBytes", "max-total", NULL, "BYTES", CONF_BYTES, S(max_total_bytes),
          .default_text = "4G", .min = 1024 * 1024, .max = UINT64_MAX,
          .help = "arguments and results of all tasks together; results give way to tasks" },
        { "Limits", "MaxWaitsPerClient", "max-waits", NULL, "N", CONF_UINT, S(max_waits_per_client),
          .default_text = "100000", .min = 1, .max = 100000000,
          .help = "results that one client waits for" },

        { "Limits", "MaxStoreBytes", "max-store", NULL, "BYTES", CONF_BYTES, S(max_store_bytes),
          .default_text = "64G", .min = 16 * 1024 * 1024, .max = UINT64_MAX, .flags = CONF_FIXED,
          .help = "size of the store; a sixteenth of it, but at most 64M, is kept for what is not a submit" },

        { "Gui", "Enabled", "no-gui", "FASTWORKER_GUI_ENABLED", NULL, CONF_BOOL, S(gui_enabled),
          .default_text = "yes", .flags = CONF_NEGATED_FLAG | CONF_FIXED,
          .help = "no management GUI (the GUI comes with the web daemon, which is not part of this version)" },
        { "Gui", "Host", "gui-host", "FASTWORKER_GUI_HOST", "HOST", CONF_STRING, S(gui_host),
          .default_text = "127.0.0.1", .flags = CONF_WIDENS_ACCESS | CONF_FIXED,
          .help = "where the management GUI listens (for the web daemon)" },
        { "Gui", "Port", "gui-port", "FASTWORKER_GUI_PORT", "PORT", CONF_UINT, S(gui_port),
          .default_text = "8080", .min = 1, .max = 65535, .flags = CONF_WIDENS_ACCESS | CONF_FIXED,
          .help = "port of the management GUI (for the web daemon)" },
};
/* clang-format on */

const ConfTable controld_conf_table = {
        .program = "fastworker-controld",
        .summary =
                "Coordinates FastWorker's tasks: queues them, hands them to subworkers, keeps results.",
        .config_file = SYSCONFDIR "/fastworker/controld.conf",
        .items = items,
        .n_items = ELEMENTSOF(items),
        .settings_size = sizeof(Settings),
};

int settings_worker_address(const Settings *s, char **ret) {
        Address a;
        char *text;
        int r;

        r = address_parse(s->base_address, &a);
        if (r < 0)
                return r;
        if (!a.is_tcp)
                return -EADDRNOTAVAIL;
        a.port = (uint16_t) s->subworker_port;
        text = address_to_string(&a);
        if (!text)
                return -ENOMEM;
        *ret = text;
        return 0;
}

/* Returns true if two addresses would take the same port of the same host, or the same path. */
static bool clash(const Address *a, const Address *b) {
        if (!a->is_tcp && !b->is_tcp)
                return streq(a->path, b->path);
        if (!a->is_tcp || !b->is_tcp || a->port == 0 || a->port != b->port)
                return false;
        return streq(a->host, b->host) || address_is_wildcard(a) || address_is_wildcard(b);
}

static int fail(char **ret_error, const char *a, const char *b, const char *why) {
        if (asprintf(ret_error, "%s and %s %s", a, b, why) < 0)
                return -ENOMEM;
        return -EINVAL;
}

char *settings_wake_address(const char *pattern, unsigned instance) {
        const char *place = strstr(pattern, "%i");
        char *address = NULL;

        if (!place || strchr(pattern, '%') != place || strchr(place + 1, '%'))
                return NULL;
        if (asprintf(&address, "ipc://%.*s%u%s", (int) (place - pattern), pattern, instance,
                     place + strlen("%i")) < 0)
                return NULL;
        return address;
}

/* The path of an instance's socket must fit into the address of a socket with the number in its place. */
static bool wake_socket_is_valid(const char *pattern) {
        Address a;
        char *address = settings_wake_address(pattern, SCALE_INSTANCES_MAX);
        bool valid = address && address_parse(address, &a) >= 0;

        free(address);
        return valid;
}

int settings_check(const Settings *s, char **ret_error) {
        Address base, discovery, worker;
        struct iovec id = { s->worker_id, strlen(s->worker_id) };

        if (!wire_field_is_valid(WIRE_KIND_WORKER_ID, &id))
                return fail(ret_error, "WorkerId= (--worker-id)", "its value",
                            "do not fit: 1 to 128 letters, digits or . _ : - @ are needed");
        STRV_FOREACH(label, s->labels)
                if (!label_is_valid(*label))
                        return fail(ret_error, "Labels= (--labels)", *label,
                                    "do not fit: a label is 1 to 63 letters, digits or _ . : -");
        if (s->inactive_usec < 2 * s->heartbeat_usec)
                return fail(ret_error, "InactiveSec= (--inactive-after)",
                            "HeartbeatSec= (--heartbeat)",
                            "do not fit: the first must be at least twice the second");
        if (!wake_socket_is_valid(s->wake_socket))
                return fail(ret_error, "WakeSocket= (--wake-socket)", "its value",
                            "do not fit: an absolute path with one %i in it is needed");
        if (address_parse(s->base_address, &base) < 0 ||
            address_parse(s->discovery_address, &discovery) < 0)
                return fail(ret_error, "BaseAddress= (--base-address)",
                            "DiscoveryAddress= (--discovery-address)",
                            "must be addresses like tcp://127.0.0.1:5555 or ipc:///run/x.sock");
        worker = base;
        worker.port = (uint16_t) s->subworker_port;
        if (clash(&base, &discovery))
                return fail(ret_error, "BaseAddress= (--base-address)",
                            "DiscoveryAddress= (--discovery-address)",
                            "name the same address: give them different ones");
        if (base.is_tcp && clash(&base, &worker))
                return fail(ret_error, "BaseAddress= (--base-address)",
                            "SubworkerPort= (--subworker-port)",
                            "name the same address: give them different ones");
        if (base.is_tcp && clash(&discovery, &worker))
                return fail(ret_error, "DiscoveryAddress= (--discovery-address)",
                            "SubworkerPort= (--subworker-port)",
                            "name the same address: give them different ones");
        return 0;
}
