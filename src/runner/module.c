/* SPDX-License-Identifier: MIT */

#include <dlfcn.h>
#include <stdio.h>

#include "command.h"
#include "error-text.h"
#include "hash.h"
#include "module-path.h"
#include "module.h"
#include "parse-util.h"
#include "wire.h"

#define DESCRIPTION_MAX 1024U /* of the runner protocol */

/* A module made with a newer header may have longer definitions; these are the fields of version 1. */
#define DEFINITION_SIZE_MIN offsetof(fastworker_task_definition, reserved)

typedef struct Task {
        const char *name, *description;
        const char *file;
        fastworker_function function;
        TaskFile *command; /* if there is no function */
        char *options;     /* JSON, or empty, or NULL */
        UT_hash_handle hh;
} Task;

struct Modules {
        Task *tasks;
        char **directories; /* of task files */
        char **files;
        size_t n_files;
        const Task *last; /* found last: the same task often comes many times in a row */
};

static int remember_file(Modules *m, const char *file, const char **ret) {
        char **files, *copy;

        files = reallocarray(m->files, m->n_files + 1, sizeof(char *));
        if (!files)
                return -ENOMEM;
        m->files = files;
        copy = strdup(file);
        if (!copy)
                return -ENOMEM;
        *ret = files[m->n_files++] = copy;
        return 0;
}

static Task *task_free(Task *t) {
        if (!t)
                return NULL;
        task_file_free(t->command);
        free(t->options);
        free(t);
        return NULL;
}
DEFINE_CLEANUP_FUNC(Task *, task_free);

/* Enters a task, and takes ownership then. */
static int enter_task(Modules *m, Task **task, char **ret_error) {
        Task *t = *task, *other;

        HASH_FIND_STR(m->tasks, t->name, other);
        if (other)
                return fail_with_text(ret_error, -EEXIST, "%s: task %s is defined in %s already",
                                      t->file, t->name, other->file);
        HASH_ADD_KEYPTR(hh, m->tasks, t->name, strlen(t->name), t);
        if (!t->hh.tbl)
                return -ENOMEM;
        *task = NULL;
        return 0;
}

static int add_task(Modules *m, const char *file, const fastworker_task_definition *d,
                    char **ret_error) {
        struct iovec name = { (char *) d->name, d->name ? strlen(d->name) : 0 };
        _cleanup_(task_freep) Task *task = NULL;

        if (!wire_field_is_valid(WIRE_KIND_NAME, &name))
                return fail_with_text(
                        ret_error, -EINVAL,
                        "%s: defines a task called \"%s\"; a name is 1 to 255 letters, digits or . _ : -",
                        file, d->name ? d->name : "");
        if (!d->function)
                return fail_with_text(ret_error, -EINVAL, "%s: task %s has no function", file,
                                      d->name);

        task = calloc(1, sizeof(*task));
        if (!task)
                return -ENOMEM;
        task->name = d->name;
        task->description = d->description ? d->description : "";
        task->file = file;
        task->function = d->function;
        return enter_task(m, &task, ret_error);
}

