/* SPDX-License-Identifier: MIT */

/* argv -> what was given for which item, through getopt_long() with an option table made from the items. The
 * values are looked at later: flags are read first, as they name the file, but count last. */

#include <getopt.h>

#include "conf-internal.h"

enum {
        OPTION_CONFIG = 0x100,
        OPTION_DEFAULTS,
        OPTION_INSTANCE_CONFIG,
        OPTION_RELOAD,
        OPTION_HELP,
        OPTION_VERSION,
        OPTION_PRINT_CONFIG,
        OPTION_ITEM, /* plus the item's index */
};

static const struct option own_options[] = {
        { "config", required_argument, NULL, OPTION_CONFIG },
        { "defaults", required_argument, NULL, OPTION_DEFAULTS },
        { "instance-config", required_argument, NULL, OPTION_INSTANCE_CONFIG },
        { "reload", required_argument, NULL, OPTION_RELOAD },
        { "help", no_argument, NULL, OPTION_HELP },
        { "version", no_argument, NULL, OPTION_VERSION },
        { "print-config", no_argument, NULL, OPTION_PRINT_CONFIG },
};

#define SUGGEST_NAME_MAX 40U
#define SUGGEST_DISTANCE 2U

static int argument_of(const ConfItem *item) {
        if (item->type == CONF_BOOL)
                return item->flags & CONF_NEGATED_FLAG ? no_argument : optional_argument;
        /* A list takes its words itself, so that a flag behind it is not taken for one. */
        return item->type == CONF_LIST ? optional_argument : required_argument;
}

static struct option *make_options(const ConfTable *table) {
        struct option *options, *o;

        options = calloc(ELEMENTSOF(own_options) + table->n_items + 1, sizeof(*options));
        if (!options)
                return NULL;
        memcpy(options, own_options, sizeof(own_options));
        o = options + ELEMENTSOF(own_options);
        for (size_t i = 0; i < table->n_items; i++)
                if (table->items[i].flag)
                        *o++ = (struct option){
                                .name = table->items[i].flag,
                                .has_arg = argument_of(&table->items[i]),
                                .val = OPTION_ITEM + (int) i,
                        };
        return options;
}

/* How many letters have to be changed, added or removed to make one word the other. */
static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb) {
        size_t row[SUGGEST_NAME_MAX + 1];

        for (size_t j = 0; j <= nb; j++)
                row[j] = j;
        for (size_t i = 1; i <= na; i++) {
                size_t diagonal = row[0];

                row[0] = i;
                for (size_t j = 1; j <= nb; j++) {
                        size_t changed = diagonal + (a[i - 1] != b[j - 1]);

                        diagonal = row[j];
                        row[j] = MIN(MIN(row[j], row[j - 1]) + 1, changed);
                }
        }
        return row[nb];
}

static const char *nearest_option(const struct option *options, const char *word, size_t length) {
        size_t best = SUGGEST_DISTANCE + 1;
        const char *name = NULL;

        if (length > SUGGEST_NAME_MAX)
                return NULL;
        for (const struct option *o = options; o->name; o++) {
                size_t n = strlen(o->name), distance;

                if (n > SUGGEST_NAME_MAX)
                        continue;
                distance = edit_distance(word, length, o->name, n);
                if (distance < best) {
                        best = distance;
                        name = o->name;
                }
        }
        return name;
}

static int fail_unknown(ConfLoader *l, const struct option *options, const char *word) {
        size_t length;
        unsigned n_matches = 0;
        const char *suggestion;

        if (strncmp(word, "--", 2) != 0)
                return conf_fail(l, -EINVAL, "Unknown option %.100s; --help lists what there is.",
                                 word);

        length = strcspn(word + 2, "=");
        for (const struct option *o = options; o->name; o++)
                n_matches += strncmp(o->name, word + 2, length) == 0;
        if (n_matches > 1)
                return conf_fail(l, -EINVAL, "Option %.100s may mean more than one; write it out.",
                                 word);

        suggestion = nearest_option(options, word + 2, length);
        if (suggestion)
                return conf_fail(l, -EINVAL, "Unknown option %.*s, did you mean --%s?",
                                 (int) MIN(length + 2, (size_t) 100), word, suggestion);
        return conf_fail(l, -EINVAL, "Unknown option %.*s; --help lists what there is.",
                         (int) MIN(length + 2, (size_t) 100), word);
}

