/* SPDX-License-Identifier: MIT */

#include "fail-alloc.h"

static unsigned countdown; /* allocations until the one that fails; 0: none does */
static bool happened;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);

/* What the linker calls instead. */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

void fail_alloc_at(unsigned n) {
        countdown = n;
        happened = false;
}

bool fail_alloc_happened(void) {
        bool yes = happened;

        fail_alloc_at(0);
        return yes;
}

static bool fails(void) {
        if (countdown == 0 || --countdown > 0)
                return false;
        happened = true;
        errno = ENOMEM;
        return true;
}

void *__wrap_malloc(size_t size) {
        return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
        return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size) {
        return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s) {
        return fails() ? NULL : __real_strdup(s);
}
