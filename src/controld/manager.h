/* SPDX-License-Identifier: MIT */
#pragma once

/* Brings the modules of the coordinator up and down, and handles what concerns all of them: signals, reload,
 * the tick, the end. */

#include "controld.h"

/* Takes over settings and conf, also on failure. */
int manager_new(int argc, char *argv[], Settings *settings, Conf *conf, Controld **ret);
Controld *manager_free(Controld *c);
DEFINE_CLEANUP_FUNC(Controld *, manager_free);

/* Binds, starts, serves until it is told to stop. Returns 0 after an orderly end. */
int manager_run(Controld *c);
