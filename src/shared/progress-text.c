/* SPDX-License-Identifier: MIT */

#include <stdint.h>
#include <string.h>

#include "parse-util.h"
#include "progress-text.h"

void progress_text_set(char ret[static PROGRESS_TEXT_MAX + 1], const char *text, size_t size) {
        size_t n = 0, step;

        for (size_t i = 0; i < size; i += step) {
                uint32_t c = 0;
                int length = utf8_decode(text + i, size - i, &c);
                bool printable = length > 0 && c >= 0x20 && (c < 0x7f || c > 0x9f);

                step = length > 0 ? (size_t) length : 1;
                if (n + (printable ? step : 1) > PROGRESS_TEXT_MAX)
                        break;
                if (printable) {
                        memcpy(ret + n, text + i, step);
                        n += step;
                } else
                        ret[n++] = ' ';
        }
        ret[n] = '\0';
}
