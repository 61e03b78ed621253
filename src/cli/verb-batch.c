/* SPDX-License-Identifier: MIT */

/* fastworker batch: tasks from stdin, one JSON object a line; results to stdout, one a line, as they come. A
 * window of unfinished tasks is kept full, so that input of any length needs little memory. */

#include <inttypes.h>

#include "batch-line.h"
#include "cli.h"
#include "json-util.h"
#include "line-reader.h"
#include "task-id.h"
#include "time-util.h"
#include "wire.h"

#define WINDOW_DEFAULT       1000
#define WINDOW_MAX           100000
#define PROGRESS_PERIOD_USEC (200 * USEC_PER_MSEC)

static const char *arg_priority;
static uint64_t arg_window = WINDOW_DEFAULT;
static bool arg_fail_fast;
static const char *arg_then, *arg_then_kwargs;
static Words arg_then_args;

static const Option options[] = {
        { "window", OPTION_NUMBER, &arg_window, "N", "Unfinished tasks at a time (default 1000)", 1,
          WINDOW_MAX },
        { "priority", OPTION_TEXT, &arg_priority, "PRIORITY", "For lines that have none" },
        { "fail-fast", OPTION_FLAG, &arg_fail_fast, NULL,
          "Submit no more after a bad line or a failed task" },
        { "then", OPTION_TEXT, &arg_then, "NAME", "Run this task when all of them have ended" },
        { "then-args", OPTION_WORDS, &arg_then_args, "ARG", "Its arguments, as of submit" },
        { "then-kwargs", OPTION_TEXT, &arg_then_kwargs, "JSON", "Its named arguments" },
};

static const Usage usage = {
        .verb = "batch",
        .synopsis = "[OPTION...] <TASKS >RESULTS",
        .text = "Reads tasks from stdin, one JSON object a line, and prints results to stdout, one a line, in the order\n"
                "in which tasks end:\n\n"
                "  {\"task_name\": \"add\", \"args\": [5, 3], \"kwargs\": {}, \"priority\": \"high\"}\n"
                "  {\"line\":1,\"task_id\":\"...\",\"status\":\"success\",\"result\":8,\"error\":null,...}\n\n"
                "All but task_name (or name) may be left out; \"key\" is an idempotency key, \"unique\" and \"unique_policy\" are\n"
                "as of submit, and \"durability\": \"none\" is as --memory-only. So are \"countdown\" (seconds), \"eta\" and\n"
                "\"expires\" (2026-11-24T12:30:00Z, or for the latter seconds), and \"max_retries\" and so on. A line that makes no sense is reported on\n"
                "stderr by its number and as refused on stdout, and the others go on; the exit status is 7 then, else 1\n"
                "if a task did not succeed. With --timeout, gives up when no task ends for so long.\n\n"
                "With --then, one more task is submitted when all lines are: it runs once, when all of them have ended,\n"
                "however that was, and also if there is no line. Its id is printed as {\"then_task_id\":\"...\"}, and it is\n"
                "not waited for.",
        .options = options,
        .n_options = ELEMENTSOF(options),
};

typedef struct Batch {
        fastworker_client *client;
        LineReader input;
        uint64_t n_lines, n_submitted, n_done, n_failed, n_bad;
        uint64_t n_answered;                 /* taken, or not */
        char group[TASK_ID_TEXT_LENGTH + 1]; /* with --then */
        char *then_arguments;
        bool then_is_submitted;
        uint64_t deadline_usec, timeout_usec;
        bool has_stopped; /* reads no more */
        bool shows_progress, is_shown;
        uint64_t next_progress_usec;
        int status; /* of something that ends it all */
} Batch;

static void erase_progress(Batch *b) {
        if (b->is_shown)
                fputs("\r\033[K", stderr);
        b->is_shown = false;
}

static void show_progress(Batch *b) {
        uint64_t now;

        if (!b->shows_progress)
                return;
        now = now_usec(CLOCK_MONOTONIC);
        if (now < b->next_progress_usec)
                return;
        b->next_progress_usec = now + PROGRESS_PERIOD_USEC;
        fprintf(stderr, "\r%" PRIu64 " submitted, %" PRIu64 " done, %" PRIu64 " failed\033[K",
                b->n_submitted, b->n_done, b->n_failed + b->n_bad);
        b->is_shown = true;
}

