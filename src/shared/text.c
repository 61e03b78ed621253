/* SPDX-License-Identifier: MIT */

#include "text.h"
#include "parse-util.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* The length of the character at the start, or 0 for a byte to be replaced. */
static size_t good_length(const char *text, size_t size, bool keep_nul) {
        uint32_t c;
        int n;

        if ((unsigned char) text[0] < 0x80)
                return text[0] || keep_nul;
        n = utf8_decode(text, size, &c);
        return n > 0 ? (size_t) n : 0;
}

static size_t count_bad(const char *text, size_t size, bool keep_nul) {
        size_t n_bad = 0;

        for (size_t i = 0; i < size;) {
                size_t n = good_length(text + i, size - i, keep_nul);

                n_bad += n == 0;
                i += MAX(n, (size_t) 1);
        }
        return n_bad;
}

int text_clean(const char *text, size_t size, bool keep_nul, char **ret, size_t *ret_size) {
        size_t n_bad = count_bad(text, size, keep_nul);
        char *copy, *p;

        copy = p = malloc(size + n_bad * (strlen(replacement) - 1) + 1);
        if (!copy)
                return -ENOMEM;
        for (size_t i = 0; i < size;) {
                size_t n = good_length(text + i, size - i, keep_nul);

                p = n > 0 ? mempcpy(p, text + i, n) : mempcpy(p, replacement, strlen(replacement));
                i += MAX(n, (size_t) 1);
        }
        *p = '\0';
        *ret = copy;
        *ret_size = (size_t) (p - copy);
        return 0;
}
