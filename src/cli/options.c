/* SPDX-License-Identifier: MIT */

/* Reading options. getopt_long() knows neither options that take any number of words nor what to suggest for a
 * misspelt one. */

#include <errno.h>

#include "cli.h"
#include "moment.h"
#include "parse-util.h"
#include "time-util.h"

#define SUGGEST_LENGTH_MAX   40U
#define SUGGEST_DISTANCE_MAX 3U

const char *arg_address = NULL, *arg_discovery_address = NULL;
uint64_t arg_timeout_usec = 0;
JsonMode arg_json = JSON_OFF;
bool arg_legend = true;
const char *arg_verb = NULL;

static bool arg_help = false, arg_no_legend = false;

/* Every verb has the first of these; those that ask a coordinator have all. */
static const Option local_options[] = {
        { "help", OPTION_FLAG, &arg_help, NULL, "Show this help" },
        { "json", OPTION_JSON, &arg_json, "MODE", "Print JSON: short, pretty, or off" },
        { "no-legend", OPTION_FLAG, &arg_no_legend, NULL, "Leave out headings and sums" },
};
static const Option coordinator_options[] = {
        { "address", OPTION_TEXT, &arg_address, "ADDRESS",
          "The coordinator: tcp://HOST:PORT or ipc:///PATH" },
        { "discovery-address", OPTION_TEXT, &arg_discovery_address, "ADDRESS",
          "Ask there where it is" },
        { "timeout", OPTION_TIME, &arg_timeout_usec, "SECONDS",
          "How long to wait: FASTWORKER_TIMEOUT, else 30 s (5 s to ask)" },
};

typedef struct Parser {
        const Usage *usage;
        int argc, at;
        char **argv;
        bool only_words; /* after -- */
} Parser;

void words_done(Words *w) {
        free(w->words);
        *w = (Words){};
}

static int words_add(Words *w, const char *word) {
        if (w->n == w->allocated) {
                size_t n = MAX(w->allocated * 2, (size_t) 8);
                const char **words = reallocarray(w->words, n, sizeof(*words));

                if (!words)
                        return -ENOMEM;
                w->words = words;
                w->allocated = n;
        }
        w->words[w->n++] = word;
        return 0;
}

/* The i-th of all options of the verb, NULL after the last. */
static const Option *option_at(const Usage *u, size_t i) {
        if (i < u->n_options)
                return &u->options[i];
        i -= u->n_options;
        if (!u->is_local) {
                if (i < ELEMENTSOF(coordinator_options))
                        return &coordinator_options[i];
                i -= ELEMENTSOF(coordinator_options);
        }
        return i < ELEMENTSOF(local_options) ? &local_options[ELEMENTSOF(local_options) - 1 - i]
                                             : NULL;
}

static const Option *find_option(const Usage *u, const char *name, size_t length) {
        const Option *o;

        for (size_t i = 0; (o = option_at(u, i)); i++)
                if (strlen(o->name) == length && memcmp(o->name, name, length) == 0)
                        return o;
        return NULL;
}

/* How many letters have to be changed, added or left out. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b) {
        size_t row[SUGGEST_LENGTH_MAX + 1];

        for (size_t j = 0; j <= n_b; j++)
                row[j] = j;
        for (size_t i = 0; i < n_a; i++) {
                size_t corner = row[0];

                row[0] = i + 1;
                for (size_t j = 0; j < n_b; j++) {
                        size_t replaced = corner + (a[i] != b[j]);

                        corner = row[j + 1];
                        row[j + 1] = MIN(replaced, MIN(row[j], row[j + 1]) + 1);
                }
        }
        return row[n_b];
}

const char *nearest_word(const char *word, size_t length, const char *const *known) {
        size_t best = MIN((size_t) SUGGEST_DISTANCE_MAX, length / 2) + 1;
        const char *nearest = NULL;

        for (; *known && length <= SUGGEST_LENGTH_MAX; known++) {
                size_t n = strlen(*known), d;

                if (n > SUGGEST_LENGTH_MAX)
                        continue;
                /* What was begun but not written out is as good as one wrong letter. */
                d = n > length && length >= 2 && memcmp(*known, word, length) == 0
                            ? 1
                            : distance(word, length, *known, n);
                if (d < best) {
                        best = d;
                        nearest = *known;
                }
        }
        return nearest;
}

static int fail_unknown(const Parser *p, const char *word, bool in_list) {
        const char *names[64] = {}, *nearest;
        size_t length = strcspn(word, "=");
        const Option *o;

        for (size_t i = 0; i + 1 < ELEMENTSOF(names) && (o = option_at(p->usage, i)); i++)
                names[i] = o->name;
        nearest = nearest_word(word + 2, length - 2, names);
        complain(CLI_USAGE, "unknown option %.*s%s%s; %s", (int) MIN(length, (size_t) 100), word,
                 nearest ? ", did you mean --" : "", nearest ?: "",
                 in_list ? "if it is an argument, write -- before it" : "see --help");
        return -EINVAL;
}