static void print_line(Batch *b, const fastworker_result *r, uint64_t line) {
        _cleanup_json_ struct json_object *o = result_to_json(r, line);

        if (o)
                b->status = b->status ?: print_json(o);
        else
                b->status = complain_oom();
}

static void on_accepted(fastworker_client *c, const char *task_id, void *task_userdata,
                        void *userdata) {
        Batch *b = userdata;

        b->n_answered++;
}

static void on_result(fastworker_client *c, const fastworker_result *result, void *userdata) {
        Batch *b = userdata;

        erase_progress(b);
        b->n_done++;
        if (isempty(fastworker_result_task_id(result))) /* it was not taken */
                b->n_answered++;
        if (!fastworker_result_is_success(result)) {
                b->n_failed++;
                b->has_stopped = b->has_stopped || arg_fail_fast;
        }
        print_line(b, result, (uint64_t) (uintptr_t) fastworker_result_userdata(result));
        b->deadline_usec = session_deadline(b->timeout_usec);
}

static void report_bad_line(Batch *b, const char *why) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        erase_progress(b);
        b->n_bad++;
        b->has_stopped = b->has_stopped || arg_fail_fast;
        complain(CLI_BAD_INPUT, "line %" PRIu64 ": %s", b->n_lines, why);
        if (!o || json_add_uint(o, "line", b->n_lines) < 0 ||
            json_object_object_add(o, "task_id", NULL) < 0 ||
            json_add_string(o, "status", "refused") < 0 ||
            json_object_object_add(o, "result", NULL) < 0 || add_text(o, "error", why) < 0)
                b->status = complain_oom();
        else
                b->status = b->status ?: print_json(o);
}

static void submit_line(Batch *b, const char *text, size_t size) {
        _cleanup_free_ char *error = NULL;
        BatchLine l;
        int r;

        if (is_blank(text, size))
                return;
        r = batch_line_parse(text, size, arg_priority, &l, &error);
        if (r >= 0 && arg_then) {
                r = batch_line_set_group(&l, b->group, &error);
                if (r < 0)
                        batch_line_done(&l);
        }
        if (r == -EBADMSG) {
                report_bad_line(b, error);
                return;
        }
        if (r < 0) {
                b->status = complain_oom();
                return;
        }
        l.submission.userdata = (void *) (uintptr_t) b->n_lines;
        r = fastworker_submit_async(b->client, &l.submission);
        batch_line_done(&l);
        if (r == -EINVAL || r == -EMSGSIZE)
                report_bad_line(b, fastworker_client_get_error(b->client));
        else if (r < 0)
                b->status = session_failed(b->client, r);
        else
                b->n_submitted++;
}

static bool has_room(const Batch *b) {
        return fastworker_client_get_pending(b->client) < arg_window;
}

/* Submits lines that were read as far as there is room. Returns true if another one would need a read. */
static bool submit_lines(Batch *b) {
        while (b->status == 0 && !b->has_stopped && has_room(b)) {
                const char *text;
                size_t size;
                int r;

                r = line_reader_next(&b->input, &text, &size);
                if (r == 0)
                        return !b->input.is_at_end;
                b->n_lines++;
                if (r < 0)
                        report_bad_line(b, "longer than 64 MiB");
                else
                        submit_line(b, text, size);
        }
        return false;
}

static bool is_finished(const Batch *b, bool wants_input) {
        return b->status != 0 || (!wants_input && fastworker_client_get_pending(b->client) == 0 &&
                                  (b->has_stopped || b->input.is_at_end));
}

/* As soon as the coordinator has said of each line whether it took it: then it knows whom to wait for. The key is made of
 * the group, so that this can be tried again without making two of it. */
