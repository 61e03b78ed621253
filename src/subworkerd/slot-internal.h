/* SPDX-License-Identifier: MIT */
#pragma once

/* Shared by slot.c and slot-output.c. */

#include "exec.h"
#include "output-tail.h"
#include "output.h"
#include "slot.h"

#define SLOT_REASON_MAX 1024U

struct Slot {
        const SlotShared *shared;
        SlotState state;
        uint64_t state_since, ready_since;
        bool was_ready, intended, broken;
        char reason[SLOT_REASON_MAX];

        int fd;        /* ours */
        int runner_fd; /* a duplicate of the runner's */
        Process process;
        sd_event_source *io, *child, *output_io;
        Output *output;
        uint64_t output_bytes, output_lost; /* of the task at the head: logged, and left out */
        OutputTail tail;                    /* of the same */

        JobList piped, staged;
        unsigned n_piped, n_staged;
        uint64_t piped_usec; /* expected, of both */
        uint64_t seq;        /* of the next task */
        uint64_t first_seq;  /* as much less as the process was given tasks that it kept */
        uint64_t head_since;
        Meter meter;
        bool is_littered; /* a task may have left children behind: to be ended before the next one begins */
};

/* slot-output.c: what tasks write */
int slot_on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata);
/* Fewer tasks are in the socket now. */
void slot_output_resume(Slot *s);
/* The task has ended. With a mark, what it wrote ends there; without, all of it was read before. */
void slot_output_end(Slot *s, const Job *job, uint64_t seq, bool marked);
/* Whether one more message, of the task or (NULL) of none, may go to the journal. Those that would not be shown do not
 * count. */
bool slot_output_admit(Slot *s, const Job *job, int priority, size_t size);
/* All that is left, when the process has ended; the last of it is kept for the task that ran. */
void slot_output_drain(Slot *s);
