/* SPDX-License-Identifier: MIT */
#pragma once

/* What a database must bring to stand behind store.h. store.c has checked the arguments: a batch of submits is
 * not empty, sequences are within STORE_SEQUENCE_MAX. */

#include "store.h"

typedef struct StoreDriver {
        Store *(*close)(Store *s);
        int (*load)(Store *s, const StoreLoad *load, char **ret_error);

        int (*submit)(Store *s, const StoreTask *tasks, size_t n);
        int (*update)(Store *s, const StoreTask *t);
        int (*forget)(Store *s, uint64_t sequence);
        int (*add_type)(Store *s, const char *name);
        int (*set_paused)(Store *s, const char *what, bool paused);
        int (*set_schedule)(Store *s, const StoreSchedule *schedule, bool with_progress);
        int (*move_schedule)(Store *s, const StoreSchedule *schedule, const StoreTask *tasks,
                             size_t n);
        int (*forget_schedule)(Store *s, const char *name);

        int (*begin)(Store *s);
        int (*hurry)(Store *s);
        uint64_t (*commit)(Store *s);
        uint64_t (*safe_ticket)(const Store *s);
        int (*sync)(Store *s);

        size_t (*backlog_bytes)(const Store *s);
        bool (*is_full)(const Store *s);
        uint64_t (*lacking_bytes)(const Store *s);
        int (*backup)(Store *s, const char *path, StoreBackupDone done, void *userdata);
        void (*get_stats)(Store *s, StoreStats *ret);
} StoreDriver;

/* The first member of each driver's own struct. */
struct Store {
        const StoreDriver *driver;
};

int store_memory_open(sd_event *event, const StoreCallbacks *callbacks, Store **ret);
int store_sqlite_open(sd_event *event, const StoreConfig *config, const StoreCallbacks *callbacks,
                      Store **ret, char **ret_error);

/* Writes the line for people (if ret_error is not NULL) and returns `error`. */
int store_refuse(char **ret_error, int error, const char *format, ...) _printf_(3, 4);
