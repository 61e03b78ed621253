/* SPDX-License-Identifier: MIT */
#pragma once

/* Messages to the journal (when stderr is connected to it, see JOURNAL_STREAM) or to stderr.
 *
 * err = we failed; warning = something is wrong, we go on; notice = a state change worth knowing; info =
 * start, stop, drain; debug = per task or message. Each error is logged once, by the function that handles
 * it. Logging never fails, never blocks for long, and keeps errno. */

#include <syslog.h>

#include "macro.h"

/* Fields that make a message findable: journalctl TASK_ID=…. NULL fields are left out. */
typedef struct LogFields {
        const char *message_id; /* one of message-ids.h, without dashes; has a text in catalog/ */
        const char *task_id, *task_name, *worker_id, *peer;
} LogFields;

#define LOG_FIELDS(...) (&(const LogFields){ __VA_ARGS__ })

/* `identifier` must live as long as the program. Called once at start; decides journal or stderr. Standard
 * descriptors that are closed become /dev/null, so that no socket gets the number of stderr, and SIGPIPE is
 * ignored if nobody has set it otherwise: whoever reads our stderr may go away (a child that executes other
 * programs gives them SIG_DFL back). */
void log_open(const char *identifier);

/* Messages above this level (LOG_DEBUG is the highest) are dropped. Default LOG_INFO. */
void log_set_max_level(int level);
int log_get_max_level(void);

/* Whether such a message would be shown: one comparison, for places that many tasks a second come by. */
extern int log_max_level; /* log.c's; not to be set by others */
static inline bool log_is_shown(int level) {
        return level <= log_max_level;
}

/* "debug info notice warning err" -> level, or -EINVAL; and back, NULL for other levels. */
int log_level_from_string(const char *s);
const char *log_level_to_string(int level);

/* Logs; `error` is 0, or an errno (of either sign) whose text "%m" in the format gives and which goes into
 * the field ERRNO=. Returns -abs(error), so that `return log_error_errno(r, …)` reads well. Newlines and
 * control characters in the text are escaped. */
int log_full(int level, int error, const LogFields *fields, const char *format, ...) _printf_(4, 5);

#define log_debug(...)            log_full(LOG_DEBUG, 0, NULL, __VA_ARGS__)
#define log_info(...)             log_full(LOG_INFO, 0, NULL, __VA_ARGS__)
#define log_notice(...)           log_full(LOG_NOTICE, 0, NULL, __VA_ARGS__)
#define log_warning(...)          log_full(LOG_WARNING, 0, NULL, __VA_ARGS__)
#define log_error(...)            log_full(LOG_ERR, 0, NULL, __VA_ARGS__)
#define log_debug_errno(e, ...)   log_full(LOG_DEBUG, e, NULL, __VA_ARGS__)
#define log_notice_errno(e, ...)  log_full(LOG_NOTICE, e, NULL, __VA_ARGS__)
#define log_warning_errno(e, ...) log_full(LOG_WARNING, e, NULL, __VA_ARGS__)
#define log_error_errno(e, ...)   log_full(LOG_ERR, e, NULL, __VA_ARGS__)
#define log_oom()                 log_full(LOG_ERR, ENOMEM, NULL, "Out of memory.")

/* With fields: log_event(LOG_NOTICE, 0, LOG_FIELDS(.worker_id = id), "Subworker %s is gone.", id); */
#define log_event(level, error, fields, ...) log_full(level, error, fields, __VA_ARGS__)