static void submit_then(Batch *b, bool wants_input) {
        _cleanup_json_ struct json_object *when = NULL, *o = NULL;
        _cleanup_free_ char *text = NULL;
        char key[TASK_ID_TEXT_LENGTH + 8], id[FASTWORKER_TASK_ID_SIZE];
        fastworker_submission s = { .name = arg_then, .arguments = b->then_arguments, .key = key };
        int r;

        if (!arg_then || b->then_is_submitted || b->status != 0 || wants_input ||
            !(b->has_stopped || b->input.is_at_end) || b->n_answered < b->n_submitted)
                return;
        (void) snprintf(key, sizeof(key), "then-%s", b->group);
        when = json_object_new_object();
        if (!when || json_add_string(when, "after_group", b->group) < 0 ||
            task_options_to_text(when, &text) < 0) {
                b->status = complain_oom();
                return;
        }
        s.options = text;
        r = fastworker_submit(b->client, &s, id);
        if (r < 0) {
                b->status = session_failed(b->client, r);
                return;
        }
        b->then_is_submitted = true;
        erase_progress(b);
        o = json_object_new_object();
        if (!o || json_add_string(o, "then_task_id", id) < 0)
                b->status = complain_oom();
        else
                b->status = b->status ?: print_json(o);
}

static int interrupted(Batch *b, int sig) {
        complain(CLI_SIGNAL, "interrupted after line %" PRIu64 "; tasks that go on: %zu",
                 b->n_lines, fastworker_client_get_pending(b->client));
        return CLI_SIGNAL + sig;
}

static int run_batch(Batch *b) {
        int r, sig = 0;

        for (;;) {
                bool wants_input = submit_lines(b);

                submit_then(b, wants_input);
                if (is_finished(b, wants_input))
                        break;
                show_progress(b);
                /* Until something is submitted there is nothing to be late. */
                r = session_turn(b->client, wants_input ? STDIN_FILENO : -1,
                                 fastworker_client_get_pending(b->client) > 0 ? b->deadline_usec
                                                                              : USEC_INFINITY,
                                 &sig);
                if (r > 0) {
                        r = line_reader_fill(&b->input, STDIN_FILENO);
                        if (r < 0)
                                return complain(CLI_TROUBLE, "cannot read the tasks: %s",
                                                strerror(-r));
                        continue;
                }
                if (r == 0)
                        continue;
                erase_progress(b);
                if (r == -EINTR)
                        return interrupted(b, sig);
                if (r == -ETIMEDOUT)
                        return complain(CLI_TIMEOUT,
                                        "no task ended within --timeout; tasks that go on: %zu",
                                        fastworker_client_get_pending(b->client));
                return session_failed(b->client, r);
        }
        erase_progress(b);
        if (b->status != 0)
                return b->status;
        return b->n_bad > 0 ? CLI_BAD_INPUT : b->n_failed > 0 ? CLI_TASK_FAILED : CLI_SUCCESS;
}

static int prepare_then(Batch *b) {
        TaskId id;
        int r;

        if (!arg_then)
                return arg_then_args.n > 0 || arg_then_kwargs
                               ? complain(CLI_USAGE, "--then-args and --then-kwargs go with --then")
                               : 0;
        r = make_arguments(&arg_then_args, arg_then_kwargs, &b->then_arguments);
        words_done(&arg_then_args);
        if (r != 0)
                return r;
        r = task_id_new(&id);
        if (r < 0)
                return complain(CLI_TROUBLE, "cannot make an id: %s", strerror(-r));
        task_id_to_text(&id, b->group);
        return 0;
}

int verb_batch(int argc, char *argv[]) {
        _cleanup_client_ fastworker_client *c = NULL;
        Batch b = { .input.max_bytes = WIRE_PAYLOAD_MAX };
        int r;

        r = parse_options(&usage, argc, argv);
        if (r <= 0)
                return r < 0 ? CLI_USAGE : CLI_SUCCESS;
        arg_json = JSON_SHORT;
        r = prepare_then(&b);
        if (r == 0)
                r = session_open(TIMEOUT_RESULT_USEC, &c);
        if (r == 0)
                r = session_hold_signals();
        if (r != 0) {
                free(b.then_arguments);
                return r;
        }

        b.client = c;
        b.timeout_usec = arg_timeout_usec > 0 ? arg_timeout_usec : USEC_INFINITY;
        b.deadline_usec = session_deadline(b.timeout_usec);
        b.shows_progress = isatty(STDERR_FILENO);
        (void) fastworker_on_accepted(c, on_accepted, &b);
        (void) fastworker_on_result(c, on_result, &b);
        r = run_batch(&b);
        if (arg_then && !b.then_is_submitted)
                complain(r, "the task of --then was not submitted");
        line_reader_done(&b.input);
        free(b.then_arguments);
        return r;
}
