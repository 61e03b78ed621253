/* SPDX-License-Identifier: MIT */

/* fastworker wait: the results of tasks that were submitted before. */

#include "cli.h"

static Words arg_task_id;
static bool arg_progress;

static const Option options[] = {
        { "task-id", OPTION_WORDS, &arg_task_id, "ID", "The tasks to wait for (required)" },
        { "progress", OPTION_FLAG, &arg_progress, NULL, "Show on stderr how far they are" },
};

static const Usage usage = {
        .verb = "wait",
        .synopsis = "--task-id ID... [OPTION...]",
        .text = "Waits until tasks have ended. For one task prints its result as `submit` does; for several one line\n"
                "for each as they end: id, status, result or error, with tabs between. The exit status is that of the\n"
                "first task that did not succeed. --timeout is FASTWORKER_TIMEOUT, else 30 s.",
        .options = options,
        .n_options = ELEMENTSOF(options),
};

typedef struct Waiting {
        bool is_single;
        int status;
} Waiting;

static void print_line(const fastworker_result *r) {
        const char *error = fastworker_result_error(r);
        size_t size;
        const char *data = fastworker_result_data(r, &size);

        printf("%s\t%s\t", fastworker_result_task_id(r), fastworker_result_status(r));
        if (fastworker_result_is_success(r))
                print_text(stdout, size > 0 ? data : "null", size > 0 ? size : strlen("null"));
        else
                print_text(stdout, error, strlen(error));
        putchar('\n');
}

static void on_result(fastworker_client *c, const fastworker_result *result, void *userdata) {
        Waiting *w = userdata;
        int status = status_of_result(result);

        progress_end();
        if (w->is_single || arg_json != JSON_OFF)
                status = show_result(result, NULL);
        else
                print_line(result);
        if (w->status == CLI_SUCCESS)
                w->status = status;
}

static int wait_for_all(fastworker_client *c, Waiting *w, uint64_t deadline) {
        int r, sig = 0;

        while (fastworker_client_get_pending(c) > 0) {
                size_t n;

                r = arg_progress ? progress_turn(c, &arg_task_id, deadline, &sig)
                                 : session_turn(c, -1, deadline, &sig);
                n = fastworker_client_get_pending(c);
                if (n == 0)
                        break;
                if (r == -EINTR) {
                        complain(CLI_SIGNAL, "interrupted; %zu task%s on", n,
                                 n == 1 ? " goes" : "s go");
                        return CLI_SIGNAL + sig;
                }
                if (r == -ETIMEDOUT)
                        return complain(CLI_TIMEOUT, "not finished in time; %zu task%s on", n,
                                        n == 1 ? " goes" : "s go");
                if (r < 0)
                        return session_failed(c, r);
        }
        return w->status;
}

static int run(void) {
        _cleanup_client_ fastworker_client *c = NULL;
        Waiting waiting = { .is_single = arg_task_id.n == 1 };
        uint64_t timeout, deadline;
        int r;

        r = check_task_ids(&arg_task_id, &usage);
        if (r == 0)
                r = session_timeout(TIMEOUT_RESULT_USEC, &timeout);
        if (r != 0)
                return r;
        deadline = session_deadline(timeout);
        r = session_connect(timeout, &c);
        if (r != 0)
                return r;

        (void) fastworker_on_result(c, on_result, &waiting);
        for (size_t i = 0; i < arg_task_id.n; i++) {
                r = fastworker_watch(c, arg_task_id.words[i], NULL);
                if (r < 0)
                        return session_failed(c, r);
        }
        r = session_hold_signals();
        if (r == 0)
                r = wait_for_all(c, &waiting, deadline);
        progress_end();
        return r;
}

int verb_wait(int argc, char *argv[]) {
        int r = run_with_options(&usage, argc, argv, run);

        words_done(&arg_task_id);
        return r;
}
