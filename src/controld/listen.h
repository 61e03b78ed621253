/* SPDX-License-Identifier: MIT */
#pragma once

/* Which addresses the coordinator listens on: sockets that the service manager passed, or its settings. */

#include "controld.h"

/* Makes and binds all endpoints. What fails is logged; returns -errno then. */
int listen_open(Controld *c);

/* The private unix socket of the worker endpoint, for the local worker: a fresh "ipc://PATH", bound. */
int listen_open_private(Controld *c, char **ret);
