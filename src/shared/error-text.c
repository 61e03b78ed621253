/* SPDX-License-Identifier: MIT */

#include <stdarg.h>
#include <stdio.h>

#include "error-text.h"

int fail_with_text(char **ret_error, int error, const char *format, ...) {
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(ret_error, format, ap);
        va_end(ap);
        if (n >= 0)
                return error;
        *ret_error = NULL;
        return -ENOMEM;
}
