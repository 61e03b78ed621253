/* SPDX-License-Identifier: MIT */

/* admin.c and lists: what an administrator's programs ask for and order. */

#include <json-c/json.h>
#include <pthread.h>
#include <sched.h>

#include "client-fixture.h"
#include "json-util.h"

#define NO_TASK "0193a000-0000-7000-8000-000000000001"
#define N_TASKS 8U

static char ids[N_TASKS][FASTWORKER_TASK_ID_SIZE];
static const char *id_list[N_TASKS];

static void submit_all(const char *name, const char *options) {
        for (size_t i = 0; i < N_TASKS; i++) {
                fastworker_submission s = { .name = name, .arguments = "{}", .options = options };

                ck_assert_ok(fastworker_submit(client, &s, ids[i]));
                id_list[i] = ids[i];
        }
}

START_TEST(retry_takes_all_or_none) {
        const char *mixed[] = { NULL, NO_TASK };

        submit_all("crash", NULL);
        mixed[0] = ids[0];
        ck_assert_fails(fastworker_retry(client, mixed, 2), ENOENT, "nothing was done");
        ck_assert_str_eq(fastworker_client_get_error_code(client), "unknown-task");
        ck_assert_uint_eq(fake_count(fake, FAKE_RETRIES), 0);
        ck_assert_ok(fastworker_retry(client, id_list, N_TASKS));
        ck_assert_uint_eq(fake_count(fake, FAKE_RETRIES), N_TASKS);
        ck_assert_fails(fastworker_retry(client, id_list, 1), EINVAL, "another state");
        ck_assert_str_eq(fastworker_client_get_error_code(client), "bad-argument");
}
END_TEST

/* Once it has done what was asked, the coordinator goes without an answer, and comes back. */
static void *restart_when_done(void *userdata) {
        FakeCounter counter = *(FakeCounter *) userdata;

        while (fake_count(fake, counter) == 0)
                sched_yield();
        fake_stop(fake);
        fake_start(fake);
        return NULL;
}

static int lose_answer(FakeCounter counter, const char *const *task_ids, size_t n) {
        pthread_t thread;
        int r;

        fake_mute_once(fake);
        ck_assert_int_eq(pthread_create(&thread, NULL, restart_when_done, &counter), 0);
        r = counter == FAKE_PURGES      ? fastworker_purge(client, task_ids, n)
            : counter == FAKE_SCHEDULES ? fastworker_schedule_remove(client, task_ids[0])
                                        : fastworker_retry(client, task_ids, n);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        return r;
}

START_TEST(purge_is_done_though_its_answer_was_lost) {
        const char *left[] = { NO_TASK, NULL };

        submit_all("echo", NULL);
        ck_assert_ok(lose_answer(FAKE_PURGES, id_list, N_TASKS));
        ck_assert_uint_eq(fake_count(fake, FAKE_PURGES), N_TASKS);
        /* Without a broken connection unknown ones are told. */
        left[1] = ids[0];
        ck_assert_fails(fastworker_purge(client, left, 2), ENOENT, "unknown");
}
END_TEST

START_TEST(retry_whose_answer_was_lost) {
        submit_all("crash", NULL);
        ck_assert_int_eq(lose_answer(FAKE_RETRIES, id_list, N_TASKS), -EINVAL);
        ck_assert_ptr_nonnull(strstr(fastworker_client_get_error(client), "may have been done"));
        ck_assert_fails(fastworker_retry(client, id_list, 1), EINVAL, "another state");
        ck_assert_ptr_null(strstr(fastworker_client_get_error(client), "may have been done"));
}
END_TEST

START_TEST(purge_forgets) {
        char *json = NULL;

        submit_all("echo", NULL);
        ck_assert_ok(fastworker_purge(client, id_list, N_TASKS));
        ck_assert_uint_eq(fake_count(fake, FAKE_PURGES), N_TASKS);
        ck_assert_fails(fastworker_get_task_status(client, ids[0], &json), ENOENT, "unknown");
        submit_all("hold", NULL);
        ck_assert_fails(fastworker_purge(client, id_list, 1), EINVAL, "another state");
}
END_TEST

static void never(fastworker_client *c, const fastworker_task_view *task, void *userdata) {
        ck_abort_msg("%s is not expected", task->task_id);
}

START_TEST(arguments_are_checked) {
        static char path[100000];
        const char *bad[] = { NO_TASK, "7" };
        unsigned n = fake_count(fake, FAKE_REQUESTS);

        ck_assert_fails(fastworker_retry(client, id_list, 0), EINVAL, "1 to 1000");
        ck_assert_fails(fastworker_purge(client, id_list, 1001), EINVAL, "1001");
        ck_assert_fails(fastworker_retry(client, bad, 2), EINVAL, "\"7\" is not a task id");
        ck_assert_fails(fastworker_get_tasks(client, bad, 0, never, NULL), EINVAL, "1 to 1000");
        ck_assert_fails(fastworker_get_tasks(client, bad + 1, 1, never, NULL), EINVAL, "\"7\"");
        ck_assert_fails(fastworker_backup(client, "b.db"), EINVAL, "not an absolute path");
        ck_assert_fails(fastworker_backup(client, NULL), EINVAL, "not an absolute path");
        memset(path, '/', sizeof(path) - 1);
        ck_assert_fails(fastworker_backup(client, path), EINVAL, "too long");
        ck_assert_uint_eq(fake_count(fake, FAKE_REQUESTS), n);
}
END_TEST

