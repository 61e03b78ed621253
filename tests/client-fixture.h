/* SPDX-License-Identifier: MIT */
#pragma once

/* A fake coordinator and a client of it for each test. */

#include <fastworker/client.h>

#include "check-util.h"
#include "fake-coordinator.h"

#define LONG_USEC UINT64_C(20000000) /* never reached unless something is broken */

static Fake *fake;
static fastworker_client *client;

/* No test may find a coordinator of the machine. */
_unused_ static void clean_environment(void) {
        static const char *const variables[] = { "FASTWORKER_BASE_ADDRESS",
                                                 "FASTWORKER_DISCOVERY_ADDRESS",
                                                 "FASTWORKER_TIMEOUT", "FASTWORKER_RETRIES" };

        for (size_t i = 0; i < ELEMENTSOF(variables); i++)
                unsetenv(variables[i]);
        setenv("FASTWORKER_LOCAL_SOCKET", "", 1);
}

/* Where a test's own coordinator listens; static. */
_unused_ static const char *private_address(const char *name) {
        static char address[sizeof(test_directory) + 40];

        (void) snprintf(address, sizeof(address), "ipc://%s/%s", test_directory, name);
        return address;
}

_unused_ static void setup_nothing(void) {
        clean_environment();
        setup_directory();
        ck_assert_int_eq(fastworker_client_new(&client), 0);
}

_unused_ static void setup_connected(void) {
        setup_nothing();
        fake = fake_new(private_address("control.sock"));
        ck_assert_int_eq(fastworker_client_set_address(client, fake_address(fake)), 0);
        ck_assert_int_eq(fastworker_client_connect(client), 0);
}

_unused_ static void teardown_all(void) {
        client = fastworker_client_free(client);
        fake = fake_free(fake);
        teardown_directory();
}

#define ck_assert_ok(expression)                                                     \
        do {                                                                         \
                int _result = (expression);                                          \
                ck_assert_msg(_result >= 0, "%s gives %d: %s", #expression, _result, \
                              fastworker_client_get_error(client));                  \
        } while (false)

#define ck_assert_fails(expression, error, text)                               \
        do {                                                                   \
                ck_assert_int_eq((expression), -(error));                      \
                ck_assert_contains(fastworker_client_get_error(client), text); \
        } while (false)

/* Results as they came. */
typedef struct Seen {
        size_t n_results, n_success, n_accepted;
        char last_status[32], last_error[256], last_code[65], last_data[256];
        unsigned char count[100000]; /* by userdata, an index */
} Seen;

_unused_ static void count_result(fastworker_client *c, const fastworker_result *r,
                                  void *userdata) {
        Seen *seen = userdata;
        size_t i = (size_t) (uintptr_t) fastworker_result_userdata(r);

        ck_assert_uint_lt(i, ELEMENTSOF(seen->count));
        seen->count[i]++;
        seen->n_results++;
        seen->n_success += (size_t) fastworker_result_is_success(r);
        (void) snprintf(seen->last_status, sizeof(seen->last_status), "%s",
                        fastworker_result_status(r));
        (void) snprintf(seen->last_error, sizeof(seen->last_error), "%s",
                        fastworker_result_error(r));
        (void) snprintf(seen->last_code, sizeof(seen->last_code), "%s",
                        fastworker_result_error_code(r));
        (void) snprintf(seen->last_data, sizeof(seen->last_data), "%s",
                        fastworker_result_data(r, NULL));
}

_unused_ static void count_accepted(fastworker_client *c, const char *task_id, void *task_userdata,
                                    void *userdata) {
        Seen *seen = userdata;

        ck_assert_uint_eq(strlen(task_id), FASTWORKER_TASK_ID_SIZE - 1);
        seen->n_accepted++;
}

_unused_ static Seen *watch_results(void) {
        static Seen seen;

        memset(&seen, 0, sizeof(seen));
        ck_assert_ok(fastworker_on_result(client, count_result, &seen));
        ck_assert_ok(fastworker_on_accepted(client, count_accepted, &seen));
        return &seen;
}

/* Runs the client until all results are there. */
_unused_ static void run_until_done(void) {
        while (fastworker_client_get_pending(client) > 0) {
                int r = fastworker_client_run(client, LONG_USEC);

                ck_assert_ok(r);
                ck_assert_msg(r > 0, "nothing happened for too long");
        }
}

_unused_ static void submit_many(const char *name, size_t first, size_t n) {
        for (size_t i = first; i < first + n; i++) {
                fastworker_submission s = { .name = name,
                                            .arguments = "{\"args\":[5,3]}",
                                            .userdata = (void *) (uintptr_t) i };

                ck_assert_ok(fastworker_submit_async(client, &s));
        }
}
