/* SPDX-License-Identifier: MIT */

/* A task module: what add(5, 3), sleep(0.1), sha256("/etc/hostname") and so on do when submitted as tasks.
 *
 *     cc -shared -fPIC -o mytasks.so mytasks.c $(pkg-config --cflags --libs fastworker json-c libmd)
 *
 * Arguments are JSON, {"args":[...],"kwargs":{...}}; json-c reads them here, any other library would do. */

#include <ctype.h>
#include <errno.h>
#include <fastworker/task.h>
#include <json-c/json.h>
#include <sha2.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

/* --- arguments ------------------------------------------------------------------------------------ */

static struct json_object *parse_arguments(fastworker_call *call) {
        struct json_object *o;
        size_t size;
        const char *text = fastworker_arguments(call, &size);

        if (size == 0)
                return json_object_new_object();
        o = json_tokener_parse(text);
        if (!json_object_is_type(o, json_type_object)) {
                json_object_put(o);
                return NULL;
        }
        return o;
}

/* The argument at `position`, or the one called `name`; NULL if there is neither. Borrowed. */
static struct json_object *get_argument(struct json_object *arguments, size_t position,
                                        const char *name) {
        struct json_object *args, *kwargs, *value;

        if (json_object_object_get_ex(arguments, "args", &args) &&
            json_object_is_type(args, json_type_array) && position < json_object_array_length(args))
                return json_object_array_get_idx(args, position);
        if (json_object_object_get_ex(arguments, "kwargs", &kwargs) &&
            json_object_object_get_ex(kwargs, name, &value))
                return value;
        return NULL;
}

static bool is_number(struct json_object *o) {
        return json_object_is_type(o, json_type_int) || json_object_is_type(o, json_type_double);
}

/* The file that the first argument names, opened; or NULL, and the task has failed with the reason. */
static FILE *open_argument(fastworker_call *call, struct json_object *arguments) {
        struct json_object *path = arguments ? get_argument(arguments, 0, "path") : NULL;
        char text[512];
        FILE *f;

        if (!json_object_is_type(path, json_type_string)) {
                (void) fastworker_fail(call, "needs the path of a file as its argument");
                return NULL;
        }
        f = fopen(json_object_get_string(path), "re");
        if (!f) {
                (void) snprintf(text, sizeof(text), "%s: %s", json_object_get_string(path),
                                strerror(errno));
                (void) fastworker_fail(call, text);
        }
        return f;
}

/* --- tasks ---------------------------------------------------------------------------------------- */

static int task_noop(fastworker_call *call) {
        return 0;
}

static int return_sum(fastworker_call *call, struct json_object *a, struct json_object *b) {
        char text[64];
        int64_t sum;

        if (json_object_is_type(a, json_type_int) && json_object_is_type(b, json_type_int)) {
                if (__builtin_add_overflow(json_object_get_int64(a), json_object_get_int64(b),
                                           &sum))
                        return fastworker_fail(call, "the sum does not fit into 64 bits");
                (void) snprintf(text, sizeof(text), "%lld", (long long) sum);
        } else
                (void) snprintf(text, sizeof(text), "%.17g",
                                json_object_get_double(a) + json_object_get_double(b));
        return fastworker_return(call, text);
}

static int task_add(fastworker_call *call) {
        struct json_object *arguments = parse_arguments(call);
        struct json_object *a = arguments ? get_argument(arguments, 0, "a") : NULL;
        struct json_object *b = arguments ? get_argument(arguments, 1, "b") : NULL;
        int r;

        if (is_number(a) && is_number(b))
                r = return_sum(call, a, b);
        else
                r = fastworker_fail(call, "needs two numbers");
        json_object_put(arguments);
        return r;
}

static int task_sleep(fastworker_call *call) {
        struct json_object *arguments = parse_arguments(call);
        struct json_object *value = arguments ? get_argument(arguments, 0, "seconds") : NULL;
        double seconds = is_number(value) ? json_object_get_double(value) : -1;
        struct timespec left;

        json_object_put(arguments);
        if (!(seconds >= 0 && seconds <= 1e9))
                return fastworker_fail(call, "needs a number of seconds");

        left.tv_sec = (time_t) seconds;
        left.tv_nsec = (long) ((seconds - (double) left.tv_sec) * 1e9);
        while (nanosleep(&left, &left) < 0 && errno == EINTR)
                ; /* a signal does not end the sleep */
        return 0;
}

