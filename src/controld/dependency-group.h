/* SPDX-License-Identifier: MIT */
#pragma once

/* Groups of tasks, and who waits until all of one have ended. Who waits closes the part of the group that there is
 * by then, and the group goes on with another: so nobody has to know which tasks there were, but only how many of each
 * part have not ended. */

#include "dependency.h"
#include "hash.h"

typedef struct Group Group;
typedef struct GroupPart GroupPart;

/* The task belongs to the group: *ret is where it counts. -ENOMEM. */
int group_join(Dependencies *d, const char *name, GroupPart **ret);
/* The same for one of old that has not ended, after all. */
int group_join_again(Dependencies *d, const char *name, uint64_t sequence, GroupPart **ret);
/* It has ended, or is gone. */
void group_leave(Dependencies *d, GroupPart *p);

/* Waits until all that is in the group now has ended: dependency_group_ended() is called then. *ret is NULL if nothing is.
 * -ENOMEM. */
int group_wait(Dependencies *d, const char *name, Dependency *waiter, GroupPart **ret);
void group_wait_no_more(GroupPart *p);

const char *group_name(const GroupPart *p);
/* How many have not ended of those that the waiter of this part waits for. */
uint64_t group_n_open(const GroupPart *p);

void groups_done(Dependencies *d);

/* The part that it waited for, and all before, have ended. */
void dependency_group_ended(Dependency *d);
const Task *dependency_task(const Dependency *d);
