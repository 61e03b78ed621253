/* SPDX-License-Identifier: MIT */

/* Where a daemon keeps its files: what the service manager gives, what the user wants, or the user's own
 * directories as the XDG base directory specification names them. */

#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>

#include "conf.h"

#define NAME             "fastworker"
#define PRIVATE_TEMPLATE "/tmp/" NAME "-XXXXXX"

/* 0 if it is there as a directory, possibly now. */
static int make_one(const char *path) {
        struct stat st;

        if (mkdir(path, 0700) >= 0)
                return 0;
        if (errno != EEXIST)
                return -errno;
        if (stat(path, &st) < 0)
                return -errno;
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int make_with_parents(const char *path) {
        _cleanup_free_ char *copy = strdup(path);
        int r;

        if (!copy)
                return -ENOMEM;
        for (char *p = copy + 1; (p = strchr(p, '/')); p++) {
                *p = '\0';
                r = make_one(copy);
                /* A parent that may not be written to is of no concern when it is there. */
                if (r < 0 && r != -EROFS && r != -EACCES && r != -EPERM)
                        return r;
                *p = '/';
        }
        return make_one(copy);
}

/* Takes ownership of `path` (NULL: out of memory) and hands it on when the directory is there. */
static int make_and_return(char *path, char **ret) {
        _cleanup_free_ char *mine = path;
        int r;

        if (!mine)
                return -ENOMEM;
        r = make_with_parents(mine);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(mine);
        return 0;
}

/* A relative setting means below the working directory; a daemon may leave that later. */
static char *make_absolute(const char *path) {
        _cleanup_free_ char *cwd = NULL;
        char *text = NULL;

        if (path[0] == '/')
                return strdup(path);
        cwd = getcwd(NULL, 0);
        if (!cwd || asprintf(&text, "%s/%s", cwd, path) < 0)
                return NULL;
        return text;
}

/* The first entry of a list as the service manager sets it, "/a:/b". */
static char *first_entry(const char *list) {
        return strndup(list, strcspn(list, ":"));
}

static char *below(const char *directory, const char *name) {
        char *text = NULL;

        return asprintf(&text, "%s/%s", directory, name) < 0 ? NULL : text;
}

/* The value of a variable that has to be an absolute path, else NULL. */
static const char *path_variable(const char *name) {
        const char *value = getenv(name);

        return value && value[0] == '/' ? value : NULL;
}

static const char *home_directory(void) {
        const char *home = path_variable("HOME");
        const struct passwd *pw;

        if (home)
                return home;
        pw = getpwuid(getuid());
        return pw && pw->pw_dir && pw->pw_dir[0] == '/' ? pw->pw_dir : NULL;
}

int conf_state_directory(const char *setting, char **ret) {
        const char *given = path_variable("STATE_DIRECTORY"),
                   *xdg = path_variable("XDG_STATE_HOME"), *home;

        if (!isempty(setting))
                return make_and_return(make_absolute(setting), ret);
        if (given)
                return make_and_return(first_entry(given), ret);
        if (xdg)
                return make_and_return(below(xdg, NAME), ret);
        home = home_directory();
        if (!home)
                return -ENOENT;
        return make_and_return(below(home, ".local/state/" NAME), ret);
}

int conf_runtime_directory(const char *setting, char **ret) {
        const char *given = path_variable("RUNTIME_DIRECTORY"),
                   *xdg = path_variable("XDG_RUNTIME_DIR");
        char template[] = PRIVATE_TEMPLATE;
        char *copy;

        if (!isempty(setting))
                return make_and_return(make_absolute(setting), ret);
        if (given)
                return make_and_return(first_entry(given), ret);
        if (xdg)
                return make_and_return(below(xdg, NAME), ret);

        if (!mkdtemp(template))
                return -errno;
        copy = strdup(template);
        if (!copy) {
                (void) rmdir(template);
                return -ENOMEM;
        }
        *ret = copy;
        return 0;
}

char *conf_runtime_directory_release(char *directory) {
        if (directory && strlen(directory) == strlen(PRIVATE_TEMPLATE) &&
            strncmp(directory, PRIVATE_TEMPLATE, strlen(PRIVATE_TEMPLATE) - strlen("XXXXXX")) == 0)
                (void) rmdir(directory);
        free(directory);
        return NULL;
}
