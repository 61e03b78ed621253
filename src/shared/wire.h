/* SPDX-License-Identifier: MIT */
#pragma once

/* The FastWorker protocol, version 1. doc/protocol.md is its text and contract; this is its code.
 *
 * A message is a list of frames: "FW1 VERB", a correlation id that the answer repeats, the verb's fixed
 * fields, then zero or more groups of equal size (a group a task, say). What a verb carries stands in one
 * table in wire.c; wire_decode() checks a received message against it, completely: numbers are numbers in
 * range, ids are ids, nothing is longer than its limit. What passed may be read with the wire_get_*()
 * functions, which cannot fail.
 *
 * Nothing here does I/O, allocates while decoding, or logs. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "task-id.h"
#include "wire-words.h"

/* The kinds of field; the letters stand in the verb table. */
typedef enum WireKind {
        WIRE_KIND_TASK_ID = 'i',   /* 36 characters */
        WIRE_KIND_NAME = 'n',      /* task name: 1 to 255 of A-Z a-z 0-9 . _ : - */
        WIRE_KIND_WORKER_ID = 'w', /* 1 to 128 of the same and @ */
        WIRE_KIND_PRIORITY = 'p',  /* empty, or critical high normal low in any case */
        WIRE_KIND_KEY = 'k',       /* idempotency key: 0 to 64 printable ASCII characters */
        WIRE_KIND_NUMBER = 'u',    /* 1 to 19 decimal digits */
        WIRE_KIND_STATUS = 's',    /* a task state, or "unknown" */
        WIRE_KIND_OUTCOME = 'o',
        WIRE_KIND_CANCEL = 'c',
        WIRE_KIND_CODE = 'e', /* 1 to 64 of a-z and -: codes of later versions pass */
        WIRE_KIND_MODE = 'm', /* empty or "wait" */
        WIRE_KIND_INFO = 'j', /* one JSON object or empty, at most WIRE_INFO_MAX, not parsed here */
        WIRE_KIND_OPTIONS = 'x', /* the same, at most WIRE_OPTIONS_MAX */
        WIRE_KIND_TEXT = 't',    /* UTF-8 for people, at most WIRE_TEXT_MAX */
        WIRE_KIND_PAYLOAD = 'b', /* opaque, at most WIRE_PAYLOAD_MAX */
} WireKind;

typedef struct WireSchema {
        const char *name;
        unsigned directions;
        const char *fields; /* a WireKind a fixed field */
        const char *group;  /* a WireKind a field of a group; empty: no groups */
        size_t groups_min;
        bool groups_are_open; /* false: no frames may follow the fixed fields */
} WireSchema;

/* NULL for a verb out of range. */
const WireSchema *wire_schema(WireVerb verb);

/* Whether a string may stand in a field of this kind. */
bool wire_field_is_valid(WireKind kind, const struct iovec *field);

/* --- decoding ------------------------------------------------------------------------------------- */

typedef struct WireMessage {
        WireVerb verb;
        struct iovec correlation;
        const struct iovec *fields; /* as many as the schema has */
        const struct iovec *groups; /* n_groups times group_size frames */
        size_t n_groups;
        size_t group_size;
} WireMessage;

typedef struct WireRefusal {
        WireError code;
        char text[200]; /* printable ASCII: says what is wrong and what would be right */
} WireRefusal;

/* Checks a message of n frames (without routing frames) that came in `direction`. The result borrows the
 * frames. Returns 0, or -EBADMSG with *ret_refusal filled and ret->correlation set as far as there was one,
 * so that the refusal can be answered. */
int wire_decode(const struct iovec *frames, size_t n, WireDirection direction, WireMessage *ret,
                WireRefusal *ret_refusal);

static inline const struct iovec *wire_group(const WireMessage *m, size_t i) {
        return m->groups + i * m->group_size;
}

/* For fields that wire_decode() has checked. */
TaskId wire_get_task_id(const struct iovec *field);
uint64_t wire_get_number(const struct iovec *field);
WireOutcome wire_get_outcome(const struct iovec *field);
WireCancel wire_get_cancel(const struct iovec *field);
bool wire_get_mode_is_wait(const struct iovec *field);
/* _WIRE_ERROR_INVALID for a code this version does not know. */
WireError wire_get_error(const struct iovec *field);
/* Copies into a fresh string; NULL when out of memory. */
char *wire_get_string(const struct iovec *field);

/* --- encoding ------------------------------------------------------------------------------------- */

/* One frame to be sent: borrowed bytes, or a short text of its own when data is NULL. */
typedef struct WireFrame {
        const void *data;
        uint32_t size;
        char own[TASK_ID_TEXT_LENGTH + 4];
} WireFrame;

/* A message under construction, reused from message to message. A failure sticks in `error`, so that one
 * check before sending is enough. Borrowed data must live until the message is sent. */
typedef struct WireOut {
        WireFrame *frames;
        size_t n, allocated;
        int error;
} WireOut;

void wire_out_done(WireOut *out);

/* Starts a new message (an old one is forgotten). */
void wire_begin(WireOut *out, WireVerb verb, const struct iovec *correlation);
void wire_put(WireOut *out, const void *data, size_t size);
void wire_put_string(WireOut *out, const char *s); /* NULL counts as empty */
void wire_put_number(WireOut *out, uint64_t n);    /* -ERANGE above WIRE_NUMBER_MAX */
void wire_put_task_id(WireOut *out, const TaskId *id);

static inline const void *wire_frame_data(const WireFrame *f) {
        return f->data ? f->data : f->own;
}

/* ERROR with a code and a text. */
void wire_put_refusal(WireOut *out, const struct iovec *correlation, WireError code,
                      const char *text);
