/* SPDX-License-Identifier: MIT */

/* Finding and reading task files and their drop-ins. */

#include <dirent.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "parse-util.h"
#include "read-file.h"
#include "task-file-internal.h"
#include "wire-words.h"

#define SUFFIX         ".task"
#define LINE_BYTES_MAX 32768U
#define FILE_BYTES_MAX (1024U * 1024)

/* Where libinih is in a text. */
typedef struct TextReader {
        TaskFileReader *file;
        const char *next, *end;
} TextReader;

/* What begins like [Section] but is not closed, or has more behind it than a comment. */
static bool is_broken_header(const char *line, size_t n) {
        const char *p, *end = line + n;

        if (n == 0 || line[0] != '[')
                return false;
        p = memchr(line, ']', n);
        if (!p)
                return true;
        for (p++; p < end && strchr(" \t\r", *p); p++)
                ;
        return p < end && *p != '#' && *p != ';';
}

/* libinih would take it for Key=Value. */
static bool has_colon_first(const char *line, size_t n) {
        size_t i = 0;

        if (n == 0 || strchr("[#;", line[0]))
                return false;
        while (i < n && line[i] != '=' && line[i] != ':')
                i++;
        return i < n && line[i] == ':';
}

/* Gives libinih a line, and counts them. */
static char *read_line(char *buffer, int size, void *userdata) {
        TextReader *t = userdata;
        const char *begin = t->next, *newline;
        size_t n;

        if (t->next >= t->end)
                return NULL;
        newline = memchr(t->next, '\n', (size_t) (t->end - t->next));
        n = (size_t) ((newline ?: t->end) - begin);
        t->next = newline ? newline + 1 : t->end;
        t->file->line++;

        /* libinih would take an indented line for more of the one before it. */
        while (n > 0 && strchr(" \t", *begin)) {
                begin++;
                n--;
        }
        if (n > LINE_BYTES_MAX || n + 2 > (size_t) size) {
                task_file_problem(t->file, NULL, "the line is longer than %u bytes",
                                  LINE_BYTES_MAX);
                return strcpy(buffer, "\n");
        }
        if (is_broken_header(begin, n)) {
                task_file_problem(t->file, NULL, "\"%.*s\" is not a section header, write [Task]",
                                  (int) MIN(n, (size_t) 60), begin);
                /* Keys below it are not to be reported as well. */
                return strcpy(buffer, "[X-]\n");
        }
        if (has_colon_first(begin, n)) {
                task_file_problem(t->file, NULL, "\"%.*s\" is not of the form Key=Value",
                                  (int) MIN(n, (size_t) 60), begin);
                return strcpy(buffer, "\n");
        }
        *(char *) mempcpy(mempcpy(buffer, begin, n), "\n", 1) = '\0';
        return buffer;
}

static void unknown_section(TaskFileReader *f, const char *section, const char *key) {
        if (f->last_section && streq(f->last_section, section))
                return;
        free(f->last_section);
        f->last_section = strdup(section);
        if (!f->last_section)
                f->error = -ENOMEM;
        if (section[0])
                task_file_problem(f, NULL, "unknown section [%.60s], expected [Task]", section);
        else
                task_file_problem(f, NULL, "%.60s stands in no section, write [Task] above it",
                                  key);
}

static int on_line(void *userdata, const char *section, const char *name, const char *value) {
        TextReader *t = userdata;
        TaskFileReader *f = t->file;

        if (strncmp(section, "X-", 2) == 0 || strncmp(name, "X-", 2) == 0)
                return 1;
        if (!streq(section, "Task"))
                unknown_section(f, section, name);
        else if (!value)
                task_file_problem(f, NULL, "\"%.60s\" is not of the form Key=Value", name);
        else
                task_file_set(f, name, value);
        return 1;
}

