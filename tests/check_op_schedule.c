/* SPDX-License-Identifier: MIT */

/* SCHEDULE, and what a schedule does: what must not be told and must not take effect before it is safe, and what is left
 * when it is refused. */

#include "fail-alloc.h"
#include "fake-store.h"
#include "json-util.h"
#include "persist.h"
#include "schedule-run.h"

#define NAME "\"name\":\"s\""

static void settle(void) {
        fake_store_make_safe(fake_store_commit());
}

static void request(const char *action, const char *document) {
        WireOut *out = fixture_begin(WIRE_SCHEDULE);

        wire_put_string(out, action);
        wire_put_string(out, document);
        fixture_request("admin", ENDPOINT_CLIENT);
}

/* The answer's member as text; static. */
static const char *take_info(const char *key) {
        const WireMessage *m = fixture_take("admin", WIRE_INFO);
        _cleanup_json_ struct json_object *o = NULL;
        static char text[200];

        ck_assert_int_eq(json_parse_object(m->fields[0].iov_base, m->fields[0].iov_len, &o, NULL),
                         0);
        (void) snprintf(
                text, sizeof(text), "%s",
                json_object_to_json_string_ext(json_object_object_get(o, key), JSON_COMPACT));
        return text;
}

static Schedule *find(void) {
        Schedule *s = schedule_find(&fixture->schedules, "s");

        ck_assert_ptr_nonnull(s);
        return s;
}

/* Added, safe, and not fired yet: time stands still here but for schedule_run(). */
static Schedule *added(const char *rest) {
        char document[300];

        (void) snprintf(document, sizeof(document), "{" NAME ",\"task\":\"a\",%s}", rest);
        request("add", document);
        settle();
        fixture_take("admin", WIRE_INFO);
        return find();
}

static size_t count(FakeChangeKind kind) {
        size_t n = 0;

        for (size_t i = 0; i < fake_store.n_changes; i++)
                n += fake_store.changes[i].kind == kind;
        return n;
}

static const FakeChange *last(FakeChangeKind kind) {
        for (size_t i = fake_store.n_changes; i > 0; i--)
                if (fake_store.changes[i - 1].kind == kind)
                        return &fake_store.changes[i - 1];
        ck_abort_msg("no such change");
        return NULL;
}

START_TEST(test_add) {
        request("add", "{" NAME ",\"task\":\"a\",\"interval\":3600}");
        ck_assert_uint_eq(count(FAKE_SCHEDULE_AND_PROGRESS), 1);
        fake_store_commit();
        fixture_take_nothing();
        settle();
        ck_assert_str_eq(take_info("state"), "\"active\"");
        /* Again, as its answer may have been lost: nothing changes. */
        request("add", "{\"task\":\"a\",\"interval\":3600," NAME "}");
        settle();
        ck_assert_str_eq(take_info("name"), "\"s\"");
        ck_assert_uint_eq(count(FAKE_SCHEDULE_AND_PROGRESS), 1);
        request("add", "{" NAME ",\"task\":\"a\",\"interval\":7200}");
        fixture_take_error("admin", WIRE_ERROR_EXISTS, "or have it replaced");
        request("add", "{" NAME ",\"task\":\"a\",\"interval\":7200,\"replace\":true}");
        settle();
        ck_assert_str_eq(take_info("interval"), "7200.0");
        request("add", "{\"name\":\"t\",\"task\":\"b\",\"interval\":1}");
        fixture_take_error("admin", WIRE_ERROR_UNKNOWN_TASK_TYPE, "there are: a");
        fixture_take_nothing();
}
END_TEST

