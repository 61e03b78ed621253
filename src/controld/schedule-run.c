/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "due.h"
#include "json-util.h"
#include "log.h"
#include "message-ids.h"
#include "parse-util.h"
#include "persist.h"
#include "schedule-run.h"
#include "submit-options.h"
#include "task-lane.h"
#include "time-util.h"

#define ACCURACY_USEC     (5 * USEC_PER_MSEC)
#define POSTPONE_USEC     USEC_PER_SEC
#define BACKLOG_BYTES_MAX (256U * 1024U * 1024U)

bool schedule_is_running(const Controld *c, const Schedule *s) {
        const Task *t = s->now.has_last ? task_find(&c->tasks, &s->now.last_id) : NULL;

        return t && !task_state_is_terminal(t->state);
}

/* How many more tasks are taken. */
static uint64_t room(const Controld *c) {
        uint64_t n = HASH_COUNT(c->tasks.tasks) - c->results.n, max = c->settings->max_queued_tasks;

        return max > n ? max - n : 0;
}

const char *schedule_lack(const Controld *c, size_t n) {
        if (n > room(c))
                return "as many tasks wait or run as may (MaxQueuedTasks=)";
        if (c->tasks.payload_bytes > c->settings->max_total_bytes)
                return "the tasks hold as many bytes as they may (MaxTotalBytes=)";
        if (store_is_full(c->store))
                return "the store is full (MaxStoreBytes=, or the disk)";
        if (store_backlog_bytes(c->store) > BACKLOG_BYTES_MAX)
                return "the disk is too slow for what comes";
        return NULL;
}

/* --- the timer -------------------------------------------------------------------------------- */

static int on_time(sd_event_source *source, uint64_t usec, void *userdata);

/* One source each: the event loop keeps them in a heap, with one descriptor for all. */
static void arm(Controld *c, Schedule *s, uint64_t usec) {
        int r = 0;

        if (!s->timer) {
                s->owner = c;
                r = sd_event_add_time(c->event, &s->timer, CLOCK_REALTIME, usec, ACCURACY_USEC,
                                      on_time, s);
        }
        if (r >= 0 && usec != USEC_INFINITY)
                r = sd_event_source_set_time(s->timer, usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->timer, usec == USEC_INFINITY ? SD_EVENT_OFF
                                                                                : SD_EVENT_ONESHOT);
        if (r < 0)
                log_error_errno(r, "Could not set the timer of schedule %s, it stands still: %m",
                                s->name);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Schedule *s = userdata;

        schedule_run(s->owner, s);
        return 0;
}

/* --- what is said ----------------------------------------------------------------------------- */

typedef char TimeText[sizeof("2026-11-24 12:30:01 UTC") + 8];

