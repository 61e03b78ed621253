/* SPDX-License-Identifier: MIT */

/* Options of a submission that have a field of their own, put into the document that the coordinator reads. */

#include <math.h>

#include "client-internal.h"
#include "json-util.h"
#include "time-util.h"

static int add(struct json_object *o, const char *key, struct json_object *value) {
        if (json_object_object_get_ex(o, key, NULL)) {
                json_object_put(value);
                return -EEXIST;
        }
        return json_add(o, key, value);
}

static int add_seconds(struct json_object *o, const char *key, uint64_t usec) {
        return usec > 0 ? add(o, key, json_object_new_double((double) usec / USEC_PER_SEC)) : 0;
}

static int add_moment(struct json_object *o, const char *key, uint64_t usec) {
        if (usec == 0)
                return 0;
        return json_object_object_get_ex(o, key, NULL) ? -EEXIST : json_add_time(o, key, usec);
}

static int add_double(struct json_object *o, const char *key, double value) {
        if (!isfinite(value))
                return -EINVAL;
        return value != 0 ? add(o, key, json_object_new_double(value)) : 0;
}

static int add_text(struct json_object *o, const char *key, const char *text) {
        return text ? add(o, key, json_object_new_string(text)) : 0;
}

static int add_ids(struct json_object *o, const char *const *ids) {
        struct json_object *array;
        int r;

        if (!ids)
                return 0;
        array = json_object_new_array();
        r = add(o, "depends_on", array);
        for (; r >= 0 && *ids; ids++) {
                struct json_object *id = json_object_new_string(*ids);

                if (!id || json_object_array_add(array, id) < 0) {
                        json_object_put(id);
                        r = -ENOMEM;
                }
        }
        return r;
}

static int add_all(struct json_object *o, const fastworker_submission *s) {
        int r = 0;

        if (s->max_retries != 0)
                r = add(o, "max_retries", json_object_new_int(MAX(s->max_retries, 0)));
        if (r >= 0)
                r = add_seconds(o, "countdown", s->countdown_usec);
        if (r >= 0)
                r = add_moment(o, "eta", s->eta_usec);
        if (r >= 0)
                r = add_moment(o, "expires", s->expires_usec);
        if (r >= 0)
                r = add_seconds(o, "retry_delay", s->retry_delay_usec);
        if (r >= 0)
                r = add_seconds(o, "retry_backoff_max", s->retry_backoff_max_usec);
        if (r >= 0)
                r = add_double(o, "retry_backoff", s->retry_backoff);
        if (r >= 0)
                r = add_double(o, "retry_jitter", s->retry_jitter);
        if (r >= 0)
                r = add_seconds(o, "timeout", s->timeout_usec);
        if (r >= 0)
                r = add_seconds(o, "soft_timeout", s->soft_timeout_usec);
        if (r >= 0)
                r = add_ids(o, s->depends_on);
        if (r >= 0)
                r = add_text(o, "group", s->group);
        return r < 0 ? r : add_text(o, "after_group", s->after_group);
}

static bool has_any(const fastworker_submission *s) {
        return s->countdown_usec > 0 || s->eta_usec > 0 || s->expires_usec > 0 ||
               s->max_retries != 0 || s->retry_delay_usec > 0 || s->retry_backoff_max_usec > 0 ||
               s->retry_backoff != 0 || s->retry_jitter != 0 || s->timeout_usec > 0 ||
               s->soft_timeout_usec > 0 || s->depends_on || s->group || s->after_group;
}

static int fail(fastworker_client *c, int error) {
        if (!c)
                return error;
        if (error == -ENOMEM)
                return client_fail(c, ENOMEM, "Out of memory.");
        if (error == -EEXIST)
                return client_fail(c, EINVAL,
                                   "An option is in a field of the submission and in its options.");
        return client_fail(c, EINVAL,
                           "The options of a submission must be a JSON object, and its "
                           "fields numbers that are finite.");
}

int submission_options(fastworker_client *c, const fastworker_submission *s, char **ret) {
        _cleanup_json_ struct json_object *o = NULL;
        int r;

        *ret = NULL;
        if (!has_any(s))
                return 0;
        r = json_parse_object(s->options, s->options ? strlen(s->options) : 0, &o, NULL);
        if (r >= 0)
                r = add_all(o, s);
        if (r >= 0)
                r = json_to_text(o, ret);
        return r < 0 ? fail(c, r) : 0;
}
