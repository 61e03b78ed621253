/* SPDX-License-Identifier: MIT */

/* The C function of tests/system/t0690-outcomes.py and t0670-from-inside.py. It does what its argument says, as its siblings in shell and Python
 * do. */

#include <fastworker/task.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Until it is told to come to an end. */
static int hold(fastworker_call *call, const char *started) {
        FILE *f = fopen(started, "w");

        if (!f)
                return fastworker_fail(call, "cannot write to the file");
        fprintf(f, "%s %u 0\n", fastworker_task_id(call), fastworker_attempt(call));
        (void) fclose(f);
        while (!fastworker_should_stop(call))
                (void) poll(NULL, 0, -1);
        return fastworker_return(call, "\"told\"");
}

/* The submitter's trace context, or null. */
static int trace(fastworker_call *call) {
        const char *parent = fastworker_traceparent(call);
        char text[128];

        if (!parent)
                return 0;
        (void) snprintf(text, sizeof(text), "\"%s\"", parent);
        return fastworker_return(call, text);
}

/* Says why it will crash. */
static int complain(fastworker_call *call) {
        for (int i = 0; i < 1000; i++)
                fprintf(stderr, "line %d\n", i);
        fprintf(stderr, "the last straw\n");
        return raise(SIGABRT);
}

static int do_work(fastworker_call *call, const char *what, const char *started) {
        char text[16];

        if (strcmp(what, "trace") == 0)
                return trace(call);
        if (strcmp(what, "complain") == 0)
                return complain(call);
        if (strcmp(what, "forbid") == 0)
                return fastworker_do_not_retry(call, "hopeless");
        if (strcmp(what, "fail") == 0)
                return fastworker_fail(call, "no luck");
        if (strcmp(what, "progress") == 0)
                fastworker_progress(call, 42.5, "page 17 of 40");

        if (strcmp(what, "answer") == 0)
                return fastworker_return(call, "42");
        if (strcmp(what, "retry") == 0) {
                if (fastworker_attempt(call) == 1)
                        return fastworker_retry_after(call, 0, "not yet");
                (void) snprintf(text, sizeof(text), "%u", fastworker_attempt(call));
                return fastworker_return(call, text);
        }
        if (strcmp(what, "die") == 0)
                return raise(SIGKILL);
        return hold(call, started);
}

static int work(fastworker_call *call) {
        struct json_object *o = json_tokener_parse(fastworker_arguments(call, NULL)), *args;
        int r;

        if (!json_object_object_get_ex(o, "args", &args) || json_object_array_length(args) != 2)
                r = fastworker_do_not_retry(call, "needs two arguments");
        else
                r = do_work(call, json_object_get_string(json_object_array_get_idx(args, 0)),
                            json_object_get_string(json_object_array_get_idx(args, 1)));
        json_object_put(o);
        return r;
}

FASTWORKER_MODULE(FASTWORKER_TASK("work.c", work, "Does what it is told."));
