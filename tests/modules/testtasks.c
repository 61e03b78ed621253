/* SPDX-License-Identifier: MIT */

/* Tasks for the black-box tests and the benchmark. What they do is decided by the test: nothing here waits
 * for a time to pass. */

#include <errno.h>
#include <fastworker/task.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int noop(fastworker_call *call) {
        return 0;
}

/* Gives its arguments back. */
static int echo(fastworker_call *call) {
        size_t size;
        const char *arguments = fastworker_arguments(call, &size);

        return fastworker_return_bytes(call, arguments, size);
}

/* The n-th positional argument as text, or NULL; to be freed with json_object_put(*object). */
static const char *text_argument(fastworker_call *call, size_t n, struct json_object **object) {
        struct json_object *args, *value;

        if (!*object)
                *object = json_tokener_parse(fastworker_arguments(call, NULL));
        if (!json_object_object_get_ex(*object, "args", &args) ||
            !json_object_is_type(args, json_type_array))
                return NULL;
        value = json_object_array_get_idx(args, n);
        return value ? json_object_get_string(value) : NULL;
}

static int write_line(const char *path, const char *text, int flags) {
        int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);
        ssize_t n;
        char line[512];
        int length;

        if (fd < 0)
                return -errno;
        length = snprintf(line, sizeof(line), "%s\n", text);
        n = write(fd, line, (size_t) length);
        (void) close(fd);
        return n == length ? 0 : -EIO;
}

/* record PATH TEXT: adds a line to a file. */
static int record(fastworker_call *call) {
        struct json_object *o = NULL;
        const char *path = text_argument(call, 0, &o), *text = text_argument(call, 1, &o);
        int r;

        r = path && text ? write_line(path, text, O_APPEND | O_CREAT) : -EINVAL;
        json_object_put(o);
        return r;
}

/* hold DIRECTORY: tells the FIFO DIRECTORY/started "TASK-ID ATTEMPT PID", then waits until somebody opened
 * the FIFO DIRECTORY/gate for writing and closed it; returns the attempt. */
static int hold(fastworker_call *call) {
        struct json_object *o = NULL;
        const char *directory = text_argument(call, 0, &o);
        char path[256], line[128], byte;
        int fd, r;

        if (!directory) {
                json_object_put(o);
                return -EINVAL;
        }
        (void) snprintf(path, sizeof(path), "%s/started", directory);
        (void) snprintf(line, sizeof(line), "%s %u %d", fastworker_task_id(call),
                        fastworker_attempt(call), (int) getpid());
        r = write_line(path, line, 0);
        (void) snprintf(path, sizeof(path), "%s/gate", directory);
        json_object_put(o);
        if (r < 0)
                return r;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        while (read(fd, &byte, 1) > 0)
                ;
        (void) close(fd);
        (void) snprintf(line, sizeof(line), "%u", fastworker_attempt(call));
        return fastworker_return(call, line);
}

static _Noreturn void stubborn(int fd) {
        char line[32];
        int n = snprintf(line, sizeof(line), "%d\n", (int) getpid());

        (void) signal(SIGTERM, SIG_IGN);
        (void) signal(SIGHUP, SIG_IGN);
        (void) !write(fd, line, (size_t) n);
        for (;;)
                (void) pause();
}

/* crowd DIRECTORY WAIT: starts 50 processes, 25 of them in sessions of their own with a parent that is gone, which
 * ignore signals and write their numbers to DIRECTORY/pids; if WAIT is "wait", runs on as hold. */
static int crowd(fastworker_call *call) {
        struct json_object *o = NULL;
        const char *directory = text_argument(call, 0, &o), *how = text_argument(call, 1, &o);
        bool wait = how && strcmp(how, "wait") == 0;
        char path[256];
        int fd, r = 0;

        if (!directory) {
                json_object_put(o);
                return -EINVAL;
        }
        (void) snprintf(path, sizeof(path), "%s/pids", directory);
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        for (int i = 0; i < 50 && fd >= 0 && r >= 0; i++) {
                pid_t pid = fork();

                r = pid < 0 ? -errno : 0;
                if (pid != 0)
                        continue;
                if (i % 2 == 0) {
                        (void) setsid();
                        if (fork() != 0)
                                _exit(0);
                }
                stubborn(fd);
        }
        if (fd < 0)
                r = -errno;
        else
                (void) close(fd);
        json_object_put(o);
        return r < 0 || !wait ? r : hold(call);
}