static void parse_text(TaskFileReader *f, const char *path, const char *text, size_t size) {
        TextReader t = { .file = f, .next = text, .end = text + size };
        const char *nul = size > 0 ? memchr(text, '\0', size) : NULL;

        f->path = path;
        f->line = 0;
        f->last_section = (free(f->last_section), NULL);
        if (nul) {
                f->line = 1;
                for (const char *p = text; p < nul; p++)
                        f->line += *p == '\n';
                task_file_problem(f, NULL, "a NUL byte, this is not a text file");
                return;
        }
        /* Variables of Debian's libinih. With comments behind values, a value could not be any text. */
        ini_allow_inline_comments = false;
        ini_allow_no_value = true;
        ini_use_stack = false;
        ini_initial_alloc = ini_max_line = (int) LINE_BYTES_MAX + 8;
        if (ini_parse_stream(read_line, &t, on_line, &t) < 0)
                f->error = -ENOMEM;
}

/* Reads a whole file; /dev/null is an empty one. -ENOENT if it is not there; what else is wrong with it is
 * noted, and -EINVAL. */
static int read_file(TaskFileReader *f, const char *path, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        int r;

        /* Without O_NONBLOCK a pipe would stop us here until somebody writes to it. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 && errno == ENOENT)
                return -ENOENT;
        if (fd < 0 || fstat(fd, &st) < 0) {
                task_file_problem(f, path, "cannot be opened: %s", strerror(errno));
                return -EINVAL;
        }
        if (!S_ISREG(st.st_mode) && !is_null_device(&st)) {
                task_file_problem(f, path, "is not a regular file");
                return -EINVAL;
        }
        r = read_text(fd, FILE_BYTES_MAX, ret, ret_size);
        if (r < 0 && r != -ENOMEM) {
                task_file_problem(f, path, r == -EFBIG ? "is larger than 1 MiB" : "cannot be read");
                return -EINVAL;
        }
        return r;
}

TaskFile *task_file_free(TaskFile *t) {
        if (!t)
                return NULL;
        free(t->name);
        free(t->path);
        free(t->description);
        strv_free(t->exec);
        strv_free(t->labels);
        free(t->schedule);
        free(t->schedule_timezone);
        free(t->schedule_count);
        free(t->schedule_until);
        free(t->schedule_skip_if_running);
        free(t->schedule_catch_up);
        free(t->working_directory);
        strv_free(t->environment);
        strv_free(t->environment_files);
        free(t->exec_place);
        free(t);
        return NULL;
}

/* The task's name from a path; NULL when it is none, or memory is short. */
static char *name_of(const char *path) {
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        size_t n = strlen(name);

        if (n <= strlen(SUFFIX) || n - strlen(SUFFIX) > WIRE_NAME_MAX || name[0] == '.' ||
            !streq(name + n - strlen(SUFFIX), SUFFIX))
                return NULL;
        return strndup(name, n - strlen(SUFFIX));
}

static int reader_begin(TaskFileReader *f, const char *path, char ***problems) {
        *f = (TaskFileReader){ .problems = problems };
        f->task = calloc(1, sizeof(*f->task));
        f->key_places = calloc(task_file_n_keys(), sizeof(char *));
        if (!f->task || !f->key_places)
                return -ENOMEM;
        task_file_defaults(f->task);
        f->task->path = strdup(path);
        f->task->name = name_of(path);
        if (!f->task->path)
                return -ENOMEM;
        if (!f->task->name)
                task_file_problem(f, path, "is not the name of a task file, expected NAME" SUFFIX);
        return 0;
}

/* Hands the task out if there was no mistake. Frees what is left of the reader. */
static int reader_end(TaskFileReader *f, int r, size_t n_before, TaskFile **ret) {
        if (r >= 0)
                task_file_check(f);
        if (r >= 0)
                r = f->error;
        if (r >= 0 && strv_length(*f->problems) > n_before)
                r = -EINVAL;
        if (r >= 0)
                *ret = TAKE_PTR(f->task);
        task_file_free(f->task);
        for (size_t i = 0; f->key_places && i < task_file_n_keys(); i++)
                free(f->key_places[i]);
        free(f->key_places);
        free(f->last_section);
        return r;
}

int task_file_parse(const char *path, const char *text, size_t size, TaskFile **ret,
                    char ***problems) {
        size_t n_before = strv_length(*problems);
        TaskFileReader f;
        int r;

        r = reader_begin(&f, path, problems);
        if (r >= 0)
                parse_text(&f, path, text, size);
        return reader_end(&f, r, n_before, ret);
}

/* --- drop-ins --- */

static int is_drop_in(const struct dirent *d) {
        size_t n = strlen(d->d_name);

        return d->d_name[0] != '.' && n > strlen(".conf") &&
               streq(d->d_name + n - strlen(".conf"), ".conf");
}

static const char *file_name(const char *path) {
        return strrchr(path, '/') + 1;
}

static int by_file_name(const void *a, const void *b) {
        return strcmp(file_name(*(char *const *) a), file_name(*(char *const *) b));
}

/* Appends the drop-ins of one directory but for those whose name is in the list already. */
static int list_drop_ins(TaskFileReader *f, const char *directory, char ***paths) {
        struct dirent **entries = NULL;
        int n, r = 0;

        n = scandir(directory, &entries, is_drop_in, NULL);
        if (n < 0 && errno == ENOMEM)
                return -ENOMEM;
        if (n < 0 && errno != ENOENT)
                task_file_problem(f, directory, "cannot be read: %s", strerror(errno));
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL;
                bool is_known = false;

                STRV_FOREACH(p, *paths)
                        is_known |= streq(file_name(*p), entries[i]->d_name);
                if (r >= 0 && !is_known) {
                        if (asprintf(&path, "%s/%s", directory, entries[i]->d_name) < 0)
                                path = NULL;
                        r = path ? strv_extend(paths, path) : -ENOMEM;
                }
                free(entries[i]);
        }
        free(entries);
        return r;
}

