/* SPDX-License-Identifier: MIT */

#include <assert.h>

#include "dependency.h"
#include "lane.h"
#include "task-extra.h"

TaskExtra *task_extra_get(Task *t) {
        if (!t->extra)
                t->extra = calloc(1, sizeof(*t->extra));
        return t->extra;
}

int task_set_progress(Task *t, uint64_t percent, const char *text, size_t size) {
        TaskExtra *extra = task_extra_get(t);

        if (!extra)
                return -ENOMEM;
        if (!extra->progress)
                extra->progress = calloc(1, sizeof(*extra->progress));
        if (!extra->progress)
                return -ENOMEM;
        extra->progress->percent = (unsigned) MIN(percent, (uint64_t) PROGRESS_PERCENT_MAX);
        progress_text_set(extra->progress->text, text, size);
        return 0;
}

const TaskProgress *task_progress(const Task *t) {
        return t->extra ? t->extra->progress : NULL;
}

void task_clear_progress(Task *t) {
        if (!t->extra)
                return;
        free(t->extra->progress);
        t->extra->progress = NULL;
}

void task_extra_done(Task *t) {
        if (!t->extra)
                return;
        assert(t->extra->timer == 0);
        lane_leave(t);
        dependency_forget(t);
        task_clear_progress(t);
        free(t->extra->history);
        free(t->extra);
        t->extra = NULL;
}
