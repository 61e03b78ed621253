/* SPDX-License-Identifier: MIT */

/* What a command says about itself while it runs: lines on the descriptor FASTWORKER_REPORT_FD. */

#include <syslog.h>

#include "command-internal.h"
#include "text.h"

#define LINE_MAX_BYTES    512U
#define COMPLAINTS_MAX    3U
#define RETRY_SECONDS_MAX (UINT64_C(3650) * 24 * 3600)

struct CommandReport {
        fastworker_call *call;
        char line[LINE_MAX_BYTES + 1];
        size_t size; /* of the line; what is beyond the buffer is passed over */
        unsigned n_complaints;

        /* The newest, not passed on yet. */
        bool has_progress;
        double percent;
        char text[LINE_MAX_BYTES + 1];

        bool never;
        uint64_t after_usec;
};

/* The rest of the line behind the word, without blanks before it; NULL if it is another word. */
static const char *after_word(const char *line, const char *word) {
        size_t n = strlen(word);

        if (strncmp(line, word, n) != 0 || (line[n] != ' ' && line[n] != '\0'))
                return NULL;
        return line + n + strspn(line + n, " ");
}

static int take_progress(CommandReport *p, const char *text) {
        double percent;
        char *end;

        percent = strtod(text, &end);
        if (end == text || !(percent >= 0 && percent <= 100))
                return -EINVAL;
        end += *end == '%';
        if (*end != ' ' && *end != '\0')
                return -EINVAL;
        p->has_progress = true;
        p->percent = percent;
        strcpy(p->text, end + strspn(end, " "));
        return 0;
}

/* One that is not understood changes nothing. */
static int take_retry_after(CommandReport *p, const char *text) {
        uint64_t usec;
        int r;

        r = parse_usec(text, 0, RETRY_SECONDS_MAX * USEC_PER_SEC, &usec);
        if (r < 0)
                return r;
        p->never = false;
        p->after_usec = usec;
        return 0;
}

static int take_line(CommandReport *p, const char *line) {
        const char *rest;

        rest = after_word(line, "progress");
        if (rest)
                return take_progress(p, rest);
        rest = after_word(line, "retry-after");
        if (rest)
                return take_retry_after(p, rest);
        rest = after_word(line, "no-retry");
        if (!rest || *rest != '\0')
                return -EINVAL;
        p->never = true;
        p->after_usec = USEC_INFINITY;
        return 0;
}

static void end_line(CommandReport *p) {
        _cleanup_free_ char *line = NULL;
        size_t size = MIN(p->size, (size_t) LINE_MAX_BYTES);

        p->size = 0;
        while (size > 0 && strchr(" \t\r", p->line[size - 1]))
                size--;
        if (size == 0)
                return;
        /* It becomes longer if it is not UTF-8. */
        if (text_clean(p->line, size, false, &line, &size) < 0 || size > LINE_MAX_BYTES)
                return;
        if (take_line(p, line) < 0 && p->n_complaints++ < COMPLAINTS_MAX)
                fastworker_log(p->call, LOG_WARNING,
                               "On descriptor %d of a command, \"%s\" is not known, expected "
                               "\"progress 42.5 some text\", \"retry-after 30s\" or \"no-retry\".",
                               COMMAND_REPORT_FD, line);
}

void command_report_take(CommandReport *p, const char *data, size_t size) {
        for (size_t i = 0; i < size; i++) {
                if (data[i] == '\n')
                        end_line(p);
                else if (p->size++ < LINE_MAX_BYTES)
                        p->line[p->size - 1] = data[i];
        }
        if (!p->has_progress)
                return;
        p->has_progress = false;
        fastworker_progress(p->call, p->percent, p->text);
}

void command_report_end(CommandReport *p) {
        command_report_take(p, "\n", 1);
}

bool command_report_retry(const CommandReport *p, RunnerRetry *ret) {
        if (!p->never && p->after_usec == USEC_INFINITY)
                return false;
        *ret = (RunnerRetry){ .never = p->never, .after_usec = p->after_usec };
        return true;
}

int command_report_new(fastworker_call *call, CommandReport **ret) {
        CommandReport *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->call = call;
        p->after_usec = USEC_INFINITY;
        *ret = p;
        return 0;
}

CommandReport *command_report_free(CommandReport *p) {
        free(p);
        return NULL;
}
