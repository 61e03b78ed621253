/* SPDX-License-Identifier: MIT */
#pragma once

/* Small building blocks that every file may use: cleanup attributes, ownership hand-over, sizes. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ELEMENTSOF(a)       (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)           ((a) < (b) ? (a) : (b))
#define MAX(a, b)           ((a) > (b) ? (a) : (b))
#define CLAMP(x, low, high) ((x) < (low) ? (low) : (x) > (high) ? (high) : (x))

#define _cleanup_(f)    __attribute__((cleanup(f)))
#define _cleanup_free_  _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _printf_(a, b)  __attribute__((format(printf, a, b)))
#define _unused_        __attribute__((unused))
#define _sentinel_      __attribute__((sentinel))

/* Hands ownership over: yields the value and leaves NULL (or -EBADF) behind. */
#define TAKE_PTR(ptr)                         \
        ({                                    \
                __typeof__(ptr) *_p = &(ptr); \
                __typeof__(ptr) _v = *_p;     \
                *_p = NULL;                   \
                _v;                           \
        })
#define TAKE_FD(fd)              \
        ({                       \
                int *_p = &(fd); \
                int _v = *_p;    \
                *_p = -EBADF;    \
                _v;              \
        })

/* Defines `func`p() for use with _cleanup_(); `func` must take NULL. */
#define DEFINE_CLEANUP_FUNC(type, func)       \
        static inline void func##p(type *p) { \
                if (*p)                       \
                        func(*p);             \
        }                                     \
        struct useless_struct_to_allow_trailing_semicolon_##func

static inline void freep(void *p) {
        free(*(void **) p);
}

/* Closes a descriptor if there is one and returns -EBADF, keeping errno. */
static inline int safe_close(int fd) {
        if (fd >= 0) {
                int saved = errno;

                (void) close(fd);
                errno = saved;
        }
        return -EBADF;
}

static inline void closep(int *fd) {
        safe_close(*fd);
}

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

static inline bool isempty(const char *s) {
        return !s || !s[0];
}