static int set_value(const Option *o, const char *value) {
        switch (o->kind) {
        case OPTION_TEXT:
                *(const char **) o->to = value;
                return 0;
        case OPTION_NUMBER:
                if (parse_uint(value, o->min, o->max, o->to) < 0) {
                        complain(CLI_USAGE, "--%s: \"%s\" is not a number from %llu to %llu",
                                 o->name, value, (unsigned long long) o->min,
                                 (unsigned long long) o->max);
                        return -EINVAL;
                }
                return 0;
        case OPTION_TIME:
                if (parse_usec(value, USEC_PER_MSEC, USEC_INFINITY, o->to) < 0) {
                        complain(
                                CLI_USAGE,
                                "--%s: \"%s\" is not a time of 1 ms or more, such as 30, 500ms, 2min or infinity",
                                o->name, value);
                        return -EINVAL;
                }
                return 0;
        case OPTION_MOMENT:
                if (moment_parse(value, now_usec(CLOCK_REALTIME), o->to) < 0) {
                        complain(CLI_USAGE,
                                 "--%s: \"%s\" is not a time such as \"2026-11-24 12:30\", "
                                 "2026-11-24T12:30:01Z or 1h (ago)",
                                 o->name, value);
                        return -EINVAL;
                }
                return 0;
        case OPTION_JSON: {
                static const char *const modes[] = { "off", "short", "pretty" };

                for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                        if (streq(value, modes[i])) {
                                *(JsonMode *) o->to = (JsonMode) i;
                                return 0;
                        }
                complain(CLI_USAGE, "--%s: \"%s\" is not one of short, pretty and off", o->name,
                         value);
                return -EINVAL;
        }
        case OPTION_FLAG:
        case OPTION_WORDS:
                break;
        }
        return -EINVAL;
}

/* Takes words up to the next option. A word that begins with two dashes and a letter is one, or meant to be. */
static int take_words(Parser *p, const Option *o) {
        int r;

        for (; p->at < p->argc; p->at++) {
                const char *word = p->argv[p->at];

                if (!p->only_words && word[0] == '-' && word[1] == '-') {
                        if (word[2] == '\0') {
                                p->only_words = true;
                                continue;
                        }
                        if (find_option(p->usage, word + 2, strcspn(word + 2, "=")))
                                return 0;
                        return fail_unknown(p, word, true);
                }
                r = words_add(o->to, word);
                if (r < 0) {
                        complain_oom();
                        return r;
                }
        }
        return 0;
}

static int take_option(Parser *p, const char *word) {
        size_t length = strcspn(word, "=");
        const char *value = word[length] ? word + length + 1 : NULL;
        const Option *o = find_option(p->usage, word + 2, length - 2);
        int r;

        if (!o)
                return fail_unknown(p, word, false);
        if (o->kind == OPTION_FLAG) {
                if (value) {
                        complain(CLI_USAGE, "--%s takes no value", o->name);
                        return -EINVAL;
                }
                *(bool *) o->to = true;
                return 0;
        }
        if (o->kind == OPTION_WORDS) {
                r = value ? words_add(o->to, value) : 0;
                return r < 0 ? r : take_words(p, o);
        }
        if (!value) {
                if (p->at == p->argc) {
                        complain(CLI_USAGE, "--%s needs a value: --%s=%s", o->name, o->name,
                                 o->metavar);
                        return -EINVAL;
                }
                value = p->argv[p->at++];
        }
        return set_value(o, value);
}

static void print_options(const Option *options, size_t n) {
        for (size_t i = 0; i < n; i++) {
                const Option *o = &options[i];
                int width = printf("  --%s%s%s%s", o->name,
                                   o->metavar ? (o->kind == OPTION_WORDS ? " " : "=") : "",
                                   o->metavar ?: "", o->kind == OPTION_WORDS ? "..." : "");

                printf("%*s %s\n", MAX(0, 30 - width), "", o->help);
        }
}

static void print_usage(const Usage *u) {
        printf("fastworker %s %s\n\n%s\n\n", u->verb, u->synopsis, u->text);
        print_options(u->options, u->n_options);
        if (!u->is_local)
                print_options(coordinator_options, ELEMENTSOF(coordinator_options));
        print_options(local_options, ELEMENTSOF(local_options));
        printf("\nfastworker help exit-status tells what the exit status means.\n");
}

/* A word that stands for itself. */
static int take_operand(Parser *p, const char *word) {
        const Usage *u = p->usage;
        int r;

        if (!u->operands || u->operands->n == u->n_operands_max) {
                complain(CLI_USAGE, "\"%s\" is not expected here: fastworker %s %s", word, u->verb,
                         u->synopsis);
                return -EINVAL;
        }
        r = words_add(u->operands, word);
        if (r < 0)
                complain_oom();
        return r;
}

int parse_options(const Usage *usage, int argc, char *argv[]) {
        Parser p = { .usage = usage, .argc = argc, .at = 1, .argv = argv };
        int r;

        while (p.at < argc) {
                const char *word = argv[p.at++];

                if (streq(word, "-h"))
                        word = "--help";
                if (streq(word, "--") && usage->operands && !p.only_words) {
                        p.only_words = true;
                        continue;
                }
                r = p.only_words || word[0] != '-' || word[1] != '-' || word[2] == '\0'
                            ? take_operand(&p, word)
                            : take_option(&p, word);
                if (r < 0)
                        return r;
        }
        arg_legend = !arg_no_legend;
        if (arg_help) {
                print_usage(usage);
                return 0;
        }
        return 1;
}

int run_with_options(const Usage *usage, int argc, char *argv[], int (*run)(void)) {
        int r = parse_options(usage, argc, argv);

        if (r <= 0)
                return r < 0 ? CLI_USAGE : CLI_SUCCESS;
        return run();
}
