/* SPDX-License-Identifier: MIT */
#pragma once

/* One runner process and the socket to it.
 *
 * The socket is the queue: it may hold several short tasks that the runner takes one by one, which costs no
 * wake-up of ours for each, and because we keep a duplicate of the runner's end we can take back what the
 * runner has not begun. The kernel gives each packet to exactly one of the two. */

#include <systemd/sd-event.h>

#include "cgroup.h"
#include "job-user.h"
#include "job.h"
#include "runner-wire.h"

#define SLOT_PIPE_MAX   32U            /* tasks in a socket */
#define SLOT_PIPED_USEC UINT32_C(2000) /* and how long they may be expected to take together */

typedef struct Slot Slot;

typedef enum SlotState {
        SLOT_DOWN,     /* no process */
        SLOT_STARTING, /* has not said HELLO */
        SLOT_READY,
        SLOT_ENDING, /* was told to end, or killed */
} SlotState;

/* How a process ended. */
typedef struct SlotEnd {
        const char *reason; /* "killed by signal ...", or what the runner said */
        bool was_ready;
        bool intended;         /* slot_stop() or slot_kill() was called */
        uint64_t ready_usec;   /* how long ago it became ready */
        Job *interrupted;      /* the task that ran, out of the pipe now, or NULL */
        uint64_t started_usec; /* when that was begun, CLOCK_REALTIME, as far as we know */
        JobList *undone;       /* tasks that were not begun, in order: the handler empties it */
} SlotEnd;

/* Handlers may not read from a socket (slot_settle()), nor free a slot that is not DOWN. */
typedef struct SlotHandlers {
        void (*ready)(Slot *s, const char *types, size_t size, void *userdata);
        /* The job is out of the pipe; the message is its DONE. */
        void (*done)(Slot *s, Job *job, const RunnerMessage *m, void *userdata);
        /* The job that runs. */
        void (*progress)(Slot *s, const Job *job, const RunnerMessage *m, void *userdata);
        void (*log)(Slot *s, const Job *job, const RunnerMessage *m, void *userdata);
        void (*gone)(Slot *s, const SlotEnd *end, void *userdata);
        /* After a batch of the above. */
        void (*turn)(void *userdata);
} SlotHandlers;

/* What all slots of a pool share; it outlives them. */
typedef struct SlotShared {
        sd_event *event;
        RunnerInbox *inbox;
        RunnerPacket *packets; /* SLOT_PIPE_MAX, with fd = -EBADF */
        const SlotHandlers *handlers;
        void *userdata;
        size_t result_max;
        const JobUser *user; /* NULL: ours */
        Cgroup *cgroup;      /* NULL: none */
        uint64_t memory_max; /* of processes that are started from now on; 0: no limit */
        uint64_t output_max; /* bytes of one task that are logged; 0: no limit */
        uint64_t tasks_max;  /* in the life of a process; 0: no limit */
} SlotShared;

int slot_new(const SlotShared *shared, Slot **ret);
/* Kills the process. Jobs must have been taken out. */
Slot *slot_free(Slot *s);
DEFINE_CLEANUP_FUNC(Slot *, slot_free);

/* Starts a process in a slot that is DOWN. */
int slot_start(Slot *s, char *const *argv, char *const *environment);

SlotState slot_state(const Slot *s);
pid_t slot_pid(const Slot *s);
/* When the state began, CLOCK_MONOTONIC. */
uint64_t slot_state_since(const Slot *s);

/* Tasks in the pipe, staged ones included, and the first one: it runs, as far as we know since *ret_since
 * (CLOCK_MONOTONIC). NULL when there is none. */
unsigned slot_count(const Slot *s);
Job *slot_head(const Slot *s, uint64_t *ret_since);

/* The number of the next task; it grows. */
uint64_t slot_seq(const Slot *s);
/* Tasks that were given to the process and not taken back, since it was started. */
uint64_t slot_n_given(const Slot *s);
/* Of these, how many have ended. */
uint64_t slot_n_ended(const Slot *s);

/* The first task has run for so long that what it uses is to be measured. */
void slot_measure(Slot *s);
/* Resident memory, 0 if not known. */
uint64_t slot_memory(const Slot *s);
/* No task is in the pipe: ends what those before have left behind. Returns whether that is done; else it is littered. */
bool slot_clean_up(Slot *s);
/* It takes no tasks before slot_clean_up() has done its work. */
bool slot_is_littered(const Slot *s);

/* Whether a task of that expected duration may go behind what is there. */
bool slot_accepts(const Slot *s, uint32_t expected_usec);

/* Takes a job that is in no list; it goes with the next flush. */
void slot_stage(Slot *s, Job *job);

/* Sends what is staged with one system call. What the socket has no room for is appended to `unsent`.
 * Returns 0, or -errno if the first of them can never be sent. */
int slot_flush(Slot *s, JobList *unsent);

/* Takes out of the socket what the runner has not begun, and appends it to `ret`, in order. */
void slot_take_back(Slot *s, JobList *ret);

/* Reads all answers that are there, calling the handlers. */
void slot_settle(Slot *s);

/* Lets the process end by itself when it has done what is in the pipe. */
void slot_stop(Slot *s);
/* Ends it now, and all that it has started. */
void slot_kill(Slot *s);
