/* SPDX-License-Identifier: MIT */
#pragma once

/* The coordinator as a whole: one member a module. Only the files that join modules include this. */

#include <systemd/sd-event.h>

#include "conf.h"
#include "dependency.h"
#include "endpoint.h"
#include "held.h"
#include "ledger.h"
#include "local-worker.h"
#include "notify.h"
#include "queue.h"
#include "reload-request.h"
#include "results.h"
#include "scale.h"
#include "schedule.h"
#include "settings.h"
#include "store.h"
#include "timers.h"
#include "worker.h"
#include "zmq-util.h"

typedef struct Controld Controld;

typedef struct Counters {
        uint64_t submitted, succeeded, failed, cancelled, requeued, retried, results_refused;
} Counters;

struct Controld {
        sd_event *event;
        Settings *settings;
        Conf *conf;
        Notify *notify;
        char instance[33]; /* random, new at each start: tells peers that this is another process */
        uint64_t started_usec, grace_until_usec; /* CLOCK_MONOTONIC */
        bool stopping, announced, tick_was_late;
        uint64_t stop_until_usec, cleaned_usec; /* CLOCK_MONOTONIC */
        int argc;                               /* for reloads */
        char **argv;
        ReloadAsker reload_asker;
        char *reload_error;        /* of the last reload, until one succeeds; or NULL */
        char *runtime_directory;   /* of the private socket, or NULL */
        uint64_t inherited_nofile; /* soft limit at the start; children get it back */

        void *tcp_context, *local_context; /* unix sockets have I/O threads of their own */
        Endpoint *endpoints[2 * _ENDPOINT_ROLE_MAX];
        size_t n_endpoints;

        TaskTable tasks;
        TaskType *types;
        Queue queue;
        Timers timers;
        Dependencies dependencies;
        Schedules schedules;
        WorkerRegistry workers;
        struct DrainedWorker *drained; /* see pause.h */
        Results results;
        PeerList dirty; /* peers with results to be pushed at the end of this turn */
        Held held;
        Store *store;
        uint64_t lease_ticket; /* of the store: none is given before this is safe */
        Ledger ledger;
        LedgerEntry *backup; /* who asked for the one that is being written; or NULL */
        bool disk_full_logged;
        uint64_t disk_full_logged_usec; /* CLOCK_MONOTONIC; 0: never */
        uint64_t made_room_ticket; /* when it is safe, results that left the store last time have */
        uint64_t committed_ticket,
                watched_ticket;    /* the last of all; the one safe at the last look */
        uint64_t store_moved_usec; /* when no batch waited, or one became safe */
        LocalWorker *local;
        Scale *scale;
        sd_event_source *probe, *tick, *turn_end, *grace, *token;
        uint64_t
                next_token_usec; /* CLOCK_MONOTONIC: when a rate lets the next task go; USEC_INFINITY: it keeps none */
        Counters counters;
        WireOut out; /* scratch for whatever is sent next */
};
