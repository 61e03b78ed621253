/* SPDX-License-Identifier: MIT */
#pragma once

#include "controld.h"

/* Brings back what the store holds: tasks that wait enter the queue; those that were handed out stay with
 * their worker, which has InactiveSec= to come back and say that it still has them; ended ones are results.
 * What fails is logged. */
int recover(Controld *c);
