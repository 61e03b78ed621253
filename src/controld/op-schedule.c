/* SPDX-License-Identifier: MIT */

/* SCHEDULE: what an administrator does with schedules. */

#include "controld.h"
#include "json-util.h"
#include "log.h"
#include "ops.h"
#include "persist.h"
#include "schedule-run.h"
#include "time-util.h"

#define LIMIT_DEFAULT 100U
#define LIMIT_MAX     300U /* so that they fit into WIRE_INFO_MAX */
#define TIMES_MAX     10U  /* in a list: each is to be found out */
#define NEXT_MAX      100U

static int refuse_oom(const Request *r) {
        return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory: nothing was done");
}

/* The answer is given when all that was done is safe. Consumes `info`. */
static int answer_later(LedgerEntry *e, struct json_object *info) {
        _cleanup_json_ struct json_object *o = info;
        const char *text = o ? json_object_to_json_string_ext(o, JSON_COMPACT) : NULL;

        if (!text || ledger_set_info(e, text) < 0) {
                ledger_silence(e); /* it is done, and the client will ask again */
                log_oom();
        }
        return 0;
}

/* Returns 1, or refuses and returns 0. */
static int find(Controld *c, const Request *r, struct json_object *o, Schedule **ret) {
        const char *name = NULL;

        if (json_get_string(o, "name", &name) <= 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "\"name\" must be the name of a schedule");
        *ret = schedule_find(&c->schedules, name);
        if (!*ret)
                return request_refuse(r, WIRE_ERROR_UNKNOWN_SCHEDULE,
                                      "there is no schedule \"%.100s\"", name);
        return 1;
}

static int check_keys(const Request *r, struct json_object *o, const char *const *known) {
        const char *unknown = json_unknown_key(o, known);

        return unknown ? request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                        "there is no option \"%.60s\" here", unknown)
                       : 1;
}

/* The schedule that a document with these keys and no other names. */
static int find_by(Controld *c, const Request *r, struct json_object *o, const char *const *known,
                   Schedule **ret) {
        int k = check_keys(r, o, known);

        return k > 0 ? find(c, r, o, ret) : k;
}

static const char *const only_name[] = { "name", NULL };

/* --- add -------------------------------------------------------------------------------------- */

typedef struct Addition {
        Schedule *schedule; /* NULL once it is in the table */
        bool replace, paused;
} Addition;

static void addition_done(Addition *a) {
        schedule_free(a->schedule);
}

static int read_addition(Controld *c, const Request *r, struct json_object *o, Addition *ret) {
        _cleanup_free_ char *error = NULL;
        int k;

        if (json_get_bool(o, "replace", &ret->replace) < 0 ||
            json_get_bool(o, "paused", &ret->paused) < 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "\"replace\" and \"paused\" must be true or false");
        json_object_object_del(o, "replace");
        json_object_object_del(o, "paused");
        k = schedule_new(o, &ret->schedule, &error);
        if (k < 0)
                return error ? request_refuse(r, WIRE_ERROR_BAD_ARGUMENT, "%s", error)
                             : refuse_oom(r);
        ret->schedule->is_paused = ret->paused;
        ret->schedule->now.state.added_usec = now_usec(CLOCK_REALTIME);
        if (!schedule_has_ended(ret->schedule))
                return 1;
        return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT, "it would never be due: until is over");
}

/* A type that is not known may be that of a subworker that has not come yet. */
static int check_type(Controld *c, const Request *r, const Schedule *s) {
        const struct iovec name = { (char *) s->task_name, strlen(s->task_name) };

        return op_submit_check_type(c, r, &name);
}

static bool is_same(const Schedule *a, const Addition *b) {
        return !a->is_from_type && a->is_paused == b->paused &&
               streq(a->document, b->schedule->document);
}

static int refuse_name(const Request *r, const Schedule *s) {
        return request_refuse(
                r, WIRE_ERROR_EXISTS,
                s->is_from_type ? "task type \"%s\" brings a schedule of that name: choose "
                                  "another one, or have it replaced"
                                : "there is a schedule \"%s\" already: choose another name, or "
                                  "have it replaced",
                s->name);
}

