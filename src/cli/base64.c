/* SPDX-License-Identifier: MIT */

/* The C library has it, in a header whose macros get into the way of ours: hence a file of its own. */

#include <errno.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"

int base64_encode(const void *data, size_t size, char **ret, size_t *ret_size) {
        size_t room = (size + 2) / 3 * 4 + 1;
        char *text = malloc(room);
        int n;

        if (!text)
                return -ENOMEM;
        n = b64_ntop(data, size, text, room);
        if (n < 0) {
                free(text);
                return -EINVAL;
        }
        *ret = text;
        *ret_size = (size_t) n;
        return 0;
}

int base64_decode(const char *text, char **ret, size_t *ret_size) {
        size_t room = strlen(text) / 4 * 3 + 4;
        char *data = malloc(room);
        int n;

        if (!data)
                return -ENOMEM;
        n = b64_pton(text, (unsigned char *) data, room - 1);
        if (n < 0) {
                free(data);
                return -EINVAL;
        }
        data[n] = '\0';
        *ret = data;
        *ret_size = (size_t) n;
        return 0;
}
