/* SPDX-License-Identifier: MIT */
#pragma once

/* Why a queued task is not begun, for people. */

#include "controld.h"

#define WAITS_FOR_MAX (WIRE_NAME_MAX + 200U)

/* False if it waits for nothing but a free slot, or does not wait in the queue. */
bool waits_for(const Controld *c, const Task *t, char ret[static WAITS_FOR_MAX]);
