/* SPDX-License-Identifier: MIT */
#pragma once

/* The daemon as a whole: makes its modules, runs its loop, takes them apart. */

#include "subworkerd.h"

/* Takes ownership of settings and conf in every case. Logs what fails. */
int manager_new(int argc, char *argv[], Settings *settings, Conf *conf, Subworkerd **ret);
Subworkerd *manager_free(Subworkerd *s);
DEFINE_CLEANUP_FUNC(Subworkerd *, manager_free);

/* Returns when asked to stop: 0, or -errno when the daemon could not do its work (which was logged). */
int manager_run(Subworkerd *s);
