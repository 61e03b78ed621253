/* SPDX-License-Identifier: MIT */

/* The fake coordinator's RETRY, PURGE, BACKUP, SCHEDULE and LIST. */

#include <inttypes.h>

#include "fake-internal.h"
#include "json-util.h"
#include "time-util.h"

static bool is_fit(const WireMessage *m, const FakeTask *t) {
        return m->verb == WIRE_PURGE ? task_state_is_terminal(t->state)
                                     : t->state == TASK_FAILURE || t->state == TASK_DEAD;
}

/* A task that is tried again is queued, and stays so. */
static void retry_or_purge(Fake *f, const WireMessage *m) {
        size_t stolen = atomic_exchange(&f->n_stolen, 0);

        if (stolen > 0 && stolen <= m->n_groups)
                fake_find(f, wire_group(m, stolen - 1))->state = TASK_QUEUED;
        for (size_t i = 0; i < m->n_groups; i++) {
                FakeTask *t = fake_find(f, wire_group(m, i));

                if (!t || !is_fit(m, t)) {
                        fake_refuse(f, m, t ? WIRE_ERROR_BAD_ARGUMENT : WIRE_ERROR_UNKNOWN_TASK,
                                    t ? "it is in another state: nothing was done"
                                      : "this task is expired or unknown: nothing was done");
                        return;
                }
        }
        fake_add(f, m->verb == WIRE_PURGE ? FAKE_PURGES : FAKE_RETRIES, m->n_groups);
        for (size_t i = 0; i < m->n_groups; i++) {
                FakeTask *t = fake_find(f, wire_group(m, i));

                if (t && m->verb == WIRE_PURGE)
                        fake_forget_task(f, t);
                else if (t)
                        t->state = TASK_QUEUED;
        }
        if (atomic_exchange(&f->is_mute_once, false))
                return;
        wire_begin(&f->out, WIRE_ACK, &m->correlation);
        fake_reply(f);
}

void fake_mute_once(Fake *f) {
        atomic_store(&f->is_mute_once, true);
}

static void schedule(Fake *f, const WireMessage *m) {
        _cleanup_json_ struct json_object *o = NULL, *answer = json_object_new_object();
        _cleanup_free_ char *action = wire_get_string(&m->fields[0]);
        const struct iovec *field = &m->fields[1];
        const char *name = NULL;

        MUST(action && json_parse_object(field->iov_base, field->iov_len, &o, NULL) == 0);
        MUST(json_get_string(o, "name", &name) >= 0);
        if (!streq(action, "add") && name && (!streq(name, "s") || f->is_schedule_gone)) {
                fake_refuse(f, m, WIRE_ERROR_UNKNOWN_SCHEDULE, "there is no such schedule");
                return;
        }
        f->is_schedule_gone = f->is_schedule_gone || streq(action, "rm");
        fake_add(f, FAKE_SCHEDULES, 1);
        if (atomic_exchange(&f->is_mute_once, false))
                return;
        MUST(json_add_string(answer, "action", action) == 0);
        MUST(json_add(answer, "asked", TAKE_PTR(o)) == 0);
        fake_answer_info(f, m, WIRE_INFO, json_object_to_json_string_ext(answer, JSON_COMPACT));
}

static void pause_or_resume(Fake *f, const WireMessage *m) {
        if (memmem(m->fields[0].iov_base, m->fields[0].iov_len, "nobody", strlen("nobody"))) {
                fake_refuse(f, m, WIRE_ERROR_BAD_ARGUMENT, "there is no subworker nobody");
                return;
        }
        wire_begin(&f->out, WIRE_ACK, &m->correlation);
        fake_reply(f);
}

void fake_administer(Fake *f, const WireMessage *m) {
        _cleanup_free_ char *path = NULL;
        FILE *file;

        if (m->verb == WIRE_PAUSE) {
                pause_or_resume(f, m);
                return;
        }
        if (m->verb == WIRE_SCHEDULE) {
                schedule(f, m);
                return;
        }
        if (m->verb != WIRE_BACKUP) {
                retry_or_purge(f, m);
                return;
        }
        fake_add(f, FAKE_BACKUPS, 1);
        path = wire_get_string(&m->fields[0]);
        MUST(path);
        if (streq(path, "/mute"))
                return;
        file = fopen(path, "wxe");
        if (!file) {
                fake_refuse(f, m, WIRE_ERROR_BAD_ARGUMENT, strerror(errno));
                return;
        }
        fputs("store", file);
        MUST(fclose(file) == 0);
        wire_begin(&f->out, WIRE_ACK, &m->correlation);
        fake_reply(f);
}

