/* SPDX-License-Identifier: MIT */
#pragma once

/* Finding and ending all that a process has started, however it was started: a program that forks twice to get
 * away becomes a child of the nearest ancestor that is a child subreaper, so every runner is one, and so are we.
 * Where a control group does the same, the kernel knows better; this is for where there is none. */

#include <sys/types.h>

#include "macro.h"

typedef struct PidList {
        pid_t *pids;
        size_t n, allocated, n_sorted; /* the first ones are in order */
} PidList;

void pid_list_done(PidList *l);
int pid_list_add(PidList *l, pid_t pid);
bool pid_list_has(const PidList *l, pid_t pid);
/* Makes looking for what is in there now fast. */
void pid_list_sort(PidList *l);

/* What /proc/PID/stat has behind the name, which may hold anything: from the state on. `line` is the room for it. NULL if
 * the process is gone or hidden. */
#define PROCESS_STAT_MAX 1024
const char *process_stat(pid_t pid, char line[static PROCESS_STAT_MAX]);

/* Makes the calling process the new parent of all its descendants that lose theirs. Outlives exec(). */
int process_tree_adopt(void);

/* Adds the children of a process. What other users' processes have started may be hidden from us; then there are
 * none. Returns 0 or -ENOMEM. */
int process_tree_children(pid_t pid, PidList *l);

/* How long the callers of these stay at it, who have others to serve. */
#define PROCESS_TREE_USEC (UINT64_C(100) * 1000)

/* Kills all descendants of a process but those in `keep` (which may be NULL). They are stopped first, and looked
 * for until nothing new is found, so that none gets away by starting another. If that takes longer than `usec`, those
 * that were found are killed. Returns whether there are no others, as far as could be seen. */
bool process_tree_kill_below(pid_t root, const PidList *keep, uint64_t usec);

/* The same, and the process. It must be a child of ours that was not collected yet. What is left becomes ours. */
bool process_tree_kill(pid_t root, uint64_t usec);

/* Kills children of ours that are not in `known`, with all below: what runners that are gone have left to us; and
 * collects them. Returns how many have not ended yet: to be called again as long as there are any. */
size_t process_tree_end_orphans(const PidList *known, uint64_t usec);
