/* SPDX-License-Identifier: MIT */

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "controld.h"
#include "dependency-group.h"
#include "dependency-options.h"
#include "json-util.h"
#include "lease.h"
#include "log.h"
#include "persist.h"
#include "time-util.h"

#define TURN_MAX \
        2000U /* tasks that are released or cancelled at once: less than some milliseconds */

typedef struct Edge {
        TAILQ_ENTRY(Edge) link; /* in the list of `from` */
        Dependency *from, *to;  /* `to` waits for `from`; NULL: no more */
} Edge;

/* A task that others wait for, or that waits for others. */
struct Dependency {
        TAILQ_ENTRY(Dependency) link;
        DependencyList *list; /* where it stands; NULL: nowhere */
        Dependencies *all;
        Task *task; /* NULL: it is gone, but not all are told yet */
        TaskId id;
        uint8_t end_state; /* TaskState, once that is known; TASK_PENDING: it was never taken */
        uint32_t n_open;   /* edges and groups that it waits for */
        uint32_t n_edges;
        Edge *edges; /* to what it waits for */
        TAILQ_HEAD(EdgeList, Edge) dependents;
        GroupPart *member_of; /* while it has not ended */
        GroupPart *awaited;
};

void dependencies_init(Dependencies *d) {
        *d = (Dependencies){};
        TAILQ_INIT(&d->ended);
        TAILQ_INIT(&d->ready);
        TAILQ_INIT(&d->recovered);
}

static void put(Dependency *d, DependencyList *list) {
        if (d->list)
                TAILQ_REMOVE(d->list, d, link);
        d->list = list;
        if (list)
                TAILQ_INSERT_TAIL(list, d, link);
}

static int get(Dependencies *all, Task *t, Dependency **ret) {
        TaskExtra *extra = task_extra_get(t);
        Dependency *d;

        if (!extra)
                return -ENOMEM;
        if (!extra->dependency) {
                d = calloc(1, sizeof(*d));
                if (!d)
                        return -ENOMEM;
                d->all = all;
                d->task = t;
                d->id = t->id;
                d->end_state = t->is_ending ? t->end_state : t->state;
                TAILQ_INIT(&d->dependents);
                extra->dependency = d;
        }
        *ret = extra->dependency;
        return 0;
}

static Dependency *dependency_of(const Task *t) {
        return t->extra ? t->extra->dependency : NULL;
}

const Task *dependency_task(const Dependency *d) {
        return d->task;
}

/* What is not needed any more is not kept. */
static void trim(Dependency *d) {
        if (!TAILQ_EMPTY(&d->dependents) || d->list || d->edges || d->member_of || d->awaited)
                return;
        if (d->task)
                d->task->extra->dependency = NULL;
        free(d);
}

void dependencies_done(Dependencies *d) {
        Dependency *gone;

        while ((gone = TAILQ_FIRST(&d->ended))) {
                put(gone, NULL);
                assert(!gone->task);
                trim(gone);
        }
        groups_done(d);
        d->more = sd_event_source_disable_unref(d->more);
}

/* One of those that it waited for is no more. */
static void wait_less(Dependency *d) {
        assert(d->n_open > 0);
        if (--d->n_open == 0)
                put(d, &d->all->ready);
}

void dependency_group_ended(Dependency *d) {
        d->awaited = NULL;
        wait_less(d);
}

static void drop_edge(Edge *e) {
        TAILQ_REMOVE(&e->from->dependents, e, link);
        e->from = NULL;
}

static void begin_to_wait(Dependency *d) {
        if (d->n_open == 0 || d->task->extra->waits_for_tasks)
                return;
        d->task->extra->waits_for_tasks = true;
        d->all->n_waiting++;
}

