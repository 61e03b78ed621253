/* SPDX-License-Identifier: MIT */
#pragma once

#include "controld.h"

/* SIGHUP: reads the configuration anew, checks it, and swaps it in; if it is bad the old one stays and the
 * journal and STATUS= say why. Never fails. */
void reload(Controld *c);
