/* SPDX-License-Identifier: MIT */
#pragma once

/* The user as whom tasks run, if that is another one than the daemon's (JobUser=). Such a process can neither
 * signal the daemon nor read its memory, its environment or its files, and cannot get back what it gave up. */

#include <sys/types.h>

#include "macro.h"

typedef struct JobUser JobUser;

/* Looks the user up, with all groups it is in, and checks that we may become it. Returns 0, or -errno with a line
 * that says what is wrong (a fresh string, or NULL when out of memory). */
int job_user_new(const char *name, JobUser **ret, char **ret_error);
JobUser *job_user_free(JobUser *u);
DEFINE_CLEANUP_FUNC(JobUser *, job_user_free);

/* In place of the daemon's HOME=, USER= and LOGNAME=. */
int job_user_set_environment(const JobUser *u, char ***environment);

/* For the child, between fork() and exec(): becomes the user, for good, without any capability and without a way
 * to gain one from a program with special rights, and looks whether that is so. Makes system calls only. Returns
 * 0 or -errno; then the process must not go on. */
int job_user_become(const JobUser *u);

/* What a child without such a user gives up nevertheless: capabilities that would outlive exec(). */
int job_user_drop_ambient(void);