/* The heap of timers must not have the task meanwhile: this changes its place there. */
static void wait_no_more(Dependency *d) {
        for (uint32_t i = 0; i < d->n_edges; i++)
                if (d->edges[i].from)
                        drop_edge(&d->edges[i]);
        free(d->edges);
        d->edges = NULL;
        d->n_edges = d->n_open = 0;
        if (d->awaited)
                group_wait_no_more(d->awaited);
        d->awaited = NULL;
        if (d->list == &d->all->ready || d->list == &d->all->recovered)
                put(d, NULL);
        if (!d->task->extra->waits_for_tasks)
                return;
        d->task->extra->waits_for_tasks = false;
        d->all->n_waiting--;
}

void dependency_drop_waits(Task *t) {
        Dependency *d = dependency_of(t);

        if (!d)
                return;
        wait_no_more(d);
        trim(d);
}

static void leave_group(Dependency *d) {
        if (d->member_of)
                group_leave(d->all, TAKE_PTR(d->member_of));
}

/* --- links ------------------------------------------------------------------------------------ */

static int add_edge(Dependency *d, Task *prerequisite) {
        Dependency *from;
        Edge *last, *e;
        int r;

        r = get(d->all, prerequisite, &from);
        if (r < 0)
                return r;
        last = TAILQ_LAST(&from->dependents, EdgeList);
        if (last && last->to == d) /* it was named twice */
                return 0;
        e = &d->edges[d->n_edges++];
        *e = (Edge){ .from = from, .to = d };
        TAILQ_INSERT_TAIL(&from->dependents, e, link);
        d->n_open++;
        if (task_state_is_terminal(from->end_state) && from->end_state != TASK_SUCCESS)
                put(from, &d->all->ended);
        return 0;
}

/* Of a task of which the options name these ids. Without ret_error those that are not known are passed over. */
static int link_ids(Controld *c, Dependency *d, const DependencyOptions *o, char *ret_error) {
        char id[TASK_ID_TEXT_LENGTH + 1];
        size_t n = dependency_options_n(o);
        int r;

        d->edges = n > 0 ? calloc(n, sizeof(*d->edges)) : NULL;
        if (n > 0 && !d->edges)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                TaskId wanted = dependency_options_id(o, i);
                Task *t = task_find(&c->tasks, &wanted);
                bool is_known = t && t != d->task && !results_is_expired(&c->results, t);

                task_id_to_text(&wanted, id);
                if (!is_known && ret_error) {
                        (void) snprintf(ret_error, DEPENDENCY_TEXT_MAX,
                                        "it depends on task %s, which is expired or unknown", id);
                        return -ENOENT;
                }
                if (!is_known || t->state == TASK_SUCCESS)
                        continue;
                if (ret_error && t->in_memory && !d->task->in_memory &&
                    c->settings->durability != STORE_NONE) {
                        (void) snprintf(ret_error, DEPENDENCY_TEXT_MAX,
                                        "it depends on task %s, which is kept in memory only: it "
                                        "must be so, too (\"durability\":\"none\")",
                                        id);
                        return -EINVAL;
                }
                r = add_edge(d, t);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_options(const Task *t, struct json_object **ret_document, DependencyOptions *ret) {
        char unused[160];
        int r;

        *ret = (DependencyOptions){};
        r = json_parse_object(task_options(t), t->options_size, ret_document, NULL);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || dependency_options_read(*ret_document, ret, unused) < 0)
                *ret = (DependencyOptions){}; /* of another version: not ours to judge */
        return 0;
}

/* The group that it waits for comes first: it may be its own, and nothing waits for itself. */
static int link_groups(Dependency *d, const DependencyOptions *o, bool waits) {
        int r = 0;

        if (o->after_group && waits) {
                r = group_wait(d->all, o->after_group, d, &d->awaited);
                d->n_open += d->awaited ? 1 : 0;
        }
        if (r >= 0 && o->group)
                r = group_join(d->all, o->group, &d->member_of);
        return r;
}

