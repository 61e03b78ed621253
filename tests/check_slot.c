/* SPDX-License-Identifier: MIT */

/* Slots with runners that do what the test wants, right or wrong: this program itself, called with
 * "--as-runner MODE", and the example of doc/runner-protocol.md. */

#include "check-util.h"
#include "exec.h"
#include "odd-runner.h"
#include "slot.h"

#define RESULT_MAX (1024U * 1024U)

typedef struct Seen {
        char types[128];
        char ended[512]; /* "SEQ:OUTCOME:PAYLOAD " for each end */
        char logged[64];
        unsigned n_turns, n_flood, n_output;
        bool gone;
        char reason[128];
        bool was_ready, intended;
        char interrupted[32]; /* the task's name */
        unsigned n_undone;
        uint64_t undone_first; /* attempt number: jobs are told apart by it */
} Seen;

static sd_event *event;
static SlotShared shared;
static TypeTable *types;
static JobTable *jobs;
static Slot *slot;
static Seen seen;

static void append(char *text, size_t size, const char *more) {
        ck_assert_uint_lt(strlen(text) + strlen(more), size);
        strcat(text, more);
}

static void on_ready(Slot *s, const char *list, size_t size, void *userdata) {
        ck_assert_ptr_eq(s, slot);
        ck_assert_uint_lt(size, sizeof(seen.types));
        memcpy(seen.types, list, size);
}

static void on_done(Slot *s, Job *job, const RunnerMessage *m, void *userdata) {
        _cleanup_free_ char *text =
                format_string("%llu:%s:%.*s ", (unsigned long long) job->key.attempt,
                              m->success ? "success" : "failure",
                              (int) MIN(m->payload_size, (size_t) 20), m->payload);

        ck_assert_ptr_null(job->slot);
        append(seen.ended, sizeof(seen.ended), text);
        job_table_remove(jobs, job);
}

static void on_log(Slot *s, const Job *job, const RunnerMessage *m, void *userdata) {
        if (m->payload_size == strlen(ODD_RUNNER_FLOOD) &&
            memcmp(m->payload, ODD_RUNNER_FLOOD, m->payload_size) == 0) {
                seen.n_flood++;
                return;
        }
        if (m->payload_size == 1) {
                seen.n_output++;
                return;
        }
        append(seen.logged, sizeof(seen.logged), m->payload);
        append(seen.logged, sizeof(seen.logged), job ? " " : "? ");
}

static void on_gone(Slot *s, const SlotEnd *end, void *userdata) {
        Job *job;

        ck_assert_int_eq(slot_state(s), SLOT_DOWN);
        seen.gone = true;
        strncpy(seen.reason, end->reason, sizeof(seen.reason) - 1);
        seen.was_ready = end->was_ready;
        seen.intended = end->intended;
        if (end->interrupted) {
                strcpy(seen.interrupted, type_name(end->interrupted->type));
                job_table_remove(jobs, end->interrupted);
        }
        while ((job = TAILQ_FIRST(end->undone))) {
                if (seen.n_undone++ == 0)
                        seen.undone_first = job->key.attempt;
                TAILQ_REMOVE(end->undone, job, entry);
                job_table_remove(jobs, job);
        }
}

static void on_turn(void *userdata) {
        seen.n_turns++;
}

static void on_progress(Slot *s, const Job *job, const RunnerMessage *m, void *userdata) {
        ck_abort_msg("no task of these says how far it is");
}

static const SlotHandlers handlers = {
        .ready = on_ready,
        .done = on_done,
        .progress = on_progress,
        .log = on_log,
        .gone = on_gone,
        .turn = on_turn,
};

