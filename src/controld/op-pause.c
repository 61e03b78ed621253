/* SPDX-License-Identifier: MIT */

/* PAUSE: a task type, a priority or a subworker is stopped for a while, or goes on. */

#include "json-util.h"
#include "ops.h"
#include "parse-util.h"
#include "pause.h"

typedef struct PauseRequest {
        PauseKind kind;
        const char *name; /* borrowed from the document */
        bool paused;
} PauseRequest;

/* Each of these returns 1, or refuses and returns 0. */
static int read_request(const Request *r, struct json_object *o, PauseRequest *ret) {
        static const char *const known[] = { "type", "priority", "worker", "paused", NULL };
        const char *unknown = json_unknown_key(o, known);
        unsigned n = 0;

        if (unknown)
                return request_refuse(
                        r, WIRE_ERROR_BAD_ARGUMENT,
                        "unknown key \"%.64s\": there is type, priority or worker, and paused",
                        unknown);
        for (PauseKind kind = 0; kind < _PAUSE_KIND_MAX; kind++) {
                const char *name = NULL;
                int k = json_get_string(o, pause_kind_to_string(kind), &name);

                if (k < 0)
                        return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT, "\"%s\" must be text",
                                              pause_kind_to_string(kind));
                if (k == 0)
                        continue;
                ret->kind = kind;
                ret->name = name;
                n++;
        }
        if (n != 1)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "one of \"type\", \"priority\" and \"worker\" is needed");
        if (json_get_bool(o, "paused", &ret->paused) <= 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "\"paused\" must be true or false");
        return 1;
}

static int check_worker(Controld *c, const Request *r, const PauseRequest *p) {
        struct iovec field = { (char *) p->name, strlen(p->name) };
        const Worker *w;

        if (!wire_field_is_valid(WIRE_KIND_WORKER_ID, &field))
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "\"%.64s\" is no id of a subworker", p->name);
        w = worker_find(&c->workers, p->name);
        if (w && w->local)
                return request_refuse(
                        r, WIRE_ERROR_BAD_ARGUMENT,
                        "%s is the coordinator's own worker, which is started when it "
                        "is needed: pause the task types instead",
                        p->name);
        if (!w && !pause_is_set(c, PAUSE_WORKER, p->name))
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "there is no subworker %s; WORKERS lists them", p->name);
        return 1;
}

static int check(Controld *c, const Request *r, const PauseRequest *p) {
        struct iovec field = { (char *) p->name, strlen(p->name) };

        switch (p->kind) {
        case PAUSE_TYPE:
                /* Not held: what is in the store is known from the start, and nothing is lost if it is asked again. */
                if (task_type_find(c->types, p->name, field.iov_len))
                        return 1;
                return op_submit_refuse_type(c, r, &field);
        case PAUSE_PRIORITY:
                if (field.iov_len > 0 && task_priority_from_text(p->name, field.iov_len) >= 0)
                        return 1;
                return request_refuse(
                        r, WIRE_ERROR_BAD_ARGUMENT,
                        "\"%.64s\" is no priority: there is critical, high, normal and low",
                        p->name);
        default:
                return check_worker(c, r, p);
        }
}

/* The answer comes when it is safe. */
int op_set_paused(Controld *c, const Request *r) {
        _cleanup_json_ struct json_object *o = NULL;
        const struct iovec *f = &r->message.fields[0];
        const char *error = "out of memory";
        PauseRequest p = {};
        LedgerEntry *e;
        int k;

        if (json_parse_object(f->iov_base, f->iov_len, &o, &error) < 0)
                return request_refuse(r, WIRE_ERROR_BAD_ARGUMENT,
                                      "the request must be one JSON object: %s", error);
        k = read_request(r, o, &p);
        if (k > 0)
                k = check(c, r, &p);
        if (k <= 0)
                return k;
        k = ledger_add(&c->ledger, LEDGER_DONE, r, 0, &e);
        if (k < 0)
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory: nothing was done");
        k = pause_set(c, p.kind, p.name, p.paused);
        if (k < 0) {
                ledger_undo(&c->ledger, e);
                return request_refuse(r, WIRE_ERROR_INTERNAL, "out of memory: nothing was done");
        }
        return 0;
}
