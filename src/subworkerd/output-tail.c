/* SPDX-License-Identifier: MIT */

#include "output-tail.h"
#include "text.h"

void output_tail_clear(OutputTail *t) {
        t->size = 0;
}

/* Drops whole lines from the front until there is so much room. */
static void make_room(OutputTail *t, size_t needed) {
        size_t begin = 0;

        while (sizeof(t->text) - (t->size - begin) < needed) {
                const char *newline = memchr(t->text + begin, '\n', t->size - begin);

                begin = newline ? (size_t) (newline + 1 - t->text) : t->size;
        }
        t->size -= begin;
        memmove(t->text, t->text + begin, t->size);
}

void output_tail_add(OutputTail *t, const char *line, size_t size) {
        if (size == 0)
                return;
        if (size > sizeof(t->text) - 1) {
                line += size - (sizeof(t->text) - 1);
                size = sizeof(t->text) - 1;
        }
        make_room(t, size + 1);
        memcpy(t->text + t->size, line, size);
        t->text[t->size + size] = '\n';
        t->size += size + 1;
}

char *output_tail_get(const OutputTail *t) {
        char *text;
        size_t size;

        if (t->size == 0 || text_clean(t->text, t->size - 1, false, &text, &size) < 0)
                return NULL;
        return text;
}
