/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "fake-store.h"
#include "persist.h"
#include "store-driver.h"

/* Not with ck_assert(), which allocates also if all is well and so would take the failure that a test means for
 * others. */
#define require(condition)                                  \
        do {                                                \
                if (!(condition))                           \
                        ck_abort_msg("not %s", #condition); \
        } while (false)

FakeStore fake_store;

static uint64_t committed; /* how many of the changes */

static int add(const FakeChange *change) {
        if (fake_store.error < 0) {
                int r = fake_store.error;

                fake_store.error = 0;
                return r;
        }
        require(fake_store.n_changes < ELEMENTSOF(fake_store.changes));
        fake_store.changes[fake_store.n_changes] = *change;
        fake_store.changes[fake_store.n_changes++].ticket = fake_store.ticket + 1;
        return 0;
}

static void copy(char *to, size_t size, const struct iovec *from) {
        require(from->iov_len < size);
        if (from->iov_len > 0)
                memcpy(to, from->iov_base, from->iov_len);
}

static FakeChange change_of(FakeChangeKind kind, const StoreTask *t) {
        FakeChange c = {
                .kind = kind,
                .sequence = t->sequence,
                .state = t->state,
                .attempt = t->attempt,
                .crashes = t->crashes,
                .cancel_asked = t->cancel_asked,
        };

        if (t->worker)
                (void) snprintf(c.worker, sizeof(c.worker), "%s", t->worker);
        copy(c.result, sizeof(c.result), &t->result);
        copy(c.error, sizeof(c.error), &t->error);
        return c;
}

static int fake_load(Store *s, const StoreLoad *load, char **ret_error) {
        return 0;
}

static int fake_submit(Store *s, const StoreTask *tasks, size_t n) {
        for (size_t i = 0; i < n; i++) {
                FakeChange c = change_of(FAKE_SUBMIT, &tasks[i]);
                int r = add(&c);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int fake_update(Store *s, const StoreTask *t) {
        FakeChange c = change_of(FAKE_UPDATE, t);

        return add(&c);
}

static int fake_forget(Store *s, uint64_t sequence) {
        return add(&(FakeChange){ .kind = FAKE_FORGET, .sequence = sequence });
}

static int fake_set_paused(Store *s, const char *what, bool paused) {
        return add(&(FakeChange){ .kind = FAKE_PAUSE });
}

static int fake_add_type(Store *s, const char *name) {
        return add(&(FakeChange){ .kind = FAKE_TYPE });
}

static int fake_set_schedule(Store *s, const StoreSchedule *schedule, bool with_progress) {
        return add(&(FakeChange){ .kind = with_progress ? FAKE_SCHEDULE_AND_PROGRESS
                                                        : FAKE_SCHEDULE });
}

static int fake_move_schedule(Store *s, const StoreSchedule *schedule, const StoreTask *tasks,
                              size_t n) {
        int r = add(&(FakeChange){ .kind = FAKE_PROGRESS, .n_runs = schedule->n_runs });

        return r < 0 ? r : fake_submit(s, tasks, n);
}

static int fake_forget_schedule(Store *s, const char *name) {
        return add(&(FakeChange){ .kind = FAKE_FORGET_SCHEDULE });
}

static int fake_begin(Store *s) {
        return 0;
}

static int fake_hurry(Store *s) {
        fake_store.n_hurries++;
        return 0;
}

static uint64_t fake_commit(Store *s) {
        if (fake_store.n_changes > committed)
                fake_store.ticket++;
        committed = fake_store.n_changes;
        return fake_store.ticket;
}

static uint64_t fake_safe_ticket(const Store *s) {
        return fake_store.safe;
}

static int fake_sync(Store *s) {
        return 0;
}

static size_t fake_backlog_bytes(const Store *s) {
        return 0;
}

static bool fake_is_full(const Store *s) {
        return fake_store.is_full;
}

static uint64_t fake_lacking_bytes(const Store *s) {
        return fake_store.lacking;
}

static int fake_backup(Store *s, const char *path, StoreBackupDone done, void *userdata) {
        if (fake_store.backup_error < 0)
                return fake_store.backup_error;
        (void) snprintf(fake_store.backup, sizeof(fake_store.backup), "%s", path);
        fake_store.backup_done = done;
        fake_store.backup_userdata = userdata;
        return 0;
}

static void fake_get_stats(Store *s, StoreStats *ret) {
        *ret = (StoreStats){};
}

static Store *fake_close(Store *s) {
        return NULL;
}

static const StoreDriver driver = {
        .close = fake_close,
        .load = fake_load,
        .submit = fake_submit,
        .update = fake_update,
        .forget = fake_forget,
        .add_type = fake_add_type,
        .set_schedule = fake_set_schedule,
        .move_schedule = fake_move_schedule,
        .forget_schedule = fake_forget_schedule,
        .set_paused = fake_set_paused,
        .begin = fake_begin,
        .hurry = fake_hurry,
        .commit = fake_commit,
        .safe_ticket = fake_safe_ticket,
        .sync = fake_sync,
        .backlog_bytes = fake_backlog_bytes,
        .is_full = fake_is_full,
        .lacking_bytes = fake_lacking_bytes,
        .backup = fake_backup,
        .get_stats = fake_get_stats,
};

void fake_store_setup(void) {
        static Store store = { .driver = &driver };

        fake_store = (FakeStore){};
        committed = 0;
        store_close(fixture->store);
        fixture->store = &store;
        fixture->settings->durability = STORE_FULL;
        fixture_holds_commits = true;
}

void fake_store_fixture_setup(void) {
        fixture_setup();
        fixture->grace_until_usec = 0;
        make_type(&fixture->types, "a");
        fake_store_setup();
}

uint64_t fake_store_commit(void) {
        persist_commit(fixture);
        return fake_store.ticket;
}

void fake_store_make_safe(uint64_t ticket) {
        fake_store.safe = ticket;
        ledger_settle(fixture, ticket);
}

const FakeChange *fake_store_last(uint64_t sequence) {
        for (size_t i = fake_store.n_changes; i > 0; i--)
                if (fake_store.changes[i - 1].sequence == sequence)
                        return &fake_store.changes[i - 1];
        return NULL;
}