/* die HOW: "abort", "segv", "kill", or "exit". */
static int die(fastworker_call *call) {
        struct json_object *o = NULL;
        const char *how = text_argument(call, 0, &o);

        if (!how)
                return -EINVAL;
        if (strcmp(how, "abort") == 0)
                abort();
        if (strcmp(how, "segv") == 0)
                (void) raise(SIGSEGV);
        if (strcmp(how, "kill") == 0)
                (void) raise(SIGKILL);
        if (strcmp(how, "exit") == 0)
                _exit(7);
        json_object_put(o);
        return -EINVAL;
}

static unsigned long number_argument(fastworker_call *call, size_t n) {
        struct json_object *o = NULL;
        const char *text = text_argument(call, n, &o);
        unsigned long value = text ? strtoul(text, NULL, 10) : 0;

        json_object_put(o);
        return value;
}

/* swell MEGABYTES HOW: takes so much memory and uses it; if there is not so much, fails, or if HOW is "blindly",
 * crashes. */
static int swell(fastworker_call *call) {
        unsigned long n = number_argument(call, 0);
        struct json_object *o = NULL;
        const char *how = text_argument(call, 1, &o);
        bool blindly = how && strcmp(how, "blindly") == 0;
        char *p = malloc(n << 20);

        json_object_put(o);
        if (!p && !blindly)
                return -ENOMEM;
        for (volatile char *q = p; q < p + (n << 20); q += 4096)
                *q = 1;
        free(p);
        return 0;
}

/* leak MEGABYTES: the same, and does not give it back. */
static int leak(fastworker_call *call) {
        static char *volatile kept; /* the compiler is not to know that nobody reads it */
        unsigned long n = number_argument(call, 0);

        kept = malloc(n << 20);
        if (!kept)
                return -ENOMEM;
        memset(kept, 1, n << 20);
        return 0;
}

/* Leaves its process with nothing to speak through. */
static int close_all(fastworker_call *call) {
        return close_range(0, ~0U, 0) < 0 ? -errno : 0;
}

/* shout MEGABYTES: writes so much to standard error. */
static int shout(fastworker_call *call) {
        static char line[4096];

        memset(line, 'x', sizeof(line));
        line[sizeof(line) - 1] = '\n';
        for (unsigned long i = number_argument(call, 0) << 8; i > 0; i--)
                if (write(STDERR_FILENO, line, sizeof(line)) < 0)
                        return -errno;
        return 0;
}

/* spin MILLISECONDS: uses the processor for so long. */
static int spin(fastworker_call *call) {
        clock_t end = clock() + (clock_t) number_argument(call, 0) * CLOCKS_PER_SEC / 1000;

        while (clock() < end)
                ;
        return 0;
}

/* hold-and-die DIRECTORY: like hold, and then the process is killed. */
static int hold_and_die(fastworker_call *call) {
        int r;

        r = hold(call);
        return r < 0 ? r : raise(SIGKILL);
}

/* die-unless PATH: crashes as long as there is no such file. */
static int die_unless(fastworker_call *call) {
        struct json_object *o = NULL;
        const char *path = text_argument(call, 0, &o);
        bool is_there = path && access(path, F_OK) >= 0;

        json_object_put(o);
        return is_there ? 0 : raise(SIGSEGV);
}

