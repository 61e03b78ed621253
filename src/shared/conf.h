/* SPDX-License-Identifier: MIT */
#pragma once

/* Settings of one daemon from one table: built-in default, then the configuration file and its drop-ins
 * (*.conf in FILE.d/, by name), then environment variables, then flags; each beats the ones before it.
 *
 * An unknown key or a bad value in a file is logged with file and line, and what held before stays; not so
 * for keys marked CONF_WIDENS_ACCESS, where loading fails. Unknown flags and bad values of flags and
 * environment variables always fail. */

#include <stdio.h>

#include "macro.h"

typedef enum ConfType {
        CONF_STRING, /* char *, owned by the settings */
        CONF_BOOL,   /* bool */
        CONF_UINT,   /* uint64_t, min to max */
        CONF_BYTES, /* uint64_t, min to max, with suffix; UINT64_MAX as maximum allows "infinity" */
        CONF_USEC,  /* uint64_t microseconds, min to max (in microseconds) */
        CONF_LIST,  /* char **, comma or space separated; given twice in one place: appended */
        CONF_ADDRESS, /* char *, checked with address_parse() */
        CONF_LEVEL,   /* int, a log level by name */
        CONF_ENUM,    /* int, see names */
        _CONF_TYPE_MAX,
} ConfType;

typedef enum ConfFlags {
        CONF_WIDENS_ACCESS = 1 << 0,
        CONF_NEGATED_FLAG = 1 << 1, /* a bool whose flag takes no value and means "no" (--no-gui) */
        CONF_REQUIRED = 1 << 2,     /* must be set somewhere */
        CONF_FIXED =
                1 << 3, /* a reload cannot change it: the daemon says so and keeps the old value */
        CONF_PATHS = 1 << 4, /* a list of directories: ":" separates as well, as in $PATH */
} ConfFlags;

/* An empty value stands for the built-in default of a string or address and for the empty list, and is a bad
 * value of the other types; an empty environment variable counts as not set. */
typedef struct ConfItem {
        const char *section,
                *key;     /* as in the file: "Control", "ResultCacheSize"; key NULL: not in files */
        const char *flag; /* without dashes: "result-cache-size", or NULL */
        const char *env;  /* "FASTWORKER_RESULT_CACHE_SIZE", or NULL */
        const char *metavar; /* in --help: "N" */
        ConfType type;
        size_t offset;            /* offsetof() into the settings struct */
        const char *default_text; /* parsed like a value in a file; NULL: unset (NULL, 0, false) */
        uint64_t min, max;        /* max 0: no upper limit */
        ConfFlags flags;
        const char *const *names; /* CONF_ENUM: NULL-terminated */
        const char *help;         /* one line; NULL keeps the item out of --help */
} ConfItem;

typedef struct ConfTable {
        const char *program;     /* "fastworker-controld" */
        const char *summary;     /* first line of --help */
        const char *config_file; /* default path: SYSCONFDIR "/fastworker/controld.conf" */
        const ConfItem *items;
        size_t n_items;
        size_t settings_size;
} ConfTable;

typedef struct Conf Conf; /* where each value came from */

/* Reads everything into a fresh settings struct (zeroed, settings_size bytes; free it with
 * conf_settings_free()). Own flags: --config FILE (also FASTWORKER_CONFIG; then a missing file is an error),
 * --defaults FILE (read before that one), --instance-config FILE (read after it, if it is there), --reload PID (has a running daemon reload),
 * --help, --version, --print-config. Returns 1 to go on, 0 when the program is done (help and the like were
 * printed to stdout), or -errno after having said why on stderr or in the journal. */
int conf_load(const ConfTable *table, int argc, char *argv[], void **ret_settings, Conf **ret_conf);

/* For a reload: the same sources again, without own flags having an effect. On failure *ret_error is one
 * line that says why (a fresh string). */
int conf_reload(const ConfTable *table, int argc, char *argv[], void **ret_settings,
                Conf **ret_conf, char **ret_error);

/* "Key=value" for each item by section with a comment that says from where: default, FILE:LINE, environment
 * variable, or flag. */
void conf_print(const ConfTable *table, const Conf *conf, const void *settings, FILE *f);

/* True if two settings structs differ in the item. */
bool conf_item_differs(const ConfItem *item, const void *a, const void *b);
/* Exchanges the item's values. */
void conf_item_swap(const ConfItem *item, void *a, void *b);

/* Where the value of `section.key` came from ("default", "FILE:LINE", "FASTWORKER_X", "--flag");
 * NULL if the table has no such item. */
const char *conf_origin(const ConfTable *table, const Conf *conf, const char *section,
                        const char *key);

/* True if nothing has set the value: it is the built-in default. */
bool conf_is_default(const ConfTable *table, const Conf *conf, const char *section,
                     const char *key);

/* What to tell someone who left a setting out: "WorkerId= is not set: give --worker-id=ID, …". A fresh string
 * or NULL. conf_load() itself says so for CONF_REQUIRED; this is for either-or checks of the daemon. */
char *conf_explain_missing(const ConfTable *table, const char *section, const char *key);

void *conf_settings_free(const ConfTable *table, void *settings);
Conf *conf_free(Conf *c);
DEFINE_CLEANUP_FUNC(Conf *, conf_free);

/* The directories of a daemon: the given setting if not empty, else STATE_DIRECTORY / RUNTIME_DIRECTORY (set
 * by systemd), else $XDG_STATE_HOME/fastworker (~/.local/state/fastworker) and $XDG_RUNTIME_DIR/fastworker
 * (else a new private directory below /tmp). Created 0700 with its parents if missing. A fresh absolute
 * path. Returns 0, -ENOENT when the user has no home directory, -ENOTDIR, -EACCES and the like. */
int conf_state_directory(const char *setting, char **ret);
int conf_runtime_directory(const char *setting, char **ret);
/* Frees the path; a private directory below /tmp is removed if it is empty by now. Returns NULL. */
char *conf_runtime_directory_release(char *directory);
