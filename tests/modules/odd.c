/* SPDX-License-Identifier: MIT */

/* A task module that is right or wrong in a way that $ODD_MODULE says, when it is loaded. */

#include <fastworker/task.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static int hello(fastworker_call *call) {
        return fastworker_return(call, "\"hello\"");
}

static int echo(fastworker_call *call) {
        size_t size;
        const char *arguments = fastworker_arguments(call, &size);

        return fastworker_return_bytes(call, arguments, size);
}

static int print(fastworker_call *call) {
        printf("printed by %s", fastworker_task_name(call));
        fastworker_log(call, LOG_NOTICE, "logged by %s", fastworker_task_name(call));
        return fastworker_fail(call, "and failed");
}

/* Opens the FIFO that its arguments name (plain text), so that it ends when the test opens it as well. */
static int wait_for_fifo(fastworker_call *call) {
        FILE *f = fopen(fastworker_arguments(call, NULL), "re");
        char c;

        if (!f)
                return fastworker_fail(call, "no FIFO");
        (void) !fread(&c, 1, 1, f);
        (void) fclose(f);
        return fastworker_return(call, "\"opened\"");
}

/* The environment variable that its arguments name. */
static int get_environment(fastworker_call *call) {
        const char *value = getenv(fastworker_arguments(call, NULL));

        return fastworker_return(call, value ? value : "unset");
}

static const fastworker_task_definition tasks[] = {
        FASTWORKER_TASK("hello", hello, "Says\nhello."),
        FASTWORKER_TASK("echo", echo, NULL),
        FASTWORKER_TASK("print", print, "Prints."),
        FASTWORKER_TASK("fifo", wait_for_fifo, "Waits."),
        FASTWORKER_TASK("getenv", get_environment, ""),
};
static const fastworker_task_definition bad_name[] = { FASTWORKER_TASK("not a name", hello, "") };
static const fastworker_task_definition no_name[] = { FASTWORKER_TASK(NULL, hello, "") };
static const fastworker_task_definition no_function[] = { FASTWORKER_TASK("hello", NULL, "") };

/* As a later version of the header may define it. */
static const struct {
        fastworker_task_definition version_1;
        void *more[3];
} later[] = {
        { FASTWORKER_TASK("later1", hello, "One."), { 0 } },
        { FASTWORKER_TASK("later2", echo, "Two."), { 0 } },
};

__attribute__((visibility("default"))) extern fastworker_module_definition fastworker_module;
fastworker_module_definition fastworker_module = {
        FASTWORKER_TASK_ABI,
        sizeof(tasks[0]),
        sizeof(tasks) / sizeof(tasks[0]),
        tasks,
};

__attribute__((constructor)) static void choose(void) {
        const char *kind = getenv("ODD_MODULE");
        fastworker_module_definition *m = &fastworker_module;

        if (!kind)
                return;
        if (strcmp(kind, "abi") == 0)
                m->abi = 2;
        else if (strcmp(kind, "empty") == 0)
                m->n_tasks = 0;
        else if (strcmp(kind, "size") == 0)
                m->definition_size = 8;
        else if (strcmp(kind, "name") == 0)
                *m = (fastworker_module_definition){ 1, sizeof(bad_name[0]), 1, bad_name };
        else if (strcmp(kind, "no-name") == 0)
                *m = (fastworker_module_definition){ 1, sizeof(no_name[0]), 1, no_name };
        else if (strcmp(kind, "function") == 0)
                *m = (fastworker_module_definition){ 1, sizeof(no_function[0]), 1, no_function };
        else if (strcmp(kind, "later") == 0)
                *m = (fastworker_module_definition){ 1, sizeof(later[0]), 2, &later[0].version_1 };
}
