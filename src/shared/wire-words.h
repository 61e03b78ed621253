/* SPDX-License-Identifier: MIT */
#pragma once

/* The words and limits of the protocol; wire.h has what is done with them. */

#include <stdint.h>

#include "string-table.h"

#define WIRE_VERSION         1
#define WIRE_PREFIX          "FW1 "
#define WIRE_CORRELATION_MAX 32U
#define WIRE_NAME_MAX        255U
#define WIRE_WORKER_ID_MAX   128U
#define WIRE_KEY_MAX         64U
#define WIRE_CODE_MAX        64U
#define WIRE_DIGITS_MAX      19U
#define WIRE_NUMBER_MAX      UINT64_C(9999999999999999999) /* WIRE_DIGITS_MAX digits */
#define WIRE_TEXT_MAX        (64U * 1024U)
#define WIRE_INFO_MAX        (1024U * 1024U)
#define WIRE_OPTIONS_MAX     (64U * 1024U)
#define WIRE_PAYLOAD_MAX \
        (64U * 1024U * 1024U) /* arguments or result of one task; the daemons' limits are lower */
#define WIRE_BATCH_MAX  1000U /* groups in one message */
#define WIRE_FRAMES_MAX (8U + 8U * WIRE_BATCH_MAX)

typedef enum WireVerb {
        /* any endpoint */
        WIRE_PING,
        WIRE_PONG,
        WIRE_ERROR,
        WIRE_ACK,
        WIRE_INFO,
        WIRE_DISCOVER,
        WIRE_HELLO,
        WIRE_WELCOME,
        /* clients */
        WIRE_SUBMIT,
        WIRE_ACCEPTED,
        WIRE_RESULT,
        WIRE_WAIT,
        WIRE_FORGET,
        WIRE_STATUS,
        WIRE_TASK,
        WIRE_CANCEL,
        WIRE_CANCELLED,
        WIRE_RETRY,
        WIRE_PURGE,
        WIRE_BACKUP,
        WIRE_PAUSE,
        WIRE_SCHEDULE,
        WIRE_LIST,
        WIRE_WORKERS,
        WIRE_QUEUES,
        WIRE_TYPES,
        WIRE_STATS,
        /* subworkers */
        WIRE_REGISTER,
        WIRE_REGISTERED,
        WIRE_HEARTBEAT,
        WIRE_CAPACITY,
        WIRE_TASKS,
        WIRE_STARTED,
        WIRE_PROGRESS,
        WIRE_DONE,
        WIRE_RELEASE,
        WIRE_REVOKE,
        WIRE_DRAIN,
        WIRE_GOODBYE,
        /* a subworker's own endpoint */
        WIRE_REPORT,
        _WIRE_VERB_MAX,
        _WIRE_VERB_INVALID = -EINVAL,
} WireVerb;

/* Who sends to whom; a verb is legal in some of these and unknown in the others. */
typedef enum WireDirection {
        WIRE_CLIENT_TO_CONTROLD = 1 << 0,
        WIRE_CONTROLD_TO_CLIENT = 1 << 1,
        WIRE_WORKER_TO_CONTROLD = 1 << 2,
        WIRE_CONTROLD_TO_WORKER = 1 << 3,
        WIRE_ANYONE_TO_DISCOVERY = 1 << 4,
        WIRE_ANYONE_TO_WORKER = 1 << 5, /* the subworker's own endpoint */
} WireDirection;

/* Why a request was refused: the first field of ERROR. */
typedef enum WireError {
        WIRE_ERROR_BAD_MESSAGE,         /* frames missing, too many, or malformed */
        WIRE_ERROR_UNSUPPORTED_VERSION, /* not FW1 */
        WIRE_ERROR_UNKNOWN_VERB,        /* no such verb, or not on this endpoint */
        WIRE_ERROR_BAD_ARGUMENT,        /* well formed, but a value makes no sense */
        WIRE_ERROR_TOO_LARGE,           /* longer than the limit that the text names */
        WIRE_ERROR_UNKNOWN_TASK_TYPE,   /* no subworker ever offered a task of this name */
        WIRE_ERROR_UNKNOWN_TASK,        /* this id is expired or was never given */
        WIRE_ERROR_QUEUE_FULL, /* a limit on queued tasks or open waits is reached: try later */
        WIRE_ERROR_EXISTS,     /* a task with this unique key has not ended */
        WIRE_ERROR_NO_SPACE,   /* the store is full: try later */
        WIRE_ERROR_UNKNOWN_SCHEDULE, /* there is no schedule of this name */
        WIRE_ERROR_DENIED,           /* the peer's role does not include this */
        WIRE_ERROR_NOT_REGISTERED,   /* a subworker must REGISTER first (again, after a restart) */
        WIRE_ERROR_NAME_IN_USE,      /* another live subworker has this worker id */
        WIRE_ERROR_STOPPING,         /* the daemon is shutting down */
        WIRE_ERROR_INTERNAL,         /* out of memory or the like: nothing was done */
        _WIRE_ERROR_MAX,
        _WIRE_ERROR_INVALID = -EINVAL,
} WireError;

/* How a task ended at the subworker: the third field of a DONE group. */
typedef enum WireOutcome {
        WIRE_OUTCOME_SUCCESS,
        WIRE_OUTCOME_FAILURE, /* the task's own error */
        WIRE_OUTCOME_CRASH,   /* its process died */
        WIRE_OUTCOME_TIMEOUT,
        WIRE_OUTCOME_CANCELLED, /* stopped by REVOKE */
        _WIRE_OUTCOME_MAX,
        _WIRE_OUTCOME_INVALID = -EINVAL,
} WireOutcome;

/* What CANCEL did: the second field of CANCELLED. */
typedef enum WireCancel {
        WIRE_CANCEL_CANCELLED, /* it was waiting and is now cancelled */
        WIRE_CANCEL_STOPPING,  /* it runs: its subworker was told to stop it, the RESULT will say */
        WIRE_CANCEL_FINISHED,  /* it had ended before */
        _WIRE_CANCEL_MAX,
        _WIRE_CANCEL_INVALID = -EINVAL,
} WireCancel;

DECLARE_STRING_TABLE(wire_verb, WireVerb);
DECLARE_STRING_TABLE(wire_error, WireError);
DECLARE_STRING_TABLE(wire_outcome, WireOutcome);
DECLARE_STRING_TABLE(wire_cancel, WireCancel);