/* --- lists: pages of at most FAKE_PAGE tasks, the first one empty, for whoever cannot cope with that --- */

#define FAKE_PAGE 3U

typedef struct FakeFilter {
        const char *status, *name, *worker;
        uint64_t since, until, limit, skip;
        bool is_first;
} FakeFilter;

static void read_fake_filter(struct json_object *o, FakeFilter *ret) {
        const char *after = NULL;

        *ret = (FakeFilter){ .until = UINT64_MAX };
        MUST(json_get_string(o, "status", &ret->status) >= 0);
        MUST(json_get_string(o, "name", &ret->name) >= 0);
        MUST(json_get_string(o, "worker", &ret->worker) >= 0);
        MUST(json_get_uint(o, "since", 1, INT64_MAX, &ret->since) >= 0);
        MUST(json_get_uint(o, "until", 1, INT64_MAX, &ret->until) >= 0);
        MUST(json_get_uint(o, "limit", 1, 1000, &ret->limit) > 0);
        MUST(json_get_string(o, "after", &after) >= 0);
        ret->is_first = !after;
        if (after)
                ret->skip = strtoull(after, NULL, 10);
}

static bool fits(const FakeFilter *filter, const FakeTask *t) {
        return (!filter->status || streq(filter->status, task_state_to_string(t->state))) &&
               (!filter->name || streq(filter->name, t->name)) &&
               (!filter->worker || streq(filter->worker, "sw1")) &&
               t->created_usec >= filter->since && t->created_usec < filter->until;
}

static FakeTask *older(const FakeTask *t) {
        return t->hh.prev;
}

static void add_fake_task(struct json_object *tasks, const FakeTask *t) {
        struct json_object *o = json_object_new_object();
        char id[TASK_ID_TEXT_LENGTH + 1];

        task_id_to_text(&t->id, id);
        MUST(json_object_array_add(tasks, o) == 0);
        MUST(json_add_string(o, "task_id", id) == 0);
        MUST(json_add_string(o, "name", t->name) == 0);
        MUST(json_add_string(o, "status", task_state_to_string(t->state)) == 0);
        MUST(json_add_uint(o, "attempt", 3) == 0);
        MUST(json_add_time(o, "created_at", t->created_usec) == 0);
        MUST(json_add_time(o, "completed_at", t->completed_usec) == 0);
}

/* "next" counts how many of the oldest are left, so that it holds while newer ones are purged. */
void fake_list(Fake *f, const WireMessage *m) {
        _cleanup_json_ struct json_object *filter = NULL, *answer = json_object_new_object();
        struct json_object *tasks = json_object_new_array();
        const struct iovec *field = &m->fields[0];
        uint64_t left = HASH_COUNT(f->tasks), n = 0;
        FakeTask *t = ELMT_FROM_HH(f->tasks->hh.tbl, f->tasks->hh.tbl->tail);
        char next[32];
        FakeFilter g;

        MUST(json_parse_object(field->iov_base, field->iov_len, &filter, NULL) == 0);
        read_fake_filter(filter, &g);
        MUST(json_add(answer, "tasks", tasks) == 0);
        for (; t && !g.is_first && n < MIN(g.limit, (uint64_t) FAKE_PAGE); t = older(t), left--)
                if (left <= g.skip && fits(&g, t)) {
                        add_fake_task(tasks, t);
                        n++;
                }
        MUST(json_add_bool(answer, "truncated", t) == 0);
        (void) snprintf(next, sizeof(next), "%" PRIu64, left);
        if (t)
                MUST(json_add_string(answer, "next", next) == 0);
        fake_answer_info(f, m, WIRE_INFO, json_object_to_json_string(answer));
}
