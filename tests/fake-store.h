/* SPDX-License-Identifier: MIT */
#pragma once

/* A store that writes down what it is told and is safe when the test says so, for the coordinator without sockets
 * of controld-fixture.h. */

#include "controld-fixture.h"

typedef enum FakeChangeKind {
        FAKE_SUBMIT,
        FAKE_UPDATE,
        FAKE_FORGET,
        FAKE_TYPE,
        FAKE_PAUSE,
        FAKE_SCHEDULE,
        FAKE_SCHEDULE_AND_PROGRESS,
        FAKE_PROGRESS,
        FAKE_FORGET_SCHEDULE,
} FakeChangeKind;

typedef struct FakeChange {
        FakeChangeKind kind;
        uint64_t ticket; /* of its batch */
        uint64_t sequence;
        TaskState state;
        uint32_t attempt, crashes;
        uint64_t n_runs; /* FAKE_PROGRESS */
        bool cancel_asked;
        char worker[16], result[16], error[64];
} FakeChange;

typedef struct FakeStore {
        FakeChange changes[256];
        size_t n_changes, n_hurries;
        uint64_t ticket, safe;
        bool is_full;
        uint64_t lacking; /* bytes */
        int error;        /* what the next change is refused with; 0: none */
        char backup[64];
        int backup_error;
        StoreBackupDone backup_done;
        void *backup_userdata;
} FakeStore;

extern FakeStore fake_store;

/* Takes the place of the store of the fixture, whose requests are from now on committed by the test. To be called
 * after fixture_setup(); fixture_teardown() closes it. */
void fake_store_setup(void);

/* fixture_setup() with this store, the task type "a", and nobody who is waited for. */
void fake_store_fixture_setup(void);

/* What was done so far is one batch: its ticket. */
uint64_t fake_store_commit(void);

/* Everything up to the ticket is safe now. */
void fake_store_make_safe(uint64_t ticket);

/* The last change of the task, or NULL. */
const FakeChange *fake_store_last(uint64_t sequence);