int dependency_link(Controld *c, Task *t, char ret_error[static DEPENDENCY_TEXT_MAX]) {
        _cleanup_json_ struct json_object *document = NULL;
        DependencyOptions o;
        Dependency *d;
        int r;

        r = read_options(t, &document, &o);
        if (r < 0 || !dependency_options_any(&o))
                return r;
        r = get(&c->dependencies, t, &d);
        if (r >= 0)
                r = link_ids(c, d, &o, ret_error);
        if (r >= 0)
                r = link_groups(d, &o, true);
        if (r < 0)
                return r;
        begin_to_wait(d);
        trim(d);
        return 0;
}

/* --- after a restart -------------------------------------------------------------------------- */

int dependency_recover(Controld *c, Task *t, TaskState state) {
        _cleanup_json_ struct json_object *document = NULL;
        DependencyOptions o;
        Dependency *d;
        bool waits;
        int r;

        if (t->options_size == 0)
                return 0;
        r = read_options(t, &document, &o);
        if (r < 0)
                return r;
        waits = state == TASK_SCHEDULED && (o.ids || o.after_group);
        if (!waits && !o.group)
                return 0;
        r = get(&c->dependencies, t, &d);
        if (r >= 0)
                r = link_groups(d, &o, waits);
        if (r < 0 || !waits)
                return r;
        d->n_open++; /* until dependency_recover_all() */
        begin_to_wait(d);
        put(d, &c->dependencies.recovered);
        return 0;
}

static void run(Controld *c, size_t max);

int dependency_recover_all(Controld *c) {
        Dependency *d;
        int r;

        while ((d = TAILQ_FIRST(&c->dependencies.recovered))) {
                _cleanup_json_ struct json_object *document = NULL;
                DependencyOptions o;

                r = read_options(d->task, &document, &o);
                if (r >= 0)
                        r = link_ids(c, d, &o, NULL);
                if (r < 0)
                        return r;
                put(d, NULL);
                wait_less(d);
        }
        run(c, SIZE_MAX);
        return 0;
}

/* --- what follows from an end ----------------------------------------------------------------- */

void dependency_ended(Controld *c, Task *t) {
        Dependency *d = dependency_of(t);

        if (!d)
                return;
        wait_no_more(d);
        d->end_state = t->end_state;
        if (t->end_state != TASK_SUCCESS && !TAILQ_EMPTY(&d->dependents))
                put(d, &c->dependencies.ended);
        trim(d);
}

void dependency_settled(Controld *c, Task *t) {
        Dependency *d = dependency_of(t);

        if (!d)
                return;
        leave_group(d);
        if (!TAILQ_EMPTY(&d->dependents) && !d->list)
                put(d, &c->dependencies.ended);
        trim(d);
}

void dependency_forget(Task *t) {
        Dependency *d = dependency_of(t);

        if (!d)
                return;
        wait_no_more(d);
        leave_group(d);
        d->task = NULL;
        t->extra->dependency = NULL;
        if (!TAILQ_EMPTY(&d->dependents) && !d->list) {
                d->end_state = TASK_PENDING;
                put(d, &d->all->ended);
        }
        trim(d);
}

/* Its time may yet have to come. */
static void release(Controld *c, Dependency *d) {
        Task *t = d->task;

        put(d, NULL);
        timers_remove(&c->timers, t);
        wait_no_more(d);
        trim(d);
        if (t->state != TASK_SCHEDULED) /* it is not safe yet */
                return;
        if (task_due(t) <= now_usec(CLOCK_REALTIME)) {
                task_set_state(&c->tasks, t, TASK_QUEUED);
                t->queued_monotonic_usec = now_usec(CLOCK_MONOTONIC);
                queue_reinsert(&c->queue, t);
                (void) persist_change(c, t);
        }
        timers_add(&c->timers, t);
}

static int cancel(Controld *c, Task *t, const Dependency *because) {
        char text[160], id[TASK_ID_TEXT_LENGTH + 1];
        TaskEnd end = { .state = TASK_CANCELLED };

        task_id_to_text(&because->id, id);
        if (because->end_state == TASK_PENDING)
                (void) snprintf(text, sizeof(text),
                                "task %s, on which this one depends, was not taken", id);
        else
                (void) snprintf(text, sizeof(text),
                                "task %s, on which this one depends, ended with %s", id,
                                task_state_to_string(because->end_state));
        end.error = (struct iovec){ text, strlen(text) };
        return lease_end_quietly(c, t, &end);
}

