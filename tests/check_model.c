/* SPDX-License-Identifier: MIT */

/* Random clients, subworkers and administrators against a pure model: what is said, by whom, in which order and
 * when the store is safe is drawn, and after each step the coordinator is what the model says. In the second test,
 * with a real store, it is also killed at random moments, and recovers from what it left.
 *
 * FASTWORKER_CHECK_SEED=N draws the same again. The second test then makes the same choices only as far as the
 * store's thread is as fast as it was; a failure comes again in a few runs.
 *
 * Each life of a coordinator is a process, so that kill -9 is what it says. The model is in memory they share. */

#include <signal.h>
#include <sys/wait.h>

#include "log.h"
#include "model-driver.h"
#include "ops.h"
#include "persist.h"
#include "turn.h"

#define STEPS_SERVICE 3500
#define STEPS_CRASHES 1200

/* --- the end of a run ------------------------------------------------------------------------- */

static void finish_tasks(unsigned w) {
        ModelRequest *q = model_request(WIRE_DONE, true, w);

        for (unsigned i = 0; i < model->n_tasks; i++)
                if (model_holds(&model->tasks[i], w, model->tasks[i].attempt))
                        add(q, &model->tasks[i]);
        if (q->n > 0)
                send_request(q);
}

static void round_of_work(void) {
        settle();
        turn_end(fixture);
        read_all();
        model_compare(fixture);
}

/* From now on all behave: everything ends, every wait with it, and no answer is missing. */
static void finish(void) {
        ModelTask *k;

        for (unsigned w = 0; w < MODEL_WORKERS; w++)
                come(w, true);
        for (unsigned i = 0; i < model->n_tasks; i++)
                if (must_resend(&model->tasks[i])) {
                        ModelRequest *q = model_request(WIRE_SUBMIT, false, 0);

                        add(q, &model->tasks[i]);
                        send_request(q);
                        round_of_work();
                }
        for (unsigned n = 0; n < MODEL_TASKS && pick(is_unfinished); n++) {
                let_time_pass(1);
                round_of_work();
                for (unsigned w = 0; w < MODEL_WORKERS; w++)
                        finish_tasks(w);
        }
        k = pick(is_unfinished);
        model_require(!k, "task %u does not end", model_number(k));

        for (unsigned i = 0; i < model->n_tasks; i++)
                if (is_known(&model->tasks[i])) {
                        ModelRequest *q = model_request(WIRE_WAIT, false, 1);

                        add(q, &model->tasks[i]);
                        send_request(q);
                }
        round_of_work();
        for (unsigned i = 0; i < model->n_tasks; i++)
                for (unsigned c = 0; c < MODEL_CLIENTS; c++)
                        model_require(!model->tasks[i].waits[c],
                                      "client %u was never told how task %u ended", c, i);
        for (unsigned i = 0; i < MODEL_REQUESTS; i++)
                model_require(!model->requests[i].is_open, "%s %u was never answered",
                              wire_verb_to_string(model->requests[i].verb),
                              model->requests[i].number);
        model_require(ledger_is_empty(&fixture->ledger), "somebody is still to be answered");
}

/* --- lives ------------------------------------------------------------------------------------ */

/* As manager.c does it. */
static void forget_and_tell(const Task *t, void *userdata) {
        persist_forget(userdata, t);
        op_wait_tell_unknown(userdata, t);
}

static void begin(void) {
        fixture_holds_commits = true;
        fixture->results.forget = forget_and_tell;
        fixture->settings->max_result_bytes = MODEL_RESULT_MAX;
        if (model->step > 0)
                return;
        for (unsigned w = 0; w < MODEL_WORKERS; w++)
                come(w, true);
        settle();
        read_all();
        model_compare(fixture);
}

static void live_in_service(void) {
        log_set_max_level(LOG_CRIT); /* losing workers is daily business here */
        fixture_setup();
        slow_store_setup();
        begin();
        while (model->step < STEPS_SERVICE) {
                step();
                read_all();
                model_compare(fixture);
        }
        finish();
        fixture_teardown();
        model->is_finished = true;
}

/* The last answers may have been seen, or not. */
static void die(void) {
        if (once_in(2))
                turn_end(fixture);
        if (once_in(4))
                read_assignments();
        else
                read_all();
        model->n_crashes++;
        if (once_in(5)) {
                fixture_teardown();
                return;
        }
        model->is_dying = true;
        (void) kill(getpid(), SIGKILL);
}

static void live_and_die(void) {
        log_set_max_level(LOG_CRIT); /* losing workers is daily business here */
        fixture_setup();
        fixture_restart(STORE_PROCESS, test_directory);
        model_recover(fixture);
        begin();
        while (model->step < STEPS_CRASHES) {
                step();
                if (once_in(40)) {
                        die();
                        return;
                }
                read_all();
                model_compare(fixture);
        }
        finish();
        fixture_teardown();
        model->is_finished = true;
}

static bool survive(void (*live)(void)) {
        int status = 0;
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                live();
                _exit(EXIT_SUCCESS);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return model->is_dying ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                               : WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

static void run(uint64_t seed, void (*live)(void)) {
        const size_t size = sizeof(*model);

        model = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(model, MAP_FAILED);
        model->seed = seed;
        model->random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
        model->broken = MODEL_NOBODY;
        setup_directory();
        while (!model->is_finished)
                if (!survive(live)) {
                        (void) fprintf(stderr,
                                       "To run this again: FASTWORKER_CHECK_SEED=%" PRIu64 "\n",
                                       seed);
                        teardown_directory();
                        ck_abort_msg("seed %" PRIu64 " failed at step %" PRIu64, seed, model->step);
                }
        teardown_directory();
        /* It would be easy to find nothing by doing nothing. */
        ck_assert_uint_gt(model->n_ends, 100);
        ck_assert_uint_gt(model->n_results, 50);
        ck_assert_uint_gt(model->n_retries, 0);
        ck_assert_uint_gt(model->n_refused, 20);
        if (live == live_and_die)
                ck_assert_uint_gt(model->n_crashes, 5);
        ck_assert_int_eq(munmap(model, size), 0);
}

static void run_seeds(void (*live)(void)) {
        static const uint64_t seeds[] = { 1, 2, 3, 4, 23 }; /* the last had found something */
        const char *text = getenv("FASTWORKER_CHECK_SEED");

        if (text) {
                run(strtoull(text, NULL, 10), live);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(seeds); i++)
                run(seeds[i], live);
        run(now_usec(CLOCK_REALTIME) % 1000000000, live);
}

START_TEST(test_service) {
        run_seeds(live_in_service);
}
END_TEST

START_TEST(test_crashes) {
        run_seeds(live_and_die);
}
END_TEST

int main(void) {
        Suite *s = suite_create("model");
        TCase *tc = tcase_create("random");

        tcase_set_timeout(tc, 120);
        tcase_add_test(tc, test_service);
        tcase_add_test(tc, test_crashes);
        suite_add_tcase(s, tc);
        return check_run(s);
}
