/* SPDX-License-Identifier: MIT */

/* The table of verbs, and what may stand in a field. */

#include "wire.h"
#include "task-state.h"

#define TO_CONTROLD   (WIRE_CLIENT_TO_CONTROLD | WIRE_WORKER_TO_CONTROLD)
#define FROM_CONTROLD (WIRE_CONTROLD_TO_CLIENT | WIRE_CONTROLD_TO_WORKER)
#define ANY_REQUEST   (TO_CONTROLD | WIRE_ANYONE_TO_DISCOVERY | WIRE_ANYONE_TO_WORKER)

/* clang-format off */
static const WireSchema schemas[_WIRE_VERB_MAX] = {
        /*                    name          directions                 fields  group     min open */
        [WIRE_PING]       = { "PING",       ANY_REQUEST | WIRE_CONTROLD_TO_WORKER, "",     "",       0, false },
        [WIRE_PONG]       = { "PONG",       FROM_CONTROLD,             "",     "",       0, false },
        [WIRE_ERROR]      = { "ERROR",      FROM_CONTROLD,             "et",   "",       0, false },
        [WIRE_ACK]        = { "ACK",        FROM_CONTROLD,             "",     "",       0, false },
        [WIRE_INFO]       = { "INFO",       FROM_CONTROLD,             "j",    "",       0, false },
        [WIRE_DISCOVER]   = { "DISCOVER",   TO_CONTROLD | WIRE_ANYONE_TO_DISCOVERY, "", "", 0, false },
        [WIRE_HELLO]      = { "HELLO",      TO_CONTROLD,               "j",    "",       0, false },
        [WIRE_WELCOME]    = { "WELCOME",    FROM_CONTROLD,             "j",    "",       0, false },

        [WIRE_SUBMIT]     = { "SUBMIT",     WIRE_CLIENT_TO_CONTROLD,   "m",    "npkbx",  1, true  },
        [WIRE_ACCEPTED]   = { "ACCEPTED",   WIRE_CONTROLD_TO_CLIENT,   "",     "i",      1, true  },
        [WIRE_RESULT]     = { "RESULT",     WIRE_CONTROLD_TO_CLIENT,   "",     "isbtuu", 1, true  },
        [WIRE_WAIT]       = { "WAIT",       WIRE_CLIENT_TO_CONTROLD,   "",     "i",      1, true  },
        [WIRE_FORGET]     = { "FORGET",     WIRE_CLIENT_TO_CONTROLD,   "",     "i",      1, true  },
        [WIRE_STATUS]     = { "STATUS",     WIRE_CLIENT_TO_CONTROLD,   "i",    "",       0, false },
        [WIRE_TASK]       = { "TASK",       WIRE_CONTROLD_TO_CLIENT,   "jbbt", "",       0, false },
        [WIRE_CANCEL]     = { "CANCEL",     WIRE_CLIENT_TO_CONTROLD,   "i",    "",       0, false },
        [WIRE_CANCELLED]  = { "CANCELLED",  WIRE_CONTROLD_TO_CLIENT,   "ics",  "",       0, false },
        [WIRE_RETRY]      = { "RETRY",      WIRE_CLIENT_TO_CONTROLD,   "",     "i",      1, true  },
        [WIRE_PURGE]      = { "PURGE",      WIRE_CLIENT_TO_CONTROLD,   "",     "i",      1, true  },
        [WIRE_BACKUP]     = { "BACKUP",     WIRE_CLIENT_TO_CONTROLD,   "t",    "",       0, false },
        [WIRE_PAUSE]      = { "PAUSE",      WIRE_CLIENT_TO_CONTROLD,   "x",    "",       0, false },
        [WIRE_SCHEDULE]   = { "SCHEDULE",   WIRE_CLIENT_TO_CONTROLD,   "ex",   "",       0, false },
        [WIRE_LIST]       = { "LIST",       WIRE_CLIENT_TO_CONTROLD,   "x",    "",       0, false },
        [WIRE_WORKERS]    = { "WORKERS",    WIRE_CLIENT_TO_CONTROLD,   "",     "",       0, false },
        [WIRE_QUEUES]     = { "QUEUES",     WIRE_CLIENT_TO_CONTROLD,   "",     "",       0, false },
        [WIRE_TYPES]      = { "TYPES",      WIRE_CLIENT_TO_CONTROLD,   "",     "",       0, false },
        [WIRE_STATS]      = { "STATS",      WIRE_CLIENT_TO_CONTROLD,   "",     "",       0, false },

        [WIRE_REGISTER]   = { "REGISTER",   WIRE_WORKER_TO_CONTROLD,   "wuuj", "iu",     0, true  },
        [WIRE_REGISTERED] = { "REGISTERED", WIRE_CONTROLD_TO_WORKER,   "j",    "iu",     0, true  },
        [WIRE_HEARTBEAT]  = { "HEARTBEAT",  WIRE_WORKER_TO_CONTROLD,   "u",    "",       0, false },
        [WIRE_CAPACITY]   = { "CAPACITY",   WIRE_WORKER_TO_CONTROLD,   "u",    "",       0, false },
        [WIRE_TASKS]      = { "TASKS",      WIRE_CONTROLD_TO_WORKER,   "",     "iunbx",  1, true  },
        [WIRE_STARTED]    = { "STARTED",    WIRE_WORKER_TO_CONTROLD,   "",     "iuu",    1, true  },
        [WIRE_PROGRESS]   = { "PROGRESS",   WIRE_WORKER_TO_CONTROLD,   "",     "iuut",   1, true  },
        [WIRE_DONE]       = { "DONE",       WIRE_WORKER_TO_CONTROLD,   "",     "iuobtuuj", 1, true },
        [WIRE_RELEASE]    = { "RELEASE",    WIRE_WORKER_TO_CONTROLD,   "t",    "iu",     1, true  },
        [WIRE_REVOKE]     = { "REVOKE",     WIRE_CONTROLD_TO_WORKER,   "",     "iu",     1, true  },
        [WIRE_DRAIN]      = { "DRAIN",      WIRE_WORKER_TO_CONTROLD | WIRE_ANYONE_TO_WORKER, "", "", 0, false },
        [WIRE_GOODBYE]    = { "GOODBYE",    WIRE_WORKER_TO_CONTROLD,   "",     "",       0, false },

        [WIRE_REPORT]     = { "REPORT",     WIRE_ANYONE_TO_WORKER,     "",     "",       0, false },
};
/* clang-format on */

