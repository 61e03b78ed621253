/* SPDX-License-Identifier: MIT */

#include <assert.h>

#include "store-batch.h"

/* Small enough to come from the heap's lists, large enough for hundreds of changes. */
#define CHUNK_BYTES (64U * 1024U - 64U)

struct StoreChunk {
        StoreChunk *next;
        size_t size, used;
        _Alignas(max_align_t) char data[];
};

typedef struct Mark {
        StoreChunk *chunk;
        size_t used, bytes;
} Mark;

static void *allocate(StoreBatches *b, size_t size) {
        StoreChunk *c = b->last_chunk;
        void *p;

        size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
        if (!c || c->size - c->used < size) {
                size_t n = MAX(size, CHUNK_BYTES - sizeof(*c));

                c = malloc(sizeof(*c) + n);
                if (!c)
                        return NULL;
                *c = (StoreChunk){ .size = n };
                if (b->last_chunk)
                        b->last_chunk->next = c;
                else
                        b->first_chunk = c;
                b->last_chunk = c;
        }
        p = c->data + c->used;
        c->used += size;
        b->bytes += size;
        return p;
}

static Mark get_mark(const StoreBatches *b) {
        return (Mark){ b->last_chunk, b->last_chunk ? b->last_chunk->used : 0, b->bytes };
}

static void free_chunks(StoreChunk *c) {
        while (c) {
                StoreChunk *next = c->next;

                free(c);
                c = next;
        }
}

/* Undoes all allocations since the mark. */
static void rewind_to(StoreBatches *b, const Mark *m) {
        if (m->chunk) {
                free_chunks(TAKE_PTR(m->chunk->next));
                m->chunk->used = m->used;
        } else
                free_chunks(TAKE_PTR(b->first_chunk));
        b->last_chunk = m->chunk;
        b->bytes = m->bytes;
}

static const char *put_string(char **p, const char *s) {
        char *at = *p;

        if (!s)
                return NULL;
        *p = stpcpy(at, s) + 1;
        return at;
}

static struct iovec put_bytes(char **p, struct iovec v) {
        char *at = *p;

        if (v.iov_len == 0)
                return (struct iovec){};
        memcpy(at, v.iov_base, v.iov_len);
        *p += v.iov_len;
        return (struct iovec){ at, v.iov_len };
}

static size_t size_of_string(const char *s) {
        return s ? strlen(s) + 1 : 0;
}

static StoreChange *copy(StoreBatches *b, StoreChangeKind kind, const StoreTask *t) {
        size_t size = sizeof(StoreChange) + size_of_string(t->name) + size_of_string(t->worker) +
                      t->key.iov_len + t->arguments.iov_len + t->options.iov_len +
                      t->result.iov_len + t->error.iov_len + t->history.iov_len;
        StoreChange *c = allocate(b, size);
        char *p;

        if (!c)
                return NULL;
        *c = (StoreChange){ .kind = kind, .task = *t };
        p = (char *) (c + 1);
        c->task.name = put_string(&p, t->name);
        c->task.worker = put_string(&p, t->worker);
        c->task.key = put_bytes(&p, t->key);
        c->task.arguments = put_bytes(&p, t->arguments);
        c->task.options = put_bytes(&p, t->options);
        c->task.result = put_bytes(&p, t->result);
        c->task.error = put_bytes(&p, t->error);
        c->task.history = put_bytes(&p, t->history);
        return c;
}

/* Nobody waits for a lease or a start; what ends or goes back is acknowledged to somebody. */
static bool is_urgent(StoreChangeKind kind, const StoreTask *t) {
        switch (kind) {
        case STORE_CHANGE_SUBMIT:
                return true;
        case STORE_CHANGE_UPDATE:
                return t->state != TASK_ASSIGNED && t->state != TASK_RUNNING;
        default:
                return false;
        }
}

static int get_open(StoreBatches *b, StoreBatch **ret) {
        StoreBatch *open = b->open;

        if (!open) {
                open = allocate(b, sizeof(*open));
                if (!open)
                        return -ENOMEM;
                *open = (StoreBatch){};
        }
        *ret = open;
        return 0;
}

static void append(StoreBatch *b, StoreChange *first, StoreChange *last) {
        if (b->last)
                b->last->next = first;
        else
                b->first = first;
        b->last = last;
}

int store_batches_add(StoreBatches *b, StoreChangeKind kind, const StoreTask *tasks, size_t n) {
        Mark mark = get_mark(b);
        StoreChange *first = NULL, *last = NULL;
        StoreBatch *open;
        bool urgent = false;
        int r;

        r = get_open(b, &open);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                StoreChange *c = copy(b, kind, &tasks[i]);

                if (!c) {
                        rewind_to(b, &mark);
                        return -ENOMEM;
                }
                if (last)
                        last->next = c;
                else
                        first = c;
                last = c;
                urgent = urgent || is_urgent(kind, &tasks[i]);
        }

        append(open, first, last);
        open->bytes += b->bytes - mark.bytes;
        open->n_changes += (uint32_t) n;
        open->is_urgent = open->is_urgent || urgent;
        if (kind == STORE_CHANGE_SUBMIT) {
                open->n_submits += (uint32_t) n;
                open->submit_bytes += b->bytes - mark.bytes;
        }
        b->open = open;
        return 0;
}

