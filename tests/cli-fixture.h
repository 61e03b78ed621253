/* SPDX-License-Identifier: MIT */
#pragma once

/* Runs `fastworker` against a fake coordinator, and keeps what it printed. */

#include <spawn.h>
#include <sys/wait.h>

#include "cli.h"
#include "client-fixture.h"

#define NO_TASK "0193a000-0000-7000-8000-000000000001"

static char *output, *complaint;

_unused_ static void setup(void) {
        setup_nothing();
        fake = fake_new(private_address("control.sock"));
        setenv("FASTWORKER_BASE_ADDRESS", fake_address(fake), 1);
}

_unused_ static void teardown(void) {
        free(output);
        free(complaint);
        output = complaint = NULL;
        teardown_all();
}

_unused_ static pid_t spawn_words(char *argv[]) {
        pid_t pid;

        ck_assert_int_eq(posix_spawn(&pid, FASTWORKER, NULL, NULL, argv, environ), 0);
        return pid;
}

_unused_ static int wait_for_exit(pid_t pid) {
        int status;

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
        return WEXITSTATUS(status);
}

_unused_ static int run_words(char *argv[]) {
        Capture out, err;
        int status;

        free(output);
        free(complaint);
        capture_begin(&err, STDERR_FILENO);
        capture_begin(&out, STDOUT_FILENO);
        status = wait_for_exit(spawn_words(argv));
        output = capture_end(&out);
        complaint = capture_end(&err);
        return status;
}

#define W(s)     ((char *) (s))
#define run(...) run_words((char *[]){ W("fastworker"), __VA_ARGS__, NULL })

#define check_output(expected, ...)                     \
        do {                                            \
                int _status = run(__VA_ARGS__);         \
                ck_assert_str_eq(complaint, "");        \
                ck_assert_int_eq(_status, CLI_SUCCESS); \
                ck_assert_str_eq(output, (expected));   \
        } while (false)

#define check_complaint(status, part, ...)             \
        do {                                           \
                int _status = run(__VA_ARGS__);        \
                ck_assert_contains(complaint, (part)); \
                ck_assert_str_eq(output, "");          \
                ck_assert_int_eq(_status, (status));   \
        } while (false)

/* The id that submit --non-blocking has printed; static. */
_unused_ static char *submitted(const char *name) {
        static char id[2][FASTWORKER_TASK_ID_SIZE];
        static unsigned i;

        i = !i;
        ck_assert_int_eq(run(W("submit"), W("--non-blocking"), W("--task-name"), W(name),
                             W("--args"), W("7")),
                         CLI_SUCCESS);
        ck_assert_uint_eq(strlen(output), FASTWORKER_TASK_ID_SIZE);
        memcpy(id[i], output, FASTWORKER_TASK_ID_SIZE - 1);
        return id[i];
}

/* Runs it with this on stdin. */
_unused_ static int run_with_input(const char *input, char *argv[]) {
        _cleanup_free_ char *path = path_in("input");
        int fd, saved, status;

        write_text(path, input);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        saved = dup(STDIN_FILENO);
        ck_assert_int_ge(dup2(fd, STDIN_FILENO), 0);
        status = run_words(argv);
        ck_assert_int_ge(dup2(saved, STDIN_FILENO), 0);
        safe_close(saved);
        safe_close(fd);
        return status;
}

_unused_ static size_t count_lines(const char *text) {
        size_t n = 0;

        for (; *text; text++)
                n += *text == '\n';
        return n;
}
