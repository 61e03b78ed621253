/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <sys/random.h>

#include "macro.h"
#include "task-id.h"
#include "time-util.h"

/* One getrandom() serves many ids: a system call for each would cost more than the rest of a submit. Each
 * thread has a pool of its own, and a child made by fork() must not go on with its parent's. */
static int random_bytes(uint8_t *ret, size_t size) {
        static _Thread_local uint8_t pool[1024];
        static _Thread_local size_t used = sizeof(pool);
        static _Thread_local pid_t owner;

        if (used + size > sizeof(pool) || owner != getpid()) {
                ssize_t n = getrandom(pool, sizeof(pool), 0);

                if (n < 0)
                        return -errno;
                if ((size_t) n < sizeof(pool))
                        return -EIO;
                used = 0;
                owner = getpid();
        }

        memcpy(ret, pool + used, size);
        memset(pool + used, 0, size);
        used += size;
        return 0;
}

int task_id_new(TaskId *ret) {
        static _Thread_local uint64_t last_msec;
        static _Thread_local uint16_t counter; /* 12 bits: rand_a of the RFC, its method 1 */
        uint64_t msec = now_usec(CLOCK_REALTIME) / USEC_PER_MSEC;
        TaskId id;
        int r;

        r = random_bytes(id.bytes + 8, 8);
        if (r < 0)
                return r;

        /* The clock may stand still or go back; the ids go on. */
        if (msec <= last_msec) {
                msec = last_msec;
                if (++counter > 0xfff) {
                        counter = 0;
                        msec++;
                }
        } else
                counter = 0;
        last_msec = msec;

        for (int i = 0; i < 6; i++)
                id.bytes[i] = (uint8_t) (msec >> (40 - 8 * i));
        id.bytes[6] = (uint8_t) (0x70 | counter >> 8);
        id.bytes[7] = (uint8_t) counter;
        id.bytes[8] = (uint8_t) (0x80 | (id.bytes[8] & 0x3f));

        *ret = id;
        return 0;
}

static bool dash_before_byte(size_t i) {
        return i == 4 || i == 6 || i == 8 || i == 10;
}

void task_id_to_text(const TaskId *id, char ret[static TASK_ID_TEXT_LENGTH + 1]) {
        static const char digits[] = "0123456789abcdef";
        char *p = ret;

        for (size_t i = 0; i < sizeof(id->bytes); i++) {
                if (dash_before_byte(i))
                        *p++ = '-';
                *p++ = digits[id->bytes[i] >> 4];
                *p++ = digits[id->bytes[i] & 0xf];
        }
        *p = '\0';
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -EINVAL;
}

int task_id_from_text(const char *text, size_t size, TaskId *ret) {
        TaskId id;

        if (size != TASK_ID_TEXT_LENGTH)
                return -EINVAL;

        for (size_t i = 0; i < sizeof(id.bytes); i++) {
                int high, low;

                if (dash_before_byte(i) && *text++ != '-')
                        return -EINVAL;
                high = hex_digit(text[0]);
                low = hex_digit(text[1]);
                if (high < 0 || low < 0)
                        return -EINVAL;
                id.bytes[i] = (uint8_t) (high << 4 | low);
                text += 2;
        }

        *ret = id;
        return 0;
}
