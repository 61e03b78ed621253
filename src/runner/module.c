/* SPDX-License-Identifier: MIT */

#include <dlfcn.h>
#include <stdio.h>

#include "error-text.h"
#include "hash.h"
#include "module.h"
#include "wire.h"

/* A module made with a newer header may have longer definitions; these are the fields of version 1. */
#define DEFINITION_SIZE_MIN offsetof(fastworker_task_definition, reserved)

typedef struct Task {
        const char *name, *description;
        const char *file;
        fastworker_function function;
        UT_hash_handle hh;
} Task;

struct Modules {
        Task *tasks;
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

static int add_task(Modules *m, const char *file, const fastworker_task_definition *d,
                    char **ret_error) {
        struct iovec name = { (char *) d->name, d->name ? strlen(d->name) : 0 };
        Task *task;

        if (!wire_field_is_valid(WIRE_KIND_NAME, &name))
                return fail_with_text(
                        ret_error, -EINVAL,
                        "%s: defines a task called \"%s\"; a name is 1 to 255 letters, digits or . _ : -",
                        file, d->name ? d->name : "");
        if (!d->function)
                return fail_with_text(ret_error, -EINVAL, "%s: task %s has no function", file,
                                      d->name);
        HASH_FIND(hh, m->tasks, d->name, name.iov_len, task);
        if (task)
                return fail_with_text(ret_error, -EEXIST, "%s: task %s is defined in %s already",
                                      file, d->name, task->file);

        task = calloc(1, sizeof(*task));
        if (!task)
                return -ENOMEM;
        task->name = d->name;
        task->description = d->description ? d->description : "";
        task->file = file;
        task->function = d->function;
        HASH_ADD_KEYPTR(hh, m->tasks, task->name, name.iov_len, task);
        if (!task->hh.tbl) {
                free(task);
                return -ENOMEM;
        }
        return 0;
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

int modules_load(Modules *m, const char *file, char **ret_error) {
        const char *text;
        void *object, *symbol;
        int r;

        *ret_error = NULL;
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

fastworker_function modules_find(Modules *m, const char *name, size_t size) {
        Task *task;

        if (m->last && m->last->hh.keylen == size && memcmp(m->last->name, name, size) == 0)
                return m->last->function;
        HASH_FIND(hh, m->tasks, name, size, task);
        if (!task)
                return NULL;
        m->last = task;
        return task->function;
}

size_t modules_count(const Modules *m) {
        return HASH_COUNT(m->tasks);
}

int modules_list(const Modules *m, char **ret, size_t *ret_size) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return -errno;
        for (const Task *t = m->tasks; t; t = t->hh.next) {
                fprintf(f, "%s\t", t->name);
                for (const char *p = t->description; *p; p++)
                        putc((unsigned char) *p < ' ' ? ' ' : *p, f);
                putc('\n', f);
        }
        if (fclose(f) != 0)
                return -ENOMEM;

        *ret = TAKE_PTR(text);
        *ret_size = size;
        return 0;
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
                free(task);
        }
        for (size_t i = 0; i < m->n_files; i++)
                free(m->files[i]);
        free(m->files);
        free(m);
        return NULL;
}
