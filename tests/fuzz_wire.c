/* SPDX-License-Identifier: MIT */

/* wire_decode() on hostile frames. The first byte of an input gives the direction; then come frames, each
 * behind two bytes with its length (big endian; the last one is cut where the input ends). What passes must
 * be readable by the getters and encode to the same frames again; what is refused must give a refusal that
 * can be sent. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "must.h"
#include "wire.h"

#define N_DIRECTIONS 6U

static struct iovec frames[WIRE_FRAMES_MAX + 2];

/* Copies of exactly the frame's length, so that a sanitizer sees each read past the end. */
static size_t cut(const uint8_t *data, size_t size) {
        size_t n = 0;

        while (size >= 2 && n < ELEMENTSOF(frames)) {
                size_t length = MIN((size_t) data[0] << 8 | data[1], size - 2);
                void *copy = malloc(length);

                MUST(copy || length == 0);
                if (length > 0)
                        memcpy(copy, data + 2, length);
                frames[n++] = (struct iovec){ copy, length };
                data += 2 + length;
                size -= 2 + length;
        }
        return n;
}

static void put_again(WireOut *out, WireKind kind, const struct iovec *f) {
        TaskId id;

        MUST(wire_field_is_valid(kind, f));
        switch (kind) {
        case WIRE_KIND_TASK_ID:
                id = wire_get_task_id(f);
                wire_put_task_id(out, &id);
                break;
        case WIRE_KIND_NUMBER:
                MUST(wire_get_number(f) <= WIRE_NUMBER_MAX);
                wire_put_number(out, wire_get_number(f));
                break;
        case WIRE_KIND_OUTCOME:
                MUST((int) wire_get_outcome(f) >= 0);
                wire_put_string(out, wire_outcome_to_string(wire_get_outcome(f)));
                break;
        case WIRE_KIND_CANCEL:
                MUST((int) wire_get_cancel(f) >= 0);
                wire_put_string(out, wire_cancel_to_string(wire_get_cancel(f)));
                break;
        case WIRE_KIND_MODE:
                wire_put_string(out, wire_get_mode_is_wait(f) ? "wait" : "");
                break;
        case WIRE_KIND_CODE:
                (void) wire_get_error(f);
                wire_put(out, f->iov_base, f->iov_len);
                break;
        default:
                wire_put(out, f->iov_base, f->iov_len);
        }
}

/* Ids may have been in upper case and numbers have had zeros in front: those are the same value again. */
static void check_same(WireKind kind, const WireFrame *out, const struct iovec *f) {
        struct iovec again = { (void *) wire_frame_data(out), out->size };

        MUST(wire_field_is_valid(kind, &again));
        if (kind == WIRE_KIND_TASK_ID) {
                TaskId a = wire_get_task_id(f), b = wire_get_task_id(&again);

                MUST(task_id_equal(&a, &b));
        } else if (kind == WIRE_KIND_NUMBER)
                MUST(wire_get_number(f) == wire_get_number(&again));
        else
                MUST(f->iov_len == again.iov_len &&
                     (again.iov_len == 0 ||
                      memcmp(f->iov_base, again.iov_base, again.iov_len) == 0));
}

static void check_accepted(const WireMessage *m, size_t n, WireDirection direction, WireOut *out) {
        const WireSchema *s = wire_schema(m->verb);
        size_t n_fields, at = 2;

        MUST(s && s->directions & direction);
        n_fields = strlen(s->fields);
        MUST(m->n_groups >= s->groups_min && m->n_groups <= WIRE_BATCH_MAX);
        MUST(m->n_groups == 0 || m->group_size == strlen(s->group));
        MUST(n == 2 + n_fields + m->n_groups * m->group_size);
        MUST(m->correlation.iov_len <= WIRE_CORRELATION_MAX);

        wire_begin(out, m->verb, &m->correlation);
        for (size_t i = 0; i < n_fields; i++)
                put_again(out, (WireKind) s->fields[i], &m->fields[i]);
        for (size_t g = 0; g < m->n_groups; g++)
                for (size_t i = 0; i < m->group_size; i++)
                        put_again(out, (WireKind) s->group[i], &wire_group(m, g)[i]);

        MUST(out->error == 0 && out->n == n);
        MUST(out->frames[0].size == frames[0].iov_len);
        MUST(memcmp(wire_frame_data(&out->frames[0]), frames[0].iov_base, frames[0].iov_len) == 0);
        for (size_t i = 0; i < n_fields; i++, at++)
                check_same((WireKind) s->fields[i], &out->frames[at], &frames[at]);
        for (size_t i = 0; at < n; i++, at++)
                check_same((WireKind) s->group[i % m->group_size], &out->frames[at], &frames[at]);
}

static void check_refused(const WireMessage *m, const WireRefusal *refusal, WireOut *out) {
        struct iovec answer[8];
        WireRefusal ignored;
        WireMessage again;

        MUST(wire_error_to_string(refusal->code));
        MUST(memchr(refusal->text, '\0', sizeof(refusal->text)) && refusal->text[0]);
        for (const char *p = refusal->text; *p; p++)
                MUST(*p >= 0x20 && *p <= 0x7e);

        wire_put_refusal(out, &m->correlation, refusal->code, refusal->text);
        MUST(out->error == 0 && out->n == 4);
        for (size_t i = 0; i < out->n; i++)
                answer[i] = (struct iovec){ (void *) wire_frame_data(&out->frames[i]),
                                            out->frames[i].size };
        MUST(wire_decode(answer, out->n, WIRE_CONTROLD_TO_CLIENT, &again, &ignored) == 0);
        MUST(again.verb == WIRE_ERROR && wire_get_error(&again.fields[0]) == refusal->code);
        MUST(again.correlation.iov_len == m->correlation.iov_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        WireDirection direction;
        WireOut out = {};
        WireRefusal refusal;
        WireMessage m;
        size_t n;
        int r;

        if (size < 1)
                return 0;
        direction = (WireDirection) (1U << data[0] % N_DIRECTIONS);
        n = cut(data + 1, size - 1);

        r = wire_decode(frames, n, direction, &m, &refusal);
        MUST(r == 0 || r == -EBADMSG);
        if (r == 0)
                check_accepted(&m, n, direction, &out);
        else
                check_refused(&m, &refusal, &out);

        wire_out_done(&out);
        for (size_t i = 0; i < n; i++)
                free(frames[i].iov_base);
        return 0;
}
