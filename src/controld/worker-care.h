/* SPDX-License-Identifier: MIT */
#pragma once

/* What becomes of subworkers that fall silent, lose their connection or leave. */

#include "controld.h"

typedef enum WorkerLoss {
        WORKER_SILENT,       /* no heartbeat within InactiveSec= */
        WORKER_DISCONNECTED, /* connection lost, not back within ReconnectSec= */
        WORKER_LEFT,         /* said goodbye, or gave up its id */
} WorkerLoss;

/* Queues its tasks again and takes it out of service. One that left is forgotten, the others stay visible as
 * inactive for a while, and may come back with REGISTER. */
void worker_deactivate(Controld *c, Worker *w, WorkerLoss why);

/* Called about once a second. If the call is late, we did not run ourselves (stopped, suspended, overloaded) and
 * what the workers said meanwhile may be unread: silence is not judged then. */
void worker_care(Controld *c, bool is_late);

/* The connection was found to be gone; the worker has ReconnectSec= to come back. */
void worker_lost_connection(Worker *w);
