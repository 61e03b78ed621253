/* SPDX-License-Identifier: MIT */

/* fastworker backup: a copy of the coordinator's store, which the coordinator writes. */

#include <sys/stat.h>

#include "cli.h"
#include "json-util.h"
#include "time-util.h"

static Words arg_file;

static const Usage usage = {
        .verb = "backup",
        .synopsis = "FILE [OPTION...]",
        .text = "Has the coordinator write a copy of its store to a new file, while it goes on working, and waits until\n"
                "that is safe on disk (without --timeout, as long as it takes). The coordinator writes it as its own\n"
                "user and on its own machine; a relative name counts from the directory of this command. A store is put\n"
                "back by copying the file to where the coordinator keeps it while that is stopped.",
        .operands = &arg_file,
        .n_operands_max = 1,
};

static int make_absolute(const char *path, char **ret) {
        _cleanup_free_ char *here = NULL;

        if (path[0] != '/') {
                here = get_current_dir_name();
                if (!here)
                        return complain(CLI_TROUBLE, "cannot tell the current directory: %s",
                                        strerror(errno));
        }
        if (asprintf(ret, "%s%s%s", here ?: "", here ? "/" : "", path) < 0)
                return complain_oom();
        return 0;
}

static bool is_there(const char *path) {
        struct stat st;

        return lstat(path, &st) >= 0;
}

/* The size is known if the coordinator's machine is this one, and the directory may be searched. */
static int tell(const char *path, bool is_ours) {
        _cleanup_json_ struct json_object *o = NULL;
        bool has_size;
        struct stat st;

        has_size = is_ours && stat(path, &st) >= 0;
        if (arg_json == JSON_OFF) {
                if (has_size)
                        printf("Backup written to %s, %jd bytes.\n", path, (intmax_t) st.st_size);
                else
                        printf("Backup written to %s on the coordinator's machine.\n", path);
                return CLI_SUCCESS;
        }
        o = json_object_new_object();
        if (!o || add_text(o, "path", path) < 0 ||
            (has_size ? json_add_uint(o, "bytes", (uint64_t) st.st_size)
                      : json_object_object_add(o, "bytes", NULL)) < 0)
                return complain_oom();
        return print_json(o);
}

static int run(void) {
        _cleanup_client_ fastworker_client *c = NULL;
        _cleanup_free_ char *path = NULL;
        uint64_t timeout;
        bool was_there;
        int r;

        if (arg_file.n == 0)
                return complain(CLI_USAGE, "the name of the file is missing: fastworker backup %s",
                                usage.synopsis);
        r = make_absolute(arg_file.words[0], &path);
        if (r == 0)
                r = session_open(TIMEOUT_QUESTION_USEC, &c);
        if (r == 0)
                r = session_timeout(USEC_INFINITY, &timeout);
        if (r != 0)
                return r;
        (void) fastworker_client_set_timeout(c, timeout);
        was_there = is_there(path);
        r = fastworker_backup(c, path);
        return r < 0 ? session_failed(c, r) : tell(path, !was_there);
}

int verb_backup(int argc, char *argv[]) {
        int r = run_with_options(&usage, argc, argv, run);

        words_done(&arg_file);
        return r;
}