START_TEST(backup_of_the_store) {
        _cleanup_free_ char *path = path_in("b.db");

        ck_assert_ok(fastworker_backup(client, path));
        ck_assert_int_eq(access(path, F_OK), 0);
        ck_assert_fails(fastworker_backup(client, path), EINVAL, "exists");
        ck_assert_uint_eq(fake_count(fake, FAKE_BACKUPS), 2);
}
END_TEST

START_TEST(what_is_paused) {
        char *huge = calloc(1, 100001);

        ck_assert_ok(fastworker_set_paused(client, "type", "echo", 1));
        ck_assert_ok(fastworker_set_paused(client, "priority", "low", 0));
        ck_assert_fails(fastworker_set_paused(client, "worker", "nobody", 1), EINVAL,
                        "there is no subworker nobody");
        ck_assert_fails(fastworker_set_paused(client, "day", "monday", 1), EINVAL,
                        "What can be paused");
        ck_assert_fails(fastworker_set_paused(client, "type", NULL, 1), EINVAL,
                        "What can be paused");
        ck_assert_ptr_nonnull(huge);
        memset(huge, 'a', 100000);
        ck_assert_fails(fastworker_set_paused(client, "type", huge, 1), EINVAL, "too long");
        free(huge);
}
END_TEST

START_TEST(refused_for_lack_of_space_and_as_not_unique) {
        fastworker_submission s = { .name = "nospace" };

        ck_assert_fails(fastworker_submit(client, &s, ids[0]), ENOSPC, "the store is full");
        ck_assert_str_eq(fastworker_client_get_error_code(client), "no-space");
        s = (fastworker_submission){ .name = "echo", .options = "{\"unique\":\"taken\"}" };
        ck_assert_fails(fastworker_submit(client, &s, ids[0]), EEXIST, "unique key");
        ck_assert_str_eq(fastworker_client_get_error_code(client), "exists");
}
END_TEST

/* A second one would be refused, as the first is at work. */
START_TEST(backup_is_asked_for_once) {
        ck_assert_ok(fastworker_client_set_timeout(client, 200000));
        ck_assert_ok(fastworker_client_set_retries(client, 10));
        ck_assert_fails(fastworker_backup(client, "/mute"), ETIMEDOUT, "No answer");
        ck_assert_uint_eq(fake_count(fake, FAKE_BACKUPS), 1);
}
END_TEST

typedef struct Viewed {
        size_t n;
        char last[256];
} Viewed;

static void count_view(fastworker_client *c, const fastworker_task_view *task, void *userdata) {
        Viewed *v = userdata;

        v->n++;
        ck_assert_contains(task->info, task->task_id);
        ck_assert_int_eq(fastworker_cancel(c, task->task_id), -EBUSY);
        (void) snprintf(v->last, sizeof(v->last), "%.*s %.*s %s", (int) task->arguments_size,
                        (const char *) task->arguments, (int) task->result_size,
                        (const char *) task->result, task->error);
}

START_TEST(tasks_as_they_are) {
        const char *some[] = { NULL, NO_TASK, NULL };
        Viewed v = {};

        submit_all("bytes", NULL);
        some[0] = ids[0];
        some[2] = ids[1];
        ck_assert_int_eq(fastworker_get_tasks(client, some, 3, count_view, &v), 2);
        ck_assert_uint_eq(v.n, 2);
        ck_assert_str_eq(v.last, "{} \"\xffx ");
        submit_all("fail", NULL);
        ck_assert_int_eq(fastworker_get_tasks(client, id_list, N_TASKS, count_view, &v), N_TASKS);
        ck_assert_str_eq(v.last, "{}  it failed as told");
        ck_assert_int_eq(fastworker_get_tasks(client, &some[1], 1, never, NULL), 0);
        fake_refuse_all(fake, "internal", "out of memory");
        ck_assert_fails(fastworker_get_tasks(client, id_list, N_TASKS, never, NULL), EREMOTEIO,
                        "out of memory");
        fake_refuse_all(fake, NULL, NULL);
        ck_assert_int_eq(fastworker_get_tasks(client, id_list, 1, count_view, &v), 1);
}
END_TEST

/* Pages until the last; returns how many tasks there were. */
static size_t list(fastworker_filter f) {
        _cleanup_free_ char *after = NULL;
        size_t n = 0, n_pages = 0;

        do {
                _cleanup_json_ struct json_object *o = NULL;
                _cleanup_free_ char *json = NULL;
                struct json_object *tasks = NULL;
                const char *next = NULL;

                f.after = after;
                ck_assert_ok(fastworker_list(client, &f, &json));
                ck_assert_int_eq(json_parse_object(json, strlen(json), &o, NULL), 0);
                ck_assert_int_eq(json_get_array(o, "tasks", &tasks), 1);
                n += json_object_array_length(tasks);
                ck_assert_int_ge(json_get_string(o, "next", &next), 0);
                free(after);
                after = next ? strdup(next) : NULL;
                ck_assert_uint_lt(n_pages++, 100);
        } while (after);
        return n;
}

