/* SPDX-License-Identifier: MIT */

/* What tasks write to their standard output and error: which line is whose. */

#include <inttypes.h>
#include <stdio.h>
#include <syslog.h>

#include "log.h"
#include "slot-internal.h"
#include "time-util.h"

/* How long we stay with one runner's pipe at a time. Tasks may write without end; more than this they cannot have
 * written before we began to look, as the pipe holds less. */
#define OUTPUT_READS 256U

/* While other tasks wait in the socket behind the one that runs, the pipe is left alone: then the runner finds in it
 * what the task has written, and marks where that ends. With no other there, what is read is the task's. */
void slot_output_resume(Slot *s) {
        if (s->output_io && s->n_piped <= 1)
                (void) sd_event_source_set_enabled(s->output_io, SD_EVENT_ON);
}

static void log_output(Slot *s, const Job *job, int priority, const char *text, size_t size) {
        const RunnerMessage m = {
                .verb = RUNNER_LOG,
                .priority = priority,
                .payload = text,
                .payload_size = size,
        };

        s->shared->handlers->log(s, job, &m, s->shared->userdata);
}

/* Once it has reached its limit, nothing of a task is let through, shorter lines neither: what is there is its
 * beginning. */
static bool is_within_limit(Slot *s, size_t size) {
        uint64_t max = s->shared->output_max;

        if (max == 0 || (s->output_lost == 0 && s->output_bytes + size <= max)) {
                s->output_bytes += size;
                return true;
        }
        s->output_lost += size;
        return false;
}

bool slot_output_admit(Slot *s, const Job *job, int priority, size_t size) {
        unsigned lost = 0;
        char text[64];

        if (!log_is_shown(priority) || (job && !is_within_limit(s, size)))
                return false;
        if (!output_admit(s->output, now_usec(CLOCK_MONOTONIC), &lost))
                return false;
        if (lost > 0) {
                int n = snprintf(text, sizeof(text), "%u lines of output were left out", lost);

                log_output(s, NULL, LOG_WARNING, text, (size_t) n);
        }
        return true;
}

static void log_line(Slot *s, const Job *job, const char *line, size_t size) {
        if (job)
                output_tail_add(&s->tail, line, size);
        if (slot_output_admit(s, job, LOG_INFO, size))
                log_output(s, job, LOG_INFO, line, size);
}

/* What has been read is the task's, up to its mark. Returns whether that was met. */
static bool log_lines(Slot *s, const Job *job, uint64_t seq) {
        const char *line;
        size_t size;
        OutputNext next;

        while ((next = output_next(s->output, seq, &line, &size)) == OUTPUT_LINE)
                log_line(s, job, line, size);
        return next == OUTPUT_MARK;
}

/* The next task has nothing to its account. */
static void close_account(Slot *s, const Job *job) {
        char text[128];
        int n;

        if (s->output_lost > 0 && job) {
                n = snprintf(text, sizeof(text),
                             "%" PRIu64 " bytes of output were left out (OutputMax=)",
                             s->output_lost);
                log_output(s, job, LOG_WARNING, text, (size_t) n);
        }
        s->output_bytes = s->output_lost = 0;
        output_tail_clear(&s->tail);
}

void slot_output_end(Slot *s, const Job *job, uint64_t seq, bool marked) {
        const char *line;
        size_t size;

        for (unsigned i = 0; marked && !log_lines(s, job, seq); i++)
                marked = i < OUTPUT_READS && output_read(s->output) > 0;
        if (marked)
                output_skip_mark(s->output);
        else {
                /* Read along with the mark of the task before, and left until that had ended. */
                (void) log_lines(s, job, seq);
                while (output_rest(s->output, &line, &size))
                        log_line(s, job, line, size);
        }
        close_account(s, job);
}

int slot_on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Slot *s = userdata;
        const Job *job;
        ssize_t n;

        slot_settle(s);
        if (s->n_piped > 1)
                return sd_event_source_set_enabled(source, SD_EVENT_OFF);
        n = output_read(s->output);
        job = TAILQ_FIRST(&s->piped);
        /* Behind a mark is what is to wait until the end of the task was received, too. */
        if (log_lines(s, job, job ? job->seq : 0) || n == 0 || (n < 0 && n != -EAGAIN))
                return sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

void slot_output_drain(Slot *s) {
        Job *job = TAILQ_FIRST(&s->piped);
        const char *line;
        size_t size;

        if (!s->output)
                return;
        for (unsigned i = 0; i < OUTPUT_READS; i++) {
                if (log_lines(s, job, job ? job->seq : 0))
                        output_skip_mark(s->output);
                if (output_read(s->output) <= 0)
                        break;
        }
        (void) log_lines(s, job, job ? job->seq : 0);
        while (output_rest(s->output, &line, &size))
                log_line(s, job, line, size);
        if (job && !job->output_tail)
                job->output_tail = output_tail_get(&s->tail);
        close_account(s, job);
}
