/* SPDX-License-Identifier: MIT */

/* Control groups: what the files say, with files of our own; and real ones, where this machine lets us make some. */

#include <glob.h>
#include <mntent.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "check-util.h"

/* --- files of our own ----------------------------------------------------------------------------- */

static CgroupLeaf *leaf;

static void put(const char *name, const char *text) {
        _cleanup_free_ char *path = path_in(name);

        write_text(path, text);
}

static void assert_file(const char *name, const char *expected) {
        _cleanup_free_ char *path = path_in(name);
        char text[64] = "";
        FILE *f = fopen(path, "re");

        ck_assert_ptr_nonnull(f);
        (void) !fread(text, 1, sizeof(text) - 1, f);
        (void) fclose(f);
        ck_assert_msg(strcmp(text, expected) == 0, "%s is \"%s\", not \"%s\"", name, text,
                      expected);
}

static void setup(void) {
        setup_directory();
        put("cgroup.procs", "");
        ck_assert_int_eq(cgroup_leaf_new_at(test_directory, &leaf), 0);
}

static void teardown(void) {
        cgroup_leaf_free(leaf);
        teardown_directory();
}

START_TEST(test_no_group) {
        CgroupLeaf *l = NULL;
        Cgroup *g = NULL;
        _cleanup_free_ char *path = path_in("nothing"), *procs = path_in("cgroup.procs");

        ck_assert_int_eq(cgroup_leaf_new_at(path, &l), -ENOENT);
        ck_assert_int_eq(cgroup_new_at(path, &g), -ENOENT);
        /* A directory in which the kernel makes no files is no group. */
        ck_assert_int_eq(cgroup_new_at(test_directory, &g), -ENOENT);
        ck_assert_int_eq(cgroup_leaf_new_at(procs, &l), -ENOTDIR);
        ck_assert(!cgroup_has(NULL, CGROUP_MEMORY));
}
END_TEST

START_TEST(test_numbers) {
        uint64_t n = 7;

        /* The controller is not there, or the kernel is older than the file. */
        ck_assert_int_eq(cgroup_leaf_memory(leaf, &n), -ENOENT);
        ck_assert_int_eq(cgroup_leaf_memory_peak(leaf, &n), -ENOENT);
        ck_assert_int_eq(cgroup_leaf_cpu(leaf, &n), -ENOENT);
        ck_assert_uint_eq(n, 7);

        put("memory.current", "1048576\n");
        put("memory.peak", "9999999999\n");
        put("cpu.stat", "usage_usecs 5\nusage_usec 123456\nuser_usec 100\n");
        ck_assert_int_eq(cgroup_leaf_memory(leaf, &n), 0);
        ck_assert_uint_eq(n, 1048576);
        ck_assert_int_eq(cgroup_leaf_memory_peak(leaf, &n), 0);
        ck_assert_uint_eq(n, UINT64_C(9999999999));
        ck_assert_int_eq(cgroup_leaf_cpu(leaf, &n), 0);
        ck_assert_uint_eq(n, 123456);

        put("memory.current", "much\n");
        ck_assert_int_eq(cgroup_leaf_memory(leaf, &n), -EBADMSG);
        put("cpu.stat", "user_usec 100\n");
        ck_assert_int_eq(cgroup_leaf_cpu(leaf, &n), -ENOENT);
}
END_TEST

START_TEST(test_oom) {
        ck_assert_int_eq(cgroup_leaf_oom(leaf), CGROUP_OOM_NONE);
        put("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n");
        ck_assert_int_eq(cgroup_leaf_oom(leaf), CGROUP_OOM_NONE);
        /* The limit was met, and an allocation failed, but nothing was killed. */
        put("memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 0\noom_group_kill 0\n");
        ck_assert_int_eq(cgroup_leaf_oom(leaf), CGROUP_OOM_NONE);
        put("memory.events", "low 0\nhigh 0\nmax 9\noom 1\noom_kill 3\noom_group_kill 1\n");
        ck_assert_int_eq(cgroup_leaf_oom(leaf), CGROUP_OOM_LIMIT);
        /* That of a group above, or the machine's. */
        put("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 1\noom_group_kill 0\n");
        ck_assert_int_eq(cgroup_leaf_oom(leaf), CGROUP_OOM_OUTSIDE);
}
END_TEST

static void put_limits(void) {
        put("memory.max", "-");
        put("memory.swap.max", "-");
        put("pids.max", "-");
        put("cpu.weight", "-");
        put("pids.current", "2\n");
        put("memory.stat", "anon 1048576\nfile 99999999\n");
}

START_TEST(test_limits) {
        const CgroupLimits none = {}, all = { 64 << 20, 8, 10 }, small = { .memory_max = 4096 };

        put_limits();
        /* What was never set is left alone. */
        ck_assert_int_eq(cgroup_leaf_limit(leaf, &none), 0);
        assert_file("memory.max", "-");
        assert_file("pids.max", "-");
        assert_file("cpu.weight", "-");

        ck_assert_int_eq(cgroup_leaf_limit(leaf, &all), 0);
        assert_file("memory.max", "67108864");
        assert_file("memory.swap.max", "0");
        assert_file("pids.max", "10"); /* what runs already does not count */
        assert_file("cpu.weight", "10");

        /* And taken back. */
        put_limits();
        ck_assert_int_eq(cgroup_leaf_limit(leaf, &none), 0);
        assert_file("memory.max", "max");
        assert_file("memory.swap.max", "max");
        assert_file("pids.max", "max");
        assert_file("cpu.weight", "100");

        /* A limit below what the runner itself has would kill it before the task begins. */
        put_limits();
        ck_assert_int_eq(cgroup_leaf_limit(leaf, &small), 0);
        assert_file("memory.max", "5242880");
}
END_TEST

