/* SPDX-License-Identifier: MIT */
#pragma once

/* Points in time as people write them. */

#include <stdint.h>

/* "2026-11-24T12:30:01.5Z" or with an offset like +01:00 (RFC 3339); "2026-11-24", "2026-11-24 12:30" or "… 12:30:01"
 * in local time; "now", "today", "yesterday"; "1h", "1h ago" or "-1h": so long before now. Microseconds since the
 * epoch, at least 1. -EINVAL; -ERANGE for one before the epoch. */
int moment_parse(const char *text, uint64_t now_usec, uint64_t *ret);

/* Exactly RFC 3339, so that it means the same everywhere: with the time of day and a zone. -EINVAL, -ERANGE. */
int moment_parse_rfc3339(const char *text, uint64_t *ret);
