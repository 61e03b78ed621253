/* SPDX-License-Identifier: MIT */

#include "held.h"

#define HELD_MAX       1000U
#define HELD_BYTES_MAX (16U * 1024U * 1024U)

struct HeldRequest {
        TAILQ_ENTRY(HeldRequest) link;
        Endpoint *endpoint;
        size_t bytes, n;
        struct iovec frames[]; /* the routing id first; the bytes follow the array */
};

void held_init(Held *h) {
        *h = (Held){};
        TAILQ_INIT(&h->requests);
}

static void drop(Held *h, HeldRequest *held) {
        TAILQ_REMOVE(&h->requests, held, link);
        h->n--;
        h->bytes -= held->bytes;
        free(held);
}

void held_done(Held *h) {
        HeldRequest *held;

        while ((held = TAILQ_FIRST(&h->requests)))
                drop(h, held);
}

static void append_copy(HeldRequest *held, char **to, const struct iovec *frame) {
        if (frame->iov_len > 0)
                memcpy(*to, frame->iov_base, frame->iov_len);
        held->frames[held->n++] = (struct iovec){ *to, frame->iov_len };
        *to += frame->iov_len;
}

int held_add(Held *h, const Request *r) {
        size_t bytes = r->routing.iov_len + (r->n_frames + 1) * sizeof(struct iovec);
        HeldRequest *held;
        char *to;

        for (size_t i = 0; i < r->n_frames; i++)
                bytes += r->frames[i].iov_len;
        if (h->n >= HELD_MAX || h->bytes + bytes > HELD_BYTES_MAX)
                return -ENOBUFS;

        held = malloc(sizeof(*held) + bytes);
        if (!held)
                return -ENOMEM;
        held->endpoint = r->endpoint;
        held->bytes = bytes;
        held->n = 0;
        to = (char *) &held->frames[r->n_frames + 1];
        append_copy(held, &to, &r->routing);
        for (size_t i = 0; i < r->n_frames; i++)
                append_copy(held, &to, &r->frames[i]);
        TAILQ_INSERT_TAIL(&h->requests, held, link);
        h->n++;
        h->bytes += bytes;
        return 0;
}

int held_replay(Held *h) {
        int r;

        /* Those held again go to the end; take each that is here now once. */
        for (size_t n = h->n; n > 0; n--) {
                HeldRequest *held = TAILQ_FIRST(&h->requests);

                TAILQ_REMOVE(&h->requests, held, link);
                h->n--;
                h->bytes -= held->bytes;
                r = endpoint_handle(held->endpoint, &held->frames[0], &held->frames[1],
                                    held->n - 1);
                free(held);
                if (r < 0)
                        return r;
        }
        return 0;
}