static void setup(void) {
        setup_directory();
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(type_table_new(&types), 0);
        ck_assert_int_gt(type_table_set(types, RUNNER_NATIVE,
                                        &(TypeList){ ODD_RUNNER_TYPES, strlen(ODD_RUNNER_TYPES) },
                                        NULL),
                         0);
        ck_assert_int_eq(job_table_new(&jobs), 0);
        shared = (SlotShared){ .event = event, .handlers = &handlers, .result_max = RESULT_MAX };
        ck_assert_int_eq(runner_inbox_new(SLOT_PIPE_MAX, &shared.inbox), 0);
        shared.packets = calloc(SLOT_PIPE_MAX, sizeof(RunnerPacket));
        for (size_t i = 0; i < SLOT_PIPE_MAX; i++)
                shared.packets[i].fd = -EBADF;
        ck_assert_int_eq(slot_new(&shared, &slot), 0);
        seen = (Seen){};
}

static void teardown(void) {
        slot = slot_free(slot);
        runner_inbox_free(shared.inbox);
        free(shared.packets);
        job_table_free(jobs);
        type_table_free(types);
        sd_event_unref(event);
        teardown_directory();
}

#define run_until(condition)                                                    \
        do {                                                                    \
                while (!(condition))                                            \
                        ck_assert_int_gt(sd_event_run(event, 20 * 1000000), 0); \
        } while (false)

static void start(const char *mode) {
        char *argv[] = { (char *) "/proc/self/exe", (char *) "--as-runner", (char *) mode, NULL };
        char *environment[] = { NULL };

        ck_assert_int_eq(slot_start(slot, argv, environment), 0);
        ck_assert_int_eq(slot_state(slot), SLOT_STARTING);
}

static void start_ready(void) {
        start("good");
        run_until(slot_state(slot) == SLOT_READY);
        ck_assert_str_eq(seen.types, ODD_RUNNER_TYPES);
}

static Job *stage(const char *name, uint64_t attempt, const char *arguments, size_t size) {
        JobKey key = { .attempt = attempt };
        TaskType *type = type_table_find(types, name, strlen(name));
        Job *job;

        ck_assert_ptr_nonnull(type);
        ck_assert_int_eq(job_table_add(jobs, &key, type, arguments, size, &job), 0);
        slot_stage(slot, job);
        return job;
}

static void flush(void) {
        JobList unsent = TAILQ_HEAD_INITIALIZER(unsent);

        ck_assert_int_eq(slot_flush(slot, &unsent), 0);
        ck_assert(TAILQ_EMPTY(&unsent));
}

START_TEST(test_run) {
        uint64_t since;

        ck_assert_ptr_null(slot_head(slot, NULL));
        start_ready();
        ck_assert(slot_accepts(slot, EXPECTED_UNKNOWN));
        stage("ok", 1, "{}", 2);
        ck_assert_uint_eq(slot_count(slot), 1);
        ck_assert_ptr_null(slot_head(slot, NULL));
        stage("fail", 2, "", 0);
        stage("ok", 3, "x", 1);
        flush();
        ck_assert_uint_eq(slot_head(slot, &since)->key.attempt, 1);
        ck_assert_uint_gt(since, 0);
        run_until(slot_count(slot) == 0);
        ck_assert_str_eq(seen.ended, "1:success:{} 2:failure:no 3:success:x ");
        ck_assert_uint_gt(seen.n_turns, 0);
        ck_assert_uint_eq(job_table_count(jobs), 0);
}
END_TEST

START_TEST(test_large) {
        size_t size = 300000;
        _cleanup_free_ char *arguments = calloc(size, 1);

        memset(arguments, 'a', size);
        start_ready();
        stage("ok", 1, arguments, size);
        flush();
        run_until(slot_count(slot) == 0);
        ck_assert_str_eq(seen.ended, "1:success:aaaaaaaaaaaaaaaaaaaa ");
}
END_TEST

