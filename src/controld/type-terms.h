/* SPDX-License-Identifier: MIT */
#pragma once

/* What a worker says of the limits of a task type it offers. */

#include <json-c/json.h>

#include "limit-text.h"

typedef struct TypeTerms {
        uint32_t concurrency; /* 0: no limit */
        Rate rate;
        char **labels; /* a worker must have all of them */
} TypeTerms;

/* The keys "concurrency", "rate_limit" and "labels" of a type's options (NULL: none). -EINVAL: *ret_error (static) says what
 * one of them must be; that one is passed over. -ENOMEM. */
int type_terms_read(TypeTerms *t, struct json_object *options, const char **ret_error);
void type_terms_done(TypeTerms *t);

/* What both allow; *ret_differ if one allows more than the other. -ENOMEM: something is missing. */
int type_terms_merge(TypeTerms *t, const TypeTerms *other, bool *ret_differ);

/* A list of labels as in JSON: sorted and without doubles, appended to *ret. -EINVAL, -ENOMEM; those taken before stay. */
int labels_read(struct json_object *array, char ***ret);
/* The same for a list of words. */
int labels_add(char ***labels, char *const *words);