/* The task and the progress are of one batch; before that is safe neither takes effect. */
START_TEST(test_fire) {
        Schedule *s = added("\"interval\":3600");
        uint64_t ticket;
        Task *t;

        schedule_run(fixture, s);
        ck_assert_ptr_nonnull(s->firing);
        t = task_find(&fixture->tasks, &s->now.last_id);
        ck_assert_ptr_nonnull(t);
        ck_assert_int_eq(t->state, TASK_PENDING);
        ticket = fake_store_commit();
        ck_assert_uint_eq(last(FAKE_PROGRESS)->ticket, ticket);
        ck_assert_uint_eq(last(FAKE_SUBMIT)->ticket, ticket);
        ck_assert_uint_eq(last(FAKE_PROGRESS)->n_runs, 1);
        /* It does not go on, whatever the time. */
        schedule_run(fixture, s);
        ck_assert_uint_eq(count(FAKE_PROGRESS), 1);
        ck_assert_uint_eq(queue_length(&fixture->queue), 0);

        fake_store_make_safe(ticket);
        ck_assert_int_eq(t->state, TASK_QUEUED);
        ck_assert_uint_eq(queue_length(&fixture->queue), 1);
        ck_assert_ptr_null(s->firing);
        ck_assert_str_eq(s->options, "{\"schedule\":\"s\"}");
        ck_assert_mem_eq(task_options(t), s->options, t->options_size);
        schedule_run(fixture, s);
        ck_assert_uint_eq(count(FAKE_PROGRESS), 1); /* not due */
        fixture_take_nothing();
}
END_TEST

/* No room: the schedule is where it was, and the same due time gets the same task later. */
START_TEST(test_refused) {
        Schedule *s = added("\"interval\":3600");
        TaskId id;

        schedule_run(fixture, s);
        id = s->now.last_id;
        ledger_refuse_submits(fixture, fake_store_commit());
        ck_assert_ptr_null(task_find(&fixture->tasks, &id));
        ck_assert_uint_eq(s->now.state.n_runs, 0);
        ck_assert(!s->now.has_last && !s->firing);
        schedule_run(fixture, s);
        ck_assert_id_eq(s->now.last_id, id);
        settle();
        ck_assert_uint_eq(s->now.state.n_runs, 1);
        ck_assert_int_eq(task_find(&fixture->tasks, &id)->state, TASK_QUEUED);
        ck_assert_uint_eq(queue_length(&fixture->queue), 1);
}
END_TEST

/* Whatever is done to it while it is firing, what it has fired stays its own business. */
START_TEST(test_meanwhile) {
        Schedule *s = added("\"interval\":3600");
        TaskId id;

        schedule_run(fixture, s);
        id = s->now.last_id;
        request("pause", "{" NAME "}");
        settle();
        ck_assert_str_eq(take_info("state"), "\"paused\"");
        ck_assert_uint_eq(count(FAKE_SCHEDULE), 1); /* the progress is not written with it */
        ck_assert_int_eq(task_find(&fixture->tasks, &id)->state, TASK_QUEUED);

        s = added("\"interval\":1800,\"replace\":true");
        schedule_run(fixture, s);
        id = s->now.last_id;
        request("rm", "{" NAME "}");
        ck_assert_ptr_null(schedule_find(&fixture->schedules, "s"));
        settle();
        fixture_take("admin", WIRE_INFO);
        ck_assert_int_eq(task_find(&fixture->tasks, &id)->state, TASK_QUEUED);

        s = added("\"interval\":900");
        schedule_run(fixture, s);
        id = s->now.last_id;
        request("add", "{" NAME ",\"task\":\"a\",\"interval\":60,\"replace\":true}");
        ledger_refuse_submits(fixture, fake_store_commit());
        fake_store_make_safe(fake_store.ticket);
        fixture_take("admin", WIRE_INFO); /* that was no submit */
        ck_assert_ptr_null(task_find(&fixture->tasks, &id));
        ck_assert_uint_eq(find()->spec.interval_usec, 60 * USEC_PER_SEC);
}
END_TEST

START_TEST(test_pause) {
        Schedule *s = added("\"interval\":3600,\"paused\":true");

        schedule_run(fixture, s);
        ck_assert_uint_eq(count(FAKE_PROGRESS), 0);
        request("resume", "{" NAME "}");
        settle();
        ck_assert_str_eq(take_info("paused"), "false");
        request("resume", "{" NAME "}");
        settle();
        ck_assert_str_eq(take_info("paused"), "false");
        ck_assert_uint_eq(count(FAKE_SCHEDULE), 1);
        schedule_run(fixture, s);
        ck_assert_uint_eq(count(FAKE_PROGRESS), 1);
        settle();
        request("pause", "{\"name\":\"t\"}");
        fixture_take_error("admin", WIRE_ERROR_UNKNOWN_SCHEDULE, "no schedule \"t\"");
}
END_TEST

