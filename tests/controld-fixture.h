/* SPDX-License-Identifier: MIT */
#pragma once

/* A coordinator without sockets, for tests of the parts that work on all of it. Its endpoint is
 * not that of endpoint.c: it keeps what is sent, fails where a test wants it to, and hands
 * requests straight to their handlers. All messages in both directions are held against the
 * protocol's table. */

#include "controld-test.h"
#include "controld.h"
#include "lease.h"

/* The coordinator of the running test, with all settings at their defaults, except that it keeps nothing
 * (Durability=none) unless fixture_restart() says otherwise. */
extern Controld *fixture;

/* For checked fixtures. The latter frees all that the coordinator has. */
void fixture_setup(void);
void fixture_teardown(void);

/* As after a restart of the process, with a store of that kind in this directory: all that is in memory is gone,
 * with all connections, and what the store holds comes back. A store that was open before is closed in order. */
void fixture_restart(StoreDurability durability, const char *directory);

/* Turns the event loop until all that was said to the store is safe and has taken effect. */
void fixture_settle(void);

/* A connection by this name; made if needed. */
Peer *fixture_peer(const char *name);

/* An active subworker with a connection of its name. */
Worker *fixture_worker(const char *id, const char *type, uint32_t capacity);

/* A task in the queue. */
Task *fixture_submit(const char *type, TaskPriority priority);

/* Takes the task that stands first out of its queue; there must be one. */
Task *fixture_pop(TaskPriority priority);

/* task_end(), for which nobody is answered, and its settling. */
int fixture_end(Task *t, const TaskEnd *end);

/* --- what is sent ----------------------------------------------------------------------------- */

/* Takes the oldest message that was sent to that peer and not taken yet: it must be of this verb.
 * It lives until the next call. */
const WireMessage *fixture_take(const char *peer, WireVerb verb);

/* The same for an ERROR with that code, in whose text these words stand. */
void fixture_take_error(const char *peer, WireError code, const char *text);

/* The task id in the first field of a group. */
TaskId fixture_id(const WireMessage *m, size_t group);

/* Fails if there is anything more, to whomever. */
void fixture_take_nothing(void);

/* After so many more messages sending to that peer fails with this error. 0: it works again. */
void fixture_break(const char *peer, unsigned after, int error);

/* --- what is received ------------------------------------------------------------------------- */

/* Starts a request; fields are added with wire_put*(). */
WireOut *fixture_begin(WireVerb verb);
/* Hands it to the handler of its verb, as if that peer had sent it, and commits what it changed, unless the test
 * wants to do that itself. */
void fixture_request(const char *peer, EndpointRole role);
extern bool fixture_holds_commits;

/* What endpoint_handle() does, which handles requests that were held; set by the test. */
extern int (*fixture_handle)(const struct iovec *routing, const struct iovec *frames, size_t n);
