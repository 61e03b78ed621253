/* SPDX-License-Identifier: MIT */
#pragma once

/* Enum <-> name from one array of names. The enum counts from 0 and ends in _max. */

#include "macro.h"

#define DECLARE_STRING_TABLE(name, type)      \
        const char *name##_to_string(type i); \
        type name##_from_string(const char *s)

/* name_to_string() gives NULL for a value out of range; name_from_string() gives -EINVAL for a name
 * that is not in the table (or NULL). */
#define DEFINE_STRING_TABLE(name, type)                                         \
        const char *name##_to_string(type i) {                                  \
                if ((int) i < 0 || (size_t) i >= ELEMENTSOF(name##_table))      \
                        return NULL;                                            \
                return name##_table[i];                                         \
        }                                                                       \
        type name##_from_string(const char *s) {                                \
                for (size_t i = 0; s && i < ELEMENTSOF(name##_table); i++)      \
                        if (name##_table[i] && strcmp(name##_table[i], s) == 0) \
                                return (type) i;                                \
                return (type) -EINVAL;                                          \
        }                                                                       \
        struct useless_struct_to_allow_trailing_semicolon_##name