/* Short tasks go behind each other, unknown and long ones do not. */
START_TEST(test_accepts) {
        TaskType *ok = type_table_find(types, "ok", 2);
        unsigned n = 0;

        ck_assert(!slot_accepts(slot, 1));
        start("good");
        ck_assert(!slot_accepts(slot, 1));
        run_until(slot_state(slot) == SLOT_READY);

        stage("ok", n++, "", 0);
        ck_assert(!slot_accepts(slot, 1)); /* how long the first takes is not known */
        flush();
        run_until(slot_count(slot) == 0);

        type_observe(ok, 400);
        for (; slot_accepts(slot, 400); n++)
                stage("ok", n, "", 0);
        ck_assert_uint_eq(n, 1 + SLOT_PIPED_USEC / 400);
        ck_assert(!slot_accepts(slot, EXPECTED_UNKNOWN));
        flush();
        run_until(slot_count(slot) == 0);
        for (int i = 0; i < 200; i++)
                type_observe(ok, 1);
        for (n = 100; slot_accepts(slot, type_expected_usec(ok)); n++)
                stage("ok", n, "", 0);
        ck_assert_uint_eq(n, 100 + SLOT_PIPE_MAX);
        flush();
        run_until(slot_count(slot) == 0);
        ck_assert(slot_accepts(slot, EXPECTED_UNKNOWN));
}
END_TEST

/* While the first runs, the others are still ours; in order, and run again they are. */
START_TEST(test_take_back) {
        JobList back = TAILQ_HEAD_INITIALIZER(back);
        uint64_t expected = 2;
        char big[100000] = {};
        Job *job;

        start_ready();
        stage("wait", 1, "", 0);
        stage("ok", 2, "", 0);
        stage("ok", 3, big, sizeof(big));
        stage("ok", 4, "", 0);
        flush();
        run_until(seen.logged[0]); /* it has begun the first */
        ck_assert_str_eq(seen.logged, "waiting ");
        slot_take_back(slot, &back);
        ck_assert_uint_eq(slot_count(slot), 1);
        TAILQ_FOREACH(job, &back, entry)
                ck_assert_uint_eq(job->key.attempt, expected++);
        ck_assert_uint_eq(expected, 5);

        while ((job = TAILQ_FIRST(&back))) {
                TAILQ_REMOVE(&back, job, entry);
                slot_stage(slot, job);
        }
        flush();
        slot_take_back(slot, &back);
        ck_assert_uint_eq(slot_count(slot), 1);
        while ((job = TAILQ_FIRST(&back))) {
                TAILQ_REMOVE(&back, job, entry);
                job_table_remove(jobs, job);
        }
        slot_kill(slot);
        run_until(seen.gone);
        ck_assert_str_eq(seen.interrupted, "wait");
        ck_assert_uint_eq(seen.n_undone, 0);
        ck_assert(seen.intended);
}
END_TEST

START_TEST(test_crash) {
        static const struct {
                const char *task, *reason;
        } table[] = {
                { "segv", "killed by signal SIGSEGV (segmentation fault)" },
                { "abort", "killed by signal SIGABRT (aborted)" },
                { "exit", "runner exited with status 3" },
        };

        start_ready();
        stage("ok", 1, "", 0);
        stage(table[_i].task, 2, "", 0);
        stage("ok", 3, "", 0);
        stage("ok", 4, "", 0);
        flush();
        run_until(seen.gone);
        ck_assert_str_eq(seen.ended, "1:success: ");
        ck_assert_str_eq(seen.reason, table[_i].reason);
        ck_assert_str_eq(seen.interrupted, table[_i].task);
        ck_assert_uint_eq(seen.n_undone, 2);
        ck_assert_uint_eq(seen.undone_first, 3);
        ck_assert(seen.was_ready);
        ck_assert(!seen.intended);

        /* The slot is good for another. */
        seen = (Seen){};
        start_ready();
        stage("ok", 5, "", 0);
        flush();
        run_until(slot_count(slot) == 0);
        ck_assert_str_eq(seen.ended, "5:success: ");
}
END_TEST

/* A runner that dies between two tasks has no task on its conscience. */
START_TEST(test_killed_while_idle) {
        start_ready();
        stage("ok", 1, "", 0);
        flush();
        run_until(slot_count(slot) == 0);
        ck_assert_int_eq(kill(slot_pid(slot), SIGKILL), 0);
        run_until(seen.gone);
        ck_assert_str_eq(seen.interrupted, "");
        ck_assert_str_eq(seen.reason, "killed by signal SIGKILL (killed)");
        ck_assert(!seen.intended);
}
END_TEST