START_TEST(test_run) {
        static const char document[] =
                "{" NAME ",\"task_id\":\"01938f2a-7c3b-7000-8abc-0123456789ab\"}";
        Schedule *s = added("\"cron\":\"0 0 1 1 *\"");

        request("run", document);
        fake_store_commit();
        fixture_take_nothing();
        settle();
        ck_assert_str_eq(take_info("task_id"), "\"01938f2a-7c3b-7000-8abc-0123456789ab\"");
        request("run", document);
        settle();
        fixture_take("admin", WIRE_INFO);
        ck_assert_uint_eq(queue_length(&fixture->queue), 1);
        ck_assert_uint_eq(s->now.state.n_runs, 0);
        request("run", "{" NAME "}");
        ledger_refuse_submits(fixture, fake_store_commit());
        fixture_take_error("admin", WIRE_ERROR_NO_SPACE, "nothing of this was taken");
        ck_assert_uint_eq(HASH_COUNT(fixture->tasks.tasks), 1);
        fake_store.is_full = true;
        request("run", "{" NAME "}");
        fixture_take_error("admin", WIRE_ERROR_QUEUE_FULL, "the store is full");
}
END_TEST

/* The id of a task that is not the schedule's is not passed off as made; one whose submit is refused is not told as made to
 * whoever asks again, be it in the same batch or behind it. */
START_TEST(test_run_again) {
        static const char document[] =
                "{" NAME ",\"task_id\":\"01938f2a-7c3b-7000-8abc-0123456789ab\"}";
        Schedule *s = added("\"cron\":\"0 0 1 1 *\"");
        uint64_t first;
        Task *t;

        request("run", document);
        request("run", document);
        ledger_refuse_submits(fixture, fake_store_commit());
        fixture_take_error("admin", WIRE_ERROR_NO_SPACE, "nothing of this was taken");
        fixture_take_error("admin", WIRE_ERROR_NO_SPACE, "nothing of this was taken");
        ck_assert_uint_eq(HASH_COUNT(fixture->tasks.tasks), 0);

        request("run", document);
        first = fake_store_commit();
        request("run", document);
        fake_store_commit();
        ledger_refuse_submits(fixture, first);
        settle();
        fixture_take_error("admin", WIRE_ERROR_NO_SPACE, "nothing of this was taken");
        fixture_take_error("admin", WIRE_ERROR_NO_SPACE, "nothing of this was taken");

        request("run", document);
        request("run", document);
        settle();
        ck_assert_str_eq(take_info("task_id"), "\"01938f2a-7c3b-7000-8abc-0123456789ab\"");
        ck_assert_str_eq(take_info("task_id"), "\"01938f2a-7c3b-7000-8abc-0123456789ab\"");
        ck_assert_uint_eq(queue_length(&fixture->queue), 1);

        t = fixture_pop(PRIORITY_NORMAL);
        request("run", "{\"name\":\"other\",\"task_id\":\"01938f2a-7c3b-7000-8abc-0123456789ab\"}");
        fixture_take_error("admin", WIRE_ERROR_EXISTS, "choose another task_id");
        queue_push(&fixture->queue, t);
        ck_assert_uint_eq(s->now.state.n_runs, 0);
        fixture_take_nothing();
}
END_TEST

/* While the last one has not ended. */
START_TEST(test_skip) {
        Schedule *s = added("\"interval\":1,\"count\":5");
        TaskId id;

        schedule_run(fixture, s);
        settle();
        id = s->now.last_id;
        s->now.state.added_usec -= 10 * USEC_PER_SEC; /* so that it is due again */
        s->now.state.last_due_usec -= 10 * USEC_PER_SEC;
        schedule_run(fixture, s);
        settle();
        ck_assert_uint_eq(s->now.state.n_runs, 1);
        ck_assert_uint_eq(count(FAKE_PROGRESS), 2);
        ck_assert_id_eq(s->now.last_id, id);
        ck_assert(schedule_is_running(fixture, s));
}
END_TEST

