/* SPDX-License-Identifier: MIT */

/* How changes are collected and merged, without any database. Linked with --wrap=malloc. */

#include "../src/controld/store-batch.h"
#include "store-fixture.h"

void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);

static unsigned fail_in; /* the n-th allocation from now; 0: none */

void *__wrap_malloc(size_t size) {
        if (fail_in > 0 && --fail_in == 0) {
                errno = ENOMEM;
                return NULL;
        }
        return __real_malloc(size);
}

static StoreBatches b;

static void add(StoreChangeKind kind, uint64_t sequence, uint32_t version) {
        StoreTask t = example_task(sequence, version);

        ck_assert_int_eq(store_batches_add(&b, kind, &t, 1), 0);
}

static StoreBatch *commit(void) {
        StoreBatch *batch = store_batches_close(&b);

        if (batch)
                store_batches_link(&b, batch);
        return batch;
}

static void done(void) {
        store_batches_done(&b);
        ck_assert_uint_eq(b.bytes, 0);
}

START_TEST(test_batches) {
        StoreBatch *first, *second;

        ck_assert_ptr_null(commit());
        add(STORE_CHANGE_SUBMIT, 1, 0);
        add(STORE_CHANGE_UPDATE, 1, 1);
        add(STORE_CHANGE_FORGET, 1, 0);
        first = commit();
        ck_assert_uint_eq(first->ticket, 1);
        ck_assert_uint_eq(first->n_changes, 3);
        ck_assert_uint_eq(first->n_submits, 1);
        ck_assert_uint_gt(first->submit_bytes, 0);
        ck_assert_uint_gt(first->bytes, first->submit_bytes);
        ck_assert_ptr_null(commit());
        add(STORE_CHANGE_UPDATE, 2, 1);
        second = commit();
        ck_assert_uint_eq(second->ticket, 2);
        ck_assert_ptr_eq(first->next, second);
        ck_assert_uint_eq(b.bytes, first->bytes + second->bytes);

        store_batches_release(&b, 0);
        ck_assert_ptr_eq(b.oldest, first);
        store_batches_release(&b, 1);
        ck_assert_ptr_eq(b.oldest, second);
        ck_assert_uint_eq(b.bytes, second->bytes);
        store_batches_release(&b, 2);
        ck_assert_ptr_null(b.oldest);
        ck_assert_ptr_null(b.newest);
        ck_assert_uint_eq(b.bytes, 0);
        ck_assert_uint_eq(b.last_ticket, 2);
        done();
}
END_TEST

/* What somebody waits for is urgent. */
START_TEST(test_urgent) {
        for (TaskState s = 0; s < _TASK_STATE_MAX; s++) {
                StoreTask t = { .sequence = 1, .state = s };

                ck_assert_int_eq(store_batches_add(&b, STORE_CHANGE_UPDATE, &t, 1), 0);
                ck_assert_int_eq(commit()->is_urgent, s != TASK_ASSIGNED && s != TASK_RUNNING);
        }
        add(STORE_CHANGE_FORGET, 1, 0);
        ck_assert(!commit()->is_urgent);
        add(STORE_CHANGE_TYPE, 1, 0);
        ck_assert(!commit()->is_urgent);
        add(STORE_CHANGE_SUBMIT, 1, 0);
        add(STORE_CHANGE_FORGET, 1, 0);
        ck_assert(commit()->is_urgent);
        done();
}
END_TEST

/* The memory of released batches is used again or given back, whatever is still open or under way. */
START_TEST(test_memory) {
        size_t bytes = 0;
        uint64_t safe = 0;

        for (uint64_t i = 0; i < 5000; i++) {
                add(STORE_CHANGE_SUBMIT, i % 1000, 0);
                if (i % 3 == 0)
                        (void) commit();
                if (i % 7 == 0 && b.last_ticket > 5) {
                        safe = b.last_ticket - i % 5;
                        store_batches_release(&b, safe);
                }
                bytes = MAX(bytes, b.bytes);
        }
        (void) commit();
        store_batches_release(&b, b.last_ticket);
        ck_assert_uint_eq(b.bytes, 0);
        /* A few batches' worth, of what were megabytes. */
        ck_assert_uint_lt(bytes, 400000);

        /* The released ones do not touch what is open. */
        add(STORE_CHANGE_SUBMIT, 1, 0);
        (void) commit();
        add(STORE_CHANGE_SUBMIT, 2, 0);
        store_batches_release(&b, b.last_ticket);
        ck_assert_uint_gt(b.bytes, 0);
        ck_assert_uint_eq(commit()->first->task.sequence, 2);
        done();
}
END_TEST

/* Of several tasks all are added or none, wherever the memory ends. */
START_TEST(test_no_memory) {
        enum { N = 2000 };
        static StoreTask tasks[N];
        unsigned n_failures = 0;

        for (size_t i = 0; i < N; i++)
                tasks[i] = (StoreTask){ .sequence = i, .name = "a name", .worker = "a worker" };
        for (unsigned open = 0; open < 2; open++) {
                int r = -ENOMEM;

                for (unsigned n = 1; r < 0; n++) {
                        size_t bytes;

                        if (open)
                                add(STORE_CHANGE_SUBMIT, 3999, 0);
                        bytes = b.bytes;
                        fail_in = n;
                        r = store_batches_add(&b, STORE_CHANGE_SUBMIT, tasks, N);
                        fail_in = 0;
                        if (r >= 0)
                                continue;
                        n_failures++;
                        ck_assert_int_eq(r, -ENOMEM);
                        ck_assert_uint_eq(b.bytes, bytes);
                        ck_assert_int_eq(b.open != NULL, open);
                        if (open)
                                ck_assert_uint_eq(commit()->n_changes, 1);
                        else
                                ck_assert_ptr_null(commit());
                        store_batches_done(&b);
                }
                ck_assert_uint_eq(commit()->n_changes, N + open);
                store_batches_done(&b);
        }
        ck_assert_uint_gt(n_failures, 8);
}
END_TEST

