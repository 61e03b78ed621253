/* SPDX-License-Identifier: MIT */

/* What is particular to the SQLite driver: who may open which file, and what is in it. How it writes is in
 * check_store_writer.c, failures of the disk in check_store_fault.c. */

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../src/controld/store-sqlite.h"
#include "store-fixture.h"

static Fixture f;
static Workload w;

static StoreTask plain_task(uint64_t sequence) {
        return (StoreTask){ .sequence = sequence,
                            .name = "add",
                            .priority = PRIORITY_NORMAL,
                            .state = TASK_QUEUED };
}

static void submit(uint64_t sequence) {
        StoreTask t = plain_task(sequence);

        ck_assert_int_eq(store_submit(f.store, &t, 1), 0);
}

static uint64_t size_of(const char *suffix) {
        char name[128];
        struct stat st;

        (void) snprintf(name, sizeof(name), "%s%s", f.path, suffix);
        return stat(name, &st) < 0 ? 0 : (uint64_t) st.st_size;
}

static void sql(const char *text) {
        sqlite3 *db;

        ck_assert_int_eq(sqlite3_open(f.path, &db), SQLITE_OK);
        ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", text,
                      sqlite3_errmsg(db));
        ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static void write_file(off_t offset, const void *data, size_t size, bool truncate) {
        int fd = open(f.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        ck_assert_int_ge(fd, 0);
        if (truncate)
                ck_assert_int_eq(ftruncate(fd, 0), 0);
        ck_assert_int_eq(pwrite(fd, data, size, offset), (ssize_t) size);
        ck_assert_int_eq(close(fd), 0);
}

static uint64_t checksum(void) {
        uint64_t sum = 1;
        FILE *file = fopen(f.path, "re");
        int c;

        ck_assert_ptr_nonnull(file);
        while ((c = fgetc(file)) != EOF)
                sum = sum * UINT64_C(0x100000001b3) + (uint64_t) c;
        ck_assert_int_eq(fclose(file), 0);
        return sum;
}

/* The store is refused with a line that names the file and says what to do, and the file is left as it is. */
static void assert_refused(int error, const char *part) {
        _cleanup_free_ char *text = NULL;
        uint64_t before = checksum();

        ck_assert_int_eq(fixture_try_open(&f, &text), error);
        ck_assert_ptr_null(f.store);
        ck_assert_ptr_nonnull(text);
        ck_assert_ptr_nonnull(strstr(text, f.path));
        ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in: %s", part, text);
        ck_assert_ptr_null(strchr(text, '\n'));
        ck_assert_uint_eq(checksum(), before);
}

static void make_store(void) {
        fixture_init(&f, STORE_FULL);
        fixture_open(&f);
        workload_init(&w, 1);
        for (size_t i = 0; i < 300; i++)
                workload_append(&w, f.store, 1);
        (void) store_commit(f.store);
        fixture_close(&f);
}

/* --- opening ------------------------------------------------------------------------------------- */

START_TEST(test_files) {
        struct stat st;

        (void) umask(022);
        make_store();
        ck_assert_int_eq(stat(f.path, &st), 0);
        ck_assert_uint_eq(st.st_mode, S_IFREG | 0600);
        /* Closed properly, all is in one file. */
        ck_assert_uint_gt(size_of(""), 0);
        ck_assert_uint_eq(size_of("-wal"), 0);
        ck_assert_uint_eq(size_of("-shm"), 0);
        ck_assert_uint_eq(size_of("-reserve"), 0);
        fixture_check_file(&f);
        fixture_done(&f);
}
END_TEST

START_TEST(test_newer) {
        make_store();
        sql("PRAGMA user_version = 1000");
        assert_refused(-EPROTONOSUPPORT, "install the newer version");
        fixture_done(&f);
}
END_TEST

START_TEST(test_foreign) {
        fixture_init(&f, STORE_FULL);
        sql("CREATE TABLE addresses (name TEXT)");
        assert_refused(-EMEDIUMTYPE, "some other program");
        ck_assert_int_eq(unlink(f.path), 0);
        sql("PRAGMA user_version = 1");
        assert_refused(-EMEDIUMTYPE, "some other program");
        fixture_done(&f);

        make_store();
        sql("PRAGMA application_id = 17");
        assert_refused(-EMEDIUMTYPE, "some other program");
        fixture_done(&f);
}
END_TEST

START_TEST(test_damaged_header) {
        make_store();
        sql("PRAGMA user_version = 0");
        assert_refused(-EUCLEAN, "no version");
        fixture_done(&f);

        make_store();
        sql("DROP TABLE run");
        assert_refused(-EUCLEAN, "no such table");
        fixture_done(&f);

        make_store();
        write_file(0, "not SQLite at all", 17, false);
        assert_refused(-EUCLEAN, "put a backup in its place");
        fixture_done(&f);

        make_store();
        ck_assert_int_eq(truncate(f.path, (off_t) size_of("") / 2 / 4096 * 4096), 0);
        assert_refused(-EUCLEAN, "damaged");
        fixture_done(&f);
}
END_TEST

START_TEST(test_garbage) {
        static const size_t sizes[] = { 2, 15, 16, 100, 511, 512, 4096, 100000 };
        static uint8_t data[100000];

        workload_init(&w, 2);
        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (uint8_t) workload_random(&w, 256);
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                fixture_init(&f, STORE_PROCESS);
                write_file(0, data, sizes[i], true);
                assert_refused(-EUCLEAN, "damaged");
                fixture_done(&f);
        }

        /* An empty file has nothing to lose. */
        fixture_init(&f, STORE_PROCESS);
        write_file(0, data, 0, true);
        fixture_open(&f);
        fixture_done(&f);
}
END_TEST

