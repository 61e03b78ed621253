/* SPDX-License-Identifier: MIT */
#pragma once

/* For tests of the store: a store in a private directory with callbacks that check the promises of store.h, and a
 * random but repeatable workload with its model.
 *
 * Whatever a task holds follows from its sequence and its version (0: as submitted; each update is the next),
 * so that a whole store is compared as a table of versions. */

#include <check.h>
#include <systemd/sd-event.h>

#include "../src/controld/store.h"

/* Instead of ck_assert(): for child processes, too, which must not talk to libcheck as they may be killed in the
 * middle of it. */
#define require(x) ((x) ? (void) 0 : require_failed(__FILE__, __LINE__, #x))
void require_failed(const char *file, int line, const char *what) __attribute__((noreturn));

#define TASKS_MAX 4096
#define OPS_MAX   20000
#define TYPES_MAX 32

typedef struct Fixture {
        char directory[64], path[96];
        sd_event *event;
        Store *store;
        StoreConfig config;
        bool may_call; /* callbacks come from the loop only */
        uint64_t safe; /* as reported */
        unsigned n_safe;
        uint64_t refused[TASKS_MAX];
        size_t n_refused;
        unsigned n_room; /* how often there was room again */
        int error;       /* of the failure */
        unsigned n_failed;
        char reason[1024];
        void (*on_safe)(uint64_t ticket); /* in addition, or NULL */
        bool expects_failure, expects_refusals;
} Fixture;

/* Makes the directory; opens nothing. */
void fixture_init(Fixture *f, StoreDurability durability);
/* Closes, removes the directory. */
void fixture_done(Fixture *f);
void fixture_open(Fixture *f);
/* The error, with the line for people in *ret_error if not NULL. */
int fixture_try_open(Fixture *f, char **ret_error);
void fixture_close(Fixture *f);
/* Turns the loop once, until that ticket was reported safe, until refusal or failure. */
void fixture_turn(Fixture *f);
void fixture_wait(Fixture *f, uint64_t ticket);
void fixture_wait_for_failure(Fixture *f);
int fixture_sync(Fixture *f);
/* Runs SQLite's own complete check on the closed store, and ours that nothing is left of tasks that are gone. */
void fixture_check_file(const Fixture *f);

typedef struct Snapshot {
        int32_t versions[TASKS_MAX]; /* by sequence; -1: there is none */
        uint32_t types;              /* a bit each */
} Snapshot;

/* Loads all, checking each task in full and the order. */
void snapshot_load(Snapshot *s, Store *store);
bool snapshot_equal(const Snapshot *a, const Snapshot *b);

/* What a task holds; borrowed until the next call for one. */
StoreTask example_task(uint64_t sequence, uint32_t version);
bool example_is_ended(uint64_t sequence, uint32_t version);

typedef enum OpKind { OP_SUBMIT, OP_UPDATE, OP_FORGET, OP_TYPE } OpKind;

typedef struct Op {
        OpKind kind;
        uint64_t ticket;
        uint32_t sequence, version; /* OP_TYPE: which */
} Op;

typedef struct Workload {
        uint64_t random;
        Op ops[OPS_MAX];
        size_t n_ops;
        uint32_t next_sequence;
        Snapshot now; /* as if nothing were refused */
} Workload;

void workload_init(Workload *w, uint64_t seed);
uint64_t workload_random(Workload *w, uint64_t n);
/* Appends some changes, which are to be committed under this ticket. The store may be NULL. */
void workload_append(Workload *w, Store *store, uint64_t ticket);
/* What the store must hold when the batches up to `last` are in it, without the submits of refused ones. */
void workload_expect(const Workload *w, uint64_t last, const uint64_t *refused, size_t n_refused,
                     Snapshot *ret);
/* Loads, and fails unless the store holds exactly what some number of batches, from `min` to `max`, amounts to.
 * Returns it. */
uint64_t workload_check_prefix(const Workload *w, Store *store, uint64_t min, uint64_t max);

/* Of a suite with one test case: an exit status. */
int fixture_run(const char *name, TCase *t);
