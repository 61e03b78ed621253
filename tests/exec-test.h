/* SPDX-License-Identifier: MIT */
#pragma once

/* For the tests that start processes as runners are started: the socket that these get. */

#include <sys/socket.h>

#include "check-util.h"
#include "exec.h"

static int ends[2]; /* ours, the process's */

static void setup(void) {
        setup_directory();
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

static void teardown(void) {
        ends[0] = safe_close(ends[0]);
        ends[1] = safe_close(ends[1]);
        teardown_directory();
}
