/* SPDX-License-Identifier: MIT */

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "command-internal.h"
#include "json-util.h"
#include "text.h"

/* "5s", "1.5s" */
static const char *seconds(uint64_t usec, char ret[static 32]) {
        size_t n;

        (void) snprintf(ret, 32, "%" PRIu64 ".%06" PRIu64, usec / USEC_PER_SEC,
                        usec % USEC_PER_SEC);
        n = strlen(ret);
        while (ret[n - 1] == '0')
                n--;
        if (ret[n - 1] == '.')
                n--;
        ret[n] = 's';
        ret[n + 1] = '\0';
        return ret;
}

/* --- the result ----------------------------------------------------------------------------------- */

static void trim(const char **data, size_t *size) {
        while (*size > 0 && isspace((unsigned char) **data)) {
                (*data)++;
                (*size)--;
        }
        while (*size > 0 && isspace((unsigned char) (*data)[*size - 1]))
                (*size)--;
}

static int return_json(fastworker_call *call, const char *data, size_t size) {
        _cleanup_json_ struct json_object *value = NULL;
        _cleanup_free_ char *text = NULL, *begin = NULL;
        const char *error;
        size_t n;
        int r;

        trim(&data, &size);
        if (size == 0)
                return fastworker_return(call, "null");
        r = json_parse(data, size, &value, &error);
        if (r == -ENOMEM)
                return r;
        if (r >= 0)
                return fastworker_return_bytes(call, data, size);
        if (text_clean(data, MIN(size, (size_t) 60), false, &begin, &n) < 0 ||
            asprintf(&text,
                     "standard output is no JSON (%s): \"%s%s\"; a command that writes plain text "
                     "needs Output=text",
                     error, begin, size > 60 ? "..." : "") < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return fastworker_fail(call, text);
}

/* As a JSON string. The newline at the end is not a part of it, as with $(...) of a shell. */
static int return_text(fastworker_call *call, const char *data, size_t size) {
        _cleanup_json_ struct json_object *value = NULL;
        _cleanup_free_ char *text = NULL;
        const char *json;
        size_t n;
        int r;

        if (size > 0 && data[size - 1] == '\n')
                size--;
        r = text_clean(size > 0 ? data : "", size, true, &text, &n);
        if (r < 0)
                return r;
        value = json_object_new_string_len(text, (int) n);
        json = value ? json_object_to_json_string_length(value, JSON_COMPACT, &n) : NULL;
        return json ? fastworker_return_bytes(call, json, n) : -ENOMEM;
}

/* --- failures ------------------------------------------------------------------------------------- */

/* What programs end by when an allocation fails that they do not check. */
static bool may_be_for_memory(const CommandRun *c, const TaskFile *t) {
        int sig = c->status.si_status;

        return t->memory_max != UINT64_MAX && c->status.si_code != CLD_EXITED &&
               (sig == SIGSEGV || sig == SIGABRT || sig == SIGBUS);
}

/* "exited with status 3", "killed by signal SIGTERM (terminated)"; a fresh string or NULL. */
static char *describe(const CommandRun *c, const TaskFile *t, uint64_t timeout_usec,
                      uint64_t soft_usec) {
        const char *name, *description;
        char *text, span[32], after[96] = "";
        int r;

        if (c->is_over)
                r = asprintf(&text,
                             "wrote more than %zu bytes, the limit on results, to standard output",
                             c->output_max);
        else if (c->is_late)
                r = asprintf(&text, "ran longer than Timeout=%s", seconds(timeout_usec, span));
        else {
                if (c->was_told)
                        (void) snprintf(after, sizeof(after), " after SoftTimeout=%s",
                                        seconds(soft_usec, span));
                else if (may_be_for_memory(c, t))
                        (void) snprintf(after, sizeof(after),
                                        "; its memory was limited to %" PRIu64
                                        " bytes (MemoryMax=)",
                                        t->memory_max);
                name = sigabbrev_np(c->status.si_status);
                description = sigdescr_np(c->status.si_status);
                if (c->status.si_code == CLD_EXITED)
                        r = asprintf(&text, "exited with status %d%s", c->status.si_status, after);
                else if (!name || !description)
                        r = asprintf(&text, "killed by signal %d%s", c->status.si_status, after);
                else
                        r = asprintf(&text, "killed by signal SIG%s (%c%s)%s", name,
                                     tolower((unsigned char) description[0]), description + 1,
                                     after);
        }
        return r < 0 ? NULL : text;
}

static bool is_retryable(const TaskRetryOn *on, const CommandRun *c) {
        int status = c->status.si_status;

        if (c->is_over)
                return false;
        if (c->is_late || c->was_told)
                return on->kinds & TASK_RETRY_ON_TIMEOUT;
        if (c->status.si_code != CLD_EXITED)
                /* From here it cannot be seen who sent SIGKILL: it may have been for want of memory. */
                return on->kinds & TASK_RETRY_ON_SIGNAL ||
                       (status == SIGKILL && on->kinds & TASK_RETRY_ON_OOM);
        return on->kinds & TASK_RETRY_ON_EXIT || on->statuses[status / 64] >> status % 64 & 1;
}

static void decide_retry(const TaskFile *t, const CommandRun *c, RunnerRetry *ret) {
        if (command_report_retry(c->report, ret))
                return;
        if (c->status.si_code == CLD_EXITED && c->status.si_status == EX_TEMPFAIL && !c->is_over &&
            !c->is_late)
                ret->after_usec = t->retry_delay_usec;
        else
                ret->never = !is_retryable(&t->retry_on, c);
}

static RunnerReason reason_of(const CommandRun *c) {
        if (c->is_late || c->was_told)
                return RUNNER_REASON_TIMEOUT;
        if (c->is_over)
                return RUNNER_REASON_NONE;
        return c->status.si_code == CLD_EXITED ? RUNNER_REASON_EXIT : RUNNER_REASON_SIGNAL;
}

static int fail_run(fastworker_call *call, const char *reason, const CommandStderr *e) {
        _cleanup_free_ char *tail = command_stderr_tail(e), *text = NULL;

        if (!reason || !tail || asprintf(&text, "%s%s%s", reason, tail[0] ? ": " : "", tail) < 0) {
                text = NULL;
                return fastworker_fail(call, reason ?: strerror(ENOMEM));
        }
        return fastworker_fail(call, text);
}

static int judge(const TaskFile *t, fastworker_call *call, const CommandRun *c,
                 const RunnerMessage *m, RunnerRetry *ret) {
        _cleanup_free_ char *reason = NULL;
        bool is_good = c->status.si_code == CLD_EXITED && c->status.si_status == EXIT_SUCCESS &&
                       !c->is_over && !c->is_late;
        int r;

        if (is_good) {
                r = t->output == TASK_OUTPUT_JSON ? return_json(call, c->output, c->output_size)
                                                  : return_text(call, c->output, c->output_size);
                ret->never = r < 0 && !(t->retry_on.kinds & TASK_RETRY_ON_EXIT);
                return r;
        }
        reason = describe(c, t, m->timeout_usec ?: t->timeout_usec,
                          m->soft_timeout_usec ?: t->soft_timeout_usec);
        decide_retry(t, c, ret);
        ret->reason = reason_of(c);
        return fail_run(call, reason, c->error);
}

/* --- a run ---------------------------------------------------------------------------------------- */

/* The time limits of the request win over those of the file. */
static uint64_t deadline(uint64_t now, uint64_t asked_usec, uint64_t usec) {
        if (asked_usec > 0)
                usec = asked_usec;
        return usec > USEC_INFINITY - now ? USEC_INFINITY : now + usec;
}

static int start(const TaskFile *t, fastworker_call *call, const RunnerMessage *m,
                 CommandProcess *ret, RunnerRetry *retry, char **ret_error) {
        _cleanup_(command_spec_done) CommandSpec spec = { .input_fd = -EBADF };
        int r;

        r = command_arguments(t, m->payload, m->payload_size, &spec, ret_error);
        if (r < 0) {
                /* They will not be better the next time. */
                retry->never = r == -EINVAL;
                return r;
        }
        r = command_environment(t, call, &m->traceparent, &spec.environment, ret_error);
        if (r < 0)
                return r;
        r = command_start(t, &spec, ret, ret_error);
        if (r == -E2BIG) {
                free(*ret_error);
                retry->never = true;
                return command_fail(ret_error, r,
                                    "the arguments are too long for a command line; let the task "
                                    "read them with Input=json or Input=stdin");
        }
        return r;
}

/* A module may ignore the end of children, or wait for all that there are; for us it must stay to be seen. */
static void watch_children(struct sigaction *ret_saved) {
        struct sigaction action = { .sa_handler = SIG_DFL };

        (void) sigaction(SIGCHLD, &action, ret_saved);
}

/* Waits for the command and all it has started. */
static int finish(CommandRun *c, const ChildList *before) {
        int r;

        r = command_supervise(c);
        if (before)
                child_list_end_others(before);
        if (r >= 0)
                r = command_finish_output(c);
        command_stderr_end(c->error);
        command_report_end(c->report);
        return r;
}

static int run(const TaskFile *t, fastworker_call *call, const RunnerMessage *m, size_t result_max,
               RunnerRetry *ret, RunnerUsage *ret_usage) {
        _cleanup_(command_run_done) CommandRun c = {
                .process = COMMAND_PROCESS_NONE,
                .output_max = result_max,
        };
        _cleanup_(child_list_done) ChildList before = {};
        _cleanup_free_ char *error = NULL;
        bool can_list;
        uint64_t now;
        int r;

        r = command_stderr_new(call, &c.error);
        if (r >= 0)
                r = command_report_new(call, &c.report);
        if (r < 0)
                return r;
        can_list = child_list_read(&before) >= 0;
        r = start(t, call, m, &c.process, ret, &error);
        if (r < 0)
                return error ? fastworker_fail(call, error) : r;
        now = now_usec(CLOCK_MONOTONIC);
        c.soft_usec = deadline(now, m->soft_timeout_usec, t->soft_timeout_usec);
        c.hard_usec = deadline(now, m->timeout_usec, t->timeout_usec);
        r = finish(&c, can_list ? &before : NULL);
        *ret_usage = c.usage;
        return r < 0 ? r : judge(t, call, &c, m, ret);
}

int command_run(const TaskFile *t, fastworker_call *call, const RunnerMessage *m, size_t result_max,
                RunnerRetry *ret, RunnerUsage *ret_usage) {
        struct sigaction saved;
        int r;

        *ret = (RunnerRetry){ .after_usec = USEC_INFINITY };
        *ret_usage = (RunnerUsage){};
        watch_children(&saved);
        r = run(t, call, m, result_max, ret, ret_usage);
        (void) sigaction(SIGCHLD, &saved, NULL);
        return r;
}