static StoreChange *copy_schedule(StoreBatches *b, StoreChangeKind kind, const StoreSchedule *s) {
        StoreChange *c = allocate(b, sizeof(*c) + size_of_string(s->name) + s->document.iov_len +
                                             s->last_task.iov_len + size_of_string(s->bringers));
        char *p;

        if (!c)
                return NULL;
        *c = (StoreChange){ .kind = kind, .schedule = *s };
        p = (char *) (c + 1);
        c->schedule.name = put_string(&p, s->name);
        c->schedule.document = put_bytes(&p, s->document);
        c->schedule.last_task = put_bytes(&p, s->last_task);
        c->schedule.bringers = put_string(&p, s->bringers);
        return c;
}

/* They are few: each is written at once, and told to somebody. */
int store_batches_move_schedule(StoreBatches *b, const StoreSchedule *s, const StoreTask *tasks,
                                size_t n) {
        Mark mark = get_mark(b);
        StoreBatch *open;
        StoreChange *c;
        size_t bytes;
        int r;

        c = copy_schedule(b, STORE_CHANGE_SCHEDULE_PROGRESS, s);
        if (!c)
                return -ENOMEM;
        bytes = b->bytes - mark.bytes;
        r = n > 0 ? store_batches_add(b, STORE_CHANGE_SUBMIT, tasks, n) : store_batches_hurry(b);
        if (r < 0) {
                rewind_to(b, &mark);
                return r;
        }
        open = b->open;
        append(open, c, c);
        open->bytes += bytes;
        open->n_changes++;
        return 0;
}

int store_batches_add_schedule(StoreBatches *b, StoreChangeKind kind, const StoreSchedule *s) {
        Mark mark = get_mark(b);
        StoreChange *c;
        size_t bytes;
        int r;

        c = copy_schedule(b, kind, s);
        if (!c)
                return -ENOMEM;
        bytes = b->bytes - mark.bytes;
        r = store_batches_hurry(b);
        if (r < 0) {
                rewind_to(b, &mark);
                return r;
        }
        append(b->open, c, c);
        b->open->bytes += bytes;
        b->open->n_changes++;
        return 0;
}

int store_batches_hurry(StoreBatches *b) {
        size_t bytes = b->bytes;
        StoreBatch *open;
        int r;

        r = get_open(b, &open);
        if (r < 0)
                return r;
        open->bytes += b->bytes - bytes;
        open->is_urgent = true;
        b->open = open;
        return 0;
}

int store_batches_end(StoreBatches *b) {
        int r;

        r = store_batches_hurry(b);
        if (r >= 0)
                b->open->is_end = true;
        return r;
}

StoreBatch *store_batches_close(StoreBatches *b) {
        StoreBatch *batch = TAKE_PTR(b->open);

        if (!batch)
                return NULL;
        batch->ticket = ++b->last_ticket;
        batch->chunk = b->last_chunk;
        return batch;
}

void store_batches_link(StoreBatches *b, StoreBatch *batch) {
        if (b->newest)
                b->newest->next = batch;
        else
                b->oldest = batch;
        b->newest = batch;
}

/* Chunks are used in order: those before the one in which the batch ends hold nothing younger. */
static void free_chunks_before(StoreBatches *b, const StoreChunk *end) {
        while (b->first_chunk != end) {
                StoreChunk *c = b->first_chunk;

                b->first_chunk = c->next;
                free(c);
        }
}

void store_batches_release(StoreBatches *b, uint64_t ticket) {
        StoreChunk *end = NULL;

        while (b->oldest && b->oldest->ticket <= ticket) {
                b->bytes -= b->oldest->bytes;
                end = b->oldest->chunk;
                b->oldest = b->oldest->next;
        }
        if (!b->oldest)
                b->newest = NULL;
        if (!end)
                return;
        free_chunks_before(b, end);

        /* Nothing is left: the last chunk starts anew, unless it was made for something huge. */
        if (b->oldest || b->open)
                return;
        if (end == b->last_chunk && end->size + sizeof(*end) <= CHUNK_BYTES) {
                end->used = 0;
                return;
        }
        free_chunks(TAKE_PTR(b->first_chunk));
        b->last_chunk = NULL;
}

void store_batches_done(StoreBatches *b) {
        free_chunks(b->first_chunk);
        *b = (StoreBatches){};
}
