/* SPDX-License-Identifier: MIT */
#pragma once

/* What an administrator has stopped for a while: task types and priorities of which no task is begun, and subworkers that
 * get none. It is kept in the store; what runs goes on. */

#include "controld.h"

typedef enum PauseKind {
        PAUSE_TYPE,
        PAUSE_PRIORITY,
        PAUSE_WORKER,
        _PAUSE_KIND_MAX,
        _PAUSE_KIND_INVALID = -EINVAL,
} PauseKind;

/* "type", "priority", "worker" */
DECLARE_STRING_TABLE(pause_kind, PauseKind);

/* Whether it is paused; a type or priority must exist. */
bool pause_is_set(const Controld *c, PauseKind kind, const char *name);
/* Also with the store. -ENOMEM: nothing was changed. */
int pause_set(Controld *c, PauseKind kind, const char *name, bool paused);

/* What the store says is paused; passes over what this version does not know. -ENOMEM */
int pause_recover(Controld *c, const char *what);
void pauses_done(Controld *c);

/* A worker is there, and active unless it is drained. */
void pause_registered(const Controld *c, Worker *w);
/* Whether the worker may leave when it has nothing to do: it is woken again, and not drained. */
bool pause_lets_leave(const Controld *c, const Worker *w);

/* {"types": [...], "priorities": [...], "workers": [...]}; NULL when out of memory. */
struct json_object *pauses_to_json(const Controld *c);