START_TEST(lists) {
        fastworker_filter f = { .limit = 1001 };
        char *json;

        ck_assert_fails(fastworker_list(client, &f, &json), EINVAL, "1 to 1000, not 1001");
        f = (fastworker_filter){ .reserved = { "x" } };
        ck_assert_fails(fastworker_list(client, &f, &json), EINVAL, "reserved");
        submit_all("echo", NULL);
        submit_all("crash", NULL);
        ck_assert_uint_eq(list((fastworker_filter){}), 2 * N_TASKS);
        ck_assert_uint_eq(list((fastworker_filter){ .limit = 1 }), 2 * N_TASKS);
        ck_assert_uint_eq(list((fastworker_filter){ .status = "dead" }), N_TASKS);
        ck_assert_uint_eq(list((fastworker_filter){ .name = "echo", .worker = "sw1" }), N_TASKS);
        ck_assert_uint_eq(list((fastworker_filter){ .worker = "sw2" }), 0);
        ck_assert_uint_eq(list((fastworker_filter){ .since_usec = INT64_MAX }), 0);
        ck_assert_uint_eq(list((fastworker_filter){ .until_usec = 1 }), 0);
        ck_assert_uint_eq(list((fastworker_filter){ .since_usec = 1, .until_usec = INT64_MAX }),
                          2 * N_TASKS);
}
END_TEST

static void assert_asked(char *json, const char *expected) {
        ck_assert_str_eq(json, expected);
        free(json);
}

START_TEST(schedules) {
        static char large[20000000];
        char id[FASTWORKER_TASK_ID_SIZE] = "";
        char *json = NULL;

        ck_assert_ok(fastworker_schedule_add(client, "{\"name\":\"n\"}", &json));
        assert_asked(json, "{\"action\":\"add\",\"asked\":{\"name\":\"n\"}}");
        ck_assert_ok(fastworker_schedule_list(client, NULL, &json));
        assert_asked(json, "{\"action\":\"list\",\"asked\":{}}");
        ck_assert_ok(fastworker_schedule_next(client, "s", 7, &json));
        assert_asked(json, "{\"action\":\"next\",\"asked\":{\"count\":7,\"name\":\"s\"}}");
        ck_assert_ok(fastworker_schedule_pause(client, "s"));
        ck_assert_ok(fastworker_schedule_resume(client, "s"));
        ck_assert_ok(fastworker_schedule_run(client, "s", id));
        ck_assert_uint_eq(strlen(id), FASTWORKER_TASK_ID_SIZE - 1);
        ck_assert_ok(fastworker_schedule_run(client, "s", NULL));
        ck_assert_uint_eq(fake_count(fake, FAKE_SCHEDULES), 7);

        ck_assert_fails(fastworker_schedule_pause(client, "t"), ENOENT, "no such schedule");
        ck_assert_str_eq(fastworker_client_get_error_code(client), "unknown-schedule");
        ck_assert_fails(fastworker_schedule_remove(client, "t"), ENOENT, "no such schedule");
        ck_assert_fails(fastworker_schedule_pause(client, NULL), EINVAL, "is missing");
        ck_assert_fails(fastworker_schedule_next(client, NULL, 1, &json), EINVAL, "is missing");
        ck_assert_fails(fastworker_schedule_add(client, NULL, &json), EINVAL, "is missing");
        memset(large, ' ', sizeof(large) - 1);
        ck_assert_fails(fastworker_schedule_add(client, large, &json), EMSGSIZE, "at most");
}
END_TEST

START_TEST(schedule_is_removed_though_the_answer_was_lost) {
        const char *name = "s";

        ck_assert_ok(lose_answer(FAKE_SCHEDULES, &name, 1));
        ck_assert_fails(fastworker_schedule_remove(client, name), ENOENT, "no such schedule");
}
END_TEST

int main(void) {
        Suite *s = suite_create("client: admin");
        TCase *t = tcase_create("admin");

        tcase_add_checked_fixture(t, setup_connected, teardown_all);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, retry_takes_all_or_none);
        tcase_add_test(t, purge_forgets);
        tcase_add_test(t, purge_is_done_though_its_answer_was_lost);
        tcase_add_test(t, retry_whose_answer_was_lost);
        tcase_add_test(t, arguments_are_checked);
        tcase_add_test(t, backup_of_the_store);
        tcase_add_test(t, what_is_paused);
        tcase_add_test(t, backup_is_asked_for_once);
        tcase_add_test(t, refused_for_lack_of_space_and_as_not_unique);
        tcase_add_test(t, tasks_as_they_are);
        tcase_add_test(t, lists);
        tcase_add_test(t, schedules);
        tcase_add_test(t, schedule_is_removed_though_the_answer_was_lost);
        suite_add_tcase(s, t);
        return check_run(s);
}