START_TEST(test_no_memory) {
        Schedule *s = added("\"interval\":3600,\"count\":1");
        ScheduleProgress before = s->now;

        FAIL_EACH_ALLOC(schedule_run(fixture, s), {
                ck_assert_ptr_null(s->firing);
                ck_assert_mem_eq(&s->now, &before, sizeof(before));
                ck_assert_uint_eq(HASH_COUNT(fixture->tasks.tasks), 0);
        });
        ck_assert_ptr_nonnull(s->firing);
        settle();
        ck_assert_uint_eq(queue_length(&fixture->queue), 1);

        /* The store refuses: nothing changes. */
        fake_store.error = -ENOMEM;
        request("rm", "{" NAME "}");
        fixture_take_error("admin", WIRE_ERROR_INTERNAL, "nothing was done");
        fake_store.error = -ENOMEM;
        request("pause", "{" NAME "}");
        fixture_take_error("admin", WIRE_ERROR_INTERNAL, "nothing was done");
        ck_assert(!find()->is_paused);
        fake_store.error = -ENOMEM;
        request("add", "{" NAME ",\"task\":\"a\",\"interval\":60,\"replace\":true}");
        fixture_take_error("admin", WIRE_ERROR_INTERNAL, "nothing was done");
        ck_assert_ptr_eq(find(), s);
        settle();
        fixture_take_nothing();
}
END_TEST

/* --- of task types ------------------------------------------------------------------------------ */

static void bring(const char *worker, const char *options) {
        TaskType *type = task_type_find(fixture->types, "s", 1) ?: make_type(&fixture->types, "s");
        _cleanup_json_ struct json_object *o = NULL;

        if (!worker_find(&fixture->workers, worker))
                fixture_worker(worker, "s", 1);
        type->registration = ++fixture->workers.n_registrations;
        ck_assert_int_eq(json_parse_object(options, strlen(options), &o, NULL), 0);
        schedule_bring(fixture, type, worker, o);
        schedule_brought(fixture, worker, type->registration);
}

static const char hourly[] = "{\"schedule\":{\"interval\":3600}}";

START_TEST(test_brought) {
        TaskId id;

        bring("w1", hourly);
        bring("w2", hourly);
        ck_assert_uint_eq(count(FAKE_SCHEDULE_AND_PROGRESS), 1);
        ck_assert(find()->is_from_type && schedule_is_brought(fixture, find()));
        schedule_run(fixture, find());
        id = find()->now.last_id;
        settle();
        /* Another one, with the same rule: its progress stays, also in the store. */
        bring("w1", "{\"schedule\":{\"interval\":3600,\"count\":9}}");
        ck_assert_uint_eq(find()->spec.count, 9);
        ck_assert_uint_eq(find()->now.state.n_runs, 1);
        ck_assert_id_eq(find()->now.last_id, id);
        ck_assert_uint_eq(count(FAKE_SCHEDULE), 2); /* and that w2 brings it, too */
        settle();

        request("rm", "{" NAME "}");
        fixture_take_error("admin", WIRE_ERROR_BAD_ARGUMENT, "would bring it again");
        /* One does not bring it any more, the other still does. */
        bring("w1", "{}");
        schedule_care(fixture);
        find();
        worker_free(&fixture->workers, worker_find(&fixture->workers, "w2"));
        schedule_care(fixture);
        ck_assert_ptr_null(schedule_find(&fixture->schedules, "s"));
        ck_assert_uint_eq(count(FAKE_FORGET_SCHEDULE), 1);
}
END_TEST

/* One that was added goes before, and when it is removed the other is there at once, as it is by then. */
START_TEST(test_uncovered) {
        bring("w1", hourly);
        request("add", "{" NAME ",\"task\":\"s\",\"interval\":60,\"replace\":true}");
        settle();
        fixture_take("admin", WIRE_INFO);
        ck_assert(!find()->is_from_type && find()->below);
        bring("w1", "{\"schedule\":{\"interval\":7200}}");
        ck_assert_uint_eq(find()->spec.interval_usec, 60 * USEC_PER_SEC);
        request("rm", "{" NAME "}");
        settle();
        fixture_take("admin", WIRE_INFO);
        ck_assert(find()->is_from_type && schedule_is_brought(fixture, find()));
        ck_assert_uint_eq(find()->spec.interval_usec, 7200 * USEC_PER_SEC);
        ck_assert_uint_eq(count(FAKE_FORGET_SCHEDULE), 0);

        /* If nobody brings it by then, there is none. */
        request("add", "{" NAME ",\"task\":\"s\",\"interval\":60,\"replace\":true}");
        settle();
        fixture_take("admin", WIRE_INFO);
        bring("w1", "{}");
        ck_assert_ptr_null(find()->below);
        request("rm", "{" NAME "}");
        settle();
        fixture_take("admin", WIRE_INFO);
        ck_assert_ptr_null(schedule_find(&fixture->schedules, "s"));
}
END_TEST

