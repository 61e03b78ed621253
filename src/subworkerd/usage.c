/* SPDX-License-Identifier: MIT */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "process-tree.h"
#include "time-util.h"
#include "usage.h"

static FILE *open_proc(pid_t pid, const char *name) {
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, name);
        return fopen(path, "re");
}

/* Of children that were waited for, in the kernel's ticks. */
static uint64_t children_usec(pid_t pid) {
        uint64_t user, system, ticks = (uint64_t) sysconf(_SC_CLK_TCK);
        char line[PROCESS_STAT_MAX];
        const char *fields = process_stat(pid, line);

        if (!fields ||
            sscanf(fields,
                   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
                   &user, &system) != 2)
                return 0;
        return (user + system) * USEC_PER_SEC / ticks;
}

static uint64_t process_cpu(pid_t pid) {
        struct timespec t;
        clockid_t clock;

        if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
                return 0;
        return (uint64_t) t.tv_sec * USEC_PER_SEC + (uint64_t) t.tv_nsec / 1000 +
               children_usec(pid);
}

static uint64_t process_peak(pid_t pid) {
        FILE *f = open_proc(pid, "status");
        uint64_t kib = 0;
        char line[256];

        if (!f)
                return 0;
        while (fgets(line, sizeof(line), f))
                if (sscanf(line, "VmHWM: %" SCNu64, &kib) == 1)
                        break;
        (void) fclose(f);
        return kib * 1024;
}

static uint64_t process_memory(pid_t pid) {
        FILE *f = open_proc(pid, "statm");
        uint64_t pages = 0;

        if (!f)
                return 0;
        if (fscanf(f, "%*u %" SCNu64, &pages) != 1)
                pages = 0;
        (void) fclose(f);
        return pages * (uint64_t) sysconf(_SC_PAGESIZE);
}

void usage_read(pid_t pid, const CgroupLeaf *group, Usage *ret) {
        if (!group || cgroup_leaf_cpu(group, &ret->cpu_usec) < 0)
                ret->cpu_usec = process_cpu(pid);
        if (!group || cgroup_leaf_memory_peak(group, &ret->memory_bytes) < 0)
                ret->memory_bytes = process_peak(pid);
        ret->memory_now_bytes = usage_memory(pid, group);
}

void usage_reset_peak(pid_t pid) {
        char path[64];
        int fd;

        (void) snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int) pid);
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return;
        (void) !write(fd, "5", 1);
        (void) close(fd);
}

uint64_t usage_memory(pid_t pid, const CgroupLeaf *group) {
        uint64_t bytes;

        return group && cgroup_leaf_memory(group, &bytes) >= 0 ? bytes : process_memory(pid);
}

/* --- of one runner -------------------------------------------------------------------------------- */

void meter_reset(Meter *m) {
        *m = (Meter){};
}

void meter_begin(Meter *m, pid_t pid, const CgroupLeaf *group, uint64_t age_usec) {
        usage_reset_peak(pid);
        usage_read(pid, group, &m->begin);
        m->credit_usec =
                MIN(m->begin.cpu_usec - MIN(m->last_cpu_usec, m->begin.cpu_usec), age_usec);
        m->running = true;
}

void meter_idle(Meter *m, pid_t pid, const CgroupLeaf *group) {
        Usage u;

        usage_read(pid, group, &u);
        m->last_cpu_usec = u.cpu_usec;
        m->running = false;
}

bool meter_end(Meter *m, const Usage *total, Usage *ret) {
        if (!m->running)
                return false;
        m->running = false;
        m->last_cpu_usec = total->cpu_usec;
        ret->cpu_usec = total->cpu_usec - MIN(m->begin.cpu_usec, total->cpu_usec) + m->credit_usec;
        ret->memory_bytes = total->memory_bytes;
        /* A peak of before, which the kernel does not let us forget, is not this task's. */
        if (total->memory_bytes == m->begin.memory_bytes && total->memory_now_bytes > 0)
                ret->memory_bytes = MAX(m->begin.memory_now_bytes, total->memory_now_bytes);
        ret->memory_now_bytes = 0;
        return true;
}

void meter_end_last(Meter *m, const Usage *total, uint64_t age_usec, Usage *ret) {
        if (meter_end(m, total, ret))
                return;
        *ret = (Usage){ .cpu_usec = MIN(total->cpu_usec - MIN(m->last_cpu_usec, total->cpu_usec),
                                        age_usec),
                        .memory_bytes = total->memory_bytes };
}
