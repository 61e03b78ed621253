/* SPDX-License-Identifier: MIT */
#pragma once

/* What the parts of conf share among themselves; nobody else includes this. */

#include "conf.h"

#define CONF_VALUE_MAX \
        32768U /* bytes of one value, so that what --print-config writes can be read back */
#define CONF_EXPECTED_MAX 256U

typedef struct ConfOrigin {
        char *text;     /* NULL: the built-in default */
        unsigned place; /* one number a file, one for the environment, one for the flags */
} ConfOrigin;

struct Conf {
        size_t n;
        ConfOrigin *origins; /* one an item */
};

/* Settings while they are being read. */
typedef struct ConfLoader {
        const ConfTable *table;
        void *settings;
        Conf *conf;
        unsigned place;
        char **ret_error; /* where a failure is told; NULL: in the log */
} ConfLoader;

/* Says why loading fails. Returns `error` (negative). */
int conf_fail(ConfLoader *l, int error, const char *format, ...) _printf_(3, 4);

/* Sets an item from a text in place l->place. -EINVAL and -ERANGE: a bad value, nothing has changed. */
int conf_assign(ConfLoader *l, const ConfItem *item, const char *value, const char *origin);

/* --- conf-value.c --- */

/* Parses into the settings, over what was there; `append` makes a list grow. The value stays on failure. */
int conf_value_set(const ConfItem *item, const char *text, bool append, void *settings);
/* Back to the built-in default. */
int conf_value_reset(const ConfItem *item, void *settings);
void conf_value_clear(const ConfItem *item, void *settings);
/* As it would stand in a file; a fresh string or NULL. */
char *conf_value_to_text(const ConfItem *item, const void *settings);
/* "a number from 1 to 65535" */
void conf_value_describe(const ConfItem *item, char ret[static CONF_EXPECTED_MAX]);

/* --- conf-file.c --- */

/* Reads the file and then its drop-ins in `path`.d. */
int conf_files_read(ConfLoader *l, const char *path, bool must_exist);

/* --- conf-flags.c --- */

typedef struct ConfFlagValue {
        const ConfItem *item;
        const char *value; /* borrowed from argv */
} ConfFlagValue;

typedef struct ConfArguments {
        ConfFlagValue *values;
        size_t n;
        const char *config;          /* of --config, or NULL */
        const char *defaults;        /* of --defaults, or NULL */
        const char *instance_config; /* of --instance-config, or NULL */
        const char *reload;          /* of --reload, or NULL: a process id */
        bool help, version, print_config;
} ConfArguments;

int conf_arguments_parse(ConfLoader *l, int argc, char *argv[], ConfArguments *ret);
void conf_arguments_done(ConfArguments *a);

/* --- conf-print.c --- */

void conf_print_help(const ConfTable *table, FILE *f);
void conf_print_version(const ConfTable *table, FILE *f);