/* The type that brought it is gone when the subworker comes back after a restart. */
START_TEST(test_gone_meanwhile) {
        static const char document[] = "{\"name\":\"s\",\"task\":\"s\",\"interval\":3600}";
        StoreSchedule stored = { .name = "s",
                                 .document = { (char *) document, sizeof(document) - 1 },
                                 .is_from_type = true,
                                 .bringers = "w0 w1",
                                 .added_usec = 1 };

        ck_assert_int_eq(schedule_recover(fixture, &stored), 0);
        schedule_brought(fixture, "w9", ++fixture->workers.n_registrations);
        schedule_care(fixture);
        find(); /* w9 never brought it */
        schedule_brought(fixture, "w1", ++fixture->workers.n_registrations);
        schedule_care(fixture);
        ck_assert_ptr_null(schedule_find(&fixture->schedules, "s"));
}
END_TEST

START_TEST(test_away) {
        bring("w1", hourly);
        worker_free(&fixture->workers, worker_find(&fixture->workers, "w1"));
        schedule_care(fixture);
        find();
        request("rm", "{" NAME "}"); /* nobody is there to bring it */
        settle();
        fixture_take("admin", WIRE_INFO);

        /* Just after the start those who bring it may not have come yet. */
        bring("w1", hourly);
        fixture->grace_until_usec = USEC_INFINITY;
        bring("w1", "{}");
        schedule_care(fixture);
        find();
        fixture->grace_until_usec = 0;
        schedule_care(fixture);
        ck_assert_ptr_null(schedule_find(&fixture->schedules, "s"));
}
END_TEST

/* While it is firing the change waits. */
START_TEST(test_successor) {
        bring("w1", hourly);
        schedule_run(fixture, find());
        bring("w1", "{\"schedule\":{\"interval\":60}}");
        bring("w1", "{\"schedule\":{\"interval\":120}}");
        ck_assert_uint_eq(find()->spec.interval_usec, 3600 * USEC_PER_SEC);
        settle();
        ck_assert_uint_eq(find()->spec.interval_usec, 120 * USEC_PER_SEC);
        ck_assert_uint_eq(find()->now.state.n_runs, 1);
        settle();

        find()->now.state.last_due_usec -= 120 * USEC_PER_SEC;
        find()->now.state.added_usec -= 120 * USEC_PER_SEC;
        find()->now.has_last = false;
        schedule_run(fixture, find());
        ck_assert_uint_eq(find()->now.state.n_runs, 2);
        bring("w1", "{\"schedule\":{\"interval\":180}}");
        ledger_refuse_submits(fixture, fake_store_commit());
        ck_assert_uint_eq(find()->spec.interval_usec, 180 * USEC_PER_SEC);
        ck_assert_uint_eq(find()->now.state.n_runs, 1);
        settle();
}
END_TEST

START_TEST(test_senseless) {
        bring("w1", "{\"schedule\":{\"interval\":\"never\"}}");
        bring("w1", "{\"schedule\":7}");
        bring("w1", "{\"schedule\":{}}");
        ck_assert_ptr_null(fixture->schedules.by_name);
        (void) added("\"interval\":3600");
        bring("w1", "{\"schedule\":{\"interval\":60}}");
        ck_assert_uint_eq(find()->spec.interval_usec, 3600 * USEC_PER_SEC);
        settle();
        fixture_take_nothing();
}
END_TEST

int main(void) {
        Suite *s = suite_create("op_schedule");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, fake_store_fixture_setup, fixture_teardown);
        tcase_add_test(t, test_add);
        tcase_add_test(t, test_fire);
        tcase_add_test(t, test_refused);
        tcase_add_test(t, test_meanwhile);
        tcase_add_test(t, test_pause);
        tcase_add_test(t, test_run);
        tcase_add_test(t, test_run_again);
        tcase_add_test(t, test_skip);
        tcase_add_test(t, test_no_memory);
        tcase_add_test(t, test_brought);
        tcase_add_test(t, test_away);
        tcase_add_test(t, test_uncovered);
        tcase_add_test(t, test_gone_meanwhile);
        tcase_add_test(t, test_successor);
        tcase_add_test(t, test_senseless);
        suite_add_tcase(s, t);
        return check_run(s);
}
