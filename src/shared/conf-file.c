/* SPDX-License-Identifier: MIT */

/* A configuration file and its drop-ins, line by line through libinih.
 *
 * libinih reads lines into a buffer of a fixed size, takes what does not fit for another line, stops at a NUL
 * byte, and does not tell its handler the number of the line. So the file is read as a whole and checked
 * first, and the reader given to libinih counts the lines it hands out: when the handler is called, the line
 * handed out last is the one it is about. */

#include <dirent.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "conf-internal.h"
#include "log.h"
#include "parse-util.h"
#include "read-file.h"

#define FILE_BYTES_MAX (1024U * 1024U)
#define LINE_BYTES_MAX (CONF_VALUE_MAX + 256U) /* a value, its key, "=" and spaces */

typedef struct ConfReader {
        ConfLoader *loader;
        const char *path;
        const char *next, *end; /* of the file's text */
        unsigned line;
        char unknown_section[64]; /* the last one warned about: once is enough */
        int error;                /* a failure that ends the reading */
} ConfReader;

/* Ends a regular run of libinih: from here on the reader has no more lines. */
static void reader_fail(ConfReader *f, int r) {
        if (f->error == 0)
                f->error = r;
        f->next = f->end;
}

/* Something that begins like [Section] but is not closed, or has more behind it than a comment. */
static bool is_broken_header(const char *line, size_t n) {
        const char *p;

        if (n == 0 || line[0] != '[')
                return false;
        p = memchr(line, ']', n);
        if (!p)
                return true;
        for (p++; p < line + n && strchr(" \t\r", *p); p++)
                ;
        return p < line + n && *p != '#' && *p != ';';
}

/* In the manner of fgets(). */
static char *read_line(char *buffer, int size, void *userdata) {
        ConfReader *f = userdata;
        const char *newline, *begin;
        size_t n;

        if (f->next >= f->end)
                return NULL;
        newline = memchr(f->next, '\n', (size_t) (f->end - f->next));
        begin = f->next;
        n = (size_t) ((newline ?: f->end) - begin);
        f->next = newline ? newline + 1 : f->end;
        f->line++;

        /* libinih would take an indented line for more of the one before it. */
        while (n > 0 && strchr(" \t", *begin)) {
                begin++;
                n--;
        }
        if (n > LINE_BYTES_MAX || n + 2 > (size_t) size) {
                reader_fail(f, conf_fail(f->loader, -E2BIG,
                                         "%s:%u: the line is too long; break it up.", f->path,
                                         f->line));
                return NULL;
        }
        if (is_broken_header(begin, n)) {
                /* Keys below it must not count for the section above it. */
                log_warning("%s:%u: not a section header: %.*s, ignoring the keys below it.",
                            f->path, f->line, (int) MIN(n, (size_t) 100), begin);
                f->unknown_section[0] = '\0';
                return strcpy(buffer, "[]\n");
        }
        *(char *) mempcpy(mempcpy(buffer, begin, n), "\n", 1) = '\0';
        return buffer;
}

/* "A B C", each from `name`, without doubles that follow each other; cut where it does not fit. */
static void list_known(const ConfTable *table, const char *section, char *ret, size_t size) {
        const char *last = NULL;
        char *p = ret;

        *p = '\0';
        for (size_t i = 0; i < table->n_items; i++) {
                const ConfItem *item = &table->items[i];
                const char *name = section ? item->key : item->section;
                int n;

                if (!item->key || (section && !streq(item->section, section)) ||
                    (last && streq(last, name)))
                        continue;
                n = snprintf(p, size, section ? "%s%s" : "%s[%s]", last ? " " : "", name);
                if (n < 0 || (size_t) n >= size)
                        return;
                p += n;
                size -= (size_t) n;
                last = name;
        }
}

static void warn_unknown(ConfReader *f, const char *section, const char *key) {
        const ConfTable *table = f->loader->table;
        char known[1024];

        for (size_t i = 0; i < table->n_items; i++)
                if (table->items[i].key && streq(table->items[i].section, section)) {
                        list_known(table, section, known, sizeof(known));
                        log_warning("%s:%u: unknown key %.100s in [%s], ignoring (known: %s).",
                                    f->path, f->line, key, section, known);
                        return;
                }

        if (streq(f->unknown_section, section) && section[0])
                return;
        list_known(table, NULL, known, sizeof(known));
        if (section[0])
                log_warning("%s:%u: unknown section [%s], ignoring (known: %s).", f->path, f->line,
                            section, known);
        else
                log_warning("%s:%u: %.100s stands in no section, ignoring (known: %s).", f->path,
                            f->line, key, known);
        (void) snprintf(f->unknown_section, sizeof(f->unknown_section), "%s", section);
}

static int bad_value(ConfReader *f, const ConfItem *item, const char *value) {
        _cleanup_free_ char *kept = NULL;
        char expected[CONF_EXPECTED_MAX];

        conf_value_describe(item, expected);
        if (item->flags & CONF_WIDENS_ACCESS)
                return conf_fail(
                        f->loader, -EINVAL,
                        "%s:%u: bad value \"%.200s\" for %s=, expected %s; as this setting decides "
                        "who may reach us, correct or remove the line.",
                        f->path, f->line, value, item->key, expected);
        kept = conf_value_to_text(item, f->loader->settings);
        log_warning("%s:%u: bad value \"%.200s\" for %s=, expected %s, keeping \"%.200s\".",
                    f->path, f->line, value, item->key, expected, kept ?: "?");
        return 0;
}

