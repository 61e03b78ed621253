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

/* Each id of each message comes through here, so it is done by tables: where the digits of a byte stand, and
 * what a digit is worth, 0 for what is none, else one more. */
static const uint8_t digits_at[16] = { 0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34 };
static const uint8_t digit_values[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
        ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

int task_id_from_text(const char *text, size_t size, TaskId *ret) {
        const uint8_t *s = (const uint8_t *) text;
        bool valid = true;
        TaskId id;

        if (size != TASK_ID_TEXT_LENGTH)
                return -EINVAL;

        for (size_t i = 0; i < sizeof(id.bytes); i++) {
                unsigned high = digit_values[s[digits_at[i]]],
                         low = digit_values[s[digits_at[i] + 1]];

                valid = valid && high > 0 && low > 0;
                id.bytes[i] = (uint8_t) ((high - 1) << 4 | ((low - 1) & 0xf));
        }
        if (!valid || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-')
                return -EINVAL;

        *ret = id;
        return 0;
}
