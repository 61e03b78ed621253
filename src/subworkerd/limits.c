/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#include <json-c/json.h>

#include "json-util.h"
#include "limits.h"
#include "time-util.h"

#define SECONDS_MAX     (366.0 * 24 * 3600 * 100)
#define TRACEPARENT_MAX 55U

/* A duration of nothing is none. */
static void get_seconds(struct json_object *o, const char *key, uint64_t *usec) {
        struct json_object *value;
        double seconds;

        if (!json_object_object_get_ex(o, key, &value))
                return;
        if (!value || !(json_object_is_type(value, json_type_int) ||
                        json_object_is_type(value, json_type_double)))
                return;
        seconds = json_object_get_double(value);
        if (seconds >= 0 && seconds <= SECONDS_MAX)
                *usec = (uint64_t) (seconds * (double) USEC_PER_SEC);
}

int task_limits_parse(const char *options, size_t size, TaskLimits *l) {
        _cleanup_json_ struct json_object *o = NULL;
        const char *error;
        int r;

        r = json_parse_object(options, size, &o, &error);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        get_seconds(o, "timeout", &l->timeout_usec);
        get_seconds(o, "soft_timeout", &l->soft_timeout_usec);
        return 0;
}

void task_resources_parse(const char *options, size_t size, TaskResources *ret) {
        _cleanup_json_ struct json_object *o = NULL;
        struct json_object *resources = NULL;
        const char *error;

        *ret = (TaskResources){};
        if (json_parse_object(options, size, &o, &error) < 0 ||
            json_get_object(o, "resources", &resources) <= 0)
                return;
        (void) json_get_uint(resources, "memory_max", 1, INT64_MAX, &ret->memory_max);
        (void) json_get_uint(resources, "tasks_max", 1, UINT32_MAX, &ret->tasks_max);
        (void) json_get_uint(resources, "cpu_weight", 1, 10000, &ret->cpu_weight);
}

/* It goes into a line of the runner protocol as it is. */
static bool is_word(const char *s) {
        size_t n = strlen(s);

        return n > 0 && n <= TRACEPARENT_MAX && strspn(s, "0123456789abcdef-") == n;
}

int task_limits_traceparent(const char *options, size_t size, char **ret) {
        _cleanup_json_ struct json_object *o = NULL;
        struct json_object *value;
        const char *error;

        if (json_parse_object(options, size, &o, &error) < 0 ||
            !json_object_object_get_ex(o, "traceparent", &value) ||
            !json_object_is_type(value, json_type_string) ||
            !is_word(json_object_get_string(value)))
                return 0;
        *ret = strdup(json_object_get_string(value));
        return *ret ? 1 : -ENOMEM;
}

void limits_format_bytes(uint64_t bytes, char *ret, size_t size) {
        static const char suffixes[] = { 'G', 'M', 'K' };

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                unsigned shift = 30 - 10 * (unsigned) i;

                if (bytes > 0 && (bytes & ((UINT64_C(1) << shift) - 1)) == 0) {
                        (void) snprintf(ret, size, "%" PRIu64 "%c", bytes >> shift, suffixes[i]);
                        return;
                }
        }
        (void) snprintf(ret, size, "%" PRIu64, bytes);
}

void limits_format_usec(uint64_t usec, char *ret, size_t size) {
        (void) snprintf(ret, size, "%.10g s", (double) usec / (double) USEC_PER_SEC);
}

int limits_memory_fallback(uint64_t bytes) {
        const struct rlimit limit = { .rlim_cur = (rlim_t) bytes, .rlim_max = (rlim_t) bytes };

        if (bytes == 0)
                return 0;
        return setrlimit(RLIMIT_DATA, &limit) < 0 ? -errno : 0;
}