static int assign_line(ConfReader *f, const char *section, const char *key, const char *value) {
        const ConfTable *table = f->loader->table;
        _cleanup_free_ char *origin = NULL;
        const ConfItem *item = NULL;
        int r;

        for (size_t i = 0; i < table->n_items && !item; i++)
                if (table->items[i].key && streq(table->items[i].section, section) &&
                    streq(table->items[i].key, key))
                        item = &table->items[i];
        if (!item) {
                warn_unknown(f, section, key);
                return 0;
        }
        if (!value) {
                log_warning("%s:%u: \"%.100s\" is not of the form Key=Value, ignoring.", f->path,
                            f->line, key);
                return 0;
        }
        if (asprintf(&origin, "%s:%u", f->path, f->line) < 0)
                return conf_fail(f->loader, -ENOMEM, "Out of memory.");
        r = conf_assign(f->loader, item, value, origin);
        if (r == -EINVAL || r == -ERANGE)
                return bad_value(f, item, value);
        return r < 0 ? conf_fail(f->loader, r, "%s:%u: %s", f->path, f->line, strerror(-r)) : 0;
}

static int on_line(void *userdata, const char *section, const char *name, const char *value) {
        ConfReader *f = userdata;
        int r;

        r = assign_line(f, section, name, value);
        if (r < 0)
                reader_fail(f, r);
        return 1;
}

static int parse_text(ConfLoader *l, const char *path, const char *text, size_t size) {
        ConfReader f = { .loader = l, .path = path, .next = text, .end = text + size };
        const char *nul = memchr(text, '\0', size);
        int r;

        if (nul) {
                f.line = 1;
                for (const char *p = text; p < nul; p++)
                        f.line += *p == '\n';
                return conf_fail(l, -EINVAL, "%s:%u: a NUL byte; this is not a text file.", path,
                                 f.line);
        }

        /* Variables of Debian's libinih. With comments behind values, a value could not be any text. */
        ini_allow_inline_comments = false;
        ini_allow_no_value = true;
        ini_use_stack = false;
        ini_initial_alloc = ini_max_line = (int) LINE_BYTES_MAX + 8;
        r = ini_parse_stream(read_line, &f, on_line, &f);
        if (f.error < 0)
                return f.error;
        if (r < 0)
                return conf_fail(l, -ENOMEM, "%s: out of memory.", path);
        return 0;
}

/* Reads a whole file of at most FILE_BYTES_MAX bytes. /dev/null is an empty one; that is how a drop-in is masked. */
static int read_file(ConfLoader *l, const char *path, int fd, char **ret, size_t *ret_size) {
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return conf_fail(l, -errno, "Cannot look at %s: %s", path, strerror(errno));
        if (S_ISDIR(st.st_mode))
                return conf_fail(l, -EISDIR, "%s is a directory, not a configuration file.", path);
        if (!S_ISREG(st.st_mode) && !is_null_device(&st))
                return conf_fail(l, -EINVAL, "%s is not a regular file.", path);

        r = read_text(fd, FILE_BYTES_MAX, ret, ret_size);
        if (r == -ENOMEM)
                return conf_fail(l, r, "%s: out of memory.", path);
        if (r == -EFBIG)
                return conf_fail(l, r, "%s is larger than %u bytes.", path, FILE_BYTES_MAX);
        return r < 0 ? conf_fail(l, r, "Cannot read %s: %s", path, strerror(-r)) : 0;
}

static int read_one(ConfLoader *l, const char *path, bool must_exist) {
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int fd = -EBADF;
        size_t size = 0;
        int r;

        /* Without O_NONBLOCK a pipe would stop us here until somebody writes to it. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 && errno == ENOENT && !must_exist)
                return 0;
        if (fd < 0)
                return conf_fail(l, -errno, "Cannot open %s: %s", path, strerror(errno));
        r = read_file(l, path, fd, &text, &size);
        if (r < 0)
                return r;
        l->place++;
        return parse_text(l, path, text, size);
}

static int is_drop_in(const struct dirent *d) {
        size_t n = strlen(d->d_name);

        return d->d_name[0] != '.' && n > strlen(".conf") &&
               streq(d->d_name + n - strlen(".conf"), ".conf");
}

/* By bytes, not by the rules of some language. */
static int by_name(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_drop_ins(ConfLoader *l, const char *directory) {
        struct dirent **entries = NULL;
        int n, r = 0;

        n = scandir(directory, &entries, is_drop_in, by_name);
        if (n < 0)
                return errno == ENOENT ? 0
                                       : conf_fail(l, -errno, "Cannot read the directory %s: %s",
                                                   directory, strerror(errno));
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL;

                if (r >= 0 && asprintf(&path, "%s/%s", directory, entries[i]->d_name) < 0) {
                        path = NULL;
                        r = conf_fail(l, -ENOMEM, "Out of memory.");
                }
                if (r >= 0)
                        r = read_one(l, path, true);
                free(entries[i]);
        }
        free(entries);
        return r;
}

int conf_files_read(ConfLoader *l, const char *path, bool must_exist) {
        _cleanup_free_ char *directory = NULL;
        int r;

        r = read_one(l, path, must_exist);
        if (r < 0)
                return r;
        if (asprintf(&directory, "%s.d", path) < 0) {
                directory = NULL;
                return conf_fail(l, -ENOMEM, "Out of memory.");
        }
        return read_drop_ins(l, directory);
}
