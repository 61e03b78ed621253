/* SPDX-License-Identifier: MIT */

/* fastworker import: submits what `fastworker export` has printed. */

#include <inttypes.h>

#include "cli.h"
#include "json-util.h"
#include "line-reader.h"
#include "task-line.h"
#include "wire.h"

#define TASKS_AT_ONCE  500U
#define BYTES_AT_ONCE  ((size_t) 4 * 1024 * 1024)
#define LINE_BYTES_MAX ((size_t) 4 * WIRE_PAYLOAD_MAX) /* arguments and a result in base64 */

static const Usage usage = {
        .verb = "import",
        .synopsis = "[OPTION...] <TASKS",
        .text = "Submits tasks that `fastworker export` has printed, from stdin, one JSON object a line. Each keeps its id,\n"
                "and one that the coordinator knows already is left as it is: importing twice is importing once. Tasks\n"
                "that had ended are counted and left out. A line that cannot be taken is reported by its number, and\n"
                "the others go on; the exit status is 7 then.",
};

typedef struct Import {
        fastworker_client *client;
        LineReader input;
        TaskLine lines[TASKS_AT_ONCE];
        uint64_t numbers[TASKS_AT_ONCE];
        size_t n, n_bytes;
        uint64_t n_lines, n_taken, n_ended, n_bad;
} Import;

static void report_bad_line(Import *m, uint64_t number, const char *why) {
        m->n_bad++;
        complain(CLI_BAD_INPUT, "line %" PRIu64 ": %s", number, why);
}

/* Whether it is about these very tasks. Any other refusal will meet the next ones as well. */
static bool is_about_the_task(fastworker_client *c, int error) {
        const char *code = fastworker_client_get_error_code(c);

        if (isempty(code))
                return error == -EINVAL || error == -EMSGSIZE;
        return error == -EINVAL || error == -EMSGSIZE || error == -ENXIO || error == -EEXIST ||
               error == -ENOENT;
}

/* As a batch is taken as a whole or not at all, those that cannot be are found by halves. */
static int submit(Import *m, size_t first, size_t n) {
        fastworker_submission tasks[TASKS_AT_ONCE];
        int r;

        for (size_t i = 0; i < n; i++)
                tasks[i] = m->lines[first + i].submission;
        r = fastworker_submit_batch(m->client, tasks, n, NULL);
        if (r >= 0) {
                m->n_taken += n;
                return 0;
        }
        if (!is_about_the_task(m->client, r))
                return session_failed(m->client, r);
        if (n == 1) {
                report_bad_line(m, m->numbers[first], fastworker_client_get_error(m->client));
                return 0;
        }
        r = submit(m, first, n / 2);
        return r != 0 ? r : submit(m, first + n / 2, n - n / 2);
}

static int flush(Import *m) {
        int r = m->n > 0 ? submit(m, 0, m->n) : 0;

        for (size_t i = 0; i < m->n; i++)
                task_line_done(&m->lines[i]);
        m->n = m->n_bytes = 0;
        return r;
}

static int take_line(Import *m, const char *text, size_t size) {
        _cleanup_free_ char *error = NULL;
        TaskLine *l = &m->lines[m->n];
        int r;

        if (is_blank(text, size))
                return 0;
        r = task_line_parse(text, size, l, &error);
        if (r == -EBADMSG) {
                report_bad_line(m, m->n_lines, error);
                return 0;
        }
        if (r < 0)
                return complain_oom();
        if (l->has_ended) {
                m->n_ended++;
                task_line_done(l);
                return 0;
        }
        m->numbers[m->n++] = m->n_lines;
        m->n_bytes += l->submission.arguments_size;
        return m->n == TASKS_AT_ONCE || m->n_bytes >= BYTES_AT_ONCE ? flush(m) : 0;
}

static int import_lines(Import *m) {
        const char *text;
        size_t size;
        int r;

        while ((r = line_reader_next(&m->input, &text, &size)) != 0) {
                m->n_lines++;
                if (r < 0)
                        report_bad_line(m, m->n_lines, "longer than 256 MiB");
                else {
                        r = take_line(m, text, size);
                        if (r != 0)
                                return r;
                }
        }
        return 0;
}

static int import(Import *m) {
        int r = 0;

        while (r == 0 && !m->input.is_at_end) {
                r = line_reader_fill(&m->input, STDIN_FILENO);
                if (r < 0)
                        return complain(CLI_TROUBLE, "cannot read the tasks: %s", strerror(-r));
                r = import_lines(m);
        }
        return r != 0 ? r : flush(m);
}

static int tell(const Import *m) {
        _cleanup_json_ struct json_object *o = NULL;

        if (arg_json == JSON_OFF) {
                printf("Imported %" PRIu64 " task%s", m->n_taken, m->n_taken == 1 ? "" : "s");
                if (m->n_ended > 0)
                        printf("; %" PRIu64 " had ended", m->n_ended);
                if (m->n_bad > 0)
                        printf("; %" PRIu64 " could not be taken", m->n_bad);
                puts(".");
                return CLI_SUCCESS;
        }
        o = json_object_new_object();
        if (!o || json_add_uint(o, "imported", m->n_taken) < 0 ||
            json_add_uint(o, "ended", m->n_ended) < 0 || json_add_uint(o, "refused", m->n_bad) < 0)
                return complain_oom();
        return print_json(o);
}

int verb_import(int argc, char *argv[]) {
        _cleanup_client_ fastworker_client *c = NULL;
        _cleanup_free_ Import *m = NULL;
        int r, status;

        r = parse_options(&usage, argc, argv);
        if (r <= 0)
                return r < 0 ? CLI_USAGE : CLI_SUCCESS;
        r = session_open(TIMEOUT_RESULT_USEC, &c);
        if (r != 0)
                return r;
        m = calloc(1, sizeof(*m));
        if (!m)
                return complain_oom();
        m->client = c;
        m->input.max_bytes = LINE_BYTES_MAX;
        r = import(m);
        status = tell(m);
        for (size_t i = 0; i < m->n; i++)
                task_line_done(&m->lines[i]);
        line_reader_done(&m->input);
        return r ?: status ?: m->n_bad > 0 ? CLI_BAD_INPUT : CLI_SUCCESS;
}
