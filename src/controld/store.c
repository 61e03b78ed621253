/* SPDX-License-Identifier: MIT */

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "store-driver.h"

static const char *const store_durability_table[_STORE_DURABILITY_MAX] = {
        [STORE_FULL] = "full",
        [STORE_PROCESS] = "process",
        [STORE_NONE] = "none",
};

DEFINE_STRING_TABLE(store_durability, StoreDurability);

int store_refuse(char **ret_error, int error, const char *format, ...) {
        va_list ap;

        if (!ret_error)
                return error;
        va_start(ap, format);
        if (vasprintf(ret_error, format, ap) < 0)
                *ret_error = NULL;
        va_end(ap);
        return error;
}

int store_load(Store *s, const StoreLoad *load, char **ret_error) {
        if (ret_error)
                *ret_error = NULL;
        return s->driver->load(s, load, ret_error);
}

int store_submit(Store *s, const StoreTask *tasks, size_t n) {
        for (size_t i = 0; i < n; i++)
                assert(tasks[i].sequence <= STORE_SEQUENCE_MAX);
        return n > 0 ? s->driver->submit(s, tasks, n) : 0;
}

int store_update(Store *s, const StoreTask *t) {
        assert(t->sequence <= STORE_SEQUENCE_MAX);
        return s->driver->update(s, t);
}

int store_forget(Store *s, uint64_t sequence) {
        assert(sequence <= STORE_SEQUENCE_MAX);
        return s->driver->forget(s, sequence);
}

int store_add_type(Store *s, const char *name) {
        return s->driver->add_type(s, name);
}

int store_set_schedule(Store *s, const StoreSchedule *schedule, bool with_progress) {
        return s->driver->set_schedule(s, schedule, with_progress);
}

int store_move_schedule(Store *s, const StoreSchedule *schedule, const StoreTask *tasks, size_t n) {
        for (size_t i = 0; i < n; i++)
                assert(tasks[i].sequence <= STORE_SEQUENCE_MAX);
        return s->driver->move_schedule(s, schedule, tasks, n);
}

int store_forget_schedule(Store *s, const char *name) {
        return s->driver->forget_schedule(s, name);
}

int store_set_paused(Store *s, const char *what, bool paused) {
        return s->driver->set_paused(s, what, paused);
}

int store_begin(Store *s) {
        return s->driver->begin(s);
}

int store_hurry(Store *s) {
        return s->driver->hurry(s);
}

uint64_t store_commit(Store *s) {
        return s->driver->commit(s);
}

uint64_t store_safe_ticket(const Store *s) {
        return s->driver->safe_ticket(s);
}

int store_sync(Store *s) {
        return s->driver->sync(s);
}

size_t store_backlog_bytes(const Store *s) {
        return s->driver->backlog_bytes(s);
}

bool store_is_full(const Store *s) {
        return s->driver->is_full(s);
}

uint64_t store_lacking_bytes(const Store *s) {
        return s->driver->lacking_bytes(s);
}

int store_backup(Store *s, const char *path, StoreBackupDone done, void *userdata) {
        return s->driver->backup(s, path, done, userdata);
}

void store_get_stats(Store *s, StoreStats *ret) {
        s->driver->get_stats(s, ret);
}

Store *store_close(Store *s) {
        return s ? s->driver->close(s) : NULL;
}

int store_open(sd_event *event, const StoreConfig *config, const StoreCallbacks *callbacks,
               Store **ret, char **ret_error) {
        if (ret_error)
                *ret_error = NULL;
        if (config->durability == STORE_NONE)
                return store_memory_open(event, callbacks, ret);
        return store_sqlite_open(event, config, callbacks, ret, ret_error);
}
