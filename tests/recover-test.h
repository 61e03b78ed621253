/* SPDX-License-Identifier: MIT */
#pragma once

/* A coordinator with a real store that is restarted, for the tests of what comes back. */

#include "controld-fixture.h"
#include "persist.h"
#include "turn.h"
#include "worker-care.h"

static inline void restart(void) {
        if (fixture->settings->durability != STORE_NONE)
                fixture_settle();
        fixture_restart(STORE_PROCESS, test_directory);
        fixture->grace_until_usec = 0;
}

static inline void setup(void) {
        setup_directory();
        fixture_setup();
        restart();
}

static inline void teardown(void) {
        fixture_teardown();
        teardown_directory();
}

/* A worker by this name, over a connection of the same name, that holds these leases. */
static inline const WireMessage *register_worker(const char *id, unsigned capacity,
                                                 const TaskId leases[], uint32_t attempt,
                                                 size_t n) {
        WireOut *out = fixture_begin(WIRE_REGISTER);

        wire_put_string(out, id);
        wire_put_number(out, 4);
        wire_put_number(out, capacity);
        wire_put_string(out,
                        "{\"types\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"host\":\"h\",\"pid\":7}");
        for (size_t i = 0; i < n; i++) {
                wire_put_task_id(out, &leases[i]);
                wire_put_number(out, attempt);
        }
        fixture_request(id, ENDPOINT_WORKER);
        return fixture_take(id, WIRE_REGISTERED);
}

static inline void send_submit(const char *type, const char *priority, const char *key,
                               const char *options) {
        WireOut *out = fixture_begin(WIRE_SUBMIT);

        wire_put_string(out, "");
        wire_put_string(out, type);
        wire_put_string(out, priority);
        wire_put_string(out, key);
        wire_put_string(out, "[7]");
        wire_put_string(out, options);
        fixture_request("client", ENDPOINT_CLIENT);
        fixture_settle();
}

static inline TaskId submit(const char *type, const char *priority, const char *key,
                            const char *options) {
        send_submit(type, priority, key, options);
        return fixture_id(fixture_take("client", WIRE_ACCEPTED), 0);
}

static inline TaskId submit_plain(void) {
        return submit("a", "", "", "");
}

static inline Task *find(const TaskId *id) {
        Task *t = task_find(&fixture->tasks, id);

        ck_assert_ptr_nonnull(t);
        return t;
}

static inline void dispatch(const char *worker) {
        turn_end(fixture);
        fixture_take(worker, WIRE_TASKS);
}

static inline void send_done(const char *worker, const TaskId *id, uint32_t attempt,
                             const char *outcome) {
        WireOut *out = fixture_begin(WIRE_DONE);

        wire_put_task_id(out, id);
        wire_put_number(out, attempt);
        wire_put_string(out, outcome);
        wire_put_string(out, "8");
        wire_put_string(out, "why");
        wire_put_number(out, 0);
        wire_put_number(out, 0);
        wire_put_string(out, "");
        fixture_request(worker, ENDPOINT_WORKER);
        fixture_settle();
        fixture_take(worker, WIRE_ACK);
}

/* The last that was said to the store has not reached it. */
static inline void crash(void) {
        ck_assert_int_eq(store_begin(fixture->store), 0);
        fixture_restart(STORE_PROCESS, test_directory);
        fixture->grace_until_usec = 0;
}

/* Without telling the store yet. */
static inline void grant(const char *worker, const TaskId *id, uint32_t attempt) {
        Task *t = fixture_pop(PRIORITY_NORMAL);

        ck_assert_ptr_eq(t, find(id));
        lease_grant(fixture, worker_find(&fixture->workers, worker), t);
        ck_assert_uint_eq(t->attempt, attempt);
}

/* Two tasks at w1, the second of which runs. */
static inline void hand_out(TaskId ids[static 2]) {
        WireOut *out;

        register_worker("w1", 2, NULL, 0, 0);
        ids[0] = submit_plain();
        ids[1] = submit_plain();
        dispatch("w1");
        out = fixture_begin(WIRE_STARTED);
        wire_put_task_id(out, &ids[1]);
        wire_put_number(out, 1);
        wire_put_number(out, find(&ids[1])->created_usec + 1);
        fixture_request("w1", ENDPOINT_WORKER);
        restart();
}