static int task_fail(fastworker_call *call) {
        struct json_object *arguments = parse_arguments(call);
        struct json_object *text = arguments ? get_argument(arguments, 0, "text") : NULL;
        int r;

        r = fastworker_fail(call, text ? json_object_get_string(text) : "failed as asked");
        json_object_put(arguments);
        return r;
}

/* Ends its process: by SIGSEGV, or by what its argument says. */
static int task_crash(fastworker_call *call) {
        struct json_object *arguments = parse_arguments(call);
        struct json_object *how = arguments ? get_argument(arguments, 0, "how") : NULL;
        char text[16];

        (void) snprintf(text, sizeof(text), "%s", how ? json_object_get_string(how) : "segv");
        json_object_put(arguments);

        fastworker_log(call, LOG_NOTICE, "About to crash as asked (%s).", text);
        if (strcmp(text, "abort") == 0)
                abort();
        if (strcmp(text, "exit") == 0)
                exit(3);
        (void) signal(SIGSEGV, SIG_DFL);
        (void) raise(SIGSEGV);
        return fastworker_fail(call, "still here");
}

static int task_sha256(fastworker_call *call) {
        struct json_object *arguments = parse_arguments(call);
        FILE *f = open_argument(call, arguments);
        char buffer[16384], digest[SHA256_DIGEST_STRING_LENGTH],
                text[SHA256_DIGEST_STRING_LENGTH + 2];
        SHA2_CTX context;
        size_t n;
        bool failed;

        json_object_put(arguments);
        if (!f)
                return -EIO;

        SHA256Init(&context);
        while ((n = fread(buffer, 1, sizeof(buffer), f)) > 0)
                SHA256Update(&context, (const uint8_t *) buffer, n);
        failed = ferror(f);
        (void) fclose(f);
        if (failed)
                return fastworker_fail(call, "the file cannot be read");

        (void) snprintf(text, sizeof(text), "\"%s\"", SHA256End(&context, digest));
        return fastworker_return(call, text);
}

static int task_wordcount(fastworker_call *call) {
        struct json_object *arguments = parse_arguments(call);
        FILE *f = open_argument(call, arguments);
        unsigned long long lines = 0, words = 0, bytes = 0;
        bool in_word = false, failed;
        char text[128];
        int c;

        json_object_put(arguments);
        if (!f)
                return -EIO;

        while ((c = getc_unlocked(f)) != EOF) {
                bytes++;
                if (c == '\n')
                        lines++;
                if (!isspace(c) && !in_word)
                        words++;
                in_word = !isspace(c);
        }
        failed = ferror(f);
        (void) fclose(f);
        if (failed)
                return fastworker_fail(call, "the file cannot be read");

        (void) snprintf(text, sizeof(text), "{\"lines\":%llu,\"words\":%llu,\"bytes\":%llu}", lines,
                        words, bytes);
        return fastworker_return(call, text);
}

FASTWORKER_MODULE(FASTWORKER_TASK("add", task_add, "Adds two numbers: add(a, b)."),
                  FASTWORKER_TASK("sleep", task_sleep,
                                  "Sleeps for some seconds, also fractions: sleep(seconds)."),
                  FASTWORKER_TASK("fail", task_fail, "Fails with a text: fail(text)."),
                  FASTWORKER_TASK("crash", task_crash,
                                  "Kills its process: crash(\"segv\", \"abort\" or \"exit\")."),
                  FASTWORKER_TASK("sha256", task_sha256,
                                  "The SHA-256 of a file in hexadecimal digits: sha256(path)."),
                  FASTWORKER_TASK("wordcount", task_wordcount,
                                  "Counts lines, words and bytes of a file: wordcount(path)."),
                  FASTWORKER_TASK("noop", task_noop, "Does nothing."));
