/* SPDX-License-Identifier: MIT */

/* fastworker logs: what the journal has of tasks. Reads the journal itself; no coordinator is asked. */

#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>
#include <time.h>

#include "cli.h"
#include "json-util.h"
#include "task-id.h"
#include "time-util.h"

static Words arg_task_id, arg_worker, arg_task_name;
static const char *arg_directory;
static uint64_t arg_lines;
static bool arg_follow;

static const Option options[] = {
        { "task-id", OPTION_WORDS, &arg_task_id, "ID", "Of these tasks" },
        { "task-name", OPTION_WORDS, &arg_task_name, "NAME", "Of tasks of these names" },
        { "worker", OPTION_WORDS, &arg_worker, "ID", "Of these subworkers" },
        { "lines", OPTION_NUMBER, &arg_lines, "N", "-n: only the last N", 1, 1000000 },
        { "follow", OPTION_FLAG, &arg_follow, NULL,
          "-f: go on with what comes, until interrupted" },
        { "directory", OPTION_TEXT, &arg_directory, "DIR",
          "Read the journal files there, not those of this machine" },
};

static const Usage usage = {
        .verb = "logs",
        .synopsis = "--task-id ID... [-f] [OPTION...]",
        .text = "Shows what the journal of this machine has of tasks: what they write and log, with the field TASK_ID, and\n"
                "what the daemons say about them. A task's lines are in the journal of the machine on which it runs.\n"
                "--task-id, --task-name or --worker is needed; what is shown meets all that are given.\n"
                "--json prints an object a line. No coordinator is asked.\n\n"
                "  fastworker logs -f --task-id 01a20d96-bfef-7000-b794-bba8e5972936",
        .options = options,
        .n_options = ELEMENTSOF(options),
        .is_local = true,
};

/* --- which entries --------------------------------------------------------------------------------- */

static int add_matches(sd_journal *j, const char *field, const Words *words) {
        int r = 0;

        for (size_t i = 0; i < words->n && r >= 0; i++) {
                _cleanup_free_ char *match = NULL;

                if (asprintf(&match, "%s=%s", field, words->words[i]) < 0) {
                        match = NULL;
                        return -ENOMEM;
                }
                r = sd_journal_add_match(j, match, 0);
        }
        return r;
}

/* Of the same field one must match, of each field given one. */
static int add_all_matches(sd_journal *j) {
        int r;

        r = add_matches(j, "TASK_ID", &arg_task_id);
        if (r >= 0)
                r = add_matches(j, "TASK_NAME", &arg_task_name);
        if (r >= 0)
                r = add_matches(j, "WORKER_ID", &arg_worker);
        return r;
}

static int check_ids(void) {
        TaskId unused;

        if (arg_task_id.n + arg_task_name.n + arg_worker.n == 0)
                return complain(CLI_USAGE,
                                "--task-id, --task-name or --worker is missing: fastworker logs %s",
                                usage.synopsis);
        for (size_t i = 0; i < arg_task_id.n; i++)
                if (task_id_from_text(arg_task_id.words[i], strlen(arg_task_id.words[i]), &unused) <
                    0)
                        return complain(
                                CLI_USAGE,
                                "--task-id: \"%s\" is not a task id: the 36 characters of a UUID",
                                arg_task_id.words[i]);
        return CLI_SUCCESS;
}

/* --- access ---------------------------------------------------------------------------------------- */

/* Whoever may not read the journal of the system sees an empty one, without an error. */
static int check_access(void) {
        static const char *const places[] = { "/var/log/journal", "/run/log/journal" };
        char id[SD_ID128_STRING_MAX], path[128];
        sd_id128_t machine;
        int error = 0;

        if (sd_id128_get_machine(&machine) < 0)
                return CLI_SUCCESS;
        (void) sd_id128_to_string(machine, id);
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                (void) snprintf(path, sizeof(path), "%s/%s/system.journal", places[i], id);
                if (access(path, R_OK) >= 0)
                        return CLI_SUCCESS;
                if (errno != ENOENT) {
                        error = errno;
                        break;
                }
        }
        if (error == 0)
                return complain(
                        CLI_TROUBLE,
                        "this machine has no journal: systemd-journald has written none. A daemon "
                        "that was started by hand logs to its standard error");
        return complain(
                CLI_TROUBLE,
                "cannot read %s: %s. The journal is for root and group systemd-journal: run this "
                "with sudo, or \"sudo usermod -aG systemd-journal $USER\" and log in again",
                path, strerror(error));
}

static int open_journal(sd_journal **ret) {
        int r;

        if (!arg_directory) {
                r = check_access();
                if (r != CLI_SUCCESS)
                        return r;
        }
        r = arg_directory ? sd_journal_open_directory(ret, arg_directory, 0)
                          : sd_journal_open(ret, SD_JOURNAL_LOCAL_ONLY);
        if (r < 0)
                return complain(CLI_TROUBLE, "cannot open the journal%s%s: %s",
                                arg_directory ? " in " : "", arg_directory ?: "", strerror(-r));
        return CLI_SUCCESS;
}

