/* SPDX-License-Identifier: MIT */

/* EnvironmentFile=: files of NAME=value lines, read before each run. */

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "task-file-internal.h"

#define FILE_BYTES_MAX (256U * 1024U)

static int fail(char **ret, int error, const char *format, ...) _printf_(3, 4);

static int fail(char **ret, int error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (vasprintf(ret, format, ap) < 0)
                *ret = NULL;
        va_end(ap);
        return error;
}

int task_file_set_variable(char ***environment, const char *assignment) {
        size_t n = strcspn(assignment, "=") + 1;

        STRV_FOREACH(other, *environment) {
                char *copy;

                if (strncmp(*other, assignment, n) != 0)
                        continue;
                copy = strdup(assignment);
                if (!copy)
                        return -ENOMEM;
                free(*other);
                *other = copy;
                return 0;
        }
        return strv_extend(environment, assignment);
}

/* A regular file as text. */
static int read_text(const char *path, char **ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        struct stat st;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        text = malloc(FILE_BYTES_MAX + 1);
        if (!text)
                return -ENOMEM;
        while ((n = read(fd, text + size, FILE_BYTES_MAX + 1 - size)) > 0)
                size += (size_t) n;
        if (n < 0)
                return -errno;
        if (size > FILE_BYTES_MAX)
                return -EFBIG;
        text[size] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}

/* Takes blanks away at both ends. */
static char *strip(char *s) {
        size_t n;

        s += strspn(s, " \t\r");
        n = strlen(s);
        while (n > 0 && strchr(" \t\r", s[n - 1]))
                n--;
        s[n] = '\0';
        return s;
}

static int take_line(char *line, char ***environment) {
        char *value;
        size_t n;

        line = strip(line);
        if (line[0] == '\0' || line[0] == '#' || line[0] == ';')
                return 0;
        if (!task_file_is_assignment(line))
                return -EINVAL;
        value = strchr(line, '=') + 1;
        n = strlen(value);
        if (n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n - 1] == value[0]) {
                value[n - 1] = '\0';
                memmove(value, value + 1, n - 1);
        }
        return task_file_set_variable(environment, line);
}

static int read_one(const char *path, char ***environment, char **ret_error) {
        _cleanup_free_ char *text = NULL;
        bool optional = path[0] == '-';
        char *next, *line;
        unsigned n = 0;
        int r;

        path += optional;
        r = read_text(path, &text);
        if (r == -ENOENT && optional)
                return 0;
        if (r < 0)
                return fail(ret_error, r, "EnvironmentFile=: %s: %s", path,
                            r == -EINVAL ? "is not a regular file" : strerror(-r));
        next = text;
        while ((line = strsep(&next, "\n"))) {
                n++;
                r = take_line(line, environment);
                /* The line itself may be a secret. */
                if (r == -EINVAL)
                        return fail(ret_error, r, "%s:%u: is not of the form NAME=value", path, n);
                if (r < 0)
                        return r;
        }
        return 0;
}

int task_file_read_environment(const TaskFile *t, char ***environment, char **ret_error) {
        int r;

        *ret_error = NULL;
        STRV_FOREACH(path, t->environment_files) {
                r = read_one(*path, environment, ret_error);
                if (r < 0)
                        return r;
        }
        return 0;
}
