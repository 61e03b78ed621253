/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#include "call.h"
#include "command.h"
#include "progress-text.h"
#include "soft-timeout.h"
#include "time-util.h"

/* A result buffer that grew larger than this is not kept for the next call. */
#define BUFFER_KEEP_MAX (256U * 1024U)

/* What the coordinator takes at most, ten years, is less. */
#define RETRY_SECONDS_MAX (3650.0 * 24 * 3600)

struct Call {
        struct fastworker_call public; /* first: a fastworker_call * is a Call * */
        size_t result_max;
        CallLog log;
        CallProgress progress;
        void *userdata;

        uint64_t seq;
        uint64_t attempt;
        SoftTimeout soft_timeout;
        RunnerRetry retry;
        char traceparent[RUNNER_TRACEPARENT_MAX + 1];
        char task_id[TASK_ID_TEXT_LENGTH + 1];
        char name[RUNNER_NAME_MAX + 1];
        const char *arguments;
        size_t arguments_size;

        char *buffer; /* the result */
        size_t size, allocated;
        bool has_result, refused_result;
        char *error;
};

static const char null_result[] = "null";

static const char *op_task_id(const fastworker_call *call) {
        return ((const Call *) call)->task_id;
}

static const char *op_task_name(const fastworker_call *call) {
        return ((const Call *) call)->name;
}

static uint32_t op_attempt(const fastworker_call *call) {
        return (uint32_t) MIN(((const Call *) call)->attempt, (uint64_t) UINT32_MAX);
}

static const char *op_arguments(const fastworker_call *call, size_t *ret_size) {
        const Call *c = (const Call *) call;

        if (ret_size)
                *ret_size = c->arguments_size;
        return c->arguments;
}

/* The longest part of the text that fits and does not end within a UTF-8 sequence. */
static size_t cut_text(const char *text, size_t max) {
        size_t n = strlen(text);

        if (n <= max)
                return n;
        n = max;
        while (n > 0 && ((unsigned char) text[n] & 0xc0) == 0x80)
                n--;
        return n;
}

static int op_set_error(fastworker_call *call, const char *text) {
        Call *c = (Call *) call;
        char *copy;

        if (!text)
                text = "";
        copy = strndup(text, cut_text(text, RUNNER_TEXT_MAX));
        if (!copy)
                return -ENOMEM;
        free(c->error);
        c->error = copy;
        return -EIO;
}

/* Which error it returns is of no importance: there is a text. */
static int op_retry_after(fastworker_call *call, double seconds, const char *text) {
        Call *c = (Call *) call;

        c->retry = (RunnerRetry){ .after_usec = USEC_INFINITY };
        if (seconds >= 0)
                c->retry.after_usec = (uint64_t) (MIN(seconds, RETRY_SECONDS_MAX) * USEC_PER_SEC);
        return op_set_error(call, text ? text : "the task asked to be tried again");
}

static int op_do_not_retry(fastworker_call *call, const char *text) {
        Call *c = (Call *) call;

        c->retry = (RunnerRetry){ .never = true, .after_usec = USEC_INFINITY };
        return op_set_error(call, text);
}

static int op_should_stop(const fastworker_call *call) {
        return soft_timeout_is_over(&((const Call *) call)->soft_timeout);
}

static const char *op_traceparent(const fastworker_call *call) {
        const Call *c = (const Call *) call;

        return c->traceparent[0] ? c->traceparent : NULL;
}

static int op_set_result(fastworker_call *call, const char *json, size_t size) {
        Call *c = (Call *) call;

        if (size > c->result_max) {
                char text[128];

                (void) snprintf(text, sizeof(text),
                                "result of %zu bytes is over the limit of %zu bytes", size,
                                c->result_max);
                (void) op_set_error(call, text);
                c->refused_result = true;
                return -EMSGSIZE;
        }
        if (size > c->allocated) {
                char *p = realloc(c->buffer, size);

                if (!p)
                        return -ENOMEM;
                c->buffer = p;
                c->allocated = size;
        }
        if (size > 0)
                memcpy(c->buffer, json, size);
        c->size = size;
        c->has_result = true;
        c->refused_result = false;
        return 0;
}

static void op_log(fastworker_call *call, int priority, const char *format, va_list ap)
        _printf_(3, 0);

static void op_log(fastworker_call *call, int priority, const char *format, va_list ap) {
        Call *c = (Call *) call;
        _cleanup_free_ char *text = NULL;
        int n;

        n = vasprintf(&text, format, ap);
        if (n < 0) {
                text = NULL;
                return;
        }
        c->log(c->seq, priority & 7, text, cut_text(text, RUNNER_TEXT_MAX), c->userdata);
}

