/* SPDX-License-Identifier: MIT */

/* To be preloaded into the daemons by tests: shifts CLOCK_REALTIME, and no other clock, by the number of
 * nanoseconds that the first 8 bytes of the file $SHIFT_CLOCK_FILE hold. The file is mapped, so that the clock of
 * all processes that have it jumps at once when the test writes there. */

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_SEC INT64_C(1000000000)

/* In the namespace of the C library, where these are declared with attributes of their own. */
#define EXPORT __attribute__((visibility("default")))

EXPORT int clock_gettime(clockid_t clock, struct timespec *ret);
EXPORT int gettimeofday(struct timeval *restrict ret, void *restrict zone);
EXPORT time_t time(time_t *ret);

static const _Atomic int64_t no_shift;
static const _Atomic int64_t *shift = &no_shift;

__attribute__((constructor)) static void map_shift(void) {
        const char *path = getenv("SHIFT_CLOCK_FILE");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *p;

        if (fd < 0)
                return;
        p = mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED)
                shift = p;
        (void) close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *ret) {
        int64_t nsec;

        if (syscall(SYS_clock_gettime, clock, ret) < 0)
                return -1;
        if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
                return 0;
        nsec = ret->tv_sec * NSEC_PER_SEC + ret->tv_nsec + atomic_load(shift);
        ret->tv_sec = nsec / NSEC_PER_SEC;
        ret->tv_nsec = nsec % NSEC_PER_SEC;
        return 0;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone) {
        struct timespec now;

        if (clock_gettime(CLOCK_REALTIME, &now) < 0)
                return -1;
        ret->tv_sec = now.tv_sec;
        ret->tv_usec = now.tv_nsec / 1000;
        return 0;
}

time_t time(time_t *ret) {
        struct timespec now = { .tv_sec = -1 };

        (void) clock_gettime(CLOCK_REALTIME, &now);
        if (ret)
                *ret = now.tv_sec;
        return now.tv_sec;
}
