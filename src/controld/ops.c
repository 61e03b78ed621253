/* SPDX-License-Identifier: MIT */

#include "ops.h"

static const OpHandler client_ops[_WIRE_VERB_MAX] = {
        [WIRE_PING] = op_ping,       [WIRE_HELLO] = op_hello,       [WIRE_DISCOVER] = op_discover,
        [WIRE_SUBMIT] = op_submit,   [WIRE_WAIT] = op_wait,         [WIRE_FORGET] = op_forget,
        [WIRE_STATUS] = op_status,   [WIRE_CANCEL] = op_cancel,     [WIRE_LIST] = op_list,
        [WIRE_WORKERS] = op_workers, [WIRE_QUEUES] = op_queues,     [WIRE_TYPES] = op_types,
        [WIRE_STATS] = op_stats,     [WIRE_RETRY] = op_retry,       [WIRE_PURGE] = op_purge,
        [WIRE_BACKUP] = op_backup,   [WIRE_SCHEDULE] = op_schedule, [WIRE_PAUSE] = op_set_paused,
};

static const OpHandler worker_ops[_WIRE_VERB_MAX] = {
        [WIRE_PING] = op_ping,           [WIRE_HELLO] = op_hello,
        [WIRE_DISCOVER] = op_discover,   [WIRE_REGISTER] = op_register,
        [WIRE_HEARTBEAT] = op_heartbeat, [WIRE_CAPACITY] = op_capacity,
        [WIRE_STARTED] = op_started,     [WIRE_DONE] = op_done,
        [WIRE_RELEASE] = op_release,     [WIRE_DRAIN] = op_drain,
        [WIRE_GOODBYE] = op_goodbye,     [WIRE_PROGRESS] = op_progress,
};

static const OpHandler discovery_ops[_WIRE_VERB_MAX] = {
        [WIRE_PING] = op_ping,
        [WIRE_DISCOVER] = op_discover,
};

OpHandler op_handler(EndpointRole role, WireVerb verb) {
        static const OpHandler *const tables[_ENDPOINT_ROLE_MAX] = {
                [ENDPOINT_CLIENT] = client_ops,
                [ENDPOINT_WORKER] = worker_ops,
                [ENDPOINT_DISCOVERY] = discovery_ops,
        };

        return tables[role][verb];
}