static struct json_object *show(const Controld *c, const Schedule *s, uint64_t n_next) {
        return schedule_to_json(s, now_usec(CLOCK_REALTIME), n_next, schedule_is_running(c, s));
}

/* Sent again after its answer was lost, it is answered as it was. */
static int op_add(Controld *c, const Request *r, struct json_object *o) {
        _cleanup_(addition_done) Addition a = {};
        Schedule *present, *s;
        LedgerEntry *e;
        int k;

        k = read_addition(c, r, o, &a);
        if (k > 0)
                k = check_type(c, r, a.schedule);
        if (k <= 0)
                return k;
        present = schedule_find(&c->schedules, a.schedule->name);
        if (present && !a.replace && !is_same(present, &a))
                return refuse_name(r, present);
        if (ledger_add(&c->ledger, LEDGER_SCHEDULE, r, 0, &e) < 0)
                return refuse_oom(r);
        if (present && is_same(present, &a))
                return answer_later(e, show(c, present, 1));
        s = TAKE_PTR(a.schedule);
        k = present ? schedule_replace(c, present, s) : schedule_add(c, s);
        if (k >= 0)
                return answer_later(e, show(c, s, 1));
        ledger_undo(&c->ledger, e);
        return k == -ENOSPC ? request_refuse(r, WIRE_ERROR_QUEUE_FULL,
                                             "there are %u schedules already", SCHEDULES_MAX)
                            : refuse_oom(r);
}

/* --- one schedule ----------------------------------------------------------------------------- */

static int set_paused(Controld *c, const Request *r, struct json_object *o, bool is_paused) {
        LedgerEntry *e;
        Schedule *s;
        int k;

        k = find_by(c, r, o, only_name, &s);
        if (k <= 0)
                return k;
        if (ledger_add(&c->ledger, LEDGER_SCHEDULE, r, 0, &e) < 0)
                return refuse_oom(r);
        if (schedule_set_paused(c, s, is_paused) < 0) {
                ledger_undo(&c->ledger, e);
                return refuse_oom(r);
        }
        return answer_later(e, show(c, s, 1));
}

static int op_pause(Controld *c, const Request *r, struct json_object *o) {
        return set_paused(c, r, o, true);
}

static int op_resume(Controld *c, const Request *r, struct json_object *o) {
        return set_paused(c, r, o, false);
}

static int op_rm(Controld *c, const Request *r, struct json_object *o) {
        LedgerEntry *e;
        Schedule *s;
        int k;

        k = find_by(c, r, o, only_name, &s);
        if (k <= 0)
                return k;
        if (schedule_is_brought(c, s))
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "task type \"%s\" brings this schedule and would bring it "
                                      "again: pause it, or take it out of the task's definition",
                                      s->task_name);
        if (ledger_add(&c->ledger, LEDGER_SCHEDULE, r, 0, &e) < 0)
                return refuse_oom(r);
        if (schedule_remove(c, s) < 0) {
                ledger_undo(&c->ledger, e);
                return refuse_oom(r);
        }
        return answer_later(e, json_object_new_object());
}

static int op_next(Controld *c, const Request *r, struct json_object *o) {
        static const char *const known[] = { "name", "count", NULL };
        _cleanup_json_ struct json_object *answer = json_object_new_object();
        uint64_t count = 10;
        Schedule *s;
        int k;

        k = find_by(c, r, o, known, &s);
        if (k <= 0)
                return k;
        if (json_get_uint(o, "count", 1, NEXT_MAX, &count) < 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "\"count\" must be a number from 1 to %u", NEXT_MAX);
        if (json_add_string(answer, "name", s->name) < 0 ||
            json_add_string(answer, "timezone", time_zone_name(s->spec.zone)) < 0 ||
            json_add_bool(answer, "paused", s->is_paused) < 0 ||
            json_add(answer, "next", schedule_next_to_json(s, now_usec(CLOCK_REALTIME), count)) < 0)
                return request_reply_info(r, WIRE_INFO, NULL);
        return request_reply_info(r, WIRE_INFO, TAKE_PTR(answer));
}