/* A kernel before 5.14 has no cgroup.kill. */
START_TEST(test_kill_each) {
        _cleanup_free_ char *text = NULL;
        pid_t pid = fork();
        int status;

        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                for (;;)
                        (void) pause();
        text = format_string("%d\n", (int) pid);
        put("cgroup.procs", text);
        put("cgroup.freeze", "-");
        /* Its number stays in the file, but that it was signalled is enough. */
        ck_assert_int_eq(cgroup_leaf_kill_but(leaf, &(PidList){ &pid, 1, 1, 0 }), 0);
        ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
        ck_assert_int_eq(cgroup_leaf_kill(leaf), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
        assert_file("cgroup.freeze", "0");
        /* Nobody is there any more. */
        put("cgroup.procs", "");
        ck_assert_int_eq(cgroup_leaf_kill(leaf), 0);

        put("cgroup.kill", "-");
        ck_assert_int_eq(cgroup_leaf_kill(leaf), 0);
        assert_file("cgroup.kill", "1");
}
END_TEST

/* --- real ones ------------------------------------------------------------------------------------ */

/* A group below our own; NULL if that cannot be. */
static char *make_group(void) {
        char line[1024], *ours = NULL, *path = NULL;
        struct mntent *m;
        FILE *f = fopen("/proc/self/cgroup", "re");

        while (f && !ours && fgets(line, sizeof(line), f))
                if (strncmp(line, "0::/", 4) == 0)
                        ours = line + 3;
        if (f)
                (void) fclose(f);
        f = ours ? setmntent("/proc/self/mounts", "re") : NULL;
        if (!f)
                return NULL;
        ours[strcspn(ours, "\n")] = '\0';
        while ((m = getmntent(f)) && strcmp(m->mnt_type, "cgroup2") != 0)
                ;
        if (m)
                path = format_string("%s%s/fastworker-check-%d", m->mnt_dir, ours, (int) getpid());
        (void) endmntent(f);
        if (path && mkdir(path, 0755) < 0) {
                free(path);
                return NULL;
        }
        return path;
}

static void remove_group(const char *path) {
        _cleanup_free_ char *pattern = format_string("%s/runner-*", path);
        glob_t g = {};

        for (unsigned i = 0; rmdir(path) < 0; i++) {
                ck_assert_msg(errno == EBUSY && i < 5000, "%s: %s", path, strerror(errno));
                if (glob(pattern, 0, NULL, &g) == 0)
                        for (size_t n = 0; n < g.gl_pathc; n++)
                                (void) rmdir(g.gl_pathv[n]);
                globfree(&g);
                (void) poll(NULL, 0, 1); /* those that were killed are on their way */
        }
}

/* A process that is in a session of its own, and whose parent is gone when this returns. */
static void daemonise(void) {
        pid_t between = fork();

        if (between > 0)
                ck_assert_int_eq(waitpid(between, NULL, 0), between);
        else if (between == 0 && setsid() >= 0 && fork() > 0)
                _exit(0);
}

/* A process in the group, and one of the kind above that it has started. Both tell when they are there. */
static pid_t start_in(const CgroupLeaf *l, int told) {
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid > 0)
                return pid;
        ck_assert_int_eq(cgroup_leaf_enter(l), 0);
        daemonise();
        (void) !write(told, "x", 1);
        for (;;)
                (void) pause();
}

START_TEST(test_real) {
        _cleanup_free_ char *path = make_group();
        PidList pids = {};
        CgroupLeaf *l = NULL;
        Cgroup *g = NULL;
        uint64_t usec = 0;
        int told[2], status;
        char bytes[2];
        pid_t pid;

        if (!path)
                return; /* the files above have to do */
        ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
        ck_assert_int_eq(cgroup_new_at(path, &g), 0);
        ck_assert_int_eq(cgroup_leaf_new(g, 0, &l), 0);
        pid = start_in(l, told[1]);
        for (size_t n = 0; n < sizeof(bytes); n++)
                ck_assert_int_eq(read(told[0], bytes, 1), 1);
        ck_assert_int_eq(cgroup_leaf_pids(l, &pids), 0);
        ck_assert_uint_eq(pids.n, 2);
        ck_assert(pid_list_has(&pids, pid));
        ck_assert_int_eq(cgroup_leaf_cpu(l, &usec), 0);
        ck_assert_int_eq(cgroup_leaf_oom(l), CGROUP_OOM_NONE);
        ck_assert_int_eq(cgroup_leaf_limit(l, &(CgroupLimits){ 64 << 20, 100, 10 }), 0);

        ck_assert_int_eq(cgroup_leaf_kill(l), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
        told[1] = safe_close(told[1]);
        ck_assert_int_eq(read(told[0], bytes, 1), 0); /* when the last of them is gone */
        cgroup_leaf_free(l);
        /* What could not be removed at once is when the next one is made. */
        ck_assert_int_eq(cgroup_leaf_new(g, 0, &l), 0);
        cgroup_leaf_free(l);
        cgroup_free(g);
        remove_group(path);
        pid_list_done(&pids);
        safe_close(told[0]);
}
END_TEST

int main(void) {
        Suite *s = suite_create("cgroup");
        TCase *files = tcase_create("files"), *real = tcase_create("real");

        tcase_add_checked_fixture(files, setup, teardown);
        tcase_add_test(files, test_no_group);
        tcase_add_test(files, test_numbers);
        tcase_add_test(files, test_oom);
        tcase_add_test(files, test_limits);
        tcase_add_test(files, test_kill_each);
        suite_add_tcase(s, files);
        tcase_set_timeout(real, 60);
        tcase_add_test(real, test_real);
        suite_add_tcase(s, real);
        return check_run(s);
}
