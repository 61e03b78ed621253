/* SPDX-License-Identifier: MIT */

#include <limits.h>
#include <stdio.h>

#include "macro.h"
#include "program.h"

static int try_path(const char *directory, size_t length, const char *name, char **ret) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%.*s/%s", (int) length, directory, name) < 0)
                return -ENOMEM;
        if (access(path, X_OK) < 0)
                return -errno;
        *ret = TAKE_PTR(path);
        return 0;
}

int program_find(const char *name, const char *directory, char **ret) {
        char self[PATH_MAX];
        ssize_t n;
        const char *slash;

        n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (n > 0) {
                self[n] = '\0';
                slash = strrchr(self, '/');
                if (slash && try_path(self, (size_t) (slash - self), name, ret) >= 0)
                        return 0;
        }
        return try_path(directory, strlen(directory), name, ret);
}
