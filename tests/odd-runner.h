/* SPDX-License-Identifier: MIT */
#pragma once

/* A runner for tests of what deals with runners: a test program calls it when it is started with
 * "--as-runner MODE". In the mode "good" it runs these tasks; the other modes break a rule each. */

#include "macro.h"

/* ok: gives its arguments back. fail: fails. wait: logs "waiting" and never ends. segv, abort, exit: end the
 * process. log: logs a line, and another one that belongs to no task. chatter: logs ODD_RUNNER_CHATTER lines. flood-log:
 * logs lines without end. flood-output: says that it has ended and marked its output, but writes on without end. */
#define ODD_RUNNER_TYPES                                                                 \
        "ok\t\nfail\t\nwait\t\nsegv\t\nabort\t\nexit\t\nlog\t\nchatter\t\nflood-log\t\n" \
        "flood-output\t\n"
#define ODD_RUNNER_N_TYPES 10
#define ODD_RUNNER_CHATTER 1500
#define ODD_RUNNER_FLOOD   "flood" /* such a line */

/* In the mode "other" it runs the same tasks, with these names; "progress" says how far it is. */
#define ODD_RUNNER_OTHER_TYPES "other.ok\t\t\t/m/other.py\nother.wait\t\nprogress\t\n"

/* Returns what main() returns. */
int odd_runner(const char *mode);

/* Writes the example of doc/runner-protocol.md into a file. */
void odd_runner_write_example(const char *file);