/* NaN is no progress. */
static void op_progress(fastworker_call *call, double percent, const char *text) {
        Call *c = (Call *) call;
        double hundredths = percent > 0 ? MIN(percent, 100.0) * 100 + 0.5 : 0;

        if (!text)
                text = "";
        c->progress(c->seq, (unsigned) hundredths, text, cut_text(text, PROGRESS_TEXT_MAX),
                    c->userdata);
}

static const struct fastworker_call_ops ops = {
        .abi = FASTWORKER_TASK_ABI,
        .task_id = op_task_id,
        .task_name = op_task_name,
        .attempt = op_attempt,
        .arguments = op_arguments,
        .set_result = op_set_result,
        .set_error = op_set_error,
        .log = op_log,
        .progress = op_progress,
        .retry_after = op_retry_after,
        .do_not_retry = op_do_not_retry,
        .should_stop = op_should_stop,
        .traceparent = op_traceparent,
};

static void begin(Call *c, const RunnerMessage *m) {
        c->seq = m->seq;
        c->attempt = m->attempt;
        task_id_to_text(&m->task_id, c->task_id);
        memcpy(c->name, m->name.iov_base, m->name.iov_len);
        c->name[m->name.iov_len] = '\0';
        c->arguments = m->payload;
        c->arguments_size = m->payload_size;
        if (m->traceparent.iov_len > 0)
                memcpy(c->traceparent, m->traceparent.iov_base, m->traceparent.iov_len);
        c->traceparent[m->traceparent.iov_len] = '\0';
        c->retry = (RunnerRetry){ .after_usec = USEC_INFINITY };

        if (c->allocated > BUFFER_KEEP_MAX) {
                free(c->buffer);
                c->buffer = NULL;
                c->allocated = 0;
        }
        c->size = 0;
        c->has_result = c->refused_result = false;
        free(c->error);
        c->error = NULL;
}

/* The text of a failure for which the function gave none. */
static void describe_failure(Call *c, int r) {
        struct rlimit limit;
        char text[128];

        if (soft_timeout_is_over(&c->soft_timeout))
                (void) snprintf(text, sizeof(text), "stopped at its soft timeout of %.10g s",
                                (double) c->soft_timeout.usec / USEC_PER_SEC);
        else if (r == -ENOMEM && getrlimit(RLIMIT_DATA, &limit) >= 0 &&
                 limit.rlim_cur != RLIM_INFINITY)
                /* What holds TaskMemoryMax= where a control group cannot. */
                (void) snprintf(text, sizeof(text),
                                "%s: the limit is %" PRIu64 "M (TaskMemoryMax=)", strerror(-r),
                                (uint64_t) limit.rlim_cur >> 20);
        else if (r < 0)
                (void) snprintf(text, sizeof(text), "%s", strerror(-r));
        else
                (void) snprintf(text, sizeof(text), "returned %d", r);
        (void) op_set_error(&c->public, text);
}

static void finish(Call *c, int r, CallResult *ret) {
        ret->completed_usec = MAX(now_usec(CLOCK_REALTIME), ret->started_usec);
        ret->success = r == 0 && !c->refused_result;
        if (ret->success) {
                ret->payload = c->has_result ? c->buffer : null_result;
                ret->size = c->has_result ? c->size : strlen(null_result);
                return;
        }
        if (!c->error)
                describe_failure(c, r);
        ret->payload = c->error ? c->error : "";
        ret->size = strlen(ret->payload);
}

void call_run(Call *c, fastworker_function function, const RunnerMessage *m, CallResult *ret) {
        int r;

        begin(c, m);
        *ret = (CallResult){ .started_usec = now_usec(CLOCK_REALTIME) };
        if (function) {
                soft_timeout_begin(&c->soft_timeout, m->soft_timeout_usec);
                r = function(&c->public);
        } else
                r = op_set_error(&c->public, "no module of this runner defines the task");
        finish(c, r, ret);
        soft_timeout_end(&c->soft_timeout);
        ret->retry = c->retry;
        /* The next attempt's result would be as large; unless the task itself wants one. */
        if (c->refused_result && c->retry.after_usec == USEC_INFINITY)
                ret->retry.never = true;
}

void call_run_command(Call *c, const TaskFile *command, const RunnerMessage *m, CallResult *ret) {
        int r;

        begin(c, m);
        *ret = (CallResult){ .started_usec = now_usec(CLOCK_REALTIME),
                             .retry.after_usec = USEC_INFINITY };
        r = command_run(command, &c->public, m, c->result_max, &ret->retry, &ret->usage);
        finish(c, r, ret);
}

int call_new(size_t result_max, CallLog log, CallProgress progress, void *userdata, Call **ret) {
        Call *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->public.ops = &ops;
        c->result_max = result_max;
        c->log = log;
        c->progress = progress;
        c->userdata = userdata;
        *ret = c;
        return 0;
}

Call *call_free(Call *c) {
        if (!c)
                return NULL;
        soft_timeout_done(&c->soft_timeout);
        free(c->buffer);
        free(c->error);
        free(c);
        return NULL;
}
