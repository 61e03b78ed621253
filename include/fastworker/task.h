/* SPDX-License-Identifier: MIT */
#ifndef FASTWORKER_TASK_H
#define FASTWORKER_TASK_H

/* Task modules in C.
 *
 * A module is a shared object that lists its task functions:
 *
 *     #include <fastworker/task.h>
 *
 *     static int hello(fastworker_call *call) {
 *             return fastworker_return(call, "\"hello\"");
 *     }
 *
 *     FASTWORKER_MODULE(
 *             FASTWORKER_TASK("hello", hello, "Says hello."));
 *
 *     cc -shared -fPIC -o mymodule.so mymodule.c
 *     fastworker subworker --module-path=. --task-modules=mymodule ...
 *
 * Nothing has to be linked: the runner that loads the module hands its functions over with each call. A
 * function runs in a process of its own kind, one call at a time, often many calls in the life of a process;
 * what it leaves behind in memory is there in the next call. If it crashes, only its own task fails. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FASTWORKER_TASK_ABI 1

typedef struct fastworker_call fastworker_call;

/* Returns 0 for success. Any other value fails the task: with the text given to fastworker_fail(), else
 * with the text of the errno if the value is negative, else with "returned N". */
typedef int (*fastworker_function)(fastworker_call *call);

/* Filled in by the runner; a module reads it only through the functions below. Later versions append. */
struct fastworker_call_ops {
        uint32_t abi;
        const char *(*task_id)(const fastworker_call *call);
        const char *(*task_name)(const fastworker_call *call);
        uint32_t (*attempt)(const fastworker_call *call);
        const char *(*arguments)(const fastworker_call *call, size_t *ret_size);
        int (*set_result)(fastworker_call *call, const char *json, size_t size);
        int (*set_error)(fastworker_call *call, const char *text);
        void (*log)(fastworker_call *call, int priority, const char *format, va_list ap);
        void (*progress)(fastworker_call *call, double percent, const char *text);
        int (*retry_after)(fastworker_call *call, double seconds, const char *text);
        int (*do_not_retry)(fastworker_call *call, const char *text);
        int (*should_stop)(const fastworker_call *call);
        const char *(*traceparent)(const fastworker_call *call);
};

struct fastworker_call {
        const struct fastworker_call_ops *ops;
};

/* The task's id (36 characters of a UUID), its name, and the number of this attempt, from 1. The strings
 * live until the function returns. */
static inline const char *fastworker_task_id(const fastworker_call *call) {
        return call->ops->task_id(call);
}
static inline const char *fastworker_task_name(const fastworker_call *call) {
        return call->ops->task_name(call);
}
static inline uint32_t fastworker_attempt(const fastworker_call *call) {
        return call->ops->attempt(call);
}

/* The trace context that the submitter gave (W3C Trace Context, "00-..."), or NULL. */
static inline const char *fastworker_traceparent(const fastworker_call *call) {
        return call->ops->traceparent(call);
}

/* The arguments as the submitter gave them: JSON text, by convention {"args":[...],"kwargs":{...}}, which
 * may be empty. NUL-terminated; the size (without the NUL) goes to *ret_size if that is not NULL. The text
 * lives until the function returns and is not known to be valid JSON. */
static inline const char *fastworker_arguments(const fastworker_call *call, size_t *ret_size) {
        return call->ops->arguments(call, ret_size);
}

/* Sets the result, JSON text, copied. The last call wins; without one the result is null. Returns 0, so
 * that `return fastworker_return(...)` ends a task, -ENOMEM, or -EMSGSIZE for more than the runner's limit
 * on results (64 MiB at most). */
static inline int fastworker_return(fastworker_call *call, const char *json) {
        size_t n = 0;

        while (json[n])
                n++;
        return call->ops->set_result(call, json, n);
}
static inline int fastworker_return_bytes(fastworker_call *call, const char *json, size_t size) {
        return call->ops->set_result(call, json, size);
}

/* Fails the task with a text for people (UTF-8, cut at 64 KiB). Returns -EIO or the like, never 0, so that
 * `return fastworker_fail(...)` ends it. */
static inline int fastworker_fail(fastworker_call *call, const char *text) {
        return call->ops->set_error(call, text);
}

/* Fails this attempt, and asks that the task be tried again in so many seconds, or with a negative number after as long
 * as its retry settings say. It counts as one of the max_retries of the task, without which it is an ordinary failure.
 * The text is for people; NULL: one is made. Never returns 0. */
static inline int fastworker_retry_after(fastworker_call *call, double seconds, const char *text) {
        return call->ops->retry_after(call, seconds, text);
}

/* Fails the task for good: to try again would not help, whatever its retry settings say. Never returns 0. */
static inline int fastworker_do_not_retry(fastworker_call *call, const char *text) {
        return call->ops->do_not_retry(call, text);
}

/* Whether the task has run for its soft timeout, and is to come to an end: what has not ended at its timeout is killed.
 * At that moment, and then once a second until the function returns, the thread that runs the function besides gets
 * a signal (SIGRTMIN+3) whose handler does nothing: system calls that wait, such as read(), poll() or nanosleep(),
 * return early or fail with EINTR. So a loop around such a call only has to ask here each time. A task without a soft
 * timeout gets no signal. May be called on any thread. */
static inline int fastworker_should_stop(const fastworker_call *call) {
        return call->ops->should_stop(call);
}

/* A line for the journal with TASK_ID=, TASK_NAME= and WORKER_ID= of this task. `priority` is one of
 * <syslog.h>: LOG_INFO and so on. */
static inline void fastworker_log(fastworker_call *call, int priority, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
static inline void fastworker_log(fastworker_call *call, int priority, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        call->ops->log(call, priority, format, ap);
        va_end(ap);
}

/* Tells how far the task is, 0 to 100, with a short text for people or NULL; what `fastworker status` shows. May be
 * called as often as wanted. */
static inline void fastworker_progress(fastworker_call *call, double percent, const char *text) {
        call->ops->progress(call, percent, text);
}

typedef struct fastworker_task_definition {
        const char *name; /* 1 to 255 letters, digits or . _ : - */
        fastworker_function function;
        const char *description; /* one line, or NULL */
        const void *reserved[5]; /* zero */
} fastworker_task_definition;

typedef struct fastworker_module_definition {
        uint32_t abi;
        uint32_t definition_size; /* sizeof(fastworker_task_definition) when the module was built */
        size_t n_tasks;
        const fastworker_task_definition *tasks;
} fastworker_module_definition;

#define FASTWORKER_TASK(name, function, description) \
        {                                            \
                (name), (function), (description), { \
                        0                            \
                }                                    \
        }

/* The one symbol that a module exports. */
#define FASTWORKER_MODULE(...)                                                               \
        static const fastworker_task_definition fastworker_module_tasks[] = { __VA_ARGS__ }; \
        __attribute__((visibility(                                                           \
                "default"))) extern const fastworker_module_definition fastworker_module;    \
        const fastworker_module_definition fastworker_module = {                             \
                FASTWORKER_TASK_ABI,                                                         \
                sizeof(fastworker_task_definition),                                          \
                sizeof(fastworker_module_tasks) / sizeof(fastworker_module_tasks[0]),        \
                fastworker_module_tasks,                                                     \
        }

#ifdef __cplusplus
}
#endif

#endif
