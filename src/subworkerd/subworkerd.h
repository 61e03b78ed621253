/* SPDX-License-Identifier: MIT */
#pragma once

/* The daemon's one context: a pointer for each module. Only the manager's files (manager, tasks, drain,
 * reload) include this; the modules below them know nothing of each other. */

#include <systemd/sd-event.h>

#include <json-c/json.h>

#include "endpoint.h"
#include "job.h"
#include "link.h"
#include "notify.h"
#include "outbox.h"
#include "pool.h"
#include "progress.h"
#include "reload-request.h"
#include "settings.h"
#include "type.h"

typedef enum DrainState {
        DRAIN_NONE,
        DRAIN_RUNNING,  /* tasks still run */
        DRAIN_SETTLING, /* controld is to acknowledge what it was told */
        DRAIN_LEAVING,  /* GOODBYE was sent */
} DrainState;

typedef struct Subworkerd {
        int argc;
        char **argv;
        Settings *settings;
        Conf *conf;
        Settings *previous; /* while a reload tries what is in force now; NULL: none */
        Conf *previous_conf;

        sd_event *event;
        void *context; /* of ZeroMQ */
        Notify *notify;
        TypeTable *types;
        JobTable *jobs;
        JobUser *job_user;            /* NULL: tasks run as our user */
        Cgroup *cgroup;               /* NULL: runners have none */
        const char *no_cgroup_reason; /* why; static */
        Pool *pool;
        Outbox *outbox;
        ProgressTable *progress;
        Link *link;
        Endpoint *endpoint; /* NULL: none */

        struct json_object *registration; /* the document of the last REGISTER */
        char host[65];
        pid_t parent; /* of a local worker */
        uint64_t n_done;
        unsigned registered_slots; /* as in the last REGISTER */
        bool ready, reloading;
        ReloadAsker reload_asker;
        char *reload_error; /* of the last reload, for the status; NULL: it went well */

        sd_event_source *turn_end;
        sd_event_source *outbox_timer;
        uint64_t outbox_due_usec; /* what the timer is set to; USEC_INFINITY: it is off */
        sd_event_source *status_timer;
        bool status_armed;

        sd_event_source *idle_timer;
        uint64_t idle_since_usec; /* 0: it is not idle */
        uint64_t idle_due_usec;   /* what the timer is set to; USEC_INFINITY: it is off */
        uint64_t idle_n_done;     /* n_done as of the last look */

        DrainState drain;
        bool hurry;       /* do not wait for anything any more */
        bool interrupted; /* what ran at the deadline was killed */
        uint64_t drain_deadline_usec;
        sd_event_source *drain_timer;
} Subworkerd;

/* tasks.c: between link, pool and outbox */
extern const LinkHandlers tasks_link_handlers;
extern const PoolHandlers tasks_pool_handlers;
int tasks_send(const WireOut *out, void *userdata);
/* Sends what has come together; at the end of each turn. */
void tasks_flush(Subworkerd *s);

/* manager.c */
void manager_show_status(Subworkerd *s);
void manager_ready(Subworkerd *s);

/* When runners are replaced, and what one may use, by the settings. */
uint64_t manager_output_max(const Settings *settings);
PoolWear manager_wear(const Settings *settings, uint64_t *ret_memory_max);

/* drain.c */
void drain_begin(Subworkerd *s);
/* The same, because there is nothing to do. */
void drain_idle(Subworkerd *s);
/* Ends the waiting. */
void drain_hurry(Subworkerd *s);
/* Goes on as far as it can; at the end of each turn. */
void drain_advance(Subworkerd *s);
void drain_acknowledged(Subworkerd *s, const struct iovec *correlation);

/* idle.c: leaving after IdleTimeout= without a task */
int idle_init(Subworkerd *s);
/* Looks whether there is anything to do; at the end of each turn. */
void idle_review(Subworkerd *s);

/* reload.c */
void reload(Subworkerd *s);
/* The pool has taken the new modules, or has refused them. */
void reload_done(Subworkerd *s);
void reload_forget_previous(Subworkerd *s);
void reload_failed(Subworkerd *s, const char *reason);
/* The command lines and environment of runners for these settings. Returns 0, or -errno with a line that says
 * why (a fresh string, or NULL). */
int reload_runner_command(const Settings *settings, const JobUser *user, PoolCommand *ret,
                          char **ret_error);
