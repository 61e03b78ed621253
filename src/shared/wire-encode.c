/* SPDX-License-Identifier: MIT */

#include "wire.h"

void wire_out_done(WireOut *out) {
        free(out->frames);
        *out = (WireOut){};
}

static WireFrame *add_frame(WireOut *out) {
        if (out->error < 0)
                return NULL;

        if (out->n == out->allocated) {
                size_t n = MAX(out->allocated * 2, (size_t) 16);
                WireFrame *frames = reallocarray(out->frames, n, sizeof(WireFrame));

                if (!frames) {
                        out->error = -ENOMEM;
                        return NULL;
                }
                out->frames = frames;
                out->allocated = n;
        }
        return &out->frames[out->n++];
}

void wire_put(WireOut *out, const void *data, size_t size) {
        WireFrame *f;

        if (size > WIRE_PAYLOAD_MAX) {
                out->error = -EMSGSIZE;
                return;
        }
        f = add_frame(out);
        if (f) {
                f->data = data ? data : "";
                f->size = data ? (uint32_t) size : 0;
        }
}

void wire_put_string(WireOut *out, const char *s) {
        wire_put(out, s, s ? strlen(s) : 0);
}

void wire_put_number(WireOut *out, uint64_t n) {
        char digits[WIRE_DIGITS_MAX], *p = digits + sizeof(digits);
        WireFrame *f;

        /* The other side would refuse twenty digits. */
        if (n > WIRE_NUMBER_MAX) {
                out->error = -ERANGE;
                return;
        }
        f = add_frame(out);
        if (!f)
                return;
        do {
                *--p = (char) ('0' + n % 10);
                n /= 10;
        } while (n > 0);
        f->data = NULL;
        f->size = (uint32_t) (digits + sizeof(digits) - p);
        memcpy(f->own, p, f->size);
}

void wire_put_task_id(WireOut *out, const TaskId *id) {
        WireFrame *f = add_frame(out);

        if (!f)
                return;
        f->data = NULL;
        f->size = TASK_ID_TEXT_LENGTH;
        task_id_to_text(id, f->own);
}

void wire_begin(WireOut *out, WireVerb verb, const struct iovec *correlation) {
        const char *name = wire_schema(verb)->name;
        WireFrame *f;

        out->n = 0;
        out->error = 0;
        f = add_frame(out);
        if (!f)
                return;
        f->data = NULL;
        f->size = (uint32_t) (stpcpy(stpcpy(f->own, WIRE_PREFIX), name) - f->own);
        if (correlation)
                wire_put(out, correlation->iov_base, correlation->iov_len);
        else
                wire_put(out, NULL, 0);
}

void wire_put_refusal(WireOut *out, const struct iovec *correlation, WireError code,
                      const char *text) {
        wire_begin(out, WIRE_ERROR, correlation);
        wire_put_string(out, wire_error_to_string(code));
        wire_put_string(out, text);
}
