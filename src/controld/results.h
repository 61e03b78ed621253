/* SPDX-License-Identifier: MIT */
#pragma once

/* The cache of ended tasks: at most so many, the least recently asked for leave first, and none is kept
 * longer than its time to live after completion. */

#include "peer.h"

typedef struct Results {
        TaskList by_access;    /* least recently used first */
        TaskList by_age;       /* completed first */
        uint64_t n, bytes;     /* arguments and results of those kept */
        uint64_t stored_bytes; /* what those that the store has take there, about */
        uint64_t size_max;
        void (*forget)(const Task *t, void *userdata); /* one is about to be freed; or NULL */
        void *userdata;
        uint64_t ttl_usec; /* USEC_INFINITY: for ever */
} Results;

void results_init(Results *r, uint64_t size_max, uint64_t ttl_usec);

/* Takes over an ended task. */
void results_add(Results *r, Task *t);

/* The task was asked for. Returns false if it is too old to be shown (the next clean-up removes it). */
bool results_access(Results *r, Task *t);

/* Whether an ended task is too old to be shown; false for others. */
bool results_is_expired(const Results *r, const Task *t);

/* It is no result any more; the task stays. */
void results_remove(Results *r, Task *t);

/* Frees one result now. */
void results_drop(Results *r, TaskTable *table, PeerList *dirty, Task *t);

/* Frees what is too many, or too much: payload_max bytes of arguments and results are kept. Not to be called between
 * an end and its push to those that wait, nor is the next one. */
void results_trim(Results *r, TaskTable *table, PeerList *dirty, uint64_t payload_max);

/* Frees some, the least recently used first, so that the store has as many bytes less: none if even all of
 * them would not do, and not too many in one call. Returns how many. */
size_t results_make_room(Results *r, TaskTable *table, PeerList *dirty, uint64_t bytes);

/* Frees what is too old; returns how many. */
size_t results_expire(Results *r, TaskTable *table, PeerList *dirty);
