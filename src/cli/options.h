/* SPDX-License-Identifier: MIT */
#pragma once

/* Options of a verb from a table. Long options only: --name VALUE or --name=VALUE. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum JsonMode {
        JSON_OFF,
        JSON_SHORT,
        JSON_PRETTY,
        _JSON_MODE_MAX,
        _JSON_MODE_INVALID = -22,
} JsonMode;

typedef struct Words {
        const char **words;
        size_t n, allocated;
} Words;

typedef enum OptionKind {
        OPTION_FLAG, /* bool */
        OPTION_TEXT, /* const char * */
        OPTION_WORDS, /* Words: all that follows up to the next option; after "--" all that follows */
        OPTION_NUMBER, /* uint64_t from min to max */
        OPTION_TIME,   /* uint64_t, microseconds; 1 ms to infinity */
        OPTION_MOMENT, /* uint64_t, microseconds since the epoch: see moment.h */
        OPTION_JSON,   /* JsonMode */
} OptionKind;

typedef struct Option {
        const char *name; /* without dashes */
        OptionKind kind;
        void *to;
        const char *metavar;
        const char *help;
        uint64_t min, max;
} Option;

typedef struct Usage {
        const char *verb;
        const char *synopsis; /* what follows the verb */
        const char *text;     /* what it does, and what a reader should know */
        const Option *options;
        size_t n_options;
        Words *operands; /* where words that belong to no option go; NULL: there may be none */
        size_t n_operands_max;
        bool is_local; /* asks no coordinator: the options for that are not there */
} Usage;

/* Set by the options that verbs share. */
extern const char *arg_address, *arg_discovery_address;
extern uint64_t arg_timeout_usec; /* 0: not given */
extern JsonMode arg_json;
extern bool arg_legend;
extern const char *arg_verb; /* for messages */

/* Returns 1 to go on, 0 if --help was asked for and given, or -EINVAL after having said what is wrong. */
int parse_options(const Usage *usage, int argc, char *argv[]);
/* Parses, then runs what the verb does; a status. */
int run_with_options(const Usage *usage, int argc, char *argv[], int (*run)(void));
void words_done(Words *w);
#define _cleanup_words_ __attribute__((cleanup(words_done)))

/* The word of a NULL-terminated list that `word` was probably meant to be, or NULL. */
const char *nearest_word(const char *word, size_t length, const char *const *known);
