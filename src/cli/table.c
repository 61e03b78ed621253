/* SPDX-License-Identifier: MIT */

/* Tables on stdout: fitted to a terminal, complete and plain in a pipe. The only file that calls
 * libsmartcols. */

#include <libsmartcols.h>

#include "cli.h"

struct Table {
        struct libscols_table *table;
        size_t n_columns;
};

Table *table_free(Table *t) {
        if (t) {
                scols_unref_table(t->table);
                free(t);
        }
        return NULL;
}

static int flags_of(const Column *c) {
        return c->kind == COLUMN_NUMBER ? SCOLS_FL_RIGHT
               : c->kind == COLUMN_CUT  ? SCOLS_FL_TRUNC
                                        : 0;
}

Table *table_new(const Column *columns, size_t n) {
        _cleanup_(table_freep) Table *t = calloc(1, sizeof(*t));

        if (!t)
                return NULL;
        t->n_columns = n;
        t->table = scols_new_table();
        if (!t->table || scols_table_enable_noheadings(t->table, !arg_legend) < 0 ||
            scols_table_enable_nolinesep(t->table, false) < 0)
                return NULL;
        for (size_t i = 0; i < n; i++)
                if (!scols_table_new_column(t->table, columns[i].name, 0, flags_of(&columns[i])))
                        return NULL;
        return TAKE_PTR(t);
}

int table_add(Table *t, const char *const *cells) {
        struct libscols_line *line = scols_table_new_line(t->table, NULL);

        if (!line)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_columns; i++)
                if (scols_line_set_data(line, i, cells[i]) < 0)
                        return -ENOMEM;
        return 0;
}

int table_show(Table *t) {
        int r = scols_print_table(t->table);

        table_free(t);
        return r < 0 ? complain(CLI_TROUBLE, "cannot print the table: %s", strerror(-r))
                     : CLI_SUCCESS;
}
