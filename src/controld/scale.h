/* SPDX-License-Identifier: MIT */
#pragma once

/* Autoscaling: while tasks have to wait, instances of the subworker's unit are woken by connecting to the sockets on
 * which the service manager listens for them. Those that have nothing to do leave by themselves. */

#include "task-type.h"

typedef struct Controld Controld;
typedef struct Scale Scale;
struct json_object;

#define SCALE_TEXT_MAX 64U

/* Off with MaxInstances=0. Wakes nobody before scale_start(). A Scale of NULL is one that is off. */
int scale_new(Controld *c, Scale **ret);
Scale *scale_free(Scale *s);
DEFINE_CLEANUP_FUNC(Scale *, scale_free);

/* The coordinator is ready. Subworkers that run have ReconnectSec= to come back before others are woken. */
void scale_start(Scale *s);

/* A task of this type waits, and no active subworker offers it. Wakes an instance that may, and returns whether there
 * are any that may be woken, now or soon. Cheap when nothing has changed since the last call. */
bool scale_want(Scale *s, TaskType *type);

/* The same for a type that nobody has ever offered: whether there are instances of which we do not know what they
 * offer. */
bool scale_seek(Scale *s);

/* Called about once a second. Returns less than 0 if the daemon itself is broken. */
int scale_care(Scale *s);

/* A worker has registered, or is out of service. */
void scale_registered(Scale *s, Worker *w);
void scale_gone(Scale *s, const Worker *w);
/* Whether it is one of the instances. */
bool scale_wakes(const Scale *s, const Worker *w);

/* Settings may have changed. What instances offer is to be learned anew, except of those that run. */
void scale_reload(Scale *s);

/* " (3 asleep)", or "" without any. Returns its argument. */
const char *scale_describe(const Scale *s, char ret[static SCALE_TEXT_MAX]);
/* What STATS tells; NULL when out of memory. */
struct json_object *scale_to_json(const Scale *s);

/* scale-wake.c: connects to a unix socket and leaves at once, which has the service manager start who is behind it.
 * Does not block. Returns 0, -ENOENT when there is none, -ECONNREFUSED when nobody listens, -EACCES and the like. */
int scale_knock(const char *path);
