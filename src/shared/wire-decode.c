/* SPDX-License-Identifier: MIT */

/* Bytes from a peer -> a checked message. Everything a peer sends comes through wire_decode() first; the
 * fuzz target is tests/fuzz_wire.c. */

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "wire.h"

static int refuse(WireRefusal *ret, WireError code, const char *format, ...) _printf_(3, 4);

static int refuse(WireRefusal *ret, WireError code, const char *format, ...) {
        va_list ap;

        ret->code = code;
        va_start(ap, format);
        (void) vsnprintf(ret->text, sizeof(ret->text), format, ap);
        va_end(ap);
        return -EBADMSG;
}

static const char *kind_requirement(WireKind kind) {
        switch (kind) {
        case WIRE_KIND_TASK_ID:
                return "a task id: the 36 characters of a UUID";
        case WIRE_KIND_NAME:
                return "a task name: 1 to 255 letters, digits or . _ : -";
        case WIRE_KIND_WORKER_ID:
                return "a worker id: 1 to 128 letters, digits or . _ : - @";
        case WIRE_KIND_PRIORITY:
                return "a priority: critical, high, normal or low";
        case WIRE_KIND_KEY:
                return "a key: at most 64 printable ASCII characters";
        case WIRE_KIND_NUMBER:
                return "a number: 1 to 19 decimal digits";
        case WIRE_KIND_STATUS:
                return "a task status";
        case WIRE_KIND_OUTCOME:
                return "an outcome: success, failure, crash, timeout or cancelled";
        case WIRE_KIND_CANCEL:
                return "cancelled, stopping or finished";
        case WIRE_KIND_CODE:
                return "an error code: 1 to 64 of a-z and -";
        case WIRE_KIND_MODE:
                return "a mode: empty or \"wait\"";
        case WIRE_KIND_INFO:
                return "at most 1 MiB of JSON";
        case WIRE_KIND_OPTIONS:
                return "at most 64 KiB of JSON";
        case WIRE_KIND_TEXT:
                return "at most 64 KiB of text";
        case WIRE_KIND_PAYLOAD:
                return "at most 64 MiB";
        }
        return "something else";
}

static int check_fields(const WireSchema *s, const char *kinds, const struct iovec *f,
                        size_t first_frame, WireRefusal *ret) {
        for (size_t i = 0; kinds[i]; i++) {
                WireKind kind = (WireKind) kinds[i];

                if (!wire_field_is_valid(kind, &f[i])) {
                        bool size_only = kind == WIRE_KIND_INFO || kind == WIRE_KIND_OPTIONS ||
                                         kind == WIRE_KIND_TEXT || kind == WIRE_KIND_PAYLOAD;

                        return refuse(ret,
                                      size_only ? WIRE_ERROR_TOO_LARGE : WIRE_ERROR_BAD_MESSAGE,
                                      "%s: frame %zu (%zu bytes) must be %s", s->name,
                                      first_frame + i + 1, f[i].iov_len, kind_requirement(kind));
                }
        }
        return 0;
}

/* The verb in printable form, cut, for an error text. */
static void quote(const struct iovec *f, char ret[static 24]) {
        size_t n = MIN(f->iov_len, (size_t) 20);

        for (size_t i = 0; i < n; i++) {
                unsigned char c = ((const unsigned char *) f->iov_base)[i];

                ret[i] = isprint(c) && c < 0x7f ? (char) c : '?';
        }
        strcpy(ret + n, f->iov_len > n ? "..." : "");
}

/* "FW", a number and a space, as all versions have it; at least as long as our own prefix. */
static bool has_version(const struct iovec *f) {
        const char *s = f->iov_base;
        size_t i = 2;

        if (f->iov_len < sizeof(WIRE_PREFIX) - 1 || memcmp(s, "FW", 2) != 0)
                return false;
        while (i < f->iov_len && s[i] >= '0' && s[i] <= '9')
                i++;
        return i > 2 && i < f->iov_len && s[i] == ' ';
}

static int decode_verb(const struct iovec *f, WireDirection direction, WireVerb *ret,
                       WireRefusal *ret_refusal) {
        static const size_t prefix = sizeof(WIRE_PREFIX) - 1;
        const char *text = f->iov_base;
        char quoted[24];

        quote(f, quoted);
        if (!has_version(f))
                return refuse(ret_refusal, WIRE_ERROR_BAD_MESSAGE,
                              "the first frame must be \"FW1 VERB\", not \"%s\"", quoted);
        if (memcmp(text, WIRE_PREFIX, prefix) != 0)
                return refuse(ret_refusal, WIRE_ERROR_UNSUPPORTED_VERSION,
                              "\"%s\": this side speaks protocol version 1 (\"FW1 VERB\")", quoted);

        for (WireVerb v = 0; v < _WIRE_VERB_MAX; v++) {
                const WireSchema *s = wire_schema(v);
                size_t length = strlen(s->name);

                if (length == f->iov_len - prefix && memcmp(s->name, text + prefix, length) == 0) {
                        if (!(s->directions & direction))
                                break;
                        *ret = v;
                        return 0;
                }
        }
        return refuse(ret_refusal, WIRE_ERROR_UNKNOWN_VERB,
                      "\"%s\": this endpoint knows no such verb", quoted);
}