/* --- run -------------------------------------------------------------------------------------- */

static int read_task_id(const Request *r, struct json_object *o, TaskId *ret) {
        const char *text = NULL;
        int k = json_get_string(o, "task_id", &text);

        if (k < 0 || (k > 0 && task_id_from_text(text, strlen(text), ret) < 0))
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "\"task_id\" must be the 36 characters of a UUID");
        if (k == 0 && task_id_new(ret) < 0)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "no random number to be had");
        return 1;
}

static struct json_object *named_task(const TaskId *id) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        char text[TASK_ID_TEXT_LENGTH + 1];

        task_id_to_text(id, text);
        if (!o || json_add_string(o, "task_id", text) < 0)
                return NULL;
        return TAKE_PTR(o);
}

/* Whether the task is one that a schedule of this name has made, by this request or another one. */
static bool is_made_by(const Task *t, struct json_object *request) {
        _cleanup_json_ struct json_object *options = NULL;
        const char *name = NULL, *schedule = NULL;

        return json_parse_object(task_options(t), t->options_size, &options, NULL) >= 0 &&
               json_get_string(request, "name", &name) > 0 &&
               json_get_string(options, "schedule", &schedule) > 0 && streq(name, schedule);
}

/* The task may not be safe yet: the answer waits for that, or says that it was refused. */
static int answer_made(Controld *c, const Request *r, struct json_object *request, const Task *t) {
        char text[TASK_ID_TEXT_LENGTH + 1];
        LedgerEntry *e;

        if (!is_made_by(t, request)) {
                task_id_to_text(&t->id, text);
                return request_refuse(
                        r, WIRE_ERROR_EXISTS,
                        "task %s exists already, and is none of this schedule: choose "
                        "another task_id",
                        text);
        }
        if (ledger_add(&c->ledger, LEDGER_SCHEDULE, r, 1, &e) < 0)
                return refuse_oom(r);
        ledger_note(e, t, false);
        return answer_later(e, named_task(&t->id));
}

static int submit_now(Controld *c, const Request *r, const Schedule *s, const TaskId *id) {
        bool is_new = true;
        LedgerEntry *e;
        Task *t;

        if (ledger_add(&c->ledger, LEDGER_SCHEDULE, r, 1, &e) < 0)
                return refuse_oom(r);
        if (schedule_make_task(c, s, id, &t) < 0) {
                ledger_undo(&c->ledger, e);
                return refuse_oom(r);
        }
        ledger_note(e, t, true);
        if (persist_submit(c, &t, &is_new, 1) < 0) {
                ledger_undo(&c->ledger, e);
                task_free(&c->tasks, t);
                return refuse_oom(r);
        }
        return answer_later(e, named_task(id));
}

/* Now, once, whatever the plan says; that does not count as one of its runs. With the id that the client has chosen the
 * request can be sent again. */
static int op_run(Controld *c, const Request *r, struct json_object *o) {
        static const char *const known[] = { "name", "task_id", NULL };
        const char *lack;
        Schedule *s;
        TaskId id;
        Task *t;
        int k;

        k = check_keys(r, o, known);
        if (k > 0)
                k = read_task_id(r, o, &id);
        t = k > 0 ? task_find(&c->tasks, &id) : NULL;
        if (t)
                return answer_made(c, r, o, t);
        if (k > 0)
                k = find(c, r, o, &s);
        if (k <= 0)
                return k;
        lack = schedule_lack(c, 1);
        if (lack)
                return request_refuse(r, WIRE_ERROR_QUEUE_FULL, "%s: try again later", lack);
        return submit_now(c, r, s, &id);
}

/* --- list ------------------------------------------------------------------------------------- */

typedef struct Page {
        const char *name, *after; /* or NULL */
        uint64_t limit, times;
} Page;

