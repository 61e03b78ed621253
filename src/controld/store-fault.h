/* SPDX-License-Identifier: MIT */
#pragma once

/* Faults for tests: the n-th time that the store comes to a point, the process is killed there, or the I/O
 * of the database fails. One directive, from a test or from the environment (so that the real daemon can
 * be tested):
 *
 *     FASTWORKER_STORE_FAULT=POINT:N[:ACTION[:COUNT]]      for example: commit:3:kill, write:17:enospc:200
 *
 * POINT: begin, statement, commit, committed, report, checkpoint, backup (steps of the writer: before each, but
 *        after the commit for `committed`; `backup` before each part that is copied), receive, send (before a
 *        message from a peer is handled, and before one to a peer is sent), or open, write, sync, truncate
 *        (calls to the file system for the files of the database)
 * N:     from 1
 * ACTION: kill (the default): SIGKILL to ourselves; a write is done by half before
 *         eio, enospc, edquot: the call fails (calls only); short: a write is done by half, then it fails for want of room
 * COUNT: how many times from the n-th on; 1 unless given
 *
 * Without any of this a point costs one test of a variable that is false. */

#include "string-table.h"

typedef enum StoreFaultPoint {
        STORE_FAULT_BEGIN,
        STORE_FAULT_STATEMENT,
        STORE_FAULT_COMMIT,
        STORE_FAULT_COMMITTED,
        STORE_FAULT_REPORT,
        STORE_FAULT_CHECKPOINT,
        STORE_FAULT_BACKUP,
        STORE_FAULT_RECEIVE,
        STORE_FAULT_SEND,
        STORE_FAULT_OPEN, /* from here on: calls */
        STORE_FAULT_WRITE,
        STORE_FAULT_SYNC,
        STORE_FAULT_TRUNCATE,
        _STORE_FAULT_POINT_MAX,
        _STORE_FAULT_POINT_INVALID = -EINVAL,
} StoreFaultPoint;

typedef enum StoreFaultAction {
        STORE_FAULT_KILL,
        STORE_FAULT_EIO,
        STORE_FAULT_ENOSPC,
        STORE_FAULT_EDQUOT,
        STORE_FAULT_SHORT,
        _STORE_FAULT_ACTION_MAX,
        _STORE_FAULT_ACTION_INVALID = -EINVAL,
} StoreFaultAction;

DECLARE_STRING_TABLE(store_fault_point, StoreFaultPoint);
DECLARE_STRING_TABLE(store_fault_action, StoreFaultAction);

typedef struct StoreFault {
        StoreFaultPoint point;
        StoreFaultAction action;
        uint64_t n, count; /* count 0: no fault */
        /* For tests that hold the writer somewhere: called at each step, from its thread. */
        void (*at)(StoreFaultPoint point, void *userdata);
        void *userdata;
} StoreFault;

extern bool store_fault_enabled;

void store_fault_point(StoreFaultPoint point);

static inline void store_fault_step(StoreFaultPoint point) {
        if (__builtin_expect(store_fault_enabled, 0))
                store_fault_point(point);
}

/* Resets all counters. To be called for the first time before a store is opened, then at any time. */
void store_fault_set(const StoreFault *fault);
/* Takes the directive of the environment, if there is one and store_fault_set() was not called before. -EINVAL */
int store_fault_from_environment(void);
/* Reads a directive. -EINVAL */
int store_fault_parse(const char *text, StoreFault *ret);

/* How often the point was come to since store_fault_set(). */
uint64_t store_fault_count(StoreFaultPoint point);
/* Writes to the log of the database since its last sync. */
uint64_t store_fault_unsynced(void);

/* The file system layer that SQLite is to use: NULL for its own. */
const char *store_fault_vfs(void);

/* For that layer: counts a call and says what to do about it; _STORE_FAULT_ACTION_INVALID: nothing. */
StoreFaultAction store_fault_call(StoreFaultPoint point);
void store_fault_note_log(bool synced);
void store_fault_die(void);
