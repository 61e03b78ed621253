/* SPDX-License-Identifier: MIT */
#pragma once

/* With what `fastworker` exits. verb-help.c has the words for `fastworker help exit-status`. */

typedef enum CliStatus {
        CLI_SUCCESS = 0,
        CLI_TASK_FAILED = 1, /* failure, dead or expired; `task check`: mistakes */
        CLI_USAGE = 2,
        CLI_TIMEOUT = 3,     /* not ended in time: the task goes on */
        CLI_UNREACHABLE = 4, /* no coordinator answers */
        CLI_REFUSED = 5,     /* unknown task, unknown type, or another refusal */
        CLI_CANCELLED = 6,
        CLI_BAD_INPUT = 7, /* batch: lines that could not be submitted as they were */
        CLI_TROUBLE = 8,   /* out of memory, output that cannot be written and the like */
        CLI_SIGNAL = 128,  /* plus the signal's number: 130 for SIGINT */
} CliStatus;
