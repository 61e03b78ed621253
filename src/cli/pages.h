/* SPDX-License-Identifier: MIT */
#pragma once

/* Lists of tasks of any length, read from the coordinator page by page; and the options that choose the tasks. */

#include "cli.h"

/* What --status, --name, --worker, --since and --until set. */
extern fastworker_filter arg_filter;

#define FILTER_OPTIONS                                                                        \
        { "status", OPTION_TEXT, &arg_filter.status, "STATUS",                                \
          "Only tasks in this state, such as queued or failure" },                            \
                { "name", OPTION_TEXT, &arg_filter.name, "NAME", "Only tasks of this name" }, \
                { "worker", OPTION_TEXT, &arg_filter.worker, "ID",                            \
                  "Only tasks of this subworker" },                                           \
                { "since", OPTION_MOMENT, &arg_filter.since_usec, "TIME",                     \
                  "Only tasks submitted then or later" },                                     \
        {                                                                                     \
                "until", OPTION_MOMENT, &arg_filter.until_usec, "TIME",                       \
                        "Only tasks submitted before"                                         \
        }

#define LIMIT_MAX UINT64_C(1000000000)

typedef struct Pages {
        fastworker_filter filter; /* but for `after` */
        char *after;
        bool is_at_end;
} Pages;

void pages_done(Pages *p);
#define _cleanup_pages_ _cleanup_(pages_done)

/* The next page with at most `limit` tasks (0: as many as make a page): a fresh array with at least one, or
 * *ret = NULL at the end. Returns 0, or a status after having complained. */
int pages_next(Pages *p, fastworker_client *c, uint64_t limit, struct json_object **ret);
/* All tasks up to the limit (0: all): {"tasks":[...],"truncated":false}. Returns as above. */
int pages_collect(Pages *p, fastworker_client *c, uint64_t limit, struct json_object **ret);
/* The ids of an array of tasks, borrowed from it: a fresh array. Returns as above. */
int task_ids_of(struct json_object *tasks, const char ***ret, size_t *ret_n);
