/* SPDX-License-Identifier: MIT */

/* --help, --version and --print-config, all from the table. */

#include "config.h"

#include "conf-internal.h"

#define HELP_COLUMN 34

/* Whether an item is the first of its section: the table is ordered by sections. */
static bool begins_section(const ConfTable *table, size_t i) {
        const char *section = table->items[i].section;

        return section && (i == 0 || !table->items[i - 1].section ||
                           !streq(table->items[i - 1].section, section));
}

static void print_flag(const ConfItem *item, FILE *f) {
        const char *metavar = item->metavar ?: "VALUE";
        int n;

        if (!item->flag)
                n = fprintf(f, "  %s=%s", item->key, metavar);
        else if (item->flags & CONF_NEGATED_FLAG)
                n = fprintf(f, "  --%s", item->flag);
        else if (item->type == CONF_BOOL)
                n = fprintf(f, "  --%s[=no]", item->flag);
        else
                n = fprintf(f, "  --%s=%s%s", item->flag, metavar,
                            item->type == CONF_LIST ? "..." : "");
        if (n >= HELP_COLUMN)
                fprintf(f, "\n%*s", HELP_COLUMN, "");
        else
                fprintf(f, "%*s", HELP_COLUMN - MAX(n, 0), "");
}

static void print_item_help(const ConfItem *item, FILE *f) {
        const char *separator = "";

        print_flag(item, f);
        fprintf(f, "%s\n%*s(", item->help, HELP_COLUMN, "");
        if (item->default_text && item->default_text[0]) {
                fprintf(f, "default %s", item->default_text);
                separator = "; ";
        } else if (item->flags & CONF_REQUIRED) {
                fputs("required", f);
                separator = "; ";
        }
        if (item->key) {
                fprintf(f, item->flag ? "%s%s=" : "%sonly in the file", separator, item->key);
                separator = ", ";
        }
        if (item->env)
                fprintf(f, "%s%s", separator, item->env);
        fputs(")\n", f);
}

void conf_print_help(const ConfTable *table, FILE *f) {
        fprintf(f, "Usage: %s [OPTION]...\n\n%s\n", table->program, table->summary);
        for (size_t i = 0; i < table->n_items; i++) {
                if (begins_section(table, i))
                        fprintf(f, "\n[%s]\n", table->items[i].section);
                if (table->items[i].help)
                        print_item_help(&table->items[i], f);
        }
        fprintf(f,
                "\nOther options\n"
                "  --config=FILE                   Read this file and FILE.d/*.conf\n"
                "                                  (default %s; FASTWORKER_CONFIG)\n"
                "  --defaults=FILE                 Read this file and FILE.d/*.conf before those\n"
                "  --instance-config=FILE          Read this file and FILE.d/*.conf after those, if there\n"
                "  --reload=PID                    Have that daemon reload, and wait for the outcome\n"
                "  --print-config                  Print the value and origin of each setting and exit\n"
                "  --help                          Print this and exit\n"
                "  --version                       Print the version and exit\n"
                "\nEach setting is taken from its flag, else from its environment variable, else from\n"
                "the drop-ins FILE.d/*.conf (the last one counts), else from FILE.\n"
                "Of several files the one read last counts.\n",
                table->config_file);
}

void conf_print_version(const ConfTable *table, FILE *f) {
        fprintf(f, "%s %s\n", table->program, PACKAGE_VERSION);
}

void conf_print(const ConfTable *table, const Conf *conf, const void *settings, FILE *f) {
        const char *separator = "";

        for (size_t i = 0; i < table->n_items; i++) {
                const ConfItem *item = &table->items[i];
                _cleanup_free_ char *text = NULL;

                if (!item->key)
                        continue;
                if (begins_section(table, i)) {
                        fprintf(f, "%s[%s]\n", separator, item->section);
                        separator = "\n";
                }
                text = conf_value_to_text(item, settings);
                fprintf(f, "# %s\n%s=%s\n", conf->origins[i].text ?: "default", item->key,
                        text ?: "");
        }
}