static const char *const wire_error_table[_WIRE_ERROR_MAX] = {
        [WIRE_ERROR_BAD_MESSAGE] = "bad-message",
        [WIRE_ERROR_UNSUPPORTED_VERSION] = "unsupported-version",
        [WIRE_ERROR_UNKNOWN_VERB] = "unknown-verb",
        [WIRE_ERROR_BAD_ARGUMENT] = "bad-argument",
        [WIRE_ERROR_TOO_LARGE] = "too-large",
        [WIRE_ERROR_UNKNOWN_TASK_TYPE] = "unknown-task-type",
        [WIRE_ERROR_UNKNOWN_TASK] = "unknown-task",
        [WIRE_ERROR_QUEUE_FULL] = "queue-full",
        [WIRE_ERROR_EXISTS] = "exists",
        [WIRE_ERROR_NO_SPACE] = "no-space",
        [WIRE_ERROR_UNKNOWN_SCHEDULE] = "unknown-schedule",
        [WIRE_ERROR_DENIED] = "denied",
        [WIRE_ERROR_NOT_REGISTERED] = "not-registered",
        [WIRE_ERROR_NAME_IN_USE] = "name-in-use",
        [WIRE_ERROR_STOPPING] = "stopping",
        [WIRE_ERROR_INTERNAL] = "internal",
};

DEFINE_STRING_TABLE(wire_error, WireError);

static const char *const wire_outcome_table[_WIRE_OUTCOME_MAX] = {
        [WIRE_OUTCOME_SUCCESS] = "success",     [WIRE_OUTCOME_FAILURE] = "failure",
        [WIRE_OUTCOME_CRASH] = "crash",         [WIRE_OUTCOME_TIMEOUT] = "timeout",
        [WIRE_OUTCOME_CANCELLED] = "cancelled",
};

DEFINE_STRING_TABLE(wire_outcome, WireOutcome);

static const char *const wire_cancel_table[_WIRE_CANCEL_MAX] = {
        [WIRE_CANCEL_CANCELLED] = "cancelled",
        [WIRE_CANCEL_STOPPING] = "stopping",
        [WIRE_CANCEL_FINISHED] = "finished",
};

DEFINE_STRING_TABLE(wire_cancel, WireCancel);

const WireSchema *wire_schema(WireVerb verb) {
        return (int) verb >= 0 && verb < _WIRE_VERB_MAX ? &schemas[verb] : NULL;
}