/* Tells one after the other of those that wait for it, at most *left. -ENOMEM: not all. */
static int tell_dependents(Controld *c, Dependency *d, size_t *left) {
        Edge *e;
        int r;

        for (; *left > 0 && (e = TAILQ_FIRST(&d->dependents)); (*left)--) {
                if (d->end_state == TASK_SUCCESS) {
                        Dependency *to = e->to;

                        drop_edge(e);
                        wait_less(to);
                        continue;
                }
                r = cancel(c, e->to->task, d); /* takes the edge away */
                if (r < 0)
                        return r;
        }
        if (TAILQ_EMPTY(&d->dependents)) {
                put(d, NULL);
                trim(d);
        }
        return 0;
}

void dependency_flush(Controld *c, const Task *t) {
        Dependency *d = dependency_of(t);
        size_t all = SIZE_MAX;

        if (d && d->list == &c->dependencies.ended && tell_dependents(c, d, &all) < 0)
                log_oom();
}

void dependency_again(Controld *c, Task *t) {
        _cleanup_json_ struct json_object *document = NULL;
        DependencyOptions o;
        Dependency *d = dependency_of(t);
        int r;

        if (d)
                d->end_state = t->state;
        if (t->options_size == 0)
                return;
        r = read_options(t, &document, &o);
        if (r >= 0 && o.group) {
                r = get(&c->dependencies, t, &d);
                if (r >= 0 && !d->member_of)
                        r = group_join_again(&c->dependencies, o.group, t->sequence, &d->member_of);
        }
        if (r < 0)
                log_oom(); /* nobody waits for it then */
}

static void run(Controld *c, size_t max) {
        Dependencies *all = &c->dependencies;
        Dependency *d;

        while (max > 0) {
                if ((d = TAILQ_FIRST(&all->ready))) {
                        release(c, d);
                        max--;
                } else if ((d = TAILQ_FIRST(&all->ended))) {
                        if (tell_dependents(c, d, &max) < 0) {
                                log_oom(); /* the next turn tries again */
                                return;
                        }
                } else
                        return;
        }
}

static int on_more(sd_event_source *s, void *userdata) {
        return 0; /* that there is another turn is enough */
}

void dependency_run(Controld *c) {
        Dependencies *all = &c->dependencies;
        int r;

        run(c, TURN_MAX);
        if (TAILQ_EMPTY(&all->ready) && TAILQ_EMPTY(&all->ended))
                return;
        r = all->more ? 0 : sd_event_add_defer(c->event, &all->more, on_more, c);
        if (r >= 0)
                r = sd_event_source_set_enabled(all->more, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning_errno(r,
                                  "Could not arm the next turn, going on with the next event: %m");
}

bool dependency_describe(const Task *t, char *ret, size_t size) {
        const Dependency *d = dependency_of(t);
        char id[TASK_ID_TEXT_LENGTH + 1];
        uint64_t n;

        if (!d || !t->extra->waits_for_tasks || d->n_open == 0)
                return false;
        n = d->awaited ? d->n_open - 1 + group_n_open(d->awaited) : d->n_open;
        for (uint32_t i = 0; n == 1 && !d->awaited && i < d->n_edges; i++) {
                if (!d->edges[i].from)
                        continue;
                task_id_to_text(&d->edges[i].from->id, id);
                (void) snprintf(ret, size, "task %s", id);
                return true;
        }
        if (d->awaited && d->n_open == 1)
                (void) snprintf(ret, size, "%" PRIu64 " task%s of group \"%s\"", n,
                                n == 1 ? "" : "s", group_name(d->awaited));
        else
                (void) snprintf(ret, size, "%" PRIu64 " tasks", n);
        return true;
}