/* --- merging ------------------------------------------------------------------------------------- */

static StoreMerge m;

static const StoreMergedTask *merge_one(const char *changes) {
        StoreBatch *first = NULL, *last = NULL;

        store_batches_done(&b);
        for (uint32_t i = 0; changes[i]; i++) {
                if (changes[i] == 's' || changes[i] == 'r')
                        add(STORE_CHANGE_SUBMIT, 7, 0);
                else if (changes[i] == 'S')
                        add(STORE_CHANGE_SUBMIT, 7, 1);
                else if (changes[i] == 'u')
                        add(STORE_CHANGE_UPDATE, 7, 10 + i);
                else
                        add(STORE_CHANGE_FORGET, 7, 0);
                last = commit();
                last->is_refused = changes[i] == 'r';
                if (!first)
                        first = last;
        }
        ck_assert_int_eq(store_merge(&m, first, last), 0);
        ck_assert_uint_le(m.n, 1);
        return m.n > 0 ? &m.tasks[0] : NULL;
}

/* The attempt of the update, which is the place of the change (or that of the submit). */
static void assert_merged(const char *changes, bool forget, bool submit, uint32_t attempt) {
        const StoreMergedTask *t = merge_one(changes);

        ck_assert_ptr_nonnull(t);
        ck_assert_uint_eq(t->sequence, 7);
        ck_assert_msg(t->forget == forget, "%s: forget", changes);
        ck_assert_msg((t->submit != NULL) == submit, "%s: submit", changes);
        ck_assert_msg((t->update ? t->update->attempt : 0) == attempt, "%s: update", changes);
}

START_TEST(test_merge) {
        assert_merged("s", false, true, 0);
        assert_merged("S", false, true, 1);
        assert_merged("u", false, false, 10);
        assert_merged("f", true, false, 0);
        assert_merged("su", false, true, 11);
        assert_merged("Su", false, true, 11);
        assert_merged("uuuu", false, false, 13);
        assert_merged("sf", false, false, 0);
        assert_merged("suf", false, false, 0);
        assert_merged("uf", true, false, 0);
        assert_merged("uufu", true, false, 0);
        assert_merged("fs", true, true, 0);
        assert_merged("fsu", true, true, 12);
        assert_merged("ufsu", true, true, 13);
        assert_merged("fsf", true, false, 0);
        assert_merged("sfs", false, true, 0);
        assert_merged("sfS", false, true, 1);
        ck_assert_ptr_null(merge_one("r"));
        assert_merged("ru", false, false, 11);
        store_merge_done(&m);
        done();
}
END_TEST

/* Many tasks, in any order, with equal low or high bits of their sequences. */
START_TEST(test_merge_many) {
        enum { N = 3000 };
        static const uint64_t strides[] = { 1, 1024, UINT64_C(1) << 32, UINT64_C(1) << 50 };
        StoreBatch *first = NULL, *last = NULL;

        for (size_t k = 0; k < ELEMENTSOF(strides); k++) {
                for (uint32_t round = 0; round < 2; round++)
                        for (uint64_t i = 0; i < N; i++) {
                                StoreTask t = { .sequence = i * 7 % N * strides[k],
                                                .state = TASK_RUNNING,
                                                .attempt = round };

                                ck_assert_int_eq(store_batches_add(&b, STORE_CHANGE_UPDATE, &t, 1),
                                                 0);
                                if (i % 100 == 0) {
                                        last = commit();
                                        first = first ? first : last;
                                }
                        }
                add(STORE_CHANGE_TYPE, 5, 0);
                last = commit();
                ck_assert_int_eq(store_merge(&m, first, last), 0);
                ck_assert_uint_eq(m.n, N);
                ck_assert_uint_eq(m.n_types, 1);
                ck_assert_str_eq(m.types[0], example_task(5, 0).name);
                for (uint64_t i = 0; i < N; i++) {
                        ck_assert_uint_eq(m.tasks[i].sequence, i * 7 % N * strides[k]);
                        ck_assert_uint_eq(m.tasks[i].update->attempt, 1);
                }
                first = NULL;
                store_batches_done(&b);
        }

        /* Small again. */
        add(STORE_CHANGE_SUBMIT, 1, 0);
        first = commit();
        ck_assert_int_eq(store_merge(&m, first, first), 0);
        ck_assert_uint_eq(m.n, 1);
        store_merge_done(&m);
        done();
}
END_TEST

int main(void) {
        TCase *t = tcase_create("all");

        tcase_add_test(t, test_batches);
        tcase_add_test(t, test_urgent);
        tcase_add_test(t, test_memory);
        tcase_add_test(t, test_no_memory);
        tcase_add_test(t, test_merge);
        tcase_add_test(t, test_merge_many);
        return fixture_run("store_batch", t);
}
