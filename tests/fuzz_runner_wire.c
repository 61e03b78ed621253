/* SPDX-License-Identifier: MIT */

/* runner_decode() on what a runner that has lost its mind may send, and type_table_set() on the list of task
 * types in it. What passes must be composable again into a packet that says the same. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "must.h"
#include "runner-wire.h"
#include "type.h"

static int compose(RunnerPacket *p, const RunnerMessage *m) {
        char name[RUNNER_NAME_MAX + 1], parent[RUNNER_TRACEPARENT_MAX + 1];

        switch (m->verb) {
        case RUNNER_RUN:
                MUST(m->name.iov_len >= 1 && m->name.iov_len <= RUNNER_NAME_MAX);
                memcpy(name, m->name.iov_base, m->name.iov_len);
                name[m->name.iov_len] = '\0';
                MUST(m->traceparent.iov_len <= RUNNER_TRACEPARENT_MAX);
                memcpy(parent, m->traceparent.iov_base ?: "", m->traceparent.iov_len);
                parent[m->traceparent.iov_len] = '\0';
                return runner_packet_run_with(
                        p, m->seq, &m->task_id, m->attempt, name,
                        &(RunnerRunOptions){ m->soft_timeout_usec, m->timeout_usec, parent }, "",
                        0);
        case RUNNER_DONE:
                p->marked = m->marked;
                return runner_packet_done_with(
                        p, m->seq, m->success, m->started_usec, m->completed_usec,
                        &(RunnerRetry){ m->no_retry,
                                        m->has_retry_after ? m->retry_after_usec : UINT64_MAX },
                        "", 0);
        case RUNNER_PROGRESS:
                MUST(m->percent <= RUNNER_PERCENT_MAX);
                return runner_packet_progress(p, m->seq, m->percent, "", 0);
        case RUNNER_LOG:
                MUST(m->priority >= 0 && m->priority <= 7);
                return runner_packet_log(p, m->seq, m->priority, "", 0);
        default:
                return -ENOENT; /* unknown, or with nothing in it but a payload */
        }
}

static void check_same(const RunnerMessage *a, const RunnerMessage *b) {
        MUST(a->verb == b->verb && a->seq == b->seq && a->attempt == b->attempt);
        MUST(task_id_equal(&a->task_id, &b->task_id));
        MUST(a->marked == b->marked);
        MUST(a->success == b->success && a->priority == b->priority && a->percent == b->percent);
        MUST(a->soft_timeout_usec == b->soft_timeout_usec && a->timeout_usec == b->timeout_usec);
        MUST(a->traceparent.iov_len == b->traceparent.iov_len ||
             memchr(a->traceparent.iov_base, '\0', a->traceparent.iov_len));
        MUST(a->no_retry == b->no_retry);
        MUST(a->no_retry || a->retry_after_usec == b->retry_after_usec);
        MUST(a->started_usec == b->started_usec && a->completed_usec == b->completed_usec);
        MUST(strnlen(a->name.iov_base ? a->name.iov_base : "", a->name.iov_len) < a->name.iov_len ||
             a->name.iov_len == b->name.iov_len);
}

static void check_types(const RunnerMessage *m) {
        TypeTable *types;
        const TypeList list = { m->payload, m->payload_size, NULL };
        TypeConflict conflict;
        size_t n = 0;

        MUST(type_table_new(&types) == 0);
        if (type_table_set(types, RUNNER_NATIVE, &list, &conflict) >= 0)
                for (const TaskType *t = type_table_next(types, NULL); t;
                     t = type_table_next(types, t)) {
                        MUST(type_table_find(types, type_name(t), strlen(type_name(t))) == t);
                        MUST(!strpbrk(type_description(t), "\t\n"));
                        MUST(!strpbrk(type_options(t), "\t\n"));
                        MUST(!strpbrk(type_file(t), "\t\n"));
                        n++;
                }
        MUST(n == type_table_count(types));
        type_table_free(types);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        RunnerPacket p = { .fd = -EBADF };
        RunnerMessage m, again;
        char *packet;
        int r;

        if (size > RUNNER_PACKET_MAX)
                return 0;
        /* Exactly as long as the packet, so that a sanitizer sees a read past its end. */
        packet = malloc(size);
        MUST(packet || size == 0);
        if (size > 0)
                memcpy(packet, data, size);

        r = runner_decode(packet, size, &m);
        MUST(r == 0 || r == -EBADMSG);
        if (r == 0) {
                MUST(m.in_fd || m.payload + m.payload_size == packet + size);
                if (compose(&p, &m) >= 0) {
                        MUST(runner_decode(p.header, p.header_size, &again) == 0);
                        check_same(&m, &again);
                }
                if (m.verb == RUNNER_HELLO && !m.in_fd)
                        check_types(&m);
        }
        free(packet);
        return 0;
}
