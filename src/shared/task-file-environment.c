/* SPDX-License-Identifier: MIT */

/* EnvironmentFile=: files of NAME=value lines, read before each run. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "error-text.h"
#include "parse-util.h"
#include "read-file.h"
#include "task-file-internal.h"

#define FILE_BYTES_MAX (256U * 1024U)

static int read_regular(const char *path, char **ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        return S_ISREG(st.st_mode) ? read_text(fd, FILE_BYTES_MAX, ret, NULL) : -EINVAL;
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
        return strv_assign(environment, line);
}

static int read_one(const char *path, char ***environment, char **ret_error) {
        _cleanup_free_ char *text = NULL;
        bool optional = path[0] == '-';
        char *next, *line;
        unsigned n = 0;
        int r;

        path += optional;
        r = read_regular(path, &text);
        if (r == -ENOENT && optional)
                return 0;
        if (r < 0)
                return fail_with_text(ret_error, r, "EnvironmentFile=: %s: %s", path,
                                      r == -EINVAL ? "is not a regular file" : strerror(-r));
        next = text;
        while ((line = strsep(&next, "\n"))) {
                n++;
                r = take_line(line, environment);
                /* The line itself may be a secret. */
                if (r == -EINVAL)
                        return fail_with_text(ret_error, r, "%s:%u: is not of the form NAME=value",
                                              path, n);
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
