/* SPDX-License-Identifier: MIT */

/* A client of FastWorker in C: one call that waits, then many tasks at once in a poll() loop.
 *
 *     cc -o client client.c $(pkg-config --cflags --libs fastworker)
 *     ./client /usr/share/common-licenses/GPL-3 ...
 *
 * Wants a coordinator where fastworker_client_connect() looks for it, and a subworker with examples/mytasks.c:
 *
 *     fastworker control-plane &
 *     fastworker subworker --worker-id sw1 --control-plane-address tcp://127.0.0.1:5555 \
 *             --module-path . --task-modules mytasks & */

#define _GNU_SOURCE 1 /* asprintf() */

#include <fastworker/client.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS 1000000ULL

typedef struct Count {
        unsigned succeeded, failed;
} Count;

static void die(fastworker_client *c, const char *what) {
        fprintf(stderr, "%s: %s\n", what, fastworker_client_get_error(c));
        exit(EXIT_FAILURE);
}

/* A JSON string; good enough for file names of printable ASCII. */
static char *quote(const char *s) {
        char *text = malloc(2 * strlen(s) + 3), *p = text;

        if (!text)
                return NULL;
        *p++ = '"';
        for (; *s; s++) {
                if (*s == '"' || *s == '\\')
                        *p++ = '\\';
                *p++ = *s;
        }
        strcpy(p, "\"");
        return text;
}

static void on_result(fastworker_client *c, const fastworker_result *result, void *userdata) {
        const char *file = fastworker_result_userdata(result);
        Count *count = userdata;

        if (fastworker_result_is_success(result)) {
                count->succeeded++;
                printf("%s  %s\n", fastworker_result_data(result, NULL), file);
        } else {
                count->failed++;
                fprintf(stderr, "%s: %s: %s\n", file, fastworker_result_status(result),
                        fastworker_result_error(result));
        }
}

/* How poll() wants it: milliseconds from now, rounded up, -1 for ever. */
static int poll_timeout(fastworker_client *c) {
        struct timespec ts;
        uint64_t until, now;

        fastworker_client_get_timeout(c, &until);
        if (until == UINT64_MAX)
                return -1;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        now = (uint64_t) ts.tv_sec * SECONDS + (uint64_t) ts.tv_nsec / 1000;
        return until <= now ? 0 : (int) ((until - now + 999) / 1000);
}

static void run_until_all_is_done(fastworker_client *c) {
        while (fastworker_client_get_pending(c) > 0) {
                struct pollfd fd = { .fd = fastworker_client_get_fd(c), .events = POLLIN };
                int r = fastworker_client_process(c);

                if (r < 0)
                        die(c, "process");
                /* The descriptor may be trusted only after process() found nothing to do. */
                if (r == 0)
                        (void) poll(&fd, 1, poll_timeout(c));
        }
}

static void submit_file(fastworker_client *c, char *file) {
        char *name = quote(file), *arguments = NULL;
        fastworker_submission s = { .name = "sha256", .priority = "low", .userdata = file };

        if (!name || asprintf(&arguments, "{\"args\":[%s]}", name) < 0) {
                fprintf(stderr, "Out of memory.\n");
                exit(EXIT_FAILURE);
        }
        s.arguments = arguments;
        if (fastworker_submit_async(c, &s) < 0)
                die(c, file);
        free(arguments);
        free(name);
}

int main(int argc, char *argv[]) {
        fastworker_submission add = { .name = "add", .arguments = "{\"args\":[5,3]}" };
        fastworker_client *c;
        fastworker_result *result;
        Count count = { 0 };

        if (fastworker_client_new(&c) < 0)
                return EXIT_FAILURE;
        if (fastworker_client_connect(c) < 0)
                die(c, "connect");

        /* One task, and wait for it. */
        if (fastworker_submit_and_wait(c, &add, 10 * SECONDS, &result) < 0)
                die(c, "add");
        printf("add(5, 3) = %s\n", fastworker_result_is_success(result)
                                           ? fastworker_result_data(result, NULL)
                                           : fastworker_result_error(result));
        fastworker_result_free(result);

        /* Many, and their results as they come. */
        fastworker_on_result(c, on_result, &count);
        for (int i = 1; i < argc; i++)
                submit_file(c, argv[i]);
        run_until_all_is_done(c);
        if (argc > 1)
                printf("%u succeeded, %u failed\n", count.succeeded, count.failed);

        fastworker_client_free(c);
        return count.failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
