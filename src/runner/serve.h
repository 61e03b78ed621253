/* SPDX-License-Identifier: MIT */
#pragma once

/* The life of a runner: say HELLO, then take one RUN packet at a time, call the function, answer. */

#include "module.h"

/* Returns 0 when the other side has gone, or -errno when the socket or the other side is broken. */
int serve(int fd, Modules *modules, size_t result_max);

/* Tells the other side what is left out, before serve(). */
void serve_complaint(int fd, const char *text);

/* Tells the other side why the runner cannot start. */
int serve_refusal(int fd, const char *text);
