/* SPDX-License-Identifier: MIT */
#pragma once

/* Which address of the coordinator a subworker connects to, from the answer to DISCOVER. Pure but for a look
 * at whether the file of a unix socket exists. */

#include "macro.h"

/* `info` is the document of the answer, `asked` the address at which it was asked. Returns 0 with a fresh
 * string, -EBADMSG for a document that makes no sense, -ENOENT if it has no address for us, or -ENOMEM. */
int locate_worker_address(const char *info, size_t size, const char *asked, char **ret);