/* --- an entry -------------------------------------------------------------------------------------- */

/* The value of a field of the entry, until the next one is asked for; empty if there is none. */
static const char *get_field(sd_journal *j, const char *field, size_t *ret_size) {
        const void *data;
        size_t size, n = strlen(field) + 1;

        *ret_size = 0;
        if (sd_journal_get_data(j, field, &data, &size) < 0 || size < n)
                return "";
        *ret_size = size - n;
        return (const char *) data + n;
}

static int add_field(struct json_object *o, const char *key, sd_journal *j, const char *field) {
        _cleanup_free_ char *text = NULL;
        const char *value;
        size_t size;

        value = get_field(j, field, &size);
        if (size == 0)
                return 0;
        text = strndup(value, size);
        return text ? add_text(o, key, text) : -ENOMEM;
}

static int print_object(sd_journal *j, uint64_t usec) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        size_t size;
        int r;

        if (!o)
                return -ENOMEM;
        r = json_add_time(o, "time", usec);
        if (r >= 0)
                r = json_add_uint(o, "priority", (uint64_t) atoi(get_field(j, "PRIORITY", &size)));
        if (r >= 0)
                r = add_field(o, "task_id", j, "TASK_ID");
        if (r >= 0)
                r = add_field(o, "task_name", j, "TASK_NAME");
        if (r >= 0)
                r = add_field(o, "worker", j, "WORKER_ID");
        if (r >= 0)
                r = add_field(o, "message", j, "MESSAGE");
        if (r >= 0 && print_json(o) != CLI_SUCCESS)
                r = -EIO;
        return r;
}

static int print_line(sd_journal *j, uint64_t usec) {
        time_t seconds = (time_t) (usec / USEC_PER_SEC);
        const char *text;
        char when[64];
        struct tm tm;
        size_t size;

        (void) localtime_r(&seconds, &tm);
        (void) strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
        printf("%s.%06u ", when, (unsigned) (usec % USEC_PER_SEC));
        text = get_field(j, "WORKER_ID", &size);
        if (size == 0)
                text = get_field(j, "SYSLOG_IDENTIFIER", &size);
        print_text(stdout, text, size);
        fputs(size > 0 ? " " : "", stdout);
        text = get_field(j, "MESSAGE", &size);
        print_text(stdout, text, size);
        putchar('\n');
        return 0;
}

static int print_entry(sd_journal *j) {
        uint64_t usec;
        int r;

        r = sd_journal_get_realtime_usec(j, &usec);
        if (r < 0)
                return r;
        return arg_json == JSON_OFF ? print_line(j, usec) : print_object(j, usec);
}

/* --- all of them ----------------------------------------------------------------------------------- */

/* Before the first one to be shown. Returns 1 if it is on it already. */
static int go_to_start(sd_journal *j) {
        int r;

        if (arg_lines == 0)
                return sd_journal_seek_head(j);
        r = sd_journal_seek_tail(j);
        if (r >= 0)
                r = sd_journal_previous_skip(j, arg_lines);
        if (r < 0)
                return r;
        return r > 0 ? 1 : sd_journal_seek_head(j);
}

static int print_all(sd_journal *j) {
        int r;

        r = go_to_start(j);
        if (r == 0)
                r = sd_journal_next(j);
        for (;;) {
                while (r > 0) {
                        r = print_entry(j);
                        if (r >= 0)
                                r = sd_journal_next(j);
                }
                if (r < 0 || !arg_follow)
                        return r;
                if (fflush(stdout) != 0)
                        return -errno;
                r = sd_journal_wait(j, UINT64_MAX);
                if (r >= 0)
                        r = sd_journal_next(j);
        }
}

static int run(void) {
        sd_journal *j = NULL;
        int r;

        r = check_ids();
        if (r != CLI_SUCCESS)
                return r;
        r = open_journal(&j);
        if (r != CLI_SUCCESS)
                return r;
        /* Else long messages would be cut. */
        r = sd_journal_set_data_threshold(j, 0);
        if (r >= 0)
                r = add_all_matches(j);
        if (r >= 0)
                r = print_all(j);
        sd_journal_close(j);
        if (r == -ENOMEM)
                return complain_oom();
        return r < 0 ? complain(CLI_TROUBLE, "cannot read the journal: %s", strerror(-r))
                     : CLI_SUCCESS;
}

/* The short options of journalctl(1), which everybody types. */
static void spell_out(int argc, char *argv[]) {
        static char follow[] = "--follow", lines[] = "--lines";

        for (int i = 1; i < argc && !streq(argv[i], "--"); i++) {
                if (streq(argv[i], "-f"))
                        argv[i] = follow;
                else if (streq(argv[i], "-n"))
                        argv[i] = lines;
        }
}

int verb_logs(int argc, char *argv[]) {
        int r;

        spell_out(argc, argv);
        r = run_with_options(&usage, argc, argv, run);
        words_done(&arg_task_id);
        words_done(&arg_task_name);
        words_done(&arg_worker);
        return r;
}