static int load(char **ret_error) {
        return store_load(f.store, &(StoreLoad){}, ret_error);
}

/* What opening does not see, loading does. */
START_TEST(test_damaged_page) {
        static const uint8_t zeros[4096];
        uint64_t pages, n_found = 0;

        make_store();
        pages = size_of("") / 4096;
        ck_assert_uint_gt(pages, 20);
        for (uint64_t i = 1; i < pages; i++) {
                _cleanup_free_ char *error = NULL;
                int r;

                write_file((off_t) (i * 4096), zeros, sizeof(zeros), false);
                r = fixture_try_open(&f, &error);
                if (r >= 0)
                        r = load(&error);
                /* Pages of long arguments have nothing that could be checked. */
                if (r < 0) {
                        n_found++;
                        ck_assert_int_eq(r, -EUCLEAN);
                        ck_assert_ptr_nonnull(strstr(error, f.path));
                        ck_assert_ptr_nonnull(strstr(error, "put a backup in its place"));
                }
                fixture_done(&f);
                make_store();
                ck_assert_uint_eq(size_of("") / 4096, pages);
        }
        ck_assert_uint_gt(n_found, pages / 4);
        fixture_done(&f);
}
END_TEST

START_TEST(test_damaged_row) {
        static const char *const changes[] = {
                "UPDATE task SET id = x'0102' WHERE sequence = 7",
                "UPDATE task SET priority = 4 WHERE sequence = 7",
                "UPDATE task SET priority = -1 WHERE sequence = 7",
                "INSERT INTO run VALUES (7, 11, 1, 0, NULL, 0, 0, NULL, NULL, 0, 0, 0, 0, 0, NULL)",
                "INSERT INTO run VALUES (7, -1, 1, 0, NULL, 0, 0, NULL, NULL, 0, 0, 0, 0, 0, NULL)",
                "INSERT INTO run VALUES (7, 2, 4294967296, 0, NULL, 0, 0, NULL, NULL, 0, 0, 0, 0, 0, NULL)",
                "INSERT INTO run VALUES (7, 2, 1, -1, NULL, 0, 0, NULL, NULL, 0, 0, 0, 0, 0, NULL)",
                "INSERT INTO run VALUES (7, 2, 1, 0, NULL, 0, 0, NULL, NULL, -1, 0, 0, 0, 0, NULL)",
                "INSERT INTO run VALUES (7, 2, 1, 0, NULL, 0, 0, NULL, NULL, 1000, 0, 0, 0, 0, NULL)",
                "INSERT INTO run VALUES (7, 2, 1, 0, NULL, 0, 0, NULL, NULL, 0, 0, -1, 0, 0, NULL)",
                "INSERT INTO run VALUES (7, 2, 1, 0, NULL, 0, 0, NULL, NULL, 0, 0, 0, -1, 0, NULL)",
                "INSERT INTO run VALUES (7, 2, 1, 0, NULL, 0, 0, NULL, NULL, 0, 0, 0, 0, -1, NULL)",
                "UPDATE task SET epoch = 1000 WHERE sequence = 7",
        };

        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                _cleanup_free_ char *error = NULL;

                fixture_init(&f, STORE_FULL);
                fixture_open(&f);
                submit(7);
                (void) store_commit(f.store);
                fixture_close(&f);
                sql(changes[i]);
                fixture_open(&f);
                ck_assert_int_eq(load(&error), -EUCLEAN);
                ck_assert_ptr_nonnull(strstr(error, f.path));
                ck_assert_ptr_nonnull(strstr(error, "sequence number 7 "));
                fixture_done(&f);
        }
}
END_TEST