static void add_value(ConfArguments *a, const ConfItem *item, const char *value) {
        a->values[a->n++] = (ConfFlagValue){ item, value };
}

static int take_list(ConfLoader *l, ConfArguments *a, const ConfItem *item, int argc,
                     char *argv[]) {
        size_t before = a->n;

        if (optarg)
                add_value(a, item, optarg);
        while (optind < argc && argv[optind][0] != '-')
                add_value(a, item, argv[optind++]);
        if (a->n == before)
                return conf_fail(l, -EINVAL, "Option --%s needs one or more words.", item->flag);
        return 0;
}

static int take_item(ConfLoader *l, ConfArguments *a, const ConfItem *item, int argc,
                     char *argv[]) {
        if (item->type == CONF_LIST)
                return take_list(l, a, item, argc, argv);
        if (item->flags & CONF_NEGATED_FLAG)
                add_value(a, item, "no");
        else
                add_value(a, item, optarg ?: "yes");
        return 0;
}

static int take_option(ConfLoader *l, ConfArguments *a, const struct option *options, int option,
                       int argc, char *argv[]) {
        switch (option) {
        case 'h':
        case OPTION_HELP:
                a->help = true;
                return 0;
        case OPTION_VERSION:
                a->version = true;
                return 0;
        case OPTION_PRINT_CONFIG:
                a->print_config = true;
                return 0;
        case OPTION_CONFIG:
                a->config = optarg;
                return 0;
        case OPTION_DEFAULTS:
                a->defaults = optarg;
                return 0;
        case OPTION_INSTANCE_CONFIG:
                a->instance_config = optarg;
                return 0;
        case OPTION_RELOAD:
                a->reload = optarg;
                return 0;
        case ':':
                return conf_fail(l, -EINVAL, "Option %.100s needs a value.", argv[optind - 1]);
        case '?':
                if (optopt >= OPTION_CONFIG)
                        return conf_fail(l, -EINVAL, "Option %.100s takes no value.",
                                         argv[optind - 1]);
                if (optopt != 0) /* a short one, possibly among others behind one dash */
                        return conf_fail(l, -EINVAL,
                                         "Unknown option -%c; --help lists what there is.", optopt);
                return fail_unknown(l, options, argv[optind - 1]);
        default:
                return take_item(l, a, &l->table->items[option - OPTION_ITEM], argc, argv);
        }
}

int conf_arguments_parse(ConfLoader *l, int argc, char *argv[], ConfArguments *ret) {
        _cleanup_(conf_arguments_done) ConfArguments a = {};
        _cleanup_free_ struct option *options = NULL;
        int option, r;

        options = make_options(l->table);
        a.values = calloc((size_t) MAX(argc, 1), sizeof(*a.values)); /* a word gives at most one */
        if (!options || !a.values)
                return conf_fail(l, -ENOMEM, "Out of memory.");

        optind = 0; /* glibc: start anew, whoever used getopt() before */
        opterr = 0;
        while ((option = getopt_long(argc, argv, "+:h", options, NULL)) >= 0) {
                r = take_option(l, &a, options, option, argc, argv);
                if (r < 0)
                        return r;
        }
        if (optind < argc)
                return conf_fail(l, -EINVAL,
                                 "Unexpected argument \"%.100s\"; --help lists what there is.",
                                 argv[optind]);
        *ret = a;
        a = (ConfArguments){};
        return 0;
}

void conf_arguments_done(ConfArguments *a) {
        free(a->values);
        *a = (ConfArguments){};
}
