/* SPDX-License-Identifier: MIT */
#pragma once

/* What fastworker-subworkerd and a runner say to each other over the runner's descriptor 3, a unix socket
 * of type SOCK_SEQPACKET: one packet a message, a line of text and then the payload.
 * doc/runner-protocol.md is the contract; this is its code, used by both sides. Nothing here logs. */

#include <sys/socket.h>
#include <sys/uio.h>

#include "macro.h"
#include "string-table.h"
#include "task-id.h"

#define RUNNER_FD              3
#define RUNNER_VERSION         1
#define RUNNER_HEADER_MAX      512U          /* the line, with its newline */
#define RUNNER_INLINE_MAX      (64U * 1024U) /* longer payloads travel in a memfd */
#define RUNNER_PACKET_MAX      (RUNNER_HEADER_MAX + RUNNER_INLINE_MAX)
#define RUNNER_NAME_MAX        255U
#define RUNNER_TEXT_MAX        (64U * 1024U) /* error texts and log lines; longer ones are cut */
#define RUNNER_TRACEPARENT_MAX 55U           /* of W3C Trace Context, version 00 */
#define RUNNER_PERCENT_MAX     10000U

typedef enum RunnerVerb {
        RUNNER_RUN,    /* to the runner: call a task; the payload is its arguments */
        RUNNER_HELLO,  /* ready; the payload lists the task types, "name TAB description" a line */
        RUNNER_FAILED, /* cannot start; the payload says why */
        RUNNER_DONE,   /* a task has ended; the payload is its result or its error text */
        RUNNER_LOG,    /* the payload is one message of the task for the journal */
        RUNNER_PROGRESS, /* how far a task is; the payload is a text for people */
        _RUNNER_VERB_MAX,
        _RUNNER_VERB_INVALID = -EINVAL,
} RunnerVerb;

DECLARE_STRING_TABLE(runner_verb, RunnerVerb);

/* How what failed has ended, if the runner knows better than that the task has told an error. */
typedef enum RunnerReason {
        RUNNER_REASON_NONE,
        RUNNER_REASON_EXIT,    /* a command: a bad exit status */
        RUNNER_REASON_SIGNAL,  /* a command was killed */
        RUNNER_REASON_TIMEOUT, /* one of the limits of time */
        _RUNNER_REASON_MAX,
        _RUNNER_REASON_INVALID = -EINVAL,
} RunnerReason;

DECLARE_STRING_TABLE(runner_reason, RunnerReason);

/* What a program that a runner has executed for a task has used, as the kernel has told the runner. */
typedef struct RunnerUsage {
        bool is_known;
        uint64_t cpu_usec, memory_peak_bytes;
} RunnerUsage;

/* A decoded packet; it borrows the packet's bytes. */
typedef struct RunnerMessage {
        RunnerVerb
                verb; /* _RUNNER_VERB_INVALID: one that this version does not know, to be passed over */
        uint64_t seq;   /* RUN, DONE, LOG, PROGRESS */
        TaskId task_id; /* RUN */
        uint64_t attempt;
        struct iovec name;
        uint64_t soft_timeout_usec, timeout_usec; /* 0: not given */
        struct iovec traceparent;                 /* empty: not given */
        uint64_t version;                         /* HELLO */
        uint64_t pid;
        bool success; /* DONE */
        bool marked;  /* DONE: what the task wrote ends with its mark */
        uint64_t started_usec;
        uint64_t completed_usec;
        RunnerReason reason;
        RunnerUsage usage;
        bool no_retry, has_retry_after;
        uint64_t retry_after_usec;
        unsigned percent; /* PROGRESS: in hundredths, at most RUNNER_PERCENT_MAX */
        int priority;     /* LOG: 0 to 7 as in <syslog.h> */
        bool in_fd; /* the payload is in the memfd that came with the packet, not in the packet */
        const char *payload;
        size_t payload_size;
} RunnerMessage;

/* Returns 0, or -EBADMSG for what is no message of this protocol. */
int runner_decode(const char *packet, size_t size, RunnerMessage *ret);

/* One packet to be sent: the line, and how sendmsg() wants it. The payload is borrowed. Initialise `fd` to
 * -EBADF once; each composing function and runner_packet_done() close what it held. */
typedef struct RunnerPacket {
        int fd;
        bool marked;       /* for DONE, to be set before it is composed */
        RunnerUsage usage; /* the same */
        size_t header_size;
        struct iovec iov[2];
        struct msghdr msg;
        union {
                size_t alignment;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        char header[RUNNER_HEADER_MAX];
} RunnerPacket;

/* What a request may say besides; zero or NULL where nothing is to be said. */
typedef struct RunnerRunOptions {
        uint64_t soft_timeout_usec, timeout_usec; /* from the call of the function on */
        const char *traceparent;                  /* of W3C Trace Context */
} RunnerRunOptions;

/* What a task wants to become of it after this failure, and what that was. */
typedef struct RunnerRetry {
        bool never; /* it is not to be tried again, whatever the settings say */
        uint64_t
                after_usec; /* it is to be tried again in so long; USEC_INFINITY: as the settings say */
        RunnerReason reason;
} RunnerRetry;

/* They return 0, or -errno if a memfd was needed and could not be made, or -EMSGSIZE for a name or text
 * that is longer than it may be. */
int runner_packet_run(RunnerPacket *p, uint64_t seq, const TaskId *id, uint64_t attempt,
                      const char *name, const void *arguments, size_t size);
int runner_packet_run_with(RunnerPacket *p, uint64_t seq, const TaskId *id, uint64_t attempt,
                           const char *name, const RunnerRunOptions *options, const void *arguments,
                           size_t size);
int runner_packet_hello(RunnerPacket *p, const char *types, size_t size);
int runner_packet_failed(RunnerPacket *p, const char *text);
int runner_packet_done(RunnerPacket *p, uint64_t seq, bool success, uint64_t started_usec,
                       uint64_t completed_usec, const void *payload, size_t size);
int runner_packet_done_with(RunnerPacket *p, uint64_t seq, bool success, uint64_t started_usec,
                            uint64_t completed_usec, const RunnerRetry *retry, const void *payload,
                            size_t size);
int runner_packet_progress(RunnerPacket *p, uint64_t seq, unsigned percent, const char *text,
                           size_t size);
int runner_packet_log(RunnerPacket *p, uint64_t seq, int priority, const char *text, size_t size);
void runner_packet_clear(RunnerPacket *p);

/* A sealed memfd with a copy of the data, or -errno. */
int runner_memfd_new(const void *data, size_t size);

/* Packets received with one system call. */
typedef struct RunnerInbox RunnerInbox;

int runner_inbox_new(unsigned n_packets, RunnerInbox **ret);
RunnerInbox *runner_inbox_free(RunnerInbox *b);
DEFINE_CLEANUP_FUNC(RunnerInbox *, runner_inbox_free);

/* Receives up to n_packets (one if fewer are there); `flags` is 0 or MSG_DONTWAIT. Returns how many, 0 when
 * the other side is gone, -EAGAIN when there is nothing, or another -errno. What was received before is
 * forgotten and its descriptors are closed. */
int runner_inbox_receive(RunnerInbox *b, int fd, int flags);

/* Decodes the i-th packet received. The payload is followed by a NUL. Returns 0, -EBADMSG also for a memfd
 * that is not what the line says or that its sender could still change, -EMSGSIZE for a payload of more
 * than `payload_max`, or another -errno. */
int runner_inbox_get(RunnerInbox *b, unsigned i, size_t payload_max, RunnerMessage *ret);