static int read_page(const Request *r, struct json_object *o, Page *ret) {
        static const char *const known[] = { "name", "after", "limit", "times", NULL };
        int k;

        *ret = (Page){ .limit = LIMIT_DEFAULT, .times = 1 };
        k = check_keys(r, o, known);
        if (k <= 0)
                return k;
        if (json_get_string(o, "name", &ret->name) < 0 ||
            json_get_string(o, "after", &ret->after) < 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "\"name\" and \"after\" must be text");
        if (json_get_uint(o, "limit", 1, LIMIT_MAX, &ret->limit) < 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "\"limit\" must be a number from 1 to %u", LIMIT_MAX);
        if (json_get_uint(o, "times", 0, TIMES_MAX, &ret->times) < 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "\"times\" must be a number from 0 to %u", TIMES_MAX);
        return 1;
}

/* All that defines it: too much for a list of many. */
static int add_definition(struct json_object *o, const Schedule *s) {
        struct json_object *value;

        if (json_object_object_get_ex(s->definition, "arguments", &value) &&
            json_object_object_add(o, "arguments", json_object_get(value)) < 0)
                return -ENOMEM;
        if (json_object_object_get_ex(s->definition, "options", &value) &&
            json_object_object_add(o, "options", json_object_get(value)) < 0)
                return -ENOMEM;
        return 0;
}

static struct json_object *list_to_json(Controld *c, const Page *page) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        struct json_object *array = json_object_new_array();
        Schedule *s, *next;
        const char *last = NULL;
        bool is_cut = false;
        uint64_t n = 0;

        if (!o || json_add(o, "schedules", array) < 0)
                return NULL;
        schedules_sort(&c->schedules);
        HASH_ITER(hh, c->schedules.by_name, s, next) {
                struct json_object *one;

                if ((page->name && !streq(s->name, page->name)) ||
                    (page->after && strcmp(s->name, page->after) <= 0))
                        continue;
                is_cut = n == page->limit;
                if (is_cut)
                        break;
                one = show(c, s, page->times);
                if (json_object_array_add(array, one) < 0 || !one ||
                    (page->name && add_definition(one, s) < 0))
                        return NULL;
                last = s->name;
                n++;
        }
        if (json_add_uint(o, "total", HASH_COUNT(c->schedules.by_name)) < 0 ||
            json_add_bool(o, "truncated", is_cut) < 0 ||
            (is_cut && json_add_string(o, "next", last) < 0))
                return NULL;
        return TAKE_PTR(o);
}

static int op_list_schedules(Controld *c, const Request *r, struct json_object *o) {
        Page page;
        Schedule *unused;
        int k;

        k = read_page(r, o, &page);
        if (k > 0 && page.name)
                k = find(c, r, o, &unused);
        return k <= 0 ? k : request_reply_info(r, WIRE_INFO, list_to_json(c, &page));
}

/* --- all of them ------------------------------------------------------------------------------ */

static const struct {
        const char *name;
        int (*run)(Controld *c, const Request *r, struct json_object *o);
        bool changes;
} actions[] = {
        { "add", op_add, true },       { "list", op_list_schedules, false },
        { "next", op_next, false },    { "pause", op_pause, true },
        { "resume", op_resume, true }, { "run", op_run, true },
        { "rm", op_rm, true },
};

int op_schedule(Controld *c, const Request *r) {
        const struct iovec *name = &r->message.fields[0], *document = &r->message.fields[1];
        _cleanup_json_ struct json_object *o = NULL;
        const char *error = "out of memory";

        if (json_parse_object(document->iov_base, document->iov_len, &o, &error) < 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "the options must be one JSON object, or empty: %s", error);
        for (size_t i = 0; i < ELEMENTSOF(actions); i++) {
                if (name->iov_len != strlen(actions[i].name) ||
                    memcmp(name->iov_base, actions[i].name, name->iov_len) != 0)
                        continue;
                if (actions[i].changes && c->stopping)
                        return request_refuse(r, WIRE_ERROR_STOPPING,
                                              "the coordinator is shutting down");
                return actions[i].run(c, r, o);
        }
        return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                              "\"%.*s\" is not one of add, list, next, pause, resume, run and rm",
                              (int) name->iov_len, (const char *) name->iov_base);
}
