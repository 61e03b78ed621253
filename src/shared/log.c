/* SPDX-License-Identifier: MIT */

/* Journal or stderr. To the journal, each message goes with its fields over libsystemd; to anything else that
 * stderr may be (terminal, file, pipe) as one line "identifier: text" in one write.
 *
 * A pipe whose reader has stopped reading would block us. So a line is written only when there is room for
 * it, waited for a short while; lines that found none are counted, and the count is told with the next line
 * that goes through. */

#define SD_JOURNAL_SUPPRESS_LOCATION

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "log.h"
#include "parse-util.h"

#define TEXT_MAX         2048 /* bytes of one message; the rest is cut off */
#define ESCAPE_MAX       4    /* "\x1b" */
#define STDERR_WAIT_MSEC 100

static const char *log_identifier = "fastworker";
int log_max_level = LOG_INFO;
static bool log_to_journal;
static unsigned n_lost;

static const struct {
        const char *name;
        int level;
} level_names[] = {
        { "debug", LOG_DEBUG },     { "info", LOG_INFO }, { "notice", LOG_NOTICE },
        { "warning", LOG_WARNING }, { "err", LOG_ERR },
};

int log_level_from_string(const char *s) {
        for (size_t i = 0; s && i < ELEMENTSOF(level_names); i++)
                if (streq(level_names[i].name, s))
                        return level_names[i].level;
        return -EINVAL;
}

const char *log_level_to_string(int level) {
        for (size_t i = 0; i < ELEMENTSOF(level_names); i++)
                if (level_names[i].level == level)
                        return level_names[i].name;
        return NULL;
}

void log_set_max_level(int level) {
        log_max_level = level;
}

int log_get_max_level(void) {
        return log_max_level;
}

/* The service manager tells in JOURNAL_STREAM which socket it made stderr. It is inherited further than
 * stderr itself is, hence the comparison. */
static bool stderr_is_journal(void) {
        const char *e = getenv("JOURNAL_STREAM");
        char expected[64];
        struct stat st;

        if (!e || fstat(STDERR_FILENO, &st) < 0)
                return false;
        (void) snprintf(expected, sizeof(expected), "%ju:%ju", (uintmax_t) st.st_dev,
                        (uintmax_t) st.st_ino);
        return streq(e, expected);
}

static void fill_standard_fds(void) {
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                /* open() gives the lowest free number, which is this one. */
                if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
                        (void) !open("/dev/null", O_RDWR | O_NOCTTY);
}

static void ignore_sigpipe(void) {
        struct sigaction sa;

        if (sigaction(SIGPIPE, NULL, &sa) < 0 || sa.sa_flags & SA_SIGINFO ||
            sa.sa_handler != SIG_DFL)
                return;
        sa.sa_handler = SIG_IGN;
        (void) sigaction(SIGPIPE, &sa, NULL);
}

void log_open(const char *identifier) {
        log_identifier = identifier;
        fill_standard_fds();
        ignore_sigpipe();
        log_to_journal = stderr_is_journal();
}

/* Copies text so that a terminal or a line-wise reader sees nothing but text: control characters (also those
 * of the C1 range) and bytes that are no UTF-8 are written as \n, \t or \xHH. */
static void escape(const char *text, char *ret, size_t size) {
        char *p = ret, *end = ret + size - ESCAPE_MAX - 1;
        size_t left = strlen(text);

        while (left > 0 && p < end) {
                uint32_t c = 0;
                int n = utf8_decode(text, left, &c);
                bool plain = n > 0 && c >= 0x20 && !(c >= 0x7f && c < 0xa0);

                n = MAX(n, 1);
                if (plain)
                        p = mempcpy(p, text, (size_t) n);
                else if (c == '\n' || c == '\t')
                        p = stpcpy(p, c == '\n' ? "\\n" : "\\t");
                else
                        for (int i = 0; i < n && p < end; i++)
                                p += snprintf(p, ESCAPE_MAX + 1, "\\x%02x",
                                              (unsigned char) text[i]);
                text += n;
                left -= (size_t) n;
        }
        *p = '\0';
}

static void write_stderr(const char *text) {
        char line[TEXT_MAX + 256];
        struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
        int n;

        /* A pipe is ready when a page fits, and a line is shorter than that. After a loss no more waiting,
         * until there is room again. */
        if (poll(&p, 1, n_lost > 0 ? 0 : STDERR_WAIT_MSEC) <= 0 || !(p.revents & POLLOUT)) {
                n_lost++;
                return;
        }
        if (n_lost > 0)
                n = snprintf(line, sizeof(line), "%s: (%u messages lost before this one) %s\n",
                             log_identifier, n_lost, text);
        else
                n = snprintf(line, sizeof(line), "%s: %s\n", log_identifier, text);
        if (n >= (int) sizeof(line))
                n = (int) sizeof(line) - 1;
        n_lost = write(STDERR_FILENO, line, (size_t) n) < 0 ? n_lost + 1 : 0;
}

/* One field of a journal entry in two parts would need a copy: sd_journal_sendv() wants NAME=value in one. */
typedef struct Entry {
        struct iovec iov[9];
        char *text[9];
        int n;
} Entry;

static void entry_add(Entry *e, const char *name, const char *value) {
        char *s;

        if (!value || asprintf(&s, "%s=%s", name, value) < 0)
                return; /* a message without a field is better than none */
        e->text[e->n] = s;
        e->iov[e->n] = (struct iovec){ s, strlen(s) };
        e->n++;
}

static void write_journal(int level, int error, const LogFields *fields, const char *text) {
        char number[16];
        Entry e = {};

        entry_add(&e, "MESSAGE", text);
        (void) snprintf(number, sizeof(number), "%d", level);
        entry_add(&e, "PRIORITY", number);
        entry_add(&e, "SYSLOG_IDENTIFIER", log_identifier);
        if (error > 0) {
                (void) snprintf(number, sizeof(number), "%d", error);
                entry_add(&e, "ERRNO", number);
        }
        if (fields) {
                entry_add(&e, "MESSAGE_ID", fields->message_id);
                entry_add(&e, "TASK_ID", fields->task_id);
                entry_add(&e, "TASK_NAME", fields->task_name);
                entry_add(&e, "WORKER_ID", fields->worker_id);
                entry_add(&e, "PEER", fields->peer);
        }
        /* If the journal cannot be reached, what stderr is connected to is its stream socket all the same. */
        if (sd_journal_sendv(e.iov, e.n) < 0)
                write_stderr(text);
        for (int i = 0; i < e.n; i++)
                free(e.text[i]);
}

int log_full(int level, int error, const LogFields *fields, const char *format, ...) {
        char raw[TEXT_MAX], text[TEXT_MAX];
        int saved = errno;
        va_list ap;

        error = abs(error);
        if (level > log_max_level)
                return -error;

        errno = error;
        va_start(ap, format);
        if (vsnprintf(raw, sizeof(raw), format, ap) < 0)
                (void) snprintf(raw, sizeof(raw), "%s", format);
        va_end(ap);
        escape(raw, text, sizeof(text));

        if (log_to_journal)
                write_journal(level, error, fields, text);
        else
                write_stderr(text);
        errno = saved;
        return -error;
}
