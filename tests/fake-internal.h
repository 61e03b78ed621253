/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of the fake coordinator share. */

#include <stdio.h>
#include <stdlib.h>

#include "fake-coordinator.h"
#include "hash.h"
#include "must.h"
#include "task-state.h"
#include "wire.h"
#include "zmq-util.h"

typedef struct FakeTask {
        TaskId id;
        char key[WIRE_KEY_MAX + 1], name[WIRE_NAME_MAX + 1];
        TaskPriority priority;
        TaskState state;
        struct iovec arguments, result;
        char options[200];
        const char *error;
        uint64_t created_usec, completed_usec;
        char waiter[16]; /* routing id of the one peer that wants the result */
        size_t waiter_size;
        UT_hash_handle hh, by_key;
} FakeTask;

struct Fake {
        void *context, *socket;
        int stop_fd;
        char *address, *announced;
        pthread_t thread;
        bool is_running, was_deaf, was_stopping;
        const char *_Atomic refuse_code, *_Atomic refuse_text;
        _Atomic unsigned counters[_FAKE_COUNTER_MAX];
        _Atomic unsigned n_stolen;
        atomic_bool is_mute_once, is_schedule_gone;
        char options[WIRE_OPTIONS_MAX + 1];
        FakeTask *tasks, *keys, *slow;
        Frames in;
        WireOut out;
};

void fake_add(Fake *f, FakeCounter counter, size_t n);
void fake_reply(Fake *f);
void fake_refuse(Fake *f, const WireMessage *m, WireError code, const char *text);
void fake_answer_info(Fake *f, const WireMessage *m, WireVerb verb, const char *json);
FakeTask *fake_find(Fake *f, const struct iovec *field);
void fake_forget_task(Fake *f, FakeTask *t);

/* fake-admin.c */
void fake_administer(Fake *f, const WireMessage *m);
void fake_list(Fake *f, const WireMessage *m);
