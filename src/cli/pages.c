/* SPDX-License-Identifier: MIT */

#include "pages.h"
#include "json-util.h"

/* So that a page stays below what one message may hold, however long the names in it are. */
#define PAGE_TASKS 500U

fastworker_filter arg_filter;

void pages_done(Pages *p) {
        free(p->after);
        *p = (Pages){};
}

static int no_sense(void) {
        return complain(CLI_TROUBLE, "the coordinator's answer to list makes no sense");
}

/* Remembers where the next page begins. */
static int take_cursor(Pages *p, struct json_object *page) {
        const char *next = NULL;
        char *copy = NULL;

        if (json_get_string(page, "next", &next) < 0)
                return no_sense();
        if (next) {
                copy = strdup(next);
                if (!copy)
                        return complain_oom();
        }
        free(p->after);
        p->after = copy;
        p->is_at_end = !copy;
        return 0;
}

/* One page, which may be empty. */
static int ask(Pages *p, fastworker_client *c, uint64_t limit, struct json_object **ret) {
        _cleanup_json_ struct json_object *page = NULL;
        fastworker_filter filter = p->filter;
        _cleanup_free_ char *text = NULL;
        struct json_object *tasks;
        int r;

        filter.after = p->after;
        filter.limit = (unsigned) (limit > 0 ? MIN(limit, (uint64_t) PAGE_TASKS) : PAGE_TASKS);
        r = fastworker_list(c, &filter, &text);
        if (r < 0)
                return session_failed(c, r);
        r = json_parse_object(text, strlen(text), &page, NULL);
        if (r == -ENOMEM)
                return complain_oom();
        if (r < 0 || json_get_array(page, "tasks", &tasks) <= 0)
                return no_sense();
        r = take_cursor(p, page);
        if (r == 0)
                *ret = json_object_get(tasks);
        return r;
}

int pages_next(Pages *p, fastworker_client *c, uint64_t limit, struct json_object **ret) {
        *ret = NULL;
        while (!p->is_at_end) {
                _cleanup_json_ struct json_object *tasks = NULL;
                int r;

                r = ask(p, c, limit, &tasks);
                if (r != 0)
                        return r;
                if (json_object_array_length(tasks) > 0) {
                        *ret = TAKE_PTR(tasks);
                        return 0;
                }
        }
        return 0;
}

/* One more than wanted is asked for: whether there are more is known then, and not guessed. */
static int collect(Pages *p, fastworker_client *c, uint64_t limit, struct json_object *to) {
        for (;;) {
                _cleanup_json_ struct json_object *tasks = NULL;
                uint64_t n = json_object_array_length(to);
                int r;

                if (limit > 0 && n > limit)
                        return 0;
                r = pages_next(p, c, limit > 0 ? limit + 1 - n : 0, &tasks);
                if (r != 0 || !tasks)
                        return r;
                for (size_t i = 0; i < json_object_array_length(tasks); i++) {
                        struct json_object *o = json_object_array_get_idx(tasks, i);

                        if (json_object_array_add(to, json_object_get(o)) < 0) {
                                json_object_put(o);
                                return complain_oom();
                        }
                }
        }
}

int pages_collect(Pages *p, fastworker_client *c, uint64_t limit, struct json_object **ret) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        struct json_object *tasks = json_object_new_array();
        bool truncated;
        int r;

        if (!o || json_add(o, "tasks", tasks) < 0)
                return complain_oom();
        r = collect(p, c, limit, tasks);
        if (r != 0)
                return r;
        truncated = limit > 0 && json_object_array_length(tasks) > limit;
        if (truncated)
                (void) json_object_array_del_idx(tasks, limit,
                                                 json_object_array_length(tasks) - limit);
        if (json_add_bool(o, "truncated", truncated) < 0)
                return complain_oom();
        *ret = TAKE_PTR(o);
        return 0;
}

int task_ids_of(struct json_object *tasks, const char ***ret, size_t *ret_n) {
        size_t n = json_object_array_length(tasks);
        _cleanup_free_ const char **ids = calloc(MAX(n, (size_t) 1), sizeof(*ids));

        if (!ids)
                return complain_oom();
        for (size_t i = 0; i < n; i++)
                if (json_get_string(json_object_array_get_idx(tasks, i), "task_id", &ids[i]) <= 0)
                        return no_sense();
        *ret = TAKE_PTR(ids);
        *ret_n = n;
        return 0;
}
