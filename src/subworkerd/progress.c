/* SPDX-License-Identifier: MIT */

#include "progress.h"
#include "hash.h"
#include "progress-text.h"

typedef struct Progress {
        UT_hash_handle hh;
        JobKey key;
        bool news;
        uint64_t due_usec; /* not to be told of before that */
        unsigned percent;
        char text[PROGRESS_TEXT_MAX + 1];
} Progress;

struct ProgressTable {
        Progress *entries; /* of tasks that run: few */
        ProgressSend send;
        void *userdata;
        WireOut out;
};

static Progress *find(const ProgressTable *t, const JobKey *key) {
        Progress *p;

        HASH_FIND(hh, t->entries, key, sizeof(*key), p);
        return p;
}

static Progress *add(ProgressTable *t, const JobKey *key) {
        Progress *p = calloc(1, sizeof(*p));

        if (!p)
                return NULL;
        p->key = *key;
        HASH_ADD(hh, t->entries, key, sizeof(p->key), p);
        if (!p->hh.tbl) {
                free(p);
                return NULL;
        }
        return p;
}

void progress_report(ProgressTable *t, const Job *job, unsigned percent, const char *text,
                     size_t size) {
        Progress *p = find(t, &job->key) ?: add(t, &job->key);

        if (!p)
                return;
        p->percent = MIN(percent, PROGRESS_PERCENT_MAX);
        progress_text_set(p->text, text, size);
        p->news = true;
}

void progress_forget(ProgressTable *t, const Job *job) {
        Progress *p = find(t, &job->key);

        if (!p)
                return;
        HASH_DEL(t->entries, p);
        free(p);
}

static bool is_due(const Progress *p, uint64_t now) {
        return p->news && now >= p->due_usec;
}

static size_t put_due(ProgressTable *t, uint64_t now) {
        size_t n = 0;

        wire_begin(&t->out, WIRE_PROGRESS, NULL);
        for (Progress *p = t->entries; p && n < WIRE_BATCH_MAX; p = p->hh.next) {
                if (!is_due(p, now))
                        continue;
                wire_put_task_id(&t->out, &p->key.id);
                wire_put_number(&t->out, p->key.attempt);
                wire_put_number(&t->out, p->percent);
                wire_put_string(&t->out, p->text);
                n++;
        }
        return n;
}

int progress_flush(ProgressTable *t, uint64_t now) {
        size_t n;
        int r;

        while ((n = put_due(t, now)) > 0) {
                r = t->send(&t->out, t->userdata);
                if (r < 0)
                        return r;
                for (Progress *p = t->entries; p && n > 0; p = p->hh.next) {
                        if (!is_due(p, now))
                                continue;
                        p->news = false;
                        p->due_usec = now + PROGRESS_INTERVAL_USEC;
                        n--;
                }
        }
        return 0;
}

uint64_t progress_due(const ProgressTable *t) {
        uint64_t due = USEC_INFINITY;

        for (const Progress *p = t->entries; p; p = p->hh.next)
                if (p->news)
                        due = MIN(due, p->due_usec);
        return due;
}

int progress_new(ProgressSend send, void *userdata, ProgressTable **ret) {
        ProgressTable *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        t->send = send;
        t->userdata = userdata;
        *ret = t;
        return 0;
}

ProgressTable *progress_free(ProgressTable *t) {
        Progress *p, *next;

        if (!t)
                return NULL;
        HASH_ITER(hh, t->entries, p, next) {
                HASH_DEL(t->entries, p);
                free(p);
        }
        wire_out_done(&t->out);
        free(t);
        return NULL;
}
