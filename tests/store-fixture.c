/* SPDX-License-Identifier: MIT */

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>

#include "store-fixture.h"

void require_failed(const char *file, int line, const char *what) {
        (void) fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
        abort();
}

static void on_safe(uint64_t ticket, void *userdata) {
        Fixture *f = userdata;

        require(f->may_call);
        require(ticket > f->safe);
        require(f->n_failed == 0);
        f->safe = ticket;
        f->n_safe++;
        require(store_safe_ticket(f->store) >= ticket);
        if (f->on_safe)
                f->on_safe(ticket);
}

static void on_refused(uint64_t ticket, int error, void *userdata) {
        Fixture *f = userdata;

        require(f->may_call);
        require(f->expects_refusals);
        require(error == -ENOSPC);
        require(ticket > f->safe);
        if (f->n_refused > 0)
                require(ticket > f->refused[f->n_refused - 1]);
        require(f->n_refused < ELEMENTSOF(f->refused));
        f->refused[f->n_refused++] = ticket;
}

static void on_room(void *userdata) {
        Fixture *f = userdata;

        require(f->may_call);
        f->n_room++;
}

static void on_failed(int error, const char *reason, void *userdata) {
        Fixture *f = userdata;

        require(f->may_call);
        if (!f->expects_failure)
                (void) fprintf(stderr, "%s\n", reason);
        require(f->expects_failure);
        require(error < 0);
        require(strstr(reason, f->path));
        require(!strchr(reason, '\n'));
        f->error = error;
        f->n_failed++;
        require(f->n_failed == 1);
        (void) snprintf(f->reason, sizeof(f->reason), "%s", reason);
}

void fixture_init(Fixture *f, StoreDurability durability) {
        memset(f, 0, sizeof(*f));
        strcpy(f->directory, "/tmp/check-store-XXXXXX");
        require(mkdtemp(f->directory));
        (void) snprintf(f->path, sizeof(f->path), "%s/store.db", f->directory);
        f->config =
                (StoreConfig){ .durability = durability, .path = f->path, .bytes_max = UINT64_MAX };
}

int fixture_try_open(Fixture *f, char **ret_error) {
        StoreCallbacks callbacks = {
                .safe = on_safe,
                .refused = on_refused,
                .has_room = on_room,
                .failed = on_failed,
                .userdata = f,
        };

        if (!f->event)
                require(sd_event_new(&f->event) >= 0);
        f->safe = 0;
        f->n_safe = f->n_failed = 0;
        f->n_refused = 0;
        f->n_room = 0;
        return store_open(f->event, &f->config, &callbacks, &f->store, ret_error);
}

void fixture_open(Fixture *f) {
        _cleanup_free_ char *error = NULL;

        if (fixture_try_open(f, &error) < 0)
                (void) fprintf(stderr, "%s\n", error ? error : "no reason");
        require(f->store);
        require(!error);
}

void fixture_close(Fixture *f) {
        f->store = store_close(f->store);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

void fixture_done(Fixture *f) {
        fixture_close(f);
        f->event = sd_event_unref(f->event);
        require(nftw(f->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

void fixture_turn(Fixture *f) {
        f->may_call = true;
        require(sd_event_run(f->event, UINT64_MAX) >= 0);
        f->may_call = false;
}

void fixture_wait(Fixture *f, uint64_t ticket) {
        while (f->safe < ticket)
                fixture_turn(f);
}

void fixture_wait_for_failure(Fixture *f) {
        while (f->n_failed == 0)
                fixture_turn(f);
}

int fixture_sync(Fixture *f) {
        int r;

        f->may_call = true;
        r = store_sync(f->store);
        f->may_call = false;
        return r;
}

static void assert_query(sqlite3 *db, const char *sql, const char *expected) {
        sqlite3_stmt *s;

        require(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK);
        require(sqlite3_step(s) == SQLITE_ROW);
        require(streq((const char *) sqlite3_column_text(s, 0), expected));
        require(sqlite3_finalize(s) == SQLITE_OK);
}

void fixture_check_file(const Fixture *f) {
        sqlite3 *db;

        require(sqlite3_open(f->path, &db) == SQLITE_OK);
        assert_query(db, "PRAGMA integrity_check", "ok");
        assert_query(db,
                     "SELECT count(*) FROM run WHERE sequence NOT IN (SELECT sequence FROM task)",
                     "0");
        require(sqlite3_close(db) == SQLITE_OK);
}

int fixture_run(const char *name, TCase *t) {
        Suite *suite = suite_create(name);
        SRunner *runner;
        int failed;

        tcase_set_timeout(t, 300);
        suite_add_tcase(suite, t);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
