/* SPDX-License-Identifier: MIT */

/* The command lines and assignments of task files: words, quotes, escapes. */

#include <ctype.h>
#include <stdio.h>

#include "parse-util.h"
#include "task-file-internal.h"

/* Where a command without a slash is looked for, as systemd has it. */
static const char *const command_directories[] = {
        "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
};

#define ESCAPES_HELP \
        "known are \\a \\b \\f \\n \\r \\t \\v \\s \\xHH \\OOO, and \\\\ for a backslash"

static int digit_value(char c, unsigned base) {
        int n = isdigit((unsigned char) c) ? c - '0'
                : c >= 'a' && c <= 'f'     ? c - 'a' + 10
                : c >= 'A' && c <= 'F'     ? c - 'A' + 10
                                           : -1;

        return n < (int) base ? n : -1;
}

/* So many digits as one byte, which is not NUL. */
static bool take_code(const char **s, unsigned base, unsigned n_digits, char *ret) {
        unsigned code = 0;

        for (unsigned i = 0; i < n_digits; i++) {
                int digit = digit_value((*s)[i], base);

                if (digit < 0)
                        return false;
                code = code * base + (unsigned) digit;
        }
        if (code == 0 || code > 255)
                return false;
        *s += n_digits;
        *ret = (char) code;
        return true;
}

/* What follows a backslash. */
static bool take_escape(const char **s, char *ret) {
        static const char from[] = "abfnrtvs \t\\\"'", to[] = "\a\b\f\n\r\t\v  \t\\\"'";
        const char *known = **s ? strchr(from, **s) : NULL;

        if (known) {
                *ret = to[known - from];
                (*s)++;
                return true;
        }
        if (**s == 'x') {
                (*s)++;
                return take_code(s, 16, 2, ret);
        }
        return take_code(s, 8, 3, ret);
}

/* One word into `word`, which is as large as the rest of the text. 1, 0 at the end, or -EINVAL. */
static int take_word(const char **s, char *word, const char **ret_error) {
        const char *p = *s + strspn(*s, " \t");
        char quote = 0;

        if (*p == '\0')
                return 0;
        while (*p && (quote || !strchr(" \t", *p)))
                if (*p == '\\') {
                        p++;
                        if (!take_escape(&p, word++)) {
                                *ret_error =
                                        *p ? "a backslash before something unknown; " ESCAPES_HELP
                                           : "a backslash at the end";
                                return -EINVAL;
                        }
                } else if (quote ? *p == quote : *p == '"' || *p == '\'') {
                        quote = quote ? 0 : *p;
                        p++;
                } else
                        *word++ = *p++;
        if (quote) {
                *ret_error = "a quote is not closed";
                return -EINVAL;
        }
        *word = '\0';
        *s = p;
        return 1;
}

int task_file_split_words(const char *value, char ***ret, const char **ret_error) {
        _cleanup_free_ char *word = malloc(strlen(value) + 1);
        int r;

        if (!word)
                return -ENOMEM;
        while ((r = take_word(&value, word, ret_error)) > 0) {
                r = strv_extend(ret, word);
                if (r < 0)
                        return r;
        }
        return r;
}

/* Makes the first word an absolute path. */
static int find_command(TaskFileReader *f, char **word) {
        for (size_t i = 0; i < ELEMENTSOF(command_directories); i++) {
                char *path;

                if (asprintf(&path, "%s/%s", command_directories[i], *word) < 0)
                        return -ENOMEM;
                if (access(path, X_OK) >= 0) {
                        free(*word);
                        *word = path;
                        return 0;
                }
                free(path);
        }
        task_file_problem(f, NULL,
                          "Exec=: there is no command \"%.100s\" in the standard directories; give "
                          "its absolute path",
                          *word);
        return -EINVAL;
}

int task_file_set_exec(TaskFileReader *f, const char *value) {
        _cleanup_strv_ char **words = NULL;
        const char *error = NULL;
        int r;

        r = task_file_split_words(value, &words, &error);
        if (r == -EINVAL)
                task_file_problem(f, NULL, "bad value \"%.100s\" for Exec=: %s", value, error);
        if (r < 0)
                return r;
        if (!words || isempty(words[0]) || strchr("-@:+!|", words[0][0])) {
                task_file_problem(f, NULL,
                                  "bad value \"%.100s\" for Exec=: a command cannot begin with "
                                  "\"%.1s\", the prefixes of ExecStart= do not exist here",
                                  value, words ? words[0] : "");
                return -EINVAL;
        }
        if (words[0][0] != '/' && strchr(words[0], '/')) {
                task_file_problem(f, NULL,
                                  "bad value \"%.100s\" for Exec=, expected a command with an "
                                  "absolute path, or a name without a slash",
                                  value);
                return -EINVAL;
        }
        if (words[0][0] != '/') {
                r = find_command(f, &words[0]);
                if (r < 0)
                        return r;
        }
        strv_free(f->task->exec);
        f->task->exec = TAKE_PTR(words);
        return 0;
}

bool task_file_is_assignment(const char *s) {
        size_t n = strcspn(s, "=");

        if (n == 0 || s[n] != '=' || isdigit((unsigned char) s[0]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char) s[i]) && s[i] != '_')
                        return false;
        return true;
}
