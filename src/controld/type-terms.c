/* SPDX-License-Identifier: MIT */

#include <stdlib.h>

#include "json-util.h"
#include "parse-util.h"
#include "type-terms.h"

static int compare(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static void sort(char **labels) {
        if (labels)
                qsort(labels, strv_length(labels), sizeof(char *), compare);
}

static int add_one(char ***labels, const char *label) {
        if (!label_is_valid(label))
                return -EINVAL;
        if (strv_contains(*labels, label))
                return 0;
        if (strv_length(*labels) >= LABELS_MAX)
                return -EINVAL;
        return strv_extend(labels, label);
}

int labels_add(char ***labels, char *const *words) {
        int r = 0;

        STRV_FOREACH(word, (char **) words)
                if (r >= 0)
                        r = add_one(labels, *word);
        sort(*labels);
        return r;
}

int labels_read(struct json_object *array, char ***ret) {
        int r = 0;

        for (size_t i = 0; array && r >= 0 && i < json_object_array_length(array); i++) {
                const char *text = json_text(json_object_array_get_idx(array, i));

                r = text ? add_one(ret, text) : -EINVAL;
        }
        sort(*ret);
        return r;
}

int type_terms_read(TypeTerms *t, struct json_object *options, const char **ret_error) {
        struct json_object *labels = NULL;
        const char *rate = NULL;
        uint64_t concurrency = 0;
        int r, result = 0;

        *t = (TypeTerms){};
        if (json_get_uint(options, "concurrency", 0, CONCURRENCY_MAX, &concurrency) < 0) {
                *ret_error = "\"concurrency\" must be a number from 0 (no limit) to 1000000";
                result = -EINVAL;
        }
        t->concurrency = (uint32_t) concurrency;
        r = json_get_string(options, "rate_limit", &rate);
        if (r > 0)
                r = rate_parse(rate, &t->rate);
        if (r < 0 && r != -ENOMEM) {
                *ret_error = "\"rate_limit\" must be like 10/s, 100/m, 5/h or 20/10000ms";
                result = -EINVAL;
        }
        if (r == -ENOMEM)
                return r;
        r = json_get_array(options, "labels", &labels);
        if (r > 0)
                r = labels_read(labels, &t->labels);
        if (r < 0 && r != -ENOMEM) {
                *ret_error = "\"labels\" must be a list of at most 32 words of letters, digits and "
                             "_ . : -, each with at most 63 characters";
                result = -EINVAL;
        }
        return r == -ENOMEM ? r : result;
}

void type_terms_done(TypeTerms *t) {
        strv_free(t->labels);
        *t = (TypeTerms){};
}

static bool labels_are_equal(char *const *a, char *const *b) {
        if (strv_length(a) != strv_length(b))
                return false;
        for (size_t i = 0; i < strv_length(a); i++)
                if (!streq(a[i], b[i]))
                        return false;
        return true;
}

int type_terms_merge(TypeTerms *t, const TypeTerms *other, bool *ret_differ) {
        *ret_differ = t->concurrency != other->concurrency ||
                      rate_is_lower(&t->rate, &other->rate) ||
                      rate_is_lower(&other->rate, &t->rate) ||
                      !labels_are_equal(t->labels, other->labels);
        if (other->concurrency > 0 && (t->concurrency == 0 || other->concurrency < t->concurrency))
                t->concurrency = other->concurrency;
        if (rate_is_lower(&other->rate, &t->rate))
                t->rate = other->rate;
        return labels_add(&t->labels, other->labels) == -ENOMEM ? -ENOMEM : 0;
}