/* What a runner has answered counts, even if it is dead when the answer is read. */
START_TEST(test_last_words) {
        start_ready();
        stage("ok", 1, "", 0);
        stage("exit", 2, "", 0);
        flush();
        /* Both happen before we look. */
        while (kill(slot_pid(slot), 0) >= 0) {
                siginfo_t si = {};

                ck_assert_int_eq(waitid(P_PID, (id_t) slot_pid(slot), &si, WEXITED | WNOWAIT), 0);
                if (si.si_pid != 0)
                        break;
        }
        run_until(seen.gone);
        ck_assert_str_eq(seen.ended, "1:success: ");
        ck_assert_str_eq(seen.interrupted, "exit");
}
END_TEST

START_TEST(test_stop) {
        start_ready();
        stage("ok", 1, "", 0);
        flush();
        slot_stop(slot);
        ck_assert_int_eq(slot_state(slot), SLOT_ENDING);
        ck_assert(!slot_accepts(slot, 1));
        run_until(seen.gone);
        ck_assert_str_eq(seen.ended, "1:success: ");
        ck_assert_str_eq(seen.reason, "runner exited with status 0");
        ck_assert(seen.intended);
}
END_TEST

START_TEST(test_does_not_start) {
        char *argv[] = { (char *) "/nonexistent/runner", NULL }, *environment[] = { NULL };

        ck_assert_int_eq(slot_start(slot, argv, environment), -ENOENT);
        ck_assert_int_eq(slot_state(slot), SLOT_DOWN);
        start("failed");
        run_until(seen.gone);
        ck_assert_str_eq(seen.reason, "modules are missing");
        ck_assert(!seen.was_ready);
        seen = (Seen){};
        start("quits");
        run_until(seen.gone);
        ck_assert_str_eq(seen.reason, "runner exited with status 7");
        ck_assert(!seen.was_ready);
}
END_TEST

/* A runner that breaks the rules is ended, and the task it had fails with it. */
START_TEST(test_breaks_rules) {
        static const struct {
                const char *mode, *reason;
        } table[] = {
                { "garbage", "runner broke the runner protocol" },
                { "hello-twice", "runner said HELLO twice" },
                { "version", "runner speaks another version of the runner protocol" },
                { "wrong-seq", "runner reported the end of a task that it does not have" },
                { "request", "runner sent a request" },
                { "too-much", "runner sent more than the limit on results" },
        };
        bool before_task = streq(table[_i].mode, "version") || streq(table[_i].mode, "hello-twice");

        start(table[_i].mode);
        if (!before_task) {
                run_until(slot_state(slot) == SLOT_READY);
                stage("ok", 1, "", 0);
                stage("ok", 2, "", 0);
                flush();
        }
        run_until(seen.gone);
        ck_assert_str_eq(seen.reason, table[_i].reason);
        ck_assert_str_eq(seen.interrupted, before_task ? "" : "ok");
        ck_assert_uint_eq(seen.n_undone, before_task ? 0 : 1);
        ck_assert(!seen.intended);
}
END_TEST

START_TEST(test_log) {
        start_ready();
        stage("log", 1, "", 0);
        flush();
        run_until(slot_count(slot) == 0);
        ck_assert_str_eq(seen.logged, "a line stray? ");
}
END_TEST

/* A task that logs much must not have the journal drop what the daemon itself says. */
START_TEST(test_chatter) {
        start_ready();
        stage("chatter", 1, "", 0);
        flush();
        run_until(slot_count(slot) == 0);
        ck_assert_str_eq(seen.ended, "1:success: ");
        ck_assert_uint_eq(seen.n_flood, 1000);
}
END_TEST