static const char *time_text(uint64_t usec, TimeText ret) {
        time_t seconds = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;

        if (!gmtime_r(&seconds, &tm) ||
            strftime(ret, sizeof(TimeText), "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
                strcpy(ret, "?");
        return ret;
}

static void tell(const char *message_id, int level, const Schedule *s, const char *what) {
        log_event(level, 0, LOG_FIELDS(.message_id = message_id, .task_name = s->task_name),
                  "Schedule %s (task %s): %s.", s->name, s->task_name, what);
}

static void tell_fired(const Schedule *s, const Task *t, uint64_t due) {
        char id[TASK_ID_TEXT_LENGTH + 1];
        TimeText time;

        if (!log_is_shown(LOG_DEBUG))
                return;
        task_id_to_text(&t->id, id);
        log_event(LOG_DEBUG, 0, LOG_FIELDS(.task_id = id, .task_name = s->task_name),
                  "Schedule %s fired for %s: task %s (%s)", s->name, time_text(due, time),
                  s->task_name, id);
}

/* Once for all that was missed together. What is late by less than a minute is daily business. */
static void tell_missed(Schedule *s, const ScheduleTurn *t, uint64_t now) {
        uint64_t first = t->missed_usec > 0 ? t->missed_usec : t->n_due > 0 ? t->due_usec[0] : now;
        bool is_late = now > first && now - first > SCHEDULE_GRACE_USEC;
        TimeText from, to;

        if (!is_late || s->is_catching_up)
                return;
        s->is_catching_up = t->next_usec == 0; /* there is more of it */
        log_event(
                LOG_NOTICE, 0,
                LOG_FIELDS(.message_id = MESSAGE_SCHEDULE_MISSED, .task_name = s->task_name),
                "Schedule %s (task %s): missed what was due from %s to %s; catch-up policy %s: %s.",
                s->name, s->task_name, time_text(first, from),
                time_text(t->missed_usec > 0 ? t->last_missed_usec
                                             : t->progress.state.last_due_usec,
                          to),
                catch_up_to_string(s->spec.catch_up),
                t->n_due == 0                      ? "none is run"
                : s->spec.catch_up == CATCH_UP_ALL ? "all are run now, oldest first"
                                                   : "the last one is run now");
}

static void tell_turn(Schedule *s, const ScheduleTurn *t, uint64_t now) {
        TimeText time;

        tell_missed(s, t, now);
        if (t->next_usec != 0)
                s->is_catching_up = false;
        if (t->dropped_usec > 0 && t->missed_usec == 0)
                log_debug(
                        "Schedule %s: what was due at %s is dropped, as the task before has not ended.",
                        s->name, time_text(t->dropped_usec, time));
        if (t->has_ended && t->has_moved)
                tell(MESSAGE_SCHEDULE_ENDED, LOG_INFO, s, "it has ended, nothing is due any more");
}

/* --- firing ----------------------------------------------------------------------------------- */

static int set_options(Controld *c, Task *t, const SubmitOptions *options) {
        uint64_t expires = submit_options_expires(options, t->created_usec);
        int r = 0;

        t->in_memory = options->in_memory;
        if (options->has_lane)
                r = task_lane_enter(&c->queue, t);
        if (r < 0 || expires == 0)
                return r;
        r = due_prepare(c, t);
        if (r < 0)
                return r;
        t->extra->expires_usec = expires;
        return 0;
}

int schedule_make_task(Controld *c, const Schedule *s, const TaskId *id, Task **ret) {
        const struct iovec text = { s->options, strlen(s->options) };
        TaskSpec spec = {
                .priority = s->priority,
                .id = *id,
                .arguments = s->arguments,
                .arguments_size = strlen(s->arguments),
                .options = s->options,
                .options_size = strlen(s->options),
        };
        SubmitOptions options;
        char error[160];
        Task *t;
        int r;

        r = submit_options_parse(&text, &options, error);
        if (r < 0)
                return r;
        r = task_type_get(&c->types, s->task_name, &spec.type);
        if (r >= 0 && !json_object_object_get_ex(s->definition, "priority", NULL))
                spec.priority = spec.type->priority;
        if (r >= 0)
                r = task_new(&c->tasks, &spec, &t);
        if (r < 0)
                return r;
        t->sequence = queue_next_sequence(&c->queue);
        r = set_options(c, t, &options);
        if (r < 0) {
                task_free(&c->tasks, t);
                return r;
        }
        *ret = t;
        return 0;
}

typedef struct Firing {
        Task *tasks[ELEMENTSOF(((ScheduleTurn *) NULL)->due_usec)];
        size_t n;
} Firing;

static void undo(Controld *c, Firing *f) {
        for (size_t i = f->n; i > 0; i--)
                task_free(&c->tasks, f->tasks[i - 1]);
        f->n = 0;
}

/* A time that has its task already, as the clock was set back and the schedule added anew, does not get another. */
static int make_tasks(Controld *c, const Schedule *s, ScheduleTurn *t, Firing *f) {
        for (size_t i = 0; i < t->n_due; i++) {
                char unused[SCHEDULE_KEY_SIZE];
                TaskId id;
                int r;

                schedule_firing(c->settings->worker_id, s->name, t->due_usec[i], &id, unused);
                r = schedule_make_task(c, s, &id, &f->tasks[f->n]);
                if (r < 0 && r != -EEXIST)
                        return r;
                if (r >= 0)
                        tell_fired(s, f->tasks[f->n++], t->due_usec[i]);
                t->progress.last_id = id;
                t->progress.has_last = true;
        }
        return 0;
}

static StoreSchedule stored(const Schedule *s, const ScheduleProgress *p, const char *bringers) {
        return (StoreSchedule){
                .name = s->name,
                .document = { (char *) s->document, strlen(s->document) },
                .is_from_type = s->is_from_type,
                .bringers = bringers,
                .is_paused = s->is_paused,
                .added_usec = p->state.added_usec,
                .last_due_usec = p->state.last_due_usec,
                .n_runs = p->state.n_runs,
                .last_task = { (uint8_t *) p->last_id.bytes,
                               p->has_last ? sizeof(p->last_id.bytes) : 0 },
        };
}

static int fire(Controld *c, Schedule *s, ScheduleTurn *t) {
        Firing f = { .n = 0 };
        StoreSchedule move;
        LedgerEntry *e;
        int r;

        r = ledger_add(&c->ledger, LEDGER_SCHEDULE, NULL, t->n_due, &e);
        if (r < 0)
                return r;
        r = make_tasks(c, s, t, &f);
        if (r >= 0) {
                move = stored(s, &t->progress, NULL);
                r = persist_move_schedule(c, &move, f.tasks, f.n);
        }
        if (r < 0) {
                undo(c, &f);
                ledger_undo(&c->ledger, e);
                return r;
        }
        for (size_t i = 0; i < f.n; i++)
                ledger_note(e, f.tasks[i], true);
        ledger_set_schedule(e, s);
        s->safe = s->now;
        s->now = t->progress;
        s->firing = e;
        return 0;
}

static void postpone(Controld *c, Schedule *s, const char *why) {
        if (!s->is_postponed)
                log_event(LOG_WARNING, 0,
                          LOG_FIELDS(.message_id = MESSAGE_SCHEDULE_POSTPONED,
                                     .task_name = s->task_name),
                          "Schedule %s (task %s) is due, but %s: trying again each second.",
                          s->name, s->task_name, why);
        s->is_postponed = true;
        arm(c, s, now_usec(CLOCK_REALTIME) + POSTPONE_USEC);
}

void schedule_run(Controld *c, Schedule *s) {
        uint64_t now = now_usec(CLOCK_REALTIME);
        const char *lack;
        ScheduleTurn t;
        int r = 0;

        if (c->stopping || s->is_paused || s->firing) {
                arm(c, s, USEC_INFINITY);
                return;
        }
        schedule_turn(s, now, schedule_is_running(c, s), MAX(room(c), UINT64_C(1)), &t);
        if (t.has_moved) {
                lack = t.n_due > 0 ? schedule_lack(c, t.n_due) : NULL;
                if (!lack) {
                        r = fire(c, s, &t);
                        lack = r < 0 ? "there is not enough memory" : NULL;
                }
                if (lack) {
                        postpone(c, s, lack);
                        return;
                }
                s->is_postponed = false;
                tell_turn(s, &t, now);
        }
        /* While it is firing it waits for that, see above. */
        arm(c, s, s->firing ? USEC_INFINITY : t.next_usec);
}

/* In a turn to come, so that what it does then is committed by that. */
static void go_on(Controld *c, Schedule *s) {
        Schedule *successor = TAKE_PTR(s->successor);

        s->firing = NULL;
        if (successor)
                schedule_succeed(c, s, successor);
        else
                arm(c, s, s->is_paused ? USEC_INFINITY : 0);
}

void schedule_settle(Controld *c, Schedule *s) {
        go_on(c, s);
}

void schedule_refuse(Controld *c, Schedule *s) {
        bool has_successor = s->successor;

        s->now = s->safe;
        s->firing = NULL;
        if (has_successor)
                go_on(c, s);
        else
                postpone(c, s, "the store is full (MaxStoreBytes=, or the disk)");
}

/* --- changes ---------------------------------------------------------------------------------- */

/* With Durability=none, too: that is when an answer is due. */
static int put(Controld *c, const Schedule *s, bool with_progress) {
        _cleanup_free_ char *bringers = NULL;
        StoreSchedule change;

        if (s->is_from_type && s->bringers) {
                bringers = strv_join(s->bringers, " ");
                if (!bringers)
                        return -ENOMEM;
        }
        change = stored(s, &s->now, bringers);
        return store_set_schedule(c->store, &change, with_progress);
}

int schedule_note_bringers(Controld *c, const Schedule *s) {
        return put(c, s, false);
}

int schedule_add(Controld *c, Schedule *s) {
        int r;

        r = schedule_insert(&c->schedules, s);
        if (r >= 0) {
                r = put(c, s, true);
                if (r < 0)
                        schedule_take(&c->schedules, s);
        }
        if (r < 0) {
                schedule_free(s);
                return r;
        }
        tell(MESSAGE_SCHEDULE_ADDED, LOG_INFO, s,
             s->is_from_type ? "added, as its task type says" : "added");
        arm(c, s, s->is_paused ? USEC_INFINITY : 0);
        return 0;
}

static void forget(Controld *c, Schedule *s) {
        if (s->firing)
                ledger_set_schedule(TAKE_PTR(s->firing), NULL);
        schedule_take(&c->schedules, s);
        schedule_free(s);
}

int schedule_replace(Controld *c, Schedule *s, Schedule *by) {
        int r;

        r = s->is_from_type ? schedule_put_below(by, s) : 0;
        if (r >= 0)
                r = put(c, by, true);
        if (r < 0) {
                schedule_free(by);
                return r;
        }
        if (!by->below && !by->is_from_type)
                by->below = TAKE_PTR(s->below);
        forget(c, s);
        (void) schedule_insert(&c->schedules, by);
        tell(MESSAGE_SCHEDULE_ADDED, LOG_INFO, by, "replaced");
        arm(c, by, by->is_paused ? USEC_INFINITY : 0);
        return 0;
}

/* What a task type brings under the name counts again, as if it were new. */
static int uncover(Controld *c, Schedule *s) {
        Schedule *below = s->below;
        int r;

        below->now.state.added_usec = now_usec(CLOCK_REALTIME);
        r = put(c, below, true);
        if (r < 0)
                return r;
        tell(MESSAGE_SCHEDULE_REMOVED, LOG_INFO, s, "removed");
        s->below = NULL;
        forget(c, s);
        (void) schedule_insert(&c->schedules, below);
        tell(MESSAGE_SCHEDULE_ADDED, LOG_INFO, below, "added, as its task type says");
        arm(c, below, 0);
        return 0;
}

int schedule_remove(Controld *c, Schedule *s) {
        int r;

        if (s->below)
                return uncover(c, s);
        r = store_forget_schedule(c->store, s->name);
        if (r < 0)
                return r;
        tell(MESSAGE_SCHEDULE_REMOVED, LOG_INFO, s, "removed");
        forget(c, s);
        return 0;
}

int schedule_set_paused(Controld *c, Schedule *s, bool is_paused) {
        int r;

        if (s->is_paused == is_paused)
                return 0;
        s->is_paused = is_paused;
        r = put(c, s, false);
        if (r < 0) {
                s->is_paused = !is_paused;
                return r;
        }
        if (s->successor)
                s->successor->is_paused = is_paused;
        tell(is_paused ? MESSAGE_SCHEDULE_PAUSED : MESSAGE_SCHEDULE_RESUMED, LOG_INFO, s,
             is_paused ? "paused" : "goes on");
        arm(c, s, is_paused || s->firing ? USEC_INFINITY : 0);
        return 0;
}

void schedule_succeed(Controld *c, Schedule *s, Schedule *successor) {
        uint64_t now = now_usec(CLOCK_REALTIME);
        bool is_moved;
        int r;

        successor->is_from_type = s->is_from_type;
        successor->is_paused = s->is_paused;
        successor->is_disowned = s->is_disowned;
        successor->now = schedule_carry_over(s, &s->now, successor, now);
        successor->bringers = TAKE_PTR(s->bringers);
        is_moved = memcmp(&successor->now.state, &s->now.state, sizeof(s->now.state)) != 0;
        r = put(c, successor, is_moved);
        if (r < 0) {
                log_oom(); /* it stays as it was */
                s->bringers = TAKE_PTR(successor->bringers);
                schedule_free(successor);
                schedule_run(c, s);
                return;
        }
        forget(c, s);
        (void) schedule_insert(&c->schedules, successor);
        tell(MESSAGE_SCHEDULE_ADDED, LOG_INFO, successor, "changed, as its task type says");
        arm(c, successor, successor->is_paused ? USEC_INFINITY : 0);
}

int schedule_recover(Controld *c, const StoreSchedule *stored_schedule) {
        const struct iovec *text = &stored_schedule->document;
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_(schedule_freep) Schedule *s = NULL;
        _cleanup_free_ char *error = NULL;
        int r;

        r = json_parse_object(text->iov_base, text->iov_len, &o, NULL);
        if (r >= 0)
                r = schedule_new(o, &s, &error);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                log_warning("Schedule %s of the store cannot be used, passing over it: %s",
                            stored_schedule->name, error ?: "its document makes no sense");
                return 0;
        }
        s->is_from_type = stored_schedule->is_from_type;
        s->is_paused = stored_schedule->is_paused;
        s->now.state = (ScheduleState){ .added_usec = stored_schedule->added_usec,
                                        .last_due_usec = stored_schedule->last_due_usec,
                                        .n_runs = stored_schedule->n_runs };
        s->now.has_last = stored_schedule->last_task.iov_len == sizeof(s->now.last_id.bytes);
        if (s->now.has_last)
                memcpy(s->now.last_id.bytes, stored_schedule->last_task.iov_base,
                       sizeof(s->now.last_id.bytes));
        /* Should one of them come back without it, it ends, see schedule-type.c. */
        r = stored_schedule->bringers
                    ? strv_split_extend(&s->bringers, stored_schedule->bringers, " ")
                    : 0;
        if (r >= 0)
                r = schedule_insert(&c->schedules, s);
        if (r < 0)
                return r;
        arm(c, s, s->is_paused ? USEC_INFINITY : 0);
        (void) TAKE_PTR(s);
        return 0;
}

void schedules_done(Controld *c) {
        Schedule *s, *next;

        HASH_ITER(hh, c->schedules.by_name, s, next)
                forget(c, s);
}