static int add_tasks(Modules *m, const char *file, const fastworker_module_definition *d,
                     char **ret_error) {
        const char *p = (const char *) d->tasks;
        int r;

        if (d->abi != FASTWORKER_TASK_ABI)
                return fail_with_text(
                        ret_error, -EPROTO,
                        "%s: is made for version %u of the task interface; this runner has version %d",
                        file, d->abi, FASTWORKER_TASK_ABI);
        if (d->definition_size < DEFINITION_SIZE_MIN ||
            d->definition_size % _Alignof(fastworker_task_definition) != 0)
                return fail_with_text(ret_error, -EPROTO, "%s: its table of tasks is damaged",
                                      file);
        if (d->n_tasks == 0)
                return fail_with_text(ret_error, -ENODATA, "%s: defines no tasks", file);

        for (size_t i = 0; i < d->n_tasks; i++, p += d->definition_size) {
                r = add_task(m, file, (const fastworker_task_definition *) p, ret_error);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int load_object(Modules *m, const char *file, char **ret_error) {
        const char *text;
        void *object, *symbol;
        int r;

        object = dlopen(file, RTLD_NOW | RTLD_LOCAL);
        if (!object) {
                text = dlerror();
                /* Most messages of dlopen() begin with the name of the file. */
                if (text && strncmp(text, file, strlen(file)) == 0)
                        return fail_with_text(ret_error, -ENOEXEC, "%s", text);
                return fail_with_text(ret_error, -ENOEXEC, "%s: %s", file,
                                      text ? text : "cannot be loaded");
        }
        symbol = dlsym(object, "fastworker_module");
        if (!symbol) {
                (void) dlclose(object);
                return fail_with_text(ret_error, -ENOEXEC,
                                      "%s: is no task module: it does not define fastworker_module "
                                      "(see FASTWORKER_MODULE in <fastworker/task.h>)",
                                      file);
        }

        r = remember_file(m, file, &file);
        if (r < 0)
                return r;
        return add_tasks(m, file, symbol, ret_error);
}

/* The mistakes of a task file as one line. */
static int refuse_task_file(const char *file, int error, char *const *problems, char **ret_error) {
        _cleanup_free_ char *text = NULL;

        if (error == -ENOENT)
                return fail_with_text(ret_error, error,
                                      "%s: there is no such task file, or it is masked", file);
        if (error != -EINVAL)
                return fail_with_text(ret_error, error, "%s: %s", file, strerror(-error));
        text = strv_join(problems, "; ");
        return text ? fail_with_text(ret_error, error, "%s", text) : -ENOMEM;
}

static int load_task_file(Modules *m, const char *file, char **ret_error) {
        _cleanup_(task_freep) Task *task = calloc(1, sizeof(*task));
        _cleanup_strv_ char **problems = NULL;
        int r;

        if (!task)
                return -ENOMEM;
        r = task_file_load_path(file, m->directories, &task->command, &problems);
        if (r < 0)
                return refuse_task_file(file, r, problems, ret_error);
        r = task_file_options(task->command, &task->options);
        if (r < 0)
                return r;
        task->name = task->command->name;
        task->description = task->command->description ?: "";
        task->file = task->command->path;
        r = enter_task(m, &task, ret_error);
        if (r >= 0)
                command_prepare();
        return r;
}

int modules_load(Modules *m, const char *file, char **ret_error) {
        *ret_error = NULL;
        return module_kind(file) == MODULE_COMMAND ? load_task_file(m, file, ret_error)
                                                   : load_object(m, file, ret_error);
}

static const Task *find(Modules *m, const char *name, size_t size) {
        Task *task;

        if (m->last && m->last->hh.keylen == size && memcmp(m->last->name, name, size) == 0)
                return m->last;
        HASH_FIND(hh, m->tasks, name, size, task);
        if (task)
                m->last = task;
        return task;
}

fastworker_function modules_find(Modules *m, const char *name, size_t size) {
        const Task *task = find(m, name, size);

        return task ? task->function : NULL;
}

const TaskFile *modules_find_command(Modules *m, const char *name, size_t size) {
        const Task *task = find(m, name, size);

        return task ? task->command : NULL;
}

size_t modules_count(const Modules *m) {
        return HASH_COUNT(m->tasks);
}

/* One line, at most so long, whole characters. */
static void print_description(FILE *f, const char *text) {
        size_t n = strlen(text);

        if (n > DESCRIPTION_MAX) {
                n = DESCRIPTION_MAX;
                while (n > 0 && ((unsigned char) text[n] & 0xc0) == 0x80)
                        n--;
        }
        for (size_t i = 0; i < n; i++)
                putc((unsigned char) text[i] < ' ' ? ' ' : text[i], f);
}

static int list(const Modules *m, bool with_files, char **ret, size_t *ret_size) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return -errno;
        for (const Task *t = m->tasks; t; t = t->hh.next) {
                fprintf(f, "%s\t", t->name);
                print_description(f, t->description);
                if (!isempty(t->options) || with_files)
                        fprintf(f, "\t%s", t->options ?: "");
                if (with_files)
                        fprintf(f, "\t%s", t->file);
                putc('\n', f);
        }
        if (fclose(f) != 0)
                return -ENOMEM;

        *ret = TAKE_PTR(text);
        *ret_size = size;
        return 0;
}

int modules_list(const Modules *m, char **ret, size_t *ret_size) {
        return list(m, false, ret, ret_size);
}

int modules_list_with_files(const Modules *m, char **ret, size_t *ret_size) {
        return list(m, true, ret, ret_size);
}

int modules_set_directories(Modules *m, char *const *directories) {
        int r = 0;

        STRV_FOREACH(directory, (char **) directories)
                if (r >= 0)
                        r = strv_extend(&m->directories, *directory);
        return r;
}

int modules_new(Modules **ret) {
        Modules *m = calloc(1, sizeof(*m));

        if (!m)
                return -ENOMEM;
        *ret = m;
        return 0;
}

Modules *modules_free(Modules *m) {
        Task *task, *next;

        if (!m)
                return NULL;
        HASH_ITER(hh, m->tasks, task, next) {
                HASH_DEL(m->tasks, task);
                task_free(task);
        }
        for (size_t i = 0; i < m->n_files; i++)
                free(m->files[i]);
        free(m->files);
        strv_free(m->directories);
        free(m);
        return NULL;
}
