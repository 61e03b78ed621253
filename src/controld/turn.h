/* SPDX-License-Identifier: MIT */
#pragma once

/* What is done at the end of each turn of the loop, when the messages of the turn have been taken: hand tasks
 * to workers, send these and the results, each worker's and each client's in as few messages as possible. */

#include "controld.h"

void turn_end(Controld *c);
