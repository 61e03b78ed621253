/* SPDX-License-Identifier: MIT */

/* How far tasks are, on stderr, while one waits for their results. */

#include "cli.h"
#include "hash.h"
#include "json-util.h"
#include "time-util.h"

#define ASK_USEC USEC_PER_SEC

/* What was said of a task last. */
typedef struct Said {
        UT_hash_handle hh;
        char id[FASTWORKER_TASK_ID_SIZE];
        char *line;
} Said;

static Said *said;
static uint64_t ask_usec; /* CLOCK_MONOTONIC */
static bool in_line;      /* of a terminal, to be written over */

static Said *get_said(const char *id) {
        Said *s;

        HASH_FIND_STR(said, id, s);
        if (s)
                return s;
        s = calloc(1, sizeof(*s));
        if (!s)
                return NULL;
        (void) snprintf(s->id, sizeof(s->id), "%s", id);
        HASH_ADD_STR(said, id, s);
        if (!s->hh.tbl) {
                free(s);
                return NULL;
        }
        return s;
}

static char *make_line(struct json_object *progress) {
        const char *text = "";
        char *line;

        (void) json_get_string(progress, "text", &text);
        if (asprintf(&line, "%s %%%s%s", text_of(progress, "percent"), isempty(text) ? "" : "  ",
                     text) < 0)
                return NULL;
        return line;
}

/* Of a single task on a terminal, each line takes the place of the one before. */
static void print_line(const Said *s, bool is_single) {
        in_line = is_single && isatty(STDERR_FILENO);
        if (in_line)
                fputs("\r\x1b[K", stderr);
        else if (!is_single)
                fprintf(stderr, "%s  ", s->id);
        print_text(stderr, s->line, strlen(s->line));
        if (!in_line)
                fputc('\n', stderr);
        (void) fflush(stderr);
}

static void on_task(fastworker_client *c, const fastworker_task_view *task, void *userdata) {
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_free_ char *line = NULL;
        struct json_object *progress = NULL;
        const size_t *n = userdata;
        Said *s;

        if (json_parse_object(task->info, strlen(task->info), &o, NULL) < 0 ||
            json_get_object(o, "progress", &progress) <= 0)
                return;
        line = make_line(progress);
        s = get_said(text_of(o, "task_id"));
        if (!line || !s || (s->line && streq(s->line, line)))
                return;
        free(s->line);
        s->line = TAKE_PTR(line);
        print_line(s, *n == 1);
}

static int ask(fastworker_client *c, const Words *ids) {
        size_t n = ids->n;
        int r;

        for (size_t i = 0; i < n; i += FASTWORKER_BATCH_MAX) {
                r = fastworker_get_tasks(c, (const char *const *) ids->words + i,
                                         MIN(n - i, (size_t) FASTWORKER_BATCH_MAX), on_task, &n);
                if (r < 0)
                        return r;
        }
        return 0;
}

int progress_turn(fastworker_client *c, const Words *ids, uint64_t deadline_usec, int *ret_signal) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        int r;

        if (now >= ask_usec && now < deadline_usec) {
                ask_usec = now + ASK_USEC;
                r = ask(c, ids);
                /* Without an answer we wait on: the client looks for its coordinator all the while. */
                if (r < 0 && r != -ETIMEDOUT && r != -ENOTCONN)
                        return r;
        }
        r = session_turn(c, -1, MIN(ask_usec, deadline_usec), ret_signal);
        return r == -ETIMEDOUT && now_usec(CLOCK_MONOTONIC) < deadline_usec ? 0 : r;
}

void progress_end(void) {
        Said *s, *next;

        if (in_line)
                fputc('\n', stderr);
        in_line = false;
        HASH_ITER(hh, said, s, next) {
                HASH_DEL(said, s);
                free(s->line);
                free(s);
        }
}
