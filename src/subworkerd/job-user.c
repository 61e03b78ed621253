/* SPDX-License-Identifier: MIT */

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "exec.h"
#include "job-user.h"
#include "parse-util.h"

#define CAPABILITY_WORDS _LINUX_CAPABILITY_U32S_3

struct JobUser {
        uid_t uid;
        gid_t gid;
        gid_t *groups;
        int n_groups;
        char *name, *home;
};

typedef struct Capabilities {
        struct __user_cap_data_struct words[CAPABILITY_WORDS];
} Capabilities;

static int capabilities_get(Capabilities *ret) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

        return syscall(SYS_capget, &header, ret->words) < 0 ? -errno : 0;
}

static int capabilities_set(const Capabilities *c) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

        return syscall(SYS_capset, &header, c->words) < 0 ? -errno : 0;
}

/* --- in the daemon -------------------------------------------------------------------------------- */

static int fail(char **ret_error, int error, const char *name, const char *why) {
        if (asprintf(ret_error, "JobUser=%s: %s", name, why) < 0)
                *ret_error = NULL;
        return error;
}

static bool may_become_another(void) {
        static const unsigned needed = 1U << CAP_SETUID | 1U << CAP_SETGID | 1U << CAP_KILL;
        Capabilities c = {};

        return capabilities_get(&c) >= 0 && (c.words[0].effective & needed) == needed;
}

static int look_up_groups(JobUser *u) {
        int n = 16;

        for (;;) {
                gid_t *groups = reallocarray(u->groups, (size_t) n, sizeof(*groups));
                int before = n;

                if (!groups)
                        return -ENOMEM;
                u->groups = groups;
                if (getgrouplist(u->name, u->gid, u->groups, &n) >= 0)
                        break;
                n = MAX(n, before * 2);
        }
        u->n_groups = n;
        return 0;
}

int job_user_new(const char *name, JobUser **ret, char **ret_error) {
        _cleanup_(job_user_freep) JobUser *u = calloc(1, sizeof(*u));
        const struct passwd *pw;

        if (!u)
                return -ENOMEM;
        errno = 0;
        pw = getpwnam(name);
        if (!pw)
                return fail(ret_error, errno > 0 ? -errno : -ESRCH, name,
                            "there is no such user (see systemd-sysusers, adduser)");
        if (pw->pw_uid == 0)
                return fail(ret_error, -EINVAL, name, "tasks are not to run as root");
        if (pw->pw_uid == geteuid())
                return fail(ret_error, -EINVAL, name,
                            "that is the user of the daemon itself; leave the setting out if tasks "
                            "are to run as that user");
        if (!may_become_another())
                return fail(ret_error, -EPERM, name,
                            "to become another user, the daemon needs the capabilities CAP_SETUID, "
                            "CAP_SETGID and CAP_KILL, as fastworker-subworker@.service gives them");
        u->uid = pw->pw_uid;
        u->gid = pw->pw_gid;
        u->name = strdup(name);
        u->home = strdup(isempty(pw->pw_dir) ? "/" : pw->pw_dir);
        if (!u->name || !u->home || look_up_groups(u) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(u);
        return 0;
}

JobUser *job_user_free(JobUser *u) {
        if (!u)
                return NULL;
        free(u->groups);
        free(u->name);
        free(u->home);
        free(u);
        return NULL;
}

int job_user_set_environment(const JobUser *u, char ***environment) {
        const char *const assignments[][2] = {
                { "HOME", u->home },
                { "USER", u->name },
                { "LOGNAME", u->name },
        };

        for (size_t i = 0; i < ELEMENTSOF(assignments); i++) {
                _cleanup_free_ char *text = NULL;
                int r;

                if (asprintf(&text, "%s=%s", assignments[i][0], assignments[i][1]) < 0) {
                        text = NULL;
                        return -ENOMEM;
                }
                r = strv_assign(environment, text);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- in the child --------------------------------------------------------------------------------- */

static bool is_user(const JobUser *u) {
        uid_t r, e, s;
        gid_t rg, eg, sg;

        return getresuid(&r, &e, &s) >= 0 && r == u->uid && e == u->uid && s == u->uid &&
               getresgid(&rg, &eg, &sg) >= 0 && rg == u->gid && eg == u->gid && sg == u->gid &&
               getgroups(0, NULL) == u->n_groups;
}

static bool is_powerless(void) {
        Capabilities c;

        if (capabilities_get(&c) < 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
                return false;
        for (size_t i = 0; i < CAPABILITY_WORDS; i++)
                if (c.words[i].effective || c.words[i].permitted || c.words[i].inheritable)
                        return false;
        /* With nothing permitted there is nothing ambient either; and no way back. */
        return setresuid((uid_t) -1, 0, (uid_t) -1) < 0;
}

int job_user_drop_ambient(void) {
        return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? -errno : 0;
}

int job_user_become(const JobUser *u) {
        static const Capabilities none = {};
        int r;

        r = job_user_drop_ambient();
        if (r < 0)
                return r;
        if (setgroups((size_t) u->n_groups, u->groups) < 0)
                return -errno;
        if (setresgid(u->gid, u->gid, u->gid) < 0)
                return -errno;
        if (setresuid(u->uid, u->uid, u->uid) < 0)
                return -errno;
        /* Only who was root has lost them by that. */
        r = capabilities_set(&none);
        if (r < 0)
                return r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return is_user(u) && is_powerless() ? 0 : -EPERM;
}