START_TEST(test_no_directory) {
        _cleanup_free_ char *error = NULL;
        char path[128];

        fixture_init(&f, STORE_FULL);
        (void) snprintf(path, sizeof(path), "%s/none/store.db", f.directory);
        f.config.path = path;
        ck_assert_int_eq(fixture_try_open(&f, &error), -ENOENT);
        ck_assert_ptr_nonnull(strstr(error, "/none "));
        free(TAKE_PTR(error));

        f.config.path = f.directory;
        ck_assert_int_eq(fixture_try_open(&f, &error), -EMEDIUMTYPE);
        ck_assert_ptr_nonnull(strstr(error, f.directory));
        fixture_done(&f);
}
END_TEST

static int try_open_as_nobody(void) {
        _cleanup_free_ char *error = NULL;
        int r;

        if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
                return 255;
        f.event = NULL; /* the parent's */
        r = fixture_try_open(&f, &error);
        if (r == 0)
                return 0;
        return r == -EACCES && error && strstr(error, "cannot be written") ? 1 : 2;
}

/* In a child, as root may write everywhere. */
static int as_nobody(void) {
        pid_t pid = fork();
        int status;

        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                _exit(try_open_as_nobody());
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

START_TEST(test_no_permission) {
        make_store();
        if (geteuid() == 0)
                ck_assert_int_eq(chmod(f.path, 0666), 0);
        ck_assert_int_eq(chmod(f.directory, 0555), 0);
        ck_assert_int_eq(as_nobody(), 1);
        ck_assert_int_eq(chmod(f.directory, 0777), 0);
        ck_assert_int_eq(chmod(f.path, 0444), 0);
        ck_assert_int_eq(as_nobody(), 1);
        ck_assert_int_eq(chmod(f.path, 0666), 0);
        ck_assert_int_eq(as_nobody(), 0);
        fixture_done(&f);
}
END_TEST

/* Another process that tries to open the store when told to. */
typedef struct Rival {
        pid_t pid;
        int ask, answer;
} Rival;

static void rival_main(int ask, int answer) {
        char c;

        while (read(ask, &c, 1) == 1) {
                int r = fixture_try_open(&f, NULL);

                if (c == 't')
                        fixture_close(&f);
                if (write(answer, &r, sizeof(r)) != sizeof(r))
                        break;
        }
        _exit(0);
}

static Rival rival_new(void) {
        int ask[2], answer[2];
        Rival r;

        ck_assert_int_eq(pipe2(ask, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(answer, O_CLOEXEC), 0);
        r = (Rival){ fork(), ask[1], answer[0] };
        ck_assert_int_ge(r.pid, 0);
        if (r.pid == 0) {
                close(ask[1]);
                rival_main(ask[0], answer[1]);
        }
        close(ask[0]);
        close(answer[1]);
        return r;
}

static int rival_do(const Rival *r, char what) {
        int result;

        ck_assert_int_eq(write(r->ask, &what, 1), 1);
        ck_assert_int_eq(read(r->answer, &result, sizeof(result)), sizeof(result));
        return result;
}

static void rival_done(Rival *r) {
        int status;

        close(r->ask);
        ck_assert_int_eq(waitpid(r->pid, &status, 0), r->pid);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        close(r->answer);
}

START_TEST(test_busy) {
        _cleanup_free_ char *error = NULL;
        Store *second;
        Rival rival;

        fixture_init(&f, STORE_FULL);
        rival = rival_new();
        fixture_open(&f);
        ck_assert_int_eq(rival_do(&rival, 't'), -EBUSY);
        submit(1);
        fixture_wait(&f, store_commit(f.store));
        ck_assert_int_eq(rival_do(&rival, 't'), -EBUSY);

        /* A second try of our own fails as well, and does not cost us the locks. */
        ck_assert_int_eq(store_open(f.event, &f.config, &(StoreCallbacks){}, &second, &error),
                         -EBUSY);
        ck_assert_ptr_nonnull(strstr(error, f.path));
        ck_assert_int_eq(rival_do(&rival, 't'), -EBUSY);
        submit(2);
        fixture_wait(&f, store_commit(f.store));

        fixture_close(&f);
        ck_assert_int_eq(rival_do(&rival, 't'), 0);
        ck_assert_int_eq(rival_do(&rival, 'o'), 0);
        free(TAKE_PTR(error));
        ck_assert_int_eq(fixture_try_open(&f, &error), -EBUSY);
        ck_assert_ptr_nonnull(strstr(error, "another process"));
        rival_done(&rival);
        fixture_open(&f);
        fixture_done(&f);
}
END_TEST

/* The very bytes of the first format: what was written once must be read for ever. */
START_TEST(test_format_1) {
        static Snapshot loaded;
        StoreLoad nothing = {};

        fixture_init(&f, STORE_FULL);
        sql("CREATE TABLE task (sequence INTEGER PRIMARY KEY, id BLOB NOT NULL, name TEXT NOT NULL,"
            " priority INTEGER NOT NULL, created INTEGER NOT NULL, key BLOB, arguments BLOB,"
            " options BLOB) STRICT;"
            "CREATE TABLE run (sequence INTEGER PRIMARY KEY, state INTEGER NOT NULL, attempt INTEGER"
            " NOT NULL, crashes INTEGER NOT NULL, worker TEXT, started INTEGER NOT NULL, completed"
            " INTEGER NOT NULL, result BLOB, error BLOB) STRICT;"
            "CREATE TABLE type (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;"
            "INSERT INTO type VALUES ('type-3'), ('type-30');"
            "PRAGMA application_id = 0x46575351; PRAGMA user_version = 1");
        fixture_open(&f);
        snapshot_load(&loaded, f.store);
        ck_assert_uint_eq(loaded.types, 1U << 3 | 1U << 30);
        workload_init(&w, 6);
        w.now.types = loaded.types;
        for (size_t i = 0; i < 50; i++)
                workload_append(&w, f.store, 1);
        (void) store_commit(f.store);
        fixture_close(&f);
        fixture_open(&f);
        snapshot_load(&loaded, f.store);
        ck_assert(snapshot_equal(&loaded, &w.now));
        ck_assert_int_eq(store_load(f.store, &nothing, NULL), 0);
        fixture_done(&f);
}
END_TEST

static int check_format_2(const StoreTask *t, void *userdata) {
        ++*(unsigned *) userdata;
        ck_assert_uint_eq(t->sequence, 7);
        ck_assert_int_eq(t->state, TASK_RUNNING);
        ck_assert_uint_eq(t->attempt, 3);
        ck_assert_uint_eq(t->due_usec, 0);
        ck_assert_uint_eq(t->expires_usec, 0);
        ck_assert_uint_eq(t->retries, 0);
        ck_assert_uint_eq(t->history.iov_len, 0);
        return 0;
}

/* That of the second, in which tasks waited for no time and were not retried. */
START_TEST(test_format_2) {
        unsigned n = 0;
        StoreLoad all = { .task = check_format_2, .userdata = &n };

        fixture_init(&f, STORE_FULL);
        sql("CREATE TABLE task (sequence INTEGER PRIMARY KEY, id BLOB NOT NULL, name TEXT NOT NULL,"
            " priority INTEGER NOT NULL, created INTEGER NOT NULL, key BLOB, arguments BLOB,"
            " options BLOB, epoch INTEGER NOT NULL DEFAULT 0) STRICT;"
            "CREATE TABLE run (sequence INTEGER PRIMARY KEY, state INTEGER NOT NULL, attempt INTEGER"
            " NOT NULL, crashes INTEGER NOT NULL, worker TEXT, started INTEGER NOT NULL, completed"
            " INTEGER NOT NULL, result BLOB, error BLOB, epoch INTEGER NOT NULL DEFAULT 0,"
            " cancel INTEGER NOT NULL DEFAULT 0) STRICT;"
            "CREATE TABLE type (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;"
            "CREATE TABLE life (epoch INTEGER NOT NULL, clean INTEGER NOT NULL) STRICT;"
            "INSERT INTO life VALUES (4, 1);"
            "INSERT INTO task VALUES (7, x'0123456789abcdef0123456789abcdef', 'add', 2, 1, NULL,"
            " NULL, NULL, 4);"
            "INSERT INTO run VALUES (7, 4, 3, 0, 'w1', 5, 0, NULL, NULL, 4, 0);"
            "PRAGMA application_id = 0x46575351; PRAGMA user_version = 2");
        fixture_open(&f);
        ck_assert_int_eq(store_load(f.store, &all, NULL), 0);
        ck_assert_uint_eq(n, 1);
        /* Nor were there schedules. */
        ck_assert_int_eq(store_set_schedule(
                                 f.store,
                                 &(StoreSchedule){ .name = "s", .document = { (char *) "{}", 2 } },
                                 true),
                         0);
        fixture_wait(&f, store_commit(f.store));
        fixture_done(&f);
}
END_TEST

START_TEST(test_codes) {
        static const int codes[][2] = {
                { SQLITE_OK, 0 },
                { SQLITE_ROW, 0 },
                { SQLITE_DONE, 0 },
                { SQLITE_FULL, -ENOSPC },
                { SQLITE_NOMEM, -ENOMEM },
                { SQLITE_IOERR_NOMEM, -ENOMEM },
                { SQLITE_IOERR_FSYNC, -EIO },
                { SQLITE_IOERR_WRITE, -EIO },
                { SQLITE_BUSY, -EBUSY },
                { SQLITE_BUSY_RECOVERY, -EBUSY },
                { SQLITE_LOCKED, -EBUSY },
                { SQLITE_CORRUPT, -EUCLEAN },
                { SQLITE_CORRUPT_VTAB, -EUCLEAN },
                { SQLITE_NOTADB, -EUCLEAN },
                { SQLITE_READONLY_DIRECTORY, -EROFS },
                { SQLITE_PERM, -EACCES },
                { SQLITE_TOOBIG, -EMSGSIZE },
                { SQLITE_CONSTRAINT_PRIMARYKEY, -EEXIST },
                { SQLITE_CANTOPEN, -ENOENT },
                { SQLITE_MISUSE, -ENOTRECOVERABLE },
        };

        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                ck_assert_int_eq(store_sqlite_errno(NULL, codes[i][0]), codes[i][1]);
}
END_TEST

int main(void) {
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_files);
        tcase_add_test(t, test_newer);
        tcase_add_test(t, test_foreign);
        tcase_add_test(t, test_damaged_header);
        tcase_add_test(t, test_garbage);
        tcase_add_test(t, test_damaged_page);
        tcase_add_test(t, test_damaged_row);
        tcase_add_test(t, test_no_directory);
        tcase_add_test(t, test_no_permission);
        tcase_add_test(t, test_busy);
        tcase_add_test(t, test_format_1);
        tcase_add_test(t, test_format_2);
        tcase_add_test(t, test_codes);
        return fixture_run("store_sqlite", t);
}