static int read_drop_ins(TaskFileReader *f, char *const *directories) {
        _cleanup_strv_ char **paths = NULL;
        int r;

        STRV_FOREACH(directory, (char **) directories) {
                _cleanup_free_ char *d = NULL;

                if (asprintf(&d, "%s/%s" SUFFIX ".d", *directory, f->task->name) < 0) {
                        d = NULL;
                        return -ENOMEM;
                }
                r = list_drop_ins(f, d, &paths);
                if (r < 0)
                        return r;
        }
        if (paths)
                qsort(paths, strv_length(paths), sizeof(char *), by_file_name);
        STRV_FOREACH(path, paths) {
                _cleanup_free_ char *text = NULL;
                size_t size;

                r = read_file(f, *path, &text, &size);
                if (r == -ENOMEM)
                        return r;
                /* A link that leads nowhere. */
                if (r == -ENOENT)
                        task_file_problem(f, *path, "cannot be opened: %s", strerror(ENOENT));
                if (r >= 0)
                        parse_text(f, *path, text, size);
        }
        return 0;
}

/* --- files --- */

static int load(const char *path, char *const *directories, TaskFile **ret, char ***problems) {
        size_t size, n_before = strv_length(*problems);
        _cleanup_free_ char *text = NULL;
        TaskFileReader f;
        int r;

        r = reader_begin(&f, path, problems);
        if (r >= 0)
                r = read_file(&f, path, &text, &size);
        if (r >= 0 && size == 0)
                r = -ENOENT; /* masked */
        if (r >= 0) {
                parse_text(&f, path, text, size);
                r = f.task->name ? read_drop_ins(&f, directories) : 0;
        }
        return reader_end(&f, r, n_before, ret);
}

int task_file_load(const char *name, char *const *directories, TaskFile **ret, char ***problems) {
        if (strchr(name, '/'))
                return -ENOENT;
        STRV_FOREACH(directory, (char **) directories) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s/%s" SUFFIX, *directory, name) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                if (access(path, F_OK) >= 0)
                        return load(path, directories, ret, problems);
        }
        return -ENOENT;
}

int task_file_load_path(const char *path, char *const *directories, TaskFile **ret,
                        char ***problems) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *own =
                slash ? strndup(path, MAX((size_t) (slash - path), (size_t) 1)) : strdup(".");
        _cleanup_strv_ char **all = NULL;
        int r = own ? 0 : -ENOMEM;

        STRV_FOREACH(directory, (char **) directories)
                if (r >= 0)
                        r = strv_extend(&all, *directory);
        if (r >= 0 && !strv_contains(all, own))
                r = strv_extend(&all, own);
        return r < 0 ? r : load(path, all, ret, problems);
}