static int decode_groups(const WireSchema *s, const struct iovec *frames, size_t n, size_t n_head,
                         WireMessage *ret, WireRefusal *ret_refusal) {
        size_t group_size = strlen(s->group), n_groups;
        int r;

        if (!s->groups_are_open) {
                if (n > n_head)
                        return refuse(ret_refusal, WIRE_ERROR_BAD_MESSAGE,
                                      "%s: has %zu frames, not %zu", s->name, n_head, n);
                return 0;
        }
        if ((n - n_head) % group_size != 0)
                return refuse(ret_refusal, WIRE_ERROR_BAD_MESSAGE,
                              "%s: after %zu frames come groups of %zu; %zu frames are left over",
                              s->name, n_head, group_size, (n - n_head) % group_size);

        n_groups = (n - n_head) / group_size;
        if (n_groups < s->groups_min)
                return refuse(ret_refusal, WIRE_ERROR_BAD_MESSAGE,
                              "%s: needs at least %zu group of %zu frames", s->name, s->groups_min,
                              group_size);
        if (n_groups > WIRE_BATCH_MAX)
                return refuse(ret_refusal, WIRE_ERROR_TOO_LARGE,
                              "%s: at most %u groups in a message, not %zu", s->name,
                              WIRE_BATCH_MAX, n_groups);

        for (size_t i = 0; i < n_groups; i++) {
                size_t at = n_head + i * group_size;

                r = check_fields(s, s->group, frames + at, at, ret_refusal);
                if (r < 0)
                        return r;
        }
        ret->groups = frames + n_head;
        ret->n_groups = n_groups;
        ret->group_size = group_size;
        return 0;
}

int wire_decode(const struct iovec *frames, size_t n, WireDirection direction, WireMessage *ret,
                WireRefusal *ret_refusal) {
        const WireSchema *s;
        size_t n_head;
        int r;

        *ret = (WireMessage){ .verb = _WIRE_VERB_INVALID };
        if (n >= 2 && frames[1].iov_len <= WIRE_CORRELATION_MAX)
                ret->correlation = frames[1];

        if (n < 1)
                return refuse(ret_refusal, WIRE_ERROR_BAD_MESSAGE, "an empty message");
        if (n > WIRE_FRAMES_MAX)
                return refuse(ret_refusal, WIRE_ERROR_TOO_LARGE, "more than %u frames",
                              WIRE_FRAMES_MAX);
        r = decode_verb(&frames[0], direction, &ret->verb, ret_refusal);
        if (r < 0)
                return r;

        s = wire_schema(ret->verb);
        n_head = 2 + strlen(s->fields);
        if (n < n_head)
                return refuse(ret_refusal, WIRE_ERROR_BAD_MESSAGE,
                              "%s: needs at least %zu frames, got %zu", s->name, n_head, n);
        if (frames[1].iov_len > WIRE_CORRELATION_MAX)
                return refuse(ret_refusal, WIRE_ERROR_BAD_MESSAGE,
                              "%s: frame 2, the correlation id, must be at most %u bytes, not %zu",
                              s->name, WIRE_CORRELATION_MAX, frames[1].iov_len);
        r = check_fields(s, s->fields, frames + 2, 2, ret_refusal);
        if (r < 0)
                return r;
        ret->fields = frames + 2;
        return decode_groups(s, frames, n, n_head, ret, ret_refusal);
}

TaskId wire_get_task_id(const struct iovec *f) {
        TaskId id = {};

        (void) task_id_from_text(f->iov_base, f->iov_len, &id);
        return id;
}

uint64_t wire_get_number(const struct iovec *f) {
        const char *s = f->iov_base;
        uint64_t n = 0;

        for (size_t i = 0; i < f->iov_len; i++)
                n = n * 10 + (uint64_t) (s[i] - '0');
        return n;
}

static void copy_word(const struct iovec *f, char ret[static WIRE_CODE_MAX + 1]) {
        size_t n = MIN(f->iov_len, (size_t) WIRE_CODE_MAX);

        memcpy(ret, f->iov_base, n);
        ret[n] = '\0';
}

WireOutcome wire_get_outcome(const struct iovec *f) {
        char word[WIRE_CODE_MAX + 1];

        copy_word(f, word);
        return wire_outcome_from_string(word);
}

WireCancel wire_get_cancel(const struct iovec *f) {
        char word[WIRE_CODE_MAX + 1];

        copy_word(f, word);
        return wire_cancel_from_string(word);
}

WireError wire_get_error(const struct iovec *f) {
        char word[WIRE_CODE_MAX + 1];

        copy_word(f, word);
        return wire_error_from_string(word);
}

bool wire_get_mode_is_wait(const struct iovec *f) {
        return f->iov_len > 0;
}

char *wire_get_string(const struct iovec *f) {
        char *s = malloc(f->iov_len + 1);

        if (!s)
                return NULL;
        if (f->iov_len > 0)
                memcpy(s, f->iov_base, f->iov_len);
        s[f->iov_len] = '\0';
        return s;
}
