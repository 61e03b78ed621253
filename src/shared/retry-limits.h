/* SPDX-License-Identifier: MIT */
#pragma once

/* What the coordinator takes for retries, and so what task files may say. */

#define RETRIES_MAX       10000U
#define RETRY_SECONDS_MAX (10.0 * 366 * 24 * 3600)
#define RETRY_FACTOR_MAX  1000U
