/* SPDX-License-Identifier: MIT */

/* Standard error of a command: lines for the journal, up to a limit, and the last of it for the error text. */

#include <inttypes.h>
#include <stdio.h>
#include <syslog.h>

#include "command-internal.h"
#include "text.h"

#define LINE_MAX_BYTES 4096U /* longer lines are logged in pieces */

struct CommandStderr {
        fastworker_call *call;

        char line[LINE_MAX_BYTES];
        size_t line_size;
        int priority;   /* of the line */
        bool in_middle; /* of a line, the beginning of which was logged */

        uint64_t n_lines, n_bytes; /* logged */
        uint64_t dropped_lines, dropped_bytes;
        bool is_full;

        char tail[COMMAND_TAIL_MAX];
        size_t tail_size;
        bool tail_is_cut;
};

/* The prefix of sd-daemon(3), "<3>". Returns its length. */
static size_t take_prefix(const char *line, size_t size, int *ret_priority) {
        if (size < 3 || line[0] != '<' || line[1] < '0' || line[1] > '7' || line[2] != '>')
                return 0;
        *ret_priority = line[1] - '0';
        return 3;
}

static void end_line(CommandStderr *e, bool is_whole) {
        _cleanup_free_ char *text = NULL;
        size_t prefix = 0, n = e->line_size;

        e->line_size = 0;
        if (!e->in_middle) {
                e->priority = LOG_INFO;
                prefix = take_prefix(e->line, n, &e->priority);
        }
        e->in_middle = !is_whole;
        if (n == prefix)
                return;
        if (e->n_lines == COMMAND_LOG_LINES_MAX || e->n_bytes + n > COMMAND_LOG_BYTES_MAX) {
                e->is_full = true;
                e->dropped_lines++;
                e->dropped_bytes += n + is_whole;
                return;
        }
        e->n_lines++;
        e->n_bytes += n;
        if (text_clean(e->line + prefix, n - prefix, false, &text, &n) >= 0)
                fastworker_log(e->call, e->priority, "%s", text);
}

static void count_dropped(CommandStderr *e, const char *data, size_t size) {
        e->dropped_bytes += size;
        for (const char *p = data; (p = memchr(p, '\n', (size_t) (data + size - p))); p++)
                e->dropped_lines++;
}

static void keep_tail(CommandStderr *e, const char *data, size_t size) {
        size_t keep;

        if (size >= sizeof(e->tail)) {
                e->tail_is_cut |= e->tail_size > 0 || size > sizeof(e->tail);
                memcpy(e->tail, data + size - sizeof(e->tail), sizeof(e->tail));
                e->tail_size = sizeof(e->tail);
                return;
        }
        keep = MIN(e->tail_size, sizeof(e->tail) - size);
        e->tail_is_cut |= keep < e->tail_size;
        memmove(e->tail, e->tail + e->tail_size - keep, keep);
        memcpy(e->tail + keep, data, size);
        e->tail_size = keep + size;
}

void command_stderr_take(CommandStderr *e, const char *data, size_t size) {
        keep_tail(e, data, size);
        while (size > 0) {
                const char *newline;
                size_t n;

                if (e->is_full) {
                        count_dropped(e, data, size);
                        return;
                }
                newline = memchr(data, '\n', size);
                n = MIN(newline ? (size_t) (newline - data) : size, sizeof(e->line) - e->line_size);
                memcpy(e->line + e->line_size, data, n);
                e->line_size += n;
                data += n;
                size -= n;
                if (size > 0 && *data == '\n') {
                        end_line(e, true);
                        data++;
                        size--;
                } else if (e->line_size == sizeof(e->line))
                        end_line(e, false);
        }
}

void command_stderr_end(CommandStderr *e) {
        if (e->line_size > 0)
                end_line(e, true);
        if (e->dropped_bytes > 0)
                fastworker_log(e->call, LOG_WARNING,
                               "%" PRIu64 " more lines (%" PRIu64
                               " bytes) of standard error were dropped; "
                               "of each run at most %u lines and %u bytes are logged.",
                               e->dropped_lines, e->dropped_bytes, COMMAND_LOG_LINES_MAX,
                               COMMAND_LOG_BYTES_MAX);
}

/* Takes the prefixes of lines away, and blanks at the end. */
static void strip_lines(char *text) {
        char *to = text;
        bool at_start = true;
        int priority;

        for (const char *p = text; *p;) {
                if (at_start)
                        p += take_prefix(p, strlen(p), &priority);
                at_start = *p == '\n';
                if (*p)
                        *to++ = *p++;
        }
        while (to > text && strchr(" \t\r\n", to[-1]))
                to--;
        *to = '\0';
}

char *command_stderr_tail(const CommandStderr *e) {
        const char *begin = e->tail, *end = e->tail + e->tail_size, *newline;
        char *text;
        size_t size;

        /* Whole lines, unless there is but a part of one. */
        if (e->tail_is_cut && (newline = memchr(begin, '\n', e->tail_size)) && newline + 1 < end)
                begin = newline + 1;
        if (text_clean(begin, (size_t) (end - begin), false, &text, &size) < 0)
                return NULL;
        strip_lines(text);
        return text;
}

int command_stderr_new(fastworker_call *call, CommandStderr **ret) {
        CommandStderr *e = calloc(1, sizeof(*e));

        if (!e)
                return -ENOMEM;
        e->call = call;
        *ret = e;
        return 0;
}

CommandStderr *command_stderr_free(CommandStderr *e) {
        free(e);
        return NULL;
}
