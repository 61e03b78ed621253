/* SPDX-License-Identifier: MIT */
#pragma once

/* Changes on their way to a database: copied into large chunks of memory, closed into batches, and merged to
 * what they amount to. No I/O, no locks: a batch is filled by the event loop, and read by the writer once
 * it was closed; the loop frees it. */

#include "store.h"

typedef enum StoreChangeKind {
        STORE_CHANGE_SUBMIT,
        STORE_CHANGE_UPDATE,
        STORE_CHANGE_FORGET,   /* only task.sequence is set */
        STORE_CHANGE_PAUSE,    /* only task.name is set: what is paused */
        STORE_CHANGE_RESUME,   /* the same */
        STORE_CHANGE_TYPE,     /* only task.name is set */
        STORE_CHANGE_SCHEDULE, /* from here on only schedule is set */
        STORE_CHANGE_SCHEDULE_AND_PROGRESS,
        STORE_CHANGE_SCHEDULE_PROGRESS, /* with the submits of its batch it is refused */
        STORE_CHANGE_FORGET_SCHEDULE,
} StoreChangeKind;

typedef struct StoreChange {
        struct StoreChange *next;
        StoreChangeKind kind;
        union {
                StoreTask task; /* all it points to lies behind it */
                StoreSchedule schedule;
        };
} StoreChange;

typedef struct StoreChunk StoreChunk;

typedef struct StoreBatch {
        struct StoreBatch *next;
        uint64_t ticket;
        StoreChange *first, *last;
        StoreChunk *chunk; /* in which it ends */
        size_t bytes, submit_bytes;
        uint32_t n_changes, n_submits;
        bool is_urgent;
        bool is_end;     /* nothing comes after it */
        bool is_refused; /* its submits count as if they had never been; set by the writer */
} StoreBatch;

/* The loop's side. */
typedef struct StoreBatches {
        StoreChunk *first_chunk, *last_chunk;
        StoreBatch *oldest, *newest; /* closed and not released */
        StoreBatch *open;
        uint64_t last_ticket;
        size_t bytes;
} StoreBatches;

/* -ENOMEM: nothing was added. */
int store_batches_add(StoreBatches *b, StoreChangeKind kind, const StoreTask *tasks, size_t n);
/* The kinds that are about schedules. -ENOMEM: nothing was added. */
int store_batches_add_schedule(StoreBatches *b, StoreChangeKind kind, const StoreSchedule *s);
/* Progress of a schedule, and submits. -ENOMEM: nothing was added. */
int store_batches_move_schedule(StoreBatches *b, const StoreSchedule *s, const StoreTask *tasks,
                                size_t n);
/* What was added so far must not lie; there is a batch then even if that is nothing. -ENOMEM */
int store_batches_hurry(StoreBatches *b);
/* A batch that says that there is nothing more to come. -ENOMEM */
int store_batches_end(StoreBatches *b);
/* Returns NULL if nothing was added since the last one. It is not linked to the one before it yet: that is
 * left to the caller, who shares the list with the writer: store_batches_link(). */
StoreBatch *store_batches_close(StoreBatches *b);
void store_batches_link(StoreBatches *b, StoreBatch *batch);
/* Frees what the batches up to this ticket hold. */
void store_batches_release(StoreBatches *b, uint64_t ticket);
void store_batches_done(StoreBatches *b);

/* What a group of batches amounts to. */
typedef struct StoreMergedTask {
        uint64_t sequence;
        bool forget;             /* first of all, if the store has it */
        const StoreTask *submit; /* then this, */
        const StoreTask *update; /* then this */
} StoreMergedTask;

typedef struct StoreMerge {
        StoreMergedTask *tasks;
        uint32_t *index; /* 1 + place in `tasks`, by a hash of the sequence */
        const char **types;
        const StoreChange **schedules; /* their changes, and those of what is paused, in order */
        size_t n, n_types, n_schedules, n_allocated, n_index;
        bool is_end; /* nothing comes after it */
} StoreMerge;

/* Merges the batches from `first` to `last`; the result borrows them. -ENOMEM */
int store_merge(StoreMerge *m, const StoreBatch *first, const StoreBatch *last);
void store_merge_done(StoreMerge *m);