/* fail TEXT, or fail with a number alone: returns that. */
static int fail(fastworker_call *call) {
        struct json_object *o = NULL;
        const char *text = text_argument(call, 0, &o);
        int r;

        if (text && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9')))
                r = atoi(text);
        else
                r = fastworker_fail(call, text ? text : "");
        json_object_put(o);
        return r;
}

/* The names of all environment variables, and the open descriptors. */
static int surroundings(fastworker_call *call) {
        struct json_object *o = json_object_new_object(), *names = json_object_new_array(),
                           *descriptors = json_object_new_array();
        int r;

        for (char **e = environ; *e; e++)
                json_object_array_add(names,
                                      json_object_new_string_len(*e, (int) strcspn(*e, "=")));
        for (int fd = 0; fd < 64; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        json_object_array_add(descriptors, json_object_new_int(fd));
        json_object_object_add(o, "environment", names);
        json_object_object_add(o, "descriptors", descriptors);
        json_object_object_add(o, "pid", json_object_new_int(getpid()));
        r = fastworker_return(call, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
        json_object_put(o);
        return r;
}

/* big N: a result of N bytes. */
static int big(fastworker_call *call) {
        struct json_object *o = NULL;
        const char *text = text_argument(call, 0, &o);
        size_t n = text ? strtoul(text, NULL, 10) : 0;
        char *s;
        int r;

        json_object_put(o);
        if (n < 2)
                return -EINVAL;
        s = malloc(n);
        if (!s)
                return -ENOMEM;
        memset(s, 'x', n);
        s[0] = s[n - 1] = '"';
        r = fastworker_return_bytes(call, s, n);
        free(s);
        return r;
}

/* Returns a text that no other execution returns. */
static int token(fastworker_call *call) {
        uint8_t bytes[16];
        char text[2 * sizeof(bytes) + 3], *p = text;

        if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t) sizeof(bytes))
                return -EIO;
        *p++ = '"';
        for (size_t i = 0; i < sizeof(bytes); i++)
                p += sprintf(p, "%02x", bytes[i]);
        *p++ = '"';
        return fastworker_return_bytes(call, text, (size_t) (p - text));
}

static int say(fastworker_call *call) {
        struct json_object *o = NULL;
        const char *text = text_argument(call, 0, &o);

        fastworker_log(call, LOG_INFO, "%s", text ? text : "");
        json_object_put(o);
        return 0;
}

/* Writes its argument to standard output, and to standard error without a newline. */
static int print(fastworker_call *call) {
        struct json_object *o = NULL;
        const char *text = text_argument(call, 0, &o);

        printf("%s\n", text ? text : "");
        fprintf(stderr, "%s", text ? text : "");
        json_object_put(o);
        return 0;
}

/* brood USEC FORK: takes so long, itself or in a child; returns how that ended. */
static int brood(fastworker_call *call) {
        struct json_object *o = NULL;
        const char *usec = text_argument(call, 0, &o), *how = text_argument(call, 1, &o);
        long n = usec ? atol(usec) : 0;
        struct timespec time = { .tv_nsec = n * 1000 };
        bool is_child = how && strcmp(how, "fork") == 0;
        int status = 0;
        char text[16];
        pid_t pid;

        json_object_put(o);
        pid = is_child ? fork() : 0;
        if (pid < 0)
                return -errno;
        if (pid == 0 && n > 0)
                (void) nanosleep(&time, NULL);
        if (pid == 0 && is_child)
                _exit(0);
        if (pid > 0 && waitpid(pid, &status, 0) < 0)
                return -errno;
        (void) snprintf(text, sizeof(text), "%d", status);
        return fastworker_return(call, text);
}

FASTWORKER_MODULE(FASTWORKER_TASK("noop", noop, "Does nothing."),
                  FASTWORKER_TASK("echo", echo, "Gives its arguments back."),
                  FASTWORKER_TASK("record", record, "Adds a line to a file."),
                  FASTWORKER_TASK("hold", hold, "Runs until the test lets it go."),
                  FASTWORKER_TASK("die", die, "Ends its process."),
                  FASTWORKER_TASK("crowd", crowd, "Starts many processes."),
                  FASTWORKER_TASK("brood", brood, "Starts a process and waits for it."),
                  FASTWORKER_TASK("swell", swell, "Uses memory."),
                  FASTWORKER_TASK("leak", leak, "Keeps memory."),
                  FASTWORKER_TASK("close-all", close_all, "Closes its descriptors."),
                  FASTWORKER_TASK("shout", shout, "Writes much to standard error."),
                  FASTWORKER_TASK("spin", spin, "Uses the processor."),
                  FASTWORKER_TASK("hold-and-die", hold_and_die, "Runs until let go, and crashes."),
                  FASTWORKER_TASK("die-unless", die_unless, "Crashes unless a file is there."),
                  FASTWORKER_TASK("fail-with", fail, "Fails with a text or a number."),
                  FASTWORKER_TASK("surroundings", surroundings,
                                  "Shows environment and descriptors."),
                  FASTWORKER_TASK("big", big, "Gives a result of a given size."),
                  FASTWORKER_TASK("token", token, "Returns what no other execution returns."),
                  FASTWORKER_TASK("say", say, "Writes a line to the log."),
                  FASTWORKER_TASK("print-a", print, "Writes to its output."),
                  FASTWORKER_TASK("print-b", print, "Writes to its output."));
