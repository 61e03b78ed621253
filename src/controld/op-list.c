/* SPDX-License-Identifier: MIT */

/* LIST: tasks by state, name, worker and time, the newest first, a page at a time. A page ends with a cursor,
 * the place of the last task that was looked at: paging neither skips nor repeats tasks, whatever comes and
 * goes meanwhile. */

#include <inttypes.h>
#include <stdio.h>

#include "controld.h"
#include "json-util.h"
#include "ops.h"
#include "parse-util.h"

#define LIMIT_DEFAULT  100U
#define LIMIT_MAX      1000U
#define SCAN_MAX       20000U /* tasks looked at for one page, so that it never stops the loop for long */
#define PAGE_BYTES_MAX (900U * 1024U) /* below WIRE_INFO_MAX */
#define TASK_BYTES \
        800U /* of one task's document at most, without its name (which may stand there twice) */

typedef struct Filter {
        TaskState state;                 /* _TASK_STATE_INVALID: any */
        TaskType *type;                  /* NULL: any */
        const char *worker;              /* NULL: any; borrowed from the document */
        uint64_t since_usec, until_usec; /* of creation: since <= t < until */
        uint64_t limit;
        uint64_t before; /* sequence number; UINT64_MAX: from the newest on */
        TaskId before_id;
        bool matches_nothing;
} Filter;

/* "SEQUENCE-ID": by the id the task is found at once, by the number its place if it is gone. */
static int read_cursor(const char *text, Filter *f) {
        _cleanup_free_ char *number = NULL;
        const char *dash = strchr(text, '-');
        int r;

        if (!dash)
                return -EINVAL;
        number = strndup(text, (size_t) (dash - text));
        if (!number)
                return -ENOMEM;
        r = parse_uint(number, 1, UINT64_MAX - 1, &f->before);
        if (r < 0)
                return r;
        return task_id_from_text(dash + 1, strlen(dash + 1), &f->before_id);
}

static int refuse_key(const Request *r, const char *key, const char *requirement) {
        return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT, "\"%s\" must be %s", key, requirement);
}

/* Each returns 1, or refuses and returns 0. */
static int read_names(Controld *c, const Request *r, struct json_object *o, Filter *f) {
        const char *text = NULL;
        int k;

        k = json_get_string(o, "status", &text);
        if (k > 0)
                f->state = task_state_from_string(text);
        if (k < 0 || (k > 0 && f->state < 0))
                return refuse_key(r, "status",
                                  "the name of a state, like queued, running or success");
        k = json_get_string(o, "name", &text);
        if (k < 0)
                return refuse_key(r, "name", "the name of a task type");
        if (k > 0) {
                f->type = task_type_find(c->types, text, strlen(text));
                f->matches_nothing = !f->type;
        }
        if (json_get_string(o, "worker", &f->worker) < 0)
                return refuse_key(r, "worker", "the id of a subworker");
        return 1;
}

static int read_range(const Request *r, struct json_object *o, Filter *f) {
        const char *text = NULL;
        int k;

        if (json_get_uint(o, "limit", 1, LIMIT_MAX, &f->limit) < 0)
                return refuse_key(r, "limit", "a number from 1 to 1000");
        if (json_get_uint(o, "since", 0, INT64_MAX, &f->since_usec) < 0)
                return refuse_key(r, "since", "a time in microseconds since the epoch");
        if (json_get_uint(o, "until", 0, INT64_MAX, &f->until_usec) < 0)
                return refuse_key(r, "until", "a time in microseconds since the epoch");
        k = json_get_string(o, "after", &text);
        if (k < 0 || (k > 0 && read_cursor(text, f) < 0))
                return refuse_key(r, "after", "the \"next\" of the page before");
        return 1;
}

static int read_filter(Controld *c, const Request *r, struct json_object *o, Filter *ret) {
        static const char *const known[] = { "status", "name",  "worker", "since",
                                             "until",  "limit", "after",  NULL };
        const char *unknown = json_unknown_key(o, known);
        int k;

        *ret = (Filter){
                .state = _TASK_STATE_INVALID,
                .until_usec = UINT64_MAX,
                .limit = LIMIT_DEFAULT,
                .before = UINT64_MAX,
        };
        if (unknown)
                return request_refuse(
                        r, WIRE_ERROR_BAD_ARGUMENT,
                        "unknown key \"%.64s\": the filter has status, name, worker, since, until, "
                        "limit and after",
                        unknown);
        k = read_names(c, r, o, ret);
        return k <= 0 ? k : read_range(r, o, ret);
}

static bool matches(const Controld *c, const Filter *f, const Task *t) {
        const char *worker = t->worker ? t->worker->id : task_last_worker(t);

        return (f->state < 0 || t->state == (uint8_t) f->state) &&
               (!f->type || t->type == f->type) &&
               (!f->worker || (worker && streq(f->worker, worker))) &&
               t->created_usec >= f->since_usec && t->created_usec < f->until_usec &&
               !results_is_expired(&c->results, t);
}

/* The table keeps the order in which tasks came. */
static Task *first_of_page(const Controld *c, const Filter *f) {
        Task *head = c->tasks.tasks, *t;

        if (!head || f->matches_nothing)
                return NULL;
        t = f->before < UINT64_MAX ? task_find(&c->tasks, &f->before_id) : NULL;
        return t ? t->hh.prev : ELMT_FROM_HH(head->hh.tbl, head->hh.tbl->tail);
}

/* A page may end before it reaches the place where it is to begin, when the task there is gone: the number stays
 * then, and the id is where to look on. */
static int add_cursor(struct json_object *o, const Filter *f, const Task *last) {
        char id[TASK_ID_TEXT_LENGTH + 1], text[TASK_ID_TEXT_LENGTH + 32];

        task_id_to_text(&last->id, id);
        (void) snprintf(text, sizeof(text), "%" PRIu64 "-%s", MIN(last->sequence, f->before), id);
        return json_add_string(o, "next", text);
}

static int add_page(const Controld *c, const Filter *f, struct json_object *o) {
        struct json_object *array = json_object_new_array();
        Task *t, *last = NULL;
        uint64_t n = 0, scanned = 0, bytes = 0;

        if (json_add(o, "tasks", array) < 0)
                return -ENOMEM;
        for (t = first_of_page(c, f);
             t && n < f->limit && scanned < SCAN_MAX && bytes < PAGE_BYTES_MAX;
             t = t->hh.prev, scanned++) {
                last = t;
                if (t->sequence >= f->before || !matches(c, f, t))
                        continue;
                if (json_object_array_add(array, task_to_json(c, t)) < 0)
                        return -ENOMEM;
                n++;
                bytes += TASK_BYTES + 2 * strlen(t->type->name);
        }
        if (json_add_bool(o, "truncated", t) < 0)
                return -ENOMEM;
        return t && last ? add_cursor(o, f, last) : 0;
}

int op_list(Controld *c, const Request *r) {
        _cleanup_json_ struct json_object *filter = NULL, *o = NULL;
        const struct iovec *field = &r->message.fields[0];
        const char *error = "out of memory";
        Filter f;

        if (json_parse_object(field->iov_base, field->iov_len, &filter, &error) < 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "the filter must be one JSON object: %s", error);
        if (read_filter(c, r, filter, &f) <= 0)
                return 0;
        o = json_object_new_object();
        if (!o || add_page(c, &f, o) < 0)
                return request_reply_info(r, WIRE_INFO, NULL);
        return request_reply_info(r, WIRE_INFO, TAKE_PTR(o));
}
