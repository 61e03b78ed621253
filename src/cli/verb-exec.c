/* SPDX-License-Identifier: MIT */

/* fastworker control-plane and fastworker subworker: the daemons under the names that users know. */

#include "cli.h"
#include "program.h"

static int exec_daemon(const char *name, char *argv[]) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = program_find(name, SBINDIR, &path);
        if (r < 0)
                return complain(CLI_TROUBLE, "cannot find %s beside this program or in %s: %s",
                                name, SBINDIR, strerror(-r));
        argv[0] = path;
        execv(path, argv);
        return complain(CLI_TROUBLE, "cannot execute %s: %s", path, strerror(errno));
}

int verb_control_plane(int argc, char *argv[]) {
        return exec_daemon("fastworker-controld", argv);
}

int verb_subworker(int argc, char *argv[]) {
        return exec_daemon("fastworker-subworkerd", argv);
}