/* Each task may have so much logged; the next one has an account of its own. */
START_TEST(test_output_max) {
        shared.output_max = 50 * strlen(ODD_RUNNER_FLOOD);
        start_ready();
        stage("chatter", 1, "", 0);
        flush();
        run_until(slot_count(slot) == 0);
        ck_assert_uint_eq(seen.n_flood, 50);
        ck_assert_str_eq(seen.logged, "7250 bytes of output were left out (OutputMax=) ");
        seen.logged[0] = '\0';
        stage("chatter", 2, "", 0);
        flush();
        run_until(slot_count(slot) == 0);
        ck_assert_uint_eq(seen.n_flood, 100);
}
END_TEST

/* Nor does one that never pauses keep us from everything else. */
START_TEST(test_floods) {
        start_ready();
        stage("flood-log", 1, "", 0);
        flush();
        run_until(seen.n_flood > 0);
        for (int i = 0; i < 10; i++)
                slot_settle(slot);
        slot_kill(slot);
        run_until(seen.gone);
        ck_assert_str_eq(seen.interrupted, "flood-log");

        seen = (Seen){};
        start_ready();
        stage("flood-output", 2, "", 0);
        flush();
        run_until(slot_count(slot) == 0);
        ck_assert_str_eq(seen.ended, "2:success: ");
        for (int i = 0; i < 10; i++)
                ck_assert_int_gt(sd_event_run(event, 20 * 1000000), 0);
        slot_kill(slot);
        run_until(seen.gone);
        ck_assert_uint_gt(seen.n_output, 0);
        ck_assert_uint_le(seen.n_output, 1000);
}
END_TEST

/* The runner in Python that stands in the text of the protocol. */
START_TEST(test_example) {
        _cleanup_free_ char *script = path_in("runner.py"), *big = NULL;
        char *argv[] = { (char *) "/usr/bin/python3", script, (char *) "--max-result-bytes=1048576",
                         NULL };
        char *environment[] = { NULL };

        if (access(argv[0], X_OK) < 0)
                return;
        odd_runner_write_example(script);
        ck_assert_int_gt(
                type_table_set(types, RUNNER_NATIVE, &(TypeList){ "add\t\ngreet\t\n", 12 }, NULL),
                0);
        ck_assert_int_eq(slot_start(slot, argv, environment), 0);
        run_until(slot_state(slot) == SLOT_READY || seen.gone);
        ck_assert_str_eq(seen.types, "add\t\ngreet\t\n");
        stage("add", 1, "{\"args\":[5,3]}", 14);
        stage("greet", 2, "", 0);
        stage("add", 3, "{\"args\":[5]}", 12);
        big = format_string("{\"kwargs\":{\"name\":\"%0200000d\"}}", 7);
        stage("greet", 4, big, strlen(big));
        flush();
        run_until(slot_count(slot) == 0 || seen.gone);
        ck_assert_str_eq(seen.ended,
                         "1:success:8 2:success:\"Hello, world!\" "
                         "3:failure:TypeError: add() mis 4:success:\"Hello, 000000000000 ");
        slot_stop(slot);
        run_until(seen.gone);
        ck_assert_str_eq(seen.reason, "runner exited with status 0");
}
END_TEST

int main(int argc, char *argv[]) {
        Suite *s;
        TCase *c;

        if (argc == 3 && streq(argv[1], "--as-runner"))
                return odd_runner(argv[2]);

        s = suite_create("slot");
        c = tcase_create("slot");
        tcase_add_checked_fixture(c, setup, teardown);
        tcase_set_timeout(c, 60);
        tcase_add_test(c, test_run);
        tcase_add_test(c, test_large);
        tcase_add_test(c, test_accepts);
        tcase_add_test(c, test_take_back);
        tcase_add_loop_test(c, test_crash, 0, 3);
        tcase_add_test(c, test_killed_while_idle);
        tcase_add_test(c, test_last_words);
        tcase_add_test(c, test_stop);
        tcase_add_test(c, test_does_not_start);
        tcase_add_loop_test(c, test_breaks_rules, 0, 6);
        tcase_add_test(c, test_log);
        tcase_add_test(c, test_chatter);
        tcase_add_test(c, test_output_max);
        tcase_add_test(c, test_floods);
        tcase_add_test(c, test_example);
        suite_add_tcase(s, c);
        return check_run(s);
}