const char *wire_verb_to_string(WireVerb verb) {
        const WireSchema *s = wire_schema(verb);

        return s ? s->name : NULL;
}

WireVerb wire_verb_from_string(const char *s) {
        for (WireVerb v = 0; s && v < _WIRE_VERB_MAX; v++)
                if (streq(schemas[v].name, s))
                        return v;
        return _WIRE_VERB_INVALID;
}

/* Whether a field holds `min` to `max` characters, all of them letters, digits or in `others`. */
static bool is_word(const struct iovec *f, size_t min, size_t max, const char *others) {
        const char *s = f->iov_base;

        if (f->iov_len < min || f->iov_len > max)
                return false;
        for (size_t i = 0; i < f->iov_len; i++) {
                char c = s[i];

                if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
                        continue;
                if (c == '\0' || !strchr(others, c))
                        return false;
        }
        return true;
}

static bool is_printable(const struct iovec *f, size_t max) {
        const unsigned char *s = f->iov_base;

        if (f->iov_len > max)
                return false;
        for (size_t i = 0; i < f->iov_len; i++)
                if (s[i] < 0x20 || s[i] > 0x7e)
                        return false;
        return true;
}

/* An error code: words of later versions pass. */
static bool is_code(const struct iovec *f) {
        const char *s = f->iov_base;

        if (f->iov_len < 1 || f->iov_len > WIRE_CODE_MAX)
                return false;
        for (size_t i = 0; i < f->iov_len; i++)
                if ((s[i] < 'a' || s[i] > 'z') && s[i] != '-')
                        return false;
        return true;
}

/* 19 digits always fit into 64 bits. */
static bool is_number(const struct iovec *f) {
        const char *s = f->iov_base;

        if (f->iov_len < 1 || f->iov_len > WIRE_DIGITS_MAX)
                return false;
        for (size_t i = 0; i < f->iov_len; i++)
                if (s[i] < '0' || s[i] > '9')
                        return false;
        return true;
}

static bool is_one_of(const struct iovec *f, const char *const *names, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (strlen(names[i]) == f->iov_len &&
                    (f->iov_len == 0 || memcmp(names[i], f->iov_base, f->iov_len) == 0))
                        return true;
        return false;
}

static bool is_status(const struct iovec *f) {
        static const char *const unknown[] = { "unknown" };

        for (TaskState s = 0; s < _TASK_STATE_MAX; s++) {
                const char *name = task_state_to_string(s);

                if (is_one_of(f, &name, 1))
                        return true;
        }
        return is_one_of(f, unknown, 1);
}

bool wire_field_is_valid(WireKind kind, const struct iovec *f) {
        static const char *const modes[] = { "", "wait" };
        TaskId id;

        switch (kind) {
        case WIRE_KIND_TASK_ID:
                return task_id_from_text(f->iov_base, f->iov_len, &id) >= 0;
        case WIRE_KIND_NAME:
                return is_word(f, 1, WIRE_NAME_MAX, "._:-");
        case WIRE_KIND_WORKER_ID:
                return is_word(f, 1, WIRE_WORKER_ID_MAX, "._:-@");
        case WIRE_KIND_PRIORITY:
                return task_priority_from_text(f->iov_base, f->iov_len) >= 0;
        case WIRE_KIND_KEY:
                return is_printable(f, WIRE_KEY_MAX);
        case WIRE_KIND_NUMBER:
                return is_number(f);
        case WIRE_KIND_STATUS:
                return is_status(f);
        case WIRE_KIND_OUTCOME:
                return is_one_of(f, wire_outcome_table, ELEMENTSOF(wire_outcome_table));
        case WIRE_KIND_CANCEL:
                return is_one_of(f, wire_cancel_table, ELEMENTSOF(wire_cancel_table));
        case WIRE_KIND_CODE:
                return is_code(f);
        case WIRE_KIND_MODE:
                return is_one_of(f, modes, ELEMENTSOF(modes));
        case WIRE_KIND_INFO:
                return f->iov_len <= WIRE_INFO_MAX;
        case WIRE_KIND_OPTIONS:
                return f->iov_len <= WIRE_OPTIONS_MAX;
        case WIRE_KIND_TEXT:
                return f->iov_len <= WIRE_TEXT_MAX;
        case WIRE_KIND_PAYLOAD:
                return f->iov_len <= WIRE_PAYLOAD_MAX;
        }
        return false;
}
